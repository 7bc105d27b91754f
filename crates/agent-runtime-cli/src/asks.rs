//! What runs ask of people.

use agent_runtime::log::{WaitOn, WaitView};
use agent_runtime::runtime::Reply;
use agent_runtime::{Digest, Outcome, RunId, RunView, Runtime, RuntimeError, StepKey};

use crate::render::call::{Called, whole};
use crate::render::needs_somebody;

/// How deep runs that wait for runs are followed.
const DEPTH: usize = 16;

/// Something that a run asks of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The run that asks.
    pub(crate) run: RunId,
    /// The step that asks.
    pub(crate) step: StepKey,
    /// The hash of what is asked.
    pub(crate) digest: Digest,
    /// What.
    pub(crate) what: What,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A question.
    Question(String),
    /// Consent to a call. `None`: the runtime does not say to which.
    Consent(Option<Called>),
}

impl Asked {
    /// Everything that a run asks, in the order in which it began to.
    pub(crate) fn all(view: &RunView) -> Vec<Self> {
        view.waits.iter().filter_map(|wait| Self::of(view.run, wait)).collect()
    }

    fn of(run: RunId, wait: &WaitView) -> Option<Self> {
        let asks = wait.asks.as_ref();
        let (step, what) = match &wait.on {
            WaitOn::Answer(step) => (step, What::Question(asks.map(whole).unwrap_or_default())),
            WaitOn::Approval(step) => {
                (step, What::Consent(asks.map(|asks| Called::by_request(step, Some(asks)))))
            }
            _ => return None,
        };
        Some(Self { run, step: step.clone(), digest: wait.digest, what })
    }

    /// Whether it is a question.
    pub(crate) fn is_question(&self) -> bool {
        matches!(self.what, What::Question(_))
    }

    /// What to type to answer it, after the program's name.
    pub(crate) fn commands(&self) -> Vec<String> {
        let Self { run, step, .. } = self;
        match self.what {
            What::Question(_) => vec![format!("answer {run} {step} \"…\"")],
            What::Consent(_) => vec![
                format!("approve {run} {step} --digest {}", self.mark()),
                format!("deny {run} {step} \"the reason\""),
            ],
        }
    }

    /// The digits of the hash that tell this call from others.
    pub(crate) fn mark(&self) -> String {
        self.digest.to_string().chars().take(12).collect()
    }

    /// Consent to it.
    pub(crate) fn consent(&self) -> Reply {
        Reply::Approve { digest: self.digest }
    }
}

/// The run that waits for somebody: this one, or one that it waits for, or in which that goes on. A wait that was read may be over: the logs' ends
/// count.
pub(crate) async fn who_waits(runtime: &dyn Runtime, run: &RunId) -> Result<Option<RunView>, RuntimeError> {
    let mut open = vec![(*run, 0)];
    while let Some((run, depth)) = open.pop() {
        let view = match runtime.run_status(&run).await {
            Ok(view) => view,
            // A run that was called may not be there yet.
            Err(RuntimeError::UnknownRun { .. } | RuntimeError::RunSwept { .. }) if depth > 0 => continue,
            Err(error) => return Err(error),
        };
        match view.outcome {
            None => {}
            Some(Outcome::Continued(next)) if depth < DEPTH => {
                open.push((next, depth + 1));
                continue;
            }
            Some(_) => continue,
        }
        if view.waits.iter().any(|wait| needs_somebody(&wait.on)) {
            return Ok(Some(view));
        }
        if depth < DEPTH {
            let children = view.waits.iter().filter_map(|wait| match &wait.on {
                WaitOn::Child { run, .. } => Some((*run, depth + 1)),
                _ => None,
            });
            open.extend(children);
        }
    }
    Ok(None)
}
