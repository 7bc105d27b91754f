//! Where an open run stands, and since when: from its view alone.

use std::time::Duration;

use runtime_traits::log::{Phase as RunPhase, StepPhase, StepView, WaitOn, WaitView};
use runtime_traits::runtime::Want;
use runtime_traits::{RunView, UnixMillis};

use super::bounds::PhaseBounds;
use runtime_traits::recovery::{Phase, Stands};

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) phase: Phase,
    pub(super) since: UnixMillis,
    /// What stands there, for people.
    pub(super) what: String,
    /// Somebody has to set something right before it can go on.
    pub(super) needs_somebody: bool,
    /// How long it may stand there by what it declares itself.
    declared: Duration,
}

impl Standing {
    fn new(phase: Phase, since: UnixMillis, what: impl Into<String>) -> Self {
        Self { phase, since, what: what.into(), needs_somebody: false, declared: Duration::ZERO }
    }

    /// Whether it stands there longer than it may, of an agent of which this is wanted.
    pub(super) fn is_stalled(&self, bounds: &PhaseBounds, want: Want, now: UnixMillis) -> bool {
        let may_stand = match want {
            Want::Active => false,
            // Its runs end; those that have not begun stay where they are.
            Want::Stopped => self.phase == Phase::Queued,
            // Calls under way end; nothing else begins.
            Want::Paused => !self.phase.is_of_a_call(),
        };
        !may_stand && self.age(now) > self.bound(bounds)
    }

    /// How long it may stand there.
    pub(super) fn bound(&self, bounds: &PhaseBounds) -> Duration {
        bounds.of(self.phase).max(self.declared)
    }

    pub(super) fn age(&self, now: UnixMillis) -> Duration {
        now.since(self.since)
    }
}

/// Where an open run stands: in each call that is under way, or else in its agent's code, in the queue, or in a wait that should
/// be over. A run that rightly waits stands nowhere.
pub(super) fn standings(view: &RunView) -> Vec<Standing> {
    match view.phase {
        RunPhase::Ended => Vec::new(),
        RunPhase::Queued => vec![Standing::new(Phase::Queued, view.accepted_at, "waits for its turn")],
        RunPhase::Running if let Some(stands) = &view.stands => at_work(stands).into_iter().collect(),
        RunPhase::Running => {
            let calls: Vec<_> = view.steps.iter().filter_map(|step| call(view, step)).collect();
            let own = || vec![Standing::new(Phase::Step, view.last_at, "its agent's own code is at work")];
            if calls.is_empty() { own() } else { calls }
        }
        RunPhase::Waiting | RunPhase::Parked if view.waits.is_empty() => {
            vec![Standing::new(Phase::Step, view.last_at, "it is to go on")]
        }
        // Beside what may take as long as it takes nothing is late.
        RunPhase::Waiting | RunPhase::Parked => {
            let waits: Option<Vec<_>> = view.waits.iter().map(overdue).collect();
            waits.unwrap_or_default()
        }
    }
}

/// Where a run stands that is worked by the runtime that answers. What waits for its place at work, or for something that the runtime
/// knows of, may wait.
fn at_work(stands: &Stands) -> Option<Standing> {
    let what = match stands.phase {
        Phase::FirstByte => "its model has no first byte",
        Phase::BetweenTokens => "its model says nothing more",
        Phase::Tool => "a step gives no sign of life",
        Phase::Step => "its agent's own code is at work",
        Phase::Queued | Phase::Wait => return None,
    };
    let standing = Standing::new(stands.phase, stands.since, what);
    Some(Standing { declared: Duration::from_millis(stands.declared_ms), ..standing })
}

/// A call that is under way, as far as the log tells.
fn call(view: &RunView, step: &StepView) -> Option<Standing> {
    if step.phase != StepPhase::Dispatched {
        return None;
    }
    // When a later try began the log's view does not say; it was not before its last entry, or that entry is progress.
    let began = if step.tries > 1 { view.last_at } else { step.opened_at };
    if step.reserved.model_calls == 0 {
        return Some(Standing::new(Phase::Tool, began, format!("`{}` is under way", step.key)));
    }
    Some(Standing::new(Phase::FirstByte, began, format!("`{}` has no first byte", step.key)))
}

