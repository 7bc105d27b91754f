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
