//! Question to intent: what it is about, or that it asks to go on with the last topic. Pure.

use runtime_traits::{HasSchema, Schema};
use serde::{Deserialize, Serialize};
use tantivy::tokenizer::TextAnalyzer;

use super::terms::{terms, words};
use super::vocabulary::{Role, role};

/// Weight of a word that questions share (`work`, `use`).
const SOFT: f32 = 0.25;
/// Weight of a word that may as well ask to go on (`continue`, `details`).
const TALK: f32 = 0.4;
/// Weight of the last topic in a question that points back to it.
const CONTEXT: f32 = 0.25;
/// Passages that a topic remembers as shown.
const REMEMBERED: usize = 128;
/// Characters of a question that a topic remembers, and words of it that are searched for.
const QUESTION: usize = 160;
const WORDS: usize = 32;

/// What the last question was about, and what was already shown of it.
///
/// It is plain data, so that a conversation can be kept anywhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    /// The question that began the topic.
    pub question: String,
    pub(super) asked: Vec<Asked>,
    pub(super) sort: Sort,
    pub(super) shown: Vec<String>,
}

impl HasSchema for Topic {
    fn schema() -> Schema {
        Schema::new("librarian-topic", 1)
    }
}

/// A word of a question that is searched for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// As it was typed.
    pub(super) word: String,
    pub(super) stem: String,
    /// The stems of its parts, if it is a name in camel case.
    pub(super) parts: Vec<String>,
    pub(super) weight: f32,
}

/// What sort of answer a question hopes for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sort {
    /// "What is a lease?"
    Definition,
    /// "How many …", "how long …".
    Quantity,
    /// "How do I …".
    HowTo,
    #[default]
    Other,
}

/// What is to be done about a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Intent {
    /// There are no words in it.
    Empty,
    /// It asks to go on, and there is no topic yet.
    NoTopic,
    /// It asks to go on with the last topic.
    More(Topic),
    /// It is a question in its own right.
    Ask { topic: Topic, context: Vec<Asked> },
}

struct Word<'a> {
    text: &'a str,
    lower: String,
    role: Role,
}

impl Topic {
    /// Remembers that passages were shown; the oldest are forgotten first.
    pub(super) fn show(&mut self, keys: impl IntoIterator<Item = String>) {
        self.shown.extend(keys);
        let excess = self.shown.len().saturating_sub(REMEMBERED);
        self.shown.drain(..excess);
    }
}

/// Reads a question, which `topic` may precede.
pub(super) fn read(question: &str, topic: Option<&Topic>, analyzer: &mut TextAnalyzer) -> Intent {
    let words = classified(question);
    if words.is_empty() {
        return Intent::Empty;
    }
    let with = |wanted: Role, weight: f32, analyzer: &mut TextAnalyzer| -> Vec<Asked> {
        let words = words.iter().filter(|word| word.role == wanted);
        words.filter_map(|word| asked(word.text, weight, analyzer)).collect()
    };
    let mut content = with(Role::Content, 1.0, analyzer);
    let asks_for_more = words.iter().any(|word| word.role == Role::More);
    if content.is_empty() {
        if let Some(topic) = topic {
            return Intent::More(topic.clone());
        }
        // "How does it work?" as the first question is about whatever words it has.
        content = with(Role::Soft, 1.0, analyzer);
        if content.is_empty() || asks_for_more {
            return Intent::NoTopic;
        }
    } else if let Some(topic) = topic.filter(|_| asks_for_more) {
        let known = |asked: &Asked| topic.asked.iter().any(|old| old.stem == asked.stem);
        if content.iter().all(known) {
            return Intent::More(topic.clone());
        }
    }
    let mut asked = content;
    for (role, weight) in [(Role::Talk, TALK), (Role::Soft, SOFT)] {
        for more in with(role, weight, analyzer) {
            if asked.iter().all(|asked| asked.stem != more.stem) {
                asked.push(more);
            }
        }
    }
    asked.truncate(WORDS);
    let context = topic.filter(|_| points_back(&words)).map(|topic| context(topic, &asked));
    let question = question.split_whitespace().collect::<Vec<_>>().join(" ");
    let question = question.chars().take(QUESTION).collect();
    let topic = Topic { question, asked, sort: sort(&words), shown: Vec::new() };
    Intent::Ask { topic, context: context.unwrap_or_default() }
}

fn classified(question: &str) -> Vec<Word<'_>> {
    let mut classified: Vec<Word<'_>> = words(question)
        .map(|(_, text)| {
            let lower = text.to_lowercase();
            let role = role(&lower);
            Word { text, lower, role }
        })
        .collect();
    let asks_for_more = classified.iter().any(|word| word.role == Role::More);
    for at in 0..classified.len() {
        if classified[at].role != Role::Piece {
            continue;
        }
        let before = &classified[at.saturating_sub(2)..at];
        let named = before.last().is_some_and(|word| matches!(word.lower.as_str(), "about" | "on"));
        let points_back = before.iter().any(|word| word.role == Role::Back);
        // In "more about that last topic" the topic is no word to search for; in "what is a topic?" it is.
        let is_talk = points_back || (asks_for_more && !named);
        classified[at].role = if is_talk { Role::Grammar } else { Role::Content };
    }
    classified
}

fn asked(word: &str, weight: f32, analyzer: &mut TextAnalyzer) -> Option<Asked> {
    let mut stems = terms(analyzer, word).into_iter().map(|term| term.stem);
    let stem = stems.next()?;
    Some(Asked { word: word.to_owned(), stem, parts: stems.collect(), weight })
}

fn context(topic: &Topic, asked: &[Asked]) -> Vec<Asked> {
    let new = topic.asked.iter().filter(|old| asked.iter().all(|asked| asked.stem != old.stem));
    new.map(|old| Asked { weight: old.weight * CONTEXT, ..old.clone() }).collect()
}

fn points_back(words: &[Word<'_>]) -> bool {
    let follows_on = match words {
        [first, ..] if first.lower == "and" => true,
        [first, second, ..] => matches!(first.lower.as_str(), "what" | "how") && second.lower == "about",
        _ => false,
    };
    follows_on
        || words.iter().enumerate().any(|(at, word)| match word.lower.as_str() {
            // "That" also joins sentences; alone or before a common word it points back.
            "that" => words.get(at + 1).is_none_or(|next| matches!(next.role, Role::Soft)),
            _ => word.role == Role::Back,
        })
}

fn sort(words: &[Word<'_>]) -> Sort {
    let lower: Vec<&str> = words.iter().map(|word| word.lower.as_str()).collect();
    match lower.as_slice() {
        ["how", "many" | "much" | "long" | "big" | "large" | "fast" | "often" | "far" | "soon", ..] => {
            Sort::Quantity
        }
        ["how", "do" | "can" | "to" | "should" | "would" | "could", ..] => Sort::HowTo,
        ["define" | "whats", ..] | ["what", "is" | "are" | "s", ..] => Sort::Definition,
        ["what", "does" | "do", .., "mean" | "means" | "do"] => Sort::Definition,
        _ => Sort::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_forgets_what_it_showed_first() {
        let mut topic = Topic::default();
        topic.show((0..200).map(|n| n.to_string()));
        topic.show(["last".to_owned()]);
        assert_eq!(topic.shown.len(), REMEMBERED);
        assert_eq!(topic.shown.last().map(String::as_str), Some("last"));
    }
}
