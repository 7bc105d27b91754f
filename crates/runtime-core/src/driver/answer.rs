//! Telling a run what one of its steps waits for: somebody's answer or consent, or the end of another run.

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::content::Content;
use runtime_traits::id::RunId;
use runtime_traits::log::{DecidedBy, EntryKind, RunView, StepFailure, StepKey, Usage, WaitOn};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{Reply, RuntimeError};

use super::cancel::{MOVES_WITHIN, caller, leaves};
use super::child::large;
use super::commit::Patience;
use super::inner::Inner;
use super::run_slot::{RunSlot, Stage, lock};
use crate::engine::answer::{Unanswered, answer_parked, child_over_parked};
use crate::engine::claim::{Next, is_for_a_person};
use crate::engine::machine::asks::MAX_CONTENT;
use crate::engine::machine::{Over, RunMachine};

/// What is told.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// Somebody's answer.
    Reply { by: DecidedBy, step: StepKey, reply: Reply },
    /// The run that the step waits for is over.
    Over { step: StepKey, result: Result<Content, StepFailure>, usage: Usage },
}

impl Word {
    fn step(&self) -> &StepKey {
        match self {
            Self::Reply { step, .. } | Self::Over { step, .. } => step,
        }
    }

    fn to_machine(&self, machine: &mut RunMachine) -> Result<(), Unanswered> {
        match self.clone() {
            Self::Reply { by, step, reply } => machine.answer(&step, by, reply),
            Self::Over { step, result, usage } => {
                machine.child_over(&step, result, usage).then_some(()).ok_or(Unanswered::Nothing)
            }
        }
    }

    fn to_parked(&self, view: &RunView) -> Result<Vec<(EntryKind, Option<Content>)>, Unanswered> {
        match self.clone() {
            Self::Reply { by, step, reply } => answer_parked(view, &step, by, reply),
            Self::Over { step, result, usage } => {
                child_over_parked(view, &step, result, usage).ok_or(Unanswered::Nothing)
            }
        }
    }
}

impl Inner {
    /// Takes somebody's answer.
    pub(super) async fn answer(
        self: &Arc<Self>,
        tenant: &Tenant,
        run: &RunId,
        step: &StepKey,
        reply: Reply,
    ) -> Result<(), RuntimeError> {
        let Some(slot) = self.open_slot(tenant, run)? else {
            self.tenant_log(tenant, run).await?;
            return Err(RuntimeError::RunOver { run: *run });
        };
        if let Reply::Answer(content) = &reply
            && content.bytes.len() > MAX_CONTENT
        {
            let (size, limit) = (content.bytes.len() as u64, MAX_CONTENT as u64);
            return Err(RuntimeError::TooLarge { what: "the answer".to_owned(), size, limit });
        }
        self.tell(&slot, Word::Reply { by: caller(), step: step.clone(), reply }).await
    }

    /// The step of a run that waits for somebody's answer, if there is just one.
    pub(super) async fn asks(&self, run: &RunId) -> Result<Option<StepKey>, RuntimeError> {
        let (_, view) = self.run_log(run).await?;
        let mut questions = view.waits.iter().filter_map(|wait| match &wait.on {
            WaitOn::Answer(step) => Some(step),
            _ => None,
        });
        Ok(questions.next().filter(|_| questions.next().is_none()).cloned())
    }

    /// Tells a run what one of its steps waits for. Recorded when this returns.
    pub(super) async fn tell(self: &Arc<Self>, slot: &Arc<RunSlot>, word: Word) -> Result<(), RuntimeError> {
        let run = slot.place.run;
        let refused = |why| {
            let step = word.step().clone();
            match why {
                Unanswered::Nothing => RuntimeError::NothingToAnswer { run, step },
                Unanswered::OtherCall => RuntimeError::OtherCall { run, step },
            }
        };
        loop {
            match slot.stage() {
                Stage::Left(error) => return Err(error),
                Stage::Ended(_) => return Err(RuntimeError::RunOver { run }),
                Stage::Queued => return Err(refused(Unanswered::Nothing)),
                Stage::Working(machine) => {
                    let told = {
                        let mut machine = lock(&machine);
                        // What is recorded is stamped with the moment at which it was said.
                        machine.pass(self.clock.now());
                        if machine.over() == Over::Attempt {
                            None
                        } else {
                            Some(word.to_machine(&mut machine).map(|()| machine.log().len() as u64))
                        }
                    };
                    match told {
                        Some(Ok(entries)) => {
                            slot.signal.raise();
                            return self.until_recorded(slot, entries).await;
                        }
                        Some(Err(why)) => {
                            // What was told before may be on its way: only what is recorded counts as told.
                            let entries = lock(&machine).log().len() as u64;
                            self.until_recorded(slot, entries).await?;
                            return Err(refused(why));
                        }
                        None => self.until_left(slot, &machine).await?,
                    }
                }
                Stage::Parked(_) => {
                    let Some(waited_for) = slot.take_parked() else { continue };
                    let told = self.tell_parked(slot, &word).await;
                    if !matches!(told, Ok(Ok(()))) {
                        self.park_again(slot, waited_for);
                    }
                    return told?.map_err(refused);
                }
                Stage::Accepting | Stage::Moving => self.until_moved(slot).await?,
            }
        }
    }

    async fn until_left(
        &self,
        slot: &RunSlot,
        machine: &Arc<std::sync::Mutex<RunMachine>>,
    ) -> Result<(), RuntimeError> {
        let left = tokio::time::timeout(MOVES_WITHIN, leaves(slot, machine)).await;
        left.map_err(|_| RuntimeError::Busy {
            what: format!("`{}`", slot.place.run),
            limit: 1,
            retry_after: Duration::from_secs(1),
        })
    }

    async fn tell_parked(
        self: &Arc<Self>,
        slot: &Arc<RunSlot>,
        word: &Word,
    ) -> Result<Result<(), Unanswered>, RuntimeError> {
        let (log, view) = self.run_log(&slot.place.run).await?;
        let entries = match word.to_parked(&view) {
            Ok(entries) => entries,
            Err(why) => return Ok(Err(why)),
        };
        let (kinds, contents): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let contents = large(contents.into_iter().flatten().collect());
        let place = &slot.place;
        self.write_blobs(place, &contents, Patience::OfCaller).await?;
        // A run that waits for a person as a whole goes on waiting.
        let next = if view.waits.iter().any(|wait| is_for_a_person(&wait.on)) {
            Next::Wait { until: self.deadline_of(&slot.place, &log) }
        } else {
            Next::Start
        };
        self.go_on(slot, log, &view, kinds, next).await?;
        Ok(Ok(()))
    }
}
