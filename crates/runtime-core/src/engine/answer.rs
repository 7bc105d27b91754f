//! What somebody's word does to a step that waits for it.

use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    DecidedBy, EntryKind, Price, RunView, StepFailure, StepFailureKind, StepKey, StepSettled, Usage,
    WaitClosed, WaitOn, WaitOpened,
};
use runtime_traits::runtime::Reply;
use thiserror::Error;

use super::machine::outside::{OVER, given};
use super::machine::shortened;

/// Why nobody was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unanswered {
    /// The step waits for nothing of the sort.
    #[error("the step waits for no such answer")]
    Nothing,
    /// The consent is to another call.
    #[error("the consent is to another call")]
    OtherCall,
}

/// The end of a wait by somebody's word, and the result that the step has by it. A step that was consented to has none yet:
/// it begins.
///
/// # Errors
/// [`Unanswered`].
pub fn answer(
    opened: &WaitOpened,
    by: DecidedBy,
    reply: Reply,
) -> Result<(WaitClosed, Option<Result<Content, StepFailure>>), Unanswered> {
    let (answer, result) = match (&opened.on, reply) {
        (WaitOn::Answer(_), Reply::Answer(content)) => ("answered", Some(Ok(given(content)))),
        (WaitOn::Approval(_), Reply::Approve { digest }) if digest == opened.digest => ("approved", None),
        (WaitOn::Approval(_), Reply::Approve { .. }) => return Err(Unanswered::OtherCall),
        (WaitOn::Approval(_), Reply::Deny { reason }) => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let message = shortened(format!("consent was refused{reason}"));
            ("denied", Some(Err(StepFailure { kind: StepFailureKind::Denied, message })))
        }
        _ => return Err(Unanswered::Nothing),
    };
    let answer = Payload::Inline(Content::text(answer));
    Ok((WaitClosed { wait: opened.wait, by, answer }, result))
}

/// What somebody's word appends to the log of a run that has no attempt.
///
/// # Errors
/// [`Unanswered`].
pub fn answer_parked(
    view: &RunView,
    key: &StepKey,
    by: DecidedBy,
    reply: Reply,
) -> Result<Vec<(EntryKind, Option<Content>)>, Unanswered> {
    let is_this = |on: &WaitOn| matches!(on, WaitOn::Answer(step) | WaitOn::Approval(step) if step == key);
    let wait = view.waits.iter().find(|wait| is_this(&wait.on)).ok_or(Unanswered::Nothing)?;
    let opened = WaitOpened {
        wait: wait.wait,
        on: wait.on.clone(),
        digest: wait.digest,
        wake_at: wait.wake_at,
        holds_session: true,
    };
    let (closed, result) = answer(&opened, by, reply)?;
    let mut entries = vec![(EntryKind::WaitClosed(closed), None)];
    entries.extend(result.map(|result| settled(key, &opened, result, Usage::default())));
    Ok(entries)
}

/// What the end of another run appends to the log of a run that waits for it and has no attempt. `None`: it does not wait.
pub fn child_over_parked(
    view: &RunView,
    key: &StepKey,
    result: Result<Content, StepFailure>,
    usage: Usage,
) -> Option<Vec<(EntryKind, Option<Content>)>> {
    let is_this = |on: &WaitOn| matches!(on, WaitOn::Child { step, .. } if step == key);
    let wait = view.waits.iter().find(|wait| is_this(&wait.on))?;
    let on = wait.on.clone();
    let answer = Payload::Inline(Content::text(OVER));
    let closed = WaitClosed { wait: wait.wait, by: DecidedBy::Policy, answer };
    let opened = WaitOpened { wait: wait.wait, on, digest: wait.digest, wake_at: None, holds_session: true };
    let settled = settled(key, &opened, result.map(given), usage);
    Some(vec![(EntryKind::WaitClosed(closed), None), settled])
}

/// The result of a step that somebody else gave, and the content to be kept beside the log.
fn settled(
    key: &StepKey,
    opened: &WaitOpened,
    result: Result<Content, StepFailure>,
    usage: Usage,
) -> (EntryKind, Option<Content>) {
    let content = result.as_ref().ok().cloned();
    let result = result.map(|content| Payload::of(&content));
    let settled = StepSettled {
        key: key.clone(),
        try_no: 0,
        result,
        digest: opened.digest,
        usage,
        price: Price::default(),
        messages: None,
    };
    (EntryKind::StepSettled(settled), content)
}
