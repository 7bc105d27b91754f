//! What agents take of their process is measured by who they are.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_resources::{AgentMeter, Stopwatch, SystemStopwatch};
use runtime_traits::meter::{AttemptMeter, MemoryExcess, MeterError, PollMeter, ProcessLimits, ProcessUsage};
use runtime_traits::{AgentId, Partition, Pool, RunId, Tenant};

const MIB: usize = 1 << 20;
const MILLI: Duration = Duration::from_millis(1);

/// A stopwatch that a test moves.
#[derive(Debug, Default)]
struct ByHand {
    now: AtomicU64,
    worked: AtomicU64,
}

impl ByHand {
    fn advance(&self, by: Duration) {
        self.now.fetch_add(u64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    fn work(&self, by: Duration) {
        self.worked.fetch_add(u64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Stopwatch for ByHand {
    fn now(&self) -> Duration {
        Duration::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn worked(&self) -> Duration {
        Duration::from_micros(self.worked.load(Ordering::SeqCst))
    }
}

/// A meter, its stopwatch, and the blocks that its agents hold.
struct Scale {
    meter: AgentMeter,
    stopwatch: Arc<ByHand>,
    held: Mutex<Vec<Vec<u8>>>,
}

fn agent(number: u128) -> AgentId {
    AgentId::from_parts(Partition { pool: Pool::MAIN, index: 3 }, uuid(number))
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

impl Scale {
    fn new() -> Self {
        let stopwatch = Arc::new(ByHand::default());
        stopwatch.advance(Duration::from_secs(1_000));
        let meter = AgentMeter::by(Arc::clone(&stopwatch) as _);
        Self { meter, stopwatch, held: Mutex::default() }
    }

    fn attempt(&self, of: u128) -> Arc<dyn AttemptMeter> {
        let run = RunId::from_parts(agent(of).partition(), uuid(77));
        self.meter.attempt(&Tenant::default(), &agent(of), &run)
    }

    /// A poll in which this many bytes are asked for and held.
    fn hold(&self, attempt: &dyn AttemptMeter, bytes: usize) {
        attempt.poll(&mut || {
            let block = Vec::with_capacity(bytes);
            self.held.lock().unwrap().push(block);
        });
    }

    fn used(&self, of: u128) -> ProcessUsage {
        self.meter.used(&agent(of)).expect("it is measured")
    }

    fn limit(&self, of: u128, mib: usize, cancel: bool) {
        let max_memory_bytes = Some((mib * MIB) as u64);
        let limits = ProcessLimits { max_memory_bytes, max_cpu_percent: None, cancel_over_memory: cancel };
        self.meter.set_limits(&agent(of), limits).expect("memory is metered here");
    }
}

#[test]
fn polls_and_calls_that_block_are_charged_to_their_agents_wherever_memory_is_freed() {
    let scale = Scale::new();
    let (one, two) = (scale.attempt(1), scale.attempt(2));
    scale.held.lock().unwrap().reserve(8);
    scale.hold(one.as_ref(), 5 * MIB);
    scale.hold(two.as_ref(), MIB);
    one.block(&mut || scale.held.lock().unwrap().push(Vec::with_capacity(2 * MIB)));

    assert_eq!((scale.used(1).memory_mb, scale.used(2).memory_mb), (Some(7.0), Some(1.0)));
    two.poll(&mut || drop(scale.held.lock().unwrap().remove(0)));
    assert_eq!((scale.used(1).memory_mb, scale.used(2).memory_mb), (Some(2.0), Some(1.0)));
    let nobodys = scale.meter.unattributed().expect("memory is metered here");
    assert!(nobodys > 0);
}

#[test]
fn an_agent_above_its_memory_is_told_of_once_and_again_when_it_went_well_below() {
    let scale = Scale::new();
    scale.held.lock().unwrap().reserve(64);
    scale.limit(1, 10, false);
    let one = scale.attempt(1);
    for mib in [9.5, 0.5] {
        scale.hold(one.as_ref(), (mib * MIB as f64) as usize);
    }
    assert_eq!(scale.meter.alarms(), []);
    scale.hold(one.as_ref(), MIB);

    let alarms = scale.meter.alarms();
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].agent, agent(1));
    assert_eq!(alarms[0].excess, MemoryExcess { live: 11 * MIB as u64, max: 10 * MIB as u64 });
    assert!(scale.used(1).over_memory);
    assert_eq!(one.excess(), None, "its runs are cancelled only if somebody asked for that");
    assert_eq!(scale.meter.alarms(), []);
    // Down and up around the limit.
    scale.held.lock().unwrap().truncate(1);
    assert_eq!(scale.meter.alarms(), []);
    scale.hold(one.as_ref(), 2 * MIB);
    assert_eq!(scale.meter.alarms(), []);
    // Down for good, and up between two looks.
    scale.held.lock().unwrap().clear();
    assert_eq!(scale.meter.alarms(), []);
    scale.hold(one.as_ref(), 12 * MIB);
    scale.held.lock().unwrap().clear();
    assert_eq!(scale.meter.alarms().len(), 1);
    assert!(!scale.used(1).over_memory);
}

#[test]
fn a_run_is_to_be_cancelled_above_its_memory_if_somebody_asked_for_that() {
    let scale = Scale::new();
    scale.held.lock().unwrap().reserve(8);
    let one = scale.attempt(1);
    scale.hold(one.as_ref(), 3 * MIB);
    assert_eq!(one.excess(), None);

    scale.limit(1, 2, true);
    assert_eq!(one.excess(), Some(MemoryExcess { live: 3 * MIB as u64, max: 2 * MIB as u64 }));
    scale.limit(1, 3, true);
    assert_eq!(one.excess(), None);
}

#[test]
fn the_time_of_polls_is_counted_and_of_calls_that_block_what_a_processor_worked() {
    let scale = Scale::new();
    let one = scale.attempt(1);
    one.poll(&mut || scale.stopwatch.advance(MILLI * 400));
    one.block(&mut || {
        scale.stopwatch.advance(MILLI * 20_000);
        scale.stopwatch.work(MILLI * 1_100);
    });

    let used = scale.used(1);
    assert_eq!((used.cpu_ms, used.longest_poll_ms, used.cpu_percent), (1_500, 400, 2.5));
    scale.stopwatch.advance(MILLI * 61_000);
    let used = scale.used(1);
    assert_eq!((used.cpu_ms, used.longest_poll_ms, used.cpu_percent), (1_500, 400, 0.0));
}

#[test]
fn an_agent_above_its_share_waits_and_another_does_not() {
    let scale = Scale::new();
    let limits = ProcessLimits { max_cpu_percent: Some(10), ..ProcessLimits::default() };
    scale.meter.set_limits(&agent(1), limits).unwrap();
    let (one, also_one, two) = (scale.attempt(1), scale.attempt(1), scale.attempt(2));
    for attempt in [&one, &two] {
        attempt.poll(&mut || scale.stopwatch.advance(MILLI * 6_000));
        assert_eq!(attempt.wait(), None);
    }
    one.poll(&mut || scale.stopwatch.advance(MILLI * 100));
    two.poll(&mut || scale.stopwatch.advance(MILLI * 100));

    // One comes after the other.
    assert_eq!((one.wait(), also_one.wait(), two.wait()), (Some(MILLI * 800), Some(MILLI * 802), None));
    scale.meter.set_limits(&agent(1), ProcessLimits::default()).unwrap();
    assert_eq!(one.wait(), None, "a limit that is taken back binds nobody");
}

#[test]
fn a_panic_is_charged_and_leaves_the_name() {
    let scale = Scale::new();
    let one = scale.attempt(1);
    let poll = || {
        one.poll(&mut || {
            scale.stopwatch.advance(MILLI * 30);
            std::panic::resume_unwind(Box::new("on purpose"))
        });
    };
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll));
    assert!(caught.is_err());
    drop(caught);
    let block = Vec::<u8>::with_capacity(MIB);

    assert_eq!((scale.used(1).longest_poll_ms, scale.used(1).memory_mb), (30, Some(0.0)));
    drop(block);
}

#[test]
fn agents_that_are_not_at_work_are_forgotten_and_their_limits_are_not() {
    let scale = Scale::new();
    scale.held.lock().unwrap().reserve(8);
    scale.limit(1, 1, true);
    drop(scale.attempt(1));
    scale.hold(scale.attempt(2).as_ref(), MIB);
    let at_work = scale.attempt(3);
    for other in 10..20_000 {
        drop(scale.attempt(other));
    }

    let measured = |of| scale.meter.used(&agent(of)).is_some();
    assert_eq!((measured(1), measured(2), measured(3)), (false, true, true));
    let again = scale.attempt(1);
    scale.hold(again.as_ref(), 2 * MIB);
    assert!(again.excess().is_some());
    assert_eq!(at_work.excess(), None);
    scale.meter.forget(&agent(1));
    assert!(!measured(1));
}

#[test]
fn a_share_of_nothing_is_refused_and_changes_nothing() {
    let scale = Scale::new();
    let limits = ProcessLimits { max_cpu_percent: Some(0), ..ProcessLimits::default() };

    assert_eq!(scale.meter.set_limits(&agent(1), limits), Err(MeterError::NoTime));
}

#[test]
fn the_systems_stopwatch_tells_what_a_thread_works() {
    let stopwatch = SystemStopwatch::default();
    let (now, worked) = (stopwatch.now(), stopwatch.worked());
    while stopwatch.worked() < worked + MILLI * 2 {
        std::hint::black_box(vec![0_u8; 4_096]);
    }

    assert!(stopwatch.now() - now >= MILLI * 2);
}

#[test]
fn runs_of_an_agent_above_its_share_are_polled_in_turn_also_on_one_thread() {
    let scale = Scale::new();
    let limits = ProcessLimits { max_cpu_percent: Some(10), ..ProcessLimits::default() };
    scale.meter.set_limits(&agent(1), limits).unwrap();
    let attempts = [(); 3].map(|()| scale.attempt(1));
    let poll = |nth: usize, lasts: Duration| attempts[nth].poll(&mut || scale.stopwatch.advance(lasts));
    // All of its share, and from there on it is above that.
    poll(0, MILLI * 6_000);
    poll(0, MILLI * 100);

    // Timers as an executor has them: the earliest first, and of those that are alike the one that was set first.
    let (mut timers, mut set, mut polls) = (BTreeMap::new(), 0, [0; 3]);
    let mut sleeps = |timers: &mut BTreeMap<(Duration, u32), usize>, nth: usize| {
        let Some(wait) = attempts[nth].wait() else { return false };
        set += 1;
        timers.insert((scale.stopwatch.now() + wait, set), nth);
        true
    };
    (0..3).for_each(|nth| assert!(sleeps(&mut timers, nth)));
    while polls.iter().sum::<u32>() < 30 {
        let ((at, _), nth) = timers.pop_first().expect("three sleep");
        scale.stopwatch.advance(at.saturating_sub(scale.stopwatch.now()));
        if !sleeps(&mut timers, nth) {
            poll(nth, MILLI * 100);
            polls[nth] += 1;
            assert!(sleeps(&mut timers, nth));
        }
    }

    assert_eq!(polls, [10; 3]);
}
