//! Small experiments on stores: those that find nothing, and some over stores that break their contract.

use crate::program::{chaos, finds, finds_nothing, text};

#[test]
fn what_was_acknowledged_survives_four_kills() {
    let looked = finds_nothing(&["kill9", "--n", "4", "--seed", "3"]);

    for (what, number) in looked {
        assert!(number > 0, "{what}={number}");
    }
}

#[test]
fn what_was_acknowledged_survives_a_redis_server_that_is_killed_and_one_that_loses_its_power() {
    finds_nothing(&["redis-kill", "--n", "3"]);
    finds_nothing(&["redis-kill", "--n", "3", "--power"]);
}

#[test]
fn what_a_redis_server_loses_that_syncs_once_in_a_second_is_counted() {
    let result = chaos(&["redis-kill", "--n", "3", "--power", "--fsync", "everysec"]);

    let told = text(&result);
    assert_eq!(result.status.code(), Some(0), "{told}");
    let lost = told.split(' ').find_map(|word| word.strip_prefix("lost=")).expect(&told);
    assert!(lost.parse::<u64>().expect("a number") > 0, "{told}");
}

#[test]
fn a_store_in_redis_that_answers_without_writing_is_found_out() {
    finds(&["redis-kill", "--n", "2", "--flaw", "forgets"], &["lost"]);
}

#[test]
fn forty_damaged_copies_are_told_or_whole() {
    let looked = finds_nothing(&["damage", "--n", "40", "--batches", "20", "--writers", "3"]);

    assert!(looked.iter().any(|(what, number)| what == "bytes" && *number > 0), "{looked:?}");
}

#[test]
fn forty_disks_whose_power_was_cut_keep_what_was_acknowledged() {
    let looked = finds_nothing(&["powerloss", "--n", "40", "--batches", "6", "--writers", "3"]);

    for (what, number) in looked {
        assert!(number > 0, "{what}={number}");
    }
}

#[test]
fn a_disk_whose_power_was_cut_while_a_store_was_made_has_a_whole_one_or_none() {
    finds_nothing(&["powerloss", "--n", "60", "--batches", "1", "--writers", "1"]);
}

#[test]
fn a_store_that_answers_without_writing_is_found_out_by_a_kill() {
    finds(&["kill9", "--n", "2", "--seed", "3", "--flaw", "forgets"], &["lost"]);
}

#[test]
fn a_store_that_writes_half_a_batch_is_found_out_by_a_kill() {
    finds(&["kill9", "--n", "2", "--seed", "3", "--flaw", "halves"], &["torn"]);
}

#[test]
fn a_store_that_looks_at_no_condition_is_found_out() {
    finds(&["kill9", "--n", "3", "--seed", "3", "--flaw", "unconditional"], &["answered"]);
}

#[test]
fn a_store_that_lets_everybody_write_is_found_out() {
    finds(&["kill9", "--n", "3", "--seed", "3", "--flaw", "unfenced"], &["answered"]);
}

#[test]
fn a_store_that_does_not_know_a_batch_again_is_found_out() {
    finds(&["kill9", "--n", "3", "--seed", "3", "--flaw", "repeats"], &["answered"]);
}

#[test]
fn a_store_that_syncs_nothing_is_found_out_by_a_loss_of_power() {
    finds(&["powerloss", "--n", "20", "--batches", "6", "--writers", "3", "--flaw", "unsynced"], &["lost"]);
}

#[test]
fn a_store_that_takes_damage_for_absence_is_found_out() {
    finds(&["damage", "--n", "30", "--batches", "20", "--writers", "3", "--flaw", "believes"], &["silent"]);
}

#[test]
fn nothing_is_acknowledged_after_a_sync_has_failed() {
    let looked = finds_nothing(&["fsyncfail", "--n", "4", "--writers", "3"]);

    for (what, number) in looked {
        assert!(number > 0, "{what}={number}");
    }
}

#[test]
fn a_store_that_goes_on_after_a_failed_sync_is_found_out() {
    finds(&["fsyncfail", "--n", "4", "--writers", "3", "--flaw", "careless"], &["answered"]);
}

/// Only root may mount. Whoever is not root is told so, and that is tested then.
fn mounts(args: &[&str]) -> bool {
    let told = text(&chaos(args));
    if told.contains("no file system can be mounted at") {
        println!("not tested: {told}");
        return false;
    }
    true
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    let args = ["diskfull", "--n", "1"];
    if mounts(&args) {
        for (what, number) in finds_nothing(&args) {
            assert!(number > 0, "{what}={number}");
        }
    }
}

#[test]
fn a_store_that_stays_full_is_found_out() {
    let args = ["diskfull", "--n", "1", "--flaw", "sulks"];
    if mounts(&args) {
        finds(&args, &["stuck"]);
    }
}
