//! Looks the store over for damage, slowly, until the runtime ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::clock::{Clock, UnixMillis};
use runtime_traits::scrub::{Finding, Heard, Pace, Scrub, ScrubCount, ScrubPass, ScrubStatus};
use tokio_util::sync::CancellationToken;

use super::run_slot::lock;
use crate::engine::scrub::{ScrubRate, Unpaid};

/// Findings that are shown.
const SHOWN: usize = 100;
/// How often the clock is looked at while nothing is read.
const ROUND: Duration = Duration::from_secs(60);

/// Looking for damage.
#[derive(Debug)]
pub(super) struct Scrubbing {
    scrub: Arc<dyn Scrub>,
    rate: Option<ScrubRate>,
    told: Arc<Told>,
}

/// What is known of it.
#[derive(Debug, Default)]
struct Told {
    state: Mutex<ScrubStatus>,
    /// What the pass under way has found.
    present: Mutex<Vec<Finding>>,
}

/// Reads no faster than the rate says, and lets others have their turn.
struct Slowly {
    rate: ScrubRate,
    unpaid: Mutex<Unpaid>,
}

impl Scrubbing {
    pub(super) fn new(scrub: Arc<dyn Scrub>, rate: Option<ScrubRate>) -> Self {
        let told = Told::default();
        lock(&told.state).on = rate.is_some();
        Self { scrub, rate, told: Arc::new(told) }
    }

    pub(super) fn status(&self) -> ScrubStatus {
        let mut status = lock(&self.told.state).clone();
        for finding in lock(&self.told.present).iter() {
            if status.findings.len() < SHOWN && !status.findings.contains(finding) {
                status.findings.push(finding.clone());
            }
        }
        status
    }

    /// Makes one pass after the other.
    pub(super) async fn keep_looking(self: Arc<Self>, clock: Arc<dyn Clock>, ending: CancellationToken) {
        let Some(rate) = self.rate else { return };
        let mut next = rate.first(clock.now());
        loop {
            lock(&self.told.state).next = Some(next);
            while clock.now() < next {
                let pause = next.since(clock.now()).clamp(Duration::from_millis(1), ROUND);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = ending.cancelled() => return,
                }
            }
            let began = clock.now();
            tokio::select! {
                () = self.pass(rate, began, clock.as_ref()) => {}
                () = ending.cancelled() => return,
            }
            next = rate.following(began, clock.now());
        }
    }

    async fn pass(&self, rate: ScrubRate, began: UnixMillis, clock: &dyn Clock) {
        let begun = ScrubPass { began, ended: None, count: ScrubCount::default() };
        {
            let mut state = lock(&self.told.state);
            (state.running, state.next) = (Some(begun), None);
        }
        lock(&self.told.present).clear();
        let pace = Slowly { rate, unpaid: Mutex::default() };
        let heard: Arc<dyn Heard> = Arc::clone(&self.told) as Arc<dyn Heard>;
        let done = self.scrub.pass(Arc::new(pace), heard).await;
        let found = std::mem::take(&mut *lock(&self.told.present));
        let mut state = lock(&self.told.state);
        state.running = None;
        match done {
            Ok(count) => {
                state.last = Some(ScrubPass { ended: Some(clock.now()), count, ..begun });
                (state.failed, state.findings) = (None, found);
            }
            Err(error) => {
                tracing::warn!(%error, "the store could not be looked over for damage");
                state.failed = Some(error.to_string());
            }
        }
    }
}

impl Heard for Told {
    fn found(&self, finding: Finding) {
        let Finding { tenant, agent, session, run, place, what } = &finding;
        tracing::warn!(
            tenant = tenant.as_ref().map(tracing::field::display),
            agent = agent.as_ref().map(tracing::field::display),
            session = session.as_ref().map(tracing::field::display),
            run = run.as_ref().map(tracing::field::display),
            place,
            what,
            "the store is damaged: see `agent-runtime state verify`"
        );
        let mut present = lock(&self.present);
        if present.len() < SHOWN {
            present.push(finding);
        }
    }

    fn read(&self, so_far: ScrubCount) {
        if let Some(running) = &mut lock(&self.state).running {
            running.count = so_far;
        }
    }
}

#[async_trait]
impl Pace for Slowly {
    async fn read(&self, values: u64) {
        let pause = lock(&self.unpaid).read(values, &self.rate);
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => tokio::task::yield_now().await,
        }
    }
}
