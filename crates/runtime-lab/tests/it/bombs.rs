//! Hostile bytes: the corpus, some made ones, and decoders that leave a guard out.

use crate::program::{finds, finds_nothing};

#[test]
fn the_corpus_and_thirty_thousand_made_inputs_do_no_harm() {
    let looked = finds_nothing(&["bombs", "--n", "30000"]);

    let of = |name: &str| looked.iter().find(|(what, _)| what == name).map(|(_, number)| *number);
    assert!(of("corpus").is_some_and(|files| files >= 30), "{looked:?}");
    assert!(of("peak").is_some_and(|peak| peak > 0), "nothing was measured: {looked:?}");
}

#[test]
fn a_decoder_that_takes_the_memory_that_it_is_told_to_is_found_out() {
    finds(&["bombs", "--n", "20000", "--flaw", "unlimited"], &["greedy"]);
}

#[test]
fn a_decoder_that_does_not_look_at_what_follows_is_found_out() {
    finds(&["bombs", "--n", "2000", "--flaw", "trailing"], &["wrong"]);
}

#[test]
fn a_decoder_that_trusts_its_input_is_found_out() {
    finds(&["bombs", "--n", "2000", "--flaw", "trusting"], &["panicked"]);
}
