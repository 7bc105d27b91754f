//! `quota`: agents press against a provider that enforces its quota, over HTTP and in real time.

mod counting;
mod provider;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent_runtime::fleet::{Faults, Fleet};
use agent_runtime::{OpenError, RuntimeManager, open_store};
use clap::{Args, ValueEnum};
use runtime_traits::id::AgentId;
use runtime_traits::name::{NameError, SessionName, Tenant};
use runtime_traits::runtime::{Joined, RunRequest, RuntimeError};
use runtime_traits::{AgentKind, Outcome, Runtime as _};
use tempfile::{NamedTempFile, TempDir};
use thiserror::Error;
use tokio::task::JoinSet;

use super::report::Report;
use super::violation::{Law, Violation};
use counting::{Counting, Score};
use provider::Provider;

/// At most so many of the requests are refused, so much of the quota is used at least, and nobody gets less of its fair share.
const BARS: (f64, f64, f64) = (0.005, 0.95, 0.5);
/// Runs of each agent that are open at a time: one waits while the other one is answered.
const EACH: usize = 2;
/// How long a run is waited for: longer than any of them waits.
const LONG: Duration = Duration::from_secs(3_600);

/// How `quota` is set.
#[derive(Clone, Debug, Args)]
pub(super) struct QuotaArgs {
    /// For how long the agents press.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How many of them.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    agents: u32,
    /// Requests that the provider lets through in any 60 seconds.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,
    /// Tokens that it lets through in any 60 seconds: at least ten for each request.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    tokens: u64,
    /// Fixes what each reply is billed with, and how long it takes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Says also what was looked at.
    #[arg(long)]
    details: bool,
    /// Leaves something out.
    #[arg(long, hide = true)]
    flaw: Option<Careless>,
}

