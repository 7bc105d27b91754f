//! The bus over HTTP: real buses behind a real service, asked by hand and by `RemoteEvents`.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::bus::{Bus, BusError, Event, EventId, Gap, Position, Retention, Rights, Rule, Topic};
use agent_runtime::events::EventBusBuilder;
use agent_runtime::service::{AgentService, EventTail, Listeners, RemoteEvents, Serving, TailOf, Tailed};
use agent_runtime::{EventBus, MemoryStore, Name, StateStore, SystemClock, SystemEntropy, Tenant};
use runtime_testkit::fakes::runtime::FakeRuntime;
use runtime_testkit::peers::CutProxy;
use runtime_traits::Pool;
use runtime_traits::bus::{EventLimits, Who};
use runtime_traits::store::Durability;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A bus behind a service, on TCP with all routes and on a socket.
struct Place {
    bus: Arc<dyn Bus>,
    folder: TempDir,
    serving: Serving,
}

fn kept() -> EventBusBuilder {
    let ten = Retention { events: Some(64), ..Retention::default() };
    let builder = EventBusBuilder::default().limits(EventLimits { bytes: 4_096, hops: 4 });
    let builder = builder.keep("orders/**", Retention::default()).expect("a pattern");
    builder.keep("short", ten).expect("a pattern")
}

async fn listeners(folder: &TempDir) -> Listeners {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listeners = Listeners::none().all_routes_on_tcp().tcp(any).await.expect("a free port");
    listeners.unix(folder.path().join("control.sock")).await.expect("a socket")
}

fn serve(bus: &Arc<dyn Bus>, listeners: Listeners) -> Serving {
    let service = AgentService::over(Arc::new(FakeRuntime::new())).grace(Duration::from_millis(100));
    service.events(Arc::clone(bus), Arc::new(SystemClock::default())).start(listeners)
}

impl Place {
    async fn new(builder: EventBusBuilder) -> Self {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
        let bus = builder.in_process_over(store, Pool::MAIN, Durability::Memory);
        let bus: Arc<dyn Bus> = Arc::new(bus);
        let folder = TempDir::new().expect("a folder");
        let serving = serve(&bus, listeners(&folder).await);
        Self { bus, folder, serving }
    }

    /// Another service in the place of this one.
    async fn restart(&mut self) {
        self.serving.stop_token().cancel();
        self.serving.stopped().await;
        self.serving = serve(&self.bus, listeners(&self.folder).await);
    }

    fn events(&self) -> RemoteEvents {
        let socket = self.folder.path().join("control.sock");
        RemoteEvents::at(&format!("unix:{}", socket.display())).expect("a place")
    }

    fn here(&self) -> EventBus {
        EventBus::over(Arc::clone(&self.bus), Who::tenant(Tenant::default()))
    }

    /// A request by hand; status and body.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut io = self.send(method, path, headers, body).await;
        let mut answer = String::new();
        timeout(LONG, io.read_to_string(&mut answer)).await.expect("in time").expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head[9..12].parse().expect("a status");
        (status, serde_json::from_str(body).expect(body))
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let address = self.serving.addresses()[0];
        let mut io = TcpStream::connect(address).await.expect("it listens");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        io.write_all(request.as_bytes()).await.expect("it reads");
        io
    }

    /// What a stream of events begins with, up to a text.
    async fn stream_until(&self, path: &str, headers: &str, end: &str) -> String {
        let mut io = self.send("GET", path, headers, "").await;
        read_until(&mut io, end).await
    }

    async fn publish(&self, topic: &str, data: usize) -> Position {
        let event = Event::new(topic, &data).expect("a topic");
        self.here().publish(event).await.expect("it is taken").position.unwrap_or(Position(0))
    }
}

