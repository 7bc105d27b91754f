//! `poison`: runs that abort their process, or overflow its stack, among good ones; the parent starts the next process.

mod worker;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::{OpenError, RuntimeManager, open_store};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime_traits::name::{IdempotencyKey, NameError, SessionName};
use runtime_traits::runtime::{RunFilter, RunRequest, RuntimeError};
use runtime_traits::{AgentRef, AgentSpec, Outcome, Payload, RunId, RunView, Runtime};
use rustix::process::{Signal, set_parent_process_death_signal};
use thiserror::Error;
use tokio::process::Command;

use super::report::Report;
use super::violation::{Law, Violation};
use worker::{KIND, Work, Workers};

/// The name of the hidden command.
const COMMAND: &str = "serve-poison";
/// Where a process writes down how many runs it has asked for: the next one goes on from there.
const ASKED: &str = "asked";
/// How long a run is waited for: longer than any of them takes.
const LONG: Duration = Duration::from_secs(3_600);

/// How `poison` is set.
#[derive(Clone, Debug, Args)]
pub(super) struct PoisonArgs {
    /// How many runs do no harm.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    good: u32,
    /// How many abort their process or overflow its stack, each time that they are started.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    aborting: u32,
    /// How many runs are open at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Fixes which runs are poison, and of which sort.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Says also what was looked at.
    #[arg(long)]
    details: bool,
}

/// What the parent tells the process that will die.
#[derive(Clone, Debug, Args)]
pub(super) struct ServePoisonArgs {
    #[arg(long)]
    folder: PathBuf,
    #[command(flatten)]
    how: PoisonArgs,
}

