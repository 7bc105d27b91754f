//! Agents that are run by the clock.

use std::time::Duration;

use runtime_traits::clock::{Clock, SystemClock, UnixMillis};
use runtime_traits::runtime::RunFilter;
use runtime_traits::schedule::{
    Missed, Schedule, ScheduleError, ScheduleFilter, ScheduleView, ScheduledBy, Timing,
};
use runtime_traits::{AgentRef, Name, RuntimeError};

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{LONG, Scene};

fn named(name: &str) -> Name {
    Name::new(name).expect("a name")
}

fn schedule(name: &str, timing: Timing) -> Schedule {
    Schedule::new(named(name), timing, "go")
}

fn now() -> UnixMillis {
    SystemClock::default().now()
}

impl Scene {
    async fn put(&self, agent: &AgentRef, schedule: Schedule) -> ScheduleView {
        let put = self.runtime.put_schedule(agent, schedule, ScheduledBy::Hand).await;
        put.expect("it is a schedule")
    }

    async fn schedule(&self, agent: &AgentRef, name: &str) -> ScheduleView {
        self.runtime.schedule(agent, &named(name)).await.expect("it is there")
    }

    async fn schedules_of(&self, agent: &AgentRef) -> Vec<ScheduleView> {
        let AgentRef::Id(id) = agent else { unreachable!("the suite knows agents by their ids") };
        let filter = ScheduleFilter { agent: Some(*id), ..ScheduleFilter::default() };
        self.runtime.schedules(filter).await.expect("they are listed").items
    }

    async fn until_fired(&self, agent: &AgentRef, name: &str) -> ScheduleView {
        let fired = async {
            loop {
                let view = self.schedule(agent, name).await;
                if view.fired > 0 {
                    return view;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, fired).await.expect("it fires")
    }
}

/// `schedules-are-kept`: what was scheduled is listed with when it fires next, is there again after a crash, and is gone once
/// it is deleted; declared again as it is, it stays as it is. What can never fire is refused, and leaves nothing behind.
pub async fn schedules_are_kept(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("echo").await;
    let before = now();
    let morning = schedule("morning", Timing::cron("0 9 * * mon-fri").in_zone("Europe/Berlin"));
    let hourly = schedule("hourly", Timing::every(Duration::from_secs(3_600))).when_missed(Missed::All);
    let first = scene.put(&agent, morning.clone()).await;
    scene.put(&agent, hourly.clone()).await;

    let listed = scene.schedules_of(&agent).await;
    let declared: Vec<_> = listed.iter().map(|view| view.schedule.clone()).collect();
    assert_eq!(declared, [hourly.clone(), morning.clone()], "they are in the order of their names");
    for view in &listed {
        assert!(view.next.is_some_and(|next| next > before), "it lies ahead: {view:?}");
        assert!(view.next_local.is_some() && !view.paused && view.by == ScheduledBy::Hand, "{view:?}");
        assert_eq!((view.fired, view.missed, view.agent_name.as_str()), (0, 0, "echo"));
    }
    assert_eq!(scene.put(&agent, morning.clone()).await, first, "what is declared as it is stays as it is");
    // Names differ by more than case.
    assert_eq!(scene.schedule(&agent, "MORNING").await, first);

    for (timing, refused) in impossible(before) {
        let put = scene.runtime.put_schedule(&agent, schedule("never", timing), ScheduledBy::Hand).await;
        assert_eq!(put, Err(RuntimeError::Schedule(refused)));
    }
    assert_eq!(scene.schedules_of(&agent).await.len(), 2, "what is refused leaves nothing behind");

    let changed = Schedule { missed: Missed::Skip, ..hourly };
    assert_eq!(scene.put(&agent, changed.clone()).await.schedule, changed);
    let Some(scene) = scene.crash(fixture).await else { return };
    let listed = scene.schedules_of(&agent).await;
    let kept: Vec<_> = listed.iter().map(|view| view.schedule.clone()).collect();
    assert_eq!(kept, [changed, morning], "a crash changes nothing");
    assert_eq!(listed[1].next, first.next);
    let name = named("morning");
    assert_eq!(scene.runtime.delete_schedule(&agent, &name).await, Ok(()));
    let unknown = RuntimeError::UnknownSchedule { agent: agent.to_string(), schedule: "morning".to_owned() };
    assert_eq!(scene.runtime.delete_schedule(&agent, &name).await, Err(unknown.clone()));
    assert_eq!(scene.runtime.schedule(&agent, &name).await, Err(unknown.clone()));
    assert_eq!(scene.runtime.pause_schedule(&agent, &name, true).await, Err(unknown));
    assert_eq!(scene.schedules_of(&agent).await.len(), 1);
}

fn impossible(now: UnixMillis) -> Vec<(Timing, ScheduleError)> {
    let zone = "Europe/Atlantis".to_owned();
    let passed = Timing::once(UnixMillis(1_709_164_800_000));
    assert!(now > UnixMillis(1_709_164_800_000), "the clock is right");
    vec![
        (Timing::cron("0 0 30 2 *"), ScheduleError::NeverFires { line: "0 0 30 2 *".to_owned() }),
        (Timing::cron("@daily").in_zone(zone.clone()), ScheduleError::UnknownZone { zone }),
        (Timing::every(Duration::ZERO), ScheduleError::TooShort { ms: 0, least: 1_000 }),
        (passed, ScheduleError::Passed { at: "2024-02-29 00:00:00 UTC".to_owned() }),
    ]
}

/// `a-tick-fires-once`: each moment of a schedule that fires gives one run, which its schedule shows; none does while it is
/// paused.
pub async fn a_tick_fires_once(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("echo").await;
    let soon = now().after(Duration::from_millis(150));
    let later = soon.after(Duration::from_millis(150));
    scene.put(&agent, schedule("paused", Timing::once(soon))).await;
    let paused = scene.runtime.pause_schedule(&agent, &named("paused"), true).await.expect("it is paused");
    assert!(paused.paused, "{paused:?}");
    scene.put(&agent, schedule("later", Timing::once(later))).await;

    let fired = scene.until_fired(&agent, "later").await;
    assert_eq!((fired.fired, fired.missed, fired.next), (1, 0, None), "it has fired for the last time");
    let [fire] = fired.last[..] else { unreachable!("it says when it fired: {fired:?}") };
    assert_eq!(fire.tick, later);
    assert_eq!(scene.output(&fire.run).await, "go");

    let paused = scene.schedule(&agent, "paused").await;
    assert_eq!((paused.fired, paused.next), (0, None), "it is paused: {paused:?}");
    let resumed = scene.runtime.pause_schedule(&agent, &named("paused"), false).await.expect("it goes on");
    assert_eq!((resumed.paused, resumed.fired, resumed.next), (false, 0, None), "what passed is not missed");
    let filter = RunFilter { agent: Some(fired.agent), ..RunFilter::default() };
    let runs = scene.runtime.runs(filter).await.expect("they are listed").items;
    let runs: Vec<_> = runs.into_iter().map(|run| run.run).collect();
    assert_eq!(runs, [fire.run], "one moment, one run");
}
