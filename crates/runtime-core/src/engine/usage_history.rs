//! What an agent used by minutes and by hours, from the cells of runs that are over and the logs of open ones.

use runtime_traits::clock::UnixMillis;
use runtime_traits::resource::{UsageHistory, UsedIn};

use super::spent::{HOUR, MINUTE, Spent, dated, more};

const MINUTES: u64 = 60;
const HOURS: u64 = 24;

/// Spans of time, one after the other, and what was used in each.
struct Spans {
    length: u64,
    /// The number of the first since 1970.
    first: u64,
    used: Vec<Spent>,
}

/// What cells, each by the last part of its path, and what open runs used say of the time up to `now`.
pub fn history<'a>(
    cells: impl IntoIterator<Item = (&'a str, u64)>,
    open: impl IntoIterator<Item = &'a Spent>,
    now: UnixMillis,
) -> UsageHistory {
    let (mut minutes, mut hours) = (Spans::until(now, MINUTE, MINUTES), Spans::until(now, HOUR, HOURS));
    for (what, sum) in cells {
        let Some((sort, at, unit)) = dated(what) else { continue };
        let spans = if sort == "m" { &mut minutes } else { &mut hours };
        if let Some(count) = spans.nth(at).and_then(|used| used.count_mut(unit)) {
            more(count, sum);
        }
    }
    for spent in open {
        for spans in [&mut minutes, &mut hours] {
            if let Some(used) = spans.nth(spent.at.0 / spans.length) {
                *used = used.plus(*spent);
            }
        }
    }
    UsageHistory { minutes: minutes.told(), hours: hours.told() }
}

impl Spans {
    /// So many of them, the last of which is under way.
    fn until(now: UnixMillis, length: u64, count: u64) -> Self {
        let first = (now.0 / length + 1).saturating_sub(count);
        Self { length, first, used: (0..count).map(|_| Spent::default()).collect() }
    }

    fn nth(&mut self, at: u64) -> Option<&mut Spent> {
        self.used.get_mut(usize::try_from(at.checked_sub(self.first)?).ok()?)
    }

    fn told(self) -> Vec<UsedIn> {
        let Self { length, first, used } = self;
        let told = |(at, used): (u64, Spent)| UsedIn {
            from: UnixMillis(at * length),
            requests: used.requests,
            input_tokens: used.tokens.saturating_sub(used.written),
            output_tokens: used.written,
            micros: UsedIn::cost(used.micros, used.unpriced),
            unpriced: used.unpriced,
        };
        (first..).zip(used).map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::spent::sums;

    const NOW: UnixMillis = UnixMillis(500_000 * HOUR + 90_500);

    fn spent(at: u64) -> Spent {
        Spent { at: UnixMillis(at), requests: 1, tokens: 10, written: 6, micros: 7, unpriced: 0 }
    }

    fn told(used: &[Spent], written_at: UnixMillis, now: UnixMillis) -> UsageHistory {
        let sums = sums(used, written_at);
        history(sums.iter().map(|sum| (sum.what.as_str(), sum.by)), [], now)
    }

    #[test]
    fn each_minute_and_hour_is_there_up_to_the_one_that_is_under_way() {
        let told = history([], [], NOW);

        assert_eq!((told.minutes.len(), told.hours.len()), (60, 24));
        assert_eq!(told.minutes[59].from, UnixMillis(500_000 * HOUR + MINUTE));
        assert_eq!(told.hours[23].from, UnixMillis(500_000 * HOUR));
        assert!(told.minutes.windows(2).all(|two| two[1].from.0 - two[0].from.0 == MINUTE));
        assert!(told.hours.windows(2).all(|two| two[1].from.0 - two[0].from.0 == HOUR));
        assert!(told.minutes.iter().all(|used| used.tokens() == 0 && used.micros == Some(0)));
    }

    #[test]
    fn what_was_used_at_the_edge_of_a_minute_is_in_the_minute_that_it_belongs_to() {
        let edge = 500_000 * HOUR + MINUTE;
        let told = told(&[spent(edge - 1), spent(edge), spent(edge)], NOW, NOW);

        let tokens: Vec<u64> = told.minutes.iter().map(UsedIn::tokens).collect();
        assert_eq!(tokens[57..], [0, 10, 20]);
        let last = told.minutes[59];
        assert_eq!((last.requests, last.input_tokens, last.output_tokens, last.micros), (2, 8, 12, Some(14)));
        assert_eq!(told.hours[23].tokens(), 30);
    }

    #[test]
    fn an_hour_later_a_minute_is_gone_and_a_day_later_an_hour() {
        let used = [spent(NOW.0)];
        let minute = NOW.0 / MINUTE;
        let tokens = |now| {
            let told = told(&used, NOW, UnixMillis(now));
            let sum = |spans: &[UsedIn]| spans.iter().map(UsedIn::tokens).sum::<u64>();
            (sum(&told.minutes), sum(&told.hours))
        };

        assert_eq!(tokens((minute + 60) * MINUTE - 1), (10, 10));
        assert_eq!(tokens((minute + 60) * MINUTE), (0, 10));
        assert_eq!(tokens(500_024 * HOUR - 1), (0, 10));
        assert_eq!(tokens(500_024 * HOUR), (0, 0));
    }

    #[test]
    fn what_has_no_known_price_is_told_apart_and_costs_no_zero() {
        let unpriced = Spent { micros: 0, unpriced: 1, ..spent(NOW.0) };
        let before = |minutes: u64, of: Spent| Spent { at: UnixMillis(NOW.0 - minutes * MINUTE), ..of };
        let used =
            [spent(NOW.0), unpriced, before(1, unpriced), before(2, spent(0)), before(3, Spent::default())];

        for told in [told(&used, NOW, NOW), history([], &used, NOW)] {
            let costs: Vec<_> = told.minutes[56..].iter().map(|used| (used.micros, used.unpriced)).collect();
            assert_eq!(costs, [(Some(0), 0), (Some(7), 0), (None, 1), (Some(7), 1)]);
        }
    }

    #[test]
    fn what_is_damaged_is_told_with_what_is_counted_beside_it_and_no_number_is_too_large() {
        let minute = NOW.0 / MINUTE;
        let (one, beside) = (format!("m-{minute:010}-tokens"), format!("more-m-{minute:010}-tokens"));
        let cells = [(one.as_str(), 30), (beside.as_str(), 12)];
        let huge = Spent { requests: u64::MAX, tokens: u64::MAX, written: u64::MAX, ..spent(NOW.0) };

        assert_eq!(history(cells, [], NOW).minutes[59].tokens(), 42);
        assert_eq!(history(cells, &[huge, huge], NOW).minutes[59].output_tokens, u64::MAX);
    }
}
