//! An answer as it comes: previews first, then what the log says. Pure.

use unicode_width::UnicodeWidthStr;

/// What has been shown of an answer that is still being made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    text: String,
}

/// What is left to show once the recorded answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rest<'a> {
    /// The previews were its beginning: this is the rest.
    Tail(&'a str),
    /// They were not, because some were lost: this is to be taken away, and the whole to be shown.
    Instead(String),
}

impl Shown {
    /// Takes a preview; gives back what to show of it.
    pub(crate) fn preview(&mut self, piece: &str) -> String {
        let piece = visible(piece);
        self.text.push_str(&piece);
        piece
    }

    /// What has been shown was made by a call that is begun again: gives back what to take away.
    pub(crate) fn withdraw(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Whether nothing has been shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What is left to show of the recorded answer.
    pub(crate) fn rest<'a>(&mut self, whole: &'a str) -> Rest<'a> {
        let shown = self.withdraw();
        match whole.strip_prefix(&shown) {
            Some(tail) => Rest::Tail(tail),
            None => Rest::Instead(shown),
        }
    }
}

/// Text without the control characters that would move the cursor or change the terminal.
pub(crate) fn visible(text: &str) -> String {
    let harmless = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(harmless).collect()
}

/// Text without the codes that paint it.
pub(crate) fn unpainted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    plain.extend(parts.next());
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

/// How many lines of a terminal that is `width` wide the text has begun, the cursor's own included.
pub(crate) fn rows(text: &str, width: usize) -> usize {
    let wraps = |line: &str| line.width().saturating_sub(1) / width.max(1);
    text.split('\n').map(|line| 1 + wraps(line)).sum()
}

#[cfg(test)]
mod tests {
    use super::{Rest, Shown, rows, visible};

    #[test]
    fn what_was_previewed_is_not_shown_again() {
        let mut shown = Shown::default();
        assert_eq!(shown.preview("One, "), "One, ");
        assert_eq!(shown.preview("two, "), "two, ");

        assert_eq!(shown.rest("One, two, three."), Rest::Tail("three."));
    }

    #[test]
    fn an_answer_without_previews_is_shown_whole() {
        assert_eq!(Shown::default().rest("All of it."), Rest::Tail("All of it."));
    }

    #[test]
    fn previews_that_are_not_the_beginning_are_taken_away() {
        let mut shown = Shown::default();
        shown.preview("two, ");

        assert_eq!(shown.rest("One, two, three."), Rest::Instead("two, ".to_owned()));
    }

    #[test]
    fn what_is_begun_again_is_taken_away_once() {
        let mut shown = Shown::default();
        shown.preview("One");

        assert_eq!(shown.withdraw(), "One");
        assert_eq!(shown.withdraw(), "");
        shown.preview("One");
        assert_eq!(shown.rest("One, two."), Rest::Tail(", two."));
    }

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\r\n\tc\u{7}"), "a[2Jb\n\tc");
    }

    #[test]
    fn long_lines_count_as_the_rows_they_take() {
        assert_eq!(rows("", 10), 1);
        assert_eq!(rows("0123456789", 10), 1);
        assert_eq!(rows("01234567890", 10), 2);
        assert_eq!(rows("你好你好你好", 10), 2);
        assert_eq!(rows("a\n\n01234567890", 10), 4);
    }
}
