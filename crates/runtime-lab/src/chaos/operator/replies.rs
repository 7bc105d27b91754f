//! What people say to steps that wait for them: consent, or none, or an answer.

use runtime_traits::log::{WaitOn, WaitView};
use runtime_traits::runtime::Reply;
use runtime_traits::{Content, Digest, RunId, Runtime, RuntimeError, StepKey};

use super::Operator;
use crate::chaos::book::{Replied, Word};
use crate::chaos::dice::Dice;
use crate::chaos::lives::{Up, is_away};
use crate::chaos::violation::Law;

/// What people answer to a question.
pub(crate) fn answer_to(step: &StepKey) -> String {
    format!("the answer to {step}")
}

/// Why people do not consent.
pub(crate) const REASON: &str = "not today";

impl Operator {
    /// Says something to a step that waits for it.
    pub(super) async fn reply(&self, up: &Up, run: RunId, wait: WaitView) {
        let (step, word) = match &wait.on {
            WaitOn::Answer(step) => (step, Word::Answer),
            WaitOn::Approval(step) => {
                let no = Dice::of(self.seed, ("consent", run.to_string(), step.to_string())).one_in(4);
                (step, if no { Word::No } else { Word::Yes })
            }
            _ => return,
        };
        let mut dice = Dice::of(self.seed, ("reply", run.to_string(), step.to_string()));
        if word != Word::Answer && dice.one_in(4) {
            let other = Reply::Approve { digest: Digest::of(b"another call") };
            if self.say(up, run, step, other).await {
                let what = format!("a consent to another call than `{step}` of {run} was taken");
                self.book.violation(Law::Consent, what);
            }
        }
        let reply = || match word {
            Word::Yes => Reply::Approve { digest: wait.digest },
            Word::No => Reply::Deny { reason: REASON.to_owned() },
            Word::Answer => Reply::Answer(Content::text(answer_to(step))),
        };
        let nth = {
            let mut pages = self.book.open();
            pages.replies.push(Replied { run, step: step.clone(), word, recorded: false });
            pages.replies.len() - 1
        };
        if !self.say(up, run, step, reply()).await {
            return;
        }
        self.book.open().replies[nth].recorded = true;
        // It is used up: nothing waits for it any more.
        if dice.one_in(3) && self.say(up, run, step, reply()).await {
            let what = format!("`{step}` of {run} was answered twice in life {}", up.life);
            self.book.violation(Law::Consent, what);
        }
    }

    /// Says it once. `true`: it is recorded.
    async fn say(&self, up: &Up, run: RunId, step: &StepKey, reply: Reply) -> bool {
        match up.runtime.answer(&run, step, reply).await {
            Ok(()) => return true,
            Err(
                RuntimeError::NothingToAnswer { .. }
                | RuntimeError::OtherCall { .. }
                | RuntimeError::RunOver { .. },
            ) => {}
            Err(error) if is_away(&error) => {}
            Err(error) => {
                let what = format!("a word to `{step}` of {run} was answered: {error}");
                self.book.violation(Law::Served, what);
            }
        }
        false
    }
}
