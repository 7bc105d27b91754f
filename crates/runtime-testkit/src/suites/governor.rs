//! The conformance suite of [`ResourceGovernor`]: each clause of its contract is one case.
//!
//! An implementation writes `runtime_testkit::governor_conformance!(expression)` into its tests; each case evaluates the
//! expression anew, for an `Arc<dyn ResourceGovernor>` that knows one price: a million tokens of [`PRICED`], read or written,
//! cost a dollar, and nothing of limits and quotas. Whoever can have quotas runs [`refused_to_one`] once more, over a governor that
//! has one for [`LIMITED`].

mod cases;
pub mod wrong;

use std::sync::Arc;

use runtime_traits::ResourceGovernor;

pub use cases::{
    held_before_sent, limits_at_once, no_more_at_once, once_by_id, recalled_counts, recorded_counts,
    refused_to_one, settled_with_the_truth, shared_by_a_tenant, unknown_price_is_not_zero, waits_in_turn,
};

/// The model whose price the governor knows.
pub const PRICED: &str = "test/priced";
/// A model whose price nobody knows.
pub const UNPRICED: &str = "test/unpriced";
/// The model for which a governor that knows quotas has one for each credential, of at least ten calls at once.
pub const LIMITED: &str = "test/limited";

/// A clause and its test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The clause's name in the contract.
    pub clause: &'static str,
    /// Panics when the clause does not hold.
    pub run: fn(Arc<dyn ResourceGovernor>),
}

/// Hands the names of all cases to the macro `$then`, after what stands in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_governor_case {
    ($then:path, [$($with:tt)*]) => {
        $then! {
            [$($with)*]
            held_before_sent "held-before-sent",
            once_by_id "once-by-id",
            settled_with_the_truth "settled-with-the-truth",
            recorded_counts "recorded-counts",
            recalled_counts "recalled-counts",
            waits_in_turn "waits-in-turn",
            limits_at_once "limits-at-once",
            shared_by_a_tenant "shared-by-a-tenant",
            no_more_at_once "no-more-at-once",
            refused_to_one "refused-to-one",
            unknown_price_is_not_zero "unknown-price-is-not-zero",
        }
    };
}

macro_rules! list {
    ([] $($case:ident $clause:literal,)+) => {
        /// Every case.
        pub const CASES: &[Case] = &[$(Case { clause: $clause, run: $case }),+];
    };
}

for_each_governor_case!(list, []);

/// One test for each clause of the contract of governors.
///
/// The argument is an expression for an `Arc<dyn ResourceGovernor>`; each test evaluates it anew.
#[macro_export]
macro_rules! governor_conformance {
    ($governor:expr) => {
        $crate::for_each_governor_case!($crate::governor_tests, [$governor]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! governor_tests {
    ([$governor:expr] $($case:ident $clause:literal,)+) => {
        $(
            #[test]
            fn $case() {
                $crate::suites::governor::$case($governor);
            }
        )+
    };
}
