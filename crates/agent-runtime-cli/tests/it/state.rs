//! `save` and `restore`.

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
