//! What agents take of their process: memory, and the time of its threads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::UnixMillis;
use crate::id::{AgentId, RunId};
use crate::log::StepKey;
use crate::name::Tenant;
use crate::resource::ResourceLimits;

/// Measures what agents take of their process. The engine tells it of every poll; it tells the engine who takes too much.
///
/// What is not measured is `None` and never 0. Without a meter, which is [`NoMeter`], nothing is measured, and nothing limited.
pub trait PollMeter: fmt::Debug + Send + Sync + 'static {
    /// The meter of one attempt. Whoever works the attempt holds it until its futures are dropped.
    fn attempt(&self, tenant: &Tenant, agent: &AgentId, run: &RunId) -> Arc<dyn AttemptMeter>;

    /// Whether these limits can be held here.
    ///
    /// # Errors
    /// [`MeterError`] for the first that cannot.
    fn check(&self, limits: ProcessLimits) -> Result<(), MeterError>;

    /// Sets what an agent may take from now on; those of its runs that are under way are bound by it, too.
    ///
    /// # Errors
    /// [`MeterError`] for a limit that cannot be held here; then nothing is changed.
    fn set_limits(&self, agent: &AgentId, limits: ProcessLimits) -> Result<(), MeterError>;

    /// Forgets the limits of an agent, and what was measured of it.
    fn forget(&self, agent: &AgentId);

    /// What an agent takes. `None`: nothing is measured of it, because it was not at work for a while.
    fn used(&self, agent: &AgentId) -> Option<ProcessUsage>;

    /// Which agents came above their memory since this was asked last. One that stays above is told once; it is told anew
    /// when it went well below in between.
    fn alarms(&self) -> Vec<MemoryAlarm>;

    /// Bytes of the heap that nobody is charged with: the program itself, and what agents began behind the runtime's back.
    fn unattributed(&self) -> Option<u64>;
}

/// Measures an attempt.
pub trait AttemptMeter: fmt::Debug + Send + Sync + 'static {
    /// Calls `poll`, which polls futures of the agent or drops them, at once and in this thread. Memory that is asked for in
    /// it, and its time, are the agent's.
    fn poll(&self, poll: &mut dyn FnMut());

    /// Calls `work`, which may block this thread. Memory that is asked for in it, and the time for which a processor works at
    /// it, are the agent's; it is no poll.
    fn block(&self, work: &mut dyn FnMut());

    /// How long the agent's next poll has to wait, because the agent used its share of a processor.
    fn wait(&self) -> Option<Duration>;

    /// By how much the agent is above its memory, if its runs are to be cancelled then.
    fn excess(&self) -> Option<MemoryExcess>;
}

/// What an agent may take of its process. `None` means without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of the heap.
    pub max_memory_bytes: Option<u64>,
    /// Share of one processor over the last minute, in percent: an agent beyond it is polled later.
    pub max_cpu_percent: Option<u32>,
    /// Whether a run of an agent that is above its memory is cancelled at its next poll. Otherwise there is an alarm only.
    pub cancel_over_memory: bool,
}

/// What an agent takes of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessUsage {
    /// MiB of the heap that are alive; `None`: the program's allocator does not meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<f64>,
    /// Share of one processor over the last minute, in percent.
    pub cpu_percent: f64,
    /// The time of its polls, and of a processor in its blocking calls, since it is measured. In milliseconds.
    pub cpu_ms: u64,
    /// Its longest poll since it is measured, in milliseconds.
    pub longest_poll_ms: u64,
    /// Whether it is above its memory.
    #[serde(skip_serializing_if = "is_false")]
    pub over_memory: bool,
}

/// An agent is above its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryExcess {
    /// Bytes that are alive.
    pub live: u64,
    /// How many may be.
    pub max: u64,
}

/// An agent came above its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryAlarm {
    /// Whose.
    pub tenant: Tenant,
    /// Which agent.
    pub agent: AgentId,
    /// By how much.
    pub excess: MemoryExcess,
}

/// What agents do to the threads and the memory of a process, as seen now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessStatus {
    /// MiB of the heap that no agent is charged with; `None`: the program's allocator does not meter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattributed_mb: Option<f64>,
    /// Polls that last long, the oldest first. Each blocks a thread.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub long_polls: Vec<LongPoll>,
}

/// A poll that lasts: an agent blocks the thread that it was given for a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongPoll {
    /// Which agent.
    pub agent: AgentId,
    /// In which run.
    pub run: RunId,
    /// The run's steps that are under way. None: what blocks belongs to no step.
    pub steps: Vec<StepKey>,
    /// When the poll began.
    pub since: UnixMillis,
    /// How long it had lasted when this was said, in milliseconds.
    pub lasts_ms: u64,
}

/// Why a limit cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterError {
    /// The program's allocator does not say whose memory is whose.
    #[error(
        "`max_memory_mb` cannot be held, because memory is not metered in this program; add `#[global_allocator] static ALLOC: agent_runtime::MeteredAlloc = agent_runtime::MeteredAlloc::system();` to its `main.rs`, or leave the limit out"
    )]
    MemoryNotMetered,
    /// Nothing measures what agents take.
    #[error(
        "`max_cpu_percent` cannot be held, because this runtime has no meter; give its builder one, such as `AgentMeter`, or leave the limit out"
    )]
    TimeNotMetered,
    /// A share of nothing.
    #[error("`max_cpu_percent` is 0, so that nothing could ever run; set it to 1 or more, or leave it out")]
    NoTime,
}

/// Measures nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMeter;

impl PollMeter for NoMeter {
    fn attempt(&self, _: &Tenant, _: &AgentId, _: &RunId) -> Arc<dyn AttemptMeter> {
        Arc::new(Self)
    }

    fn check(&self, limits: ProcessLimits) -> Result<(), MeterError> {
        match limits {
            ProcessLimits { max_memory_bytes: Some(_), .. } => Err(MeterError::MemoryNotMetered),
            ProcessLimits { max_cpu_percent: Some(_), .. } => Err(MeterError::TimeNotMetered),
            _ => Ok(()),
        }
    }

    fn set_limits(&self, _: &AgentId, limits: ProcessLimits) -> Result<(), MeterError> {
        self.check(limits)
    }

    fn forget(&self, _: &AgentId) {}

    fn used(&self, _: &AgentId) -> Option<ProcessUsage> {
        None
    }

    fn alarms(&self) -> Vec<MemoryAlarm> {
        Vec::new()
    }

    fn unattributed(&self) -> Option<u64> {
        None
    }
}

impl AttemptMeter for NoMeter {
    fn poll(&self, poll: &mut dyn FnMut()) {
        poll();
    }

    fn block(&self, work: &mut dyn FnMut()) {
        work();
    }

    fn wait(&self) -> Option<Duration> {
        None
    }

    fn excess(&self) -> Option<MemoryExcess> {
        None
    }
}

impl From<&ResourceLimits> for ProcessLimits {
    fn from(limits: &ResourceLimits) -> Self {
        Self {
            max_memory_bytes: limits.max_memory_mb.map(|mib| mib.saturating_mul(1024 * 1024)),
            max_cpu_percent: limits.max_cpu_percent,
            cancel_over_memory: limits.cancel_over_memory,
        }
    }
}

impl ProcessStatus {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Bytes in MiB, as people are shown them: to a hundredth.
pub fn mib(bytes: u64) -> f64 {
    (bytes as f64 / (1024.0 * 1024.0) * 100.0).round() / 100.0
}

fn is_false(value: &bool) -> bool {
    !value
}
