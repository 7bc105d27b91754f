//! Which passages are shown, and in which order. Pure: candidates in, choice out.

use std::collections::BTreeSet;

use super::passage::{Form, Passage};
use super::question::Sort;
use super::terms::Term;

/// Passages in one answer.
pub(super) const SHOWN: usize = 3;
/// Passages of one section in one answer.
const OF_SECTION: usize = 2;

/// Words of a heading that a question does not repeat by chance.
const FORESEEN: usize = 3;
/// Words of a heading that is long.
const LONG_HEADING: usize = 8;

/// A word of the question as the documents have it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Concept {
    /// Stems that stand for it, and how well.
    pub(super) stems: Vec<(String, f32)>,
    /// How much it tells: what few passages have tells more.
    pub(super) weight: f32,
}

/// The question as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    pub(super) sort: Sort,
    /// All its words, in order.
    pub(super) words: Vec<Term>,
}

/// A passage that may be shown.
#[derive(Debug, Clone)]
pub(super) struct Contender<'a> {
    pub(super) key: String,
    pub(super) file: &'a str,
    pub(super) passage: &'a Passage,
    /// What the index thinks of it.
    pub(super) score: f32,
    pub(super) text: Vec<Term>,
    pub(super) heading: Vec<Term>,
    pub(super) above: Vec<Term>,
    /// The part of its characters that is links, from 0 to 1.
    pub(super) linked: f32,
}

/// How strict the choice is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    /// The least score, as a part of the best one.
    pub(super) score: f32,
    /// The least share of the question that is met, as a part of the best one.
    pub(super) coverage: f32,
}

/// A first answer shows only what is near the best; whoever asks for more wants what is farther away.
pub(super) const FIRST: Bar = Bar { score: 0.45, coverage: 0.6 };
pub(super) const FURTHER: Bar = Bar { score: 0.02, coverage: 0.3 };

/// The choice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    /// Places in the list of contenders, best first.
    pub(super) chosen: Vec<usize>,
    /// Whether asking for more would bring something.
    pub(super) has_more: bool,
}

#[derive(Debug, Clone, Copy)]
struct Rated {
    at: usize,
    /// What orders the passages.
    rank: f32,
    /// What decides whether one is shown: the rank without what is only said above the passage.
    score: f32,
    coverage: f32,
    /// The question says the heading above it word by word.
    is_foreseen: bool,
}

