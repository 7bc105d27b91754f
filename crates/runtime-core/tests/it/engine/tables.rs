//! What a claim, a verdict and a batch come to, arm by arm.

mod batches;
mod claim;
mod decide;
mod session;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest, Payload};
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, CancelRequested, Effect, Entry, EntryKind, RunView, StepDecided, StepKey,
    StepOpened, StepSettled, StepSort, StepUnknown, UnknownCause, Usage, Verdict, WaitClosed, WaitId, WaitOn,
    WaitOpened,
};
use runtime_traits::store::Seq;

use super::attempt::run;
use super::life::{accepted, by, started};
use super::play::key;
use super::scene::{RESERVED, USED};

fn at(millis: u64) -> UnixMillis {
    UnixMillis(1_000_000 + millis)
}

/// A log of these entries, after `Accepted`; one every millisecond.
fn log(deadline: Option<u64>, kinds: Vec<EntryKind>) -> Vec<Entry> {
    let accepted = EntryKind::Accepted(Box::new(accepted(deadline.map(at))));
    let mut attempt = 0;
    let mut entries = Vec::new();
    for (number, kind) in (1..).zip([accepted].into_iter().chain(kinds)) {
        attempt += u32::from(matches!(kind, EntryKind::Started(_)));
        entries.push(Entry { seq: Seq(number), at: at(number), attempt, epoch: 1, kind });
    }
    entries
}

fn view(log: &[Entry]) -> RunView {
    RunView::of(run(), log).expect("the log begins with `Accepted`")
}

fn start() -> EntryKind {
    started(0, at(0), 0, 0).kind
}

fn opened(step: &str, effect: Effect) -> EntryKind {
    EntryKind::StepOpened(StepOpened {
        key: key(step),
        sort: StepSort::Tool,
        effect,
        request: text("request"),
        digest: digest(step),
        reserved: 0,
        reserved_usage: RESERVED,
        dispatched: true,
    })
}

/// What so many dispatches are booked with that report nothing.
fn reserved(tries: u32) -> Usage {
    (0..tries).fold(Usage::default(), |sum, _| sum.plus(RESERVED))
}

pub(super) fn settled(step: &str) -> EntryKind {
    EntryKind::StepSettled(StepSettled {
        key: key(step),
        try_no: 1,
        result: Ok(text("1")),
        digest: digest(step),
        usage: USED,
        price: runtime_traits::log::Price::default(),
        messages: None,
    })
}

fn unknown(step: &str, try_no: u32, cause: UnknownCause) -> EntryKind {
    EntryKind::StepUnknown(StepUnknown {
        key: key(step),
        try_no,
        cause,
        usage: reserved(try_no),
        price: None,
    })
}

fn decided(step: &str, verdict: Verdict) -> EntryKind {
    EntryKind::StepDecided(StepDecided { key: key(step), by: by(), verdict, digest: digest(step) })
}

pub(super) fn waits(wait: u64, on: WaitOn, wake_at: Option<u64>) -> EntryKind {
    EntryKind::WaitOpened(WaitOpened {
        wait: WaitId(wait),
        on,
        digest: digest("wait"),
        wake_at: wake_at.map(at),
        holds_session: true,
    })
}

fn waited(wait: u64) -> EntryKind {
    EntryKind::WaitClosed(WaitClosed { wait: WaitId(wait), by: by(), answer: text("") })
}

fn decision(step: &str) -> WaitOn {
    WaitOn::Decision(key(step))
}

fn time(step: &str) -> WaitOn {
    WaitOn::Time(key(step))
}

fn diverged() -> WaitOn {
    WaitOn::Diverged { recorded: "step `a`".to_owned(), asked: "step `b`".to_owned() }
}

fn ended_attempt(how: AttemptEnding) -> EntryKind {
    EntryKind::AttemptEnded(AttemptEnded { how, counted: false })
}

fn cancel() -> EntryKind {
    EntryKind::CancelRequested(CancelRequested { by: by(), reason: String::new(), within_millis: 9 })
}

fn text(text: &str) -> Payload {
    Payload::of(&Content::text(text))
}

fn digest(step: &str) -> Digest {
    Digest::of(step.as_bytes())
}

fn keys(keys: &[&str]) -> Vec<StepKey> {
    keys.iter().map(|step| key(step)).collect()
}
