//! One thing that is watched.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use runtime_traits::health::{
    CheckReport, Health, HealthCheck, HealthReport, HealthTurn, Looked, Recovery, Verdict, Watched,
};
use runtime_traits::name::Name;
use runtime_traits::{Cause, Clock, Entropy, UnixMillis};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::checks::Registered;
use super::seen::Seen;

/// How long a recovery may take.
const RECOVERS_WITHIN: Duration = Duration::from_secs(60);

/// How much later than an interval and the time for a look the next one may be over.
const SLACK: Duration = Duration::from_secs(5);

/// Who is told that something turned.
pub(super) type Told = Box<dyn Fn(&HealthTurn) + Send + Sync>;

/// Who tells the time and the chance, and who is told.
pub(super) struct Around {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) told: Option<Told>,
}

/// How it is looked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By the checks that are due.
    WhenDue,
    /// By all.
    Now,
}

/// What is to be done about what a look has found, carried out after the look: it may take its time, and looks go on meanwhile. While
/// it is there, no other try of the same check begins.
pub(super) struct Due {
    watch: Arc<Watch>,
    name: Name,
    registered: Registered,
    why: Health,
}

/// One thing that is watched.
pub(super) struct Watch {
    pub(super) watched: Watched,
    pub(super) interval: Duration,
    /// Closed once nobody wants to know any more.
    pub(super) stopped: Semaphore,
    /// Held by who looks: one look at a time.
    looking: tokio::sync::Mutex<()>,
    seen: Mutex<All>,
}

struct All {
    checks: BTreeMap<Name, Seen>,
    worst: Verdict,
    since: UnixMillis,
    /// When the last look was over.
    looked: Option<UnixMillis>,
    /// How long a look may take.
    within: Duration,
}

impl Watch {
    pub(super) fn new(watched: Watched, interval: Duration, now: UnixMillis) -> Self {
        let all = All {
            checks: BTreeMap::new(),
            worst: Health::worst_of([]).verdict,
            since: now,
            looked: None,
            within: Duration::ZERO,
        };
        Self {
            watched,
            interval,
            stopped: Semaphore::new(0),
            looking: tokio::sync::Mutex::new(()),
            seen: Mutex::new(all),
        }
    }

    /// Looks by all of these at once, and says what is to be done about what they find.
    pub(super) async fn look(
        self: &Arc<Self>,
        around: &Around,
        mut checks: Vec<(Name, Registered)>,
        how: How,
    ) -> Vec<Due> {
        let _alone = self.looking.lock().await;
        if how == How::WhenDue {
            let (now, mut all) = (around.clock.now(), self.all());
            let within = checks.iter().map(|(_, registered)| registered.rule.within).max();
            all.within = within.unwrap_or_default();
            checks.retain(|(name, registered)| {
                all.checks.get(name).is_none_or(|seen| seen.is_due(registered.rule.every, now))
            });
        }
        let looks = checks.into_iter().map(|(name, registered)| self.look_by(around, name, registered));
        let to_do = join_all(looks).await.into_iter().flatten().collect();
        if how == How::WhenDue {
            self.all().looked = Some(around.clock.now());
        }
        to_do
    }

    async fn look_by(self: &Arc<Self>, around: &Around, name: Name, registered: Registered) -> Option<Due> {
        let looked = look_once(around, &self.watched, &registered).await;
        let at = looked.at;
        self.take_in(around, &name, &registered, looked);
        let (rule, _) = registered.recovery.as_ref()?;
        let why = {
            let mut all = self.all();
            let seen = all.checks.get_mut(&name)?;
            if !seen.is_to_recover(name.as_str(), rule, at, around.entropy.as_ref()) {
                return None;
            }
            seen.shown().clone()
        };
        Some(Due { watch: Arc::clone(self), name, registered, why })
    }

    /// Takes in what a look has found, and tells who wants to know.
    fn take_in(&self, around: &Around, name: &Name, registered: &Registered, looked: Looked) {
        let (at, thresholds) = (looked.at, registered.rule.thresholds);
        let turn = {
            let all = &mut *self.all();
            let seen = all.checks.entry(name.clone()).or_insert_with(|| Seen::new(thresholds, at));
            let turn = seen.look(looked);
            all.note_worst(at);
            turn
        };
        if let (Some(turn), Some(told)) = (turn, &around.told) {
            let check = name.to_string();
            told(&HealthTurn { watched: self.watched.clone(), check, from: turn.from, to: turn.to, at });
        }
    }

    /// The earliest moment at which a recovery is to be tried.
    pub(super) fn next_try(&self) -> Option<UnixMillis> {
        self.all().checks.values().filter_map(Seen::next).min()
    }

