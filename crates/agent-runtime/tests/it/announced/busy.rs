//! A partition that is never idle: there is more to deliver whenever its courier looks.

use std::sync::atomic::Ordering;

use super::*;

const STARTED: &str = "agents/worker/run.started";
const COMPLETED: &str = "agents/worker/run.completed";

/// A runtime whose courier waits at the end of each run that it tells of, until it is let on.
struct Busy {
    bus: Arc<Fickle>,
    runtime: RuntimeManager,
    agent: AgentId,
    ended: Vec<RunId>,
    store: Arc<MapStore>,
}

impl Busy {
    async fn with(clock: &Arc<ManualClock>) -> Self {
        let store = Arc::new(MapStore::new());
        let bus = Fickle::over(&store, Retention::default());
        let builder = RuntimeManager::builder(Arc::clone(&store) as _).clock(Arc::clone(clock) as _);
        let runtime = builder.bus(Arc::clone(&bus) as _).open().await.unwrap();
        let (runtime, agent) = started(runtime.into()).await;
        told_in_full(&runtime, &store).await;
        *bus.slow.lock().unwrap() = Some(COMPLETED.parse().unwrap());
        Self { bus, runtime, agent, ended: Vec::new(), store }
    }

    async fn work(&mut self) {
        self.ended.extend(work(&self.runtime, &self.agent, 1).await);
    }

    /// The courier is at the end of the last run that there is.
    async fn at_the_last(&self) {
        let mut came = self.bus.came.subscribe();
        let all = self.ended.len();
        timeout(LONG, came.wait_for(|came| *came == all)).await.unwrap().unwrap();
    }

    /// Has one more run told, which was there before the courier was done with the one before.
    async fn go_on(&mut self) {
        self.work().await;
        self.bus.let_through.add_permits(1);
        self.at_the_last().await;
    }

    async fn all_is_told(self) {
        self.bus.let_through.add_permits(1);
        told_in_full(&self.runtime, &self.store).await;
        for name in ["run.accepted", "run.started", "run.completed"] {
            assert_eq!(told(&self.runtime, name, 1).await, self.ended, "{name}");
        }
    }
}

#[tokio::test]
async fn a_busy_partition_sees_at_its_time_that_a_topic_is_whole_again() {
    let clock = Arc::new(ManualClock::default());
    let mut busy = Busy::with(&clock).await;
    damage(&busy.bus, Some(STARTED));
    busy.work().await;
    busy.at_the_last().await;
    for _ in 0..5 {
        busy.go_on().await;
        clock.advance(Duration::from_secs(5));
    }
    assert_eq!(status(&busy.runtime).await.held[0].events, 6);

    damage(&busy.bus, None);
    clock.advance(Duration::from_secs(5));
    busy.go_on().await;

    assert_eq!(status(&busy.runtime).await.held, []);
    assert_eq!(
        told(&busy.runtime, "run.started", 1).await,
        busy.ended,
        "in their order, and nothing was idle"
    );
    busy.all_is_told().await;
}

#[tokio::test]
async fn a_damaged_topic_is_not_looked_at_before_its_time() {
    let clock = Arc::new(ManualClock::default());
    let mut busy = Busy::with(&clock).await;
    damage(&busy.bus, Some(STARTED));
    busy.work().await;
    busy.at_the_last().await;

    damage(&busy.bus, None);
    busy.go_on().await;
    assert_eq!(status(&busy.runtime).await.held[0].events, 2);

    clock.advance(Duration::from_millis(50));
    busy.go_on().await;
    assert_eq!(status(&busy.runtime).await.held, []);
    busy.all_is_told().await;
}

/// Time passes only while nothing can be done.
#[tokio::test(start_paused = true)]
async fn a_courier_that_was_well_meanwhile_tries_soon_again_after_a_new_trouble() {
    let mut busy = Busy::with(&Arc::new(ManualClock::default())).await;
    let mut asked = busy.bus.asked.subscribe();
    let mut again = async |more: usize| {
        let before = *asked.borrow_and_update();
        let again = asked.wait_for(|asked| *asked >= before + more);
        again.await.unwrap();
    };
    busy.bus.is_away.store(true, Ordering::SeqCst);
    busy.work().await;
    timeout(Duration::from_secs(60), again(12)).await.expect("it is tried ever more rarely");
    busy.bus.is_away.store(false, Ordering::SeqCst);
    busy.at_the_last().await;
    busy.go_on().await;

    busy.work().await;
    busy.bus.is_away.store(true, Ordering::SeqCst);
    busy.bus.let_through.add_permits(1);
    again(1).await;

    timeout(Duration::from_millis(60), again(1)).await.expect("it is tried soon after it was well");
    busy.bus.is_away.store(false, Ordering::SeqCst);
    busy.at_the_last().await;
    busy.all_is_told().await;
}
