//! What people type.

mod events;
mod people;
mod schedules;
mod snapshots;
mod stores;
mod webhooks;

use std::path::PathBuf;

use agent_runtime::fleet::{StoreUri, loopback};
use agent_runtime::runtime::SessionPolicy;
use agent_runtime::{AgentRef, IdempotencyKey, RunId, SessionName, StepKey};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;

pub(crate) use events::{
    DeadLettersArgs, EventsArgs, EventsCommand, FromArg, PublishArgs, ReplayArgs, RequeueArgs, TailArgs,
};
pub(crate) use stores::{RepairArgs, StateCommand, VerifyArgs};

pub(crate) use people::{AnswerArgs, ApproveArgs, ChatArgs, DenyArgs, ForkArgs, MessagesArgs};
pub(crate) use schedules::{AddArgs, ScheduleArg, SchedulesCommand};
pub(crate) use snapshots::{KeepArgs, RestoreArgs, SnapshotCommand};
pub(crate) use webhooks::{WebhooksArgs, WebhooksCommand};

const AFTER: &str = "\
Exit codes:
  0  done
  1  the run failed or was cancelled
  2  bad usage, bad input, or a faulty fleet file
  3  there is no such agent, run, snapshot or store
  4  refused: not started, busy, wrong state, name or key taken, store in use,
     encrypted with other keys, or not empty
  5  the store is damaged, or it or the connection to a server failed;
     an address cannot be listened on
  6  the run waits for somebody: see `log`, `answer`, `approve`,
     `decide` and `cancel`
  7, 8, 9  of `health`: degraded, unhealthy, or nobody can tell
  128 + n  ended by signal n (130: Ctrl-C)

Without a server, a command opens the store itself for as long as it takes.
With one (`serve`), it asks the server over the unix socket beside the store.
A store in memory is for `run`, `chat` and `serve` only. One on a Redis server
is taken from whoever works on it, so a command asks for --nobody-serves first.

AGENT_RUNTIME_FLEET and AGENT_RUNTIME_STORE stand for --fleet and --store.
AGENT_RUNTIME_LOG=info tells more on the standard error; NO_COLOR takes colours away.";

/// Keeps AI agents alive: starts, runs, watches them, and brings them back after a crash.
#[derive(Debug, Parser)]
#[command(name = "agent-runtime", version, after_help = AFTER, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The fleet file [default: fleet.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "AGENT_RUNTIME_FLEET", hide_env = true)]
    pub(crate) fleet: Option<PathBuf>,
    /// The store, instead of the fleet file's: redb:PATH, sled:PATH, memory:, or encrypted:KEYS,STORE with file:PATH or
    /// env:NAME for KEYS. Without --fleet, fleet.toml is then read by `run`,
    /// `chat` and `serve` only
    #[arg(long, global = true, value_name = "URI", env = "AGENT_RUNTIME_STORE", hide_env = true)]
    pub(crate) store: Option<StoreUri>,
    /// Let this command take a store on a Redis server, because no server (`serve`) works on it
    #[arg(long, global = true)]
    pub(crate) nobody_serves: bool,
    /// Print JSON, also on a terminal
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give an agent an input and show its answer as it comes
    Run(RunArgs),
    /// Talk with an agent
    Chat(ChatArgs),
    /// Host the agents: work their runs, listen for HTTP and for the other commands
    Serve(ServeArgs),
    /// Say everything that is wrong with a fleet file
    Check {
        /// The fleet file [default: fleet.toml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Say what is stored that this program could not go on with, too
        #[arg(long)]
        live: bool,
    },
    /// List agents, show one, start, stop, pause, resume or delete it
    Agents {
        /// What to do; without it, they are listed.
        #[command(subcommand)]
        command: Option<AgentsCommand>,
    },
    /// Show what all agents may use together and what they use, or change it from now on and for runs under way
    Limits {
        /// Limits, as in a fleet file: max_tokens_per_minute=10000, max_cost_per_day=2.50; `NAME=` lifts one
        #[arg(value_name = "LIMIT=VALUE")]
        limits: Vec<String>,
    },
    /// List schedules, show one, add, pause, resume or remove it
    Schedules {
        /// What to do; without it, they are listed.
        #[command(subcommand)]
        command: Option<SchedulesCommand>,
    },
    /// Show how the runtime and its agents are, the worst first, or how one is by each check; the exit code says how bad
    Health {
        /// The agent: its name or its id
        agent: Option<AgentRef>,
    },
    /// List runs, oldest first
    Runs {
        /// Only this agent's
        #[arg(long, value_name = "AGENT")]
        agent: Option<AgentRef>,
        /// Only those that are not over
        #[arg(long)]
        open: bool,
        /// Only those in quarantine
        #[arg(long)]
        quarantined: bool,
    },
    /// Show everything that happened in a run
    Log {
        /// The run, or `last`
        run: RunArg,
        /// Go on showing entries as they come, until the run is over
        #[arg(long, short)]
        follow: bool,
    },
    /// End a run early
    Cancel {
        /// The run, or `last`
        run: RunArg,
        /// Why, for the log
        #[arg(long, default_value = "asked for on the command line")]
        reason: String,
        /// How many seconds it has to end by itself
        #[arg(long, default_value_t = 5, value_name = "SECONDS")]
        within: u32,
    },
    /// Say what becomes of a step that a crash left with an unknown end
    Decide(DecideArgs),
    /// Let a run out of quarantine: it goes on, and what counted against it is forgotten
    Requeue {
        /// The run, or `last`
        run: RunArg,
    },
    /// Answer what a run asks
    Answer(AnswerArgs),
    /// Consent to a call that a run asks consent for
    Approve(ApproveArgs),
    /// Refuse consent to a call
    Deny(DenyArgs),
    /// Copy a run into a new conversation, where it goes on
    Fork(ForkArgs),
    /// Show what was said in a conversation
    #[command(visible_alias = "history")]
    Messages(MessagesArgs),
    /// Freeze an agent's conversations and state
    Save {
        /// The agent: its name or its id
        agent: AgentRef,
    },
    /// Make a new agent with the conversations and state of a snapshot, or put one back to it
    Restore(RestoreArgs),
    /// List snapshots, oldest first
    Snapshots {
        /// Only this agent's
        agent: Option<AgentRef>,
    },
    /// Show, compare, delete, keep, export or import snapshots
    Snapshot {
        /// What to do
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Copy a store, look for damage in it, repair or export it, or rewrite it under another key
    State {
        /// What to do.
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Show events as they come, publish one, show those of before, and dead letters
    Events(EventsArgs),
    /// List whom the fleet file has told how runs end, test one, show and send again what was not taken
    Webhooks(WebhooksArgs),
    /// Show the runtime: store, readiness, open runs; or how much is stored of an agent
    Status {
        /// The agent: its name or its id
        agent: Option<AgentRef>,
    },
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
    /// What it shall work on; `-` reads it from the standard input
    pub(crate) input: String,
    /// The conversation that it belongs to
    #[arg(long, default_value = "default")]
    pub(crate) session: SessionName,
    /// The same key gives the same run, also when it is asked for again
    #[arg(long, value_parser = key)]
    pub(crate) key: Option<IdempotencyKey>,
    /// What to do if the conversation is busy [default: enqueue behind a run at work, reject behind one that waits]
    #[arg(long, value_name = "POLICY")]
    pub(crate) when_busy: Option<WhenBusy>,
    /// Where runs wait for room under a limit, or to be worked, higher ones come first
    #[arg(long, value_name = "0-255", default_value_t = 0)]
    pub(crate) priority: u8,
}

/// What to do with a run whose conversation is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenBusy {
    /// Work it after the others
    Enqueue,
    /// Refuse it
    Reject,
    /// Cancel the run at work, and keep what it has said so far
    Interrupt,
    /// Cancel the run at work; the conversation goes on as if it had not been
    Rollback,
    /// Take the input as the answer that the run at work waits for
    Answer,
}

