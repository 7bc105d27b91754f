//! The stopwatch, and the processor's name.

use std::time::{Duration, Instant};

/// The processor time that this process has taken, over all its threads.
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "figures are measured in nanoseconds of the machine's own time"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// How often something happened per second, since the start.
    pub(crate) fn per_second(&self, times: u64) -> f64 {
        times as f64 / self.elapsed().as_secs_f64()
    }
}
