//! What has changed is read again, and nothing else.

use std::fs;

use runtime_agents::documents::Refreshed;

use crate::support::Folder;

#[test]
fn a_look_at_an_unchanged_folder_changes_nothing() {
    let folder = Folder::with(&[("a.md", "A lease.\n"), ("b.md", "A run.\n")]);
    let mut documents = folder.open();
    assert_eq!(documents.refresh().unwrap(), Refreshed::default());
}

#[test]
fn added_changed_and_removed_files_are_told_and_found() {
    let folder = Folder::with(&[
        ("a.md", "The lease ends.\n"),
        ("b.md", "The run ends.\n"),
        ("c.md", "The clock ticks.\n"),
    ]);
    let mut documents = folder.open();
    folder.write(
        "a.md",
        "First something else.\n\nThen a very long paragraph about the snapshot, which is frozen and kept.\n",
    );
    folder.write("d.md", "The epoch grows.\n");
    fs::remove_file(folder.at("c.md")).unwrap();
    let refreshed = documents.refresh().unwrap();
    assert_eq!(
        refreshed,
        Refreshed { added: vec!["d.md".into()], changed: vec!["a.md".into()], removed: vec!["c.md".into()] }
    );
    let mut places = |question: &str| folder.places(&documents.answer(question, None).unwrap());
    assert_eq!(places("lease"), [""; 0]);
    assert_eq!(places("snapshot"), ["a.md:1"]);
    assert_eq!(places("run"), ["b.md:1"]);
    assert_eq!(places("clock"), [""; 0]);
    assert_eq!(places("epoch"), ["d.md:1"]);
}

#[test]
fn an_answer_sees_a_change_without_being_told() {
    let folder = Folder::with(&[("a.md", "The lease ends.\n")]);
    let mut documents = folder.open();
    folder.write("a.md", "The snapshot is frozen.\n");
    assert_eq!(documents.answer("snapshot", None).unwrap().quotes.len(), 1);
    assert!(documents.answer("lease", None).unwrap().quotes.is_empty());
}

#[test]
fn a_touched_file_is_no_changed_one() {
    let folder = Folder::with(&[("a.md", "The lease ends.\n")]);
    let mut documents = folder.open();
    fs::remove_file(folder.at("a.md")).unwrap();
    folder.write("a.md", "The lease ends.\n");
    assert_eq!(documents.refresh().unwrap(), Refreshed::default());
    assert_eq!(documents.answer("lease", None).unwrap().quotes.len(), 1);
}

#[test]
fn a_file_that_is_no_longer_text_is_no_longer_found() {
    let folder = Folder::with(&[("a.md", "The lease ends.\n"), ("b.md", "The run ends.\n")]);
    let mut documents = folder.open();
    folder.write("a.md", b"The lease \0 ends.\n");
    assert_eq!(documents.refresh().unwrap().removed, ["a.md"]);
    assert!(documents.answer("lease", None).unwrap().quotes.is_empty());
}

#[test]
fn after_many_changes_the_answers_are_those_of_a_fresh_index() {
    let text = |n: usize, round: usize| {
        let words = ["lease", "run", "epoch", "clock", "crash"];
        let word = |offset: usize| words[(n + round * 2 + offset) % words.len()];
        format!(
            "# {}\n\nThe {} of the {} is {}.\n\nThe {} {} is not.\n",
            word(0),
            word(1),
            word(2),
            word(3),
            word(4),
            word(0)
        )
    };
    let folder = Folder::new();
    let mut documents = folder.open();
    for round in 0..6 {
        for n in 0..8 {
            let file = format!("{n}.md");
            if (n + round) % 5 == 0 {
                fs::remove_file(folder.at(&file)).ok();
            } else if (n + round) % 3 != 0 || round == 0 {
                folder.write(&file, text(n, round));
            }
        }
        documents.refresh().unwrap();
        for question in ["lease", "What is the run?", "crash of the clock", "epoch and lease"] {
            let kept = documents.answer(question, None).unwrap();
            assert_eq!(kept, folder.ask(question), "round {round}: {question}");
        }
    }
}
