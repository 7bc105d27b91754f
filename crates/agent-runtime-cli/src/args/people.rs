//! What people type to talk with agents, and to runs that ask them.

use agent_runtime::store::Seq;
use agent_runtime::{AgentRef, SessionName, StepKey};
use clap::Args;

use super::RunArg;

/// `chat`.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
    /// The conversation [default: `default`]
    #[arg(long, conflicts_with = "new")]
    pub(crate) session: Option<SessionName>,
    /// Begin a new conversation, named after the time of day
    #[arg(long)]
    pub(crate) new: bool,
    /// Where runs wait for room under a limit, or to be worked, higher ones come first
    #[arg(long, value_name = "0-255", default_value_t = 0)]
    pub(crate) priority: u8,
}

/// `answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The run, or `last`
    pub(crate) run: RunArg,
    /// The step that asks, which may be left out where just one does; and the answer, `-` reads it from the standard input
    #[arg(required = true, num_args = 1..=2, value_names = ["STEP", "TEXT"])]
    pub(crate) words: Vec<String>,
}

/// `approve`.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The run, or `last`
    pub(crate) run: RunArg,
    /// The step that asks; may be left out where just one does
    pub(crate) step: Option<StepKey>,
    /// The call that is meant: at least 8 digits of its hash, as `log` and `run` show it. Without it the call is shown, and
    /// consent is asked for on the terminal
    #[arg(long, value_name = "HEX", value_parser = digest)]
    pub(crate) digest: Option<String>,
}

/// `deny`.
#[derive(Debug, Args)]
pub(crate) struct DenyArgs {
    /// The run, or `last`
    pub(crate) run: RunArg,
    /// The step that asks, which may be left out where just one does; and the reason, for whoever asked
    #[arg(num_args = 0..=2, value_names = ["STEP", "REASON"])]
    pub(crate) words: Vec<String>,
}

/// `fork`.
#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The run, or `last`
    pub(crate) run: RunArg,
    /// The last entry to copy, as `log` numbers them [default: the last one at which no step was open]
    #[arg(long, value_name = "SEQ", value_parser = seq, conflicts_with = "input")]
    pub(crate) at: Option<Seq>,
    /// The new conversation [default: named after the new run]
    #[arg(long)]
    pub(crate) session: Option<SessionName>,
    /// Another input instead of the run's own; then only the conversation before the run is copied
    #[arg(long, value_name = "TEXT")]
    pub(crate) input: Option<String>,
}

/// `messages`.
#[derive(Debug, Args)]
pub(crate) struct MessagesArgs {
    /// The agent: its name or its id
    pub(crate) agent: AgentRef,
    /// The conversation
    #[arg(long, default_value = "default")]
    pub(crate) session: SessionName,
    /// How many messages, counted from the last one
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(crate) limit: u32,
}

fn seq(given: &str) -> Result<Seq, String> {
    match given.parse() {
        Ok(number) if number > 0 => Ok(Seq(number)),
        _ => Err("entries are numbered from 1: see `agent-runtime log RUN`".to_owned()),
    }
}

fn digest(given: &str) -> Result<String, String> {
    let given = given.to_ascii_lowercase();
    if (8..=64).contains(&given.len()) && given.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(given)
    } else {
        Err("give 8 to 64 hexadecimal digits, as `agent-runtime log RUN` shows them".to_owned())
    }
}
