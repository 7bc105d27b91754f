//! Whatever a run used is in its cells when it is over, and is told from them as it was.

use proptest::collection::vec;
use proptest::prelude::{Strategy, proptest};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Digest;
use runtime_traits::log::{
    Effect, Entry, EntryKind, Price, StepDispatched, StepKey, StepOpened, StepSettled, StepSort, StepUnknown,
    UnknownCause, Usage,
};
use runtime_traits::name::Name;
use runtime_traits::store::Seq;
use runtime_traits::{Content, Payload};

use super::{HOUR, MINUTE, Spent, kept_until, past, spent, spent_so_far, stale, sums, with_open};

const NOW: UnixMillis = UnixMillis(1_795_910_000_000);

fn at_some_time() -> impl Strategy<Value = Spent> {
    (0..30 * HOUR, 1..3_u64, 0..1_000_u64, 0..1_000_u64).prop_map(|(ago, requests, tokens, micros)| Spent {
        at: UnixMillis(NOW.0 - ago),
        requests,
        tokens,
        micros,
        ..Spent::default()
    })
}

proptest! {
    #[test]
    fn what_cells_tell_is_never_less_than_what_was_used_within_a_span(mut used in vec(at_some_time(), 0..60)) {
        used.sort_by_key(|used| used.at);
        let cells: Vec<(String, u64)> =
            sums(&used, NOW).into_iter().map(|sum| (sum.what, sum.by)).collect();
        let told = past(cells.iter().map(|(what, by)| (what.as_str(), *by)), NOW);

        let since = |span: u64, of: fn(&Spent) -> u64| -> u64 {
            used.iter().filter(|used| used.at.0 + span > NOW.0).map(of).sum()
        };
        let minutes = |span: u64, of: fn(&runtime_traits::resource::Minute) -> u64| -> u64 {
            told.minutes.iter().filter(|minute| minute.at.0 + span > NOW.0).map(of).sum()
        };
        assert!(minutes(MINUTE, |minute| minute.tokens) >= since(MINUTE, |used| used.tokens));
        assert!(minutes(MINUTE, |minute| minute.requests) >= since(MINUTE, |used| used.requests));
        assert!(minutes(HOUR, |minute| minute.micros) >= since(HOUR, |used| used.micros));
        let day: u64 = told.hours.iter().map(|hour| hour.micros).sum();
        assert!(day >= since(24 * HOUR, |used| used.micros));
        assert_eq!(told.micros, used.iter().map(|used| used.micros).sum::<u64>());
        assert!(told.minutes.len() <= 8 && told.hours.len() <= 3, "a batch takes only so many");
    }

    #[test]
    fn an_open_run_is_told_as_if_it_were_over(mut used in vec(at_some_time(), 0..20)) {
        used.sort_by_key(|used| used.at);
        let mut told = past([], NOW);
        with_open(&mut told, &used, NOW);

        assert_eq!(told.tokens, used.iter().map(|used| used.tokens).sum::<u64>());
        let recent = used.iter().filter(|used| used.at.0 + MINUTE > NOW.0).map(|used| used.tokens).sum::<u64>();
        let minute = told.minutes.iter().filter(|minute| minute.at.0 + MINUTE > NOW.0);
        assert_eq!(minute.map(|minute| minute.tokens).sum::<u64>(), recent);
        assert!(told.minutes.is_sorted_by_key(|minute| minute.at));
    }
}

#[test]
fn a_cell_is_kept_until_the_longest_span_that_it_is_counted_in_is_over() {
    let minute = NOW.0 / MINUTE;
    let until = kept_until(&format!("m-{minute:010}-tokens")).expect("a minute's cell goes");
    assert!(until.0 >= (minute + 1) * MINUTE + HOUR);
    assert!(
        kept_until(&format!("h-{:010}-micros", NOW.0 / HOUR)).expect("an hour's too").0 >= NOW.0 + 24 * HOUR
    );
    for kept in ["y-2026-11-micros", "micros", "input-tokens", "model-calls", "m-x-tokens"] {
        assert_eq!(kept_until(kept), None, "{kept}");
    }
}

#[test]
fn what_a_run_wrote_is_stale_a_day_later_but_for_its_sums() {
    let used = Spent { at: NOW, requests: 1, tokens: 2, micros: 3, ..Spent::default() };
    let cells = sums(&[used], NOW);
    let of = |now| stale(cells.iter().map(|sum| sum.what.as_str()), now).count();
    assert_eq!((cells.len(), of(NOW), of(UnixMillis(NOW.0 + HOUR))), (8, 0, 0));
    assert_eq!(of(UnixMillis(NOW.0 + 2 * HOUR)), 3, "the minute's");
    assert_eq!(of(UnixMillis(NOW.0 + 27 * HOUR)), 6, "and the hour's");
}

fn key(nth: u32) -> StepKey {
    StepKey { scope: Vec::new(), name: Name::new("model").expect("a name"), nth }
}

fn used(tokens: u64) -> Usage {
    Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() }
}

fn log(kinds: Vec<EntryKind>) -> Vec<Entry> {
    let entry = |(nth, kind)| Entry { seq: Seq(nth as u64 + 1), at: NOW, attempt: 1, epoch: 1, kind };
    kinds.into_iter().enumerate().map(entry).collect()
}

fn opened(nth: u32) -> EntryKind {
    EntryKind::StepOpened(StepOpened {
        key: key(nth),
        sort: StepSort::Model,
        effect: Effect::Repeatable,
        request: Payload::Inline(Content::text("")),
        digest: Digest::of(b""),
        reserved: 70,
        reserved_usage: used(100),
        dispatched: true,
    })
}

fn unknown(nth: u32, usage: Usage) -> EntryKind {
    let cause = UnknownCause::Crash;
    EntryKind::StepUnknown(StepUnknown { key: key(nth), try_no: 1, cause, usage, price: None })
}

fn settled(nth: u32, usage: Usage, micros: u64) -> EntryKind {
    EntryKind::StepSettled(StepSettled {
        key: key(nth),
        try_no: 2,
        result: Ok(Payload::Inline(Content::text(""))),
        digest: Digest::of(b""),
        usage,
        price: Price { micros: Some(micros), wasted_micros: 0 },
        messages: None,
    })
}

fn sum(all: &[Spent]) -> (u64, u64, u64) {
    all.iter().fold((0, 0, 0), |(requests, tokens, micros), one| {
        (requests + one.requests, tokens + one.tokens, micros + one.micros)
    })
}

#[test]
fn tries_are_counted_once_each_and_those_of_unknown_end_with_what_was_held() {
    let again = EntryKind::StepDispatched(StepDispatched::of(key(1), 2));
    let two = Usage { model_calls: 2, ..used(130) };
    let log = log(vec![opened(1), unknown(1, used(100)), again, settled(1, two, 91), opened(2)]);

    assert_eq!(
        sum(&spent(&log)),
        (2, 130, 91),
        "100 tokens for 70 and 30 for 21; the second step is under way"
    );
    assert_eq!(sum(&spent_so_far(&log)), (3, 230, 161), "which counts where nobody works it any more");
    assert_eq!(sum(&spent(&log[..2])), (1, 100, 70));
    // A try that had not begun took nothing.
    assert_eq!(sum(&spent(&self::log(vec![opened(1), unknown(1, Usage::default())]))), (0, 0, 0));
}
