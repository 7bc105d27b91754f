//! Many events under faults: processes that handle them are killed, the server is killed, connections are cut.
//!
//! 4,000 events in every run of the tests; as many as `AGENT_RUNTIME_SOAK` says by hand. Two processes share the work of
//! a group over all topics of a pattern, of which one comes to be later.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe, stdout};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use runtime_events::{Delivery, EventBus, EventBusBuilder, Failure, Retention, Retry};
use runtime_testkit::block_on;
use runtime_testkit::fakes::Chance;
use runtime_testkit::peers::{CutProxy, RedisServer};
use tokio::sync::Semaphore;

/// Where the child process finds its server.
const URI: &str = "AGENT_RUNTIME_SOAK_URI";
const EVENTS: u64 = 4_000;
const SOURCES: u64 = 16;
/// Each source publishes to one of them.
const TOPICS: u64 = 4;
/// How often a process that handles events is killed, by how many are handled; and how often at most.
const KILL_EVERY: (u64, u64) = (600, 1_000);
/// How often the server is killed, by how many are published; and how often at most, as each start of it reads all again.
const SERVER_EVERY: (u64, u64) = (1_800, 100);
/// How long nothing may be handled: a server that starts reads all that it keeps, and is one of many processes.
const PATIENCE: Duration = Duration::from_secs(60);

fn builder() -> EventBusBuilder {
    EventBus::builder().keep("kept/**", Retention::default()).unwrap().lease(Duration::from_millis(500))
}

