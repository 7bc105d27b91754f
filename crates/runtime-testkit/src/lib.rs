#![doc = include_str!("../README.md")]

pub mod agents;
pub mod fakes;
pub mod peers;
pub mod recount;
pub mod suites;
pub mod wrong;

use std::future::Future;

/// Runs a case of a suite to its end, on a runtime of its own with two workers.
///
/// # Examples
/// ```
/// assert_eq!(runtime_testkit::block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: Future>(case: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a test machine has two threads to spare")
        .block_on(case)
}
