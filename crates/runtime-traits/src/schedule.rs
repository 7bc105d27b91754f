//! Schedules: runs that an agent gets by the clock.

mod declaration;
mod error;
mod view;

pub use declaration::{Missed, Schedule, ScheduledBy, Timing};
pub use error::ScheduleError;
pub use view::{Fire, HeldFire, ScheduleFilter, ScheduleView};
