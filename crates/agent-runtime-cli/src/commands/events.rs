//! `events`: what is published, and what was.

use std::sync::Arc;

use agent_runtime::bus::{DeadLetter, DeadLetters, Requeued, SentAgain, Unsent};
use agent_runtime::events::{Event, EventId, Kept, Position, Topic};
use agent_runtime::service::{RemoteEvents, TailOf, Tailed};
use agent_runtime::{Clock, SystemClock, SystemEntropy};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args::{
    DeadLettersArgs, EventsArgs, EventsCommand, FromArg, PublishArgs, ReplayArgs, RequeueArgs, TailArgs,
};
use crate::bus::{Begin, ReachedBus};
use crate::error::CliError;
use crate::exit::Exit;
use crate::input;
use crate::place::Place;
use crate::render::answer::visible;
use crate::render::{Row, Tone, counted, event, table, time};
use crate::screen::Screen;
use crate::signals::Signals;

/// How many events are read at once.
const PAGE: u32 = 100;

/// An event, as programs read it: one to a line.
#[derive(Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    event: Box<RawValue>,
    /// When a dead letter was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_again: Option<String>,
}

/// Does what was asked about events.
pub(crate) async fn events(
    screen: &Screen,
    place: &Place,
    args: EventsArgs,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let tenant = args.tenant.unwrap_or_default();
    let bus = ReachedBus::at(place, tenant.clone(), args.agent.clone(), screen).await?;
    let done = async {
        match &args.command {
            EventsCommand::Publish(publish) => {
                let mut event = event_of(publish)?;
                event.tenant = tenant;
                event.source = args.agent.map_or_else(|| "cli".into(), |agent| agent.as_str().into());
                self::publish(screen, &bus, event).await
            }
            EventsCommand::Replay(args) => replay(screen, &bus, args).await,
            EventsCommand::DeadLetters(args) => dead_letters(screen, &bus, args).await,
            EventsCommand::Requeue(args) => requeue(screen, &bus, args).await,
            EventsCommand::Tail(args) => match &bus {
                ReachedBus::Served(events, _) => tail(screen, events, args).await,
                ReachedBus::Own { .. } => Err(CliError::NothingToHear { store: place.store.to_string() }),
            },
        }
    };
    tokio::select! {
        done = done => done,
        signal = signals.next() => Ok(Exit::Signal(signal)),
    }
}

fn event_of(args: &PublishArgs) -> Result<Event, CliError> {
    let given = input::text(&args.data)?;
    let data: Box<RawValue> = serde_json::from_str(given.trim())
        .map_err(|source| CliError::NoJson { given: event::short(&given), source })?;
    let clock = SystemClock::default();
    let mut event = Event::new(args.topic.clone(), &data)?;
    event.id = args.id.unwrap_or_else(|| EventId::mint(&clock, &SystemEntropy::default()));
    event.time = clock.now();
    Ok(event)
}

async fn publish(screen: &Screen, bus: &ReachedBus, event: Event) -> Result<Exit, CliError> {
    let (id, topic) = (event.id, event.topic.clone());
    let published = bus.publish(event).await?;
    if screen.json {
        let told = serde_json::json!({
            "id": id, "position": published.position, "reached": published.reached,
        });
        screen.json(&told)?;
        return Ok(Exit::Done);
    }
    let heard = match published.reached {
        0 => "nobody heard it".to_owned(),
        reached => format!("heard by {}", counted(reached as u64, "reader")),
    };
    let kept = published.position.map(|place| format!("kept as #{place}, "));
    screen.line(format!("published {topic}: {}{heard}", kept.unwrap_or_default()))?;
    if published.position.is_none() && published.reached == 0 {
        let note = "it is gone: nothing keeps this topic (see `[[events.topics]]` in docs/fleet-file.md)";
        screen.say(screen.paint_err().warn(note));
    }
    if published.position.is_some() {
        screen.hint(&[format!("events replay {topic}")]);
    }
    Ok(Exit::Done)
}

async fn replay(screen: &Screen, bus: &ReachedBus, args: &ReplayArgs) -> Result<Exit, CliError> {
    let begin = match args.from {
        None => Begin::First,
        Some(FromArg::Place(place)) => Begin::At(place),
        Some(FromArg::Moment(moment)) => Begin::Since(moment),
        Some(FromArg::Ago(time)) => {
            let now = SystemClock::default().now();
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            Begin::Since(agent_runtime::UnixMillis(now.0.saturating_sub(millis)))
        }
    };
    let mut shown = 0;
    each(bus, &args.topic, begin, |kept| {
        if args.limit.is_some_and(|limit| shown >= limit) {
            return Ok(false);
        }
        shown += 1;
        show(screen, &kept.event, Some(kept.position), Some(&kept)).map(|()| true)
    })
    .await?;
    if shown == 0 && !screen.lists_as_json() {
        screen.say(screen.paint_err().dim(format!("no event of `{}` is kept from there on", args.topic)));
    }
    Ok(Exit::Done)
}

