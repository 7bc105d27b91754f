//! `[[webhooks]]` of the fleet file: what is read, and what is said of what cannot be.

use std::time::Duration;

use agent_runtime::fleet::Fleet;
use agent_runtime::webhooks::RunEnd;

const GOOD: &str = r#"
    [[webhooks]]
    name = "billing"
    url = "https://billing.example.com/runs"
    secret = ["env:NEW", "file:old"]
    events = ["run.completed", "run.continued"]
    agents = ["clerk"]
    attempts = 3
    first_pause = "1m"
    give_up_after = "2h"
    timeout = "5s"
    at_once = 2

    [[webhooks]]
    name = "here"
    url = "http://127.0.0.1:9000/"
    secret = "env:HERE"
    allow_private = true
"#;

#[test]
fn webhooks_are_read_in_their_order_and_the_bus_keeps_what_they_need() {
    let fleet = Fleet::parse(GOOD).expect("nothing is wrong").placed("/srv");
    let [billing, here] = &fleet.webhooks[..] else { panic!("two webhooks: {:?}", fleet.webhooks) };
    assert_eq!((billing.name.as_str(), here.name.as_str()), ("billing", "here"));
    assert_eq!(billing.secrets, ["env:NEW", "file:/srv/old"]);
    assert_eq!(billing.ends, Some([RunEnd::Completed, RunEnd::Continued].into()));
    assert_eq!(billing.agents[0].as_str(), "clerk");
    assert_eq!((billing.attempts, billing.at_once), (Some(3), Some(2)));
    let times = [billing.first_pause, billing.give_up_after, billing.timeout].map(Option::unwrap);
    assert_eq!(times, [60, 7_200, 5].map(Duration::from_secs));
    assert!(here.allow_private && !billing.allow_private && here.ends.is_none());
    let kept: Vec<&str> = fleet.bus.topics.iter().map(|rule| rule.pattern.as_str()).collect();
    let ends = ["completed", "failed", "cancelled", "continued"].map(|end| format!("agents/*/run.{end}"));
    assert_eq!(kept[..2], ["system/webhooks/*/queue", "system/webhooks/*/state"]);
    let dead = ["billing", "here"].map(|name| format!("system/dead-letters/webhook.{name}"));
    assert_eq!(kept[2..4], dead);
    assert_eq!(kept[4..], ends);
    assert!(fleet.bus.topics.iter().all(|rule| rule.keep.is_some()));
    assert!(Fleet::parse("").expect("nothing is wrong").bus.topics.is_empty());
}

#[test]
fn what_is_wrong_with_a_webhook_is_told_with_its_remedy() {
    let hook = |more: &str| {
        format!("[[webhooks]]\nname = \"hook\"\nurl = \"https://example.com/\"\nsecret = \"env:X\"\n{more}")
    };
    let at = |url: &str| format!("[[webhooks]]\nname = \"hook\"\nurl = \"{url}\"\nsecret = \"env:X\"\n");
    for (text, words) in [
        ("webhooks = 3".to_owned(), "write a table for each"),
        ("[[webhooks]]\n".to_owned(), "has no secret; add secret"),
        (hook("evnts = 3"), "did you mean `events`"),
        (hook("events = [\"run.complete\"]"), "did you mean `run.completed`"),
        (hook("events = []"), "`events` is an array"),
        (hook("agents = [\"a b\"]"), "no name of an agent"),
        (hook("agents = 3"), "`agents` is an integer"),
        (hook("attempts = 0"), "no number from 1 to 100"),
        (hook("at_once = 65"), "no number from 1 to 64"),
        (hook("timeout = \"2m\""), "at most 60 s"),
        (hook("first_pause = \"soon\""), "no time"),
        (hook("allow_private = 1"), "write true or false"),
        (at("http://example.com/"), "unencrypted; write `https`"),
        (at("https://10.0.0.1/"), "10.0.0.1 is private; name a public host"),
        (at("https://2130706433/"), "127.0.0.1 is this machine"),
        (at("example.com"), "is no address"),
        (
            format!("{}{}", hook(""), hook("").replace("\"hook\"", "\"HOOK\"")),
            "two webhooks are called `HOOK`",
        ),
        (hook("").replace("\"hook\"", "\"a b\""), "no name of a webhook"),
        (hook("").replace("env:X", "whsec_swordfish"), "never written down itself"),
        (
            format!("{}[[events.topics]]\nof = \"agents/**\"\nblock = \"1s\"\n", hook("")),
            "a rule about `agents/**` does not keep it",
        ),
        (
            format!("{}[[events.topics]]\nof = \"system/dead-letters/*\"\nblock = \"1s\"\n", hook("")),
            "a rule about `system/dead-letters/*` does not keep it",
        ),
    ] {
        let faults = Fleet::parse(&text).expect_err(&text).to_string();
        assert!(faults.contains(words), "{text}: {faults}");
        assert!(!faults.contains("swordfish"), "{faults}");
    }
}
