//! The text of an answer. Pure: what was found in, words out.

use serde::{Deserialize, Serialize};

use super::question::Topic;

/// Characters of a line of an answer.
pub(super) const WIDTH: usize = 88;
/// Characters of the headings that are shown whatever the length of the file's name.
const LEAST_HEADING: usize = 24;
/// Words that are found for each that is missing, if it is not worth while to name them.
const MANY: usize = 3;
/// Documents that are named when nothing was found.
const NAMED: usize = 6;

/// What the librarian says, and what the conversation is about afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The parts of the text, in order: one per quoted passage, and what is said around them. Joined they are the text.
    pub pieces: Vec<String>,
    /// What the next question may follow up.
    pub topic: Option<Topic>,
    /// The passages that are quoted, best first.
    pub quotes: Vec<Quote>,
}

/// A passage that an answer quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The file's path as a reader can open it: the documents folder as it was given, and the path below it.
    pub file: String,
    /// The line on which the quoted passage begins, from 1.
    pub line: u32,
    /// The headings it stands under, outermost first.
    pub headings: Vec<String>,
    /// The passage, readable, without the marks of a quotation.
    pub text: String,
}

/// What a question led to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Empty,
    NoTopic,
    NoDocuments {
        skipped: Vec<String>,
    },
    /// Nothing has the question's words.
    Nothing {
        missing: Vec<String>,
        titles: Vec<String>,
        documents: usize,
        skipped: Vec<String>,
    },
    Found(Found),
    /// Everything on the topic has been shown.
    Exhausted {
        question: String,
    },
}

/// How an answer follows up a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Follows {
    /// With more on it.
    On(String),
    /// With what stands beside the passages on it, because there are no more of these.
    Beside(String),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    pub(super) quotes: Vec<Quote>,
    pub(super) follows: Option<Follows>,
    /// Words of the question that some document has, and those that none has.
    pub(super) met: Vec<String>,
    pub(super) missing: Vec<String>,
    /// Words of the question that were taken for a word that the documents have.
    pub(super) read_as: Vec<(String, String)>,
    pub(super) has_more: bool,
}

impl Answer {
    /// The whole text.
    pub fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// The parts of the text for `outcome`; `folder` is the documents folder as a reader knows it.
pub(super) fn compose(outcome: &Outcome, folder: &str) -> Vec<String> {
    match outcome {
        Outcome::Empty => vec![format!("The question is empty. Ask what you want to know from {folder}.")],
        Outcome::NoTopic => vec![format!(
            "There is no topic to go on with yet. Ask first what you want to know from {folder}."
        )],
        Outcome::NoDocuments { skipped } => vec![no_documents(skipped, folder)],
        Outcome::Nothing { missing, titles, documents, skipped } => {
            vec![nothing(missing, titles, *documents, folder) + &not_searched(skipped)]
        }
        Outcome::Exhausted { question } => {
            vec![format!("That is all that {folder} has on \"{question}\".")]
        }
        Outcome::Found(found) => found_pieces(found, folder),
    }
}

fn found_pieces(found: &Found, folder: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut notes = Vec::new();
    for (word, read_as) in &found.read_as {
        notes.push(format!("No document has `{word}`; I read it as `{read_as}`."));
    }
    if !found.missing.is_empty() {
        notes.push(missed(found, folder));
    }
    match &found.follows {
        Some(Follows::On(question)) => notes.push(format!("More on \"{question}\":")),
        Some(Follows::Beside(question)) => {
            notes.push(format!("No other passage is on \"{question}\". Next to those that are:"));
        }
        None => {}
    }
    if !notes.is_empty() {
        pieces.push(notes.join("\n"));
    }
    pieces.extend(found.quotes.iter().map(quoted));
    if found.has_more {
        pieces.push("There is more on this: ask \"tell me more\".".to_owned());
    }
    let last = pieces.len().saturating_sub(1);
    for piece in &mut pieces[..last] {
        piece.push_str("\n\n");
    }
    pieces
}

/// What is said before passages that do not meet the whole question.
fn missed(found: &Found, folder: &str) -> String {
    let met = listed(&found.met, "and");
    if found.missing.len() >= found.met.len() {
        let missing = listed(&found.missing, "or");
        return format!("I found nothing on {missing} in {folder}. The nearest, on {met}:");
    }
    let missing = listed(&found.missing, "and");
    let occur = if found.missing.len() == 1 { "occurs" } else { "occur" };
    let nearest = if found.met.len() >= MANY * found.missing.len() {
        "On the rest of the question:".to_owned()
    } else {
        format!("The nearest, on {met}:")
    };
    format!("{missing} {occur} nowhere in {folder}. {nearest}")
}

fn quoted(quote: &Quote) -> String {
    let mut text = format!("{}:{}", quote.file, quote.line);
    // The title of a document repeats its name; the headings below it say where in the document this is.
    let headings = if quote.headings.len() > 1 { &quote.headings[1..] } else { &quote.headings[..] };
    if !headings.is_empty() {
        let room = WIDTH.saturating_sub(text.chars().count() + 2).max(LEAST_HEADING);
        text.push_str("  ");
        text.push_str(&clipped(&headings.join(" › "), room));
    }
    for line in quote.text.lines() {
        text.push_str(if line.is_empty() { "\n>" } else { "\n> " });
        text.push_str(line);
    }
    text
}

fn clipped(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let text: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{}…", text.trim_end())
}

fn nothing(missing: &[String], titles: &[String], documents: usize, folder: &str) -> String {
    let counted =
        if documents == 1 { "the one document".to_owned() } else { format!("the {documents} documents") };
    let missing = listed(missing, "or");
    let mut text = format!("I found nothing on {missing} in {counted} of {folder}.");
    if !titles.is_empty() {
        let named: Vec<String> = titles.iter().take(NAMED).map(|title| format!("\"{title}\"")).collect();
        let rest = if titles.len() > NAMED { ", and others" } else { "" };
        text.push_str(&format!("\nThey are about: {}{rest}.", named.join(", ")));
    }
    text
}

fn no_documents(skipped: &[String], folder: &str) -> String {
    let text = format!("There is nothing to read in {folder}: put .md, .markdown, .txt or .rst files there.");
    text + &not_searched(skipped)
}

/// What may have held the answer, and could not be read.
fn not_searched(skipped: &[String]) -> String {
    if skipped.is_empty() {
        return String::new();
    }
    let named: Vec<&str> = skipped.iter().take(NAMED).map(String::as_str).collect();
    let rest = skipped.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!(", and {rest} more") } else { String::new() };
    format!("\nNot searched: {}{rest}.", named.join(", "))
}

fn listed(words: &[String], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => "that".to_owned(),
        Some((only, [])) => only.clone(),
        Some((end, others)) => format!("{} {last} {end}", others.join(", ")),
    }
}
