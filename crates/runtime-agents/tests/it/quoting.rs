//! Passages as a reader sees them.

use crate::support::Folder;

/// The quotation that `question` finds in a document.
fn quoted(document: &str, question: &str) -> String {
    let folder = Folder::with(&[("a.md", document)]);
    let answer = folder.ask(question);
    answer.quotes.first().unwrap_or_else(|| panic!("nothing found: {}", answer.text())).text.clone()
}

#[test]
fn links_and_emphasis_read_as_words() {
    let text = "A **lease** is [a node's _liveness_](cluster.md#leases); see [the paper](https://example.org/p), \
                <https://x.org> and `**code**` in snake_case_name, 2 * 3 * 4.\n";
    assert_eq!(
        quoted(text, "lease"),
        "A lease is a node's liveness; see the paper (https://example.org/p), https://x.org and\n\
         `**code**` in snake_case_name, 2 * 3 * 4."
    );
}

#[test]
fn references_are_links_only_where_the_document_defines_them() {
    let text =
        "The [lease] and the [other one] and [`Ctx`] and [this][lease].\n\n[lease]: https://example.org\n";
    assert_eq!(quoted(text, "lease"), "The lease and the [other one] and `Ctx` and this.");
}

#[test]
fn an_item_that_begins_with_a_link_is_no_definition_of_one() {
    let text = "- [`lease`]: what a node has for a while\n\n[`lease`]: https://example.org \"A lease\"\n";
    assert_eq!(quoted(text, "lease"), "- `lease`: what a node has for a while");
}

#[test]
fn html_badges_and_entities_do_not_get_in_the_way() {
    let text =
        "<p align=\"center\">The lease<br>of <b>node</b> &lt;id&gt; &amp; `<folder>` or <folder></p>\n";
    assert_eq!(quoted(text, "lease"), "The lease of node <id> & `<folder>` or <folder>");
}

#[test]
fn a_row_of_a_large_table_is_read_with_its_head() {
    let rows: String =
        (0..20).map(|n| format!("| row {n} | filler {} | x |\n", "words ".repeat(6))).collect();
    let text = format!(
        "| state | survives | meaning |\n|---|---|---|\n{rows}| **disk** | power \\| kill | kept [there](x.md) |\n"
    );
    assert_eq!(quoted(&text, "disk"), "disk — survives: power | kill; kept there");
}

#[test]
fn a_small_table_is_drawn_with_its_columns() {
    let text = "| state | survives |\n|:--|--:|\n| `memory` | nothing |\n| **disk** | power loss |\n";
    assert_eq!(
        quoted(text, "disk"),
        "state    | survives\n---------|-----------\n`memory` | nothing\ndisk     | power loss"
    );
}

#[test]
fn a_small_table_with_long_cells_is_read_row_by_row() {
    let long =
        "a sentence that is far too long to stand in a column beside another one of its sort ".repeat(2);
    let text = format!("| word | meaning |\n|---|---|\n| lease | {long} |\n| run | short |\n");
    let quoted = quoted(&text, "lease");
    assert!(quoted.starts_with("lease — a sentence"), "{quoted}");
    assert!(quoted.ends_with("\nrun — short"), "{quoted}");
}

#[test]
fn items_keep_their_signs_and_hang() {
    let text = "The lease rules:\n\n* first **rule** that is long enough to be broken at the end of a line, and it is indeed so\n  * nested\n\n1. numbered\n";
    assert_eq!(
        quoted(text, "lease"),
        "The lease rules:\n\n- first rule that is long enough to be broken at the end of a line, and it is indeed\n  so\n  - nested\n1. numbered"
    );
}

#[test]
fn code_is_shown_as_it_is() {
    let text = "Take a lease:\n\n```rust\nfn lease() {\n    let x = \"a  b\"; // **not bold**\n\n}\n```\n";
    assert_eq!(
        quoted(text, "lease"),
        "Take a lease:\n\n    fn lease() {\n        let x = \"a  b\"; // **not bold**\n\n    }"
    );
}

#[test]
fn lines_that_rustdoc_hides_are_hidden() {
    let text = "Take a lease:\n\n```rust,no_run\n# fn main() {\n#[derive(Debug)]\nstruct Lease;\n# }\n```\n\n```sh\n# a comment\n```\n";
    assert_eq!(quoted(text, "lease"), "Take a lease:\n\n    #[derive(Debug)]\n    struct Lease;");
    assert_eq!(quoted("```sh\n# a lease comment\n```\n", "lease"), "    # a lease comment");
}

#[test]
fn commands_are_not_broken_over_lines() {
    let text = "When you want to see what a lease is then you may as well type `cargo run --release -- run librarian` here.\n";
    assert!(quoted(text, "lease").contains("\n`cargo run --release -- run librarian` here."));
}

#[test]
fn a_document_cannot_steer_the_terminal() {
    let text =
        "The lease \u{1b}[31mred\u{1b}[0m \u{7}bell \u{202e}backwards\u{202c} `\u{1b}]0;title\u{7}`\r\n";
    let folder = Folder::with(&[("a.md", text)]);
    let answer = folder.ask("lease").text();
    assert!(answer.contains("red") && answer.contains("backwards"));
    assert!(!answer.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{answer:?}");
}

#[test]
fn a_quotation_and_its_alert_read_as_text() {
    let folder = Folder::with(&[("a.md", "> [!WARNING]\n> A lease can\n> end.\n")]);
    let answer = folder.ask("lease");
    assert_eq!(answer.quotes[0].text, "A lease can end.");
    assert_eq!(answer.quotes[0].line, 2);
}

/// The quotation that `question` finds in a document of reStructuredText.
fn quoted_rst(document: &str, question: &str) -> String {
    let folder = Folder::with(&[("a.rst", document)]);
    folder.ask(question).quotes[0].text.clone()
}

#[test]
fn restructured_text_reads_as_text() {
    let text = ".. contents:: Table\n   :depth: 2\n\n.. note::\n\n   A lease needs ``time``; see `the paper <https://example.org>`_ and :ref:`clocks`.\n";
    assert_eq!(
        quoted_rst(text, "lease"),
        "A lease needs `time`; see the paper (https://example.org) and `clocks`."
    );
}

#[test]
fn code_of_restructured_text_is_code() {
    let text =
        "Take a lease:\n\n.. code-block:: sh\n   :linenos:\n\n   lease  take\n   lease end\n\nAnother.\n";
    assert_eq!(quoted_rst(text, "lease"), "Take a lease:\n\n    lease  take\n    lease end");
}

#[test]
fn columns_of_plain_text_are_kept() {
    let text = "Name        Lease\nSmith       101\n\nAn ordinary paragraph.\n";
    let folder = Folder::with(&[("a.txt", text)]);
    assert_eq!(folder.ask("lease").quotes[0].text, "Name        Lease\nSmith       101");
}

#[test]
fn a_quotation_begins_on_the_line_of_its_first_word() {
    let text = "# T\n\n<p align=\"center\">\n[![badge](b.svg)](https://ci)\nThe lease ends.\n</p>\n";
    let folder = Folder::with(&[("a.md", text)]);
    assert_eq!(folder.places(&folder.ask("lease")), ["a.md:5"]);
}
