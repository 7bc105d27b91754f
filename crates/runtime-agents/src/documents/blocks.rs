//! Lines to blocks: headings, paragraphs, list items, tables, code. Pure and total; whatever is malformed is a paragraph.

use std::ops::Range;
use std::sync::Arc;

use super::lines::{self, Fence, Marker};
use super::readable;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.md`, `.markdown`.
    Markdown,
    /// `.txt`: paragraphs, list items and underlined headings.
    Plain,
    /// `.rst`.
    Rst,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Paragraph,
    Quote,
    Item,
    Table,
    Code,
}

/// Some lines that belong together, and the headings they stand under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) shape: Shape,
    /// Numbers of its lines, from 0.
    pub(super) lines: Range<usize>,
    pub(super) headings: Arc<[String]>,
}

struct Scanner<'a> {
    lines: &'a [&'a str],
    format: Format,
    at: usize,
    /// A part of a document has no headings: what looks like one was cut out of something else.
    is_part: bool,
    /// The open headings, outermost first, with their levels.
    open: Vec<(usize, String)>,
    headings: Arc<[String]>,
    /// Underlines of reStructuredText in the order of their first use, which gives their levels.
    underlines: Vec<(char, bool)>,
    blocks: Vec<Block>,
}

/// Directives of reStructuredText whose contents are code, and those whose contents are not for readers.
const CODE_DIRECTIVES: &[&str] = &["code", "code-block", "parsed-literal", "sourcecode"];
const SILENT_DIRECTIVES: &[&str] =
    &["contents", "figure", "image", "include", "index", "only", "raw", "toctree"];

/// The level of a title that is only bold: below all headings.
const BOLD: usize = 7;

/// Marks that may underline a heading in reStructuredText.
const RST_MARKS: &str = "=-~^\"'`*+#:._";

/// Splits the lines of a document into blocks, in their order.
pub(super) fn blocks(lines: &[&str], format: Format) -> Vec<Block> {
    scan(lines, format, false)
}

/// As [`blocks`], for lines out of the middle of a document, under one heading.
pub(super) fn blocks_of_part(lines: &[&str], format: Format) -> Vec<Block> {
    scan(lines, format, true)
}

fn scan(lines: &[&str], format: Format, is_part: bool) -> Vec<Block> {
    let mut scanner = Scanner {
        lines,
        format,
        at: 0,
        is_part,
        open: Vec::new(),
        headings: Arc::from([]),
        underlines: Vec::new(),
        blocks: Vec::new(),
    };
    if !is_part {
        scanner.skip_front_matter();
    }
    while scanner.at < lines.len() {
        scanner.step();
    }
    scanner.blocks
}

/// Whether `line` is only tags, badges or images without a text.
fn says_nothing(line: &str) -> bool {
    !readable::inline(line).text.contains(char::is_alphanumeric)
}

