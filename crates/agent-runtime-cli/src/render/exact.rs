//! What somebody consents to, shown to the last character. Pure.

/// JSON over many lines. Its values are left as they are written: a number keeps its digits, a name that is there twice is
/// shown twice.
pub(crate) fn laid_out(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                text.push(c);
                while let Some(inner) = chars.next() {
                    text.push(inner);
                    match inner {
                        '\\' => text.extend(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                text.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => text.push(end),
                    None => {
                        depth += 1;
                        begin_line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                begin_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                begin_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => text.push(c),
        }
    }
    text
}

/// Text in which nothing hides: what would steer the terminal, has no width or turns the direction of writing is written
/// as its number.
pub(crate) fn exact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' || !hides(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn begin_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::{exact, laid_out};

    #[test]
    fn json_is_laid_out_and_its_values_stay_as_they_are() {
        let json = r#"{"to":["a@b","c, {d}"],"n":12345678901234567890123,"n":1.50,"none":{ },"q":"a\"b"}"#;

        let shown = laid_out(json);

        let lines = [
            "{",
            "  \"to\": [",
            "    \"a@b\",",
            "    \"c, {d}\"",
            "  ],",
            "  \"n\": 12345678901234567890123,",
            "  \"n\": 1.50,",
            "  \"none\": {},",
            "  \"q\": \"a\\\"b\"",
            "}",
        ];
        assert_eq!(shown, lines.join("\n"));
    }

    #[test]
    fn nothing_hides_in_what_somebody_consents_to() {
        assert_eq!(
            exact("pay\u{202e}001\u{200b}\r\u{1b}[2J\n\té你"),
            "pay\\u{202e}001\\u{200b}\\u{d}\\u{1b}[2J\n\té你"
        );
    }
}