impl From<WhenBusy> for SessionPolicy {
    fn from(when: WhenBusy) -> Self {
        match when {
            WhenBusy::Enqueue => Self::Enqueue,
            WhenBusy::Reject => Self::Reject,
            WhenBusy::Interrupt => Self::Interrupt,
            WhenBusy::Rollback => Self::Rollback,
            WhenBusy::Answer => Self::Answer,
        }
    }
}

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The fleet file [default: fleet.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Where to listen for HTTP, instead of where the fleet file says
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    pub(crate) listen: Option<SocketAddr>,
    /// How many seconds runs have to end by themselves when the server is asked to end
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub(crate) drain: u32,
}

/// `agents …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// List them
    List,
    /// Show one
    Show(AgentArg),
    /// Let it take runs
    Start(AgentArg),
    /// Take no more runs; let those that run end
    Stop(AgentArg),
    /// Let no step begin; its runs wait
    Pause(AgentArg),
    /// End a pause
    Resume(AgentArg),
    /// Show what it used: in the last hour by minutes, in the last day by hours
    Usage(AgentArg),
    /// Change what it may use, from now on and for runs under way
    Limit(LimitArgs),
    /// Delete a stopped agent with its runs and conversations; its snapshots stay
    Delete(AgentArg),
}

/// `agents limit`.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
    /// Limits, as in a fleet file: max_tokens_per_minute=10000, max_cost_per_day=2.50, on_limit=refuse; `NAME=` lifts one
    #[arg(value_name = "LIMIT=VALUE", required = true)]
    pub(crate) limits: Vec<String>,
}

/// An agent.
#[derive(Debug, Args)]
pub(crate) struct AgentArg {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
}

/// `decide`.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The run, or `last`
    pub(crate) run: RunArg,
    /// The step, as `log` names it
    pub(crate) step: StepKey,
    /// What becomes of it
    pub(crate) verdict: Verdict,
    /// With `assume`: the step's result, as JSON
    #[arg(value_name = "JSON", required_if_eq("verdict", "assume"))]
    pub(crate) value: Option<String>,
}

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verdict {
    /// Do it again
    Repeat,
    /// Take the JSON as its result
    Assume,
    /// Take it as failed
    Fail,
}

/// A run, as people point at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunArg {
    /// By id.
    Id(RunId),
    /// The one that was accepted last.
    Last,
}

impl std::str::FromStr for RunArg {
    type Err = agent_runtime::NameError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given == "last" { Ok(Self::Last) } else { given.parse().map(Self::Id) }
    }
}

fn key(given: &str) -> Result<IdempotencyKey, agent_runtime::NameError> {
    IdempotencyKey::new(given)
}
