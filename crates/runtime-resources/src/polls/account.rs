//! What one agent takes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_traits::Tenant;
use runtime_traits::meter::{AttemptMeter, MemoryExcess, ProcessLimits, ProcessUsage, mib};

use super::share::{Share, percent};
use super::stopwatch::Stopwatch;
use crate::heap::Heap;

/// By how much later than the one before it an attempt may be polled that has to wait; at most for so many.
const LATER: Duration = Duration::from_millis(2);
const MOST_BEFORE: u32 = 500;

/// Instead of a limit.
const NONE: u64 = u64::MAX;

/// What one agent takes.
#[derive(Debug)]
pub(super) struct AgentAccount {
    tenant: Tenant,
    /// `None`: its memory is not metered.
    heap: Option<Heap>,
    max_memory: AtomicU64,
    cancels: AtomicBool,
    /// The most that was alive after a poll above the limit, since somebody asked.
    peak: AtomicU64,
    /// It is above its memory, and somebody was told.
    told: AtomicBool,
    /// Nanoseconds: what its times say of its next poll.
    not_before: AtomicU64,
    times: Mutex<Times>,
    line: Mutex<Line>,
}

/// The attempts of an agent whose next poll has to wait, in the order in which they began to.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    waiting: BTreeSet<u64>,
}

#[derive(Debug)]
struct Times {
    share: Share,
    total: Duration,
    longest: Duration,
}

/// The meter of one attempt.
#[derive(Debug)]
pub(super) struct OfAttempt {
    account: Arc<AgentAccount>,
    stopwatch: Arc<dyn Stopwatch>,
    /// Where it stands in the line; 0: nowhere.
    ticket: AtomicU64,
}

/// Charges what was done when it is over, also when that panics.
struct Timed<'a> {
    of: &'a OfAttempt,
    began: Duration,
    /// What the thread had worked before; `None`: it is a poll.
    worked: Option<Duration>,
}

impl AgentAccount {
    pub(super) fn new(tenant: Tenant, heap: Option<Heap>, limits: ProcessLimits) -> Self {
        let times = Times { share: Share::new(None), total: Duration::ZERO, longest: Duration::ZERO };
        let account = Self {
            tenant,
            heap,
            max_memory: AtomicU64::new(NONE),
            cancels: AtomicBool::new(false),
            peak: AtomicU64::new(0),
            told: AtomicBool::new(false),
            not_before: AtomicU64::new(0),
            times: Mutex::new(times),
            line: Mutex::default(),
        };
        account.set_limits(limits);
        account
    }

    pub(super) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(super) fn set_limits(&self, limits: ProcessLimits) {
        let ProcessLimits { max_memory_bytes, max_cpu_percent, cancel_over_memory } = limits;
        self.max_memory.store(max_memory_bytes.unwrap_or(NONE), Ordering::Relaxed);
        self.cancels.store(cancel_over_memory, Ordering::Relaxed);
        let mut times = self.times();
        times.share.limit(max_cpu_percent);
        self.not_before.store(0, Ordering::Relaxed);
    }

