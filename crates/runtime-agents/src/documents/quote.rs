//! A passage as it is shown: readable words, wrapped lines, code as it is, tables with their heads.

use super::blocks::{Block, Format, Shape, blocks};
use super::lines::{self, Fence};
use super::passage::{Form, Passage};
use super::readable::{inline_with, printable};

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

/// Columns of a table that is wide, and characters of a cell that is only a mark.
const MANY_COLUMNS: usize = 6;
const MARK: usize = 3;

/// What the file of a passage says about how to read it.
#[derive(Clone, Copy)]
struct Source<'a> {
    format: Format,
    links: &'a [String],
}

impl Source<'_> {
    fn inline(self, text: &str) -> String {
        inline_with(text, self.links).text
    }

    /// A cell of a table: one line.
    fn cell(self, text: &str) -> String {
        self.inline(text)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The lines of `passage` as a reader should see them, at most `width` characters each where words allow it.
pub(super) fn quote(passage: &Passage, width: usize) -> Vec<String> {
    let source = Source {
        format: passage.format,
        links: &passage.links,
    };
    match &passage.form {
        Form::Blocks => {
            let text = dedent(&passage.text);
            let lines: Vec<&str> = text.iter().map(String::as_str).collect();
            quote_blocks(&lines, source, width)
        }
        Form::Row { head } => quote_row(head, &lines::cells(&passage.text), source, width),
        Form::Code { continues } => {
            let mut lines = quote_code(&dedent(&passage.text));
            if *continues {
                lines.push("    …".to_owned());
            }
            lines
        }
    }
}

fn quote_blocks(lines: &[&str], source: Source<'_>, width: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut previous: Option<Block> = None;
    for block in blocks(lines, source.format) {
        let quoted = quote_block(&lines[block.lines.clone()], block.shape, source, width);
        if quoted.is_empty() {
            continue;
        }
        if previous.is_some_and(|previous| !is_tight(&previous, &block)) {
            out.push(String::new());
        }
        out.extend(quoted);
        previous = Some(block);
    }
    out
}

/// Whether no empty line stands between two blocks; items are drawn together in any case.
fn is_tight(previous: &Block, next: &Block) -> bool {
    let items = previous.shape == Shape::Item && next.shape == Shape::Item;
    let code = previous.shape == Shape::Code || next.shape == Shape::Code;
    items || (previous.lines.end == next.lines.start && !code)
}

fn quote_block(lines: &[&str], shape: Shape, source: Source<'_>, width: usize) -> Vec<String> {
    match shape {
        Shape::Paragraph if source.format == Format::Plain && is_laid_out(lines) => {
            lines.iter().map(|line| printable(line)).collect()
        }
        Shape::Paragraph => wrap(&source.inline(&lines.join("\n")), width),
        Shape::Quote => {
            let lines: Vec<&str> = lines.iter().map(|line| unquote(line)).collect();
            wrap(&source.inline(&lines.join("\n")), width)
        }
        Shape::Item => quote_item(lines, source, width),
        Shape::Table => quote_table(lines, source, width),
        Shape::Code => quote_code(&code_lines(lines)),
    }
}

/// Text whose columns matter is not reflowed.
fn is_laid_out(lines: &[&str]) -> bool {
    lines
        .iter()
        .any(|line| line.trim().contains("   ") || line.contains('\t'))
}

fn unquote(line: &str) -> &str {
    let text = line.trim_start().trim_start_matches(['>', ' ']);
    let is_alert = text.starts_with("[!") && text.trim_end().ends_with(']');
    if is_alert { "" } else { text }
}

fn quote_item(lines: &[&str], source: Source<'_>, width: usize) -> Vec<String> {
    let Some((first, others)) = lines.split_first() else {
        return Vec::new();
    };
    let Some(marker) = lines::marker(first) else {
        return wrap(&source.inline(&lines.join("\n")), width);
    };
    let text = first.trim_start();
    let sign_end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (sign, text) = text.split_at(sign_end);
    let sign = if matches!(sign, "*" | "+") { "-" } else { sign };
    let mut inner = vec![text.trim().to_owned()];
    inner.extend(others.iter().map(|line| strip_indent(line, marker.content)));
    let inner: Vec<&str> = inner.iter().map(String::as_str).collect();
    let hang = sign.chars().count() + 1;
    let quoted = quote_blocks(&inner, source, width.saturating_sub(hang));
    let mut out = Vec::with_capacity(quoted.len());
    for (at, line) in quoted.into_iter().enumerate() {
        match (at, line.is_empty()) {
            (0, _) => out.push(format!("{sign} {line}")),
            (_, true) => out.push(line),
            (_, false) => out.push(format!("{:hang$}{line}", "")),
        }
    }
    out
}

fn quote_table(lines: &[&str], source: Source<'_>, width: usize) -> Vec<String> {
    let row = |line: &&str| -> Vec<String> {
        let cells = lines::cells(line);
        cells.iter().map(|cell| source.cell(cell)).collect()
    };
    let Some((head, body)) = lines.split_first() else {
        return Vec::new();
    };
    let head = row(head);
    let body: Vec<Vec<String>> = body.iter().skip(1).map(row).collect();
    let columns = body
        .iter()
        .map(Vec::len)
        .chain([head.len()])
        .max()
        .unwrap_or(0);
    let width_of = |column: usize| {
        let cells = body.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    if widths.iter().sum::<usize>() + 3 * columns.saturating_sub(1) > width {
        return body
            .iter()
            .flat_map(|cells| quote_row(&head, cells, source, width))
            .collect();
    }
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(column, width)| {
            let cell = row.get(column).map_or("", String::as_str);
            format!("{cell:width$}")
        });
        cells.collect::<Vec<_>>().join(" | ").trim_end().to_owned()
    };
    let rule = widths
        .iter()
        .map(|width| "-".repeat(*width))
        .collect::<Vec<_>>()
        .join("-|-");
    let mut out = vec![line(&head), rule];
    out.extend(body.iter().map(line));
    out
}

