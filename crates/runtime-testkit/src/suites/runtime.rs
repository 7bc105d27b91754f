//! The conformance suite of [`Runtime`]: each clause of its contract is one case, and so is each sort of bad input.
//!
//! An implementation describes itself as a [`RuntimeFixture`] and writes
//! `runtime_testkit::runtime_conformance!(MyFixture::new())` into its tests.

mod agents;
mod bad_input;
mod identity;
mod lifecycle;
mod people;
mod poison;
mod runs;
mod scene;
mod schedules;
mod snapshots;
mod streams;
pub mod wrong;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_traits::{AgentKind, Runtime};

pub use agents::{
    one_agent_per_name, restored_remembers, tenant_limits_are_kept, unknown_is_said, usage_is_in_its_time,
};
pub use bad_input::{
    bad_declarations_are_refused, empty_inputs_are_refused, failures_are_outcomes, large_contents_arrive,
    large_inputs_are_refused, nothing_to_decide_is_said, panics_stay_in_their_runs, wrong_states_are_refused,
};
pub use identity::{not_started_is_refused, rejected_when_busy, same_key_same_run, sessions_in_order};
pub use lifecycle::{pause_holds_steps, stop_drains};
pub use people::{
    answer_is_given, answered_once, consent_is_for_one_call, fork_leaves_the_original, interrupt_keeps,
    rollback_forgets,
};
pub use poison::{poison_is_set_aside, requeued_by_a_person};
pub use runs::{accepted_is_kept, cancel_answers_in_time};
pub use schedules::{a_tick_fires_once, schedules_are_kept};
pub use snapshots::{
    diff_says_what_changed, file_restores_elsewhere, in_place_is_the_saved_one, in_place_when_stopped,
    snapshots_are_listed,
};
pub use streams::{late_viewers_catch_up, stream_is_the_log};

/// How the suite gets a runtime, and what it may do to it.
///
/// A fixture is asked for one runtime at a time.
#[async_trait]
pub trait RuntimeFixture: Send + Sync {
    /// A new runtime over an empty store, which hosts `kinds`.
    async fn open(&self, kinds: Vec<Arc<dyn AgentKind>>) -> Arc<dyn Runtime>;

    /// Ends the process of `runtime` as a crash would, without any courtesy, and opens what it left, with `kinds`. `None`
    /// where nothing outlives a crash.
    async fn crash(
        &self,
        runtime: Arc<dyn Runtime>,
        kinds: Vec<Arc<dyn AgentKind>>,
    ) -> Option<Arc<dyn Runtime>>;
}

/// A clause and its test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The clause's name in the contract, or what is refused.
    pub clause: &'static str,
    /// Panics when the clause does not hold.
    pub run: for<'a> fn(&'a dyn RuntimeFixture) -> BoxFuture<'a, ()>,
}

/// Hands the names of all cases to the macro `$then`, after what stands in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_runtime_case {
    ($then:path, [$($with:tt)*]) => {
        $then! {
            [$($with)*]
            clauses {
                one_agent_per_name "one-agent-per-name",
                not_started_is_refused "not-started-is-refused",
                accepted_is_kept "accepted-is-kept",
                same_key_same_run "same-key-same-run",
                sessions_in_order "sessions-in-order",
                rejected_when_busy "rejected-when-busy",
                stream_is_the_log "stream-is-the-log",
                late_viewers_catch_up "late-viewers-catch-up",
                cancel_answers_in_time "cancel-answers-in-time",
                stop_drains "stop-drains",
                pause_holds_steps "pause-holds-steps",
                restored_remembers "restored-remembers",
                in_place_is_the_saved_one "in-place-is-the-saved-one",
                in_place_when_stopped "in-place-when-stopped",
                snapshots_are_listed "snapshots-are-listed",
                diff_says_what_changed "diff-says-what-changed",
                file_restores_elsewhere "file-restores-elsewhere",
                answered_once "answered-once",
                consent_is_for_one_call "consent-is-for-one-call",
                interrupt_keeps "interrupt-keeps",
                rollback_forgets "rollback-forgets",
                answer_is_given "answer-is-given",
                fork_leaves_the_original "fork-leaves-the-original",
                poison_is_set_aside "poison-is-set-aside",
                requeued_by_a_person "requeued-by-a-person",
                tenant_limits_are_kept "tenant-limits-are-kept",
                usage_is_in_its_time "usage-is-in-its-time",
                schedules_are_kept "schedules-are-kept",
                a_tick_fires_once "a-tick-fires-once",
                unknown_is_said "unknown-is-said",
            }
            bad_input {
                bad_declarations_are_refused "bad-declarations",
                empty_inputs_are_refused "empty-inputs",
                large_inputs_are_refused "large-inputs",
                large_contents_arrive "large-contents",
                wrong_states_are_refused "wrong-states",
                nothing_to_decide_is_said "nothing-to-decide",
                failures_are_outcomes "failures",
                panics_stay_in_their_runs "panics",
            }
        }
    };
}

macro_rules! list {
    ([] clauses { $($clause:ident $name:literal,)+ } bad_input { $($bad:ident $what:literal,)+ }) => {
        /// A case for every clause.
        pub const CASES: &[Case] = &[
            $(Case { clause: $name, run: |fixture| Box::pin(in_time($clause(fixture))) }),+
        ];
        /// A case for every sort of bad input.
        pub const BAD_INPUT: &[Case] = &[
            $(Case { clause: $what, run: |fixture| Box::pin(in_time($bad(fixture))) }),+
        ];
    };
}

for_each_runtime_case!(list, []);

/// Ends a case that waits for something that never comes.
///
/// # Panics
/// When `case` takes longer than a minute, which none does.
pub async fn in_time(case: impl Future<Output = ()>) {
    const LIMIT: Duration = Duration::from_secs(60);
    tokio::time::timeout(LIMIT, case).await.expect("the case ends within a minute");
}

/// One test for each clause of the control contract, and one for each sort of bad input.
///
/// The argument is an expression for a [`RuntimeFixture`](crate::suites::runtime::RuntimeFixture); each test evaluates it
/// anew, within an executor.
#[macro_export]
macro_rules! runtime_conformance {
    ($fixture:expr) => {
        $crate::for_each_runtime_case!($crate::runtime_tests, [$fixture]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! runtime_tests {
    ([$fixture:expr] $($group:ident { $($case:ident $name:literal,)+ })+) => {
        $($(
            #[test]
            fn $case() {
                $crate::block_on(async {
                    let fixture = $fixture;
                    $crate::suites::runtime::in_time($crate::suites::runtime::$case(&fixture)).await;
                });
            }
        )+)+
    };
}
