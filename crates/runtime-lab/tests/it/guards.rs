//! Guards that are switched off are missed; what is built without the switch has none.

#[cfg(not(feature = "unguarded"))]
#[test]
fn a_build_without_the_switch_does_not_know_the_variable() {
    use crate::program::{chaos, text};

    // Put together, so that this test does not hold it.
    let variable = ["AGENT_RUNTIME", "UNGUARDED"].join("_");
    // The laboratory's program holds every crate that has a guard.
    let holds = |text: &str| {
        let mut grep = std::process::Command::new("grep");
        grep.args(["--quiet", "--text", "--fixed-strings", text, env!("CARGO_BIN_EXE_chaos")]);
        grep.status().expect("every system has grep").success()
    };

    assert!(holds("AGENT_RUNTIME_LOG"), "variables are not found at all");
    assert!(!holds(&variable));
    let told = chaos(&["guards"]);
    assert_eq!(told.status.code(), Some(3));
    assert!(text(&told).contains("cannot switch guards off: cargo run "), "{}", text(&told));
}

#[cfg(feature = "unguarded")]
mod off {
    use crate::program::{chaos, text};

    fn is_missed(guard: &str) {
        let told = chaos(&["guards", "--only", guard]);
        assert_eq!(told.status.code(), Some(0), "{}", text(&told));
        assert!(text(&told).contains(&format!("noticed guard={guard} ")), "{}", text(&told));
    }

    macro_rules! missed {
        ($($name:ident: $guard:literal,)*) => {
            $(#[test] fn $name() { is_missed($guard); })*
        };
    }

    missed! {
        the_fence_is_missed: "Fence",
        conditions_are_missed: "Conditions",
        batch_ids_are_missed: "BatchId",
        revisions_are_missed: "Revisions",
        syncs_are_missed: "Sync",
        the_sync_of_the_folder_is_missed: "FolderSync",
        checksums_of_rows_are_missed: "RowChecksum",
        the_catching_of_panics_is_missed: "Panics",
        the_poison_is_missed: "Poison",
        the_reopening_is_missed: "Reopen",
        the_limit_of_decoding_is_missed: "DecodeLimit",
        the_look_at_what_follows_a_record_is_missed: "Trailing",
    }
}
