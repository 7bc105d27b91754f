//! Documents to passages: nothing is lost, and every passage is where it says.

use proptest::prelude::*;
use runtime_agents::documents::{Form, Format, Passage, split};

const LINES: &[&str] = &[
    "",
    "",
    "",
    "# Title",
    "## Part of it ##",
    "Under",
    "=====",
    "Words that say something.",
    "A longer line, with `code`, a [link](to/somewhere.md) and **more of it**. And a sentence.",
    "Introduces:",
    "- an item",
    "  that goes on",
    "  - a nested item",
    "1. first",
    "2) second",
    "* [ ] a task",
    "```rust",
    "fn main() {}",
    "```",
    "~~~",
    "    indented",
    "| a | b |",
    "|---|---|",
    "| 1 | 2 |",
    "> a quotation",
    "> [!NOTE]",
    "---",
    "***",
    "<!-- hidden",
    "-->",
    "[name]: https://example.org",
    "\tafter a tab",
    "naïve “quotes” — ünïcödé 🦀",
    ".. code-block:: sh",
    "Literal::",
    "   deeper",
];

pub(crate) fn document() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        9 => prop::sample::select(LINES).prop_map(str::to_owned),
        1 => "[ a-zé.|`*#>-]{0,40}",
        1 => (1..1_500_usize).prop_map(|length| "word. ".repeat(length / 3)),
    ];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

fn format() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::Markdown, Format::Plain, Format::Rst])
}

/// Whether the lines of `passage` are lines of the file, from the one it names: whole ones, but for both ends.
fn is_where_it_says(passage: &Passage, lines: &[&str]) -> bool {
    let from = passage.line as usize - 1;
    let quoted: Vec<&str> = passage.text.split('\n').collect();
    quoted.iter().enumerate().all(|(at, text)| {
        let Some(line) = lines.get(from + at) else {
            return false;
        };
        let is_end = at == 0 || at + 1 == quoted.len();
        if is_end { line.contains(text) } else { line == text }
    })
}

proptest! {
    #[test]
    fn every_passage_is_at_the_line_that_it_names(text in document(), format in format()) {
        let lines: Vec<&str> = text.split('\n').collect();
        for passage in split(&text, format) {
            prop_assert!(is_where_it_says(&passage, &lines), "{passage:?}");
            prop_assert!(passage.text.len() <= 3_000, "{} bytes", passage.text.len());
            prop_assert!(passage.text.contains(char::is_alphanumeric));
        }
    }

    #[test]
    fn passages_follow_the_order_of_the_file_and_do_not_overlap(text in document(), format in format()) {
        let passages = split(&text, format);
        for pair in passages.windows(2) {
            let end = pair[0].line + pair[0].text.matches('\n').count() as u32;
            prop_assert!(end <= pair[1].line, "{pair:?}");
        }
    }

    #[test]
    fn line_ends_of_other_systems_and_a_byte_order_mark_change_nothing(text in document()) {
        let plain = split(&text, Format::Markdown);
        let other = split(&format!("\u{feff}{}", text.replace('\n', "\r\n")), Format::Markdown);
        prop_assert_eq!(plain, other);
    }

    #[test]
    fn any_text_can_be_split(text in any::<String>(), format in format()) {
        split(&text, format);
    }

    #[test]
    fn no_word_is_lost(kinds in prop::collection::vec(0..7_usize, 1..30)) {
        let mut text = String::new();
        for (nth, kind) in kinds.iter().enumerate() {
            match kind {
                0 => text.push_str(&format!("\n# heading{nth}\n\nbelow{nth}\n")),
                1 => text.push_str(&format!("\nparagraph{nth}\ngoes{nth} on.\n")),
                2 => text.push_str(&format!("- item{nth}\n  more{nth}\n")),
                3 => text.push_str(&format!("\n```\ncode{nth}\n\nend{nth}\n```\n")),
                4 => text.push_str(&format!("\n| head{nth} | b |\n|---|---|\n| cell{nth} | c |\n")),
                5 => text.push_str(&format!("\nintroduces{nth}:\n\n1. one{nth}\n1. two{nth}\n")),
                _ => text.push_str(&format!("\n{}last{nth}\n", "many words. ".repeat(120))),
            }
        }
        let passages = split(&text, Format::Markdown);
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.ends_with(|c: char| c.is_ascii_digit()));
        for word in words {
            let is_in = |passage: &Passage| {
                let head = match &passage.form {
                    Form::Row { head } => head.join(" "),
                    Form::Blocks | Form::Code { .. } => String::new(),
                };
                format!("{} {head} {}", passage.headings.join(" "), passage.text).contains(word)
            };
            prop_assert!(passages.iter().any(is_in), "{word} is in no passage of:\n{text}");
        }
    }
}