/// A row by itself: its first cell, then each other cell with the head of its column.
///
/// Of a table with many columns, cells that hold only a mark are left out: nobody reads twenty of them in a line.
fn quote_row(head: &[String], cells: &[String], source: Source<'_>, width: usize) -> Vec<String> {
    let is_wide = cells.len() > MANY_COLUMNS;
    let mut cells = cells.iter().map(|cell| source.cell(cell)).enumerate();
    let mut subject = cells.next().map(|(_, cell)| cell).unwrap_or_default();
    // A number in front only numbers the rows.
    let is_number = subject.chars().count() <= 4 && !subject.chars().any(char::is_alphabetic);
    if is_number && let Some((_, cell)) = cells.next() {
        subject = format!("{subject} {cell}").trim().to_owned();
    }
    let mut parts = Vec::new();
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        if is_wide && cell.chars().count() <= MARK {
            continue;
        }
        let head = head.get(column).map_or("", String::as_str);
        let is_plain = PLAIN_HEADS.contains(&head.to_lowercase().as_str());
        parts.push(if is_plain {
            cell
        } else {
            format!("{head}: {cell}")
        });
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

/// The lines of a code block without its fences and without the indentation that makes it one.
fn code_lines(lines: &[&str]) -> Vec<String> {
    let Some((first, others)) = lines.split_first() else {
        return Vec::new();
    };
    let Some(fence) = Fence::open(first) else {
        return dedent(&lines.join("\n"));
    };
    let inner = match others.split_last() {
        Some((last, inner)) if fence.is_closed_by(last) => inner,
        _ => others,
    };
    let indent = lines::indent(first);
    inner
        .iter()
        .map(|line| strip_indent(line, indent))
        .collect()
}

fn quote_code(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().map(|line| {
        let line = printable(line);
        let line = line.trim_end();
        if line.is_empty() {
            String::new()
        } else {
            format!("    {line}")
        }
    });
    lines.collect()
}

/// Removes the white space that all lines begin with; the first one is without it already where a text was cut.
fn dedent(text: &str) -> Vec<String> {
    let Some((first, others)) = text.split_once('\n') else {
        return vec![text.trim().to_owned()];
    };
    let own = lines::indent(first);
    let least = others
        .split('\n')
        .filter(|line| !lines::is_blank(line))
        .map(lines::indent)
        .min();
    let common = if own == 0 {
        0
    } else {
        least.unwrap_or(own).min(own)
    };
    let mut out = vec![strip_indent(first, common)];
    out.extend(others.split('\n').map(|line| strip_indent(line, common)));
    out
}

/// `line` without its first `columns` columns of white space.
fn strip_indent(line: &str, columns: usize) -> String {
    let has = lines::indent(line);
    let text = line.trim_start();
    if text.is_empty() {
        return String::new();
    }
    format!("{:1$}{text}", "", has.saturating_sub(columns))
}

/// Breaks `text` between words. A code span is one word as long as it is short, so that a command can be copied.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in words(text) {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(&word);
        used += length;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split_whitespace() {
        match words
            .last_mut()
            .filter(|last| open && last.len() + word.len() < 60)
        {
            Some(last) => {
                last.push(' ');
                last.push_str(word);
            }
            None => {
                words.push(word.to_owned());
                open = false;
            }
        }
        open ^= word.matches('`').count() % 2 == 1;
    }
    words
}
