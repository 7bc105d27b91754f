//! The conformance suite of [`Snapshots`]: each clause of its contract is one case.
//!
//! Whoever implements it describes itself as a [`SnapshotsFixture`] and writes
//! `runtime_testkit::snapshots_conformance!(MyFixture)` into its tests.

mod bench;
mod files;
mod keeping;
mod restoring;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use runtime_traits::snapshot::Snapshots;
use runtime_traits::store::StateStore;

pub use bench::{Bench, Plain};
pub use files::file_is_whole;
pub use keeping::{diff_is_what_changed, gone_is_unknown, kept_by_a_rule, saved_is_frozen};
pub use restoring::{at_rest_only, history_stays, restored_is_equal};

/// How the suite gets snapshots.
pub trait SnapshotsFixture: Send + Sync {
    /// The snapshots of a store.
    fn over(&self, store: Arc<dyn StateStore>) -> Arc<dyn Snapshots>;
}

/// One way to break one clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Describes the agent as it is now.
    FollowsTheAgent,
    /// Leaves conversations that the snapshot does not have.
    LeavesOthers,
    /// Puts any agent back.
    AnyTime,
    /// Trims what was said before.
    TrimsHistory,
    /// Says that it deleted.
    DeletesNothing,
    /// Retains as if all snapshots were of one agent.
    RetainsForAll,
    /// Finds all states alike.
    SameStates,
    /// Takes whatever it can read of a file.
    TakesHalves,
}

impl Flaw {
    /// Every flaw with the clause that it breaks.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::FollowsTheAgent, "saved-is-frozen"),
        (Self::LeavesOthers, "restored-is-equal"),
        (Self::AnyTime, "at-rest-only"),
        (Self::TrimsHistory, "history-stays"),
        (Self::DeletesNothing, "gone-is-unknown"),
        (Self::RetainsForAll, "kept-by-a-rule"),
        (Self::SameStates, "diff-is-what-changed"),
        (Self::TakesHalves, "file-is-whole"),
    ];
}

/// A clause and its test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The clause's name in the contract.
    pub clause: &'static str,
    /// Panics when the clause does not hold.
    pub run: for<'a> fn(&'a dyn SnapshotsFixture) -> BoxFuture<'a, ()>,
}

/// Hands the names of all cases to the macro `$then`, after what stands in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_snapshots_case {
    ($then:path, [$($with:tt)*]) => {
        $then! {
            [$($with)*]
            saved_is_frozen "saved-is-frozen",
            restored_is_equal "restored-is-equal",
            at_rest_only "at-rest-only",
            history_stays "history-stays",
            gone_is_unknown "gone-is-unknown",
            kept_by_a_rule "kept-by-a-rule",
            diff_is_what_changed "diff-is-what-changed",
            file_is_whole "file-is-whole",
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

for_each_snapshots_case!(list, []);

/// One test for each clause of the contract of snapshots.
///
/// The argument is an expression for a [`SnapshotsFixture`](crate::suites::snapshots::SnapshotsFixture); each test
/// evaluates it anew.
#[macro_export]
macro_rules! snapshots_conformance {
    ($fixture:expr) => {
        $crate::for_each_snapshots_case!($crate::snapshots_tests, [$fixture]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! snapshots_tests {
    ([$fixture:expr] $($case:ident $clause:literal,)+) => {
        $(
            #[test]
            fn $case() {
                $crate::block_on($crate::suites::snapshots::$case(&$fixture));
            }
        )+
    };
}
