//! Agents that press against a provider: for a moment only, because a minute takes a minute.

use crate::program::{finds, finds_nothing};

/// Twenty agents, and a provider that lets 3,000 requests through in a minute: fifty in a second.
const SMALL: [&str; 9] =
    ["quota", "--seconds", "2", "--agents", "20", "--requests", "3000", "--tokens", "500000"];

#[test]
fn agents_that_press_for_two_seconds_are_not_refused_and_share_what_there_is() {
    let looked = finds_nothing(&SMALL);

    let of = |name: &str| looked.iter().find(|(what, _)| what == name).map(|(_, number)| *number);
    assert!(of("completed").is_some_and(|runs| runs >= 50), "{looked:?}");
    assert_eq!(of("refused"), Some(0), "{looked:?}");
}

#[test]
fn a_fleet_that_does_not_say_what_its_provider_lets_through_is_refused() {
    let few = ["quota", "--seconds", "1", "--agents", "20", "--requests", "30", "--tokens", "5000"];
    finds(&[&few[..], &["--flaw", "undeclared"]].concat(), &["refused"]);
}
