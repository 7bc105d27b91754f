//! What people type about events.

use std::str::FromStr;

use agent_runtime::events::{EventId, Pattern, Position, Topic};
use agent_runtime::fleet::span;
use agent_runtime::{Name, Tenant, UnixMillis};
use clap::{ArgGroup, Args, Subcommand};
use std::time::Duration;

/// `events …`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Act for this tenant [default: `default`]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) tenant: Option<Tenant>,
    /// Act as this agent, with its rights
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) agent: Option<Name>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: EventsCommand,
}

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Show events as they are published, until Ctrl-C
    Tail(TailArgs),
    /// Publish an event
    Publish(PublishArgs),
    /// Show the events of a topic that are kept
    Replay(ReplayArgs),
    /// Show the events at which a durable subscription failed too often
    DeadLetters(DeadLettersArgs),
    /// Send such events to their subscription again
    Requeue(RequeueArgs),
}

/// `events tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// The topics: `*` is one segment, `**` in the last place all that follow
    #[arg(default_value = "**", value_name = "TOPICS")]
    pub(crate) topics: Pattern,
    /// Read as this durable subscription of one topic: what was shown is not shown again
    #[arg(long, value_name = "NAME")]
    pub(crate) durable: Option<Name>,
    /// Begin at this place of a topic that is kept
    #[arg(long, value_name = "N", value_parser = place)]
    pub(crate) from: Option<Position>,
}

/// `events publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// What it is about, as in `orders/new`
    pub(crate) topic: Topic,
    /// What it says, as JSON; `-` reads it from the standard input
    pub(crate) data: String,
    /// Its id: an event that is published again with its id is kept once
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<EventId>,
}

/// `events replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The topic, in full
    pub(crate) topic: Topic,
    /// Begin at this place, at this moment (2026-11-28T16:38:01Z), or so long ago (2h) [default: the first that is kept]
    #[arg(long, value_name = "N|TIME")]
    pub(crate) from: Option<FromArg>,
    /// Show at most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// `events dead-letters`.
#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    /// The durable subscription, by its name
    pub(crate) subscription: Name,
    /// Only those of this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<Topic>,
}

/// `events requeue`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["place", "all"])))]
pub(crate) struct RequeueArgs {
    /// The durable subscription, by its name
    pub(crate) subscription: Name,
    /// The place of one, as `events dead-letters` shows it
    #[arg(value_name = "PLACE", value_parser = place)]
    pub(crate) place: Option<Position>,
    /// All that were not sent again yet
    #[arg(long)]
    pub(crate) all: bool,
    /// Only those of this topic
    #[arg(long, value_name = "TOPIC", requires = "all")]
    pub(crate) topic: Option<Topic>,
}

/// Where to begin, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromArg {
    /// At a place.
    Place(Position),
    /// At a moment.
    Moment(UnixMillis),
    /// So long ago.
    Ago(Duration),
}

impl FromStr for FromArg {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if given.bytes().all(|digit| digit.is_ascii_digit()) {
            return place(given).map(Self::Place);
        }
        if let Some(moment) = UnixMillis::from_rfc3339(given) {
            return Ok(Self::Moment(moment));
        }
        span(given).map(Self::Ago).map_err(|_| {
            "give a place like 42, a moment like 2026-11-28T16:38:01Z, or a time like 2h".to_owned()
        })
    }
}

pub(super) fn place(given: &str) -> Result<Position, String> {
    match given.parse() {
        Ok(number) if number > 0 => Ok(Position(number)),
        _ => Err("places are numbered from 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_a_moment_and_a_time_ago_are_told_apart() {
        let read = |text: &str| text.parse::<FromArg>().ok();
        assert_eq!(read("42"), Some(FromArg::Place(Position(42))));
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(FromArg::Moment(UnixMillis(1_000))));
        assert_eq!(read("2h"), Some(FromArg::Ago(Duration::from_secs(7_200))));
        for wrong in ["", "0", "-1", "yesterday", "2026-13-01T00:00:00Z", "99999999999999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
