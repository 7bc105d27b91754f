//! Events that nobody reads: what publishing costs beside the question who reads.

use std::hint::black_box;
use std::sync::Arc;

use runtime_events::{Bus, EventBus, EventBusBuilder, InProcessBus, Live, Who};
use runtime_traits::Tenant;

use super::template::Template;
use crate::figures::contest::take_turns;
use crate::figures::error::FiguresError;
use crate::figures::figure::{Bar, Figure};
use crate::figures::plan::Plan;
use crate::figures::watch::Stopwatch;

/// How many readers of other topics there are.
const OTHERS: usize = 1_000;
const CALLS: u64 = 20_000_000;

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let bus = Arc::new(EventBusBuilder::default().in_process());
    let who = Who::tenant(Tenant::default());
    let mut others = Vec::new();
    for nth in 0..OTHERS {
        let pattern = format!("figures/{nth}/*").parse().map_err(runtime_events::BusError::from)?;
        others.push(bus.listen(&who, Live::of(pattern)).await?);
    }
    let event = Template::new("figures/unheard/now")?.next();
    let calls = plan.sized(CALLS);
    let publisher = EventBus::over(Arc::clone(&bus) as Arc<dyn Bus>, who);
    let publish = async || {
        let watch = Stopwatch::start();
        for _ in 0..calls {
            let published = publisher.publish(Arc::clone(black_box(&event))).await?;
            if published.reached != 0 {
                return Err(FiguresError::Unexpected("somebody heard it".to_owned()));
            }
        }
        Ok(nanoseconds(&watch, calls))
    };
    let look = async || Ok(look_up(&bus, &event, calls));
    let (value, baseline) = take_turns(plan.rounds, publish, look).await?;
    drop(others);
    Ok(vec![Figure {
        name: "bus-unheard",
        value,
        unit: "ns/event",
        baseline: Some(baseline),
        against: "a look-up of the topic's readers in the same table, with 1,000 readers of other topics",
        bar: Bar::RatioAtMost(3.0),
        n: plan.rounds,
    }])
}

fn look_up(bus: &InProcessBus, event: &runtime_events::Event, calls: u64) -> f64 {
    let watch = Stopwatch::start();
    for _ in 0..calls {
        black_box(bus.readers_of(black_box(&event.tenant), black_box(&event.topic)));
    }
    nanoseconds(&watch, calls)
}

pub(crate) fn nanoseconds(watch: &Stopwatch, calls: u64) -> f64 {
    watch.elapsed().as_nanos() as f64 / calls as f64
}
