//! Many schedules through many lives, each of which is killed, and between which clocks are set forward and back.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use runtime_core::RuntimeManager;
use runtime_core::engine::schedule::{Times, times_of};
use runtime_testkit::fakes::{ManualClock, MapStore};
use runtime_traits::agent::{Agent, AgentKind, SpecError};
use runtime_traits::runtime::{AgentRef, Runtime};
use runtime_traits::schedule::{Missed, Schedule, ScheduledBy, Timing};
use runtime_traits::store::StateStore;
use runtime_traits::{
    AgentError, AgentId, AgentSpec, Clock, Content, Ctx, Name, RunRequest, SessionName, UnixMillis,
};

use super::mortal::{Fired, Mortal};

const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR: u64 = 60 * 60 * 1_000;
const OF_AN_AGENT: u64 = 100;

/// Says what it hears.
#[derive(Debug)]
struct Parrot(AgentSpec);

#[derive(Debug)]
struct ParrotKind;

#[async_trait]
impl Agent for Parrot {
    fn spec(&self) -> AgentSpec {
        self.0.clone()
    }

    async fn run(&self, _: Ctx, input: Content) -> Result<Content, AgentError> {
        Ok(input)
    }
}

impl AgentKind for ParrotKind {
    fn name(&self) -> Name {
        Name::new("parrot").unwrap()
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Parrot(spec.clone())))
    }
}

/// Random numbers that are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        // Of Marsaglia's generators one of the shortest.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What is expected of a schedule.
struct Expected {
    agent: AgentId,
    name: Name,
    rule: Missed,
    times: Times,
}

/// A world of schedules, and how far its lives have come.
struct World {
    store: Arc<dyn StateStore>,
    fired: Arc<Mutex<Fired>>,
    expected: BTreeMap<String, Expected>,
    chance: Chance,
    /// When it is, and how late it was at the latest while somebody looked.
    now: UnixMillis,
    latest: UnixMillis,
}

impl World {
    async fn life(
        &self,
        left: i64,
        last_is_written: bool,
    ) -> (Arc<Mortal>, Option<RuntimeManager>, Arc<ManualClock>) {
        let (store, fired) = (Arc::clone(&self.store), Arc::clone(&self.fired));
        let mortal = Arc::new(Mortal::new(store, left, last_is_written, fired));
        let clock = Arc::new(ManualClock::at(self.now));
        let builder = RuntimeManager::builder(Arc::clone(&mortal) as Arc<dyn StateStore>)
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .kind(Arc::new(ParrotKind))
            .configure(|config| config.max_ended = Some(100));
        (mortal, builder.open().await.ok(), clock)
    }

    async fn begin(schedules: u64) -> Self {
        let mut world = Self {
            store: Arc::new(MapStore::new()),
            fired: Arc::default(),
            expected: BTreeMap::new(),
            chance: Chance(0x9e37_79b9_7f4a_7c15),
            now: BEGIN,
            latest: BEGIN,
        };
        let (_, runtime, _) = world.life(i64::MAX, false).await;
        let runtime = runtime.unwrap();
        for number in 0..schedules.div_ceil(OF_AN_AGENT) {
            let spec = AgentSpec::new("parrot", format!("a{number}")).unwrap();
            let agent = runtime.register_spec(spec).await.unwrap();
            runtime.start_agent(agent).await.unwrap();
            for nth in 0..OF_AN_AGENT.min(schedules - number * OF_AN_AGENT) {
                world.schedule(&runtime, agent, nth).await;
            }
        }
        runtime.shutdown(Duration::from_secs(5)).await.unwrap();
        world
    }

    async fn schedule(&mut self, runtime: &RuntimeManager, agent: AgentId, nth: u64) {
        let timing = match nth % 4 {
            0 => Timing::Once { at: UnixMillis(BEGIN.0 + 1 + self.chance.below(200 * HOUR)) },
            1 => Timing::cron(format!("{} {} * * *", self.chance.below(60), self.chance.below(24)))
                .in_zone("Europe/Berlin"),
            _ => Timing::Every { ms: 4 * HOUR + self.chance.below(30 * HOUR), from: None },
        };
        let rule = [Missed::Skip, Missed::Once, Missed::All][self.chance.below(3) as usize];
        let name = Name::new(format!("s{nth}")).unwrap();
        let request = RunRequest::new("x").in_session(SessionName::new(format!("of-{nth}")).unwrap());
        let schedule = Schedule::new(name.clone(), timing.clone(), request).when_missed(rule);
        runtime.put_schedule(&AgentRef::Id(agent), schedule, ScheduledBy::Hand).await.unwrap();
        let times = times_of(&timing, self.now).unwrap();
        let unique = agent.unique().simple();
        let key = format!("t/default/idem/{unique}/of-{nth}/s{nth}");
        self.expected.insert(key, Expected { agent, name, rule, times });
    }

