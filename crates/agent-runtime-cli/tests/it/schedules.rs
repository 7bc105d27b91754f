//! `schedules`: agents that are run by the clock, also by a server that is killed again and again.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::Value;

use crate::home::Home;
use crate::server::Server;

const ASK: &str = "When does a lease end?";

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_default()
}

#[test]
fn a_schedule_is_added_shown_paused_resumed_and_removed() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let add = ["schedules", "add", "librarian", "morning", ASK, "--cron", "0 9 * * mon-fri", "--zone"];
    let said = home.good(&[&add[..], &["Europe/Berlin"]].concat());
    assert!(
        said.starts_with("morning of librarian fires next 20") && said.contains(" 09:00:00 CE"),
        "{said}"
    );
    home.good(&["schedules", "add", "librarian", "soon", ASK, "--every", "1s", "--missed", "all"]);

    let soon = home.until(&["schedules", "show", "librarian", "soon"], |soon| number(soon, "fired") > 0);
    let run = soon["last"][0]["run"].as_str().expect("it says which run it began").to_owned();
    let log = home.good(&["log", &run, "--follow"]);
    assert!(log.contains("completed") && log.contains("schedule/soon/"), "it is a run like any other: {log}");
    let listed = home.json(&["schedules"]);
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|s| s["schedule"]["name"].as_str()).collect();
    assert_eq!(names, ["soon", "morning"], "soonest first");
    assert_eq!(home.json(&["schedules", "list", "librarian"]).as_array().map(Vec::len), Some(2));

    assert_eq!(home.good(&["schedules", "pause", "librarian", "soon"]), "soon of librarian is paused\n");
    let paused = home.json(&["schedules", "show", "librarian", "soon"]);
    assert_eq!((&paused["paused"], &paused["next"]), (&Value::Bool(true), &Value::Null));
    let said = home.good(&["schedules", "resume", "librarian", "soon"]);
    assert!(said.starts_with("soon of librarian fires next 20"), "{said}");
    let said = home.good(&["schedules", "rm", "librarian", "soon"]);
    assert_eq!(said, "soon of librarian is deleted; its runs go on\n");
    home.run(&["schedules", "show", "librarian", "soon"]).is(3, &["`soon`", "schedules list librarian"]);
    drop(server);
}

#[test]
fn what_can_never_fire_is_refused_with_the_remedy() {
    let home = Home::new();
    let add = |more: &[&str]| home.run(&[&["schedules", "add", "librarian", "never", ASK], more].concat());
    add(&["--cron", "0 0 30 2 *"]).is(2, &["`0 0 30 2 *` never fires", "change its day or its month"]);
    add(&["--cron", "@daily", "--zone", "Mars"]).is(2, &["no time zone `Mars`", "Europe/Berlin"]);
    add(&["--cron", "every day"]).is(2, &["`every day` is no line of cron", "30 9 * * mon-fri"]);
    add(&["--every", "0s"]).is(2, &["`0` ms is too short", "at least 1000 ms"]);
    add(&["--at", "2024-02-29T00:00:00Z"]).is(2, &["`2024-02-29 00:00:00 UTC` has passed"]);
    add(&["--at", "tomorrow"]).is(2, &["2026-11-30T08:00:00Z"]);
    add(&[]).is(2, &["--cron", "--every", "--at"]);
    let nobody = ["schedules", "add", "nobody", "s", ASK, "--every", "1h"];
    home.run(&nobody).is(3, &["`nobody`"]);
    assert_eq!(home.json(&["schedules"]), Value::Array(vec![]), "nothing is left behind");
}

/// The ticks that got runs, schedule by schedule, as the store says it.
fn ticks(home: &Home) -> BTreeMap<String, Vec<u64>> {
    let out = home.path().join("export.jsonl");
    home.good(&["state", "export", "redb:store/agents.redb", out.to_str().expect("it is UTF-8")]);
    let text = std::fs::read_to_string(out).expect("it was written");
    let mut ticks: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let key = line["entry"]["kind"]["accepted"]["idempotency_key"].as_str().unwrap_or_default();
        if let ["schedule", name, _, tick] = key.split('/').collect::<Vec<_>>()[..] {
            ticks.entry(name.to_owned()).or_default().push(tick.parse().expect("a moment"));
        }
    }
    ticks.values_mut().for_each(|ticks| ticks.sort_unstable());
    ticks
}

/// `AGENT_RUNTIME_SCHEDULE_KILLS=50` for so many kills.
#[test]
fn a_server_that_is_killed_again_and_again_misses_no_tick_and_doubles_none() {
    let kills: u64 =
        std::env::var("AGENT_RUNTIME_SCHEDULE_KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(4);
    let home = Home::new();
    let mut server = Server::start(&home, &[]);
    for rule in ["all", "once"] {
        let session = ["--session", rule, "--missed", rule];
        home.good(&[&["schedules", "add", "librarian", rule, ASK, "--every", "1s"], &session[..]].concat());
    }
    let show = ["schedules", "show", "librarian", "all"];
    let declared = number(&home.json(&show), "declared_at");
    for kill in 0..kills {
        let fired = number(&home.json(&show), "fired");
        // Sometimes between two ticks, sometimes in the middle of one, or of what is made up for.
        if kill % 3 > 0 {
            home.until(&show, |all| number(all, "fired") > fired);
        }
        server.kill();
        server = Server::start(&home, &[]);
    }
    let began = number(&home.json(&["status"]), "since");
    for rule in ["all", "once"] {
        // What passed before the last server came is made up for.
        home.until(&["schedules", "show", "librarian", rule], |view| number(view, "next") > began);
        home.good(&["schedules", "pause", "librarian", rule]);
    }
    let shown: Vec<Value> =
        ["all", "once"].map(|rule| home.json(&["schedules", "show", "librarian", rule])).into();
    server.signal(Signal::TERM);
    server.wait();

    let ticks = ticks(&home);
    let all = &ticks["all"];
    let expected: Vec<u64> = (1..=all.len() as u64).map(|nth| declared + nth * 1_000).collect();
    assert_eq!(*all, expected, "each tick has one run");
    assert_eq!((number(&shown[0], "fired"), number(&shown[0], "missed")), (all.len() as u64, 0));
    let (once, view) = (&ticks["once"], &shown[1]);
    assert!(once.windows(2).all(|pair| pair[0] < pair[1]), "none has two: {once:?}");
    let of_all = (once.last().expect("it fired") - number(view, "declared_at")) / 1_000;
    assert_eq!(
        (number(view, "fired"), number(view, "fired") + number(view, "missed")),
        (once.len() as u64, of_all)
    );
    println!("{kills} kills: {} and {} runs, none missed, none doubled", all.len(), once.len());
}
