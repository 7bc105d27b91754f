//! A search: the index's candidates, looked at closely, and the quotes of those that were chosen.

use std::collections::BTreeSet;

use tantivy::tokenizer::TextAnalyzer;

use super::answer::{Quote, WIDTH};
use super::error::DocumentsError;
use super::index::{Index, searchable};
use super::passage::Passage;
use super::question::Topic;
use super::quote::quote;
use super::rank::{Bar, Choice, Contender, Question, SHOWN, choose};
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
    let chosen = chosen.iter().map(|at| (contenders[*at].file, contenders[*at].passage));
    Ok(Hits::of(chosen, has_more))
}

/// Finds what stands beside the passages of `topic` that were shown, in their sections, and was not shown itself.
pub(super) fn around(
    index: &Index,
    shelf: &Shelf,
    topic: &Topic,
    resolved: &Resolved,
) -> Result<Hits, DocumentsError> {
    let candidates = index.candidates(&resolved.wanted, CANDIDATES)?;
    let texts = shelf.by_number();
    let mut known: BTreeSet<String> = topic.shown.iter().cloned().collect();
    let mut found: Vec<(&str, &Passage)> = Vec::new();
    for candidate in candidates {
        let Some((file, passages)) = texts.get(&candidate.file) else { continue };
        let Some(shown) = passages.get(candidate.nth).filter(|passage| topic.shown.contains(&key(passage)))
        else {
            continue;
        };
        let beside = [candidate.nth.checked_add(1), candidate.nth.checked_sub(1)];
        let beside = beside.into_iter().flatten().filter_map(|nth| passages.get(nth));
        for passage in beside.filter(|passage| passage.headings == shown.headings) {
            if known.insert(key(passage)) {
                found.push((file, passage));
            }
        }
    }
    let has_more = found.len() > SHOWN;
    Ok(Hits::of(found.into_iter().take(SHOWN), has_more))
}

impl Hits {
    /// Quotes passages, as many as fit into one answer.
    fn of<'a>(passages: impl Iterator<Item = (&'a str, &'a Passage)>, has_more: bool) -> Hits {
        let mut hits = Hits { has_more, ..Hits::default() };
        let mut lines = 0;
        for (file, passage) in passages {
            let quoted = quote(passage, QUOTED);
            lines += quoted.lines.len();
            if lines > LINES && !hits.quotes.is_empty() {
                hits.has_more = true;
                break;
            }
            hits.keys.push(key(passage));
            hits.quotes.push(Quote {
                file: file.to_owned(),
                line: passage.line.saturating_add(u32::try_from(quoted.skipped).unwrap_or(0)),
                headings: passage.headings.to_vec(),
                text: quoted.lines.join("\n"),
            });
        }
        hits
    }
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
