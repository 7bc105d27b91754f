//! Markup inside a line to words that read well on a terminal: links, emphasis, images, entities, HTML.

/// Readable text, and how much of it is links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Readable {
    pub(super) text: String,
    /// Characters that are the text of a link: a table of contents is nothing else.
    pub(super) linked: usize,
}

struct Writer<'a> {
    text: String,
    linked: usize,
    names: &'a [String],
}

/// Tags that carry no words of their own; anything else in angle brackets is a placeholder and stays.
const TAGS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "blockquote",
    "br",
    "center",
    "code",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "ol",
    "p",
    "picture",
    "pre",
    "s",
    "small",
    "source",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
    "video",
];

const ENTITIES: &[(&str, &str)] = &[
    ("&amp;", "&"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&apos;", "'"),
    ("&nbsp;", " "),
    ("&emsp;", " "),
    ("&ensp;", " "),
    ("&thinsp;", " "),
    ("&middot;", "·"),
    ("&bull;", "•"),
    ("&times;", "×"),
    ("&rarr;", "→"),
    ("&larr;", "←"),
    ("&mdash;", "—"),
    ("&ndash;", "–"),
    ("&hellip;", "…"),
    ("&copy;", "©"),
];

/// How deep markup may be nested before it is left as it is.
const DEPTH: usize = 8;

/// Makes `raw` readable. Line ends are kept; characters that steer a terminal are dropped.
pub(super) fn inline(raw: &str) -> Readable {
    inline_with(raw, &[])
}

/// As [`inline`], in a document that defines the links of these names: `[name]` alone is then one of them.
pub(super) fn inline_with(raw: &str, names: &[String]) -> Readable {
    let mut out = Writer { text: String::new(), linked: 0, names };
    write(raw, &mut out, DEPTH);
    Readable { text: out.text.trim().to_owned(), linked: out.linked }
}

/// `text` without characters that a terminal would obey; tabs become four spaces.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            '\n' => out.push('\n'),
            // Overrides of the writing direction can make a line read as another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{200b}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn write(raw: &str, out: &mut Writer<'_>, depth: usize) {
    let mut rest = raw;
    let mut previous = None;
    while let Some(c) = rest.chars().next() {
        let taken = if depth == 0 { None } else { markup(rest, c, previous, out, depth) };
        let taken = taken.unwrap_or_else(|| {
            out.text.push_str(&printable(&rest[..c.len_utf8()]));
            c.len_utf8()
        });
        previous = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
}

/// Writes the markup that `rest` begins with, and says how many bytes it took.
fn markup(
    rest: &str,
    first: char,
    previous: Option<char>,
    out: &mut Writer<'_>,
    depth: usize,
) -> Option<usize> {
    match first {
        '`' => code(rest, out),
        '\\' => escape(rest, out),
        '!' if rest.starts_with("![") => image(rest, out, depth),
        '[' => link(rest, out, depth),
        '<' => angle(rest, out),
        '&' => entity(rest, out),
        ':' => rst_role(rest),
        '*' | '_' | '~' => emphasis(rest, first, previous, out, depth),
        _ => None,
    }
}

/// Code spans are left with their backticks: they tell a name from a word.
fn code(rest: &str, out: &mut Writer<'_>) -> Option<usize> {
    let length = rest.bytes().take_while(|b| *b == b'`').count();
    let fence = &rest[..length];
    let mut from = length;
    loop {
        let at = from + rest[from..].find(fence)?;
        let run = rest[at..].bytes().take_while(|b| *b == b'`').count();
        if run == length {
            if let Some(taken) = rst_link(&rest[length..at], &rest[at + length..], out) {
                return Some(at + length + taken);
            }
            out.text.push('`');
            out.text.push_str(printable(&rest[length..at]).trim());
            out.text.push('`');
            return Some(at + length);
        }
        from = at + run;
    }
}

/// `` `text <address>`_ `` of reStructuredText; says how many underscores it took.
fn rst_link(inner: &str, after: &str, out: &mut Writer<'_>) -> Option<usize> {
    let taken = after.bytes().take_while(|b| *b == b'_').count();
    let (text, address) = inner.strip_suffix('>')?.rsplit_once('<')?;
    if taken == 0 {
        return None;
    }
    out.text.push_str(&printable(text.trim()));
    out.linked += text.trim().chars().count();
    out.text.push_str(&format!(" ({})", printable(address)));
    Some(taken)
}

/// `:ref:` of reStructuredText before a name in backticks.
fn rst_role(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix(':')?;
    let end = inner.find(':')?;
    let is_name = end > 0 && inner[..end].bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (is_name && inner[end + 1..].starts_with('`')).then_some(end + 2)
}

fn escape(rest: &str, out: &mut Writer<'_>) -> Option<usize> {
    let escaped = rest[1..].chars().next().filter(char::is_ascii_punctuation)?;
    out.text.push(escaped);
    Some(2)
}

fn entity(rest: &str, out: &mut Writer<'_>) -> Option<usize> {
    let (name, text) = ENTITIES.iter().find(|(name, _)| rest.starts_with(name))?;
    out.text.push_str(text);
    Some(name.len())
}

fn image(rest: &str, out: &mut Writer<'_>, depth: usize) -> Option<usize> {
    let close = closing(&rest[1..], '[', ']')? + 1;
    let target = target(&rest[close + 1..])?;
    let alt = &rest[2..close];
    if !alt.trim().is_empty() {
        out.text.push_str("(image: ");
        write(alt, out, depth - 1);
        out.text.push(')');
    }
    Some(close + 1 + target.taken)
}

fn link(rest: &str, out: &mut Writer<'_>, depth: usize) -> Option<usize> {
    let close = closing(rest, '[', ']')?;
    let inner = &rest[1..close];
    let after = &rest[close + 1..];
    if let Some(note) = inner.strip_prefix('^') {
        // A footnote's mark says nothing here; its text keeps it, to be recognised.
        return match after.strip_prefix(':') {
            Some(_) => {
                out.text.push_str(&format!("[{}]", printable(note)));
                Some(close + 1)
            }
            None => Some(close + 1),
        };
    }
    let Some(target) = target(after) else {
        // `[Name]` alone is a link in the documentation of Rust if it is code; other text in brackets is what it is.
        let is_code = inner.len() > 2 && inner.starts_with('`') && inner.ends_with('`');
        let name = inner.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        if !is_code && !out.names.contains(&name) {
            return None;
        }
        link_text(inner, out, depth);
        return Some(close + 1);
    };
    // An image inside a link is a badge.
    if inner.trim_start().starts_with("![") {
        return Some(close + 1 + target.taken);
    }
    link_text(inner, out, depth);
    let shown = &out.text[out.text.len().saturating_sub(inner.len())..];
    let is_web = target.to.starts_with("http://") || target.to.starts_with("https://");
    // A short address is worth reading; a long one tears the sentence apart, and the file has it.
    if is_web && target.to.len() <= 60 && !target.to.contains(shown.trim()) {
        out.text.push_str(&format!(" ({})", printable(target.to)));
    }
    Some(close + 1 + target.taken)
}

fn link_text(inner: &str, out: &mut Writer<'_>, depth: usize) {
    let before = out.text.chars().count();
    write(inner, out, depth - 1);
    out.linked += out.text.chars().count() - before;
}

struct Target<'a> {
    to: &'a str,
    taken: usize,
}

