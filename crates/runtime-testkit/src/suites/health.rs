//! The conformance suite of [`HealthCheck`]: each clause of its contract is one case.
//!
//! A check describes itself and what it looks at as a [`HealthFixture`], and writes
//! `runtime_testkit::health_conformance!(MyFixture)` into its tests.

mod cases;
pub mod wrong;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_traits::health::{HealthCheck, Watched};

pub use cases::{may_be_dropped, only_looks, says_why, tells_the_truth};

/// How the suite gets a check, and the thing that it looks at.
#[async_trait]
pub trait HealthFixture: Send + Sync {
    /// A check, and a thing that works.
    async fn open(&self) -> Opened;
}

/// A check, and what it looks at.
pub struct Opened {
    /// The check.
    pub check: Arc<dyn HealthCheck>,
    /// What it is told to look at.
    pub of: Watched,
    /// That thing.
    pub thing: Box<dyn Thing>,
}

/// A thing that can really be broken.
#[async_trait]
pub trait Thing: fmt::Debug + Send + Sync {
    /// Breaks it. When this returns, it is broken for whoever looks.
    async fn breaks(&self);

    /// Mends it. When this returns, it works for whoever looks.
    async fn mends(&self);

    /// All of it that a look could change.
    async fn state(&self) -> String;
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("of", &self.of).field("thing", &self.thing).finish_non_exhaustive()
    }
}

/// A clause and its test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The clause's name in the contract.
    pub clause: &'static str,
    /// Panics when the clause does not hold.
    pub run: for<'a> fn(&'a dyn HealthFixture) -> BoxFuture<'a, ()>,
}

/// Hands the names of all cases to the macro `$then`, after what stands in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_health_case {
    ($then:path, [$($with:tt)*]) => {
        $then! {
            [$($with)*]
            tells_the_truth "tells-the-truth",
            says_why "says-why",
            only_looks "only-looks",
            may_be_dropped "may-be-dropped",
        }
    };
}

macro_rules! list {
    ([] $($case:ident $clause:literal,)+) => {
        /// Every case.
        pub const CASES: &[Case] = &[
            $(Case { clause: $clause, run: |fixture| Box::pin($case(fixture)) }),+
        ];
    };
}

for_each_health_case!(list, []);

/// One test for each clause of the contract of checks.
///
/// The argument is an expression for a [`HealthFixture`](crate::suites::health::HealthFixture); each test evaluates it anew.
#[macro_export]
macro_rules! health_conformance {
    ($fixture:expr) => {
        $crate::for_each_health_case!($crate::health_tests, [$fixture]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! health_tests {
    ([$fixture:expr] $($case:ident $clause:literal,)+) => {
        $(
            #[test]
            fn $case() {
                $crate::block_on($crate::suites::health::$case(&$fixture));
            }
        )+
    };
}
