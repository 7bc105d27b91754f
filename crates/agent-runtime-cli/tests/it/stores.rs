//! `state copy`, `state verify` and `state rekey`.

use std::fs;

use serde_json::Value;

use crate::home::Home;
use crate::server::Server;

const PLAIN: &str = "redb:store/agents.redb";
const SEALED: &str = "encrypted:file:store.keys,redb:store/sealed.redb";

/// A home whose librarian was asked something, and keys for a store.
fn home() -> Home {
    let home = Home::new();
    home.good(&["run", "librarian", "What is a lease?"]);
    home.write("store.keys", &format!("1 {}\n", "5e".repeat(32)));
    home
}

fn holds(home: &Home, file: &str, text: &str) -> bool {
    let bytes = fs::read(home.path().join(file)).expect("it is there");
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_store_is_copied_into_an_encrypted_one_where_the_conversation_goes_on() {
    let home = home();
    assert!(holds(&home, "store/agents.redb", "What is a lease?"), "it is in the clear");

    let copied = home.json(&["state", "copy", PLAIN, SEALED]);

    assert!(copied["copied"]["cells"].as_u64() > Some(5), "{copied}");
    assert!(copied["copied"]["entries"].as_u64() > Some(2), "{copied}");
    assert!(!holds(&home, "store/sealed.redb", "What is a lease?"), "it is encrypted");
    let messages = home.good(&["--store", SEALED, "messages", "librarian", "--json"]);
    assert!(messages.contains("What is a lease?"), "{messages}");
    home.good(&["--store", SEALED, "--fleet", "fleet.toml", "run", "librarian", "lease"]);

    // And back: what went on there is there.
    home.good(&["state", "copy", SEALED, "redb:store/back.redb"]);
    let runs: Value = home.json(&["--store", "redb:store/back.redb", "runs"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(2), "{runs}");
}

#[test]
fn a_fleet_file_names_an_encrypted_store_and_its_keys_from_its_own_folder() {
    let home = home();
    let fleet = crate::home::FLEET.replace("redb:store/agents.redb", SEALED);
    home.write("fleet.toml", &fleet);

    let server = Server::start(&home, &[]);
    let answer = home.good(&["run", "librarian", "lease"]);
    drop(server);

    assert!(answer.contains("ten seconds"), "{answer}");
    assert!(!holds(&home, "store/sealed.redb", "ten seconds"));
    home.good(&["state", "verify"]);
}

#[test]
fn keys_that_do_not_fit_are_refused_and_nothing_is_overwritten() {
    let home = home();
    home.good(&["state", "copy", PLAIN, SEALED]);
    let before = home.json(&["state", "verify", SEALED]);
    let plainly = "redb:store/sealed.redb";

    home.run(&["--store", plainly, "agents"])
        .is(4, &["`redb:store/sealed.redb` is encrypted", "name its keys"]);
    home.run(&["state", "copy", plainly, "redb:x.redb"]).is(4, &["is encrypted"]);
    home.run(&["--store", &format!("encrypted:file:store.keys,{PLAIN}"), "agents"])
        .is(4, &["values that are not encrypted"]);
    home.write("other.keys", &format!("1 {}\n", "77".repeat(32)));
    home.run(&["--store", &SEALED.replace("store.keys", "other.keys"), "agents"])
        .is(4, &["key 1 is not the one"]);
    home.write("newer.keys", &format!("2 {}\n", "77".repeat(32)));
    home.run(&["--store", &SEALED.replace("store.keys", "newer.keys"), "agents"])
        .is(4, &["needs key 1", "add its line"]);
    home.run(&["--store", &SEALED.replace("store.keys", "no.keys"), "agents"])
        .is(2, &["`file:no.keys` cannot be read"]);
    home.write("bad.keys", "1 5e5e\n");
    let bad = home.run(&["--store", &SEALED.replace("store.keys", "bad.keys"), "agents"]);
    bad.is(2, &["line 1 of the keys is none"]);
    assert!(!bad.err.contains("5e5e"), "{}", bad.err);

    assert_eq!(home.json(&["state", "verify", SEALED]), before);
    assert!(home.good(&["agents"]).contains("librarian"), "the plain one is as it was");
}

#[test]
fn a_store_is_rewritten_under_a_new_key_and_the_old_one_can_go() {
    let home = home();
    home.good(&["state", "copy", PLAIN, SEALED]);
    let (old, new) = ("5e".repeat(32), "a7".repeat(32));
    home.write("store.keys", &format!("2 {new}\n1 {old}\n"));
    home.good(&["--store", SEALED, "--fleet", "fleet.toml", "run", "librarian", "lease"]);
    // What a try that was killed leaves.
    home.write("store/sealed.redb.rekey", "half of a file");

    let told = home.good(&["state", "rekey", SEALED]);

    assert!(told.contains("under key 2"), "{told}");
    assert!(!home.path().join("store/sealed.redb.rekey").exists());
    home.write("store.keys", &format!("2 {new}\n"));
    assert_eq!(home.json(&["state", "verify", SEALED, "--pages"])["pages"], "whole");
    let runs = home.json(&["--store", SEALED, "runs"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(2), "{runs}");
    home.write("store.keys", &format!("1 {old}\n"));
    home.run(&["--store", SEALED, "agents"]).is(4, &["needs key 2"]);

    home.run(&["state", "rekey", PLAIN]).is(4, &["no store that can be rewritten", "state copy"]);
}

#[test]
fn the_keys_that_a_store_needs_are_listed_until_the_old_one_can_go() {
    let home = home();
    home.good(&["state", "copy", PLAIN, SEALED]);
    let (old, new) = ("5e".repeat(32), "a7".repeat(32));
    home.write("store.keys", &format!("2 {new}\n1 {old}\n"));
    home.good(&["--store", SEALED, "--fleet", "fleet.toml", "run", "librarian", "lease"]);
    let needs = |store: &str| -> Vec<(u64, bool, bool)> {
        let told = home.json(&["state", "keys", store]);
        let keys = told["keys"].as_array().expect("a list").iter();
        keys.map(|key| {
            let values =
                key["cells"].as_u64().expect("a number") + key["entries"].as_u64().expect("a number");
            (key["key"].as_u64().expect("a number"), values > 0, key["writes"] == true)
        })
        .collect()
    };
    assert_eq!(needs(SEALED), [(1, true, false), (2, true, true)]);

    // Into another store, as where there is no file that could take the old one's place.
    home.good(&["state", "rekey", SEALED, "--into", "redb:store/next.redb"]);
    let next = SEALED.replace("sealed.redb", "next.redb");
    assert_eq!(needs(&next), [(1, false, false), (2, true, true)]);
    assert_eq!(needs(SEALED), [(1, true, false), (2, true, true)], "the old one is as it was");
    home.good(&["state", "rekey", SEALED]);
    assert_eq!(needs(SEALED), [(1, false, false), (2, true, true)]);
    home.write("store.keys", &format!("2 {new}\n"));
    home.good(&["state", "verify", &next]);

    home.run(&["state", "keys", PLAIN]).is(4, &["not encrypted"]);
    home.run(&["state", "rekey", "encrypted:file:store.keys,memory:"]).is(4, &["memory"]);
    home.run(&["state", "rekey", "encrypted:file:store.keys,redis://localhost/1"]).is(4, &["--into"]);
}

#[test]
fn a_store_on_a_redis_server_is_taken_by_a_command_only_where_somebody_says_that_nobody_serves_it() {
    let home = home();
    const REDIS: &str = "redis://:secret@127.0.0.1:1/0";
    let sealed = format!("encrypted:file:store.keys,{REDIS}");
    let refused: [&[&str]; 11] = [
        &["--store", REDIS, "runs"],
        &["--store", REDIS, "run", "librarian", "lease"],
        &["state", "copy", REDIS, "redb:store/copied.redb"],
        &["state", "copy", PLAIN, REDIS],
        &["state", "repair", REDIS, "redb:store/repaired.redb"],
        &["state", "repair", PLAIN, REDIS, "--quarantine", "aside"],
        &["state", "export", REDIS, "-"],
        &["state", "rekey", SEALED, "--into", REDIS],
        &["state", "rekey", &sealed, "--into", "redb:store/rewritten.redb"],
        &["--store", &sealed, "runs"],
        &["agents", "stop", "librarian", "--store", REDIS],
    ];
    for args in refused {
        let done = home.run(args);
        assert!(!done.err.contains("secret"), "{}", done.err);
        done.is(4, &["--nobody-serves", "redis://"]);
    }
    // Somebody said so: now the server is missing.
    let done = home.run(&["--nobody-serves", "state", "export", REDIS, "-"]);
    assert_eq!(done.code, 5, "{}", done.err);
}

#[test]
fn what_is_asked_of_a_store_is_told_to_who_listens() {
    let home = home();
    let listen = |level: &str| {
        let mut command = home.command(&["agents"]);
        let output = command.env("AGENT_RUNTIME_LOG", level).output().expect("the program was built");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = listen("warn,runtime_state=debug");
    assert!(told.contains("store.get") && told.contains("outcome=\"ok\""), "{told}");
    assert!(!listen("warn").contains("store."));
}

#[test]
fn a_store_is_copied_only_where_nothing_is_lost_by_it() {
    let home = home();

    home.run(&["state", "copy", "redb:nowhere.redb", "redb:x.redb"])
        .is(3, &["there is no store `nowhere.redb`"]);
    home.run(&["state", "copy", PLAIN, PLAIN]).is(4, &["in use"]);
    home.run(&["state", "copy", PLAIN, "memory:"]).is(4, &["memory"]);
    home.run(&["state", "copy", PLAIN, "floppy:a"]).is(2, &["no store `floppy:a`"]);
    home.good(&["state", "copy", PLAIN, "redb:second.redb"]);
    home.run(&["state", "copy", PLAIN, "redb:second.redb"]).is(4, &["is not empty", "name a new one"]);
    let _server = Server::start(&home, &[]);
    home.run(&["state", "copy", PLAIN, "redb:third.redb"]).is(4, &["is served already"]);
}

#[test]
fn damage_is_told_by_agent_and_session() {
    let home = home();
    let whole = home.json(&["state", "verify", "--pages"]);
    assert_eq!((&whole["damaged"], &whole["pages"]), (&0.into(), &"whole".into()), "{whole}");
    let path = home.path().join("store/agents.redb");
    let mut bytes = fs::read(&path).expect("it is there");
    let at: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"What is a lease?")).collect();
    for at in at {
        bytes[at] = b'w';
    }
    fs::write(&path, bytes).expect("it is ours");

    let done = home.run(&["state", "verify"]);

    assert_eq!(done.code, 5, "{done:?}");
    let told: Value = serde_json::from_str(&done.out).expect("JSON where nobody sees it");
    assert!(told["damaged"].as_u64() > Some(0), "{told}");
    let damages = told["damages"].as_array().expect("a list");
    assert!(damages.iter().any(|damage| damage["session"] == "default"), "{told}");
    assert!(damages.iter().any(|damage| damage["run"].is_string()), "{told}");
    let agents = home.json(&["agents"]);
    assert!(damages.iter().any(|damage| damage["agent"] == agents[0]["id"]), "{told} {agents}");
}
