//! What schedules do is told on the bus, in the batches that do it.

use agent_runtime::events::catalogue::{Announced, ScheduleFired, ScheduleMissed};
use agent_runtime::schedule::{Missed, Schedule, ScheduledBy, Timing};
use agent_runtime::{Clock, UnixMillis};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

async fn open(store: &Arc<MapStore>, clock: &Arc<ManualClock>) -> (RuntimeManager, AgentId) {
    let builder = RuntimeManager::builder(Arc::clone(store) as Arc<dyn StateStore>);
    let builder = builder.keep("agents/**", Retention::default()).unwrap();
    started(builder.clock(Arc::clone(clock) as Arc<dyn Clock>).open().await.unwrap().into()).await
}

#[tokio::test]
async fn a_fire_is_told_once_with_its_tick_and_its_run_and_so_is_what_it_makes_up_for() {
    let (store, clock) = (Arc::new(MapStore::new()), Arc::new(ManualClock::default()));
    let (runtime, agent) = open(&store, &clock).await;
    for (name, missed) in [("once", Missed::Once), ("skip", Missed::Skip)] {
        let schedule =
            Schedule::new(Name::new(name).unwrap(), Timing::every(2 * MINUTE), "x").when_missed(missed);
        runtime.put_schedule(&agent.into(), schedule, ScheduledBy::Hand).await.unwrap();
    }
    let began = clock.now();
    let tick = |nth: u32| began.after(nth * 2 * MINUTE).0;
    runtime.shutdown(LONG).await.unwrap();

    // One and a half intervals late for `skip`, and two ticks made up for by the third one of `once`.
    clock.advance(7 * MINUTE + MINUTE / 2);
    let (runtime, agent) = open(&store, &clock).await;
    let missed = until_kept(&runtime, ScheduleMissed::NAME, |events| events.len() == 2).await;
    let mut missed: Vec<ScheduleMissed> = missed.iter().map(|event| event.json().unwrap()).collect();
    missed.sort_by(|a, b| a.rule.cmp(&b.rule));
    let told: Vec<_> = missed.iter().map(|m| (m.rule.as_str(), m.from, m.upto, m.count)).collect();
    assert_eq!(told, [("once", tick(1), tick(2), 2), ("skip", tick(1), tick(3), 3)]);

    let fired = until_kept(&runtime, ScheduleFired::NAME, |events| !events.is_empty()).await;
    let once = runtime.schedule(&agent.into(), &Name::new("once").unwrap()).await.unwrap();
    let [fire] = once.last[..] else { panic!("{once:?}") };
    let said: ScheduleFired = fired[0].json().unwrap();
    let (agent, schedule) = ("worker".to_owned(), "once".to_owned());
    let expected = ScheduleFired { agent, schedule, tick: tick(3), run: fire.run.to_string() };
    assert_eq!((said, fired.len()), (expected, 1));
    assert_eq!((fire.tick, fired[0].run), (UnixMillis(tick(3)), Some(fire.run)));
}
