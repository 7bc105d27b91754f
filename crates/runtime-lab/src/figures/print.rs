//! Figures for whoever reads them: a table for people, lines for programs, JSON for other programs.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::commit::Taken;
use super::error::FiguresError;
use super::figure::{Figure, Told, short};
use super::spread::Spread;

const HEAD: [&str; 8] = ["name", "value", "unit", "baseline", "ratio", "bar", "holds", "min … max"];

#[derive(Serialize)]
struct Everything<'a> {
    #[serde(flatten)]
    taken: &'a Taken,
    figures: Vec<Told<'a>>,
}

pub(crate) fn print(figures: &[Figure], taken: &Taken, json: bool) -> Result<(), FiguresError> {
    let mut out = io::stdout().lock();
    let text = if json {
        let everything = Everything { taken, figures: figures.iter().map(Figure::told).collect() };
        let text = serde_json::to_string_pretty(&everything);
        text.map_err(|error| FiguresError::Unexpected(error.to_string()))? + "\n"
    } else if out.is_terminal() {
        table(figures)
    } else {
        lines(figures)
    };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| FiguresError::io("the standard output", error))
}

/// One line for each: `name value unit baseline ratio`, with `-` for what is not known.
fn lines(figures: &[Figure]) -> String {
    figures.iter().map(|figure| cells(figure)[..5].join(" ") + "\n").collect()
}

fn table(figures: &[Figure]) -> String {
    let rows: Vec<[String; 8]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(figures.iter().map(cells)).collect();
    let wide = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(wide);
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            // Numbers stand under each other by their ends.
            let room = " ".repeat(widths[column] - cell.chars().count());
            let number = matches!(column, 1 | 3 | 4);
            text += &if number { room + cell } else { cell.clone() + &room };
            text += "  ";
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn cells(figure: &Figure) -> [String; 8] {
    let unknown = || "-".to_owned();
    [
        figure.name.to_owned(),
        short(figure.value.median),
        figure.unit.to_owned(),
        figure.baseline.map_or_else(unknown, |baseline| short(baseline.median)),
        figure.ratio().map_or_else(unknown, short),
        figure.bar(),
        holds(figure).to_owned(),
        match figure.baseline {
            Some(baseline) => format!("{}, baseline {}", ends(figure.value), ends(baseline)),
            None => ends(figure.value),
        },
    ]
}

pub(crate) fn holds(figure: &Figure) -> &'static str {
    match figure.holds() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

fn ends(spread: Spread) -> String {
    format!("{} … {}", short(spread.min), short(spread.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::figure::Bar;

    fn two() -> Vec<Figure> {
        let spread = Spread { median: 50_000.0, min: 40_000.0, max: 60_000.0 };
        let bar = Bar::RatioAtLeast(0.15);
        let first = Figure {
            name: "noop-run",
            value: spread,
            unit: "runs/s",
            baseline: Some(Spread::one(200_000.0)),
            against: "a peer",
            bar,
            n: 5,
        };
        let second = Figure { name: "x", unit: "ms", value: Spread::one(1.234), baseline: None, ..first };
        vec![first, second]
    }

    #[test]
    fn a_program_reads_five_words_a_line() {
        assert_eq!(lines(&two()), "noop-run 50000 runs/s 200000 0.250\nx 1.23 ms - -\n");
    }

    #[test]
    fn people_read_columns() {
        let table = table(&two());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "name      value  unit    baseline  ratio  bar       holds    min … max");
        assert_eq!(
            lines[1],
            "noop-run  50000  runs/s    200000  0.250  ≥ 0.15 ×  yes      40000 … 60000, baseline 200000 … 200000"
        );
        assert_eq!(lines[2], "x          1.23  ms             -      -  ≥ 0.15 ×  unknown  1.23 … 1.23");
    }
}