/// Why nothing was found out.
#[derive(Debug, Error)]
pub(super) enum PoisonError {
    /// The system refused something.
    #[error("there is no process to kill: it needs a folder and room for a store")]
    System(#[from] io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The runtime refused something.
    #[error("the runtime refused what the experiment needs")]
    Runtime(#[from] RuntimeError),
    /// A session or a key has no name.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Lets process after process die until one lives to the end, and looks at what is in the store.
///
/// # Errors
/// [`PoisonError`] when it could not be done.
pub(super) async fn poison(args: PoisonArgs) -> Result<Report, PoisonError> {
    let folder = tempfile::tempdir()?;
    let bound = f64::from(args.aborting) * (4.0 + f64::from(args.in_flight).log2());
    let mut deaths = 0_u32;
    let mut violations = Vec::new();
    loop {
        if process(folder.path(), &args).await? {
            break;
        }
        deaths += 1;
        if f64::from(deaths) > bound {
            let what =
                format!("{deaths} deaths for {} poison runs, and {bound:.0} are the most", args.aborting);
            violations.push(Violation::new(Law::Deaths, what));
            break;
        }
    }
    let found = look(folder.path(), &args, violations.is_empty(), &mut violations).await?;
    let Found { completed, innocent, set_aside, lost } = found;
    let looked = format!(
        "looked completed={completed} set_aside={set_aside} innocent={innocent} lost={lost} deaths={deaths}\n"
    );
    Ok(Report {
        name: "poison",
        n: u64::from(args.good + args.aborting),
        seed: args.seed,
        violations,
        figures: vec![
            ("deaths", deaths.to_string()),
            ("bound", format!("{bound:.0}")),
            ("quarantined", set_aside.to_string()),
            ("innocent", innocent.to_string()),
            ("lost", lost.to_string()),
        ],
        details: if args.details { looked } else { String::new() },
        kept: None,
    })
}

/// Runs a process to its end. Whether that was its own.
async fn process(folder: &Path, args: &PoisonArgs) -> Result<bool, PoisonError> {
    let PoisonArgs { good, aborting, in_flight, seed, .. } = args;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).arg("--folder").arg(folder);
    for (name, value) in [("--good", good), ("--aborting", aborting), ("--in-flight", in_flight)] {
        command.args([name, &value.to_string()]);
    }
    command.args(["--seed", &seed.to_string()]);
    let log = File::create(folder.join("last.log"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    let status = command.spawn()?.wait().await?;
    match status.code() {
        None => Ok(false),
        Some(0) => Ok(true),
        Some(code) => {
            let said = fs::read_to_string(folder.join("last.log"))?;
            Err(io::Error::other(format!("the process ended with {code}: {said}")).into())
        }
    }
}

/// The process that dies: asks for what was not asked for yet, and waits until nothing is left that goes on.
pub(super) async fn serve_poison(args: ServePoisonArgs) -> Result<(), PoisonError> {
    // A parent that is killed itself leaves nobody behind.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    let ServePoisonArgs { folder, how } = args;
    let runtime = open(&folder, false).await?;
    let agent = runtime.register(AgentSpec::new(KIND, KIND)?).await?;
    runtime.start(&agent.into()).await?;
    let written = fs::read_to_string(folder.join(ASKED)).unwrap_or_default();
    let mut asked: u32 = written.trim().parse().unwrap_or(0);
    let all = how.good + how.aborting;
    let mut open: FuturesUnordered<_> = FuturesUnordered::new();
    for run in list(&runtime, RunFilter { open: true, ..RunFilter::default() }).await? {
        if !run.is_quarantined() {
            open.push(over(&runtime, run.run));
        }
    }
    loop {
        while asked < all && open.len() < how.in_flight as usize {
            let run = ask(&runtime, &agent.into(), &how, asked).await?;
            // It may be one that an earlier process asked for, and that is set aside by now.
            if !runtime.run_status(&run).await?.is_quarantined() {
                open.push(over(&runtime, run));
            }
            asked += 1;
            // One that dies in between asks once more, under the same key.
            fs::write(folder.join(ASKED), asked.to_string())?;
        }
        match open.next().await {
            Some(ended) => ended?,
            None => break,
        }
    }
    runtime.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

async fn over(runtime: &RuntimeManager, run: RunId) -> Result<(), RuntimeError> {
    runtime.join(&run, LONG).await.map(|_| ())
}

async fn ask(
    runtime: &RuntimeManager,
    agent: &AgentRef,
    how: &PoisonArgs,
    nth: u32,
) -> Result<RunId, PoisonError> {
    let work = Work::of(how.seed, nth, how.good, how.aborting);
    let session = SessionName::new(format!("s{nth}"))?;
    let key = IdempotencyKey::new(format!("k{nth}"))?;
    let request = RunRequest::new(work.to_string()).in_session(session).with_key(key);
    Ok(runtime.submit(agent, request).await?.run)
}

async fn open(folder: &Path, at_rest: bool) -> Result<RuntimeManager, PoisonError> {
    let store = open_store(&format!("redb:{}", folder.join("poison.redb").display())).await?;
    let builder = RuntimeManager::builder(store).kind(Arc::new(Workers));
    Ok(builder.configure(|config| config.at_rest = at_rest).open().await?.into())
}

/// What became of all runs.
#[derive(Debug, Default)]
struct Found {
    completed: u64,
    innocent: u64,
    set_aside: u64,
    lost: u64,
}

/// Compares what is in the store with what was asked for; `whole`: the last process lived to its end.
async fn look(
    folder: &Path,
    args: &PoisonArgs,
    whole: bool,
    violations: &mut Vec<Violation>,
) -> Result<Found, PoisonError> {
    let runtime = open(folder, true).await?;
    let mut found = Found::default();
    for view in list(&runtime, RunFilter::default()).await? {
        let is_poison = match &view.input {
            Payload::Inline(input) => Work::is_poison(&input.to_string()),
            Payload::Blob { .. } => false,
        };
        let completed = matches!(view.outcome, Some(Outcome::Completed(_)));
        match (is_poison, view.is_quarantined()) {
            (true, true) => found.set_aside += 1,
            (false, true) => {
                found.innocent += 1;
                violations.push(Violation::new(Law::Innocent, format!("{} is in quarantine", view.run)));
            }
            (false, false) if completed => found.completed += 1,
            (_, false) if whole => {
                violations.push(Violation::new(Law::Stuck, format!("{} is {:?}", view.run, view.phase)));
            }
            (_, false) => {}
        }
    }
    let there = found.completed + found.innocent + found.set_aside;
    found.lost = if whole { u64::from(args.good + args.aborting).saturating_sub(there) } else { 0 };
    if found.lost > 0 {
        violations.push(Violation::new(Law::Lost, format!("{} runs are not as they should be", found.lost)));
    }
    runtime.shutdown(Duration::ZERO).await?;
    Ok(found)
}

async fn list(runtime: &RuntimeManager, filter: RunFilter) -> Result<Vec<RunView>, RuntimeError> {
    let mut filter = RunFilter { limit: 1_000, ..filter };
    let mut runs = Vec::new();
    loop {
        let page = runtime.runs(filter.clone()).await?;
        runs.extend(page.items);
        filter.after = page.next;
        if filter.after.is_none() {
            return Ok(runs);
        }
    }
}