    /// A life that ends in the middle of whatever it does.
    async fn live_and_die(&mut self) {
        // Clocks go on, are set forward by much, or back, while nobody is here.
        self.now = match self.chance.below(10) {
            0 => UnixMillis(self.now.0 + self.chance.below(40 * HOUR)),
            1..3 => UnixMillis(self.now.0.saturating_sub(self.chance.below(12 * HOUR)).max(BEGIN.0)),
            _ => UnixMillis(self.now.0 + self.chance.below(HOUR)),
        };
        let left = 1 + self.chance.below(60 + self.expected.len() as u64 / 8) as i64;
        let written = self.chance.below(2) == 0;
        let (mortal, runtime, clock) = self.life(left, written).await;
        for _ in 0..self.chance.below(8) {
            if mortal.is_dead() {
                break;
            }
            clock.advance(Duration::from_millis(self.chance.below(HOUR)));
            tokio::time::sleep(Duration::from_millis(1 + self.chance.below(40_000))).await;
        }
        self.now = clock.now();
        self.latest = self.latest.max(self.now);
        drop(runtime);
    }

    /// A life in which all that is to be done is done.
    async fn live_on(&mut self) {
        self.now = self.latest;
        let (_, runtime, clock) = self.life(i64::MAX, false).await;
        let runtime = runtime.unwrap();
        while self.is_behind(&runtime).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // A fire that was refused is tried again when the clock has gone on.
            clock.advance(Duration::from_secs(1));
            self.now = clock.now();
        }
        self.latest = self.now;
        for expected in self.expected.values() {
            let view = runtime.schedule(&AgentRef::Id(expected.agent), &expected.name).await.unwrap();
            let all = expected.times.count(BEGIN, self.now);
            assert_eq!(view.fired + view.missed, all, "each tick is seen to: {view:?}");
        }
        runtime.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    async fn is_behind(&self, runtime: &RuntimeManager) -> bool {
        for expected in self.expected.values() {
            let view = runtime.schedule(&AgentRef::Id(expected.agent), &expected.name).await.unwrap();
            if view.next.is_some_and(|next| next <= self.now) {
                return true;
            }
        }
        false
    }

    /// How many ticks got no run that should have, and how many got more than one.
    fn missed_and_doubled(&self) -> (u64, u64, u64) {
        let fired = self.fired.lock().unwrap();
        let (mut missed, mut doubled, mut runs) = (0, 0, 0);
        for (key, Expected { rule, times, .. }) in &self.expected {
            let none = Vec::new();
            let ticks = fired.get(key).unwrap_or(&none);
            runs += ticks.len() as u64;
            doubled += ticks.windows(2).filter(|pair| pair[0] >= pair[1]).count() as u64;
            assert!(ticks.iter().all(|tick| times.after(UnixMillis(tick.0 - 1)) == Some(*tick)), "{key}");
            match rule {
                Missed::All => missed += times.count(BEGIN, self.latest).saturating_sub(ticks.len() as u64),
                // The latest one makes up for those before it.
                Missed::Once => {
                    missed += u64::from(ticks.last().copied() != times.latest(BEGIN, self.latest))
                }
                Missed::Skip => {}
            }
        }
        (missed, doubled, runs)
    }
}

/// `AGENT_RUNTIME_SCHEDULED=10000x1000` for so many schedules and kills.
fn size() -> (u64, u64) {
    let asked = std::env::var("AGENT_RUNTIME_SCHEDULED").ok();
    let asked = asked.as_deref().and_then(|asked| {
        let (schedules, kills) = asked.split_once('x')?;
        Some((schedules.parse().ok()?, kills.parse().ok()?))
    });
    asked.unwrap_or((200, 60))
}

#[tokio::test(start_paused = true)]
async fn no_tick_is_missed_and_none_doubled_through_kills_and_clock_steps() {
    let (schedules, kills) = size();
    let mut world = World::begin(schedules).await;
    for _ in 0..kills {
        world.live_and_die().await;
    }
    world.live_on().await;

    let (missed, doubled, runs) = world.missed_and_doubled();
    println!("{schedules} schedules, {kills} kills: {runs} runs, {missed} missed, {doubled} doubled");
    assert!(runs > schedules, "only {runs} runs");
    assert_eq!((missed, doubled), (0, 0));
}