/// Chooses what to show; `shown` holds the keys of what was shown before.
pub(super) fn choose(
    contenders: &[Contender<'_>],
    concepts: &[Concept],
    question: &Question,
    shown: &BTreeSet<String>,
    bar: Bar,
    limit: usize,
) -> Choice {
    let mut rated: Vec<Rated> = Vec::with_capacity(contenders.len());
    for (at, contender) in contenders.iter().enumerate() {
        let coverage = coverage(contender, concepts);
        let score = rate(contender, concepts, coverage, question);
        let repeated = question.repeats(&contender.heading);
        let rank = score * foreseen(repeated, contender.passage.opens);
        rated.push(Rated { at, rank, score, coverage, is_foreseen: repeated >= FORESEEN });
    }
    // Equal scores are settled by the place in the documents, so that an answer is the same every time.
    rated.sort_by(|a, b| {
        let place = |rated: &Rated| (contenders[rated.at].file, contenders[rated.at].passage.line);
        b.rank.total_cmp(&a.rank).then_with(|| place(a).cmp(&place(b)))
    });
    let best = rated.iter().map(|rated| rated.score).fold(0.0, f32::max);
    let most = rated.iter().map(|rated| rated.coverage).fold(0.0, f32::max);
    let first = rated.first().map(|best| best.at);
    let passes = |rated: &&Rated, bar: Bar| {
        // Whatever the bar, an answer that exists is given.
        let is_best = shown.is_empty() && first == Some(rated.at);
        let is_good = rated.score > 0.0 && (rated.is_foreseen || rated.score >= bar.score * best);
        is_best || (is_good && rated.coverage >= bar.coverage * most)
    };
    let mut chosen: Vec<usize> = Vec::new();
    let fresh = rated.iter().filter(|rated| !shown.contains(&contenders[rated.at].key));
    let fresh: Vec<Rated> = fresh.copied().collect();
    for candidate in fresh.iter().filter(|rated| passes(rated, bar)) {
        if chosen.len() == limit {
            break;
        }
        let others = chosen.iter().map(|at| &contenders[*at]);
        if is_diverse(&contenders[candidate.at], others) {
            chosen.push(candidate.at);
        }
    }
    let is_chosen = |rated: &Rated| {
        let key = &contenders[rated.at].key;
        chosen.iter().any(|at| contenders[*at].key == *key)
    };
    let mut left = fresh.iter().filter(|rated| passes(rated, FURTHER));
    let has_more = left.any(|rated| !is_chosen(rated));
    Choice { chosen, has_more }
}

/// The part of the question's weight that the passage meets, from 0 to 1.
fn coverage(contender: &Contender<'_>, concepts: &[Concept]) -> f32 {
    let all: f32 = concepts.iter().map(|concept| concept.weight).sum();
    // The longer a heading is, the less one word of it says what the section is about.
    let headed = if contender.heading.len() > LONG_HEADING { 0.5 } else { 0.8 };
    let met = concepts.iter().map(|concept| {
        let text = strength(&contender.text, concept);
        let heading = headed * strength(&contender.heading, concept);
        let above = 0.5 * strength(&contender.above, concept);
        concept.weight * text.max(heading).max(above)
    });
    if all > 0.0 { met.sum::<f32>() / all } else { 0.0 }
}

fn strength(terms: &[Term], concept: &Concept) -> f32 {
    let stems = concept.stems.iter();
    let present = stems.filter(|(stem, _)| terms.iter().any(|term| term.stem == *stem));
    present.map(|(_, strength)| *strength).fold(0.0, f32::max)
}

fn rate(contender: &Contender<'_>, concepts: &[Concept], coverage: f32, question: &Question) -> f32 {
    let sort = question.sort;
    let mut score = contender.score * (0.25 + 0.75 * coverage * coverage);
    score *= 1.0 + 0.3 * nearness(&contender.text, concepts);
    if sort == Sort::HowTo {
        score *= instructs(&contender.text, concepts);
    }
    if sort == Sort::Definition && concepts.len() == 1 && defines(&contender.text, &concepts[0]) {
        score *= 1.35;
    }
    if sort == Sort::Quantity {
        score *= counted(&contender.text, concepts);
    }
    let subject = share(first_terms(&contender.text, 6), concepts);
    score *= 1.0 + subject * if sort == Sort::Definition { 0.6 } else { 0.2 };
    if contender.passage.opens {
        let heading = share(&contender.heading, concepts);
        score *= 1.0 + heading * if sort == Sort::Definition { 0.4 } else { 0.25 };
    }
    score * shape(contender, sort)
}

impl Question {
    /// How many words a heading has, if the question says it word by word; otherwise 0.
    fn repeats(&self, heading: &[Term]) -> usize {
        let is_number = |stem: &&str| stem.starts_with(|c: char| c.is_ascii_digit());
        let heading = heading.iter().map(|term| term.stem.as_str()).skip_while(is_number);
        let heading: Vec<&str> = heading.collect();
        let words: Vec<&str> = self.words.iter().map(|term| term.stem.as_str()).collect();
        let is_said = !heading.is_empty() && words.windows(heading.len()).any(|part| part == heading);
        if is_said { heading.len() } else { 0 }
    }
}

/// What it is worth that the question repeats so many words of a heading: whoever wrote the heading foresaw the question.
fn foreseen(words: usize, opens: bool) -> f32 {
    match (words, opens) {
        (..2, _) => 1.0,
        (2, true) => 2.5,
        (2, false) => 1.6,
        (FORESEEN.., true) => 5.0,
        (FORESEEN.., false) => 3.0,
    }
}

/// What it is worth that a passage gives instructions: "How to restore …", or "To restore a copy, …" where the question
/// was how to restore one.
fn instructs(terms: &[Term], concepts: &[Concept]) -> f32 {
    let is_how_to = terms.len() > 2 && terms[0].stem == "how" && terms[1].stem == "to";
    let act = |stem: &str| {
        let first = concepts.first();
        first.is_some_and(|concept| concept.stems.iter().any(|(known, _)| known == stem))
    };
    let names_act = |pair: &[Term]| pair[0].stem == "to" && act(&pair[1].stem);
    match terms.windows(2).position(names_act) {
        Some(0) => 1.8,
        Some(_) => 1.3,
        None if is_how_to => 1.4,
        None => 1.0,
    }
}

/// Whether a sentence says what the concept is: "a lease is …", "leases are …".
fn defines(terms: &[Term], concept: &Concept) -> bool {
    let verbs = ["is", "are", "mean", "repres", "consist", "has", "describ"];
    let is_concept = |term: &Term| concept.stems.iter().any(|(stem, _)| *stem == term.stem);
    terms.iter().enumerate().filter(|(_, term)| is_concept(term)).any(|(at, term)| {
        // "A lease of a node is": what stands between belongs to the lease.
        let belongs = terms.get(at + 1).is_some_and(|next| matches!(next.stem.as_str(), "of" | "in" | "for"));
        let reach = term.position + if belongs { 4 } else { 2 };
        let next = terms[at + 1..].iter().take_while(|next| next.position <= reach);
        next.into_iter().any(|next| verbs.contains(&next.stem.as_str()))
    })
}

/// What a number before one of the concepts is worth: "10,000 entries", and more so "at most 10,000 entries".
fn counted(terms: &[Term], concepts: &[Concept]) -> f32 {
    let bounds = ["most", "limit", "maximum", "least", "up", "than"];
    let is_number = |term: &Term| term.stem.starts_with(|c: char| c.is_ascii_digit());
    let is_concept = |term: &Term| {
        let mut stems = concepts.iter().flat_map(|concept| &concept.stems);
        stems.any(|(stem, _)| *stem == term.stem)
    };
    let before = |at: usize, within: usize| {
        let from = terms[at].position.saturating_sub(within);
        terms[..at].iter().rev().take_while(move |term| term.position >= from)
    };
    let mut worth: f32 = 1.0;
    for (at, _) in terms.iter().enumerate().filter(|(_, term)| is_concept(term)) {
        if before(at, 2).any(is_number) {
            let is_bound = before(at, 5).any(|term| bounds.contains(&term.stem.as_str()));
            worth = worth.max(if is_bound { 2.0 } else { 1.4 });
        }
    }
    worth
}

/// The share of the concepts that `terms` have, from 0 to 1.
fn share(terms: &[Term], concepts: &[Concept]) -> f32 {
    let all: f32 = concepts.iter().map(|concept| concept.weight).sum();
    let met: f32 = concepts.iter().map(|concept| concept.weight * strength(terms, concept)).sum();
    if all > 0.0 { met / all } else { 0.0 }
}

fn first_terms(terms: &[Term], count: usize) -> &[Term] {
    let end = terms.iter().position(|term| term.position >= count).unwrap_or(terms.len());
    &terms[..end]
}

/// How close together the words of the question stand, from 0 (one of them, or far apart) to 1 (side by side).
fn nearness(terms: &[Term], concepts: &[Concept]) -> f32 {
    let mut hits: Vec<(usize, usize)> = Vec::new();
    for (nth, concept) in concepts.iter().enumerate() {
        let is = |term: &&Term| concept.stems.iter().any(|(stem, _)| *stem == term.stem);
        hits.extend(terms.iter().filter(is).map(|term| (term.position, nth)));
    }
    hits.sort_unstable();
    let present: BTreeSet<usize> = hits.iter().map(|(_, nth)| *nth).collect();
    if present.len() < 2 {
        return 0.0;
    }
    let mut narrowest = usize::MAX;
    for (from, (start, _)) in hits.iter().enumerate() {
        let mut met = BTreeSet::new();
        for (position, nth) in &hits[from..] {
            met.insert(nth);
            if met.len() == present.len() {
                narrowest = narrowest.min(position - start);
                break;
            }
        }
    }
    let tight = present.len() - 1;
    let part = present.len() as f32 / concepts.len() as f32;
    part * tight as f32 / narrowest.max(tight) as f32
}

/// What the form of a passage is worth: words before code, substance before crumbs, text before lists of links.
fn shape(contender: &Contender<'_>, sort: Sort) -> f32 {
    let mut factor = 1.0;
    let length = contender.text.last().map_or(0, |last| last.position + 1);
    if length < 5 {
        factor *= 0.45;
    } else if length < 9 {
        factor *= 0.8;
    }
    if contender.linked > 0.6 {
        factor *= 0.35;
    }
    let text = contender.passage.text.as_str();
    let code = code_share(contender.passage);
    factor *= 1.0 - 0.4 * code;
    let has_code = code > 0.0 || text.contains('`');
    match sort {
        Sort::HowTo if has_code => factor * 1.15,
        Sort::Definition | Sort::Quantity | Sort::HowTo | Sort::Other => factor,
    }
}

/// The part of a passage's lines that is code, from 0 to 1.
fn code_share(passage: &Passage) -> f32 {
    if matches!(passage.form, Form::Code { .. }) {
        return 1.0;
    }
    let mut fenced = false;
    let (mut code, mut all) = (0_u16, 0_u16);
    for line in passage.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let is_fence = line.starts_with("```") || line.starts_with("~~~");
        all = all.saturating_add(1);
        code = code.saturating_add(u16::from(fenced || is_fence));
        fenced ^= is_fence;
    }
    f32::from(code) / f32::from(all.max(1))
}

