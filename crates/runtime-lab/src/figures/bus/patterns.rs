//! Look-ups among ten thousand patterns with wildcards, of which at most ten match.

use std::hint::black_box;

use futures_util::FutureExt;
use runtime_events::{Bus, EventBusBuilder, Live, Topic, Who};
use runtime_traits::Tenant;

use super::unheard::nanoseconds;
use crate::figures::error::FiguresError;
use crate::figures::figure::{Bar, Figure};
use crate::figures::plan::Plan;
use crate::figures::spread::Spread;
use crate::figures::watch::Stopwatch;

const PATTERNS: usize = 10_000;
const TOPICS: usize = 1_000;
const CALLS: u64 = 2_000_000;

pub(crate) fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let bus = EventBusBuilder::default().in_process();
    let (tenant, who) = (Tenant::default(), Who::tenant(Tenant::default()));
    let mut readers = Vec::new();
    for nth in 0..PATTERNS {
        // Five sorts of patterns over a thousand rooms, two of each.
        let (room, sort) = (nth % TOPICS, nth / TOPICS % 5);
        let pattern = match sort {
            0 => format!("rooms/{room}/*/said"),
            1 => format!("rooms/{room}/**"),
            2 => format!("rooms/{room}/person-{room}/*"),
            3 => format!("*/{room}/*/said"),
            _ => format!("rooms/{room}/*/*"),
        };
        let live = Live::of(pattern.parse().map_err(runtime_events::BusError::from)?);
        let listening = bus.listen(&who, live).now_or_never();
        readers.push(listening.ok_or_else(|| FiguresError::Unexpected("it waits".to_owned()))??);
    }
    let topics: Result<Vec<Topic>, _> =
        (0..TOPICS).map(|room| format!("rooms/{room}/person-{room}/said").parse()).collect();
    let topics = topics.map_err(runtime_events::BusError::from)?;
    if let Some(found) = topics.iter().map(|topic| bus.readers_of(&tenant, topic)).find(|found| *found != 10)
    {
        return Err(FiguresError::Unexpected(format!("{found} patterns match")));
    }
    let calls = plan.sized(CALLS);
    let mut values = Vec::new();
    for round in 0..=plan.rounds {
        let watch = Stopwatch::start();
        for call in 0..calls {
            // All over the table, so that it is not the same lines of the cache each time.
            let topic = &topics[(call as usize * 7_919) % TOPICS];
            black_box(bus.readers_of(&tenant, black_box(topic)));
        }
        if round > 0 {
            values.push(nanoseconds(&watch, calls) / 1_000.0);
        }
    }
    drop(readers);
    Ok(vec![Figure {
        name: "bus-patterns",
        value: Spread::of(values),
        unit: "µs/look-up",
        baseline: None,
        against: "10,000 patterns with wildcards, of which 10 match",
        bar: Bar::AtMost(2.0),
        n: plan.rounds,
    }])
}
