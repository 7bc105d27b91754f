//! The conformance suite of [`StateStore`]: each clause of its contract is one case.
//!
//! A backend describes itself as a [`StoreFixture`] and writes
//! `runtime_testkit::state_store_conformance!(MyFixture)` into its tests.

mod atomicity;
mod durability;
mod identity;
mod limits;
mod logs;
mod primary;
mod probe;
mod random;
mod reading;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_traits::store::{Durability, StateStore};

pub use atomicity::{alone_in_the_group, atomic, checked_where_written};
pub use durability::{durable_when_ok, no_peeking, poisoned};
pub use identity::{drop_is_not_cancel, in_order, once_by_id};
pub use limits::{one_partition, sized};
pub use logs::gap_free;
pub use primary::primary;
pub use random::answers_as_the_model;
pub use reading::{absent_is_known, no_clock, ordered_pages};

/// How the suite gets a store, and what it may do to it.
///
/// A fixture is asked for one store at a time.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// A new and empty store.
    async fn open(&self) -> Arc<dyn StateStore>;

    /// Ends `store` as a crash would, without any courtesy, and opens what it left.
    async fn crash(&self, store: Arc<dyn StateStore>) -> Arc<dyn StateStore>;

    /// The least durability that outlives [`StoreFixture::crash`]; `None` when nothing does.
    fn survivor(&self) -> Option<Durability>;

    /// What makes the store's disk fail. A store that gives more than [`Durability::Memory`] has a disk.
    fn faults(&self) -> Option<&dyn Faults> {
        None
    }

    /// Copies of the present store. A store that processes share has some.
    fn copies(&self) -> Option<&dyn Copies> {
        None
    }
}

/// What makes the disk of a fixture's present store fail.
pub trait Faults: Send + Sync {
    /// Whether syncs fail.
    fn fail_syncs(&self, fail: bool);

    /// Whether reads fail.
    fn fail_reads(&self, fail: bool);
}

/// Copies of a fixture's present store, which follow it and may be behind.
#[async_trait]
pub trait Copies: Send + Sync {
    /// Opens a copy as if it were the store, and answers why that does not work.
    async fn open_copy(&self) -> Result<Arc<dyn StateStore>, String>;

    /// Makes a copy the primary, and what the present store is connected to a copy of that.
    async fn demote(&self);

    /// Makes what the present store is connected to the primary again. Nothing was written meanwhile.
    async fn promote(&self);
}

/// A clause and its test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The clause's name in the contract.
    pub clause: &'static str,
    /// Panics when the clause does not hold.
    pub run: for<'a> fn(&'a dyn StoreFixture) -> BoxFuture<'a, ()>,
}

/// Hands the names of all cases to the macro `$then`, after what stands in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_state_store_case {
    ($then:path, [$($with:tt)*]) => {
        $then! {
            [$($with)*]
            atomic "atomic",
            checked_where_written "checked-where-written",
            alone_in_the_group "alone-in-the-group",
            durable_when_ok "durable-when-ok",
            no_peeking "no-peeking",
            once_by_id "once-by-id",
            drop_is_not_cancel "drop-is-not-cancel",
            in_order "in-order",
            gap_free "gap-free",
            absent_is_known "absent-is-known",
            ordered_pages "ordered-pages",
            no_clock "no-clock",
            sized "sized",
            poisoned "poisoned",
            one_partition "one-partition",
            primary "primary",
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

for_each_state_store_case!(list, []);

/// One test for each clause of the store contract, and one that compares a long random run with a model.
///
/// The argument is an expression for a [`StoreFixture`](crate::suites::state_store::StoreFixture); each test evaluates
/// it anew.
#[macro_export]
macro_rules! state_store_conformance {
    ($fixture:expr) => {
        $crate::for_each_state_store_case!($crate::state_store_tests, [$fixture]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! state_store_tests {
    ([$fixture:expr] $($case:ident $clause:literal,)+) => {
        $(
            #[test]
            fn $case() {
                $crate::block_on($crate::suites::state_store::$case(&$fixture));
            }
        )+

        #[test]
        fn answers_as_the_model() {
            for seed in 0..4 {
                $crate::block_on($crate::suites::state_store::answers_as_the_model(&$fixture, seed, 250));
            }
        }
    };
}
