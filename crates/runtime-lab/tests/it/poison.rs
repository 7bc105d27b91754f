//! Runs that kill their process among good ones: few, because each death starts a process.

use crate::program::finds_nothing;

const SMALL: [&str; 7] = ["poison", "--good", "60", "--aborting", "4", "--in-flight", "16"];

#[test]
fn runs_that_kill_their_process_are_set_aside_and_all_others_finish() {
    let looked = finds_nothing(&SMALL);

    let of = |name: &str| looked.iter().find(|(what, _)| what == name).map(|(_, number)| *number);
    assert_eq!((of("completed"), of("set_aside")), (Some(60), Some(4)), "{looked:?}");
    assert!(of("deaths").is_some_and(|deaths| deaths >= 4 * 3), "each died alone three times: {looked:?}");
}
