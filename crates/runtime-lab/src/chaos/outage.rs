//! `outage`: a provider that is away for a while, over HTTP and in real time, and the runs that wait for it.

mod provider;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::fleet::{Faults, Fleet};
use agent_runtime::guards::GuardRule;
use agent_runtime::{OpenError, RuntimeManager, open_store};
use clap::Args;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::name::{NameError, SessionName};
use runtime_traits::runtime::{Joined, RunRequest, RuntimeError};
use runtime_traits::{AgentKind, Outcome, Runtime as _};
use tempfile::NamedTempFile;
use thiserror::Error;

use super::report::Report;
use super::violation::{Law, Violation};
use provider::Provider;

/// How long a run is waited for: longer than any of them waits.
const LONG: Duration = Duration::from_secs(3_600);
/// For how long the normal rate is seen before the provider is away.
const BEFORE: Duration = Duration::from_secs(30);

/// How `outage` is set.
#[derive(Clone, Debug, Args)]
pub(super) struct OutageArgs {
    /// For how long the provider is away.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Runs that begin in a second: before, meanwhile, and for three times as long after.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    rate: u32,
    /// Says also what was looked at.
    #[arg(long)]
    details: bool,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub(super) enum OutageError {
    /// The provider or its folder could not be made.
    #[error("there is no provider: it needs a port on loopback and a folder for a key and a store")]
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

/// Lets a provider be away for a while, and tells what it was asked.
///
/// # Errors
/// [`OutageError`] when there is nothing to look at.
pub(super) async fn outage(args: OutageArgs) -> Result<Report, OutageError> {
    let OutageArgs { seconds, rate, details } = args;
    let provider = Provider::start().await?;
    let folder = tempfile::tempdir()?;
    let mut key = NamedTempFile::new_in(folder.path())?;
    key.write_all(b"sk-nobody")?;
    let file = format!(
        "store = \"redb:{}\"\n[agents.helper]\nkind = \"llm\"\nmodel = \"openai/away\"\nkey = \"file:{}\"\nbase_url = \"{}\"\nmax_tokens = 20\n",
        folder.path().join("outage.redb").display(),
        key.path().display(),
        provider.url()
    );
    let (runtime, agent) = open(&Fleet::parse(&file)?).await?;

    let away = Duration::from_secs(seconds);
    let mut runs = Vec::new();
    begin(&runtime, agent, BEFORE, rate, &mut runs).await?;
    provider.set_away(true);
    let gone = provider.now();
    begin(&runtime, agent, away, rate, &mut runs).await?;
    provider.set_away(false);
    let back = provider.now();
    begin(&runtime, agent, away * 3, rate, &mut runs).await?;
    let mut failed = 0_u64;
    for run in &runs {
        let joined = runtime.join(run, LONG).await?;
        let completed =
            matches!(joined, Joined::Ended(ended) if matches!(ended.outcome, Outcome::Completed(_)));
        failed += u64::from(!completed);
    }
    runtime.shutdown(Duration::ZERO).await?;
    let seen = Seen::of(&provider.asked(), gone, back);
    Ok(report(&seen, runs.len() as u64, failed, away, rate, details))
}

/// What a provider was asked.
#[derive(Debug)]
struct Seen {
    /// The most calls in any second before it was away.
    normal: usize,
    /// How many calls reached it while it was.
    during: usize,
    /// The most calls in any second after that.
    peak: usize,
    /// When the last call came, after it was back.
    last: Duration,
}

impl Seen {
    fn of(asked: &[UnixMillis], gone: UnixMillis, back: UnixMillis) -> Self {
        let part = |from: UnixMillis, to: UnixMillis| {
            asked.iter().copied().filter(|at| *at >= from && *at < to).collect::<Vec<_>>()
        };
        let end = UnixMillis(u64::MAX);
        Self {
            normal: busiest(&part(UnixMillis(0), gone)),
            during: part(gone, back).len(),
            peak: busiest(&part(back, end)),
            last: asked.iter().max().map(|last| last.since(back)).unwrap_or_default(),
        }
    }
}

/// The most that fall into any second.
fn busiest(asked: &[UnixMillis]) -> usize {
    let within =
        |first: &UnixMillis| asked.iter().filter(|at| *at >= first && at.0 < first.0 + 1_000).count();
    asked.iter().map(within).max().unwrap_or(0)
}

fn report(seen: &Seen, runs: u64, failed: u64, away: Duration, rate: u32, details: bool) -> Report {
    let GuardRule { breaker, .. } = GuardRule::default();
    let find_out = breaker.in_a_row.map_or(breaker.failures, |row| row.min(breaker.failures)).get() as usize;
    // The shortest pauses, each followed by as many probes as there may be.
    let (mut rounds, mut at) = (0, Duration::ZERO);
    while at <= away {
        at += breaker.pause.most(rounds) / 2;
        rounds += 1;
    }
    let probes = (rounds as usize - 1) * breaker.probes.get() as usize;
    // Calls that were under way when it was found out are not held off any more.
    let under_way = rate as usize;
    let mut violations = Vec::new();
    let mut bar = |holds: bool, law, what: String| {
        if !holds {
            violations.push(Violation::new(law, what));
        }
    };
    let Seen { normal, during, peak, last } = *seen;
    bar(
        during <= find_out + under_way + probes,
        Law::Asked,
        format!("{during} calls reached a provider that was away"),
    );
    bar(peak <= 2 * normal, Law::Stormed, format!("{peak} calls came within a second; {normal} are normal"));
    bar(failed == 0, Law::Served, format!("{failed} of {runs} runs did not complete"));
    let looked = format!("looked find_out={find_out} probes<={probes} under_way<={under_way}\n");
    Report {
        name: "outage",
        n: runs,
        seed: 0,
        violations,
        figures: vec![
            ("during", during.to_string()),
            ("normal", format!("{normal}/s")),
            ("peak", format!("{peak}/s")),
            ("last", format!("{:.1}s", last.as_secs_f64())),
        ],
        details: if details { looked } else { String::new() },
        kept: None,
    }
}

/// A runtime with the agent of a fleet, started.
async fn open(fleet: &Fleet) -> Result<(RuntimeManager, AgentId), OutageError> {
    let store = open_store(&fleet.store.address()).await?;
    let kinds: Vec<Arc<dyn AgentKind>> = agent_runtime::kinds("");
    let builder = kinds.into_iter().fold(RuntimeManager::builder(store), agent_runtime::Builder::kind);
    let runtime: RuntimeManager = builder.open().await?.into();
    fleet.apply(runtime.as_runtime()).await?;
    let agent = runtime.agent(&agent_runtime::Name::new("helper")?.into()).await?.id;
    Ok((runtime, agent))
}

/// Begins so many runs in a second for so long, each in a session of its own.
async fn begin(
    runtime: &RuntimeManager,
    agent: AgentId,
    long: Duration,
    rate: u32,
    runs: &mut Vec<RunId>,
) -> Result<(), OutageError> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let times = u64::from(rate) * long.as_secs();
    for _ in 0..times {
        ticks.tick().await;
        let session = SessionName::new(format!("session-{}", runs.len()))?;
        let request = RunRequest::new("How much is it?").in_session(session);
        runs.push(runtime.submit(&agent.into(), request).await?.run);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime_traits::clock::UnixMillis;

    use super::{Law, Seen, report};

    fn laws(seen: &Seen, failed: u64) -> Vec<Law> {
        let report = report(seen, 100, failed, Duration::from_secs(60), 10, false);
        report.violations.iter().map(|violation| violation.law).collect()
    }

    #[test]
    fn a_call_too_many_a_storm_and_a_run_that_fails_are_violations() {
        let fair = || Seen { normal: 10, during: 20, peak: 20, last: Duration::ZERO };
        assert_eq!(laws(&fair(), 0), []);
        assert_eq!(laws(&Seen { during: 60, ..fair() }, 0), [Law::Asked]);
        assert_eq!(laws(&Seen { peak: 21, ..fair() }, 0), [Law::Stormed]);
        assert_eq!(laws(&fair(), 1), [Law::Served]);
    }

    #[test]
    fn calls_are_counted_by_whether_the_provider_was_there_and_by_the_busiest_second() {
        let at = |ms: &[u64]| ms.iter().map(|ms| UnixMillis(*ms)).collect::<Vec<_>>();
        let asked = at(&[0, 500, 1_000, 5_000, 5_100, 9_000, 9_200, 9_999, 10_000]);
        let seen = Seen::of(&asked, UnixMillis(5_000), UnixMillis(9_000));
        assert_eq!((seen.normal, seen.during, seen.peak), (2, 2, 3));
        assert_eq!(seen.last, Duration::from_secs(1));
    }
}
