//! What of a durable topic is still kept.

use runtime_traits::bus::{Position, Retention};

/// Before which place everything goes. Pure.
///
/// `next` is the place of the next event, `old` the place of the first event that is not too old, and `slowest` the last
/// place that all active durable subscriptions have done.
pub(super) fn below(
    retention: &Retention,
    next: Position,
    old: Option<Position>,
    slowest: Option<Position>,
) -> Position {
    let by_age = old.unwrap_or(Position::FIRST);
    let by_number =
        retention.events.map_or(Position::FIRST, |events| Position(next.0.saturating_sub(events).max(1)));
    let by_number = slowest.map_or(by_number, |slowest| by_number.min(slowest.next()));
    by_age.max(by_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_decides_alone_and_number_waits_for_who_is_behind() {
        let retention = Retention { age: None, events: Some(10) };
        let at = |old, slowest| below(&retention, Position(101), old, slowest).0;

        assert_eq!(at(None, None), 91, "ten are kept");
        assert_eq!(at(None, Some(Position(50))), 51, "nobody loses what he has not done");
        assert_eq!(at(None, Some(Position(95))), 91);
        assert_eq!(at(Some(Position(70)), Some(Position(50))), 70, "what is too old goes");
        assert_eq!(at(Some(Position(95)), None), 95);
        let all = Retention::default();
        assert_eq!(below(&all, Position(101), None, None).0, 1, "without a rule nothing goes");
    }
}
