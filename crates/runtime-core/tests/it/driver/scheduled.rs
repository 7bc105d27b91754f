//! Schedules fire once for each tick, whatever is refused, killed, or done to clocks.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod lives;
mod mortal;

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{MapStore, ReadFault};
use runtime_traits::runtime::{AgentRef, RunFilter, Runtime, RuntimeError};
use runtime_traits::schedule::{
    Missed, Schedule, ScheduleError, ScheduleFilter, ScheduleView, ScheduledBy, Timing,
};
use runtime_traits::store::{Log, Then};
use runtime_traits::{AgentId, AgentSpec, Clock, Name, RunRequest, SessionName};

use super::house::{meddle, submit};
use super::restoring::Held;
use super::swept::Years;

const MINUTE: Duration = Duration::from_secs(60);

fn named(name: &str) -> Name {
    Name::new(name).unwrap()
}

fn schedule(name: &str, timing: Timing, missed: Missed) -> Schedule {
    Schedule::new(named(name), timing, "pure:x").when_missed(missed)
}

async fn put(runtime: &RuntimeManager, agent: AgentId, schedule: Schedule) -> ScheduleView {
    runtime.put_schedule(&AgentRef::Id(agent), schedule, ScheduledBy::Hand).await.unwrap()
}

async fn view(runtime: &RuntimeManager, agent: AgentId, name: &str) -> ScheduleView {
    runtime.schedule(&AgentRef::Id(agent), &named(name)).await.unwrap()
}

