//! When a schedule fires. Pure: a declaration, how far it has come and the time go in, what is due comes out.
//!
//! A moment at which a schedule fires is a *tick*. A tick is told from all others by its time, and ticks are seen to in their order:
//! what is stored of a schedule's past is the last one that was. So a clock that is set back makes none of them due again, and one
//! that is set forward makes those due that lie between.

mod check;
mod cron;
mod times;
mod turn;

pub use check::{LEAST_MS, check, times_of};
pub use times::{COUNTED, Times};
pub use turn::{Gap, LATE, Turn, late_at, turn};
