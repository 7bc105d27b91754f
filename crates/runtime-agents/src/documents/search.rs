//! A search: the index's candidates, looked at closely, and the quotes of those that were chosen.

use std::collections::BTreeSet;

use tantivy::tokenizer::TextAnalyzer;

use super::answer::{Quote, WIDTH};
use super::error::DocumentsError;
use super::index::{Index, searchable};
use super::passage::Passage;
use super::question::Topic;
use super::quote::quote;
use super::rank::{Bar, Choice, Contender, Question, choose};
use super::readable;
use super::resolve::Resolved;
use super::shelf::Shelf;
use super::terms::{Term, complete_analyzer, terms};

/// Passages that are looked at closely for one answer.
const CANDIDATES: usize = 120;
/// Lines that are quoted in one answer, if it is not one long passage.
const LINES: usize = 36;
/// Characters of a quotation's line, which two more characters mark as one.
const QUOTED: usize = WIDTH - 2;

/// What a search came to.
#[derive(Debug, Default)]
pub(super) struct Hits {
    /// Best first; the files by their paths below the folder.
    pub(super) quotes: Vec<Quote>,
    /// The keys of the quoted passages, by which a topic knows them.
    pub(super) keys: Vec<String>,
    /// Whether asking for more would bring something.
    pub(super) has_more: bool,
}

/// Finds at most `limit` passages for `topic` that were not shown before.
pub(super) fn search(
    index: &Index,
    shelf: &Shelf,
    topic: &Topic,
    resolved: &Resolved,
    bar: Bar,
    limit: usize,
) -> Result<Hits, DocumentsError> {
    let candidates = index.candidates(&resolved.wanted, CANDIDATES)?;
    let texts = shelf.by_number();
    let mut analyzer = complete_analyzer();
    let mut contenders = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let Some((file, passages)) = texts.get(&candidate.file) else {
            continue;
        };
        let Some(passage) = passages.get(candidate.nth) else {
            continue;
        };
        contenders.push(contender(file, passage, candidate.score, &mut analyzer));
    }
    let before: BTreeSet<String> = topic.shown.iter().cloned().collect();
    let question = Question { sort: topic.sort, words: terms(&mut analyzer, &topic.question) };
    let concepts = &resolved.concepts;
    let Choice { chosen, has_more } = choose(&contenders, concepts, &question, &before, bar, limit);
    let mut hits = Hits { has_more, ..Hits::default() };
    let mut lines = 0;
    for contender in chosen.iter().map(|at| &contenders[*at]) {
        let quoted = quote(contender.passage, QUOTED);
        lines += quoted.lines.len();
        if lines > LINES && !hits.quotes.is_empty() {
            hits.has_more = true;
            break;
        }
        hits.keys.push(contender.key.clone());
        hits.quotes.push(Quote {
            file: contender.file.to_owned(),
            line: contender.passage.line.saturating_add(u32::try_from(quoted.skipped).unwrap_or(0)),
            headings: contender.passage.headings.to_vec(),
            text: quoted.lines.join("\n"),
        });
    }
    Ok(hits)
}

fn contender<'a>(
    file: &'a str,
    passage: &'a Passage,
    score: f32,
    analyzer: &mut TextAnalyzer,
) -> Contender<'a> {
    let mut terms = |text: &str| -> Vec<Term> { terms(analyzer, text) };
    let (heading, above) = match passage.headings.split_last() {
        Some((heading, above)) => (terms(heading), terms(&above.join(" "))),
        None => (Vec::new(), Vec::new()),
    };
    Contender {
        key: key(passage),
        file,
        passage,
        score,
        text: terms(&searchable(passage)),
        heading,
        above: [above, terms(file)].concat(),
        linked: linked(passage),
    }
}

/// What stays the same about a passage when the rest of its file changes, and what a copy of it has too.
fn key(passage: &Passage) -> String {
    blake3::hash(passage.text.as_bytes()).to_hex()[..16].to_owned()
}

/// The part of a passage that is links, from 0 to 1.
fn linked(passage: &Passage) -> f32 {
    let readable = readable::inline(&passage.text);
    let length = readable.text.chars().filter(|c| c.is_alphanumeric()).count().max(1);
    (readable.linked as f32 / length as f32).min(1.0)
}
