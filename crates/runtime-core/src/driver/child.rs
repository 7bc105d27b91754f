//! Runs that steps of other runs ask for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use runtime_codec::{Child, Mail};
use runtime_traits::content::{Content, Payload};
use runtime_traits::id::RunId;
use runtime_traits::log::{
    Accepted, DecidedBy, EntryKind, Outcome, RunView, StepFailure, StepFailureKind, StepKey, Usage, WaitOn,
};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{AgentRef, RunRequest, RuntimeError};
use runtime_traits::store::StateError;

use super::accept::Origin;
use super::answer::Word;
use super::attempt::READ_AGAIN_AFTER;
use super::cancel::Wish;
use super::inner::Inner;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::machine::admit::priority_of;
use crate::engine::mail::over;

/// The most runs that wait for each other, one for the next.
const MOST_NESTED: usize = 32;
/// Whether mail was put behind other mail: what was said later of the same run may have been taken before it.
pub(super) type Overtaken = Arc<AtomicBool>;

impl Inner {
    /// Accepts a run that a step of another one asks for. What is answered at once: it was refused, or is over already.
    pub(super) async fn start_child(
        self: &Arc<Self>,
        child: Child,
        overtaken: Overtaken,
    ) -> Result<Option<Mail>, RuntimeError> {
        let Child { tenant, agent, run, session, input, parent, step, deadline, principal, trace } = child;
        if self.run_slot(&run).is_some() {
            return Ok(None);
        }
        match self.run_log(&run).await {
            // It was asked for before.
            Ok((log, _)) => return Ok(ended_child(run, &log)),
            // So long ago that its log is gone; whoever asks again is told that.
            Err(error @ RuntimeError::RunSwept { .. }) => {
                let failure = StepFailure { kind: StepFailureKind::Work, message: error.to_string() };
                return Ok(Some(Mail::Over {
                    parent,
                    step,
                    run,
                    result: Err(failure),
                    usage: Usage::default(),
                }));
            }
            Err(RuntimeError::UnknownRun { .. }) => {}
            Err(error) => return Err(error),
        }
        // Its caller waits, and was accepted: it is not refused, but asked for once more behind the other mail.
        if self.is_behind() {
            Box::pin(self.until_let_go()).await?;
        }
        let refused = |message: String| {
            let failure = StepFailure { kind: StepFailureKind::Work, message };
            let (step, usage) = (step.clone(), Usage::default());
            Ok(Some(Mail::Over { parent, step, run, result: Err(failure), usage }))
        };
        if self.ancestors(Some(parent)).len() >= MOST_NESTED {
            return refused(format!(
                "runs that wait for each other's outcomes are {MOST_NESTED} deep; do agents call each other in a circle?"
            ));
        }
        let request =
            RunRequest::new(self.resolve(&tenant, parent.partition(), &input).await?).in_session(session);
        let request = request.with_priority(self.priority_of_caller(&parent).await?);
        let origin = Origin {
            run: Some(run),
            parent: Some((parent, step.clone())),
            copied_from: None,
            deadline,
            principal,
            trace,
            overtaken: Some(overtaken),
            beside: None,
        };
        match self.submit_of(&tenant, &AgentRef::Id(agent), request, origin).await {
            // It is there, or nobody waits for it.
            Ok(_)
            | Err(RuntimeError::Store(StateError::Conflict { .. }) | RuntimeError::NothingToAnswer { .. }) => {
                Ok(None)
            }
            Err(RuntimeError::ShuttingDown) => Err(RuntimeError::ShuttingDown),
            Err(RuntimeError::Store(error)) => Err(error.into()),
            Err(error) => refused(error.to_string()),
        }
    }

    /// Who asks for a run waits for it: it goes before others as its caller does.
    async fn priority_of_caller(&self, caller: &RunId) -> Result<u8, RuntimeError> {
        if let Some(machine) = self.run_slot(caller).and_then(|slot| slot.machine()) {
            return Ok(lock(&machine).priority());
        }
        match self.run_log(caller).await {
            Ok((log, _)) => Ok(priority_of(&log)),
            Err(RuntimeError::Store(error)) => Err(error.into()),
            // Whether anybody waits for it is looked at when it is accepted.
            Err(_) => Ok(0),
        }
    }

