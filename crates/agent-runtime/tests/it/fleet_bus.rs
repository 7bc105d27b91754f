//! `[events]` of the fleet file: what is read, and what is said of what cannot be.

use std::time::Duration;

use agent_runtime::bus::{Act, Retention};
use agent_runtime::fleet::{BusPlace, Fleet};

#[test]
fn a_fleet_file_without_a_bus_has_one_in_its_store() {
    let bus = Fleet::parse("").expect("nothing is wrong").bus;

    assert_eq!(bus.place, BusPlace::Store);
    assert!(bus.topics.is_empty() && bus.rights.0.is_empty());
}

#[test]
fn place_topics_and_rights_are_read_in_their_order() {
    let text = r#"
        [events]
        bus = "store"

        [[events.topics]]
        of = "orders/**"
        keep = "7d"
        most = 100_000
        size = "1 MiB"

        [[events.topics]]
        of = "audit"
        keep = "forever"
        block = "2s"

        [[events.rights]]
        agent = "clerk"
        act = "publish"
        of = "money/**"
        allow = false

        [[events.rights]]
        tenant = "acme"
        of = "**"
        allow = true
    "#;
    let bus = Fleet::parse(text).expect("nothing is wrong").bus;

    let [orders, audit] = &bus.topics[..] else { panic!("two rules: {:?}", bus.topics) };
    let age = Some(Duration::from_secs(7 * 86_400));
    let week = Retention { age, events: Some(100_000), bytes: Some(1_048_576) };
    assert_eq!((orders.pattern.as_str(), orders.keep, orders.block), ("orders/**", Some(week), None));
    assert_eq!(audit.keep, Some(Retention::default()));
    assert_eq!(audit.block, Some(Duration::from_secs(2)));
    let [clerk, acme] = &bus.rights.0[..] else { panic!("two lines: {:?}", bus.rights) };
    assert_eq!((clerk.act, clerk.topics.as_str(), clerk.allow), (Some(Act::Publish), "money/**", false));
    assert_eq!(clerk.agent.as_ref().map(|agent| agent.as_str()), Some("clerk"));
    assert_eq!((&clerk.tenant, acme.act, acme.allow), (&None, None, true));
    assert_eq!(acme.tenant.as_ref().map(|tenant| tenant.as_str()), Some("acme"));
}

#[test]
fn the_address_of_a_redis_server_is_shown_without_its_password() {
    let fleet = Fleet::parse("[events]\nbus = \"redis://ann:secret@host/1\"").expect("nothing is wrong");

    assert!(matches!(fleet.bus.place, BusPlace::Redis(_)));
    let shown = format!("{} {:?}", fleet.bus.place, fleet);
    assert!(shown.contains("host/1") && !shown.contains("secret"), "{shown}");
}

#[test]
fn every_fault_names_the_key_and_the_remedy() {
    let topics = |rest: &str| format!("[[events.topics]]\nof = \"a\"\n{rest}");
    let rights = |rest: &str| format!("[[events.rights]]\nof = \"a\"\nallow = true\n{rest}");
    let wrong: Vec<(String, &[&str])> = vec![
        ("events = 3".into(), &["`events` is an integer", "[events]"]),
        ("[events]\nbuss = \"store\"".into(), &["`[events]` has no setting `buss`", "did you mean `bus`?"]),
        ("[events]\nbus = \"kafka://h\"".into(), &["`kafka://h` is no place of a bus", "redis://HOST"]),
        ("[events]\nbus = \"redis://\"".into(), &["is no place of a bus"]),
        ("[events]\ntopics = \"a\"".into(), &["`topics` is a string", "[[events.topics]]"]),
        ("[[events.topics]]\nkeep = \"7d\"".into(), &["names no topics", "add of ="]),
        ("[[events.topics]]\nof = \"a/**/b\"".into(), &["goes on after `**`", "end with it"]),
        (topics("keep = \"long\""), &["`keep` is no time: `long`", "or \"forever\""]),
        (topics("keep = \"7d\"\nmost = 0"), &["`most` is no number of events", "from 1 on"]),
        (topics("most = 5"), &["`most` is about what is kept", "add keep"]),
        (topics("size = \"1 MiB\""), &["`size` is about what is kept", "add keep"]),
        (topics("keep = \"7d\"\nsize = \"much\""), &["`size` is no size: much"]),
        (topics("block = \"1h\""), &["publishers cannot wait for `1h`", "up to a minute"]),
        (topics("keeps = \"7d\""), &["has no setting `keeps`", "did you mean `keep`?"]),
        ("[[events.rights]]\nof = \"a\"".into(), &["does not say whether it allows", "allow = false"]),
        ("[[events.rights]]\nallow = true".into(), &["names no topics"]),
        (rights("act = \"reed\""), &["there is no act `reed`", "did you mean `read`?"]),
        (rights("agent = \"a b\""), &["`a b` is no name"]),
        (rights("who = \"x\""), &["`[[events.rights]]` has no setting `who`"]),
        ("[[events.rights]]\nof = \"a\"\nallow = 1".into(), &["`allow` is an integer", "true or false"]),
        (
            format!("[events]\nbus = \"redis://h\"\n{}", topics("block = \"1s\"")),
            &["`block` does nothing over Redis", "leave it away"],
        ),
    ];
    for (text, words) in wrong {
        let told = Fleet::parse(&text).expect_err(&text).to_string();
        for word in words {
            assert!(told.contains(word), "`{word}` is missing for {text}:\n{told}");
        }
    }
}

#[test]
fn a_password_in_a_bad_address_is_not_shown() {
    let told = Fleet::parse("[events]\nbus = \"rediss://ann:secret@h\"").expect_err("no TLS").to_string();
    assert!(told.contains("is no place of a bus") && !told.contains("secret@"), "{told}");
}
