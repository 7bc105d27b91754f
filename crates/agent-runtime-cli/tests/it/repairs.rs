//! `state repair` and `state export`.

use std::fs;

use serde_json::Value;

use crate::home::Home;

const DAMAGED: &str = "redb:store/agents.redb";

/// A home whose librarian was asked three things, and whose store has damage in the second one.
fn damaged() -> Home {
    let home = Home::new();
    for question in ["What is a lease?", "When does a lease end, exactly?", "Who is silent?"] {
        home.good(&["run", "librarian", question]);
    }
    damage(&home, b"When does a lease end, exactly?");
    home
}

/// Changes a letter wherever the store has this text.
pub(crate) fn damage(home: &Home, sought: &[u8]) {
    let path = home.path().join("store/agents.redb");
    let mut bytes = fs::read(&path).expect("it is there");
    let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(sought)).collect();
    assert!(!at.is_empty());
    for at in at {
        bytes[at] = b'w';
    }
    fs::write(&path, bytes).expect("it is ours");
}

fn lines(home: &Home, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(home.path().join(file)).expect("it is there");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn a_damaged_store_is_repaired_into_one_where_the_conversation_goes_on() {
    let home = damaged();
    let before = home.run(&["state", "verify", DAMAGED]);
    assert_eq!(before.code, 5, "{before:?}");

    let told = home.json(&["state", "repair", DAMAGED, "redb:store/new.redb"]);

    let changes = told["repaired"]["changes"].as_array().expect("a list");
    let about = |key: &str| changes.iter().filter(|change| change[key].is_string()).count();
    assert!(about("session") > 0 && about("run") > 0 && about("agent") > 0, "{told:#}");
    assert_eq!(home.json(&["state", "verify", "redb:store/new.redb"])["damaged"], 0);
    let quarantine = lines(&home, "store/new.redb.quarantine");
    assert_eq!(quarantine.len() as u64, told["repaired"]["quarantined"].as_u64().expect("a number"));
    // What was said before the damage, or after it, whichever is longer; and it goes on.
    let new = ["--store", "redb:store/new.redb", "--fleet", "fleet.toml"];
    let with = |args: &[&'static str]| [&new[..], args].concat();
    let messages = home.json(&with(&["messages", "librarian"]));
    assert_eq!(messages.as_array().map(Vec::len), Some(3), "{messages}");
    home.good(&with(&["run", "librarian", "lease"]));
    let runs = home.json(&with(&["runs"]));
    assert_eq!(runs.as_array().map(Vec::len), Some(4), "{runs}");
    // The damaged one is as it was.
    assert_eq!(home.run(&["state", "verify", DAMAGED]).out, before.out);
}

#[test]
fn a_repair_overwrites_nothing_and_makes_nothing_where_there_is_nothing_to_repair() {
    let home = damaged();
    home.run(&["state", "repair", DAMAGED, "redis://localhost"]).is(2, &["--quarantine"]);
    home.write("store/new.redb.quarantine", "mine");
    home.run(&["state", "repair", DAMAGED, "redb:store/new.redb"]).is(2, &["new.redb.quarantine"]);
    fs::remove_file(home.path().join("store/new.redb.quarantine")).expect("it is ours");
    let _ = fs::remove_file(home.path().join("store/new.redb"));
    home.good(&["state", "repair", DAMAGED, "redb:store/new.redb"]);

    home.run(&["state", "repair", DAMAGED, "redb:store/new.redb", "--quarantine", "q"])
        .is(4, &["is not empty", "name a new one"]);
    home.good(&["state", "repair", "redb:store/new.redb", "redb:store/third.redb"]);
    assert!(!home.path().join("store/third.redb").exists(), "it was whole");
    assert!(!home.path().join("store/third.redb.quarantine").exists());
    home.run(&["state", "repair", DAMAGED, "memory:", "--quarantine", "q2"]).is(4, &["memory"]);
}

#[test]
fn a_store_is_exported_also_when_it_is_damaged() {
    let home = damaged();

    let done = home.run(&["state", "export", DAMAGED, "all.jsonl"]);

    assert_eq!(done.code, 5, "{done:?}");
    let all = lines(&home, "all.jsonl");
    let of = |sort: &str| all.iter().filter(|line| line["line"] == sort).count();
    assert_eq!((of("agent"), of("message"), of("store"), of("end")), (1, 5, 1, 1));
    assert!(of("missing") > 0 && of("run") > 5);
    home.run(&["state", "export", DAMAGED, "all.jsonl"]).is(2, &["all.jsonl"]);

    fs::create_dir(home.path().join("out")).expect("it is new");
    home.run(&["state", "export", DAMAGED, "out"]);
    assert_eq!(lines(&home, "out/messages.jsonl").len(), 5);
    assert_eq!(lines(&home, "out/agents.jsonl")[0]["name"], "librarian");
    let printed = home.run(&["state", "export", DAMAGED, "-"]);
    assert_eq!(printed.out.lines().count(), all.len());
}