impl<'a> Scanner<'a> {
    fn line(&self, at: usize) -> Option<&'a str> {
        self.lines.get(at).copied()
    }

    fn skip_front_matter(&mut self) {
        let Some(fence @ ("---" | "+++")) = self.line(0).map(str::trim_end) else {
            return;
        };
        // Without an end nearby it is a rule across the page.
        let end = self.lines.iter().take(200).skip(1).position(|line| line.trim_end() == fence);
        if let Some(end) = end {
            self.at = end + 2;
        }
    }

    /// Reads whatever begins at the present line and goes beyond it.
    fn step(&mut self) {
        let Some(line) = self.line(self.at) else {
            return;
        };
        if lines::is_blank(line) || self.is_skipped(line) {
            self.at += 1;
        } else if line.trim_start().starts_with("<!--") {
            self.skip_comment();
        } else if let Some(name) = self.directive(line) {
            self.skip_directive(name);
        } else if let Some((level, text)) = self.heading(line) {
            self.push_heading(level, text);
            self.at += 1;
        } else if self.rst_overlined() {
            // The line that says the text and its underline follow.
            self.at += 1;
        } else if let Some(fence) = Fence::open(line).filter(|_| self.format != Format::Rst) {
            let end = self.fence_end(self.at, &fence);
            self.push(Shape::Code, end);
        } else if self.is_table(self.at) {
            let end = self.while_lines(|_, line| line.contains('|'));
            self.push(Shape::Table, end);
        } else if let Some(marker) = lines::marker(line) {
            let end = self.item_end(marker);
            self.push(Shape::Item, end);
        } else if self.is_indented_code(line) {
            let end = self.indented_end();
            self.push(Shape::Code, end);
        } else if self.format == Format::Markdown && line.trim_start().starts_with('>') {
            let end = self.while_lines(|_, _| true);
            self.push(Shape::Quote, end);
        } else {
            self.paragraph();
        }
    }

    fn push(&mut self, shape: Shape, end: usize) {
        // Every path goes beyond the present line, so that the loop ends.
        let end = end.max(self.at + 1).min(self.lines.len());
        self.blocks.push(Block { shape, lines: self.at..end, headings: self.headings.clone() });
        self.at = end;
    }

    fn push_heading(&mut self, level: usize, text: &str) {
        self.open.retain(|(open, _)| *open < level);
        let text = readable::inline(text).text;
        if !text.is_empty() {
            self.open.push((level, text));
        }
        self.headings = self.open.iter().map(|(_, text)| text.clone()).collect();
    }

    fn heading(&self, line: &'a str) -> Option<(usize, &'a str)> {
        lines::heading(line).filter(|_| self.format == Format::Markdown && !self.is_part)
    }

    /// Whether a reader sees nothing of `line`, so that nothing should be quoted from there on.
    fn is_skipped(&self, line: &str) -> bool {
        match self.format {
            Format::Rst => lines::is_link_definition(line) || line.trim() == "..",
            Format::Plain => lines::is_rule(line),
            Format::Markdown => {
                lines::is_rule(line)
                    || lines::is_link_definition(line)
                    || lines::is_silent_quote(line)
                    || (line.trim_start().starts_with(['<', '[', '!']) && says_nothing(line))
            }
        }
    }

    fn skip_comment(&mut self) {
        let end = (self.at..self.lines.len()).find(|at| self.lines[*at].contains("-->"));
        // A comment that nobody closed hides one line, not the rest of the file.
        self.at = end.unwrap_or(self.at) + 1;
    }

    /// The name of the directive of reStructuredText that `line` begins.
    fn directive(&self, line: &'a str) -> Option<&'a str> {
        let rest = line.trim_start().strip_prefix(".. ")?;
        let (name, _) = rest.split_once("::")?;
        (self.format == Format::Rst).then(|| name.trim())
    }

    /// Goes over the line of a directive and its options. Code is a block, words stay words, the rest is not to be read.
    fn skip_directive(&mut self, name: &str) {
        let outer = lines::indent(self.lines[self.at]);
        self.at += 1;
        while self.line(self.at).is_some_and(|line| line.trim_start().starts_with(':')) {
            self.at += 1;
        }
        let mut next = self.at;
        while self.line(next).is_some_and(lines::is_blank) {
            next += 1;
        }
        let is_inside = self.line(next).is_some_and(|line| lines::indent(line) > outer);
        if !is_inside {
            return;
        }
        if CODE_DIRECTIVES.contains(&name) {
            self.at = next;
            let end = self.indented_end();
            self.push(Shape::Code, end);
        } else if SILENT_DIRECTIVES.contains(&name) {
            self.at = next;
            self.at = self.indented_end();
        }
    }

    fn rst_overlined(&self) -> bool {
        self.format == Format::Rst
            && !self.is_part
            && self.line(self.at).and_then(|line| lines::underline(line, RST_MARKS)).is_some()
            && self.line(self.at + 2).and_then(|line| lines::underline(line, RST_MARKS)).is_some()
            && self.line(self.at) == self.line(self.at + 2)
    }

    fn is_table(&self, at: usize) -> bool {
        self.format == Format::Markdown
            && self.line(at).is_some_and(|line| line.contains('|'))
            && self.line(at + 1).is_some_and(lines::is_delimiter)
    }

    fn is_indented_code(&self, line: &str) -> bool {
        let after_double_colon = || {
            let previous = self.blocks.last();
            let last = previous.and_then(|block| self.line(block.lines.end - 1));
            last.is_some_and(|line| line.trim_end().ends_with("::"))
        };
        match self.format {
            Format::Markdown => lines::indent(line) >= 4,
            Format::Plain => false,
            Format::Rst => lines::indent(line) >= 1 && after_double_colon(),
        }
    }

    /// The first line from the present one that is blank or that `more` refuses.
    fn while_lines(&self, more: impl Fn(usize, &str) -> bool) -> usize {
        let mut end = self.at;
        while let Some(line) = self.line(end) {
            if lines::is_blank(line) || !more(end, line) {
                break;
            }
            end += 1;
        }
        end
    }

    fn fence_end(&self, from: usize, fence: &Fence) -> usize {
        let close = (from + 1..self.lines.len()).find(|at| fence.is_closed_by(self.lines[*at]));
        close.map_or(self.lines.len(), |at| at + 1)
    }

    fn indented_end(&self) -> usize {
        let least = lines::indent(self.lines[self.at]).min(4);
        let mut end = self.at;
        let mut at = self.at;
        while let Some(line) = self.line(at) {
            if !lines::is_blank(line) {
                if lines::indent(line) < least {
                    break;
                }
                end = at + 1;
            }
            at += 1;
        }
        end
    }

    fn item_end(&self, marker: Marker) -> usize {
        let mut end = self.at + 1;
        let mut at = end;
        let mut after_blank = false;
        while let Some(line) = self.line(at) {
            if lines::is_blank(line) {
                after_blank = true;
                at += 1;
                continue;
            }
            let outside = lines::indent(line) <= marker.indent;
            let ends = outside
                && (after_blank
                    || lines::marker(line).is_some()
                    || lines::heading(line).is_some()
                    || lines::is_rule(line)
                    || Fence::open(line).is_some());
            if ends {
                break;
            }
            at = Fence::open(line).map_or(at + 1, |fence| self.fence_end(at, &fence));
            end = at;
            after_blank = false;
        }
        end
    }

    /// A paragraph, or a heading that the next line underlines.
    fn paragraph(&mut self) {
        let from = self.at;
        let marks = if self.format == Format::Rst { RST_MARKS } else { "=-" };
        let end = self.while_lines(|at, line| {
            at == from
                || !(self.heading(line).is_some()
                    || (self.format != Format::Rst && Fence::open(line).is_some())
                    || lines::underline(line, marks).is_some()
                    || line.trim_start().starts_with("<!--")
                    || self.is_table(at)
                    || lines::marker(line).is_some_and(|marker| marker.indent < 4))
        });
        let underline = self.line(end).and_then(|line| lines::underline(line, marks));
        // Only one line is a title; more are a paragraph that a rule follows.
        let is_line = end == from + 1 && !self.is_part;
        let Some(mark) = underline.filter(|_| is_line) else {
            match lines::bold_title(self.lines[from]).filter(|_| is_line && self.has_text_after(end)) {
                Some(title) => {
                    self.push_heading(BOLD, title);
                    self.at = end;
                }
                None => self.push(Shape::Paragraph, end),
            }
            return;
        };
        let level = self.underline_level(mark, from);
        self.push_heading(level, self.lines[from].trim());
        self.at = end + 1;
    }

    /// Whether something other than a heading follows, so that a title has something to be the title of.
    fn has_text_after(&self, end: usize) -> bool {
        let next = self.lines[end..].iter().find(|line| !lines::is_blank(line));
        self.format == Format::Markdown
            && next.is_some_and(|line| lines::heading(line).is_none() && !lines::is_rule(line))
    }

    fn underline_level(&mut self, mark: char, title: usize) -> usize {
        if self.format != Format::Rst {
            return if mark == '=' { 1 } else { 2 };
        }
        let over = title.checked_sub(1).and_then(|at| self.line(at));
        let over = over.and_then(|line| lines::underline(line, RST_MARKS)) == Some(mark);
        let known = self.underlines.iter().position(|style| *style == (mark, over));
        let level = known.unwrap_or_else(|| {
            self.underlines.push((mark, over));
            self.underlines.len() - 1
        });
        level + 1
    }
}
