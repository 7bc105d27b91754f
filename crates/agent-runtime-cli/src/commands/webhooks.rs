//! `webhooks`: whom the fleet tells how runs end, and how that goes.

use agent_runtime::bus::{DeadLetters, SentAgain};
use agent_runtime::events::{BusError, Event, EventId, Position, Topic};
use agent_runtime::fleet::FleetWebhook;
use agent_runtime::service::{RemoteEvents, TailOf, Tailed};
use agent_runtime::webhooks::{WebhookState, state_topic, subscription, test_topic};
use agent_runtime::{Clock, Name, SystemClock, SystemEntropy, Tenant, UnixMillis};
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;

use super::events;
use crate::args::{DeadLettersArgs, RequeueArgs, WebhooksArgs, WebhooksCommand};
use crate::bus::{Begin, ReachedBus};
use crate::error::CliError;
use crate::exit::Exit;
use crate::place::Place;
use crate::render::answer::visible;
use crate::render::{Row, Tone, table, time};
use crate::screen::Screen;
use crate::signals::Signals;

/// How long a test takes at most beside the delivery itself.
const BESIDE: Duration = Duration::from_secs(5);
/// How long a delivery takes at most, where the fleet file says nothing.
const WITHIN: Duration = Duration::from_secs(15);
/// A place that no topic comes to.
const END: Position = Position(u64::MAX >> 1);

/// A webhook, as programs read it.
#[derive(Serialize)]
struct Line {
    webhook: Name,
    /// Nothing, where no server has worked for it yet.
    state: Option<WebhookState>,
    /// How many deliveries are dead letters that nobody has sent again.
    dead: u64,
}

/// Does what was asked about webhooks.
pub(crate) async fn webhooks(
    screen: &Screen,
    place: &Place,
    args: WebhooksArgs,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let known = place.fleet.as_ref().map_or(&[][..], |fleet| &fleet.webhooks);
    let command = args.command.unwrap_or(WebhooksCommand::List);
    let named = match &command {
        WebhooksCommand::List => None,
        WebhooksCommand::Dead(args) | WebhooksCommand::Test(args) => Some(find(known, &args.webhook)?),
        WebhooksCommand::Requeue(args) => Some(find(known, &args.webhook)?),
    };
    let bus = ReachedBus::at(place, Tenant::default(), None, screen).await?;
    let done = async {
        match (&command, named) {
            (WebhooksCommand::Dead(_), Some(webhook)) => {
                let args = DeadLettersArgs { subscription: subscription(&webhook.name), topic: None };
                events::dead_letters(screen, &bus, &args).await
            }
            (WebhooksCommand::Requeue(args), Some(webhook)) => {
                let subscription = subscription(&webhook.name);
                let args = RequeueArgs { subscription, place: args.place, all: args.all, topic: None };
                events::requeue(screen, &bus, &args).await
            }
            (WebhooksCommand::Test(_), Some(webhook)) => match &bus {
                ReachedBus::Served(events, _) => test(screen, place, events, webhook).await,
                ReachedBus::Own { .. } => Err(CliError::NothingToHear { store: place.store.to_string() }),
            },
            _ => list(screen, &bus, known).await,
        }
    };
    tokio::select! {
        done = done => done,
        signal = signals.next() => Ok(Exit::Signal(signal)),
    }
}

fn find<'a>(known: &'a [FleetWebhook], given: &Name) -> Result<&'a FleetWebhook, CliError> {
    let found = known.iter().find(|webhook| webhook.name.folded() == given.folded());
    found.ok_or_else(|| CliError::NoWebhook {
        given: given.to_string(),
        known: known.iter().map(|webhook| webhook.name.to_string()).collect(),
    })
}

async fn list(screen: &Screen, bus: &ReachedBus, known: &[FleetWebhook]) -> Result<Exit, CliError> {
    let mut lines = Vec::with_capacity(known.len());
    for FleetWebhook { name, .. } in known {
        let (state, dead) = (state(bus, name).await?, dead(bus, name).await?);
        lines.push(Line { webhook: name.clone(), state, dead });
    }
    if screen.lists_as_json() {
        screen.json(&lines)?;
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        let note = "no webhook is declared (see `[[webhooks]]` in docs/fleet-file.md)";
        screen.say(screen.paint_err().dim(note));
        return Ok(Exit::Done);
    }
    let now = SystemClock::default().now();
    let rows = lines.iter().map(|line| row(line, now)).collect();
    let head = ["WEBHOOK", "HOST", "STATE", "TAKEN", "FAILED", "WAITING", "DEAD", "LOST", "CAUSE"];
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    if let Some(line) = lines.iter().find(|line| line.dead > 0) {
        let name = &line.webhook;
        screen.hint(&[format!("webhooks dead {name}"), format!("webhooks requeue {name} --all")]);
    }
    Ok(Exit::Done)
}

