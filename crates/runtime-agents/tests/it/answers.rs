//! Which passages answer a question, and what is said when none does.

use proptest::prelude::*;
use runtime_agents::documents::SkipReason;

use crate::splitting::document;
use crate::support::{Folder, converse};

fn manual() -> Folder {
    Folder::with(&[
        (
            "durability.md",
            "# Durability\n\n## What survives a crash\n\nAn accepted run survives the crash of its process: it is in the log.\n\n\
             ## Levels\n\nA save at `disk` survives a loss of power. A crash loses nothing at `process`.\n\n\
             Nothing is lost at the end of a run, and the log is kept for a day.\n",
        ),
        (
            "glossary.md",
            "# Glossary\n\n- **Lease**: a node's liveness, bound by time.\n- **Run**: one request worked to its outcome.\n\
             - **Snapshot**: the frozen state of an agent.\n- **Epoch**: the number that outside stores can order.\n",
        ),
        (
            "guide/start.md",
            "# Getting started\n\nRegister the agent, start it, run it:\n\n```sh\nagent-runtime run librarian\n```\n\nIt reads the `RuntimeManager` from the store.\n",
        ),
    ])
}

#[test]
fn the_best_passage_comes_first_with_file_and_line() {
    let folder = manual();
    let answer = folder.ask("What survives a crash?");
    assert_eq!(folder.places(&answer)[0], "durability.md:5");
    let text = answer.text();
    let first = text.lines().next().unwrap();
    assert!(first.ends_with("durability.md:5  What survives a crash"), "{first}");
    assert!(text.lines().nth(1).unwrap().starts_with("> An accepted run survives"));
}

#[test]
fn words_are_found_in_other_forms_and_spellings() {
    let folder = manual();
    for question in ["surviving crashes", "SURVIVED crashing?", "what does a crashed process survive"] {
        assert_eq!(folder.places(&folder.ask(question))[0], "durability.md:5", "{question}");
    }
    let folder = Folder::with(&[("a.md", "The serialised licence behaves in its own behaviour.\n")]);
    for question in ["license", "serialization", "behavior"] {
        assert_eq!(folder.places(&folder.ask(question)), ["a.md:1"], "{question}");
    }
}

#[test]
fn names_in_camel_case_are_found_by_their_parts_and_the_other_way_round() {
    let folder = manual();
    assert_eq!(folder.places(&folder.ask("runtime manager"))[0], "guide/start.md:9");
    assert_eq!(folder.places(&folder.ask("RuntimeManager"))[0], "guide/start.md:9");
    let folder = Folder::with(&[("a.md", "The state store keeps the cells.\n")]);
    assert_eq!(folder.places(&folder.ask("What is the StateStore?")), ["a.md:1"]);
}

#[test]
fn a_rare_word_brings_its_kin() {
    let folder = Folder::with(&[(
        "a.md",
        "The agent recovered by itself.\n\nNothing else is said here about it at all, in so many words as these.\n",
    )]);
    assert_eq!(folder.places(&folder.ask("How does recovery work?")), ["a.md:1"]);
}

#[test]
fn rubbish_is_not_shown_beside_a_good_answer() {
    let aside = "The clock of a machine is set by hand, by a neighbour or by the network; of these the last one \
                 is the best, although it may jump, which no lease, no log and no timer will ever forgive it.";
    let folder = Folder::with(&[
        ("a.md", "# Cluster\n\n## Leases\n\nA lease is a node's liveness.\n"),
        ("b.md", aside),
        ("c.md", "Nothing of interest.\n\nOther words, other topics.\n\nAnd a third paragraph.\n"),
    ]);
    let answer = folder.ask("What is a lease?");
    assert_eq!(folder.places(&answer), ["a.md:5"], "{}", answer.text());
    assert!(answer.text().contains("There is more on this"));
}

#[test]
fn one_section_does_not_fill_the_answer() {
    let section = "# A\n\nA lease ends when its node is silent for as long as it was granted, and certainly no sooner than that moment.\n\n\
                   A lease ends after a stop of this machine, some cut to her network, or any frozen process there by accident.\n\n\
                   A lease ends because people do so by hand: whoever does writes down why, with others to read in due course.\n\n";
    let other = "# B\n\nA lease ends, besides these, from commands which users with some experience type into their shells, \
                 on purpose only, and seldom, since nobody likes them very much.\n";
    let folder = Folder::with(&[("a.md", section), ("b.md", other)]);
    let answer = folder.ask("When does a lease end?");
    let places = folder.places(&answer);
    let of_a = places.iter().filter(|place| place.starts_with("a.md")).count();
    assert_eq!((places.len(), of_a), (3, 2), "{}", answer.text());
}

