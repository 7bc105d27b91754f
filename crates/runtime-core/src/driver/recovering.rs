//! What is done about failures of runs: the policy decides, by what the log of the run tells and when its agent was restarted.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_traits::agent::{AgentSpec, SpecError};
use runtime_traits::clock::UnixMillis;
use runtime_traits::error::Cause;
use runtime_traits::id::AgentId;
use runtime_traits::log::RunView;
use runtime_traits::name::Tenant;
use runtime_traits::recovery::{
    AgentRecovery, Failure, Phase, RecoveryPolicy, Remedy, StallBounds, StallLimits, Stands,
};
use runtime_traits::runtime::RuntimeError;

use super::inner::Inner;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::batches::Place;
use crate::engine::machine::{Over, RunMachine};
use crate::engine::recovering::history;

/// What an agent declares of its recovery, and of how long its runs may stand still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Care {
    pub(super) recovery: Option<AgentRecovery>,
    pub(super) stall: StallLimits,
}

/// Who decides what is done about failures, and what was done of late.
#[derive(Debug)]
pub(super) struct Recovering {
    policy: Arc<dyn RecoveryPolicy>,
    agents: Mutex<HashMap<AgentId, Restarted>>,
}

/// When an agent was restarted of late. It is known in memory only: a process that begins anew counts anew.
#[derive(Debug, Default)]
struct Restarted {
    /// In their order, no more than fit into the agent's window.
    starts: VecDeque<UnixMillis>,
    /// It is to be built anew before its first attempt that begins from then on.
    stale_from: Option<UnixMillis>,
}

impl Care {
    pub(super) fn is_none(&self) -> bool {
        self.recovery.is_none() && self.stall.is_none()
    }
}

impl Recovering {
    pub(super) fn new(policy: Arc<dyn RecoveryPolicy>) -> Self {
        Self { policy, agents: Mutex::default() }
    }

    /// Notes a restart and says when it is: at `at`, or later where the agent's window has no room then. Who decided saw the window as it
    /// was before, and so may others that failed at the same time. Forgets what is past every use.
    fn restarts(
        &self,
        agent: AgentId,
        declared: &AgentRecovery,
        at: UnixMillis,
        now: UnixMillis,
    ) -> UnixMillis {
        let mut agents = lock(&self.agents);
        let within = Duration::from_millis(declared.within_ms);
        agents.retain(|of, restarted| {
            *of == agent
                || restarted.stale_from.is_some()
                || restarted.starts.back().is_some_and(|last| last.after(within) > now)
        });
        let restarted = agents.entry(agent).or_default();
        let most = declared.most as usize;
        let behind = restarted.starts.len().checked_sub(most).and_then(|nth| restarted.starts.get(nth));
        let at = behind.map_or(at, |first| at.max(first.after(within)));
        restarted.stale_from = Some(restarted.stale_from.map_or(at, |from| from.min(at)));
        let place = restarted.starts.partition_point(|other| *other <= at);
        restarted.starts.insert(place, at);
        while restarted.starts.len() > most {
            restarted.starts.pop_front();
        }
        at
    }

    fn starts(&self, agent: &AgentId) -> Vec<UnixMillis> {
        lock(&self.agents).get(agent).map(|of| of.starts.iter().copied().collect()).unwrap_or_default()
    }

    /// Whether it is to be built anew now. What failed before is then seen to, whenever it begins again.
    fn take_stale(&self, agent: &AgentId, now: UnixMillis) -> bool {
        let mut agents = lock(&self.agents);
        agents.get_mut(agent).is_some_and(|of| of.stale_from.take_if(|from| *from <= now).is_some())
    }
}

/// How long runs of an agent may stand still.
pub(super) fn stall_bounds(bounds: StallBounds, care: Option<&Care>) -> StallBounds {
    care.map_or(bounds, |care| bounds.with(&care.stall))
}

impl Inner {
    /// Whether what an agent declares of its recovery can be kept here.
    pub(super) fn check_care(&self, spec: &AgentSpec) -> Result<(), RuntimeError> {
        let refused = |cause: Cause| SpecError::Config { agent: spec.name.to_string(), cause };
        if let Some(bound) = spec.stall.of_no_time() {
            let says = format!(
                "`stall.{bound}` is no time, so that nothing could stay within it; raise it, or leave it out"
            );
            return Err(refused(Cause::says(says)).into());
        }
        let Some(recovery) = &spec.recovery else { return Ok(()) };
        recovery.check().map_err(|fault| refused(Cause::of(&fault)))?;
        if self.recovering.is_none() {
            let says = "`recovery`: nobody decides about failures here; give the runtime a recovery policy, or leave `recovery` out";
            return Err(refused(Cause::says(says)).into());
        }
        Ok(())
    }

