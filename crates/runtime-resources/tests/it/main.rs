//! What cannot be shown without the program's allocator, and what is shown under many schedules.

mod heap;
mod manager;
mod permits;
mod polls;
mod schedules;

use runtime_resources::MeteredAlloc;

#[global_allocator]
static ALLOC: MeteredAlloc = MeteredAlloc::system();

/// What `Permits` are made of where [`schedules`] includes their source: shuttle's lock, at which it changes from one task to another.
/// The library has std's there, and neither a feature nor a cfg for this.
mod sync {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}
