//! Questions that follow up.

use std::collections::BTreeSet;

use runtime_agents::documents::Topic;

use crate::support::{Folder, converse};

/// Ten passages on leases in two files, one on clocks.
fn manual() -> Folder {
    let leases = |words: [&str; 5]| -> String {
        let paragraph = |word: &str| {
            let others = word.repeat(2);
            format!(
                "## {word}\n\nA {word} lease ends by {others}, which {word}er {word}s {word}ly found.\n\n"
            )
        };
        words.into_iter().map(paragraph).collect()
    };
    Folder::with(&[
        ("a.md", &leases(["amber", "birch", "cedar", "dahlia", "elder"])),
        ("b.md", &leases(["fern", "ginger", "hazel", "iris", "jasmin"])),
        ("c.md", "# Clocks\n\nA clock gives the time to whoever asks for it, and never goes back.\n"),
    ])
}

#[test]
fn a_question_without_new_terms_brings_further_passages_on_the_last_topic() {
    let follow_ups = [
        "tell me more about that last topic",
        "more please",
        "go on",
        "Tell me more",
        "and?",
        "what else?",
        "continue",
        "Can you elaborate on that?",
        "more details",
        "anything else about this?",
        "keep going",
        "How does it work?",
        "tell me more about leases",
        "more on when a lease ends",
    ];
    for follow_up in follow_ups {
        let folder = manual();
        let answers = converse(&mut folder.open(), &["When does a lease end?", follow_up]);
        let first: BTreeSet<String> = folder.places(&answers[0]).into_iter().collect();
        let second: BTreeSet<String> = folder.places(&answers[1]).into_iter().collect();
        assert!(!first.is_empty() && !second.is_empty(), "{follow_up}: {}", answers[1].text());
        assert!(first.is_disjoint(&second), "{follow_up}");
        assert!(answers[1].text().starts_with("More on \"When does a lease end?\":"), "{follow_up}");
    }
}

#[test]
fn more_and_more_shows_each_passage_once_and_then_says_that_this_was_all() {
    let folder = manual();
    let answers =
        converse(&mut folder.open(), &["When does a lease end?", "more", "more", "more", "more", "more"]);
    let places: Vec<String> = answers.iter().flat_map(|answer| folder.places(answer)).collect();
    let distinct: BTreeSet<&String> = places.iter().collect();
    assert_eq!(places.len(), distinct.len());
    assert_eq!(places.len(), 10);
    let last = answers.last().unwrap();
    assert!(last.text().starts_with("That is all that "), "{}", last.text());
    for (answer, next) in answers.iter().zip(&answers[1..]) {
        let promised = answer.text().contains("There is more on this");
        assert_eq!(promised, !next.quotes.is_empty(), "{}", answer.text());
    }
}

#[test]
fn where_nothing_more_has_the_words_what_stands_beside_is_shown() {
    let text = "# Copies\n\nBefore the passage there is this sentence, which has other words than the question.\n\n\
                The lease ends when its node is silent for as long as it was granted to be so by its store.\n\n\
                After the passage there is another sentence, and the words of the question are not in it.\n\n\
                ## Other\n\nOf another section nobody should hear when somebody asks for more on what was quoted.\n";
    let folder = Folder::with(&[("a.md", text)]);
    let answers = converse(&mut folder.open(), &["When does a lease end?", "more", "more"]);
    assert_eq!(folder.places(&answers[0]), ["a.md:5"]);
    assert_eq!(folder.places(&answers[1]), ["a.md:7", "a.md:3"]);
    let text = answers[1].text();
    assert!(
        text.starts_with("No other passage is on \"When does a lease end?\". Next to those that are:"),
        "{text}"
    );
    assert!(answers[2].text().starts_with("That is all that "), "{}", answers[2].text());
}

#[test]
fn a_question_with_a_new_term_is_about_that() {
    let folder = manual();
    let answers = converse(
        &mut folder.open(),
        &["When does a lease end?", "What about the clock?", "tell me more about clocks"],
    );
    assert_eq!(folder.places(&answers[1]), ["c.md:3"]);
    assert!(answers[2].text().contains("What about the clock?"));
}

#[test]
fn the_same_question_again_gets_the_same_answer() {
    let folder = manual();
    let answers = converse(&mut folder.open(), &["When does a lease end?", "When does a lease end?"]);
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_question_that_found_nothing_leaves_the_last_topic() {
    let folder = manual();
    let answers = converse(&mut folder.open(), &["When does a lease end?", "planets", "more"]);
    assert!(answers[2].text().starts_with("More on \"When does a lease end?\":"));
}

#[test]
fn more_of_nothing_asks_for_a_topic() {
    let folder = manual();
    for question in ["tell me more", "go on", "more please"] {
        let answer = folder.ask(question);
        assert!(answer.text().starts_with("There is no topic to go on with yet."), "{question}");
    }
}

#[test]
fn a_topic_is_a_word_like_others_where_nothing_points_back() {
    let folder = Folder::with(&[(
        "a.md",
        "A topic is the name of a channel on the bus.\n\nA lease is a node's liveness.\n",
    )]);
    let answers =
        converse(&mut folder.open(), &["What is a lease?", "What is a topic?", "tell me more about topics"]);
    assert_eq!(folder.places(&answers[1]), ["a.md:1"]);
    assert!(answers[2].text().contains("\"What is a topic?\""));
}

#[test]
fn a_question_that_points_back_is_read_in_the_light_of_the_last_topic() {
    let folder = Folder::with(&[
        ("a.md", "The limit of a queue is set by its owner when it is made.\n"),
        ("b.md", "The limit of a lease is set by its owner when it is made.\n"),
    ]);
    let answers = converse(&mut folder.open(), &["What is a lease?", "and what is its limit?"]);
    assert_eq!(folder.places(&answers[1])[0], "b.md:1");
    assert_eq!(folder.places(&folder.ask("what is the limit?"))[0], "a.md:1");
}

#[test]
fn a_conversation_can_be_kept_as_json_and_stays_small() {
    let folder = manual();
    let mut documents = folder.open();
    let first = documents.answer("When does a lease end?", None).unwrap();
    let kept = serde_json::to_string(&first.topic.unwrap()).unwrap();
    let topic: Topic = serde_json::from_str(&kept).unwrap();
    let answer = folder.open().answer("more", Some(&topic)).unwrap();
    assert!(!answer.quotes.is_empty());

    let paragraph =
        |n: usize| format!("# S{n}\n\nLease number {n} of the node {} ends.\n\n", "z".repeat(n % 40 + 1));
    let large = Folder::with(&[("a.md", &(0..600).map(paragraph).collect::<String>())]);
    let mut documents = large.open();
    let mut topic = documents.answer("lease", None).unwrap().topic;
    for _ in 0..60 {
        topic = documents.answer("more", topic.as_ref()).unwrap().topic;
    }
    let kept = serde_json::to_string(&topic).unwrap();
    assert!(kept.len() < 4_096, "{} bytes", kept.len());
}

#[test]
fn what_was_shown_is_known_also_after_its_file_changed_elsewhere() {
    let folder = manual();
    let mut documents = folder.open();
    let first = documents.answer("When does a lease end?", None).unwrap();
    let text = std::fs::read_to_string(folder.at("a.md")).unwrap();
    folder.write("a.md", format!("A new first paragraph, on something else entirely.\n\n{text}"));
    let second = documents.answer("more", first.topic.as_ref()).unwrap();
    for quote in &second.quotes {
        assert!(first.quotes.iter().all(|other| other.text != quote.text));
    }
}