/// Reads what a topic has now, from a place on, as long as it is wanted.
pub(super) async fn each(
    bus: &ReachedBus,
    topic: &Topic,
    mut begin: Begin,
    mut take: impl FnMut(Kept) -> Result<bool, CliError>,
) -> Result<(), CliError> {
    let mut end = None;
    loop {
        let page = bus.read(topic, begin, PAGE).await?;
        // What is published meanwhile is for the next replay.
        let end = *end.get_or_insert(page.next);
        let Some(last) = page.events.last().map(|kept| kept.position) else { return Ok(()) };
        for kept in page.events {
            if kept.position >= end || !take(kept)? {
                return Ok(());
            }
        }
        begin = Begin::At(last.next());
    }
}

pub(super) async fn dead_letters(
    screen: &Screen,
    bus: &ReachedBus,
    args: &DeadLettersArgs,
) -> Result<Exit, CliError> {
    let topic =
        Topic::dead_letters(args.subscription.as_str()).map_err(agent_runtime::events::BusError::from)?;
    let wanted = args.topic.as_ref().map(Topic::as_str);
    let mut all = DeadLetters::default();
    each(bus, &topic, Begin::First, |kept| {
        all.take(kept);
        Ok(true)
    })
    .await?;
    let is_wanted = |letter: &DeadLetter| wanted.is_none() || wanted == letter.topic();
    let letters: Vec<DeadLetter> = all.into_letters().filter(is_wanted).collect();
    if screen.lists_as_json() {
        let lines = letters.iter().map(|DeadLetter { kept, again }| Line {
            sent_again: match again {
                SentAgain::Sent(at) => Some(at.to_rfc3339()),
                SentAgain::No | SentAgain::Begun(_) => None,
            },
            ..line_of(&kept.event, Some(kept.position), Some(kept))
        });
        screen.json(&lines.collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if letters.is_empty() {
        let note = format!("`{}` has no dead letters", args.subscription);
        screen.say(screen.paint_err().dim(note));
        return Ok(Exit::Done);
    }
    let now = SystemClock::default().now();
    let rows = letters.iter().map(|letter| row(letter, now)).collect();
    let head = ["PLACE", "TOPIC", "EVENT", "TRIES", "WHEN", "AGAIN", "CAUSE"];
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    screen.hint(&[format!("events replay {topic}"), format!("events requeue {} --all", args.subscription)]);
    Ok(Exit::Done)
}

fn row(DeadLetter { kept, again }: &DeadLetter, now: agent_runtime::UnixMillis) -> Row {
    let said = |header: &str| visible(kept.event.headers.get(header).unwrap_or("?"));
    let again = match again {
        SentAgain::No => ("no".to_owned(), Tone::Plain),
        SentAgain::Begun(_) => ("broken off".to_owned(), Tone::Warn),
        SentAgain::Sent(at) => (time::ago(now, *at), Tone::Dim),
    };
    vec![
        (format!("#{}", kept.position), Tone::Plain),
        (said("deadtopic"), Tone::Plain),
        (format!("#{}", said("deadposition")), Tone::Plain),
        (said("deadattempts"), Tone::Plain),
        (time::ago(now, kept.at), Tone::Dim),
        again,
        (said("deadcause"), Tone::Bad),
    ]
}

pub(super) async fn requeue(screen: &Screen, bus: &ReachedBus, args: &RequeueArgs) -> Result<Exit, CliError> {
    let requeued = bus.requeue(args).await?;
    let exit = requeued.why.first().map_or(Exit::Done, |Unsent { error, .. }| Exit::of_bus(error));
    if screen.json {
        screen.json(&requeued)?;
        return Ok(exit);
    }
    let Requeued { sent, before, unsent, why } = requeued;
    let name = &args.subscription;
    screen.line(match (sent, before) {
        (0, 0) if unsent > 0 => "nothing was sent".to_owned(),
        (0, 0) => format!("`{name}` has no such dead letter: nothing was sent"),
        (0, before) => format!("nothing was sent: {} sent again before", counted(before, "dead letter")),
        (sent, 0) => format!("sent {} to `{name}` again", counted(sent, "event")),
        (sent, before) => {
            format!("sent {} to `{name}` again; {before} were sent before", counted(sent, "event"))
        }
    })?;
    if unsent > 0 {
        screen.say(screen.paint_err().warn(format!("{} cannot be sent:", counted(unsent, "dead letter"))));
    }
    for Unsent { position, error } in &why {
        screen.say(format!("  #{position}: {}", visible(&error.to_string())));
    }
    if unsent > why.len() as u64 {
        screen.say(format!("  … and {} more", unsent - why.len() as u64));
    }
    Ok(exit)
}

async fn tail(screen: &Screen, events: &RemoteEvents, args: &TailArgs) -> Result<Exit, CliError> {
    let reader = match &args.durable {
        None => None,
        Some(name) => {
            let topic = args.topics.as_topic();
            let topic = topic.ok_or_else(|| CliError::OneTopic { topics: args.topics.to_string() })?;
            Some((topic, name.clone()))
        }
    };
    let of = match &reader {
        None => TailOf::topics(args.topics.clone()),
        Some((topic, name)) => TailOf::durable(topic.clone(), name.clone()),
    };
    let mut tail = events.tail(args.from.map_or(of.clone(), |place| of.from(place)));
    let mut teller = Teller { screen, topics: args.topics.as_str(), broken: false };
    while let Some(item) = tail.next().await {
        let item = item?;
        teller.tell(&item)?;
        if let (Tailed::Event { position: Some(place), .. }, Some((topic, name))) = (&item, &reader) {
            // It was shown. Where that cannot be said it comes again.
            if let Err(error) = events.settle(topic, name, *place, None).await {
                if !error.is_transient() {
                    return Err(error.into());
                }
                teller.say(&format!("#{place} may be shown again: {error}"));
            }
        }
    }
    Ok(Exit::Done)
}

/// Tells what a tail tells.
struct Teller<'a> {
    screen: &'a Screen,
    topics: &'a str,
    broken: bool,
}

impl Teller<'_> {
    fn tell(&mut self, item: &Tailed) -> Result<(), CliError> {
        let json = self.screen.lists_as_json();
        match item {
            Tailed::Open { kept, after } => {
                let text = match (self.broken, kept, after) {
                    (false, ..) => format!("listening to {}; Ctrl-C ends it", self.topics),
                    (true, true, Some(place)) => format!("going on after #{place}"),
                    (true, true, None) => "going on".to_owned(),
                    (true, false, _) => {
                        "going on; what was published meanwhile is not shown, as it is not kept".to_owned()
                    }
                };
                self.broken = false;
                self.say(&text);
                Ok(())
            }
            Tailed::Event { position, event } => show(self.screen, event, *position, None),
            Tailed::Gap(gap) if json => self.screen.json_line(&serde_json::json!({ "gap": gap })),
            Tailed::Gap(gap) => {
                let lost = counted(gap.lost(), "event");
                let places = if gap.from == gap.to {
                    format!("#{}", gap.from)
                } else {
                    format!("#{} to #{}", gap.from, gap.to)
                };
                let text =
                    format!("{lost} lost here ({places}): kept no longer, or this reader was too slow");
                self.screen.line(self.screen.paint().warn(text))
            }
            Tailed::Broken => {
                self.broken = true;
                if json {
                    self.screen.json_line(&serde_json::json!({ "broken": true }))?;
                }
                self.say("the connection broke; going on when the server is back");
                Ok(())
            }
        }
    }

    /// Says something about the tail, to people only.
    fn say(&self, text: &str) {
        if self.screen.terminal.err && !self.screen.json {
            self.screen.say(self.screen.paint_err().dim(text));
        }
    }
}

fn show(
    screen: &Screen,
    event: &Arc<Event>,
    position: Option<Position>,
    kept: Option<&Kept>,
) -> Result<(), CliError> {
    if screen.lists_as_json() {
        return screen.json_line(&line_of(event, position, kept));
    }
    // What comes is of now; what is read again may be of any day.
    let when = match kept {
        None => time::clock(event.time),
        Some(kept) => time::moment(kept.at),
    };
    screen.line(event::line(event, position, &when, screen.terminal.width, screen.paint()))
}

fn line_of(event: &Event, position: Option<Position>, kept: Option<&Kept>) -> Line {
    // Line ends of JSON stand between its words, never within one.
    let cloud = event.to_cloud_json().replace(['\r', '\n'], " ");
    let event = RawValue::from_string(cloud).expect("a CloudEvent is JSON");
    Line { position, at: kept.map(|kept| kept.at.to_rfc3339()), event, sent_again: None }
}
