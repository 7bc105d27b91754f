//! What is wrong in a fleet file, and where.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use thiserror::Error;

/// One thing that is wrong in a fleet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The line, from 1.
    pub line: u32,
    /// The character of the line on which it begins, from 1.
    pub column: u32,
    /// How many characters of the line it takes; at least 1.
    pub width: u32,
    /// The line as it is in the file.
    pub text: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// All that is wrong in a fleet file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
pub struct Faults {
    faults: Vec<Fault>,
}

impl Fault {
    /// A fault of the bytes `span` of `source`.
    pub(super) fn at(
        source: &str,
        span: &Range<usize>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let start = floor(source, span.start);
        let begin = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = source[begin..].find('\n').map_or(source.len(), |length| begin + length);
        let stop = floor(source, span.end).clamp(start, end.max(start));
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        Self {
            line: count_lines(&source[..begin]),
            column: count(&source[begin..start]).saturating_add(1),
            width: count(&source[start..stop]).max(1),
            text: source[begin..end].trim_end().to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl Faults {
    /// Takes the faults, in whatever order; `None` when there are none.
    pub(super) fn of(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults.dedup();
        if faults.is_empty() { None } else { Some(Self { faults }) }
    }

    /// Each of them, in the order of the file's lines. There is at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.faults.iter()
    }

    /// How many there are, in words: `1 fault`, `5 faults`.
    pub fn count(&self) -> String {
        match self.faults.len() {
            1 => "1 fault".to_owned(),
            n => format!("{n} faults"),
        }
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}; {}", self.line, self.column, self.what, self.remedy)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the fleet file has {}", self.count())?;
        for fault in self {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

fn count_lines(before: &str) -> u32 {
    let newlines = before.bytes().filter(|byte| *byte == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

/// The character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
