//! What one check has seen of one thing, and what was done about it. Plain values: told the time and the chance.

use std::time::Duration;

use runtime_traits::health::{CheckReport, Health, Looked, RecoveryReport, Tried, Verdict};
use runtime_traits::recovery::{Failure, History, Remedy};
use runtime_traits::{Cause, Entropy, UnixMillis};

use crate::hysteresis::{Hysteresis, Thresholds, Turn};
use crate::policy::RecoveryRule;

/// What one check has seen of one thing.
#[derive(Debug)]
pub(super) struct Seen {
    shown: Hysteresis,
    since: UnixMillis,
    looked: Option<Looked>,
    history: History,
    tried: Option<Tried>,
    next: Option<UnixMillis>,
    /// A try is under way.
    is_recovering: bool,
}

impl Seen {
    pub(super) fn new(thresholds: Thresholds, now: UnixMillis) -> Self {
        Self {
            shown: Hysteresis::new(thresholds),
            since: now,
            looked: None,
            history: History::default(),
            tried: None,
            next: None,
            is_recovering: false,
        }
    }

    pub(super) fn shown(&self) -> &Health {
        self.shown.shown()
    }

    /// Takes in a look. What is well again counts its tries anew.
    pub(super) fn look(&mut self, looked: Looked) -> Option<Turn> {
        let at = looked.at;
        let mut turn = self.shown.observe(looked.found.clone());
        // What is well at the first look has not flickered: nothing was shown before.
        if self.looked.is_none() && looked.found.verdict == Verdict::Healthy {
            turn = turn.or_else(|| self.shown.show(looked.found.clone()));
        }
        self.looked = Some(looked);
        if turn.is_some() {
            self.since = at;
        }
        if self.shown().verdict == Verdict::Healthy {
            self.history.progressed();
        }
        if self.shown().verdict != Verdict::Unhealthy {
            self.next = None;
        }
        turn
    }

    /// Whether something is to be done now. It is then a try, whatever becomes of it, and the only one until
    /// [`let_go`](Self::let_go).
    pub(super) fn is_to_recover(
        &mut self,
        check: &str,
        rule: &RecoveryRule,
        now: UnixMillis,
        entropy: &dyn Entropy,
    ) -> bool {
        // What was found well just now may only have to be seen once more.
        let is_bad = |looked: &Looked| looked.found.verdict == Verdict::Unhealthy;
        if self.is_recovering
            || self.shown().verdict != Verdict::Unhealthy
            || !self.looked.as_ref().is_some_and(is_bad)
        {
            return false;
        }
        if self.next.is_none() {
            let failure = Failure::Unhealthy { action: Some(check.to_owned()) };
            let remedy = rule.decide(&failure, &self.history, now, entropy);
            self.history.took(&remedy, rule.most, now);
            if let Remedy::Act { at, .. } = remedy {
                self.next = Some(at);
            }
        }
        self.is_recovering = self.next.take_if(|at| *at <= now).is_some();
        self.is_recovering
    }

    /// Writes down how a try ended.
    pub(super) fn tried(&mut self, at: UnixMillis, ended: Result<(), Cause>) {
        self.tried = Some(Tried { at, failed: ended.err() });
    }

    /// No try is under way any more.
    pub(super) fn let_go(&mut self) {
        self.is_recovering = false;
    }

    /// Whether a look is due, by a check that looks so often at most.
    pub(super) fn is_due(&self, every: Duration, now: UnixMillis) -> bool {
        let is_fresh = |looked: &Looked| now < looked.at.after(every);
        self.next.is_some_and(|next| next <= now) || !self.looked.as_ref().is_some_and(is_fresh)
    }

    /// When the next try may be.
    pub(super) fn next(&self) -> Option<UnixMillis> {
        self.next
    }

    /// A person says that it may be tried again. Whether nothing was to be tried any more.
    pub(super) fn release(&mut self) -> bool {
        let was_set_aside = self.history.quarantine().is_some();
        self.history.release();
        was_set_aside
    }

    pub(super) fn report(&self, check: &str) -> CheckReport {
        let attempts = self.history.attempts();
        let quarantine = self.history.quarantine().map(|quarantine| quarantine.since);
        let (last, next) = (self.tried.clone(), self.next);
        let is_needed = attempts > 0 || quarantine.is_some() || last.is_some() || next.is_some();
        CheckReport {
            name: check.to_owned(),
            health: self.shown().clone(),
            since: self.since,
            looked: self.looked.clone(),
            recovery: is_needed.then_some(RecoveryReport { attempts, last, next, quarantine }),
        }
    }
}