/// The process that is killed: handles events for ever, and says each on its output before it is done.
#[test]
fn handles_in_a_process_of_its_own() {
    let Ok(uri) = env::var(URI) else { return };
    block_on(async {
        // The server may be down just now: whoever gave up then would be missed by nobody, and handle nothing.
        let bus = loop {
            if let Ok(bus) = builder().connect(&uri).await {
                break bus;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let retry =
            Retry { attempts: 10, first: Duration::from_millis(1), longest: Duration::from_millis(4) };
        loop {
            let opened =
                bus.durable("kept/soak/*", "handler").unwrap().group().retry(retry).open_pattern().await;
            let Ok(reader) = opened else { continue };
            let mut crashes = 0_u64;
            while let Ok((topic, delivery)) = reader.next().await {
                let Delivery::Event { position, attempt, event } = delivery else {
                    say("\ngap\n");
                    continue;
                };
                crashes += 1;
                // A handler that crashes now and then, before it has done anything.
                if attempt == 1 && crashes.is_multiple_of(97) {
                    let _ = reader.failed(&topic, position, &Failure::says("crashed")).await;
                    continue;
                }
                let number: u64 = event.json().unwrap();
                say(&format!("\nhandled {} {number} {} .\n", event.source, std::process::id()));
                let _ = reader.done(&topic, position).await;
            }
        }
    });
}

/// In one piece, as a pipe takes what is short.
fn say(line: &str) {
    let mut out = stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Starts the process, whose lines go into the pipe of all.
fn start(uri: &str, said: &PipeWriter) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "soak::handles_in_a_process_of_its_own", "--nocapture"])
        .env(URI, uri)
        .stdout(said.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The lines of all processes, in the order in which they were said.
fn lines(said: PipeReader) -> Receiver<String> {
    let (send, lines) = sync_channel(1_024);
    thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// What was handled.
#[derive(Default)]
struct Tally {
    last: HashMap<String, u64>,
    handled: u64,
    again: u64,
    /// How many were handled by each process.
    by: HashMap<String, u64>,
}

impl Tally {
    fn take(&mut self, line: &str) {
        assert_ne!(line, "gap", "a durable subscription has no gap");
        let words: Vec<_> = line.split(' ').collect();
        // A line of somebody else, or half a one.
        let ["handled", source, number, process, "."] = words[..] else { return };
        let number: u64 = number.parse().unwrap();
        let last = self.last.entry(source.to_owned()).or_insert(0);
        if number <= *last {
            self.again += 1;
        } else {
            assert_eq!(number, *last + 1, "an event of `{source}` is missing or out of order");
            *last = number;
            self.handled += 1;
            *self.by.entry(process.to_owned()).or_insert(0) += 1;
        }
    }
}

#[test]
fn no_event_is_missing_and_no_source_is_out_of_order_whoever_is_killed() {
    let events = env::var("AGENT_RUNTIME_SOAK").map_or(EVENTS, |events| events.parse().unwrap());
    let events = events - events % SOURCES;
    let kill_every = spread(KILL_EVERY, events);
    let server = Arc::new(RedisServer::start());
    let way = CutProxy::before(&server.socket());
    let uri = format!("redis+unix://{}", way.socket().display());

    let published = Arc::new(AtomicU64::new(0));
    let publisher = {
        let server = Arc::clone(&server);
        let published = Arc::clone(&published);
        thread::spawn(move || block_on(publish(&server, events, &published)))
    };

    let mut chance = Chance::new(1);
    let mut tally = Tally::default();
    let (mut kills, mut cuts) = (0, 0);
    let (said, say) = pipe().unwrap();
    let said = lines(said);
    let mut children = [start(&uri, &say), start(&uri, &say)];
    let mut until_harm = kill_every;
    while tally.handled < events {
        let Ok(line) = said.recv_timeout(PATIENCE * (1 + (events / 100_000) as u32)) else {
            stuck(&server, &tally, published.load(Ordering::Relaxed), kills)
        };
        tally.take(&line);
        until_harm = until_harm.saturating_sub(1);
        if until_harm > 0 || tally.handled == events {
            continue;
        }
        until_harm = kill_every + chance.below(kill_every);
        if chance.once_in(3) {
            way.cut();
            cuts += 1;
            continue;
        }
        let child = &mut children[chance.below(2) as usize];
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        *child = start(&uri, &say);
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    publisher.join().unwrap();
    let (again, processes) = (tally.again, tally.by.len());

    println!(
        "{events} events, {kills} kills of {processes} processes, {cuts} cuts; {again} came again, 0 are missing"
    );
    assert!(kills > 0, "nobody was killed");
    assert!(processes > 2, "the work was not shared: {:?}", tally.by);
    // A kill leaves at most what was in the hands of one process.
    assert!(again <= (kills + cuts + 4) * 1_024, "{again} came again");
}

/// After how many events something is harmed.
fn spread((every, at_most): (u64, u64), events: u64) -> u64 {
    every.max(events / at_most)
}

#[expect(clippy::panic, reason = "a test that does not go on ends")]
fn stuck(server: &RedisServer, tally: &Tally, published: u64, kills: u64) -> ! {
    let (handled, last) = (tally.handled, &tally.last);
    let of_server = server.say(&["INFO", "persistence"]);
    // The publisher has it too, and is not waited for.
    server.kill();
    panic!(
        "nothing is handled any more: {published} published, {handled} handled, {kills} kills; {last:?}; {of_server}"
    )
}

/// Publishes all, each source in its order, while the server is killed now and then. The last topic comes to be when a
/// quarter is published.
async fn publish(server: &RedisServer, events: u64, published: &AtomicU64) {
    let bus = builder().connect(&server.uri(0)).await.unwrap();
    let each = events / SOURCES;
    let late = Semaphore::new(0);
    let server_every = spread(SERVER_EVERY, events);
    let sources = (0..SOURCES).map(|source| {
        let (bus, late) = (&bus, &late);
        async move {
            let topic = format!("kept/soak/{}", source % TOPICS);
            if source % TOPICS == TOPICS - 1 {
                late.acquire().await.unwrap().forget();
            }
            for number in 1..=each {
                let event = runtime_events::Event::new(topic.as_str(), &number).unwrap();
                let mut event = event.from(&format!("source-{source}"));
                let mut id = [0; 16];
                id[..8].copy_from_slice(&source.to_be_bytes());
                id[8..].copy_from_slice(&number.to_be_bytes());
                event.id = runtime_events::EventId::from_bytes(id);
                let event = Arc::new(event);
                while let Err(error) = bus.publish(Arc::clone(&event)).await {
                    assert!(error.is_transient(), "{error}");
                }
                let count = published.fetch_add(1, Ordering::Relaxed) + 1;
                if count == events / 4 {
                    late.add_permits(SOURCES as usize);
                }
                if count % server_every == server_every / 3 {
                    server.kill();
                    server.revive();
                }
            }
        }
    });
    join_all(sources).await;
}
