//! `save` and `restore`.

use std::fs;

use crate::home::Home;

#[test]
fn a_restored_agent_goes_on_with_the_conversation() {
    let home = Home::new();
    home.write(
        "docs/more.md",
        "# More\n\nA lease is one cell, which its node writes anew.\n\nA lease is no lock.\n",
    );
    home.good(&["run", "librarian", "What is a lease?"]);

    let state = home.good(&["save", "librarian"]);
    let state = state.trim();
    home.good(&["agents", "stop", "librarian"]);
    let restored = home.json(&["restore", state, "--name", "second"]);

    assert_eq!(restored["name"], "second");
    assert_eq!(restored["want"], "active");
    let answer = home.good(&["run", "second", "tell me more"]);
    assert!(answer.contains("What is a lease?"), "it knows what the last topic was: {answer}");
}

#[test]
fn a_name_that_is_taken_is_not_given_again() {
    let home = Home::new();
    home.good(&["run", "librarian", "lease"]);
    let state = home.good(&["save", "librarian"]);

    home.run(&["restore", state.trim(), "--name", "librarian"]).is(4, &["`librarian`", "taken"]);
}

#[test]
fn an_agent_that_is_put_back_knows_what_it_knew() {
    let home = Home::new();
    home.good(&["run", "librarian", "lease"]);
    let state = home.good(&["save", "librarian"]);
    let state = state.trim();
    home.good(&["run", "librarian", "--session", "later", "lease"]);

    home.run(&["restore", state, "--in-place", "librarian"]).is(4, &["`librarian`", "stop it first"]);
    home.good(&["agents", "stop", "librarian"]);
    let said = home.good(&["restore", state, "--in-place", "librarian"]);

    assert!(said.contains("librarian is put back"), "{said}");
    home.good(&["agents", "start", "librarian"]);
    let later = home.json(&["messages", "librarian", "--session", "later"]);
    assert_eq!(later.as_array().map(Vec::len), Some(0), "{later}");
    let kept = home.json(&["messages", "librarian"]);
    assert_eq!(kept.as_array().map(Vec::len), Some(2), "{kept}");
}

#[test]
fn snapshots_are_listed_compared_kept_and_carried_into_another_store() {
    let home = Home::new();
    home.good(&["run", "librarian", "lease"]);
    let first = home.good(&["save", "librarian"]).trim().to_owned();
    home.good(&["run", "librarian", "lease"]);
    let second = home.good(&["save", "librarian"]).trim().to_owned();

    let listed = home.json(&["snapshots", "librarian"]);
    assert_eq!(listed[0]["state"], first.as_str(), "oldest first: {listed}");
    assert_eq!((&listed[0]["name"], &listed[1]["messages"]), (&"librarian".into(), &4.into()));
    let shown = home.json(&["snapshot", "show", &second]);
    assert_eq!(shown["sessions"][0]["name"], "default");
    let diff = home.json(&["snapshot", "diff", &first, &second]);
    assert_eq!(diff["changed"][0]["only_after"], 2, "{diff}");

    home.good(&["snapshot", "export", &second, "agent.snapshot"]);
    home.run(&["snapshot", "export", &second, "agent.snapshot"]).is(2, &["is there already"]);
    let file = fs::read(home.path().join("agent.snapshot")).expect("it was written");
    fs::write(home.path().join("half.snapshot"), &file[..file.len() / 2]).expect("the folder is ours");
    home.write("other.snapshot", "something else");
    let elsewhere = ["--store", "redb:elsewhere.redb"];
    let there = |args: &[&str]| home.run(&[&elsewhere, args].concat());
    there(&["snapshot", "import", "half.snapshot"]).is(2, &["cut off"]);
    there(&["snapshot", "import", "other.snapshot"]).is(2, &["no snapshot file"]);
    there(&["snapshot", "import", "nowhere.snapshot"]).is(2, &["`nowhere.snapshot`"]);
    let taken = home.good(&[&elsewhere[..], &["snapshot", "import", "agent.snapshot"]].concat());
    let listed = home.json(&[&elsewhere[..], &["snapshots"]].concat());
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["state"], taken.trim());

    let gone = home.json(&["snapshot", "keep", "librarian", "--newest", "1"]);
    assert_eq!(gone["deleted"][0], first.as_str());
    home.run(&["snapshot", "keep", "librarian"]).is(2, &["--newest"]);
    home.good(&["snapshot", "delete", &second]);
    home.run(&["snapshot", "show", &second]).is(3, &["no snapshot"]);
}
