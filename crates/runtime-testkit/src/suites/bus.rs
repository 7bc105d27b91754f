//! The conformance suite of [`Bus`]: each clause of its contract is one case.
//!
//! Whoever implements it describes itself as a [`BusFixture`] and writes `runtime_testkit::bus_conformance!(MyFixture)`
//! into its tests.

mod cursors;
mod failing;
mod kept;
mod live;
mod patterns;
mod processes;
mod refusing;
mod scene;
mod sharing;
mod trimming;
mod wrong;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_traits::bus::{Bus, EventLimits, Rights, TopicRule};
use runtime_traits::clock::Clock;

pub use cursors::{begins_where_told, delivered_until_settled, one_name_one_cursor};
pub use failing::{failed_then_dead, ordered_by_source, requeued_for_one};
pub use kept::{kept_when_ok, numbered_without_gap, once_by_id, replayed};
pub use live::{disconnect_is_told, gap_is_exact, heard_in_order, nothing_else, slow_slows_nobody};
pub use patterns::{joined_by_a_pattern, settled_in_its_topic};
pub use processes::shared_between_processes;
pub use refusing::refused_leaves_nothing;
pub use sharing::shared_by_a_group;
pub use trimming::{trimmed_by_bytes, trimmed_by_its_rule};
pub use wrong::{Flaw, WrongBuses};

/// How a bus of the suite is to be set.
#[derive(Clone, Debug)]
pub struct BusSettings {
    /// What is kept.
    pub rules: Vec<TopicRule>,
    /// Who may do what.
    pub rights: Rights,
    /// What is taken.
    pub limits: EventLimits,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How the suite gets buses.
#[async_trait]
pub trait BusFixture: Send + Sync {
    /// A bus over an empty place.
    async fn open(&self, settings: BusSettings) -> Arc<dyn Bus>;

    /// Ends the bus as a kill of its process does, and opens one over what is left, with the same settings.
    async fn crash(&self, bus: Arc<dyn Bus>, settings: BusSettings) -> Arc<dyn Bus>;

    /// A bus over the same place, as another process has it. Where a place belongs to one process it is the same bus.
    async fn beside(&self, bus: &Arc<dyn Bus>, _: BusSettings) -> Arc<dyn Bus> {
        Arc::clone(bus)
    }

    /// Ends what [`beside`](Self::beside) gave last, as a kill of its process does.
    async fn kill_beside(&self, _: Arc<dyn Bus>) {}

    /// How long a case waits for what has to come.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}

/// A clause and its test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The clause's name in the contract.
    pub clause: &'static str,
    /// Panics when the clause does not hold.
    pub run: for<'a> fn(&'a dyn BusFixture) -> BoxFuture<'a, ()>,
}

/// Hands the names of all cases to the macro `$then`, after what stands in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_bus_case {
    ($then:path, [$($with:tt)*]) => {
        $then! {
            [$($with)*]
            heard_in_order "heard-in-order",
            nothing_else "nothing-else",
            gap_is_exact "gap-is-exact",
            disconnect_is_told "disconnect-is-told",
            slow_slows_nobody "slow-slows-nobody",
            refused_leaves_nothing "refused-leaves-nothing",
            numbered_without_gap "numbered-without-gap",
            once_by_id "once-by-id",
            kept_when_ok "kept-when-ok",
            delivered_until_settled "delivered-until-settled",
            ordered_by_source "ordered-by-source",
            failed_then_dead "failed-then-dead",
            requeued_for_one "requeued-for-one",
            begins_where_told "begins-where-told",
            replayed "replayed",
            shared_by_a_group "shared-by-a-group",
            one_name_one_cursor "one-name-one-cursor",
            trimmed_by_its_rule "trimmed-by-its-rule",
            trimmed_by_bytes "trimmed-by-bytes",
            joined_by_a_pattern "joined-by-a-pattern",
            settled_in_its_topic "settled-in-its-topic",
            shared_between_processes "shared-between-processes",
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

for_each_bus_case!(list, []);

/// One test for each clause of the contract of buses.
///
/// The argument is an expression for a [`BusFixture`](crate::suites::bus::BusFixture); each test evaluates it anew.
#[macro_export]
macro_rules! bus_conformance {
    ($fixture:expr) => {
        $crate::for_each_bus_case!($crate::bus_tests, [$fixture]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! bus_tests {
    ([$fixture:expr] $($case:ident $clause:literal,)+) => {
        $(
            #[test]
            fn $case() {
                $crate::block_on($crate::suites::bus::$case(&$fixture));
            }
        )+
    };
}