/// What is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Careless {
    /// The fleet file does not say what the provider lets through.
    Undeclared,
    /// It says half of it.
    Half,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub(super) enum QuotaError {
    /// The provider or its folder could not be made.
    #[error("there is no provider to press: it needs a port on loopback and a folder for a key and a store")]
    Provider(#[from] io::Error),
    /// The fleet of the experiment is refused.
    #[error("the fleet file of the experiment is wrong")]
    Fleet(#[from] Faults),
    /// Its store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The runtime refused something.
    #[error("the runtime refused what the experiment needs")]
    Runtime(#[from] RuntimeError),
    /// A session has no name.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// What became of runs.
#[derive(Debug, Default)]
struct Runs {
    completed: AtomicU64,
    failed: AtomicU64,
}

/// Lets agents press for so long, and tells what reached the provider.
///
/// # Errors
/// [`QuotaError`] when there is nothing to press.
pub(super) async fn quota(args: QuotaArgs) -> Result<Report, QuotaError> {
    let QuotaArgs { seconds, agents, requests, tokens, seed, .. } = args;
    let provider = Provider::start(Counting::new(requests, tokens, agents as usize), seed).await?;
    let folder = tempfile::tempdir()?;
    let mut key = NamedTempFile::new_in(folder.path())?;
    key.write_all(b"sk-nobody")?;
    let fleet = Fleet::parse(&fleet_file(&args, &folder, &key, provider.url()))?;
    let (runtime, ids) = open(&fleet).await?;

    let runs = Arc::new(Runs::default());
    let mut pressing = JoinSet::new();
    for (nth, agent) in ids.into_iter().enumerate() {
        for own in 0..EACH {
            pressing.spawn(press(runtime.clone(), agent, nth, own, Arc::clone(&runs)));
        }
    }
    let over = Duration::from_secs(seconds);
    tokio::time::sleep(over).await;
    let score = provider.score();
    pressing.shutdown().await;
    runtime.shutdown(Duration::ZERO).await?;

    let (refused, used, poorest) = (score.refused(), score.used(requests, tokens, over), score.poorest());
    let (completed, failed) = (runs.completed.load(Ordering::Relaxed), runs.failed.load(Ordering::Relaxed));
    let (most, least, fair) = BARS;
    let mut violations = Vec::new();
    let mut bar = |holds: bool, law, what: String| {
        if !holds {
            violations.push(Violation::new(law, what));
        }
    };
    let Score { reached, refused: times, billed, .. } = &score;
    bar(refused <= most, Law::Refused, format!("{times} of {reached} requests were answered with 429"));
    bar(used >= least, Law::Unused, format!("{:.1} % of the quota were used", used * 100.0));
    bar(poorest >= fair, Law::Unfair, format!("an agent got {poorest:.2} of its fair share"));
    bar(failed == 0, Law::Served, format!("{failed} runs did not complete"));
    let looked = format!("looked reached={reached} refused={times} billed={billed} completed={completed}\n");
    Ok(Report {
        name: "quota",
        n: *reached,
        seed,
        violations,
        figures: vec![
            ("refused", format!("{:.2}%", refused * 100.0)),
            ("used", format!("{:.1}%", used * 100.0)),
            ("poorest", format!("{poorest:.2}")),
        ],
        details: if args.details { looked } else { String::new() },
        kept: None,
    })
}

/// A fleet file as people write it: what the provider lets through, and agents whose replies are of unequal size.
fn fleet_file(args: &QuotaArgs, folder: &TempDir, key: &NamedTempFile, url: &str) -> String {
    let QuotaArgs { agents, requests, tokens, flaw, .. } = args;
    let (store, key) = (folder.path().join("quota.redb"), key.path());
    let mut text = format!("store = \"redb:{}\"\n", store.display());
    let part = match flaw {
        None => Some(1),
        Some(Careless::Half) => Some(2),
        Some(Careless::Undeclared) => None,
    };
    if let Some(part) = part {
        let (requests, tokens) = ((requests / part).max(1), tokens / part);
        text += &format!(
            "[quotas]\n\"openai/*\" = {{ requests_per_minute = {requests}, tokens_per_minute = {tokens} }}\n"
        );
    }
    let mean = tokens / requests;
    for nth in 0..*agents {
        // From less than half of what a request may take in the mean to more than twice of it.
        let most =
            (mean * u64::from(4 * (agents - 1) + 22 * nth) / u64::from(10 * (agents - 1)).max(1)).max(4);
        text += &format!(
            "[agents.agent-{nth}]\nkind = \"llm\"\nmodel = \"openai/counted\"\nkey = \"file:{}\"\n\
             base_url = \"{url}\"\nmax_tokens = {most}\n",
            key.display()
        );
    }
    text
}

/// A runtime with the agents of a fleet, started.
async fn open(fleet: &Fleet) -> Result<(RuntimeManager, Vec<AgentId>), QuotaError> {
    let store = open_store(&fleet.store.address()).await?;
    let builder = RuntimeManager::builder(store).governor(Arc::new(fleet.resources(&Tenant::default())));
    let kinds: Vec<Arc<dyn AgentKind>> = agent_runtime::kinds("");
    let builder = kinds.into_iter().fold(builder, agent_runtime::Builder::kind);
    let runtime: RuntimeManager = builder.open().await?.into();
    let mut ids = Vec::new();
    for agent in &fleet.agents {
        let agent = runtime.register_spec(agent.spec.clone()).await?;
        runtime.start_agent(agent).await?;
        ids.push(agent);
    }
    Ok((runtime, ids))
}

/// Runs an agent again and again, each time in a session of its own.
async fn press(runtime: RuntimeManager, agent: AgentId, nth: usize, own: usize, runs: Arc<Runs>) {
    for time in 0_u64.. {
        let completed = matches!(ask(&runtime, agent, nth, &format!("{own}-{time}")).await, Ok(true));
        let count = if completed { &runs.completed } else { &runs.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn ask(
    runtime: &RuntimeManager,
    agent: AgentId,
    nth: usize,
    session: &str,
) -> Result<bool, QuotaError> {
    let request = RunRequest::new(format!("Agent {nth} asks: which papers measure what survives a crash?"));
    let request = request.in_session(SessionName::new(session)?);
    let run = runtime.submit(&agent.into(), request).await?.run;
    let joined = runtime.join(&run, LONG).await?;
    Ok(matches!(joined, Joined::Ended(ended) if matches!(ended.outcome, Outcome::Completed(_))))
}