/// Where a link goes: `(address "title")` or `[reference]`.
fn target(after: &str) -> Option<Target<'_>> {
    match after.chars().next()? {
        '(' => {
            let close = closing(after, '(', ')')?;
            let to = after[1..close].split_whitespace().next().unwrap_or_default();
            Some(Target { to: to.trim_matches(['<', '>']), taken: close + 1 })
        }
        '[' => {
            let close = closing(after, '[', ']')?;
            Some(Target { to: "", taken: close + 1 })
        }
        _ => None,
    }
}

/// The place of the bracket that closes the one `text` begins with, over at most two line ends.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    let mut escaped = false;
    let mut ticks = false;
    let mut ends = 0;
    for (at, c) in text.char_indices().take(2_000) {
        match c {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => escaped = true,
            '`' => ticks = !ticks,
            '\n' => ends += 1,
            c if c == open && !ticks => depth += 1,
            c if c == close && !ticks => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        if ends > 2 {
            return None;
        }
    }
    None
}

fn angle(rest: &str, out: &mut Writer<'_>) -> Option<usize> {
    if rest.starts_with("<!--") {
        return rest.find("-->").map(|at| at + 3);
    }
    let close = rest.find('>')?;
    let inner = &rest[1..close];
    if inner.starts_with("http://") || inner.starts_with("https://") || inner.starts_with("mailto:") {
        out.text.push_str(&printable(inner.trim_start_matches("mailto:")));
        return Some(close + 1);
    }
    let name = inner.trim_start_matches('/');
    let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    let name = name[..end].to_ascii_lowercase();
    TAGS.contains(&name.as_str()).then(|| {
        if matches!(name.as_str(), "br" | "p" | "td" | "th" | "li") && !out.text.ends_with(' ') {
            out.text.push(' ');
        }
        close + 1
    })
}

fn emphasis(
    rest: &str,
    mark: char,
    previous: Option<char>,
    out: &mut Writer<'_>,
    depth: usize,
) -> Option<usize> {
    let run = rest.chars().take_while(|c| *c == mark).count();
    if run > 3 || (mark == '~' && run != 2) {
        return None;
    }
    let inside_word = previous.is_some_and(char::is_alphanumeric);
    let next = rest[run..].chars().next()?;
    // `snake_case`, `2 * 3` and `a*b` are not emphasis.
    if next.is_whitespace() || (inside_word && (mark == '_' || run == 1)) {
        return None;
    }
    let fence = &rest[..run];
    let mut from = run;
    loop {
        let at = from + rest[from..].find(fence)?;
        let before = rest[..at].chars().next_back()?;
        let after = rest[at + run..].chars().next();
        let longer = after == Some(mark) || before == mark;
        let inside = mark == '_' && after.is_some_and(char::is_alphanumeric);
        if at > run && !before.is_whitespace() && !longer && !inside {
            write(&rest[run..at], out, depth - 1);
            return Some(at + run);
        }
        from = at + run;
    }
}
