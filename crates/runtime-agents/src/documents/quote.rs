//! A passage as it is shown: readable words, wrapped lines, code as it is, tables with their heads.

use super::blocks::{Block, Format, Shape, blocks_of_part};
use super::lines::{self, Fence};
use super::passage::{Form, Passage};
use super::readable::{inline_with, printable};
use super::table::{quote_row, quote_table};
use super::wrap::wrap;

/// What the file of a passage says about how to read it.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    format: Format,
    links: &'a [String],
}

impl Source<'_> {
    pub(super) fn inline(self, text: &str) -> String {
        inline_with(text, self.links).text
    }

    /// A cell of a table: one line.
    pub(super) fn cell(self, text: &str) -> String {
        self.inline(text).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// A passage as it is shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Quotation {
    pub(super) lines: Vec<String>,
    /// Lines at the beginning of the passage of which nothing is shown: the fence of a code block.
    pub(super) skipped: usize,
}

/// What a reader should see of `passage`, with at most `width` characters in a line where words allow it.
pub(super) fn quote(passage: &Passage, width: usize) -> Quotation {
    let source = Source { format: passage.format, links: &passage.links };
    let lines = match &passage.form {
        Form::Blocks => {
            let text = dedent(&passage.text);
            let lines: Vec<&str> = text.iter().map(String::as_str).collect();
            let quoted = quote_blocks(&lines, source, width);
            // Whatever markup it takes for invisible: a passage is never quoted as nothing.
            if quoted.lines.iter().any(|line| line.contains(char::is_alphanumeric)) {
                return quoted;
            }
            wrap(&printable(&passage.text), width)
        }
        Form::Row { head } => quote_row(head, &lines::cells(&passage.text), source, width),
        Form::Code { continues } => {
            let mut lines = quote_code(&dedent(&passage.text));
            if *continues {
                lines.push("    …".to_owned());
            }
            lines
        }
    };
    Quotation { lines, skipped: 0 }
}

fn quote_blocks(lines: &[&str], source: Source<'_>, width: usize) -> Quotation {
    let mut out = Quotation::default();
    let mut previous: Option<Block> = None;
    for block in blocks_of_part(lines, source.format) {
        let quoted = quote_block(&lines[block.lines.clone()], block.shape, source, width);
        if quoted.lines.is_empty() {
            continue;
        }
        match &previous {
            None => out.skipped = block.lines.start + quoted.skipped,
            Some(previous) if !is_tight(previous, &block) => out.lines.push(String::new()),
            Some(_) => {}
        }
        out.lines.extend(quoted.lines);
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

fn quote_block(lines: &[&str], shape: Shape, source: Source<'_>, width: usize) -> Quotation {
    let lines = match shape {
        Shape::Paragraph if source.format != Format::Markdown && is_laid_out(lines) => {
            lines.iter().map(|line| printable(line)).collect()
        }
        Shape::Paragraph => wrap(&source.inline(&lines.join("\n")), width),
        Shape::Quote => {
            let lines: Vec<&str> = lines.iter().map(|line| unquote(line)).collect();
            wrap(&source.inline(&lines.join("\n")), width)
        }
        Shape::Item => quote_item(lines, source, width),
        Shape::Table => quote_table(lines, source, width),
        Shape::Code => return quote_code_block(lines),
    };
    Quotation { lines, skipped: 0 }
}

/// Whether the columns of a text matter: it is then not reflowed.
pub(super) fn is_laid_out(lines: &[&str]) -> bool {
    lines.iter().map(|line| line.trim()).any(|line| {
        let is_rule = line.len() > 2 && line.chars().all(|c| "=-+| ".contains(c));
        let is_field = line.starts_with(':') && line[1..].contains(": ");
        is_rule || is_field || line.contains("   ") || line.contains('\t')
    })
}

fn unquote(line: &str) -> &str {
    line.trim_start().trim_start_matches(['>', ' '])
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
    let quoted = quote_blocks(&inner, source, width.saturating_sub(hang)).lines;
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

/// A code block without its fences and without the indentation that makes it one.
fn quote_code_block(lines: &[&str]) -> Quotation {
    let Some((first, others)) = lines.split_first() else { return Quotation::default() };
    let Some(fence) = Fence::open(first) else {
        return Quotation { lines: quote_code(&dedent(&lines.join("\n"))), skipped: 0 };
    };
    let inner = match others.split_last() {
        Some((last, inner)) if fence.is_closed_by(last) => inner,
        _ => others,
    };
    // Lines that rustdoc hides are there for the compiler.
    let is_hidden = |line: &str| fence.language == "rust" && (line == "#" || line.starts_with("# "));
    let is_shown = |line: &&&str| !is_hidden(line.trim());
    let from = inner.iter().position(|line| !lines::is_blank(line) && is_shown(&line));
    let Some(from) = from else { return Quotation::default() };
    let indent = lines::indent(first);
    let shown = inner[from..].iter().filter(is_shown).map(|line| strip_indent(line, indent));
    let mut lines = quote_code(&shown.collect::<Vec<_>>());
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    Quotation { lines, skipped: 1 + from }
}

fn quote_code(lines: &[String]) -> Vec<String> {
    let lines = lines.iter().map(|line| {
        let line = printable(line);
        let line = line.trim_end();
        if line.is_empty() { String::new() } else { format!("    {line}") }
    });
    lines.collect()
}

/// Removes the white space that all lines begin with; the first one is without it already where a text was cut.
fn dedent(text: &str) -> Vec<String> {
    let Some((first, others)) = text.split_once('\n') else {
        return vec![text.trim().to_owned()];
    };
    let own = lines::indent(first);
    let least = others.split('\n').filter(|line| !lines::is_blank(line)).map(lines::indent).min();
    let common = if own == 0 { 0 } else { least.unwrap_or(own).min(own) };
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
