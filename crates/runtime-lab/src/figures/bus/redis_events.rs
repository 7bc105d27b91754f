//! Durable events in Redis: one publisher and ten durable subscriptions, against raw streams and consumer groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use runtime_events::{EventBus, Retention};
use runtime_testkit::peers::RedisServer;
use tokio::sync::Notify;

use super::template::Template;
use crate::figures::contest::take_turns;
use crate::figures::error::FiguresError;
use crate::figures::figure::{Bar, Figure};
use crate::figures::plan::Plan;
use crate::figures::spread::Spread;
use crate::figures::watch::Stopwatch;

/// Durable subscriptions of ours, and consumer groups of the baseline.
pub(crate) const GROUPS: usize = 10;
/// Events that are on their way to the server at once.
pub(crate) const ON_THE_WAY: usize = 64;
const EVENTS: u64 = 20_000;
const AGAINST: &str = "XADD, XREADGROUP and XACK by the same client, 64 on their way, blocks of 256";

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let server = RedisServer::start();
    let events = plan.sized(EVENTS);
    let databases = AtomicU32::new(0);
    let ours = async || ours(&server.uri(databases.fetch_add(1, Ordering::Relaxed)), events).await;
    let (value, baseline) = beside_raw(plan, &server, events, ours).await?;
    Ok(vec![Figure {
        name: "bus-redis",
        value,
        unit: "deliveries/s",
        baseline,
        against: AGAINST,
        bar: Bar::RatioAtLeast(0.7),
        n: plan.rounds,
    }])
}

#[cfg(feature = "peers")]
async fn beside_raw(
    plan: &Plan,
    server: &RedisServer,
    events: u64,
    ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Option<Spread>), FiguresError> {
    let databases = AtomicU32::new(500);
    let raw = async || {
        let uri = server.uri(databases.fetch_add(1, Ordering::Relaxed));
        super::raw_redis::deliver(&uri, events).await
    };
    let (value, baseline) = take_turns(plan.rounds, ours, raw).await?;
    Ok((value, Some(baseline)))
}

#[cfg(not(feature = "peers"))]
async fn beside_raw(
    plan: &Plan,
    _: &RedisServer,
    _: u64,
    ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Option<Spread>), FiguresError> {
    let nobody = async || Ok(f64::NAN);
    let (value, _) = take_turns(plan.rounds, ours, nobody).await?;
    Ok((value, None))
}

/// Deliveries per second, from the first event until all subscriptions have done the last.
async fn ours(uri: &str, events: u64) -> Result<f64, FiguresError> {
    let odd = |error: &dyn std::fmt::Display| FiguresError::Unexpected(error.to_string());
    let builder = EventBus::builder().keep("figures/**", Retention::default())?;
    let bus = builder.connect(uri).await.map_err(|error| odd(&error))?;
    let (done, all_done) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let wanted = events * GROUPS as u64;
    let mut working = Vec::new();
    for nth in 0..GROUPS {
        let (done, all_done) = (Arc::clone(&done), Arc::clone(&all_done));
        let subscription = bus.durable("figures/redis", &format!("group-{nth}"))?;
        let handling = subscription.handle(move |_| {
            if done.fetch_add(1, Ordering::Relaxed) + 1 == wanted {
                all_done.notify_one();
            }
            std::future::ready(())
        });
        working.push(handling.await?);
    }
    let mut template = Template::new("figures/redis")?;
    let watch = Stopwatch::start();
    let mut on_the_way = FuturesUnordered::new();
    for _ in 0..events {
        if on_the_way.len() == ON_THE_WAY
            && let Some(published) = on_the_way.next().await
        {
            published?;
        }
        on_the_way.push(bus.publish(template.next()));
    }
    while let Some(published) = on_the_way.next().await {
        published?;
    }
    let waited = tokio::time::timeout(Duration::from_secs(120), all_done.notified()).await;
    waited.map_err(|error| odd(&error))?;
    // Done is what is saved as done.
    for subscription in working {
        subscription.end().await;
    }
    Ok(watch.per_second(wanted))
}
