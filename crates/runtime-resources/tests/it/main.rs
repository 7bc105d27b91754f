//! What cannot be shown without the program's allocator.

mod heap;
mod polls;

use runtime_resources::MeteredAlloc;

#[global_allocator]
static ALLOC: MeteredAlloc = MeteredAlloc::system();