fn texts(text: &str) -> Vec<(u32, String)> {
    let passages = split(text, Format::Markdown);
    passages.into_iter().map(|passage| (passage.line, passage.text)).collect()
}

#[test]
fn an_introduction_stays_with_its_list() {
    let found = texts(
        "The rules are:\n\n- one\n- two\n\nAnother paragraph, which is long enough to stand by itself in any document.\n",
    );
    assert_eq!(found[0], (1, "The rules are:\n\n- one\n- two".to_owned()));
    assert_eq!(found[1].0, 6);
}

#[test]
fn a_long_list_is_split_between_items_and_not_inside_them() {
    let item = |n: usize| format!("- item {n} {}\n  and its second line\n", "with words ".repeat(20));
    let text: String = (0..6).map(item).collect();
    let found = texts(&text);
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 5, 7, 9, 11]);
    assert!(found.iter().all(|(_, text)| text.ends_with("second line")));
}

#[test]
fn the_rows_of_a_large_table_are_passages_that_know_its_head() {
    let rows: String = (0..40).map(|n| format!("| row {n} | {} |\n", "value ".repeat(5))).collect();
    let passages = split(&format!("# T\n\n| name | meaning |\n|---|---|\n{rows}"), Format::Markdown);
    assert_eq!(passages.len(), 40);
    assert_eq!(passages[7].line, 12);
    let head: Vec<String> = vec!["name".into(), "meaning".into()];
    assert_eq!(passages[7].form, Form::Row { head: head.into() });
}

#[test]
fn a_small_table_is_one_passage() {
    let found = texts("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n");
    assert_eq!(found, [(1, "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |".to_owned())]);
}

#[test]
fn code_is_not_shredded() {
    let code = "Start it:\n\n```sh\nfirst\n\n# a comment, no heading\n- no item\n\nlast\n```\n";
    assert_eq!(texts(code), [(1, code.trim_end().to_owned())]);
}

#[test]
fn long_code_is_cut_between_its_parts() {
    let part = |n: usize| format!("fn part_{n}() {{\n    body();\n\n    more();\n}}\n\n");
    let text = format!("```rust\n{}```\n", (0..12).map(part).collect::<String>());
    let found = texts(&text);
    assert!(found.len() > 1);
    assert!(found.iter().all(|(_, text)| text.starts_with("fn part_") && text.ends_with('}')), "{found:#?}");
}

#[test]
fn a_long_paragraph_is_cut_after_a_sentence() {
    let text = "This sentence has a few words in it. ".repeat(60);
    let found = texts(&text);
    assert!(found.len() >= 3);
    assert!(found.iter().all(|(line, text)| *line == 1 && text.ends_with('.') && text.len() < 950));
}

#[test]
fn a_very_long_line_without_spaces_is_cut_at_all() {
    let found = texts(&"é".repeat(200_000));
    assert!(found.len() > 100);
    assert!(found.iter().all(|(line, _)| *line == 1));
}

#[test]
fn headings_are_known_by_their_path_without_markup() {
    let text = "# The `store`\n\n## [Keys](keys.md) ##\n\nText.\n\nOther\n-----\n\nMore.\n";
    let passages = split(text, Format::Markdown);
    assert_eq!(&*passages[0].headings, ["The `store`", "Keys"]);
    assert_eq!(&*passages[1].headings, ["The `store`", "Other"]);
    assert!(passages[0].opens && passages[1].opens);
}

#[test]
fn restructured_text_has_levels_by_the_order_of_its_underlines() {
    let text = "=====\nTitle\n=====\n\nPart\n----\n\nText::\n\n    code here\n\nOther part\n----------\n\nMore text.\n";
    let passages = split(text, Format::Rst);
    assert_eq!(&*passages[0].headings, ["Title", "Part"]);
    assert_eq!(passages[0].text, "Text::\n\n    code here");
    assert_eq!(&*passages[1].headings, ["Title", "Other part"]);
    assert_eq!(passages[1].line, 15);
}

#[test]
fn what_has_nothing_to_say_is_no_passage() {
    let text = "---\ntitle: hidden\n---\n\n[![badge](b.svg)](https://ci)\n\n<!-- a\ncomment -->\n\n[name]: https://example.org\n\n***\n";
    assert_eq!(texts(text), []);
}

#[test]
fn a_very_long_line_of_code_is_cut_too() {
    let found = texts(&format!("```\n{}\n```\n", "let x = 1; ".repeat(2_000)));
    assert!(found.len() > 10);
    assert!(found.iter().all(|(line, text)| *line == 2 && text.len() < 1_000));
}
