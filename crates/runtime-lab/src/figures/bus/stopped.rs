//! A reader that has stopped beside ten fast ones: what it costs the publisher, and what it is told.

use std::time::Duration;

use runtime_events::{Delivery, EventBus, EventStream};
use tokio::task::{JoinSet, yield_now};

use super::fan_out::{LOOK, in_a_task};
use super::template::Template;
use crate::figures::contest::take_turns;
use crate::figures::error::FiguresError;
use crate::figures::figure::{Bar, Figure};
use crate::figures::load::all;
use crate::figures::plan::Plan;
use crate::figures::watch::Stopwatch;

const FAST: usize = 10;
/// Pairs of a turn with it and a turn without it.
const PAIRS: u32 = 20;

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let turn = plan.turn / 2;
    let with = async || publish(turn, true).await;
    let without = async || publish(turn, false).await;
    let (value, baseline) = take_turns(PAIRS, with, without).await?;
    Ok(vec![Figure {
        name: "bus-stopped-reader",
        value,
        unit: "events/s",
        baseline: Some(baseline),
        against: "the same publisher and ten fast readers, without a reader that has stopped",
        bar: Bar::RatioAtLeast(0.9),
        n: PAIRS,
    }])
}

/// Events per second of a publisher that lets others have their turn.
async fn publish(turn: Duration, with_stopped: bool) -> Result<f64, FiguresError> {
    let bus = EventBus::new();
    let mut reading = JoinSet::new();
    for _ in 0..FAST {
        reading.spawn(count(bus.listen("figures/*").await?));
    }
    let stopped = if with_stopped { Some(bus.listen("figures/*").await?) } else { None };
    let mut template = Template::new("figures/stopped")?;
    let (rate, published) = in_a_task(async move {
        let watch = Stopwatch::start();
        let mut published = 0_u64;
        while !published.is_multiple_of(LOOK) || watch.elapsed() < turn {
            bus.publish(template.next()).await?;
            published += 1;
            if published.is_multiple_of(LOOK) {
                yield_now().await;
            }
        }
        Ok((watch.per_second(published), published))
    })
    .await?;
    let mut told = all(reading).await?;
    if let Some(stopped) = stopped {
        told.push(count(stopped).await?);
    }
    if let Some(told) = told.into_iter().find(|told| *told != published) {
        return Err(FiguresError::Unexpected(format!(
            "of {published} events {told} were delivered or told lost"
        )));
    }
    Ok(rate)
}

/// What was delivered or told to be lost.
async fn count(mut stream: EventStream) -> Result<u64, FiguresError> {
    let mut told = 0;
    while let Some(delivery) = stream.next().await {
        told += match delivery {
            Delivery::Event { .. } => 1,
            Delivery::Gap(gap) => gap.lost(),
        };
    }
    Ok(told)
}
