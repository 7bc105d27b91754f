//! Words of a question to what the documents have for them: the word, its kin, its parts, or a likely spelling.

use tantivy::tokenizer::TextAnalyzer;

use super::error::DocumentsError;
use super::index::{Index, Wanted};
use super::question::Asked;
use super::rank::Concept;
use super::shelf::Shelf;
use super::spelling::likely;
use super::terms::terms;

/// A term that is in at most this many passages is searched for together with its kin.
const RARE: u64 = 2;
/// Letters that kin have in common at least, and by which they differ at most.
const COMMON: usize = 5;
const DIFFERENT: usize = 3;
/// How well kin stand for a rare word, and for one that no document has.
const BESIDE: f32 = 0.5;
const INSTEAD: f32 = 0.8;

/// The words of a question in terms of the documents.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// What an answer has to meet, as far as it can. Empty: there is none.
    pub(super) concepts: Vec<Concept>,
    /// What is searched for.
    pub(super) wanted: Vec<Wanted>,
    /// Words that the documents have, as they were typed.
    pub(super) met: Vec<String>,
    /// Words that no document has.
    pub(super) missing: Vec<String>,
    /// Words that were taken for others.
    pub(super) read_as: Vec<(String, String)>,
}

/// Finds out what the documents have for each word of a question, and for the `context` it stands in.
pub(super) fn resolve(
    asked: &[Asked],
    context: &[Asked],
    index: &Index,
    shelf: &Shelf,
) -> Result<Resolved, DocumentsError> {
    let mut resolved = Resolved::default();
    let mut analyzer = index.analyzer();
    for word in asked {
        // What every question has neither makes an answer nor spoils one; it only orders what was found.
        if word.weight < 1.0 {
            let concepts = concepts(word, index)?;
            resolved.want(&concepts, word.weight);
            continue;
        }
        let mut concepts = concepts(word, index)?;
        if concepts.is_empty()
            && let Some(other) = respelt(word, shelf, &mut analyzer)
        {
            concepts = self::concepts(&other, index)?;
            resolved.read_as.push((word.word.clone(), other.word));
        }
        if concepts.is_empty() {
            resolved.missing.push(word.word.clone());
        } else {
            resolved.met.push(word.word.clone());
        }
        resolved.want(&concepts, word.weight);
        resolved.concepts.extend(concepts);
    }
    for word in context {
        let concepts = concepts(word, index)?;
        resolved.want(&concepts, word.weight);
    }
    Ok(resolved)
}

impl Resolved {
    fn want(&mut self, concepts: &[Concept], weight: f32) {
        for (stem, strength) in concepts.iter().flat_map(|concept| &concept.stems) {
            self.wanted.push(Wanted { stem: stem.clone(), weight: weight * strength });
        }
    }
}

/// What the documents have for a word; nothing, one thing, or one for each part of a name in camel case.
fn concepts(asked: &Asked, index: &Index) -> Result<Vec<Concept>, DocumentsError> {
    if let Some(concept) = concept(&asked.stem, index)? {
        return Ok(vec![concept]);
    }
    let mut concepts = Vec::new();
    for part in &asked.parts {
        match concept(part, index)? {
            Some(concept) => concepts.push(concept),
            None => return Ok(Vec::new()),
        }
    }
    Ok(concepts)
}

fn concept(stem: &str, index: &Index) -> Result<Option<Concept>, DocumentsError> {
    let own = index.frequency(stem)?;
    let mut frequency = own;
    let mut stems = Vec::new();
    if own > 0 {
        stems.push((stem.to_owned(), 1.0));
    }
    if own <= RARE {
        for other in kin(stem, index)? {
            frequency += index.frequency(&other)?;
            stems.push((other, if own > 0 { BESIDE } else { INSTEAD }));
        }
    }
    if stems.is_empty() {
        return Ok(None);
    }
    let passages = index.passages() as f32;
    let frequency = (frequency as f32).min(passages);
    // What few passages have tells more (the measure of BM25).
    let weight = (1.0 + (passages - frequency + 0.5) / (frequency + 0.5)).ln();
    Ok(Some(Concept { stems, weight }))
}

/// Stems that differ from `stem` only by an ending that the stemmer left: `recoveri` and `recov`.
fn kin(stem: &str, index: &Index) -> Result<Vec<String>, DocumentsError> {
    if !stem.is_ascii() || stem.len() < COMMON {
        return Ok(Vec::new());
    }
    let prefix = &stem[..COMMON.max(stem.len().saturating_sub(DIFFERENT))];
    let mut stems = index.stems(prefix)?;
    stems.retain(|other| {
        let is_kin = other.starts_with(stem) || stem.starts_with(other.as_str());
        other != stem && is_kin && other.len().abs_diff(stem.len()) <= DIFFERENT
    });
    Ok(stems)
}

fn respelt(asked: &Asked, shelf: &Shelf, analyzer: &mut TextAnalyzer) -> Option<Asked> {
    let word = likely(&asked.word, shelf.words())?;
    let stem = terms(analyzer, &word).into_iter().next()?.stem;
    Some(Asked { word, stem, parts: Vec::new(), weight: asked.weight })
}