async fn read_until(io: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    let mut piece = [0; 65_536];
    while !seen.contains(end) {
        let read = timeout(LONG, io.read(&mut piece)).await.expect("in time").expect("open");
        assert!(read > 0, "it ended without `{end}`: {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    seen
}

const CLOUD: &str = "content-type: application/cloudevents+json\r\n";

fn event(topic: &str, data: &impl serde::Serialize) -> Event {
    let mut event = Event::new(topic, data).expect("a topic");
    event.id = EventId::mint(&SystemClock::default(), &SystemEntropy::default());
    event
}

async fn next(tail: &mut EventTail) -> Tailed {
    timeout(LONG, tail.next()).await.expect("in time").expect("it goes on").expect("no error")
}

fn topic(text: &str) -> Topic {
    text.parse().expect("a topic")
}

fn number(item: &Tailed) -> (Option<u64>, u64) {
    let Tailed::Event { position, event } = item else { unreachable!("an event: {item:?}") };
    (position.map(|place| place.0), event.json().expect("a number"))
}

#[tokio::test]
async fn a_cloud_event_goes_in_and_comes_out_as_it_was() {
    let place = Place::new(kept()).await;
    let given = r#"{"specversion":"1.0","id":"a-1","source":"till/7","type":"orders/new","time":"2026-11-28T16:38:01Z",
        "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","data":{"n":
        7}}"#;

    let (status, answer) = place.ask("POST", "/v1/events", CLOUD, given).await;
    let (_, again) = place.ask("POST", "/v1/events", CLOUD, given).await;
    let (_, page) = place.ask("GET", "/v1/events/kept?topic=orders/new", "", "").await;

    assert_eq!((status, &answer["position"]), (201, &json!(1)), "{answer}");
    assert_eq!(again, answer, "one id is one event");
    assert_eq!((&page["first"], &page["next"]), (&json!(1), &json!(2)), "{page}");
    let out = &page["events"][0]["event"];
    for (name, value) in [
        ("specversion", json!("1.0")),
        ("id", answer["id"].clone()),
        ("source", json!("till/7")),
        ("type", json!("orders/new")),
        ("time", json!("2026-11-28T16:38:01.000Z")),
        ("traceparent", json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        ("data", json!({ "n": 7 })),
    ] {
        assert_eq!(out[name], value, "{name} in {out}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_event_or_a_topic_has_its_own_answer() {
    let builder = kept().rights(Rights(vec![Rule {
        tenant: None,
        agent: Some(Name::new("clerk").expect("a name")),
        act: None,
        topics: "money/**".parse().expect("a pattern"),
        allow: false,
    }]));
    let place = Place::new(builder).await;
    let cloud = |topic: &str, more: &str| {
        format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"{topic}"{more}}}"#)
    };
    let no_id =
        r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000000","source":"s","type":"a"}"#;
    let large = format!(r#","data":"{}""#, "x".repeat(5_000));
    let cases = [
        ("POST", "/v1/events", cloud("a//b", ""), 400, "bad-topic"),
        ("POST", "/v1/events", cloud("a/*", ""), 400, "bad-topic"),
        ("POST", "/v1/events", r#"{"type":"a"}"#.to_owned(), 400, "bad-event"),
        ("POST", "/v1/events", "no JSON".to_owned(), 400, "bad-event"),
        ("POST", "/v1/events", no_id.to_owned(), 400, "bad-event"),
        ("POST", "/v1/events", cloud("a", r#","source2":{"a":1}"#), 400, "bad-event"),
        ("POST", "/v1/events", cloud("a", &large), 413, "event-too-large"),
        ("POST", "/v1/events", cloud("a", r#","hops":9"#), 422, "too-many-hops"),
        ("POST", "/v1/events", cloud("agents/x/run.completed", ""), 403, "protected-topic"),
        ("POST", "/v1/events", cloud("a", r#","tenant":"other""#), 403, "forbidden-topic"),
        ("POST", "/v1/events?agent=clerk", cloud("money/paid", ""), 403, "forbidden-topic"),
        ("POST", "/v1/events?agent=a%20b", cloud("a", ""), 400, "bad-query"),
        ("GET", "/v1/events", String::new(), 400, "bad-topic"),
        ("GET", "/v1/events?colour=red&topic=a", String::new(), 400, "bad-query"),
        ("GET", "/v1/events?topic=a/**/b", String::new(), 400, "bad-topic"),
        ("GET", "/v1/events?topic=money/paid&agent=clerk", String::new(), 403, "forbidden-topic"),
        ("GET", "/v1/events?topic=live&from=1", String::new(), 409, "topic-not-kept"),
        ("GET", "/v1/events?topic=orders/**&from=1", String::new(), 400, "one-topic"),
        ("GET", "/v1/events?topic=orders/**&durable=x", String::new(), 400, "one-topic"),
        ("GET", "/v1/events?topic=live&durable=x", String::new(), 409, "topic-not-kept"),
        ("GET", "/v1/events?topic=orders/new&from=9", String::new(), 409, "beyond-the-end"),
        ("GET", "/v1/events?topic=a&ring=0", String::new(), 400, "bad-query"),
        ("GET", "/v1/events/kept?topic=live", String::new(), 409, "topic-not-kept"),
        ("GET", "/v1/events/kept?topic=orders/new&since=noon", String::new(), 400, "bad-query"),
        ("GET", "/v1/events/kept?topic=orders/new&from=1&since=noon", String::new(), 400, "bad-query"),
        (
            "POST",
            "/v1/events/done",
            r#"{"topic":"orders/new","durable":"x","position":1}"#.to_owned(),
            409,
            "subscription-not-open",
        ),
    ];
    for (method, path, body, status, code) in cases {
        let media = if path.ends_with("done") { "content-type: application/json\r\n" } else { CLOUD };
        let (got, problem) = place.ask(method, path, media, &body).await;
        assert_eq!(got, status, "{path} {body}: {problem}");
        assert_eq!(problem["type"], format!("urn:agent-runtime:problem:{code}"), "{path} {body}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{problem}");
    }
    assert_eq!(place.publish("orders/new", 1).await, Position(1), "nothing of it was kept");
}

#[tokio::test]
async fn a_client_is_given_the_very_error() {
    let place = Place::new(kept()).await;
    let events = place.events();

    let protected = events.publish(&event("system/x", &1)).await.expect_err("it is the runtime's");
    assert_eq!(protected, BusError::Protected { topic: topic("system/x") });
    let large = events.publish(&event("a", &"x".repeat(5_000))).await.expect_err("it is too large");
    assert!(matches!(large, BusError::TooLarge { limit: 4_096, .. }), "{large:?}");
    let live = events.read(&topic("live"), Position(1), 10).await.expect_err("it is not kept");
    assert_eq!(live, BusError::NotDurable { topic: topic("live").into() });

    for number in 1..=200 {
        place.publish("short", number).await;
    }
    let trimmed = || async {
        match events.read(&topic("short"), Position(1), 10).await {
            Err(BusError::BeforeRetention { first, .. }) => Some(first),
            _ => None,
        }
    };
    // It is trimmed beside the publishing.
    let first = timeout(LONG, async {
        loop {
            if let Some(first) = trimmed().await {
                return first;
            }
        }
    });
    let first = first.await.expect("in time");
    let page = events.read_first(&topic("short"), 10).await.expect("it is kept from there on");
    assert!(first > Position(1) && page.first >= first, "{first} {page:?}");

    place.serving.stop_token().cancel();
    place.serving.stopped().await;
    let away = events.publish(&event("a", &1)).await.expect_err("nobody is there");
    assert!(matches!(away, BusError::Unavailable { .. }), "nothing was sent: {away:?}");
}

#[tokio::test]
async fn a_stream_of_a_kept_topic_resumes_after_the_last_event_and_tells_what_was_trimmed() {
    let place = Place::new(kept()).await;
    for number in 1..=5 {
        place.publish("orders/new", number).await;
    }
    let seen = place.stream_until("/v1/events?topic=orders/new", "last-event-id: 3\r\n", "id: 5").await;
    assert!(seen.contains("event: open\nid: 3\ndata: {\"kept\":true,\"after\":3}\n\n"), "{seen}");
    assert!(
        !seen.contains("id: 3\ndata: {\"specversion\"") && seen.contains("event: event\nid: 4\n"),
        "{seen}"
    );

    // From here on, without an event of before.
    let mut io = place.send("GET", "/v1/events?topic=orders/new", "", "").await;
    read_until(&mut io, "\"after\":5").await;
    place.publish("orders/new", 6).await;
    let seen = read_until(&mut io, "\n\n").await;
    assert!(seen.contains("id: 6"), "{seen}");

    for number in 1..=200 {
        place.publish("short", number).await;
    }
    let trimmed = timeout(LONG, async {
        while place.here().read(&topic("short"), Position(1), 1).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    trimmed.await.expect("in time");
    let seen = place.stream_until("/v1/events?topic=short", "last-event-id: 1\r\n", "id: 200\n").await;
    let gap = seen.split("event: gap\n").nth(1).expect("it is told");
    let told: Value =
        serde_json::from_str(gap.split("data: ").nth(1).and_then(|d| d.lines().next()).expect("data"))
            .expect("JSON");
    let to = told["to"].as_u64().expect("a place");
    assert_eq!(told["from"], 2, "{told}");
    assert!(gap.starts_with(&format!("id: {to}\n")), "whoever comes again is not told twice: {gap}");
    assert!(gap.contains(&format!("id: {}\n", to + 1)), "it goes on right behind");
}

#[tokio::test]
async fn a_tail_that_is_cut_again_and_again_misses_nothing_and_doubles_nothing() {
    let mut place = Place::new(kept()).await;
    let way = CutProxy::before(&place.folder.path().join("control.sock"));
    let events = RemoteEvents::at(&format!("unix:{}", way.socket().display())).expect("a place");
    let mut tail = events.tail(TailOf::topics("orders/new".parse().expect("a pattern")));
    assert_eq!(next(&mut tail).await, Tailed::Open { kept: true, after: Some(Position(0)) });

    let (mut published, mut seen, mut broken) = (0, Vec::new(), 0);
    let mut take = |item: Tailed| match item {
        Tailed::Event { .. } => seen.push(number(&item)),
        Tailed::Broken => broken += 1,
        Tailed::Open { .. } => {}
        Tailed::Gap(gap) => panic!("nothing was trimmed: {gap:?}"),
    };
    for round in 0..12 {
        for _ in 0..10 {
            published += 1;
            place.publish("orders/new", published).await;
        }
        // Cut before it was told anything, in the middle of it, and with the whole service.
        for _ in 0..round {
            take(next(&mut tail).await);
        }
        match round % 3 {
            2 => place.restart().await,
            _ => way.cut(),
        }
    }
    published += 1;
    place.publish("orders/new", published).await;
    let last = published as u64;
    loop {
        let item = next(&mut tail).await;
        let is_last = matches!(&item, Tailed::Event { position: Some(place), .. } if place.0 == last);
        take(item);
        if is_last {
            break;
        }
    }
    let all: Vec<_> = (1..=published as u64).map(|number| (Some(number), number)).collect();
    assert_eq!(seen, all);
    assert!(broken >= 1, "it was told of the break");
}

#[tokio::test]
async fn a_live_tail_says_that_it_was_cut_and_goes_on() {
    let mut place = Place::new(kept()).await;
    let mut tail = place.events().tail(TailOf::topics("live/**".parse().expect("a pattern")));
    assert_eq!(next(&mut tail).await, Tailed::Open { kept: false, after: None });
    place.publish("live/a", 1).await;
    assert_eq!(number(&next(&mut tail).await), (None, 1));

    place.restart().await;

    assert_eq!(next(&mut tail).await, Tailed::Broken);
    assert_eq!(next(&mut tail).await, Tailed::Open { kept: false, after: None });
    place.publish("live/a", 3).await;
    assert_eq!(number(&next(&mut tail).await), (None, 3));
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_told_its_gap_and_slows_nobody() {
    let place = Place::new(kept()).await;
    let ring = NonZeroUsize::new(8).expect("8 is not 0");
    let mut slow = place.send("GET", &format!("/v1/events?topic=live&ring={ring}"), "", "").await;
    read_until(&mut slow, "event: open").await;

    // More than what the sockets between the two hold.
    let text = "x".repeat(3_000);
    let count = 5_000;
    let publishing = async {
        for number in 1..=count {
            place
                .here()
                .publish(Event::new("live", &(number, &text)).expect("a topic"))
                .await
                .expect("taken");
        }
    };
    timeout(LONG, publishing).await.expect("nobody waits for it");

    let seen = read_until(&mut slow, &format!("[{count},")).await;
    let gaps: Vec<Gap> = seen
        .split("event: gap\ndata: ")
        .skip(1)
        .map(|gap| serde_json::from_str(gap.lines().next().expect("data")).expect("JSON"))
        .collect();
    let lost: u64 = gaps.iter().map(Gap::lost).sum();
    let events = seen.matches("event: event").count() as u64;
    assert!(lost > 0, "it was slow");
    assert_eq!(events + lost, count as u64, "each was shown or told as lost: {gaps:?}");
}

#[tokio::test]
async fn a_durable_subscription_over_http_tries_again_and_makes_dead_letters() {
    let mut place = Place::new(kept()).await;
    let (orders, mailer) = (topic("orders/new"), Name::new("mailer").expect("a name"));
    for number in 1..=3 {
        place.publish("orders/new", number).await;
    }
    let events = place.events();
    let of = || TailOf::durable(orders.clone(), mailer.clone()).attempts(1);
    let mut tail = events.tail(of());
    assert_eq!(next(&mut tail).await, Tailed::Open { kept: true, after: None });
    assert_eq!(number(&next(&mut tail).await), (Some(1), 1));

    let busy = timeout(LONG, events.tail(of()).next()).await.expect("in time").expect("an answer");
    assert!(matches!(busy, Err(BusError::Busy { .. })), "it has its reader: {busy:?}");
    let differs =
        timeout(LONG, events.tail(of().attempts(2)).next()).await.expect("in time").expect("an answer");
    assert!(
        matches!(differs, Err(BusError::SettingsDiffer { what: "number of attempts", .. })),
        "{differs:?}"
    );

    assert!(!events.settle(&orders, &mailer, Position(1), None).await.expect("it is open"));
    assert_eq!(number(&next(&mut tail).await), (Some(2), 2));
    let dead = events.settle(&orders, &mailer, Position(2), Some("no such customer")).await;
    assert!(dead.expect("it is open"), "it was tried once");
    assert_eq!(number(&next(&mut tail).await), (Some(3), 3));

    // What was not settled comes again after a break, and what was does not.
    place.restart().await;
    let again = loop {
        if let item @ Tailed::Event { .. } = next(&mut tail).await {
            break item;
        }
    };
    assert_eq!(number(&again), (Some(3), 3));
    events.settle(&orders, &mailer, Position(3), None).await.expect("it is open");

    let letters = Topic::dead_letters("mailer").expect("a name");
    let page = events.read_first(&letters, 10).await.expect("they are kept");
    let [letter] = &page.events[..] else { panic!("one: {page:?}") };
    let said = |header: &str| letter.event.headers.get(header).map(str::to_owned);
    assert_eq!(said("deadcause").as_deref(), Some("no such customer"));
    assert_eq!(
        (said("deadtopic").as_deref(), said("deadposition").as_deref()),
        (Some("orders/new"), Some("2"))
    );
}

#[tokio::test]
async fn the_bus_answers_on_the_socket_and_not_on_tcp() {
    let place = Place::new(kept()).await;
    let any = "127.0.0.1:0".parse().expect("an address");
    let closed = serve(&place.bus, Listeners::none().tcp(any).await.expect("a free port"));
    let over_tcp = RemoteEvents::at(&format!("http://{}", closed.addresses()[0])).expect("a place");

    let refused = over_tcp.publish(&event("a", &1)).await.expect_err("everybody can connect to a port");

    let BusError::Unavailable { cause } = refused else { panic!("{refused:?}") };
    assert!(cause.to_string().contains("unix socket"), "{cause}");
    place.events().publish(&event("a", &1)).await.expect("it is let in");
    closed.stop().await;
}
