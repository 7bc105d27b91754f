//! Lines of a given length. Pure.

/// Breaks `text` between words. A code span is one word as long as it is short, so that a command can be copied.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in words(text) {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(&word);
        used += length;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for word in text.split_whitespace() {
        match words.last_mut().filter(|last| open && last.len() + word.len() < 60) {
            Some(last) => {
                last.push(' ');
                last.push_str(word);
            }
            None => {
                words.push(word.to_owned());
                open = false;
            }
        }
        open ^= word.matches('`').count() % 2 == 1;
    }
    words
}
