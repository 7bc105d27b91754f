//! Bars over time.

use agent_runtime::UnixMillis;
use agent_runtime::resource::{Money, UsedIn};

use super::{Paint, counted, time};

/// Rows of a chart.
const HEIGHT: u64 = 5;
/// Columns of its bars: 60 minutes, or 24 hours.
const COLUMNS: usize = 60;
/// Parts of a full cell, from none to all.
const PARTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const MINUTE: u64 = 60_000;
const ZONE: &str = "UTC";

/// The tokens of each span as a bar, with their scale at the left and times below, in lines of at most `width` columns. Where not all
/// spans fit, the last ones are shown.
pub(crate) fn bars(spans: &[UsedIn], width: usize, paint: Paint) -> Vec<String> {
    let wide = (COLUMNS / spans.len().max(1)).max(1);
    let margin = grouped(spans.iter().map(UsedIn::tokens).max().unwrap_or(0)).len().max(ZONE.len());
    let fit = width.saturating_sub(margin + 2) / wide;
    let spans = &spans[spans.len().saturating_sub(fit)..];
    let most = spans.iter().map(UsedIn::tokens).max().unwrap_or(0);
    let mut lines = Vec::new();
    for row in (0..HEIGHT).rev() {
        let label = if row + 1 == HEIGHT { grouped(most) } else { String::new() };
        let bars: String =
            spans.iter().flat_map(|used| std::iter::repeat_n(part(used.tokens(), most, row), wide)).collect();
        lines.push(format!("{label:>margin$} ┤{}", paint.good(bars.trim_end())));
    }
    let (axis, times) = axis(spans, wide);
    lines.push(format!("{:>margin$} ┼{axis}", 0));
    lines.push(paint.dim(format!("{ZONE:>margin$}  {times}")));
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

/// The line below the bars, and below that round times of day, each at the left edge of its span.
fn axis(spans: &[UsedIn], wide: usize) -> (String, String) {
    let columns = spans.len() * wide;
    // Every quarter of an hour, or of a day.
    let every = if spans.windows(2).any(|two| two[1].from.0 - two[0].from.0 > MINUTE) { 360 } else { 15 };
    let (mut axis, mut times) = (String::new(), String::new());
    for (used, column) in spans.iter().zip((0..).step_by(wide)) {
        let is_round = (used.from.0 / MINUTE).is_multiple_of(every);
        let time = time_of_day(used.from);
        axis.push(if is_round { '┬' } else { '─' });
        axis.extend(std::iter::repeat_n('─', wide - 1));
        if is_round && column + time.len() <= columns {
            times.extend(std::iter::repeat_n(' ', column.saturating_sub(times.len())));
            times.push_str(&time);
        }
    }
    (axis, times)
}

/// What was used, in words: in a line behind `when`, or in two where that would be too wide.
pub(crate) fn used(when: &str, used: &UsedIn, width: usize, paint: Paint) -> String {
    if used.requests == 0 && used.tokens() == 0 {
        return format!("{}: nothing used", paint.bold(when));
    }
    let cost = used.micros.map(|micros| format!("${}", Money::from_micros(micros)));
    let unpriced = format!("{} of unknown cost", counted(used.unpriced, "call"));
    let cost = match (cost, used.unpriced) {
        (Some(cost), 0) => cost,
        (Some(cost), _) => format!("{cost} and {unpriced}"),
        (None, _) => "cost unknown".to_owned(),
    };
    let (read, written) = (grouped(used.input_tokens), grouped(used.output_tokens));
    let calls = counted(used.requests, "call");
    let used = format!("{read} tokens read, {written} written, {calls}");
    let is_wide = when.len() + ": ".len() + used.len() + ", ".len() + cost.len() > width;
    let between = if is_wide { format!(",\n{:1$}", "", when.len() + 2) } else { ", ".to_owned() };
    format!("{}: {used}{between}{cost}", paint.bold(when))
}

/// The time of day, in UTC: `18:03`.
fn time_of_day(at: UnixMillis) -> String {
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

    /// Spans from 10:10 on, each so long, with so many tokens.
    fn spans(length: u64, tokens: &[u64]) -> Vec<UsedIn> {
        let used = |(nth, tokens): (u64, &u64)| UsedIn {
            from: UnixMillis(nth * length + if length == MINUTE { 610 * MINUTE } else { 0 }),
            requests: 1,
            input_tokens: *tokens,
            micros: Some(1_500),
            ..UsedIn::default()
        };
        (0..).zip(tokens).map(used).collect()
    }

    #[test]
    fn a_bar_is_as_high_as_its_part_of_the_highest_and_what_is_there_is_seen() {
        let mut tokens = [0; 60];
        (tokens[1], tokens[2], tokens[3]) = (1, 2_000, 1_000);
        let lines = bars(&spans(MINUTE, &tokens), 80, Paint::new(false));

        assert_eq!(
            lines,
            [
                "2,000 ┤  █",
                "      ┤  █",
                "      ┤  █▄",
                "      ┤  ██",
                "      ┤ ▁██",
                "    0 ┼─────┬──────────────┬──────────────┬──────────────┬─────────",
                "  UTC       10:15          10:30          10:45          11:00",
            ]
        );
    }

    #[test]
    fn hours_are_two_columns_wide_each() {
        let lines = bars(&spans(60 * MINUTE, &[7; 24]), 80, Paint::new(false));

        assert_eq!(lines[0], format!("  7 ┤{}", "█".repeat(48)));
        assert_eq!(lines[5], format!("  0 ┼{}", "┬───────────".repeat(4)));
        assert_eq!(lines[6], "UTC  00:00       06:00       12:00       18:00");
    }

    #[test]
    fn where_not_all_fit_the_last_are_shown_and_no_line_is_wider() {
        let mut tokens = [3; 60];
        (tokens[0], tokens[59]) = (9_000, 6);
        let lines = bars(&spans(MINUTE, &tokens), 30, Paint::new(false));

        assert!(lines.iter().all(|line| line.chars().count() <= 30), "{lines:?}");
        assert_eq!(lines[0].trim_start(), format!("6 ┤{}█", " ".repeat(22)), "the highest that is shown");
        assert_eq!(lines[6], format!("  UTC{}11:00", " ".repeat(15)));
        assert_eq!(bars(&spans(MINUTE, &tokens), 0, Paint::new(false)).len(), 7);
    }

    #[test]
    fn what_has_no_known_price_is_told_apart() {
        let of = |tokens: u64| spans(MINUTE, &[tokens])[0];
        let unknown = UsedIn { micros: None, unpriced: 1, ..of(6) };
        let told = |spans: &[UsedIn]| used("now", &UsedIn::sum(spans), 60, Paint::new(false));

        assert_eq!(told(&[of(1_234), of(6)]), "now: 1,240 tokens read, 0 written, 2 calls, $0.003");
        assert_eq!(
            told(&[of(1_234), unknown]),
            "now: 1,240 tokens read, 0 written, 2 calls,\n     $0.0015 and 1 call of unknown cost"
        );
        assert_eq!(told(&[UsedIn::sum(&[]), unknown]), "now: 6 tokens read, 0 written, 1 call, cost unknown");
        assert_eq!(told(&[]), "now: nothing used");
    }
}
