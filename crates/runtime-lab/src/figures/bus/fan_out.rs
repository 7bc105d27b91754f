//! One publisher and many live readers, none of which loses anything.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use runtime_events::{Delivery, EventBus, EventStream};
use tokio::task::JoinSet;

use super::template::{READY, Template};
use super::tokio_channel;
use crate::figures::contest::{Contender, round_robin};
use crate::figures::error::FiguresError;
use crate::figures::figure::{Bar, Figure};
use crate::figures::load::all;
use crate::figures::plan::Plan;
use crate::figures::watch::Stopwatch;

/// How many readers, and the names of the figures.
const SIZES: [(usize, &str, &str); 4] = [
    (1, "bus-fan-out-1", "bus-fan-out-1-actors"),
    (10, "bus-fan-out-10", "bus-fan-out-10-actors"),
    (100, "bus-fan-out-100", "bus-fan-out-100-actors"),
    (1_000, "bus-fan-out-1000", "bus-fan-out-1000-actors"),
];
/// How many events each reader may be behind.
pub(crate) const RING: usize = 1_024;
/// After how many events the time is looked at.
pub(crate) const LOOK: u64 = 64;
const AGAINST: &str =
    "the best of tokio's broadcast, postage 0.5 and async-broadcast 0.7, 1,024 places, lossless";
const ACTORS: &str = "the better of kameo's PubSub (mailboxes of 1,024) and ractor's OutputPort";

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let mut figures = Vec::new();
    for (readers, name, with_actors) in SIZES {
        let turn = plan.turn;
        #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "peers join"))]
        let mut contenders: Vec<Contender<'_>> = vec![
            ("ours", Box::new(move || ours(readers, turn).boxed_local())),
            ("tokio", Box::new(move || tokio_channel::broadcast(readers, turn).boxed_local())),
        ];
        #[cfg(feature = "peers")]
        contenders.extend(super::channels::contenders(readers, turn));
        let mut measured = round_robin(plan.rounds, contenders).await?;
        let (_, value) = measured.remove(0);
        for (peer, spread) in &measured {
            eprintln!("  {readers} readers: {peer} {:.0}/s; ours {:.0}/s", spread.median, value.median);
        }
        let best = |actors: bool| {
            let of = measured.iter().filter(|(name, _)| ["kameo", "ractor"].contains(name) == actors);
            of.map(|(_, spread)| *spread).max_by(|a, b| a.median.total_cmp(&b.median))
        };
        let figure = |name, baseline, against, bar| Figure {
            name,
            value,
            unit: "deliveries/s",
            baseline,
            against,
            bar: Bar::RatioAtLeast(bar),
            n: plan.rounds,
        };
        figures.push(figure(name, best(false), AGAINST, 0.5));
        figures.push(figure(with_actors, best(true), ACTORS, 1.0));
    }
    Ok(figures)
}

/// Deliveries per second of this bus.
async fn ours(readers: usize, turn: Duration) -> Result<f64, FiguresError> {
    // The publisher waits for whoever is behind: that is what lossless means here.
    let bus = EventBus::builder().block("figures/fan-out", Duration::from_secs(60))?.build();
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let stream = bus.listen("figures/*").await?;
        reading.spawn(read(stream));
    }
    let ready = Template::new("figures/fan-out")?.ready();
    let publishing = in_a_task(async move {
        let watch = Stopwatch::start();
        let mut published = 0_u64;
        while !published.is_multiple_of(LOOK) || watch.elapsed() < turn {
            bus.publish(Arc::clone(&ready[published as usize % READY])).await?;
            published += 1;
        }
        Ok::<_, FiguresError>((watch, published))
    });
    let (watch, published) = publishing.await?;
    let delivered: u64 = all(reading).await?.into_iter().sum();
    if delivered != published * readers as u64 {
        return Err(FiguresError::Unexpected(format!("{delivered} of {published} × {readers} came")));
    }
    Ok(watch.per_second(delivered))
}

/// What a task of its own comes to: a publisher is one worker's work like its readers.
pub(crate) async fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, FiguresError>> + Send + 'static,
) -> Result<T, FiguresError> {
    let mut task = JoinSet::new();
    task.spawn(work);
    let done = all(task).await?.pop();
    done.ok_or_else(|| FiguresError::Unexpected("the publisher came to nothing".to_owned()))
}

async fn read(mut stream: EventStream) -> Result<u64, FiguresError> {
    let mut count = 0;
    while let Some(delivery) = stream.next().await {
        match delivery {
            Delivery::Event { .. } => count += 1,
            Delivery::Gap(gap) => return Err(FiguresError::Unexpected(format!("{} were lost", gap.lost()))),
        }
    }
    Ok(count)
}
