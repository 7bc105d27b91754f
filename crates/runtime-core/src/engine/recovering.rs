//! What the log of a run tells of its failures.

use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, DecidedBy, Entry, EntryKind, WaitClosed, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::recovery::History;

use crate::engine::fork::copied_part;

/// What was done about the failures of a run: its failed starts and its calls made again since a step was newly settled, or a person let
/// it go on; with the restarts of its agent, the latest last. What it is a copy of failed by itself.
pub fn history(log: &[Entry], starts: impl IntoIterator<Item = UnixMillis>) -> History {
    let (mut attempts, mut retried) = (0_u32, 0_u32);
    let mut set_aside: Option<WaitId> = None;
    for entry in &log[copied_part(log).len()..] {
        match &entry.kind {
            EntryKind::StepSettled(_) => (attempts, retried) = (0, 0),
            EntryKind::AttemptEnded(AttemptEnded { counted: true, .. }) => {
                (attempts, retried) = (attempts.saturating_add(1), 0);
            }
            EntryKind::AttemptEnded(AttemptEnded { how: AttemptEnding::Failed { .. }, .. }) => {
                retried = retried.saturating_add(1);
            }
            EntryKind::WaitOpened(WaitOpened { wait, on: WaitOn::Operator { .. }, .. }) => {
                set_aside = Some(*wait)
            }
            EntryKind::WaitClosed(WaitClosed { wait, by: DecidedBy::Principal(_), .. })
                if set_aside == Some(*wait) =>
            {
                (attempts, retried) = (0, 0);
            }
            _ => {}
        }
    }
    History::of_run(attempts, retried, starts)
}

#[cfg(test)]
mod tests {
    use runtime_traits::clock::UnixMillis;
    use runtime_traits::content::{Content, Digest, Payload};
    use runtime_traits::log::{Price, StepKey, StepSettled, Usage};
    use runtime_traits::store::Seq;

    use super::*;

    fn log(kinds: impl IntoIterator<Item = EntryKind>) -> Vec<Entry> {
        let entry = |(seq, kind)| Entry { seq: Seq(seq), at: UnixMillis(seq), attempt: 2, epoch: 1, kind };
        (1..).zip(kinds).map(entry).collect()
    }

    fn fails(counted: bool) -> EntryKind {
        let how = AttemptEnding::Failed { error: "a failure".to_owned() };
        EntryKind::AttemptEnded(AttemptEnded { how, counted })
    }

    fn ends(how: AttemptEnding) -> EntryKind {
        EntryKind::AttemptEnded(AttemptEnded { how, counted: false })
    }

    fn settles() -> EntryKind {
        EntryKind::StepSettled(StepSettled {
            key: StepKey::first("s".parse().expect("a name")),
            try_no: 1,
            result: Ok(Payload::Inline(Content::text(""))),
            digest: Digest::of(b""),
            usage: Usage::default(),
            price: Price::default(),
            messages: None,
        })
    }

    fn waits(wait: u64, on: WaitOn) -> EntryKind {
        let (wait, digest) = (WaitId(wait), Digest::of(b""));
        EntryKind::WaitOpened(WaitOpened { wait, on, digest, wake_at: None, holds_session: false })
    }

    fn ended_by(wait: u64, by: DecidedBy) -> EntryKind {
        let answer = Payload::Inline(Content::text(""));
        EntryKind::WaitClosed(WaitClosed { wait: WaitId(wait), by, answer })
    }

    fn counts(kinds: impl IntoIterator<Item = EntryKind>) -> (u32, u32) {
        let history = history(&log(kinds), []);
        (history.attempts(), history.retried())
    }

    #[test]
    fn failed_starts_and_calls_made_again_count_since_the_last_settled_step() {
        assert_eq!(counts([]), (0, 0));
        assert_eq!(counts([fails(true), fails(false), fails(false)]), (1, 2));
        assert_eq!(counts([fails(false), fails(true)]), (1, 0), "a start has its calls made again anew");
        assert_eq!(counts([fails(true), fails(true), settles(), fails(false)]), (0, 1));
        assert_eq!(counts([ends(AttemptEnding::Parked), ends(AttemptEnding::Drained)]), (0, 0));
        let died = AttemptEnded { how: AttemptEnding::Lost, counted: true };
        assert_eq!(counts([fails(true), EntryKind::AttemptEnded(died)]), (2, 0), "whatever it failed of");
    }

    #[test]
    fn what_a_run_is_a_copy_of_failed_by_itself() {
        let mut log = log([fails(true), fails(false), ends(AttemptEnding::Drained), fails(false)]);
        log[..3].iter_mut().for_each(|entry| entry.attempt = 1);
        let history = history(&log, []);
        assert_eq!((history.attempts(), history.retried()), (0, 1));
    }

    #[test]
    fn only_a_person_who_lets_it_go_on_has_it_count_anew() {
        let aside = || waits(4, WaitOn::Operator { why: "it failed".to_owned() });
        let person = || DecidedBy::Principal("ann".to_owned());
        assert_eq!(counts([fails(true), fails(true), aside()]), (2, 0));
        assert_eq!(counts([fails(true), fails(true), aside(), ended_by(4, person())]), (0, 0));
        assert_eq!(counts([fails(true), fails(true), aside(), ended_by(4, DecidedBy::Policy)]), (2, 0));
        assert_eq!(counts([fails(true), aside(), ended_by(3, person())]), (1, 0), "that was another wait");
    }
}
