//! Tables for terminals.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

use super::answer::visible;
use super::style::Paint;

/// How a cell is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Like any text.
    Plain,
    /// Good.
    Good,
    /// Somebody should look.
    Warn,
    /// Bad.
    Bad,
    /// Said in passing.
    Dim,
}

/// A row: cells with their tones.
pub(crate) type Row = Vec<(String, Tone)>;

/// A table with a head, at most `width` wide.
pub(crate) fn table(head: &[&str], rows: Vec<Row>, width: u16, colour: bool) -> String {
    let mut table = empty(width, colour);
    table.set_header(head.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.into_iter().map(|(text, tone)| cell(&text, tone)));
    }
    pad(&mut table);
    lines(&table)
}

/// A list of names with their values.
pub(crate) fn pairs(rows: Vec<(&str, String)>, width: u16, paint: Paint) -> String {
    let mut table = empty(width, paint != Paint::new(false));
    for (name, value) in rows {
        table.add_row([cell(name, Tone::Dim), cell(&value, Tone::Plain)]);
    }
    pad(&mut table);
    lines(&table)
}

fn empty(width: u16, colour: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// Two spaces between columns, none before the first.
fn pad(table: &mut Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
}

fn cell(text: &str, tone: Tone) -> Cell {
    let cell = Cell::new(visible(text));
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Warn => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
    }
}

/// The table without what its layout puts at the ends of lines.
fn lines(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
