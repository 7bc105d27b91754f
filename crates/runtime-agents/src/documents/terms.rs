//! Text to terms: how words are cut, folded and stemmed, the same way for documents and questions.

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, RemoveLongFilter, Stemmer, StopWordFilter, TextAnalyzer, Token,
    TokenStream, Tokenizer,
};

/// Parts of a name that is a sentence.
const SENTENCE: usize = 5;
/// Characters of the longest word that is indexed.
const LONGEST: usize = 60;

/// One term of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) stem: String,
    /// Where its word stands among the words of the text.
    pub(super) position: usize,
}

/// Cuts text into words. `AtMostOnce` is a word and also its three parts; the `s` of `run's` is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Words;

/// The words of one text.
#[derive(Debug)]
pub(super) struct WordStream {
    tokens: Vec<Token>,
    /// Number of the present token plus one.
    at: usize,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream {
        let mut tokens = Vec::new();
        let mut position = 0;
        for (from, word) in words(text) {
            let mut token = |from: usize, part: &str, position| {
                tokens.push(Token {
                    offset_from: from,
                    offset_to: from + part.len(),
                    position,
                    text: folded(part),
                    position_length: 1,
                });
            };
            token(from, word, position);
            let parts = parts(word);
            for (nth, (offset, part)) in parts.iter().enumerate().filter(|_| parts.len() > 1) {
                token(from + offset, part, position + nth);
            }
            position += parts.len().max(1);
        }
        WordStream { tokens, at: 0 }
    }
}

impl TokenStream for WordStream {
    fn advance(&mut self) -> bool {
        self.at += 1;
        self.at <= self.tokens.len()
    }

    fn token(&self) -> &Token {
        &self.tokens[self.at - 1]
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.tokens[self.at - 1]
    }
}

/// `word` in lower case and in the spelling that the index uses for words that are spelt in two ways.
fn folded(word: &str) -> String {
    let word = word.to_lowercase();
    let replaced = |from: &str, to: &str| word.replace(from, to);
    match word.as_str() {
        "licence" | "licences" | "licenced" | "defence" | "offence" | "artefact" | "artefacts" => {
            replaced("ence", "ense").replace("artef", "artif")
        }
        w if w.len() > 5 && w.contains("isation") => replaced("isation", "ization"),
        w if w.len() > 6
            && ["ise", "ised", "iser", "ises", "ising", "isable"].iter().any(|end| w.ends_with(end)) =>
        {
            let at = word.rfind("is").unwrap_or(word.len());
            format!("{}iz{}", &word[..at], &word[at + 2..])
        }
        w if w.len() > 5 && w.contains("our") && !w.contains("source") && !w.contains("hour") => {
            replaced("our", "or")
        }
        _ => word,
    }
}

/// Letters and digits in a row, with the places where they begin.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(char::is_alphanumeric)?;
            let end = start + word_length(&rest[start..]);
            let word = &rest[start..end];
            let from = text.len() - rest.len() + start;
            rest = &rest[end..];
            if !is_shortened(word, text[..from].chars().next_back()) {
                return Some((from, word));
            }
        }
    })
}

/// Bytes of the word that `text` begins with. A name of many parts (`a_test_that_is_a_sentence`) is one word: its parts
/// would be found in answers to questions that have nothing to do with it.
fn word_length(text: &str) -> usize {
    let end_of = |is_part: fn(char) -> bool| text.find(|c| !is_part(c)).unwrap_or(text.len());
    let name = &text[..end_of(|c| c.is_alphanumeric() || c == '_')];
    let parts = name.split('_').filter(|part| !part.is_empty()).count();
    if parts >= SENTENCE { name.len() } else { end_of(char::is_alphanumeric) }
}

/// Whether `word` is what remains of one behind an apostrophe: the `s` of `run's`.
fn is_shortened(word: &str, before: Option<char>) -> bool {
    let endings = ["s", "t", "re", "ve", "ll", "d", "m"];
    matches!(before, Some('\'' | '’')) && endings.contains(&word.to_ascii_lowercase().as_str())
}

/// The parts of a name in camel case, each with its place in it.
fn parts(word: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut previous: Option<char> = None;
    let mut chars = word.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next_is_lower = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
        let begins = previous.is_some_and(|previous| {
            c.is_uppercase() && (previous.is_lowercase() || (previous.is_uppercase() && next_is_lower))
        });
        if begins {
            parts.push((start, &word[start..at]));
            start = at;
        }
        previous = Some(c);
    }
    parts.push((start, &word[start..]));
    parts
}

/// The analyzer of all indexed text.
pub(super) fn analyzer() -> TextAnalyzer {
    let stop = StopWordFilter::new(Language::English);
    build(stop.unwrap_or_else(|| StopWordFilter::remove(std::iter::empty())))
}

/// An analyzer that gives the same stems, and those of the stop words too.
pub(super) fn complete_analyzer() -> TextAnalyzer {
    build(StopWordFilter::remove(std::iter::empty()))
}

fn build(stop: StopWordFilter) -> TextAnalyzer {
    TextAnalyzer::builder(Words)
        .filter(RemoveLongFilter::limit(LONGEST))
        .filter(AsciiFoldingFilter)
        .filter(stop)
        .filter(Stemmer::new(Language::English))
        .build()
}

/// The terms of `text`, in its order.
pub(super) fn terms(analyzer: &mut TextAnalyzer, text: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut stream = analyzer.token_stream(text);
    while let Some(token) = stream.next() {
        terms.push(Term { stem: token.text.clone(), position: token.position });
    }
    terms
}
