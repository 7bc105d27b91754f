//! Circuit breakers of models and tools: what failed too often is not asked for a while.

mod called;
mod guard;
mod hearers;
mod model;
mod source;
#[cfg(test)]
mod tests;
mod tool;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use runtime_traits::bus::Bus;
use runtime_traits::runtime::{BreakerPhase, BreakerStatus, Breakers};
use runtime_traits::{Clock, Entropy, Model, StepSort, SystemClock, SystemEntropy, Tenant, Tool};

pub use model::GuardedModel;
pub use runtime_health::{Backoff, BreakerRule, PaceRule};
pub(crate) use source::GuardedModels;
pub use tool::GuardedTool;

use guard::{Guard, Sort, What};
use hearers::Hearers;

/// With so many guards those go that say nothing, and if they are still as many the oldest of those that nobody has any more.
const MANY: usize = 1_024;
/// So many are shown.
const SHOWN: usize = 256;

/// When calls are held off, and how they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardRule {
    /// When calls are held off.
    pub breaker: BreakerRule,
    /// How they come back.
    pub pace: PaceRule,
}

impl Default for GuardRule {
    /// As breakers and paces are, and calls are held off after 5 failures in a row, too: an outage is found out however many calls worked
    /// before it.
    fn default() -> Self {
        let breaker = BreakerRule::default();
        Self {
            breaker: BreakerRule { in_a_row: Some(breaker.failures), ..breaker },
            pace: PaceRule::default(),
        }
    }
}

/// The guards of a process: one for each model, place and key, and one for each tool and place, whichever agents use them. A cheap
/// handle.
///
/// A model or a tool that failed too often is not called for a while; then a few calls try whether it works again. Meanwhile
/// runs with an [`LlmAgent`](crate::LlmAgent) wait for its model, or go to its `fallback`; a tool that is held off answers the
/// model so. When it works again callers come back at less than twice the rate that was normal before.
///
/// The models and tools of declarations are guarded by those [of the process](Self::of_process); values are by hand:
///
/// ```
/// use agent_runtime::guards::Guards;
/// use agent_runtime::{LlmAgent, ScriptedModel};
///
/// let guarded = Guards::of_process().model(ScriptedModel::new("greeter", ["Good morning!"]));
/// let agent = LlmAgent::new("assistant", guarded).build()?;
/// # Ok::<(), agent_runtime::LlmAgentError>(())
/// ```
#[derive(Clone)]
pub struct Guards(Arc<Shared>);

struct Shared {
    rule: GuardRule,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    all: Mutex<BTreeMap<What, Arc<Guard>>>,
    hearers: Arc<Hearers>,
}

impl Guards {
    /// Guards of their own, with their own clock: for tests, and for whoever wants others than the process has.
    pub fn new(rule: GuardRule, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let (all, hearers) = (Mutex::default(), Arc::default());
        Self(Arc::new(Shared { rule, clock, entropy, all, hearers }))
    }

    /// The guards of this process.
    pub fn of_process() -> Self {
        static GUARDS: OnceLock<Guards> = OnceLock::new();
        let new = || {
            Self::new(GuardRule::default(), Arc::<SystemClock>::default(), Arc::<SystemEntropy>::default())
        };
        GUARDS.get_or_init(new).clone()
    }

    /// The model, guarded with all that have its name and its key.
    pub fn model<M: Model>(&self, model: M) -> GuardedModel<M> {
        let called = model.called();
        self.model_at(model, None, called.credential)
    }

    /// The tool, guarded with all that have its name and go to the same place.
    pub fn tool<T: Tool>(&self, tool: T) -> GuardedTool<T> {
        GuardedTool::new(tool, self.clone())
    }

    /// Tells this bus, as this tenant's, when calls are held off and when no longer, as long as somebody else holds the bus.
    pub fn tell(&self, bus: &Arc<dyn Bus>, tenant: Tenant) {
        self.0.hearers.add(bus, tenant);
    }

    fn model_at<M: Model>(&self, model: M, at: Option<String>, key: Option<String>) -> GuardedModel<M> {
        let what = What { sort: Sort::Model, name: model.name().to_owned(), at, key };
        GuardedModel::new(model, self.guard(what))
    }

    fn guard(&self, what: What) -> Arc<Guard> {
        let Shared { rule, clock, entropy, all, hearers } = &*self.0;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MANY && !all.contains_key(&what) {
            all.retain(|_, guard| Arc::strong_count(guard) > 1 || !guard.rests());
            // Of those that still hold calls off, the ones that nobody has any more, the oldest first.
            let over = (all.len() + 1).saturating_sub(MANY);
            let unheld = all.iter().filter(|(_, guard)| Arc::strong_count(guard) == 1);
            let mut unheld: Vec<_> = unheld.map(|(what, guard)| (guard.since(), what.clone())).collect();
            unheld.sort();
            for (_, what) in unheld.into_iter().take(over) {
                all.remove(&what);
            }
        }
        let guard = all.entry(what).or_insert_with_key(|what| {
            Guard::new(what.clone(), *rule, Arc::clone(clock), Arc::clone(entropy), Arc::clone(hearers))
        });
        Arc::clone(guard)
    }
}

impl Breakers for Guards {
    fn standing(&self) -> Vec<BreakerStatus> {
        let all = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        // A tool that never failed has nothing to say.
        let says = |status: &BreakerStatus| status.sort == StepSort::Model || status.since.is_some();
        let mut standing: Vec<BreakerStatus> =
            all.values().map(|guard| guard.status()).filter(says).collect();
        standing.sort_by_key(|status| status.state == BreakerPhase::Closed);
        standing.truncate(SHOWN);
        standing
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.standing()).finish()
    }
}
