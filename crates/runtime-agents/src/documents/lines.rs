//! What one line of Markdown or reStructuredText is, seen by itself: pure, total functions.

/// The way a list item begins: where its marker stands and where its text begins, in columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) indent: usize,
    pub(super) content: usize,
}

/// An open code fence: its character, its length and the language it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    mark: char,
    length: usize,
    pub(super) language: String,
}

impl Fence {
    /// Reads the line that opens a fence.
    pub(super) fn open(line: &str) -> Option<Fence> {
        let line = line.trim_start();
        let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let length = line.chars().take_while(|c| *c == mark).count();
        let info = &line[length..];
        // A line such as ```` ```x``` ```` is a code span, not a fence.
        if length < 3 || (mark == '`' && info.contains('`')) {
            return None;
        }
        let language = info.trim().split([' ', ',', '{']).next().unwrap_or_default();
        Some(Fence { mark, length, language: language.to_owned() })
    }

    /// Whether `line` closes this fence.
    pub(super) fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.chars().all(|c| c == self.mark) && line.chars().count() >= self.length
    }
}

/// Columns of white space before the text of `line`; a tab goes to the next multiple of four.
pub(super) fn indent(line: &str) -> usize {
    let mut columns = 0;
    for c in line.chars() {
        match c {
            ' ' => columns += 1,
            '\t' => columns += 4 - columns % 4,
            _ => break,
        }
    }
    columns
}

/// Whether nothing can be read on `line`.
pub(super) fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// Level and text of an ATX heading (`## Text ##`).
pub(super) fn heading(line: &str) -> Option<(usize, &str)> {
    if indent(line) > 3 {
        return None;
    }
    let line = line.trim();
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let rest = &line[level..];
    if !(1..=6).contains(&level) || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    let rest = rest.trim();
    let closing = rest.trim_end_matches('#');
    let text = if closing.is_empty() || closing.ends_with(' ') { closing } else { rest };
    Some((level, text.trim()))
}

/// The text of a line that is wholly bold and so stands for a heading.
pub(super) fn bold_title(line: &str) -> Option<&str> {
    let text = line.trim();
    let text = text.strip_suffix(':').unwrap_or(text);
    let title = text.strip_prefix("**")?.strip_suffix("**")?;
    let title = title.strip_suffix(':').unwrap_or(title);
    let is_one = !title.is_empty() && !title.contains("**");
    // A sentence in bold is a warning, not a title.
    (is_one && title.len() <= 60 && !title.ends_with(['.', '!'])).then_some(title)
}

/// Whether a paragraph that ends with `line` leads on to what follows it.
pub(super) fn leads_on(line: &str) -> bool {
    let text = line.trim_end().trim_end_matches(['*', '_']);
    text.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ':' | ',' | '—' | '–'))
}

/// The character of a line that underlines a heading: one mark, repeated.
pub(super) fn underline(line: &str, marks: &str) -> Option<char> {
    let text = line.trim_end();
    let mark = text.chars().next().filter(|mark| marks.contains(*mark))?;
    (text.chars().all(|c| c == mark) && text.chars().count() >= 2).then_some(mark)
}

/// Whether `line` is a rule across the page (`---`, `* * *`, `___`).
pub(super) fn is_rule(line: &str) -> bool {
    let mut marks = line.chars().filter(|c| !c.is_whitespace());
    let Some(first) = marks.next().filter(|c| "-*_".contains(*c)) else {
        return false;
    };
    let mut count = 1;
    for mark in marks {
        if mark != first {
            return false;
        }
        count += 1;
    }
    count >= 3
}

/// The marker of a list item (`-`, `*`, `+`, `1.`, `1)`, `#.`), if `line` begins one.
pub(super) fn marker(line: &str) -> Option<Marker> {
    let text = line.trim_start();
    if is_rule(line) {
        return None;
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let width = match text.as_bytes() {
        [b'-' | b'*' | b'+', ..] => 1,
        [b'#', b'.', ..] => 2,
        bytes if (1..=9).contains(&digits) && matches!(bytes.get(digits), Some(b'.' | b')')) => digits + 1,
        _ => return None,
    };
    let rest = &text[width..];
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let indent = indent(line);
    Some(Marker { indent, content: indent + width + 1 })
}

/// Whether `line` is the row between a table's head and its body (`|---|:-:|`).
pub(super) fn is_delimiter(line: &str) -> bool {
    let line = line.trim();
    line.contains('-')
        && line.contains('|')
        && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
}

/// The cells of a table's row, without the escapes of the bars inside them.
pub(super) fn cells(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = line.strip_prefix('|').unwrap_or(line);
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in line.chars() {
        let last = cells.len() - 1;
        match c {
            '|' if !escaped => cells.push(String::new()),
            '|' => {
                cells[last].pop();
                cells[last].push('|');
            }
            _ => cells[last].push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    // A bar at the end closes the last cell and opens none.
    if cells.len() > 1 && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
        cells.pop();
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Whether `line` is quoted and says nothing: empty, or the mark of an alert (`> [!NOTE]`), whose words begin below it.
pub(super) fn is_silent_quote(line: &str) -> bool {
    let text = line.trim_start();
    let inner = text.trim_start_matches(['>', ' ']).trim_end();
    text.starts_with('>') && (inner.is_empty() || (inner.starts_with("[!") && inner.ends_with(']')))
}

/// Whether `line` only defines where a link goes (`[name]: https://…`, `.. _name:`).
pub(super) fn is_link_definition(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with(".. _") {
        return true;
    }
    let Some(rest) = line.strip_prefix('[') else {
        return false;
    };
    let Some((name, target)) = rest.split_once("]:") else {
        return false;
    };
    let mut target = target.trim().splitn(2, char::is_whitespace);
    let has_target = target.next().is_some_and(|to| !to.is_empty());
    let title = target.next().map_or("", str::trim_start);
    // `[^1]: …` is a footnote and `[name]: some words` a sentence; both have something to say.
    has_target
        && !name.starts_with('^')
        && !name.contains('[')
        && (title.is_empty() || title.starts_with(['"', '\'', '(']))
}

/// The name that a link definition gives, in lower case.
pub(super) fn link_name(line: &str) -> Option<String> {
    if !is_link_definition(line) {
        return None;
    }
    let name = line.trim().strip_prefix('[')?.split_once("]:")?.0;
    Some(name.trim().to_lowercase())
}
