//! The unit of an answer: a few lines of a document that can be quoted by themselves.

use std::sync::Arc;

use super::blocks::Format;

/// A piece of a document: a paragraph, a few list items, a table or one of its rows, a code block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The line of the file on which it begins, from 1.
    pub line: u32,
    /// The headings it stands under, outermost first, without markup.
    pub headings: Arc<[String]>,
    /// Its lines as they are in the file, joined by `\n`.
    pub text: String,
    /// How the text has to be read.
    pub form: Form,
    /// How the file is written.
    pub format: Format,
    /// The names of the links that its file defines, so that `[name]` can be told from text in brackets.
    pub(super) links: Arc<[String]>,
    /// Whether it is the first below its heading, where a section says what it is about.
    pub opens: bool,
}

/// How the text of a [`Passage`] has to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Whole blocks: paragraphs, list items, small tables, code in its fences.
    Blocks,
    /// One row of a table that is too large to be quoted whole, with the cells of the table's head.
    Row {
        /// The cells of the head, without markup.
        head: Arc<[String]>,
    },
    /// Lines of code out of a block that is too large to be quoted whole.
    Code {
        /// Whether lines of the block follow.
        continues: bool,
    },
}

impl Passage {
    /// The innermost heading, if there is one.
    pub fn heading(&self) -> Option<&str> {
        self.headings.last().map(String::as_str)
    }
}
