//! Documents to passages: what belongs together stays together, and nothing is longer than a reader wants to see quoted.

use std::ops::Range;
use std::sync::Arc;

use super::blocks::{Block, Format, Shape, blocks};
use super::cut::{PROSE, TAIL, cut_at};
use super::lines;
use super::passage::{Form, Passage};
use super::quote::is_laid_out;
use super::readable;

/// Characters and lines of code that are quoted whole.
const CODE: usize = 1_400;
const CODE_LINES: usize = 20;
/// Lines of a list or a table that are quoted whole.
const WHOLE_LINES: usize = 14;
/// A paragraph shorter than this is read together with the next one.
const SHORT: usize = 60;
/// A paragraph up to this length is taken as the introduction of the code that follows it.
const INTRODUCTION: usize = 220;

struct Splitter<'a> {
    lines: Vec<&'a str>,
    format: Format,
    links: Arc<[String]>,
    passages: Vec<Passage>,
}

/// Splits a document into passages, in the order of the file.
///
/// Every line of a passage's text is a line of the file, or a part of one where a long paragraph had to be cut.
///
/// # Examples
///
/// ```
/// use runtime_agents::documents::{Format, split};
///
/// let passages = split("# Leases\n\nA lease is a node's liveness.\n", Format::Markdown);
/// assert_eq!(passages.len(), 1);
/// assert_eq!(passages[0].line, 3);
/// assert_eq!(passages[0].heading(), Some("Leases"));
/// ```
pub fn split(text: &str, format: Format) -> Vec<Passage> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let blocks = blocks(&lines, format);
    let links = lines.iter().filter_map(|line| lines::link_name(line)).collect();
    let mut splitter = Splitter { lines, format, links, passages: Vec::new() };
    let mut rest = blocks.as_slice();
    while !rest.is_empty() {
        let taken = splitter.unit(rest).max(1);
        rest = &rest[taken.min(rest.len())..];
    }
    splitter.mark_openings();
    splitter.passages
}