    pub(super) fn release(&self, check: &Name) -> bool {
        self.all().checks.get_mut(check).is_some_and(Seen::release)
    }

    pub(super) fn verdict(&self, now: UnixMillis) -> Verdict {
        let all = self.all();
        if all.stale_since(self.interval, now).is_some() { Verdict::Unknown } else { all.worst }
    }

    /// How it is. What nobody has looked at for too long, because a check blocks the thread of all looks say, nobody knows any more.
    pub(super) fn report(&self, now: UnixMillis) -> HealthReport {
        let all = self.all();
        if let Some((looked, since)) = all.stale_since(self.interval, now) {
            let reason = format!("not looked at since {}, for {:?}", looked.0, now.since(looked));
            let health = Health::new(Verdict::Unknown, reason);
            let unknown = |(name, seen): (&Name, &Seen)| CheckReport {
                health: health.clone(),
                since,
                ..seen.report(name.as_str())
            };
            let checks = all.checks.iter().map(unknown).collect();
            return HealthReport { watched: self.watched.clone(), health, since, checks };
        }
        HealthReport {
            watched: self.watched.clone(),
            health: all.worst(),
            since: all.since,
            checks: all.checks.iter().map(|(name, seen)| seen.report(name.as_str())).collect(),
        }
    }

    pub(super) fn report_of(&self, check: &Name) -> Option<CheckReport> {
        self.all().checks.get(check).map(|seen| seen.report(check.as_str()))
    }

    fn all(&self) -> MutexGuard<'_, All> {
        // What is written under it are single values.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Due {
    /// Carries it out, and looks whether it helped.
    pub(super) async fn carry_out(self, around: &Around) {
        let Self { watch, name, registered, why } = &self;
        let Some((_, recovery)) = &registered.recovery else { return };
        let ended = recover(recovery.as_ref(), &watch.watched, why).await;
        if let Some(seen) = watch.all().checks.get_mut(name) {
            seen.tried(around.clock.now(), ended);
        }
        // Whether it helped is not left to the next interval. What is to be done if it did not is.
        let _alone = watch.looking.lock().await;
        let looked = look_once(around, &watch.watched, registered).await;
        watch.take_in(around, name, registered, looked);
    }

    /// What it is done about.
    pub(super) fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(seen) = self.watch.all().checks.get_mut(&self.name) {
            seen.let_go();
        }
    }
}

impl All {
    fn worst(&self) -> Health {
        let shown = || self.checks.values().map(Seen::shown);
        let worst = Health::worst_of(shown().cloned());
        // Of checks that agree, one that has something to say.
        let says = |other: &&Health| other.verdict == worst.verdict && !other.reason.is_empty();
        shown().find(says).cloned().unwrap_or(worst)
    }

    /// When it was last looked at, and since when that is too long ago.
    fn stale_since(&self, interval: Duration, now: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        let looked = self.looked?;
        let until = looked.after(interval.saturating_add(self.within).saturating_add(SLACK));
        (now > until).then_some((looked, until))
    }

    fn note_worst(&mut self, now: UnixMillis) {
        let worst = self.worst().verdict;
        if worst != self.worst {
            (self.worst, self.since) = (worst, now);
        }
    }
}

/// Looks once: a check that does not answer in time has found something, one that panics nothing.
pub(super) async fn look_once(around: &Around, of: &Watched, registered: &Registered) -> Looked {
    let began = around.clock.now();
    let within = registered.rule.within;
    let check: &dyn HealthCheck = registered.check.as_ref();
    // The call itself may panic, before there is a future.
    let looking = AssertUnwindSafe(async { check.check(of).await }).catch_unwind();
    let found = match timeout(within, looking).await {
        Ok(Ok(found)) => found,
        Ok(Err(panic)) => {
            Health::new(Verdict::Unknown, format!("the check panicked: {}", said(panic.as_ref())))
        }
        Err(_) => Health::new(Verdict::Unhealthy, format!("no answer within {within:?}")),
    };
    let at = around.clock.now();
    Looked { at, took_ms: at.0.saturating_sub(began.0), found }
}

async fn recover(recovery: &dyn Recovery, of: &Watched, why: &Health) -> Result<(), Cause> {
    let trying = AssertUnwindSafe(async { recovery.recover(of, why).await }).catch_unwind();
    match timeout(RECOVERS_WITHIN, trying).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(panic)) => Err(Cause::says(format!("the recovery panicked: {}", said(panic.as_ref())))),
        Err(_) => Err(Cause::says(format!("the recovery did not end within {RECOVERS_WITHIN:?}"))),
    }
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}
