//! Where a text that is too long for one passage is cut. Pure.

use super::lines;

/// Characters of a passage of prose: about eight lines on a terminal.
pub(super) const PROSE: usize = 700;
/// Characters that a passage may have more, because they are not worth one of their own.
pub(super) const TAIL: usize = PROSE / 3;

/// Where the first piece of a long text ends: after a paragraph, before a nested item, after a sentence, between two
/// words, or between two characters, whichever is first to be found in this order.
pub(super) fn cut_at(text: &str) -> usize {
    // A tail of a few words is not worth a passage of its own.
    if text.len() <= PROSE + TAIL {
        return text.len();
    }
    let reach = (0..=PROSE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let head = &text[..reach];
    let least = PROSE / 3;
    let late = |at: &usize| *at >= least;
    let paragraph = head.rfind("\n\n").filter(late);
    let item = || {
        let mut starts = head.match_indices('\n').map(|(at, _)| at).filter(late);
        starts.rfind(|at| lines::marker(line_after(text, *at)).is_some())
    };
    let sentence = || {
        let ends = head.match_indices(['.', '!', '?']);
        let mut ends = ends.map(|(at, _)| at + 1).filter(late);
        ends.rfind(|at| is_sentence_end(text, *at))
    };
    let word = || head.rfind(char::is_whitespace).filter(late);
    let best = paragraph.or_else(item).or_else(sentence).or_else(word);
    best.unwrap_or(reach)
}

fn line_after(text: &str, end: usize) -> &str {
    let rest = &text[end + 1..];
    rest.split('\n').next().unwrap_or(rest)
}

fn is_sentence_end(text: &str, at: usize) -> bool {
    let mut rest = text[at..].chars();
    let space = rest.next().is_some_and(char::is_whitespace);
    let abbreviation = ["e.g.", "i.e.", "etc.", "vs."];
    space
        && !abbreviation.iter().any(|short| text[..at].ends_with(short))
        && rest.find(|c| !c.is_whitespace()).is_some_and(|c| !c.is_lowercase())
}
