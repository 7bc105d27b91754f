//! The bus's own types: patterns as they are defined, events that go out and come back, rights that give nothing away.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Strategy, any, proptest};
use proptest::sample::{Index, select};
use runtime_traits::agent::StepCall;
use runtime_traits::bus::{
    Act, BusError, Event, EventId, Headers, Pattern, Position, Rights, Rule, Topic, Who,
};
use runtime_traits::{Cause, Name, Partition, Pool, RunId, Tenant, UnixMillis};
use uuid::Uuid;

fn pattern() -> impl Strategy<Value = Pattern> {
    (vec(select(vec!["a", "b", "*"]), 1..4), any::<bool>()).prop_map(|(mut segments, rest)| {
        if rest {
            segments.push("**");
        }
        segments.join("/").parse().unwrap()
    })
}

/// Every topic of up to four segments.
fn topics() -> Vec<Topic> {
    let mut topics = Vec::new();
    let mut last = vec![String::new()];
    for _ in 0..4 {
        let longer = last.iter().flat_map(|start| ["a", "b", "c"].map(|end| format!("{start}/{end}")));
        last = longer.collect();
        topics.extend(last.iter().map(|topic| topic[1..].parse().unwrap()));
    }
    topics
}

fn topic() -> impl Strategy<Value = Topic> {
    select(vec!["a", "orders/new", "agents/agent:main.1.0/run.completed"])
        .prop_map(|topic| topic.parse().unwrap())
}

fn id() -> impl Strategy<Value = EventId> {
    any::<[u8; 16]>().prop_map(EventId::from_bytes)
}

fn an_event() -> impl Strategy<Value = Event> {
    let ids =
        (id(), proptest::option::of(id()), proptest::option::of(id()), proptest::option::of(any::<u128>()));
    let said = (any::<bool>(), vec(any::<u8>(), 0..40), any::<String>(), any::<u8>());
    let headers = btree_map("h[a-z0-9]{1,10}", "[ -~]{0,20}", 0..4);
    let rest = (topic(), proptest::option::of(topic()), 0..4_102_444_800_000_u64);
    (ids, said, headers, rest).prop_map(
        |(ids, (is_json, bytes, text, hops), headers, (topic, reply_to, time))| {
            let mut event = match is_json {
                true => Event::new(topic, &text).unwrap(),
                false => Event::of_bytes(topic, "application/octet-stream", bytes).unwrap(),
            };
            (event.id, event.causation, event.correlation) = (ids.0, ids.1, ids.2);
            let partition = Partition { pool: Pool::MAIN, index: 7 };
            event.run = ids.3.map(|unique| RunId::from_parts(partition, Uuid::from_u128(unique)));
            event.tenant = Tenant::new("acme").unwrap();
            event.source = Arc::from("agents/clerk");
            event.headers = Headers::try_from(headers).unwrap();
            (event.hops, event.reply_to, event.time) = (hops, reply_to, UnixMillis(time));
            event
        },
    )
}

proptest! {
    #[test]
    fn covering_and_overlapping_are_what_matching_says(one in pattern(), other in pattern()) {
        let topics = topics();
        let both = |topic: &Topic| one.matches(topic) && other.matches(topic);
        assert_eq!(one.overlaps(&other), topics.iter().any(both), "{one} {other}");
        assert_eq!(one.overlaps(&other), other.overlaps(&one));
        let covers = topics.iter().all(|topic| one.matches(topic) || !other.matches(topic));
        assert_eq!(one.covers(&other), covers, "{one} {other}");
    }

    #[test]
    fn an_event_that_goes_out_as_a_cloud_event_comes_back_as_it_was(event in an_event()) {
        let text = event.to_cloud_json();
        let cloud: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(cloud["specversion"], "1.0");
        assert_eq!(Event::from_cloud_json(&text).unwrap(), event, "{text}");
    }

    #[test]
    fn no_text_makes_the_reader_of_cloud_events_panic(text in any::<String>(), cut in any::<Index>()) {
        let _ = Event::from_cloud_json(&text);
        let good = r#"{"specversion":"1.0","id":"1","source":"/a","type":"a","time":"2027-01-15T08:00:00Z","data":{"b":[1]}}"#;
        let _ = Event::from_cloud_json(&good[..cut.index(good.len())]);
    }

    #[test]
    fn what_is_refused_is_never_had_by_a_wider_pattern(
        rules in vec((pattern(), any::<bool>()), 0..5),
        wanted in pattern(),
    ) {
        let rule = |(topics, allow)| Rule { tenant: None, agent: None, act: None, topics, allow };
        let rights = Rights(rules.into_iter().map(rule).collect());
        let (who, tenant) = (Who::tenant(Tenant::default()), Tenant::default());
        if rights.decide(&who, &tenant, Act::Read, &wanted).is_ok() {
            for topic in topics().into_iter().filter(|topic| wanted.matches(topic)) {
                let one = rights.decide(&who, &tenant, Act::Read, &topic.clone().into());
                assert!(one.is_ok(), "`{wanted}` gives `{topic}` away");
            }
        }
    }
}

