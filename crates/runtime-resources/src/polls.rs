//! What agents take of their process, by who they are.

mod account;
mod share;
mod stopwatch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime_traits::meter::{AttemptMeter, MemoryAlarm, MeterError, PollMeter, ProcessLimits, ProcessUsage};
use runtime_traits::{AgentId, RunId, Tenant};

use crate::heap::Heap;
use account::{AgentAccount, OfAttempt};
pub use stopwatch::{Stopwatch, SystemStopwatch};

/// How many agents are measured before it is looked which of them need not be any more.
const FEW: usize = 1_024;

/// Measures the agents of a process: memory by a [`Heap`] each, and the time of their polls.
///
/// Memory is measured where [`MeteredAlloc`](crate::MeteredAlloc) is the program's allocator, of some 16,000 agents at once; of
/// others it is unknown. An agent that is not at work, has nothing alive and took no time for a minute may be forgotten, its
/// limits apart.
///
/// # Examples
/// ```
/// use runtime_resources::AgentMeter;
/// use runtime_traits::meter::{MeterError, PollMeter, ProcessLimits};
///
/// let meter = AgentMeter::default();
/// let agent = "agent:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00".parse()?;
/// // This program has the system's allocator.
/// let limits = ProcessLimits { max_memory_bytes: Some(64 << 20), ..ProcessLimits::default() };
/// assert_eq!(meter.set_limits(&agent, limits), Err(MeterError::MemoryNotMetered));
/// let limits = ProcessLimits { max_cpu_percent: Some(25), ..ProcessLimits::default() };
/// meter.set_limits(&agent, limits)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AgentMeter {
    stopwatch: Arc<dyn Stopwatch>,
    metered: bool,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    limits: HashMap<AgentId, ProcessLimits>,
    accounts: HashMap<AgentId, Arc<AgentAccount>>,
    /// With how many accounts it is looked which may go.
    enough: usize,
}

impl Default for AgentMeter {
    fn default() -> Self {
        Self::by(Arc::new(SystemStopwatch::default()))
    }
}

impl AgentMeter {
    /// A meter that reads this stopwatch.
    pub fn by(stopwatch: Arc<dyn Stopwatch>) -> Self {
        let book = Book { limits: HashMap::new(), accounts: HashMap::new(), enough: FEW };
        Self { stopwatch, metered: Heap::is_metered(), book: Mutex::new(book) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A heap for another agent; `None`: memory is not metered, or as many are counted as can be.
    fn heap(&self, book: &mut Book) -> Option<Heap> {
        if !self.metered {
            return None;
        }
        Heap::new().ok().or_else(|| {
            book.let_go(self.stopwatch.as_ref());
            Heap::new().ok()
        })
    }
}

impl Book {
    /// Lets accounts go that nobody needs.
    fn let_go(&mut self, stopwatch: &dyn Stopwatch) {
        let now = stopwatch.now();
        // One that is held by an attempt is held twice.
        self.accounts.retain(|_, account| Arc::strong_count(account) > 1 || !account.is_idle(now));
        self.enough = FEW.max(self.accounts.len() * 2);
    }
}

impl PollMeter for AgentMeter {
    fn attempt(&self, tenant: &Tenant, agent: &AgentId, _: &RunId) -> Arc<dyn AttemptMeter> {
        let mut book = self.book();
        let account = match book.accounts.get(agent) {
            Some(account) => Arc::clone(account),
            None => {
                if book.accounts.len() >= book.enough {
                    book.let_go(self.stopwatch.as_ref());
                }
                let heap = self.heap(&mut book);
                let limits = book.limits.get(agent).copied().unwrap_or_default();
                let account = Arc::new(AgentAccount::new(tenant.clone(), heap, limits));
                book.accounts.insert(*agent, Arc::clone(&account));
                account
            }
        };
        Arc::new(OfAttempt::new(account, Arc::clone(&self.stopwatch)))
    }

    fn check(&self, limits: ProcessLimits) -> Result<(), MeterError> {
        if limits.max_memory_bytes.is_some() && !self.metered {
            return Err(MeterError::MemoryNotMetered);
        }
        if limits.max_cpu_percent == Some(0) {
            return Err(MeterError::NoTime);
        }
        Ok(())
    }

    fn set_limits(&self, agent: &AgentId, limits: ProcessLimits) -> Result<(), MeterError> {
        self.check(limits)?;
        let mut book = self.book();
        if limits == ProcessLimits::default() {
            book.limits.remove(agent);
        } else {
            book.limits.insert(*agent, limits);
        }
        if let Some(account) = book.accounts.get(agent) {
            account.set_limits(limits);
        }
        Ok(())
    }

    fn forget(&self, agent: &AgentId) {
        let mut book = self.book();
        book.limits.remove(agent);
        book.accounts.remove(agent);
    }

    fn used(&self, agent: &AgentId) -> Option<ProcessUsage> {
        let account = self.book().accounts.get(agent).cloned()?;
        Some(account.used(self.stopwatch.now()))
    }

    fn alarms(&self) -> Vec<MemoryAlarm> {
        let book = self.book();
        let alarms = book.accounts.iter().filter_map(|(agent, account)| {
            let excess = account.alarm()?;
            Some(MemoryAlarm { tenant: account.tenant().clone(), agent: *agent, excess })
        });
        alarms.collect()
    }

    fn unattributed(&self) -> Option<u64> {
        self.metered.then(Heap::unattributed)
    }
}