fn row(Line { webhook, state, dead }: &Line, now: UnixMillis) -> Row {
    let plain = |text: String| (text, Tone::Plain);
    let count = |count: u64, tone| (count.to_string(), if count == 0 { Tone::Dim } else { tone });
    let Some(state) = state else {
        let mut row = vec![plain(webhook.to_string()), plain(String::new())];
        row.extend([("never served".to_owned(), Tone::Dim), plain(String::new()), plain(String::new())]);
        row.extend([
            plain(String::new()),
            count(*dead, Tone::Bad),
            plain(String::new()),
            plain(String::new()),
        ]);
        return row;
    };
    let ago = |at: Option<u64>| at.map_or("never".to_owned(), |at| time::ago(now, UnixMillis(at)));
    let stands = match state {
        WebhookState { disabled_at: Some(_), .. } => ("disabled", Tone::Bad),
        WebhookState { failures: 0, .. } => ("good", Tone::Good),
        _ => ("failing", Tone::Warn),
    };
    vec![
        plain(webhook.to_string()),
        plain(visible(&state.host)),
        (stands.0.to_owned(), stands.1),
        plain(ago(state.taken_at)),
        count(state.failures.into(), Tone::Warn),
        plain(state.waiting.to_string()),
        count(*dead, Tone::Bad),
        count(state.lost, Tone::Bad),
        (visible(state.cause.as_deref().unwrap_or_default()), Tone::Bad),
    ]
}

/// How it stands with a webhook, as its server told last.
async fn state(bus: &ReachedBus, webhook: &Name) -> Result<Option<WebhookState>, CliError> {
    let topic = state_topic(webhook);
    let next = bus.read(&topic, Begin::At(END), 1).await?.next;
    if next <= Position::FIRST {
        return Ok(None);
    }
    let last = bus.read(&topic, Begin::At(Position(next.0 - 1)), 1).await?.events.pop();
    Ok(last.map(|kept| kept.event.json()).transpose()?)
}

async fn dead(bus: &ReachedBus, webhook: &Name) -> Result<u64, CliError> {
    let topic = Topic::dead_letters(subscription(webhook).as_str()).map_err(BusError::from)?;
    let mut letters = DeadLetters::default();
    events::each(bus, &topic, Begin::First, |kept| {
        letters.take(kept);
        Ok(true)
    })
    .await?;
    Ok(letters.into_letters().filter(|letter| !matches!(letter.again, SentAgain::Sent(_))).count() as u64)
}

async fn test(
    screen: &Screen,
    place: &Place,
    events: &RemoteEvents,
    webhook: &FleetWebhook,
) -> Result<Exit, CliError> {
    let (name, topic) = (&webhook.name, state_topic(&webhook.name));
    let begin = events.read(&topic, END, 1).await?.next;
    let clock = SystemClock::default();
    let mut event = Event::new(test_topic(name), name.as_str())?.from("cli");
    (event.id, event.time) = (EventId::mint(&clock, &SystemEntropy::default()), clock.now());
    let id = event.id.to_string();
    if events.publish(&event).await?.reached == 0 {
        return Err(CliError::NothingToHear { store: place.store.to_string() });
    }
    let within = webhook.timeout.unwrap_or(WITHIN) + BESIDE;
    let told = timeout(within, answer(events, topic.clone(), begin, &id)).await;
    let state = told.map_err(|_| BusError::NoAnswer { topic, within })??;
    let exit = if state.test_failed.is_none() { Exit::Done } else { Exit::RunFailed };
    if screen.json {
        screen.json(&state)?;
        return Ok(exit);
    }
    match &state.test_failed {
        None => screen.line(format!("`{name}` took a ping"))?,
        Some(why) => {
            let why = format!("`{name}` took no ping: {}", visible(why));
            screen.line(screen.paint().bad(why))?;
        }
    }
    Ok(exit)
}

/// Waits until what became of a test is told.
async fn answer(
    events: &RemoteEvents,
    topic: Topic,
    begin: Position,
    test: &str,
) -> Result<WebhookState, CliError> {
    let mut tail = events.tail(TailOf::topics(topic.clone().into()).from(begin));
    while let Some(item) = tail.next().await {
        if let Tailed::Event { event, .. } = item? {
            let state: WebhookState = event.json()?;
            if state.test.as_deref() == Some(test) {
                return Ok(state);
            }
        }
    }
    Err(BusError::NoAnswer { topic, within: Duration::ZERO }.into())
}