/// Waits until a schedule is as it should be. The executor's clock runs ahead whenever nothing else is to be done.
async fn until(
    runtime: &RuntimeManager,
    agent: AgentId,
    name: &str,
    holds: impl Fn(&ScheduleView) -> bool,
) -> ScheduleView {
    for _ in 0..10_000 {
        let view = view(runtime, agent, name).await;
        if holds(&view) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    unreachable!("it is {:?}", view(runtime, agent, name).await)
}

async fn runs_of(runtime: &RuntimeManager, agent: AgentId) -> usize {
    let filter = RunFilter { agent: Some(agent), limit: 1_000, ..RunFilter::default() };
    runtime.runs(filter).await.unwrap().items.len()
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_nobody_was_here_is_made_up_for_by_its_rule() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    for (name, missed) in [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All)] {
        put(&runtime, agent, schedule(name, Timing::every(10 * MINUTE), missed)).await;
    }
    let began = years.clock.now();
    runtime.shutdown(Duration::from_secs(5)).await.unwrap();

    years.clock.advance(35 * MINUTE);
    let runtime = years.house.open().await;

    let skip = until(&runtime, agent, "skip", |view| view.missed > 0).await;
    assert_eq!((skip.fired, skip.missed), (0, 3));
    let once = until(&runtime, agent, "once", |view| view.fired > 0).await;
    assert_eq!((once.fired, once.missed, once.last[0].tick), (1, 2, began.after(30 * MINUTE)));
    let all = until(&runtime, agent, "all", |view| view.fired == 3).await;
    let ticks: Vec<_> = all.last.iter().map(|fire| fire.tick).collect();
    assert_eq!(ticks, [30, 20, 10].map(|minutes| began.after(minutes * MINUTE)));
    for view in [skip, once, all] {
        assert_eq!(view.next, Some(began.after(40 * MINUTE)), "{view:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_stopped_is_run_when_it_starts_as_the_rule_says() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    for (name, missed) in [("skip", Missed::Skip), ("once", Missed::Once), ("all", Missed::All)] {
        put(&runtime, agent, schedule(name, Timing::every(10 * MINUTE), missed)).await;
    }
    runtime.stop_agent(agent).await.unwrap();

    years.clock.advance(10 * MINUTE);
    for name in ["skip", "once", "all"] {
        let held = until(&runtime, agent, name, |view| view.held.is_some()).await.held.unwrap();
        assert!(held.reason.contains("is not started; start it first"), "{held:?}");
    }
    years.clock.advance(12 * MINUTE);
    let skip = until(&runtime, agent, "skip", |view| view.missed == 2).await;
    assert_eq!((skip.fired, skip.held), (0, None), "nothing is stuck");
    assert_eq!(runs_of(&runtime, agent).await, 0);

    runtime.start_agent(agent).await.unwrap();
    let once = until(&runtime, agent, "once", |view| view.fired > 0).await;
    assert_eq!((once.fired, once.missed, once.held), (1, 1, None));
    let all = until(&runtime, agent, "all", |view| view.fired == 2).await;
    assert_eq!((all.missed, all.held), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_fire_of_an_agent_that_is_stopped_is_not_tried_by_the_clock() {
    let held = Held::new();
    let runtime = held.open().await;
    let agent = held.agent(&runtime, "a").await;
    for (name, missed) in [("skip", Missed::Skip), ("once", Missed::Once)] {
        put(&runtime, agent, schedule(name, Timing::every(10 * MINUTE), missed)).await;
    }
    runtime.stop_agent(agent).await.unwrap();
    held.clock.advance(10 * MINUTE);
    for name in ["skip", "once"] {
        until(&runtime, agent, name, |view| view.held.is_some()).await;
    }
    // Whoever tried it would be told that the store is away.
    held.store.fail_reads(true);
    for _ in 0..20 {
        held.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(MINUTE).await;
    }
    held.store.fail_reads(false);
    for name in ["skip", "once"] {
        let reason = view(&runtime, agent, name).await.held.unwrap().reason;
        assert!(reason.contains("is not started"), "{name}: {reason}");
    }
    // The rule leaves out what is too late, whether it was tried or not.
    held.clock.advance(MINUTE);
    assert_eq!(until(&runtime, agent, "skip", |view| view.missed == 1).await.held, None);

    runtime.start_agent(agent).await.unwrap();
    until(&runtime, agent, "once", |view| view.fired == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_is_soon_is_found_however_long_anything_else_takes_that_fell_due() {
    let held = Held::new();
    let runtime = held.open().await;
    let agent = held.agent(&runtime, "a").await;
    let run = submit(&runtime, agent, "pure:x").await;
    super::house::output(&runtime, run).await;
    let day = 24 * 60 * MINUTE;
    put(&runtime, agent, schedule("rare", Timing::every(40 * day), Missed::Skip)).await;
    let swept = runtime_codec::keys::run_log(&run);
    let hold = move |log: &Log| if *log == swept { ReadFault::HoldAnswer } else { ReadFault::Pass };
    held.store.decide_reads_by(hold);
    // Its log is to be let go, and that takes long.
    held.clock.advance(31 * day);
    held.store.until_read_held().await;

    held.clock.advance(9 * day);

    let rare = until(&runtime, agent, "rare", |view| view.fired + view.missed > 0).await;
    assert_eq!((rare.fired, rare.missed), (1, 0));
    held.store.decide_reads_by(|_| ReadFault::Pass);
    held.store.release_read();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_paused_gets_its_runs_and_works_them_later() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    put(&runtime, agent, schedule("often", Timing::every(MINUTE), Missed::Once)).await;
    runtime.pause_agent(agent).await.unwrap();

    years.clock.advance(MINUTE);
    let often = until(&runtime, agent, "often", |view| view.fired == 1).await;
    let run = often.last[0].run;
    assert!(runtime.run_status(&run).await.unwrap().outcome.is_none(), "no step begins");

    runtime.resume_agent(agent).await.unwrap();
    assert_eq!(super::house::output(&runtime, run).await, "x!");
}

#[tokio::test(start_paused = true)]
async fn a_fire_for_which_there_is_no_room_is_tried_until_there_is() {
    let years = Years::over(Arc::new(MapStore::new()));
    let runtime = years.house.builder().configure(|config| config.max_queued = 1).open().await.unwrap();
    let agent = runtime.register_spec(AgentSpec::new("scripted", "a").unwrap()).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    runtime.pause_agent(agent).await.unwrap();
    submit(&runtime, agent, "pure:x").await;
    submit(&runtime, agent, "pure:y").await;
    put(&runtime, agent, schedule("all", Timing::every(MINUTE), Missed::All)).await;

    years.clock.advance(2 * MINUTE);
    let all = until(&runtime, agent, "all", |view| view.held.is_some()).await;
    assert!(all.held.as_ref().unwrap().reason.contains("the queue of session `default` is full"), "{all:?}");
    assert_eq!(all.fired, 0);

    runtime.resume_agent(agent).await.unwrap();
    // What was refused is tried again by the clock.
    for _ in 0..10 {
        years.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_secs(40)).await;
    }
    let all = until(&runtime, agent, "all", |view| view.fired >= 2).await;
    assert_eq!((all.missed, all.held), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_pause_leaves_out_what_passes_and_a_change_of_the_timing_begins_anew() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    let all = schedule("all", Timing::every(MINUTE), Missed::All);
    put(&runtime, agent, all.clone()).await;
    let paused = runtime.pause_schedule(&AgentRef::Id(agent), &named("ALL"), true).await.unwrap();
    assert_eq!((paused.paused, paused.next), (true, None));
    // Declared again, it stays paused.
    assert!(put(&runtime, agent, all.clone()).await.paused);

    years.clock.advance(5 * MINUTE);
    let resumed = runtime.pause_schedule(&AgentRef::Id(agent), &named("all"), false).await.unwrap();
    assert_eq!(resumed.next, Some(years.clock.now().after(MINUTE)));
    assert_eq!((resumed.fired, resumed.missed), (0, 0));

    years.clock.advance(MINUTE);
    until(&runtime, agent, "all", |view| view.fired == 1).await;
    let rarer = schedule("all", Timing::every(60 * MINUTE), Missed::All);
    let moved = put(&runtime, agent, rarer).await;
    assert_eq!((moved.next, moved.fired), (Some(years.clock.now().after(60 * MINUTE)), 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_fires_no_more_and_leaves_nothing_behind() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    put(&runtime, agent, schedule("one", Timing::every(MINUTE), Missed::All)).await;
    put(&runtime, agent, schedule("two", Timing::every(MINUTE), Missed::All)).await;
    runtime.delete_schedule(&AgentRef::Id(agent), &named("one")).await.unwrap();
    years.clock.advance(MINUTE);
    until(&runtime, agent, "two", |view| view.fired == 1).await;
    assert_eq!(runs_of(&runtime, agent).await, 1);

    runtime.stop_agent(agent).await.unwrap();
    while runtime.unregister(&AgentRef::Id(agent)).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let cells = runtime_testkit::recount::cells(years.house.store.as_ref(), agent.partition()).await;
    let of_schedules = cells.iter().filter(|(key, _)| key.to_string().contains("schedule"));
    assert_eq!(of_schedules.map(|(key, _)| key.to_string()).collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_whose_due_cell_is_gone_is_written_anew_by_whoever_changes_it() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    let next = put(&runtime, agent, schedule("one", Timing::every(MINUTE), Missed::Once)).await.next.unwrap();
    let due = runtime_codec::keys::due_schedule(&agent, next, &named("one"));
    meddle(years.house.store.as_ref(), 1, Then::Delete(due)).await;

    // What this process looks at it knows without the cell, and writes the next one.
    years.clock.advance(MINUTE);
    let one = until(&runtime, agent, "one", |view| view.fired == 1).await;
    let due = runtime_codec::keys::due_schedule(&agent, one.next.unwrap(), &named("one"));
    let cell = years.house.store.get(std::slice::from_ref(&due)).await.unwrap();
    assert!(cell[0].is_some(), "the next one is there");
}

#[tokio::test(start_paused = true)]
async fn a_due_cell_by_which_nothing_fires_goes() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    put(&runtime, agent, schedule("one", Timing::every(MINUTE), Missed::Once)).await;
    let name = "gone".to_owned();
    let due = runtime_codec::Due::Schedule { tenant: runtime.tenant().clone(), agent, name };
    let cell = runtime_codec::keys::due_schedule(&agent, years.clock.now(), &named("gone"));
    meddle(years.house.store.as_ref(), 1, Then::Put(cell.clone(), runtime_codec::encode(&due))).await;

    let is_there = async || years.house.store.get(std::slice::from_ref(&cell)).await.unwrap()[0].is_some();
    while is_there().await {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(view(&runtime, agent, "one").await.next.is_some(), "the others stay");
}

#[tokio::test(start_paused = true)]
async fn an_agent_has_at_most_a_thousand_and_pages_show_each_once() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    let other = runtime.register_spec(AgentSpec::new("scripted", "b").unwrap()).await.unwrap();
    for number in 0..1_000 {
        put(&runtime, agent, schedule(&format!("s{number}"), Timing::cron("@daily"), Missed::Once)).await;
    }
    put(&runtime, other, schedule("s0", Timing::cron("@daily"), Missed::Once)).await;
    let one_more = schedule("more", Timing::cron("@daily"), Missed::Once);
    let refused = runtime.put_schedule(&AgentRef::Id(agent), one_more, ScheduledBy::Hand).await;
    let too_many = ScheduleError::TooMany { agent: agent.to_string(), limit: 1_000 };
    assert_eq!(refused, Err(RuntimeError::Schedule(too_many)));
    // One that is there is changed all the same.
    put(&runtime, agent, schedule("s7", Timing::cron("@hourly"), Missed::Once)).await;

    let mut seen = Vec::new();
    let mut filter = ScheduleFilter { limit: 97, ..ScheduleFilter::default() };
    loop {
        let page = runtime.schedules(filter.clone()).await.unwrap();
        assert!(page.items.len() <= 97);
        seen.extend(page.items.into_iter().map(|view| (view.agent, view.schedule.name)));
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), count), (1_001, 1_001));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_too_large_is_refused() {
    let years = Years::over(Arc::new(MapStore::new()));
    let (runtime, agent) = years.begin().await;
    let large = RunRequest::new("x".repeat(8 * 1024 + 1)).in_session(SessionName::new("s").unwrap());
    let large = Schedule::new(named("large"), Timing::cron("@daily"), large);
    let refused = runtime.put_schedule(&AgentRef::Id(agent), large, ScheduledBy::Hand).await;
    let what = "the input of a schedule".to_owned();
    assert_eq!(refused, Err(RuntimeError::TooLarge { what, size: 8 * 1024 + 1, limit: 8 * 1024 }));
    let empty = Schedule::new(named("empty"), Timing::cron("@daily"), "");
    let refused = runtime.put_schedule(&AgentRef::Id(agent), empty, ScheduledBy::Hand).await;
    assert_eq!(refused, Err(RuntimeError::EmptyInput));
}