/// A wait that should be over, or that nobody but a person can end who is not being asked. `None`: it may take as long as it
/// takes.
fn overdue(wait: &WaitView) -> Option<Standing> {
    let needs = |what: &str| {
        let standing = Standing::new(Phase::Wait, wait.since, format!("it waits for {what}"));
        Some(Standing { needs_somebody: true, ..standing })
    };
    match &wait.on {
        WaitOn::Time(step) => {
            let wake_at = wait.wake_at?;
            Some(Standing::new(Phase::Wait, wake_at, format!("`{step}` was to be woken")))
        }
        WaitOn::Decision(step) => needs(&format!("a decision on `{step}`")),
        WaitOn::Diverged { .. } => needs("a person, because its code has changed"),
        WaitOn::Kind(kind) => needs(&format!("a process that hosts the kind `{kind}`")),
        WaitOn::CodeVersion(version) => needs(&format!("a process with version {version} of its kind")),
        WaitOn::Operator { .. } => needs("an operator: it is in quarantine"),
        WaitOn::Approval(_)
        | WaitOn::Answer(_)
        | WaitOn::Budget(_)
        | WaitOn::Child { .. }
        | WaitOn::Event(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use runtime_testkit::fakes::runtime::Samples;
    use runtime_traits::log::{StepKey, WaitId};
    use runtime_traits::{Digest, RunId};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn waiting(waits: &[(WaitOn, Option<u64>)]) -> RunView {
        let wait = |(on, wake_at): &(WaitOn, Option<u64>)| WaitView {
            wait: WaitId(3),
            on: on.clone(),
            since: UnixMillis(1_000),
            wake_at: wake_at.map(UnixMillis),
            digest: Digest::of(b""),
            asks: None,
            note: None,
        };
        let waits = waits.iter().map(wait).collect();
        let mut view = Samples::default().open_view();
        (view.phase, view.waits) = (RunPhase::Parked, waits);
        view
    }

    fn stalled(view: &RunView, now: u64) -> Option<(bool, String)> {
        let mut all = standings(view).into_iter();
        let found = all.find(|of| of.is_stalled(&PhaseBounds::default(), Want::Active, UnixMillis(now)))?;
        Some((found.needs_somebody, found.what))
    }

    #[test]
    fn whoever_waits_for_what_may_take_its_time_stands_nowhere() {
        let step: StepKey = "ask".parse().unwrap();
        let child = RunId::from_parts(Samples::default().run.partition(), uuid::Uuid::from_u128(9));
        let rightly = [
            WaitOn::Approval(step.clone()),
            WaitOn::Answer(step.clone()),
            WaitOn::Budget(step.clone()),
            WaitOn::Child { step: step.clone(), run: child },
            WaitOn::Event(step.clone()),
        ];
        for on in rightly {
            assert_eq!(stalled(&waiting(&[(on, None)]), u64::MAX), None);
        }
        // Also beside a moment that is past: one of both is enough to go on with, and the other may be the slow one.
        let both = [(WaitOn::Answer(step.clone()), None), (WaitOn::Time(step), Some(2_000))];
        assert_eq!(stalled(&waiting(&both), u64::MAX), None);
    }

    #[test]
    fn a_moment_that_is_past_and_what_somebody_has_to_set_right_are_told_after_their_bound() {
        let step: StepKey = "nap".parse().unwrap();
        let late = 1_000 + u64::try_from(MINUTE.as_millis()).unwrap();
        let asleep = waiting(&[(WaitOn::Time(step.clone()), Some(5_000))]);
        assert_eq!(stalled(&asleep, late + 4_000), None);
        assert_eq!(stalled(&asleep, late + 4_001), Some((false, "`nap` was to be woken".to_owned())));
        let stuck = [
            (WaitOn::Decision(step), "a decision on `nap`"),
            (WaitOn::Kind("poet".parse().unwrap()), "a process that hosts the kind `poet`"),
            (WaitOn::CodeVersion(3), "a process with version 3 of its kind"),
            (WaitOn::Operator { why: String::new() }, "an operator: it is in quarantine"),
        ];
        for (on, says) in stuck {
            let view = waiting(&[(on, None)]);
            assert_eq!(stalled(&view, late), None);
            assert_eq!(stalled(&view, late + 1), Some((true, format!("it waits for {says}"))));
        }
    }

    #[test]
    fn what_is_wanted_of_an_agent_says_what_may_stand() {
        let standing = |phase| Standing::new(phase, UnixMillis(0), "");
        let stands =
            |phase, want| standing(phase).is_stalled(&PhaseBounds::default(), want, UnixMillis(u64::MAX));
        for phase in [Phase::FirstByte, Phase::BetweenTokens, Phase::Tool] {
            assert!([Want::Active, Want::Paused, Want::Stopped].iter().all(|want| stands(phase, *want)));
        }
        assert!(!stands(Phase::Queued, Want::Stopped) && !stands(Phase::Queued, Want::Paused));
        assert!(stands(Phase::Step, Want::Stopped) && !stands(Phase::Step, Want::Paused));
    }
}
