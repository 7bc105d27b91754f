//! Tables as they are shown: with their columns where these fit, row by row otherwise.

use super::lines;
use super::quote::Source;
use super::wrap::wrap;

/// Heads of columns that add nothing to their cells.
const PLAIN_HEADS: &[&str] = &[
    "",
    "definition",
    "description",
    "details",
    "explanation",
    "is",
    "meaning",
    "means",
    "note",
    "notes",
    "what it does",
    "what it is",
    "what",
];

/// Words with which a head begins that its cells go on with.
const OPENINGS: &[&str] = &["after", "before", "during", "if", "in", "on", "when", "while"];
/// Columns of a table that is wide, and characters of a cell that is only a mark.
const MANY_COLUMNS: usize = 6;
const MARK: usize = 3;

/// A whole table, given by its lines.
pub(super) fn quote_table(lines: &[&str], source: Source<'_>, width: usize) -> Vec<String> {
    let row = |line: &&str| -> Vec<String> {
        let cells = lines::cells(line);
        cells.iter().map(|cell| source.cell(cell)).collect()
    };
    let Some((head, body)) = lines.split_first() else {
        return Vec::new();
    };
    let head = row(head);
    let body: Vec<Vec<String>> = body.iter().skip(1).map(row).collect();
    let columns = body.iter().map(Vec::len).chain([head.len()]).max().unwrap_or(0);
    let width_of = |column: usize| {
        let cells = body.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    if widths.iter().sum::<usize>() + 3 * columns.saturating_sub(1) > width {
        return body.iter().flat_map(|cells| quote_row(&head, cells, source, width)).collect();
    }
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(column, width)| {
            let cell = row.get(column).map_or("", String::as_str);
            format!("{cell:width$}")
        });
        cells.collect::<Vec<_>>().join(" | ").trim_end().to_owned()
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("-|-");
    let mut out = vec![line(&head), rule];
    out.extend(body.iter().map(line));
    out
}

/// A row by itself: its first cell, then each other cell with the head of its column.
///
/// Of a table with many columns, cells that hold only a mark are left out: nobody reads twenty of them in a line.
pub(super) fn quote_row(head: &[String], cells: &[String], source: Source<'_>, width: usize) -> Vec<String> {
    let is_wide = cells.len() > MANY_COLUMNS;
    let mut cells = cells.iter().map(|cell| source.cell(cell)).enumerate();
    let mut subject = cells.next().map(|(_, cell)| cell).unwrap_or_default();
    // A number in front only numbers the rows.
    let is_number = subject.chars().count() <= 4 && !subject.chars().any(char::is_alphabetic);
    if is_number && let Some((_, cell)) = cells.next() {
        subject = format!("{subject} {cell}").trim().to_owned();
    }
    // A head such as "when the process dies" is a part of what its cells say; "name" and "level" are not.
    let first = head.first().map_or("", String::as_str);
    let opens = first.split_whitespace().next().unwrap_or_default().to_lowercase();
    if OPENINGS.contains(&opens.as_str()) && !is_number && !subject.is_empty() {
        subject = format!("{first}: {subject}");
    }
    let mut parts = Vec::new();
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        if is_wide && cell.chars().count() <= MARK {
            continue;
        }
        let head = head.get(column).map_or("", String::as_str);
        let is_plain = PLAIN_HEADS.contains(&head.to_lowercase().as_str());
        parts.push(if is_plain { cell } else { format!("{head}: {cell}") });
    }
    let text = match (subject.is_empty(), parts.is_empty()) {
        (true, _) => parts.join("; "),
        (false, true) => subject,
        (false, false) => format!("{subject} — {}", parts.join("; ")),
    };
    let mut lines = wrap(&text, width.saturating_sub(2));
    for line in lines.iter_mut().skip(1) {
        line.insert_str(0, "  ");
    }
    lines
}
