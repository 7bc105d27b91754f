//! Figures in `docs/promises.md`: one row each, between two marks. Rows of figures that were not measured stay.

use super::commit::Taken;
use super::error::FiguresError;
use super::figure::{Figure, short};
use super::plan::workspace;
use super::print::holds;
use super::spread::Spread;

const FILE: &str = "docs/promises.md";
const BEGIN: &str = "<!-- figures:core -->";
const END: &str = "<!-- /figures:core -->";
const HEAD: &str =
    "| figure | value [min, max] | baseline [min, max] | ratio | bar | holds | n | commit | date | machine |
|---|---|---|---|---|---|---|---|---|---|";

/// Writes the rows of `figures`.
pub(crate) fn write(figures: &[Figure], taken: &Taken) -> Result<(), FiguresError> {
    let path = workspace().join(FILE);
    let io = |error| FiguresError::io(format!("`{FILE}`"), error);
    let text = std::fs::read_to_string(&path).map_err(io)?;
    let rows: Vec<String> = figures.iter().map(|figure| row(figure, taken)).collect();
    let written = with_rows(&text, &rows).ok_or_else(|| FiguresError::NoPlace {
        path: FILE.to_owned(),
        begin: BEGIN,
        end: END,
    })?;
    std::fs::write(&path, written).map_err(io)
}

/// The text with these rows between its marks, each in the place of the row of the same name, new ones at the end.
fn with_rows(text: &str, rows: &[String]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (between, after) = rest.split_once(END)?;
    let mut all: Vec<&str> = between.lines().filter(|line| line.starts_with("| `")).collect();
    for row in rows {
        match all.iter_mut().find(|old| name_in(old) == name_in(row)) {
            Some(old) => *old = row,
            None => all.push(row),
        }
    }
    Some(format!("{before}{BEGIN}\n{HEAD}\n{}\n{END}{after}", all.join("\n")))
}

/// The figure that a row is of.
fn name_in(row: &str) -> Option<&str> {
    row.split('`').nth(1)
}

fn row(figure: &Figure, taken: &Taken) -> String {
    let Taken { commit, date, machine } = taken;
    let value = format!("{} {}", with_ends(figure.value), figure.unit);
    let baseline = match figure.baseline {
        Some(baseline) => format!("{}: {}", with_ends(baseline), figure.against),
        None => figure.against.to_owned(),
    };
    let ratio = figure.ratio().map_or_else(|| "-".to_owned(), short);
    let (name, bar, holds, n) = (figure.name, figure.bar(), holds(figure), figure.n);
    format!(
        "| `{name}` | {value} | {baseline} | {ratio} | {bar} | {holds} | {n} | {commit} | {date} | {machine} |"
    )
}

fn with_ends(spread: Spread) -> String {
    if spread.min == spread.max {
        return short(spread.median);
    }
    format!("{} [{}, {}]", short(spread.median), short(spread.min), short(spread.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::figure::Bar;

    #[test]
    fn a_row_replaces_that_of_its_name_and_leaves_the_others() {
        let empty = format!("# Promises\n\n{BEGIN}\n{END}\n\nMore.\n");
        let rows = ["| `a` | 1 |".to_owned(), "| `b` | 1 |".to_owned()];
        let first = with_rows(&empty, &rows).unwrap();
        assert_eq!(
            first,
            format!("# Promises\n\n{BEGIN}\n{HEAD}\n| `a` | 1 |\n| `b` | 1 |\n{END}\n\nMore.\n")
        );

        let second = with_rows(&first, &["| `a` | 2 |".to_owned(), "| `ab` | 3 |".to_owned()]).unwrap();
        assert_eq!(
            second,
            first.replace("| `a` | 1 |\n| `b` | 1 |", "| `a` | 2 |\n| `b` | 1 |\n| `ab` | 3 |")
        );
    }

    #[test]
    fn without_marks_nothing_is_written() {
        assert_eq!(with_rows("# Promises\n", &[]), None);
        assert_eq!(with_rows(&format!("{END}\n{BEGIN}\n"), &[]), None);
    }

    #[test]
    fn a_row_has_a_cell_for_each_column() {
        let figure = Figure {
            name: "noop-run",
            value: Spread { median: 5.0, min: 4.0, max: 6.0 },
            unit: "runs/s",
            baseline: Some(Spread::one(20.0)),
            against: "a peer",
            bar: Bar::RatioAtLeast(0.15),
            n: 5,
        };
        let taken =
            Taken { commit: "abc".to_owned(), date: "2026-11-22".to_owned(), machine: "2 × X".to_owned() };
        let row = row(&figure, &taken);
        assert_eq!(
            row,
            "| `noop-run` | 5.00 [4.00, 6.00] runs/s | 20.0: a peer | 0.250 | ≥ 0.15 × | yes | 5 | abc | 2026-11-22 | 2 × X |"
        );
        let columns = |line: &str| line.matches('|').count();
        assert!(HEAD.lines().all(|line| columns(line) == columns(&row)));
    }
}
