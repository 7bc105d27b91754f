//! The lock that [`Permits`](crate::Permits) take. The test `schedules` includes their source beside a `sync` that gives shuttle's
//! lock here, so that what is tried under every schedule is what is used, and the library knows nothing of it.

pub(crate) use std::sync::{Mutex, MutexGuard};
