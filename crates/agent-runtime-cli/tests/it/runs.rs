//! Commands without a server: each opens the store itself.

use crate::home::{FLEET, Home};

#[test]
fn an_answer_names_file_and_line_and_its_run_is_kept() {
    let home = Home::new();

    let answer = home.good(&["run", "librarian", "When does a lease end?"]);

    assert!(answer.contains("docs/leases.md:3"), "{answer}");
    assert_eq!(answer.matches("A lease ends").count(), 1, "nothing is said twice: {answer}");
    let runs = home.json(&["runs"]);
    assert_eq!(runs[0]["phase"], "ended");
    let log = home.good(&["log", "last"]);
    let kinds: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an entry to a line"))
        .map(|entry| entry["kind"].as_object().expect("it has a kind").keys().next().cloned().expect("one"))
        .collect();
    assert_eq!(kinds.first().map(String::as_str), Some("accepted"));
    assert_eq!(kinds.last().map(String::as_str), Some("ended"));
}

#[test]
fn a_run_as_json_is_what_the_service_answers() {
    let home = Home::new();

    let run = home.json(&["run", "librarian", "lease", "--session", "tuesday"]);

    assert!(run["run_id"].as_str().expect("an id").starts_with("run:main."));
    assert_eq!(run["session"], "tuesday");
    assert!(run["output"].as_str().expect("text").contains("docs/leases.md:3"));
    assert!(run["usage"].is_object());
}

#[test]
fn the_same_key_gives_the_same_run_and_another_input_is_refused() {
    let home = Home::new();

    let once = home.json(&["run", "librarian", "lease", "--key", "k1"]);
    let again = home.json(&["run", "librarian", "lease", "--key", "k1"]);

    assert_eq!(once["run_id"], again["run_id"]);
    home.run(&["run", "librarian", "node", "--key", "k1"]).is(4, &["`k1`", "use a new key"]);
}

#[test]
fn what_an_agent_used_is_told_over_time() {
    let home = Home::new();
    home.good(&["run", "librarian", "lease"]);

    let told = home.json(&["agents", "usage", "librarian", "--json"]);
    assert_eq!(told["minutes"].as_array().expect("minutes").len(), 60);
    assert_eq!(told["hours"][23]["micros"], 0);
    let plain = home.good(&["agents", "usage", "librarian"]);
    assert!(plain.contains("last hour, by minutes: 0 tokens read"), "{plain}");
    home.run(&["agents", "usage", "nobody"]).is(3, &["`nobody`"]);
}

#[test]
fn an_input_can_come_from_the_standard_input() {
    let done = Home::new().run_with_input(&["run", "librarian", "-"], b"When does a lease end?");

    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("docs/leases.md:3"), "{}", done.out);
}

#[test]
fn what_the_fleet_file_changes_is_a_new_revision_and_what_it_does_not_name_stays() {
    let home = Home::new();
    home.good(&["agents"]);

    home.write("fleet.toml", &FLEET.replace("Knows about leases.", "Knows all about leases."));

    assert_eq!(home.json(&["agents", "show", "librarian"])["revision"], 2);
    assert_eq!(home.json(&["agents", "show", "librarian"])["revision"], 2);
    home.write("fleet.toml", &FLEET.replace("agents.librarian", "agents.other"));
    let agents = home.json(&["agents"]);
    let names: Vec<_> = agents.as_array().expect("a list").iter().map(|agent| &agent["name"]).collect();
    assert_eq!(names, ["librarian", "other"]);
}

#[test]
fn a_stopped_agent_stays_stopped_until_somebody_starts_it() {
    let home = Home::new();

    assert_eq!(home.json(&["agents", "stop", "librarian"])["want"], "stopped");
    assert_eq!(home.json(&["agents", "show", "librarian"])["want"], "stopped");
    assert_eq!(home.json(&["agents", "start", "librarian"])["want"], "active");
    home.good(&["run", "librarian", "lease"]);
}

#[test]
fn an_agent_is_deleted_only_by_delete() {
    let home = Home::new();
    home.good(&["agents", "stop", "librarian"]);

    let said = home.good(&["agents", "delete", "librarian"]);

    assert!(said.contains("its snapshots stay"), "{said}");
    home.write("fleet.toml", "store = \"redb:store/agents.redb\"\n");
    assert_eq!(home.json(&["agents"]), serde_json::json!([]));
}

