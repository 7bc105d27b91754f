//! What of a durable topic is still kept.

use runtime_traits::bus::{Position, Retention};

/// Where the parts of a topic begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// The place of the next event.
    pub(super) next: Position,
    /// The first event that is not too old.
    pub(super) young: Option<Position>,
    /// The first event that is within the bytes.
    pub(super) light: Option<Position>,
    /// The last place that all active durable subscriptions have done.
    pub(super) slowest: Option<Position>,
}

/// Before which place everything goes. Pure.
pub(super) fn below(retention: &Retention, marks: Marks) -> Position {
    let by_age = marks.young.unwrap_or(Position::FIRST);
    let by_number = retention
        .events
        .map_or(Position::FIRST, |events| Position(marks.next.0.saturating_sub(events).max(1)));
    let by_amount = by_number.max(marks.light.unwrap_or(Position::FIRST));
    let by_amount = marks.slowest.map_or(by_amount, |slowest| by_amount.min(slowest.next()));
    by_age.max(by_amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_decides_alone_and_number_and_bytes_wait_for_who_is_behind() {
        let retention = Retention { events: Some(10), ..Retention::default() };
        let at = |young: Option<u64>, light: Option<u64>, slowest: Option<u64>| {
            let (young, light, slowest) = (young.map(Position), light.map(Position), slowest.map(Position));
            below(&retention, Marks { next: Position(101), young, light, slowest }).0
        };

        assert_eq!(at(None, None, None), 91, "ten are kept");
        assert_eq!(at(None, None, Some(50)), 51, "nobody loses what he has not done");
        assert_eq!(at(None, None, Some(95)), 91);
        assert_eq!(at(Some(70), None, Some(50)), 70, "what is too old goes");
        assert_eq!(at(Some(95), None, None), 95);
        assert_eq!(at(None, Some(97), None), 97, "what is too much goes");
        assert_eq!(at(None, Some(80), None), 91);
        assert_eq!(at(None, Some(97), Some(50)), 51, "bytes wait as number does");
        let marks = Marks { next: Position(101), young: None, light: None, slowest: None };
        assert_eq!(below(&Retention::default(), marks).0, 1, "without a rule nothing goes");
    }
}