    /// Whether nothing of it is alive, and it took no time for a while.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.live() == 0 && self.times().share.used(now).is_zero()
    }

    pub(super) fn used(&self, now: Duration) -> ProcessUsage {
        let live = self.heap.as_ref().map(Heap::live);
        let over_memory = live.is_some_and(|live| live > self.max_memory.load(Ordering::Relaxed));
        let mut times = self.times();
        ProcessUsage {
            memory_mb: live.map(mib),
            cpu_percent: percent(times.share.used(now)),
            cpu_ms: millis(times.total),
            longest_poll_ms: millis(times.longest),
            over_memory,
        }
    }

    /// How far it is above its memory, if somebody is to be told now.
    pub(super) fn alarm(&self) -> Option<MemoryExcess> {
        let max = self.max_memory.load(Ordering::Relaxed);
        let now = self.live();
        let live = now.max(self.peak.swap(0, Ordering::Relaxed));
        if live > max {
            return (!self.told.swap(true, Ordering::Relaxed)).then_some(MemoryExcess { live, max });
        }
        // One that goes up and down around its limit is told once.
        if now < max - max / 10 {
            self.told.store(false, Ordering::Relaxed);
        }
        None
    }

    fn live(&self) -> u64 {
        self.heap.as_ref().map_or(0, Heap::live)
    }

    fn enter(&self, work: &mut dyn FnMut()) {
        match &self.heap {
            Some(heap) => heap.enter(work),
            None => work(),
        }
    }

    fn charge(&self, began: Duration, took: Duration, is_poll: bool) {
        let live = self.live();
        if live > self.max_memory.load(Ordering::Relaxed) {
            self.peak.fetch_max(live, Ordering::Relaxed);
        }
        let mut times = self.times();
        times.total += took;
        if is_poll {
            times.longest = times.longest.max(took);
        }
        times.share.charge(began, took);
        let not_before = u64::try_from(times.share.not_before().as_nanos()).unwrap_or(u64::MAX);
        self.not_before.store(not_before, Ordering::Relaxed);
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Lets an attempt without a ticket stand last.
    fn join(&mut self) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next);
        self.next
    }
}

impl OfAttempt {
    pub(super) fn new(account: Arc<AgentAccount>, stopwatch: Arc<dyn Stopwatch>) -> Self {
        Self { account, stopwatch, ticket: AtomicU64::new(0) }
    }

    /// How much later than those before it may be polled: they come first, and if they do not, it is not kept from it.
    fn later(&self) -> Duration {
        let mut line = self.account.line();
        let mut ticket = self.ticket.load(Ordering::Relaxed);
        if ticket == 0 {
            ticket = line.join();
            self.ticket.store(ticket, Ordering::Relaxed);
        }
        let before = line.waiting.range(..ticket).take(MOST_BEFORE as usize).count();
        LATER * u32::try_from(before).unwrap_or(MOST_BEFORE)
    }

    /// It waits no longer.
    fn leave(&self) {
        let ticket = self.ticket.swap(0, Ordering::Relaxed);
        if ticket != 0 {
            self.account.line().waiting.remove(&ticket);
        }
    }
}

impl Drop for OfAttempt {
    fn drop(&mut self) {
        self.leave();
    }
}

impl AttemptMeter for OfAttempt {
    fn poll(&self, poll: &mut dyn FnMut()) {
        self.leave();
        let _timed = Timed { of: self, began: self.stopwatch.now(), worked: None };
        self.account.enter(poll);
    }

    fn block(&self, work: &mut dyn FnMut()) {
        let began = self.stopwatch.now();
        let _timed = Timed { of: self, began, worked: Some(self.stopwatch.worked()) };
        self.account.enter(work);
    }

    fn wait(&self) -> Option<Duration> {
        let not_before = self.account.not_before.load(Ordering::Relaxed);
        if not_before == 0 {
            return None;
        }
        let not_before = Duration::from_nanos(not_before).saturating_add(self.later());
        let wait = not_before.saturating_sub(self.stopwatch.now());
        if wait.is_zero() {
            // It is its turn, whether it uses it or not.
            self.leave();
            return None;
        }
        Some(wait)
    }

    fn excess(&self) -> Option<MemoryExcess> {
        if !self.account.cancels.load(Ordering::Relaxed) {
            return None;
        }
        let (live, max) = (self.account.live(), self.account.max_memory.load(Ordering::Relaxed));
        (live > max).then_some(MemoryExcess { live, max })
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let stopwatch = &self.of.stopwatch;
        let now = stopwatch.now();
        let took = match self.worked {
            None => now.saturating_sub(self.began),
            Some(before) => stopwatch.worked().saturating_sub(before),
        };
        self.of.account.charge(now.saturating_sub(took), took, self.worked.is_none());
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
