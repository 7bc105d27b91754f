//! What an agent used by minutes and by hours, from the cells of runs that are over and the logs of open ones.

use runtime_traits::clock::UnixMillis;
use runtime_traits::resource::{UsageHistory, UsedIn};

use super::spent::{HOUR, MINUTE, Spent, dated};

const MINUTES: u64 = 60;
const HOURS: u64 = 24;

/// Spans of time, one after the other, and what was used in each.
struct Spans {
    length: u64,
    first: u64,
    used: Vec<Spent>,
}

/// What cells, each by the last part of its path, and what open runs used say of the time up to `now`.
pub fn history<'a>(
    cells: impl IntoIterator<Item = (&'a str, u64)>,
    open: &[Spent],
    now: UnixMillis,
) -> UsageHistory {
    let (mut minutes, mut hours) = (Spans::until(now, MINUTE, MINUTES), Spans::until(now, HOUR, HOURS));
    for (what, sum) in cells {
        let Some((sort, at, unit)) = dated(what) else { continue };
        let spans = if sort == "m" { &mut minutes } else { &mut hours };
        let Some(used) = spans.nth(at) else { continue };
        match unit {
            "requests" => used.requests += sum,
            "tokens" => used.tokens += sum,
            "written" => used.written += sum,
            "micros" => used.micros += sum,
            "unpriced" => used.unpriced += sum,
            _ => {}
        }
    }
    for spans in [&mut minutes, &mut hours] {
        for spent in open {
            if let Some(used) = spans.nth(spent.at.0 / spans.length) {
                used.add(spent);
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
            micros: (used.unpriced == 0).then_some(used.micros),
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
        history(sums.iter().map(|sum| (sum.what.as_str(), sum.by)), &[], now)
    }

    #[test]
    fn each_minute_and_hour_is_there_up_to_the_one_that_is_under_way() {
        let told = history([], &[], NOW);

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
    fn what_has_no_known_price_makes_the_cost_of_its_time_unknown() {
        let unknown = Spent { micros: 0, unpriced: 1, ..spent(NOW.0) };
        let told = history([], &[spent(NOW.0 - MINUTE), unknown], NOW);

        assert_eq!((told.minutes[58].micros, told.minutes[59].micros), (Some(7), None));
        assert_eq!(told.hours[23].micros, None);
    }
}