/// Whether a passage adds something to `others`: not the same words again, and not a third one of one section.
fn is_diverse<'a, 'b: 'a>(
    contender: &Contender<'_>,
    others: impl Iterator<Item = &'a Contender<'b>>,
) -> bool {
    let mut of_section = 0;
    for other in others {
        let same_file = other.file == contender.file;
        if same_file && other.passage.headings == contender.passage.headings {
            of_section += 1;
        }
        if is_alike(&other.text, &contender.text) {
            return false;
        }
    }
    of_section < OF_SECTION
}

fn is_alike(one: &[Term], other: &[Term]) -> bool {
    let stems = |terms: &[Term]| -> BTreeSet<String> { terms.iter().map(|term| term.stem.clone()).collect() };
    let (one, other) = (stems(one), stems(other));
    let both = one.intersection(&other).count();
    // Nine tenths of the shorter one's words are in the longer one too.
    both * 10 >= one.len().min(other.len()) * 9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{Format, split};

    #[test]
    fn the_best_is_given_also_where_nothing_meets_the_bar() {
        let passages = split("# A\n\nOne word of two.\n\n# B\n\nBoth words.\n", Format::Markdown);
        let term = |stem: &str| Term { stem: stem.to_owned(), position: 0 };
        let contender = |at: usize, score: f32, text: &[&str]| Contender {
            key: at.to_string(),
            file: "a.md",
            passage: &passages[at],
            score,
            text: text.iter().map(|stem| term(stem)).collect(),
            heading: Vec::new(),
            above: Vec::new(),
            linked: 0.0,
        };
        // The first has most of the score and half of the question, the second the other way round.
        let contenders = [contender(0, 100.0, &["one"]), contender(1, 1.0, &["one", "two"])];
        let concept = |stem: &str| Concept { stems: vec![(stem.to_owned(), 1.0)], weight: 1.0 };
        let concepts = [concept("one"), concept("two")];
        let choice = choose(&contenders, &concepts, &Question::default(), &BTreeSet::new(), FIRST, SHOWN);
        assert_eq!(choice.chosen, [0]);
    }
}
