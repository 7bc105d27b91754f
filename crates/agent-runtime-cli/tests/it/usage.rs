//! `agents usage`: what an agent used over time.

use serde_json::{Value, json};

use crate::home::Home;
use crate::repairs::damage;
use crate::server::Server;
use crate::terminal::shown_plain;

const FLEET: &str = r#"
store = "redb:store/agents.redb"

[listen]
http = "127.0.0.1:0"

[prices]
"scripted/dear" = { input = "1.00", output = "1.00" }

[agents.dear]
kind = "llm"
model = "scripted/dear"
max_tokens = 40
replies = ["Done."]
again = true

[agents.unpriced]
kind = "llm"
model = "scripted/unpriced"
max_tokens = 40
replies = ["Done."]
again = true
"#;

fn home() -> Home {
    let home = Home::new();
    home.write("fleet.toml", FLEET);
    home
}

/// What is told for all minutes together, in JSON.
fn sum(home: &Home, agent: &str) -> Value {
    let told = home.json(&["agents", "usage", agent]);
    let (minutes, hours) =
        (told["minutes"].as_array().expect("a list"), told["hours"].as_array().expect("a list"));
    assert_eq!((minutes.len(), hours.len()), (60, 24));
    let of = |what: &str| minutes.iter().filter_map(|used| used[what].as_u64()).sum::<u64>();
    let unknown = minutes.iter().filter(|used| used["micros"].is_null()).count();
    json!([
        of("requests"),
        of("input_tokens") > 0,
        of("output_tokens") > 0,
        of("micros") > 0,
        of("unpriced"),
        unknown
    ])
}

#[test]
fn what_an_agent_used_is_told_alike_by_the_store_and_by_a_server_also_after_its_restart() {
    let home = home();
    for agent in ["dear", "unpriced"] {
        assert_eq!(sum(&home, agent), json!([0, false, false, false, 0, 0]));
        home.good(&["run", agent, "one"]);
    }
    let (dear, unpriced) = (json!([1, true, true, true, 0, 0]), json!([1, true, true, false, 1, 1]));

    for _ in 0..2 {
        let _server = Server::start(&home, &[]);
        assert_eq!((sum(&home, "dear"), sum(&home, "unpriced")), (dear.clone(), unpriced.clone()));
    }
    assert_eq!((sum(&home, "dear"), sum(&home, "unpriced")), (dear, unpriced));
    assert!(home.good(&["agents", "usage", "dear"]).starts_with('{'), "where no person reads, it is JSON");
    home.run(&["agents", "usage", "nobody"]).is(3, &["`nobody`"]);
}

#[test]
fn on_a_terminal_bars_are_shown_where_something_was_used() {
    let home = home();
    home.good(&["run", "unpriced", "one"]);

    let used = shown_plain(&home, &["agents", "usage", "unpriced"]);
    assert!(used.contains("written, 1 call, cost unknown\n"), "{used}");
    assert_eq!(used.matches('┼').count(), 2, "{used}");
    assert!(used.contains('█') && used.lines().all(|line| line.chars().count() <= 100), "{used}");

    let idle = shown_plain(&home, &["agents", "usage", "dear"]);
    assert!(idle.starts_with("last hour: nothing used\nlast day: nothing used\n"), "{idle}");
}

#[test]
fn what_was_used_is_no_damage_and_moves_with_a_copy_of_the_store_or_its_repair() {
    let home = home();
    for question in ["one", "What is damaged?"] {
        home.good(&["run", "dear", question]);
    }
    let before = sum(&home, "dear");
    assert_eq!(home.json(&["state", "verify"])["damaged"], 0);

    for (command, to) in [("copy", "redb:copied/agents.redb"), ("repair", "redb:repaired/agents.redb")] {
        if command == "repair" {
            damage(&home, b"What is damaged?");
        }
        home.good(&["state", command, "redb:store/agents.redb", to]);
        home.write("fleet.toml", &FLEET.replace("redb:store/agents.redb", to));
        assert_eq!(sum(&home, "dear"), before, "{command}");
    }
}
