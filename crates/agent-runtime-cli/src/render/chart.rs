//! Bars over time.

use agent_runtime::UnixMillis;
use agent_runtime::resource::{Money, UsedIn};

use super::{Paint, time};

/// Rows of a chart.
const HEIGHT: u64 = 5;
/// Parts of a full cell, from none to all.
const PARTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns between two labels of the axis, at the least.
const BETWEEN: usize = 12;

/// The tokens of each span as a bar so many columns wide, with their scale at the left and times below. One line each.
pub(crate) fn bars(spans: &[UsedIn], wide: usize, paint: Paint) -> Vec<String> {
    let most = spans.iter().map(UsedIn::tokens).max().unwrap_or(0);
    let scale = grouped(most);
    let margin = scale.len();
    let mut lines = Vec::new();
    for row in (0..HEIGHT).rev() {
        let label = if row + 1 == HEIGHT { scale.as_str() } else { "" };
        let cells: String =
            spans.iter().map(|used| part(used.tokens(), most, row)).fold(String::new(), |mut cells, part| {
                cells.extend(std::iter::repeat_n(part, wide));
                cells
            });
        lines.push(format!("{label:>margin$} ┤{}", paint.good(cells.trim_end())));
    }
    lines.push(format!("{:>margin$} ┼{}", 0, "─".repeat(spans.len() * wide)));
    lines.push(paint.dim(format!("{:>margin$}  {}", "", axis(spans, wide)).trim_end()));
    lines
}

/// How much of a cell of a row, counted from below, a bar fills. What is there at all is seen.
fn part(value: u64, most: u64, row: u64) -> char {
    let full = PARTS.len() as u64 - 1;
    let eighths = u128::from(value) * u128::from(HEIGHT * full) / u128::from(most.max(1));
    let eighths = u64::try_from(eighths).unwrap_or(u64::MAX).max(u64::from(value > 0));
    let here = eighths.saturating_sub(row * full).min(full);
    usize::try_from(here).map_or(' ', |here| PARTS[here])
}

/// Times of day, each below the left edge of its span.
fn axis(spans: &[UsedIn], wide: usize) -> String {
    let mut axis = String::new();
    for (nth, used) in spans.iter().enumerate() {
        let column = nth * wide;
        if nth % BETWEEN.div_ceil(wide) == 0 {
            axis.extend(std::iter::repeat_n(' ', column.saturating_sub(axis.len())));
            axis.push_str(&hour_and_minute(used.from));
        }
    }
    axis
}

/// What was used in all of them, in words.
pub(crate) fn sum(spans: &[UsedIn]) -> String {
    let of = |what: fn(&UsedIn) -> u64| grouped(spans.iter().map(what).sum());
    let cost = spans.iter().try_fold(0_u64, |sum, used| Some(sum.saturating_add(used.micros?)));
    let (read, written) = (of(|used| used.input_tokens), of(|used| used.output_tokens));
    let calls = of(|used| used.requests);
    format!("{read} tokens read, {written} written, {calls} calls of models, {}", money(cost))
}

/// What something cost.
pub(crate) fn money(micros: Option<u64>) -> String {
    micros.map_or("cost unknown".to_owned(), |micros| format!("${}", Money::from_micros(micros)))
}

/// The time of day, in UTC: `18:03`.
pub(crate) fn hour_and_minute(at: UnixMillis) -> String {
    time::clock(at).chars().take(5).collect()
}

/// A number with its digits in groups: `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(tokens: &[u64]) -> Vec<UsedIn> {
        let used = |(nth, tokens): (u64, &u64)| UsedIn {
            from: UnixMillis(nth * 60_000),
            requests: 1,
            input_tokens: *tokens,
            output_tokens: 0,
            micros: Some(1_500),
        };
        (0..).zip(tokens).map(used).collect()
    }

    #[test]
    fn a_bar_is_as_high_as_its_part_of_the_highest_and_what_is_there_is_seen() {
        let lines = bars(&spans(&[0, 1, 2_000, 1_000]), 1, Paint::new(false));

        assert_eq!(
            lines,
            [
                "2,000 ┤  █",
                "      ┤  █",
                "      ┤  █▄",
                "      ┤  ██",
                "      ┤ ▁██",
                "    0 ┼────",
                "       00:00",
            ]
        );
    }

    #[test]
    fn times_are_below_their_bars_and_do_not_run_into_each_other() {
        let lines = bars(&spans(&[7; 24]), 2, Paint::new(false));

        assert_eq!(lines[6], "   00:00       00:06       00:12       00:18");
        assert_eq!(lines[0], format!("7 ┤{}", "█".repeat(48)));
        assert!(bars(&spans(&[0, 0]), 1, Paint::new(false))[..5].iter().all(|line| !line.contains('█')));
    }

    #[test]
    fn a_sum_of_which_some_has_no_price_has_none() {
        let mut used = spans(&[1_234, 6]);
        assert_eq!(sum(&used), "1,240 tokens read, 0 written, 2 calls of models, $0.003");
        used[1].micros = None;
        assert!(sum(&used).ends_with("cost unknown"));
    }
}