    /// Whether the step that asked for a run still waits for it.
    ///
    /// # Errors
    /// [`RuntimeError::NothingToAnswer`]: it does not.
    pub(super) async fn check_wanted(&self, slot: &RunSlot, accepted: &Accepted) -> Result<(), RuntimeError> {
        let Some((parent, step)) = &accepted.parent else { return Ok(()) };
        let waits = |view: &RunView| {
            let for_it = |on: &WaitOn| matches!(on, WaitOn::Child { run, .. } if *run == slot.place.run);
            view.outcome.is_none() && view.waits.iter().any(|wait| for_it(&wait.on))
        };
        match self.run_log(parent).await {
            Ok((_, view)) if waits(&view) => Ok(()),
            Ok(_) | Err(RuntimeError::UnknownRun { .. } | RuntimeError::RunSwept { .. }) => {
                Err(RuntimeError::NothingToAnswer { run: *parent, step: step.clone() })
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a run whose caller no longer wants it.
    pub(super) async fn cancel_child(self: &Arc<Self>, run: &RunId) -> Result<(), RuntimeError> {
        let mut run = *run;
        // Whose it is is known of runs in memory: a run that is over may have gone on in one of them.
        let slot = loop {
            if let Some(slot) = self.run_slot(&run) {
                break slot;
            }
            match self.run_view(&run).await {
                Ok(RunView { outcome: Some(Outcome::Continued(next)), .. }) => run = next,
                Ok(_) | Err(RuntimeError::UnknownRun { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        };
        let tenant = slot.place.tenant.clone();
        let reason = "the run that asked for it no longer does";
        let wish = Wish::Cancelled(DecidedBy::Policy);
        match self.cancel_as(&tenant, run, reason, Duration::ZERO, wish).await {
            Err(error) if matches!(slot.stage(), Stage::Left(_)) => Err(left(&slot, &error)),
            // It may be just ending.
            Ok(_) | Err(RuntimeError::UnknownRun { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells a step that the run it waits for is over.
    pub(super) async fn child_over(
        self: &Arc<Self>,
        parent: &RunId,
        step: StepKey,
        run: &RunId,
        result: Result<Payload, StepFailure>,
        usage: Usage,
    ) -> Result<(), RuntimeError> {
        let Some(slot) = self.run_slot(parent) else { return Ok(()) };
        let result = match result {
            Ok(output) => Ok(self.resolve(&slot.place.tenant, run.partition(), &output).await?),
            Err(failure) => Err(failure),
        };
        match self.tell(&slot, Word::Over { step, result, usage }).await {
            // This process can no longer write it: the next one finds it as it was.
            Err(error) if matches!(slot.stage(), Stage::Left(_)) => Err(left(&slot, &error)),
            // It waits for it no longer.
            Ok(_) | Err(RuntimeError::RunOver { .. } | RuntimeError::NothingToAnswer { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Finds the agent that a step calls, and gives the run an id.
    pub(super) async fn place_call(
        self: Arc<Self>,
        tenant: Tenant,
        agent: String,
    ) -> Result<(runtime_traits::AgentId, RunId), String> {
        let called: AgentRef = agent.parse().map_err(|error: runtime_traits::NameError| error.to_string())?;
        let mut found = self.find(&tenant, &called).await;
        while let Err(RuntimeError::Store(error)) = &found
            && error.is_transient()
            && !self.ending.is_cancelled()
        {
            tokio::time::sleep(READ_AGAIN_AFTER).await;
            found = self.find(&tenant, &called).await;
        }
        let found = found.map_err(|error| error.to_string())?;
        let run = RunId::mint(found.partition(), self.clock.as_ref(), self.entropy.as_ref());
        Ok((found, run))
    }
}

/// What a run that is over says to the step that asked for it.
fn ended_child(run: RunId, log: &[runtime_traits::Entry]) -> Option<Mail> {
    let accepted = super::finish::accepted_of(log)?;
    match &log.last()?.kind {
        EntryKind::Ended(ended) => over(run, accepted, &ended.outcome, ended.usage).map(|(_, mail)| mail),
        _ => None,
    }
}

/// Why a run takes no mail that this process can no longer write. No trouble of the store's: the others go on.
fn left(slot: &RunSlot, error: &RuntimeError) -> RuntimeError {
    RuntimeError::Damaged { what: format!("`{}` ({error})", slot.place.run) }
}

/// The content that a step's result is kept as, to be written beside the log if it is large.
pub(super) fn large(contents: Vec<Content>) -> Vec<Content> {
    contents.into_iter().filter(|content| matches!(Payload::of(content), Payload::Blob { .. })).collect()
}