#[test]
fn a_cloud_event_of_somebody_else_is_taken() {
    let text = r#"{
        "specversion": "1.0", "type": "com.example.bought", "source": "https://example.org/shop", "id": "A234-1234",
        "time": "2018-04-05T17:31:00+02:00", "colour": "blue", "count": 5, "datacontenttype": "application/json",
        "data": { "n":  1.50 }
    }"#;
    let event = Event::from_cloud_json(text).unwrap();
    assert_eq!(event.topic.as_str(), "com.example.bought");
    assert_eq!(event.time, UnixMillis(1_522_942_260_000));
    assert_eq!((event.headers.get("colour"), event.headers.get("count")), (Some("blue"), Some("5")));
    assert_eq!(&event.data[..], br#"{ "n":  1.50 }"#, "data is not touched");
    assert_eq!(event.id, Event::from_cloud_json(text).unwrap().id, "the same event has the same id");
    assert_ne!(event.id, Event::from_cloud_json(&text.replace("A234", "A235")).unwrap().id);
    for (from, to) in [
        ("\"1.0\"", "\"0.3\""),
        ("com.example.bought", "a//b"),
        ("2018-04-05", "2018-14-05"),
        ("\"blue\"", "[1]"),
        ("colour", "Colour"),
        ("\"data\":", "\"data_base64\": \"AA==\", \"data\":"),
    ] {
        assert!(Event::from_cloud_json(&text.replace(from, to)).is_err(), "{to} is taken");
    }
}

#[test]
fn a_traceparent_is_checked_and_goes_on_with_what_an_event_causes() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut cause = Event::new("a", &1).unwrap();
    cause.headers.set("traceparent", trace).unwrap();
    let caused = Event::new("b", &2).unwrap().caused_by(&cause);
    assert_eq!(caused.headers.get("traceparent"), Some(trace));
    assert_eq!((caused.causation, caused.correlation, caused.hops), (Some(cause.id), Some(cause.id), 1));
    let zero = trace.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
    for wrong in ["", "00-x", &trace[1..], &trace.replace('f', "F"), &zero] {
        assert!(cause.headers.set("traceparent", wrong).is_err(), "{wrong}");
    }
    for name in ["", "Id", "tenant", "data", "a-b", &"a".repeat(21)] {
        assert!(cause.headers.set(name, "x").is_err(), "{name}");
    }
}

#[test]
fn nobody_acts_in_another_tenant_and_only_the_runtime_writes_to_its_topics() {
    let everything = Rule { tenant: None, agent: None, act: None, topics: Pattern::all(), allow: true };
    let rights = Rights(vec![everything]);
    let clerk = Who::Tenant { tenant: Tenant::default(), agent: Some(Name::new("clerk").unwrap()) };
    let other = Tenant::new("other").unwrap();
    let (mine, theirs): (Topic, Topic) =
        ("orders".parse().unwrap(), "agents/a/run.completed".parse().unwrap());

    assert!(rights.may_publish(&clerk, &Tenant::default(), &mine).is_ok());
    for refused in
        [rights.may_publish(&clerk, &other, &mine), rights.decide(&clerk, &other, Act::Read, &Pattern::all())]
    {
        assert!(matches!(refused, Err(BusError::Forbidden { .. })), "{refused:?}");
    }
    let refused = rights.may_publish(&clerk, &Tenant::default(), &theirs);
    assert!(matches!(refused, Err(BusError::Protected { .. })), "{refused:?}");
    assert!(
        rights.decide(&clerk, &Tenant::default(), Act::Read, &theirs.clone().into()).is_ok(),
        "all may read them"
    );
    assert!(rights.may_publish(&Who::System, &other, &theirs).is_ok());
}

#[test]
fn every_error_of_a_bus_comes_back_from_its_json_as_it_was() {
    let topic = || "orders/new".parse::<Topic>().unwrap();
    let (name, cause) = (|| "mailer".to_owned(), || Cause::says("gone"));
    let settings = |what, kept: &str, given: &str| BusError::SettingsDiffer {
        name: name(),
        topic: topic().into(),
        what,
        kept: kept.to_owned(),
        given: given.to_owned(),
    };
    let errors = [
        BusError::Topic("a//b".parse::<Topic>().unwrap_err()),
        BusError::Header(Headers::default().set("Bad", "").unwrap_err()),
        BusError::malformed("no source"),
        BusError::TooLarge { size: 2, limit: 1 },
        BusError::TooManyHops { topic: topic(), limit: 16 },
        BusError::Protected { topic: topic() },
        BusError::Forbidden { who: name(), act: Act::Read, topics: Pattern::all() },
        BusError::NotDurable { topic: topic().into() },
        settings("sharing", "true", "false"),
        settings("number of attempts", "1", "2"),
        BusError::Busy { name: name(), topic: topic().into() },
        BusError::Taken { name: name(), topic: topic().into() },
        BusError::BeforeRetention { topic: topic(), asked: Position(1), first: Position(7) },
        BusError::NoAnswer { topic: topic(), within: Duration::from_millis(1) },
        BusError::Unknown { id: EventId::UNSET, cause: cause() },
        BusError::Unavailable { cause: cause() },
        BusError::Damaged { what: name() },
    ];
    for error in errors {
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<BusError>(&json).unwrap(), error, "{json}");
        assert!(!error.code().is_empty() && error.code() == error.code().to_lowercase());
    }
    let newer = serde_json::to_string(&settings("sharing", "1", "2")).unwrap().replace("sharing", "colour");
    assert_eq!(serde_json::from_str::<BusError>(&newer).unwrap(), settings("setting", "1", "2"));
}

#[test]
fn an_event_of_a_step_has_the_same_id_however_often_the_step_is_done_and_no_other_event_has_it() {
    let id = |step: &str, nth| {
        let event = Event::new("news", &1).unwrap();
        event.once_in(&StepCall::detached(step), nth).id
    };

    assert_eq!(id("step", 0), id("step", 0));
    let ids = [id("step", 0), id("step", 1), id("other", 0), EventId::UNSET];
    assert!((1..4).all(|n| !ids[..n].contains(&ids[n])), "{ids:?}");
}