#[test]
fn a_copy_of_a_document_is_not_quoted_twice() {
    let folder = Folder::with(&[
        ("a.md", "A lease is a node's liveness.\n"),
        ("b.md", "A lease is a node's liveness.\n"),
    ]);
    assert_eq!(folder.places(&folder.ask("lease")), ["a.md:1"]);
}

#[test]
fn nothing_found_is_said_plainly() {
    let folder = manual();
    let answer = folder.ask("Does it run on Kubernetes with Helm?").text();
    assert!(answer.starts_with("I found nothing on `Kubernetes` or `Helm`"), "{answer}");
    let answer = folder.ask("Which planets have rings?");
    assert!(answer.quotes.is_empty());
    let text = answer.text();
    assert!(text.starts_with("I found nothing on `planets` or `rings` in the 3 documents of "), "{text}");
    assert!(text.contains("\"Durability\", \"Glossary\", \"Getting started\""), "{text}");
}

#[test]
fn what_is_missing_is_said_before_what_is_nearest() {
    let folder = manual();
    let answer = folder.ask("Is a snapshot encrypted?").text();
    assert!(answer.starts_with("I found nothing on `encrypted` in "), "{answer}");
    assert!(answer.contains("The nearest, on `snapshot`:"), "{answer}");
    assert!(answer.contains("glossary.md:5"), "{answer}");
    let answer = folder.ask("What is the frozen state of an encrypted agent?").text();
    assert!(answer.starts_with("`encrypted` occurs nowhere in "), "{answer}");
}

#[test]
fn a_slip_of_the_finger_is_read_as_the_word_that_was_meant() {
    let answer = manual().ask("What is a snapshto?").text();
    assert!(answer.starts_with("No document has `snapshto`; I read it as `snapshot`."), "{answer}");
    assert!(answer.contains("glossary.md:5"), "{answer}");
}

#[test]
fn an_empty_question_is_told_so() {
    let folder = manual();
    for question in ["", "  \n\t", "?!", "…"] {
        let answer = folder.ask(question);
        assert!(answer.text().starts_with("The question is empty."), "{question:?}");
        assert_eq!(answer.topic, None);
    }
    let mut documents = folder.open();
    let answers = converse(&mut documents, &["lease", "", "more"]);
    assert!(answers[1].text().starts_with("The question is empty."));
    assert_eq!(answers[1].topic, answers[0].topic);
}

#[test]
fn an_empty_folder_says_what_it_takes() {
    let folder = Folder::new();
    let answer = folder.ask("anything").text();
    assert!(answer.contains("put .md, .markdown, .txt or .rst files there"), "{answer}");
    folder.write("old.txt", b"caf\xe9");
    let mut documents = folder.open();
    assert_eq!(documents.skipped()[0].reason, SkipReason::NotUtf8);
    let answer = documents.answer("anything", None).unwrap().text();
    assert!(answer.ends_with("\nNot searched: old.txt (not UTF-8)."), "{answer}");
}

#[test]
fn a_huge_question_is_answered_too() {
    let folder = manual();
    let question = "lease ".repeat(50_000);
    assert_eq!(folder.ask(&question).quotes.len(), 1);
    let question: String = (0..5_000).map(|n| format!("unknown{n} ")).collect();
    assert!(folder.ask(&question).text().len() < 2_000);
}

#[test]
fn the_pieces_are_the_text() {
    let answer = manual().ask("What survives a crash?");
    assert!(answer.pieces.len() >= 2);
    assert_eq!(answer.pieces.concat(), answer.text());
    assert!(!answer.text().ends_with('\n'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_quotation_is_at_the_line_that_it_names(text in document(), extension in "md|txt|rst") {
        let file = format!("a.{extension}");
        let folder = Folder::with(&[(&file, &text)]);
        let mut documents = folder.open();
        let lines: Vec<&str> = text.split('\n').collect();
        for question in ["words", "item", "link and code", "sentence", "main", "first", "deeper tab", "quotation"] {
            for quote in documents.answer(question, None).unwrap().quotes {
                let line = lines[quote.line as usize - 1];
                let first = quote.text.split_whitespace().next().unwrap_or_default();
                let word = quote.text.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
                prop_assert!(word.is_some(), "nothing is quoted of line {}", quote.line);
                let plain = line.replace(['*', '_', '`', '~', '[', '\\'], "");
                // A line of marks alone is told by one of them; all signs of list items are shown as `-`.
                let is_there = match line.contains(char::is_alphanumeric) {
                    true => line.contains(first) || word.is_some_and(|word| plain.contains(word)),
                    false => format!("{line}-").contains(|mark| first.starts_with(mark)),
                };
                prop_assert!(is_there, "{first:?} is not in {line:?}: {:?}", quote.text);
            }
        }
    }
}