#[test]
fn a_run_that_is_over_cannot_be_cancelled_or_decided() {
    let home = Home::new();
    home.good(&["run", "librarian", "lease"]);

    assert!(home.json(&["cancel", "last"])["already_ended"]["completed"].is_object());
    home.run(&["decide", "last", "search", "fail"]).is(4, &["is over"]);
}

#[test]
fn a_faultless_fleet_file_is_fine() {
    assert_eq!(Home::new().json(&["check"]), serde_json::json!({ "file": "fleet.toml", "faults": [] }));
}

#[test]
fn the_exit_codes_are_under_help() {
    let help = Home::new().good(&["--help"]);

    for line in [
        "0  done",
        "1  the run failed",
        "2  bad usage",
        "3  there is no such",
        "4  refused",
        "store in use",
        "5  the store",
        "an address cannot be listened on",
        "6  the run waits",
    ] {
        assert!(help.contains(line), "{line}: {help}");
    }
}

#[test]
fn runs_are_listed_oldest_first_whichever_agent_worked_them() {
    let home = Home::new();
    let names: Vec<String> = (0..5).map(|n| format!("reader-{n}")).collect();
    let agents: Vec<String> = names
        .iter()
        .map(|name| format!("[agents.{name}]\nkind = \"librarian\"\ndocuments = \"docs\"\n"))
        .collect();
    home.write("fleet.toml", &format!("store = \"redb:store/agents.redb\"\n{}", agents.concat()));
    let begun: Vec<serde_json::Value> =
        names.iter().map(|name| home.json(&["run", name, "lease"])["run_id"].clone()).collect();

    let runs = home.json(&["runs"]);

    let listed: Vec<serde_json::Value> =
        runs.as_array().expect("a list").iter().map(|run| run["run"].clone()).collect();
    assert_eq!(listed, begun);
    assert!(home.good(&["log", "last"]).contains("\"accepted\""));
}

#[test]
fn looking_at_another_store_puts_no_agents_of_this_folder_into_it() {
    let home = Home::new();

    assert_eq!(home.json(&["--store", "redb:other.redb", "agents"]), serde_json::json!([]));
    home.good(&["--store", "redb:other.redb", "--fleet", "fleet.toml", "agents"]);
    assert_eq!(home.json(&["--store", "redb:other.redb", "agents"])[0]["name"], "librarian");
    home.good(&["--store", "redb:third.redb", "run", "librarian", "lease"]);
}

#[test]
fn a_run_whose_log_was_swept_says_when_and_how_it_ended() {
    let home = Home::new();
    home.write("fleet.toml", &format!("keep_runs = \"0s\"\n{FLEET}"));
    home.good(&["run", "librarian", "When does a lease end?"]);

    let runs = home.until(&["runs"], |runs| runs[0]["swept_at"].is_number());
    let run = runs[0]["run"].as_str().expect("an id");
    assert!(runs[0]["outcome"]["completed"].is_object(), "{runs}");

    home.run(&["log", run]).is(3, &["completed on 20", "its log was swept on 20", "messages"]);
    home.run(&["fork", run]).is(3, &["swept"]);
    let said = home.json(&["messages", "librarian"]);
    assert!(said.to_string().contains("leases.md"), "{said}");
}

#[test]
fn an_agent_that_holds_too_much_says_how_much_and_what_to_do() {
    let home = Home::new();
    home.write("fleet.toml", &format!("{FLEET}storage = {{ hard = 100, soft = \"50 B\" }}\n"));
    home.good(&["run", "librarian", "When does a lease end?"]);

    home.run(&["run", "librarian", "And now?"])
        .is(4, &["agent `librarian` has", "limit is 100", "`storage`"]);
    let status = home.json(&["status", "librarian"]);
    assert_eq!(status["agent"]["stored"]["hard"], 100);
    assert!(status["agent"]["stored"]["bytes"].as_u64() > Some(100), "{status}");

    home.write("fleet.toml", &format!("{FLEET}storage = {{ hard = \"1 MiB\" }}\n"));
    home.good(&["run", "librarian", "And now?"]);
}