impl Splitter<'_> {
    /// Makes passages of the blocks that `rest` begins with, and says how many it used.
    fn unit(&mut self, rest: &[Block]) -> usize {
        let first = &rest[0];
        match first.shape {
            Shape::Paragraph | Shape::Quote => self.paragraph(rest),
            Shape::Item => {
                let items = list(rest);
                self.list(None, items);
                items.len()
            }
            Shape::Table => {
                self.table(None, first);
                1
            }
            Shape::Code => {
                self.code(None, first);
                1
            }
        }
    }

    fn paragraph(&mut self, rest: &[Block]) -> usize {
        let first = &rest[0];
        let next = rest.get(1).filter(|next| next.headings == first.headings);
        let Some(next) = next else {
            self.prose(first.lines.clone(), &first.headings);
            return 1;
        };
        let length = self.length(&first.lines);
        let ends_open = lines::leads_on(self.lines[first.lines.end - 1]);
        match next.shape {
            Shape::Item if ends_open => {
                let items = list(&rest[1..]);
                self.list(Some(first), items);
                1 + items.len()
            }
            Shape::Table if ends_open => {
                self.table(Some(first), next);
                2
            }
            Shape::Code if ends_open || length < INTRODUCTION => {
                self.code(Some(first), next);
                2
            }
            Shape::Paragraph if length < SHORT && self.may_join(first, next, rest.get(2)) => {
                let both = first.lines.start..next.lines.end;
                if self.length(&both) > PROSE {
                    self.prose(first.lines.clone(), &first.headings);
                    return 1;
                }
                self.prose(both, &first.headings);
                2
            }
            _ => {
                self.prose(first.lines.clone(), &first.headings);
                1
            }
        }
    }

    /// Whether a short paragraph may be read together with the next one: not if that introduces what follows it, nor
    /// if the columns of one of them matter.
    fn may_join(&self, first: &Block, next: &Block, after: Option<&Block>) -> bool {
        let leads_on = after.is_some_and(|after| after.shape != Shape::Paragraph)
            && lines::leads_on(self.lines[next.lines.end - 1]);
        let is_laid_out = self.format != Format::Markdown
            && [first, next].iter().any(|block| is_laid_out(&self.lines[block.lines.clone()]));
        !leads_on && !is_laid_out
    }

    fn list(&mut self, lead: Option<&Block>, items: &[Block]) {
        let Some((first, others)) = items.split_first() else {
            return;
        };
        let headings = &first.headings;
        let from = lead.map_or(first.lines.start, |lead| lead.lines.start);
        let end = others.last().map_or(first.lines.end, |last| last.lines.end);
        // A list of definitions is a small dictionary: whoever looks a word up wants that entry.
        let is_dictionary = lead.is_none() && items.len() > 2 && self.defines(items);
        if is_dictionary {
            for item in items {
                self.prose(item.lines.clone(), headings);
            }
            return;
        }
        if self.fits(&(from..end), PROSE, WHOLE_LINES) {
            self.prose(from..end, headings);
            return;
        }
        let with_lead = from..first.lines.end;
        if self.fits(&with_lead, PROSE, WHOLE_LINES) {
            self.prose(with_lead, headings);
        } else {
            if let Some(lead) = lead {
                self.prose(lead.lines.clone(), headings);
            }
            self.prose(first.lines.clone(), headings);
        }
        self.items(others, headings);
    }

    /// Whether each item begins with a word in bold.
    fn defines(&self, items: &[Block]) -> bool {
        items.iter().all(|item| {
            let line = self.lines[item.lines.start].trim_start();
            let text = line.split_once(char::is_whitespace).map_or("", |(_, text)| text);
            text.trim_start().starts_with("**")
        })
    }

    /// Long items by themselves, short ones together with their neighbours.
    fn items(&mut self, items: &[Block], headings: &Arc<[String]>) {
        let mut open: Option<Range<usize>> = None;
        for item in items {
            let together = open.clone().map(|open| open.start..item.lines.end);
            match together.filter(|all| self.fits(all, PROSE / 3, 4)) {
                Some(all) => open = Some(all),
                None => {
                    if let Some(done) = open.replace(item.lines.clone()) {
                        self.prose(done, headings);
                    }
                }
            }
        }
        if let Some(done) = open {
            self.prose(done, headings);
        }
    }

    fn table(&mut self, lead: Option<&Block>, table: &Block) {
        let from = lead.map_or(table.lines.start, |lead| lead.lines.start);
        if self.fits(&(from..table.lines.end), PROSE, WHOLE_LINES) {
            self.prose(from..table.lines.end, &table.headings);
            return;
        }
        if let Some(lead) = lead {
            self.prose(lead.lines.clone(), &table.headings);
        }
        let head = lines::cells(self.lines[table.lines.start]);
        let head: Arc<[String]> =
            head.iter().map(|cell| readable::inline_with(cell, &self.links).text).collect();
        for row in table.lines.start + 2..table.lines.end {
            let text = self.lines[row];
            if text.len() > 2 * PROSE {
                self.cut(row..row + 1, &table.headings);
            } else {
                self.push(row, text.to_owned(), &table.headings, Form::Row { head: head.clone() });
            }
        }
    }

    fn code(&mut self, lead: Option<&Block>, code: &Block) {
        let from = lead.map_or(code.lines.start, |lead| lead.lines.start);
        if self.fits(&(from..code.lines.end), CODE, CODE_LINES) {
            let text = self.lines[from..code.lines.end].join("\n");
            self.push(from, text, &code.headings, Form::Blocks);
            return;
        }
        if let Some(lead) = lead {
            self.prose(lead.lines.clone(), &code.headings);
        }
        let fenced = lines::Fence::open(self.lines[code.lines.start]).filter(|_| self.format != Format::Rst);
        let mut at = code.lines.start;
        let mut end = code.lines.end;
        if let Some(fence) = fenced {
            at += 1;
            if end > at && fence.is_closed_by(self.lines[end - 1]) {
                end -= 1;
            }
        }
        while at < end {
            let to = self.code_end(at, end);
            let mut from = at;
            while from < to && lines::is_blank(self.lines[from]) {
                from += 1;
            }
            let mut last = to;
            while last > from && lines::is_blank(self.lines[last - 1]) {
                last -= 1;
            }
            let text = self.lines[from..last].join("\n");
            if text.len() > 2 * CODE {
                self.cut(from..last, &code.headings);
            } else {
                self.push(from, text, &code.headings, Form::Code { continues: to < end });
            }
            at = to;
        }
    }

    /// Where a piece of a long code block ends: at the last blank line within reach, and not in the middle of a
    /// function unless that is longer than a whole quotation.
    fn code_end(&self, from: usize, end: usize) -> usize {
        let mut reach = from;
        let mut characters = 0;
        while reach < end && reach - from < CODE_LINES {
            characters += self.lines[reach].len() + 1;
            if characters > CODE && reach > from {
                break;
            }
            reach += 1;
        }
        if reach == end {
            return end;
        }
        let blank = |at: &usize| lines::is_blank(self.lines[*at]);
        let outer = |at: &usize| blank(at) && lines::indent(self.lines[at + 1]) == 0;
        let within = from + 4..reach;
        let best = within.clone().rev().find(outer).or_else(|| within.rev().find(blank));
        best.unwrap_or(reach)
    }

    /// Lines of prose: one passage, or several where they are too long.
    fn prose(&mut self, range: Range<usize>, headings: &Arc<[String]>) {
        if self.length(&range) > PROSE + TAIL {
            self.cut(range, headings);
        } else {
            let text = self.lines[range.clone()].join("\n");
            self.push(range.start, text, headings, Form::Blocks);
        }
    }

    fn cut(&mut self, range: Range<usize>, headings: &Arc<[String]>) {
        let text = self.lines[range.clone()].join("\n");
        let mut from = 0;
        while from < text.len() {
            let rest = &text[from..];
            let blank = rest.len() - rest.trim_start().len();
            from += blank;
            let rest = &text[from..];
            if rest.is_empty() {
                break;
            }
            let end = cut_at(rest);
            let line = range.start + text[..from].matches('\n').count();
            self.push(line, rest[..end].trim_end().to_owned(), headings, Form::Blocks);
            from += end;
        }
    }

    fn push(&mut self, line: usize, text: String, headings: &Arc<[String]>, form: Form) {
        // Badges, rules and empty rows have nothing to say.
        let says_something = match &form {
            Form::Code { .. } => text.contains(char::is_alphanumeric),
            _ => readable::inline(&text).text.contains(char::is_alphanumeric),
        };
        if !says_something {
            return;
        }
        let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
        let headings = headings.clone();
        let (format, links) = (self.format, self.links.clone());
        self.passages.push(Passage { line, headings, text, form, format, links, opens: false });
    }

    fn mark_openings(&mut self) {
        let mut previous: Option<Arc<[String]>> = None;
        for passage in &mut self.passages {
            passage.opens = previous.as_ref() != Some(&passage.headings);
            previous = Some(passage.headings.clone());
        }
    }

    fn length(&self, range: &Range<usize>) -> usize {
        self.lines[range.clone()].iter().map(|line| line.len() + 1).sum()
    }

    fn fits(&self, range: &Range<usize>, characters: usize, lines: usize) -> bool {
        range.len() <= lines && self.length(range) <= characters
    }
}

/// The list items that `blocks` begins with and that stand in one list.
fn list(blocks: &[Block]) -> &[Block] {
    let same = |block: &&Block| block.shape == Shape::Item && block.headings == blocks[0].headings;
    &blocks[..blocks.iter().take_while(same).count()]
}
