//! The polls that are under way, and the watch over them: an agent that blocks its thread is named.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_traits::bus::Happening;
use runtime_traits::clock::UnixMillis;
use runtime_traits::meter::{LongPoll, MemoryAlarm, MemoryExcess};
use runtime_traits::name::Tenant;

use super::inner::Inner;
use super::run_slot::{RunSlot, lock};

/// How often it is looked for polls that last long, at the least.
const LOOK: Duration = Duration::from_millis(250);
/// Threads are dealt onto so many lists, so that few share one.
const LISTS: usize = 32;

/// The attempts that are being polled.
#[derive(Debug)]
pub(super) struct Polls {
    lists: [Mutex<Vec<Arc<Watched>>>; LISTS],
}

/// An attempt, and the poll of it that is under way.
#[derive(Debug)]
pub(super) struct Watched {
    slot: Arc<RunSlot>,
    /// When the poll began, in milliseconds.
    since: AtomicU64,
    /// How often somebody was told that it lasts.
    told: AtomicU32,
}

/// Takes an attempt off its list when its poll is over, also when that panics.
pub(super) struct UnderWay<'a> {
    list: &'a Mutex<Vec<Arc<Watched>>>,
    attempt: &'a Arc<Watched>,
}

impl Default for Polls {
    fn default() -> Self {
        Self { lists: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Polls {
    /// Calls `poll`, which polls this attempt's futures or drops them, under the watch.
    pub(super) fn watch(&self, attempt: &Arc<Watched>, now: UnixMillis, poll: impl FnOnce()) {
        let _under_way = self.begin(attempt, now);
        poll();
    }

    fn begin<'a>(&'a self, attempt: &'a Arc<Watched>, now: UnixMillis) -> UnderWay<'a> {
        attempt.since.store(now.0, Ordering::Relaxed);
        attempt.told.store(0, Ordering::Relaxed);
        let list = &self.lists[thread_number() % LISTS];
        lock(list).push(Arc::clone(attempt));
        UnderWay { list, attempt }
    }

    /// Those whose polls have lasted this long, the oldest first.
    fn longer_than(&self, bound: Duration, now: UnixMillis) -> Vec<Arc<Watched>> {
        let mut long = Vec::new();
        for list in &self.lists {
            long.extend(lock(list).iter().filter(|attempt| attempt.lasts(now) >= bound).cloned());
        }
        long.sort_by_key(|attempt| attempt.since.load(Ordering::Relaxed));
        long
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut list = lock(self.list);
        if let Some(place) = list.iter().position(|attempt| Arc::ptr_eq(attempt, self.attempt)) {
            list.swap_remove(place);
        }
    }
}

impl Watched {
    pub(super) fn new(slot: Arc<RunSlot>) -> Arc<Self> {
        Arc::new(Self { slot, since: AtomicU64::new(0), told: AtomicU32::new(0) })
    }

    fn lasts(&self, now: UnixMillis) -> Duration {
        now.since(UnixMillis(self.since.load(Ordering::Relaxed)))
    }

    /// Whether somebody is to be told now that the poll lasts.
    fn is_to_be_told(&self, bound: Duration, now: UnixMillis) -> bool {
        let (lasts, told) = (self.lasts(now), self.told.load(Ordering::Relaxed));
        let due = times_told(lasts, bound);
        self.told.store(due.max(told), Ordering::Relaxed);
        due > told
    }

    /// What is said of the poll. Nobody holds the machine while the agent is polled: whoever looks does not wait for it.
    fn described(&self, now: UnixMillis) -> LongPoll {
        let steps = self.slot.machine().map(|machine| lock(&machine).executing()).unwrap_or_default();
        LongPoll {
            agent: self.slot.place.agent,
            run: self.slot.place.run,
            steps,
            since: UnixMillis(self.since.load(Ordering::Relaxed)),
            lasts_ms: u64::try_from(self.lasts(now).as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// How often somebody has to have been told of a poll that lasts: once when it has lasted as long as the bound, once more when it
/// has lasted twice as long, and so on.
fn times_told(lasts: Duration, bound: Duration) -> u32 {
    let times = lasts.as_millis() / bound.as_millis().max(1);
    times.checked_ilog2().map_or(0, |doublings| doublings + 1)
}

/// A number that this thread alone has.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.with(Cell::get)
}

impl Inner {
    /// Looks for agents that block their threads, and for those that came above their memory, until the runtime ends.
    pub(super) async fn keep_watch(self: Arc<Self>) {
        let look = (self.config.long_poll / 4).clamp(Duration::from_millis(1), LOOK);
        loop {
            self.look_at_memory();
            self.look_at_polls();
            tokio::select! {
                () = tokio::time::sleep(look) => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    fn look_at_polls(self: &Arc<Self>) {
        let (bound, now) = (self.config.long_poll, self.clock.now());
        for attempt in self.polls.longer_than(bound, now) {
            if !attempt.is_to_be_told(bound, now) {
                continue;
            }
            let (tenant, poll) = (attempt.slot.place.tenant.clone(), attempt.described(now));
            let (agent, run, lasts_ms) = (poll.agent, poll.run, poll.lasts_ms);
            let steps: Vec<String> = poll.steps.iter().map(ToString::to_string).collect();
            let steps = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
            tracing::warn!(%agent, %run, steps, lasts_ms, "the agent blocks its thread; what blocks belongs into `ctx.blocking`");
            let inner = Arc::clone(self);
            self.spawn_control(async move {
                inner.tell_at_once(&tenant, &agent, &Happening::Blocks { poll: &poll }, Some(run)).await;
            });
        }
    }

    fn look_at_memory(self: &Arc<Self>) {
        for MemoryAlarm { tenant, agent, excess } in self.meter.alarms() {
            let MemoryExcess { live, max } = excess;
            tracing::warn!(%agent, live, max, "the agent is above its memory");
            let inner = Arc::clone(self);
            self.spawn_control(async move {
                inner.tell_at_once(&tenant, &agent, &Happening::OverMemory { excess }, None).await;
            });
        }
    }

    /// The polls of a tenant's agents that last long.
    pub(super) fn long_polls(&self, tenant: &Tenant) -> Vec<LongPoll> {
        let now = self.clock.now();
        let polls = self.polls.longer_than(self.config.long_poll, now);
        let own = polls.iter().filter(|attempt| attempt.slot.place.tenant == *tenant);
        own.map(|attempt| attempt.described(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use runtime_traits::id::{AgentId, RunId};
    use runtime_traits::name::SessionName;
    use runtime_traits::partition::{Partition, Pool};

    use super::{Arc, Duration, Polls, RunSlot, Tenant, UnixMillis, Watched, times_told};
    use crate::driver::run_slot::Stage;
    use crate::engine::batches::Place;

    const SECOND: Duration = Duration::from_secs(1);

    fn attempt(nth: u128) -> Arc<Watched> {
        let (partition, unique) = (Partition { pool: Pool::MAIN, index: 0 }, uuid::Uuid::from_u128(nth));
        let (agent, run) = (AgentId::from_parts(partition, unique), RunId::from_parts(partition, unique));
        let place = Place { tenant: Tenant::default(), agent, session: SessionName::default(), run };
        Watched::new(RunSlot::new(place, Stage::Queued))
    }

    fn at(tenths: u64) -> UnixMillis {
        UnixMillis(tenths * 100)
    }

    #[test]
    fn a_poll_that_lasts_is_told_of_at_intervals_that_double() {
        let mut moments = Vec::new();
        for tenths in 1..100_u32 {
            let times = |tenths| times_told(SECOND * tenths / 10, SECOND);
            if times(tenths) > times(tenths - 1) {
                moments.push(tenths);
            }
        }
        assert_eq!(moments, [10, 20, 40, 80]);
        assert_eq!(times_told(Duration::MAX, Duration::ZERO), 74);
    }

    #[test]
    fn each_poll_of_an_attempt_is_told_of_anew_and_each_moment_once() {
        let (polls, attempt) = (Polls::default(), attempt(1));
        for began in [0, 500] {
            let _under_way = polls.begin(&attempt, at(began));
            let told = (0..100).filter(|tenths| attempt.is_to_be_told(SECOND, at(began + tenths)));
            assert_eq!(told.collect::<Vec<_>>(), [10, 20, 40, 80]);
        }
    }

    #[test]
    fn polls_that_last_are_those_under_way_for_so_long_the_oldest_first() {
        let (polls, attempts) = (Polls::default(), [attempt(1), attempt(2), attempt(3)]);
        let long = |now| {
            let long = polls.longer_than(SECOND, at(now));
            long.iter().map(|long| long.described(at(now)).run).collect::<Vec<_>>()
        };
        let [young, old, middle] = [0, 1, 2].map(|nth| attempts[nth].slot.place.run);
        polls.watch(&attempts[0], at(20), || {
            polls.watch(&attempts[1], at(0), || {
                polls.watch(&attempts[2], at(10), || {
                    assert_eq!(long(9), [] as [RunId; 0]);
                    assert_eq!(long(10), [old]);
                    assert_eq!(long(30), [old, middle, young]);
                });
                assert_eq!(long(30), [old, young]);
            });
            let panics = || polls.watch(&attempts[1], at(0), || std::panic::resume_unwind(Box::new(())));
            catch_unwind(AssertUnwindSafe(panics)).expect_err("it panics");
            assert_eq!(long(30), [young]);
        });
        assert_eq!(long(99), [] as [RunId; 0]);
    }
}