    /// Whether anything may be done about a failure of this agent's runs.
    pub(super) fn has_remedies(&self, place: &Place) -> bool {
        self.recovering.is_some() && self.declared_recovery(place).is_some()
    }

    fn declared_recovery(&self, place: &Place) -> Option<AgentRecovery> {
        self.in_agent(place, |agent| agent.care.as_ref().and_then(|care| care.recovery)).flatten()
    }

    /// Does about a failure of an attempt what the policy says. Whether the attempt is over for it; otherwise the failure is the run's. From
    /// entry `since` on the log may say what the failure itself dropped.
    pub(super) fn recovers(
        &self,
        slot: &RunSlot,
        machine: &Mutex<RunMachine>,
        failure: &Failure,
        error: &str,
        since: Option<usize>,
    ) -> bool {
        let place = &slot.place;
        let (Some(recovering), Some(declared)) = (&self.recovering, self.declared_recovery(place)) else {
            return false;
        };
        let now = self.clock.now();
        let starts = recovering.starts(&place.agent);
        let history = {
            let machine = lock(machine);
            if machine.is_ending() {
                return false;
            }
            history(machine.log(), starts)
        };
        // It is the user's code: whatever it does, nothing is locked meanwhile, and the run ends by its failure at worst.
        let decide = || recovering.policy.decide(&declared, failure, &history, now, self.entropy.as_ref());
        let remedy = catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| {
            tracing::error!(run = %place.run, ?failure, "the recovery policy panicked; the failure stays the run's");
            Remedy::Leave
        });
        let mut machine = lock(machine);
        if machine.is_ending() {
            return false;
        }
        machine.pass(now);
        let error = error.to_owned();
        let since = since.unwrap_or(machine.log().len());
        match &remedy {
            Remedy::Retry { at } | Remedy::CoolDown { until: at } => {
                machine.fail_attempt(error, false, *at, since)
            }
            Remedy::Restart { at, counted } => {
                let at = recovering.restarts(place.agent, &declared, *at, now);
                machine.fail_attempt(error, *counted, at, since);
            }
            Remedy::Quarantine(_) => {
                let times = history.attempts() + 1;
                let why =
                    format!("{times} starts without a newly settled step failed, the last one so: {error}");
                machine.give_up_run(&why, since);
            }
            Remedy::Restore { .. } | Remedy::SwitchModel { .. } | Remedy::Act { .. } => {
                tracing::warn!(run = %place.run, ?failure, ?remedy, "that is no remedy for a run; its failure stays");
            }
            Remedy::Leave => {}
        }
        let over = machine.over() != Over::No;
        drop(machine);
        if over {
            tracing::warn!(run = %place.run, ?failure, ?remedy, "an attempt failed");
        }
        over
    }

    /// Builds an agent anew whose attempt failed, before its next one; its other runs go on with the new value from their next steps on.
    /// One that was registered as a value stays that value.
    pub(super) async fn build_anew(&self, tenant: &Tenant, agent: &AgentId) -> Result<(), RuntimeError> {
        let now = self.clock.now();
        let is_stale = self.recovering.as_ref().is_some_and(|recovering| recovering.take_stale(agent, now));
        if !is_stale || lock(&self.attached).contains_key(agent) {
            return Ok(());
        }
        if !Box::pin(self.replace_agent(tenant, agent)).await? {
            return Ok(());
        }
        let runs: Vec<Arc<RunSlot>> = {
            let state = lock(&self.home(agent.partition()).state);
            state.runs.values().filter(|run| run.place.agent == *agent).cloned().collect()
        };
        for run in runs {
            if let Some(machine) = run.machine() {
                lock(&machine).leave();
                run.signal.raise();
            }
        }
        Ok(())
    }

    /// Where an open run stands, as far as this process knows.
    pub(super) fn stands(&self, view: &RunView) -> Option<Stands> {
        match self.run_slot(&view.run)?.stage() {
            Stage::Working(machine) => Some(lock(&machine).stands()),
            Stage::Accepting | Stage::Queued => {
                Some(Stands { phase: Phase::Queued, since: view.accepted_at, until: None, declared_ms: 0 })
            }
            Stage::Parked(_) | Stage::Moving => {
                Some(Stands { phase: Phase::Wait, since: view.last_at, until: None, declared_ms: 0 })
            }
            Stage::Ended(_) | Stage::Left(_) => None,
        }
    }
}
