//! The conformance suite of [`Model`]: each clause of its contract is one case.
//!
//! An adapter or a wrapper describes itself as a [`ModelFixture`], and writes
//! `runtime_testkit::model_conformance!(MyFixture)` into its tests.

mod cases;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_traits::Model;
use runtime_traits::model::{ModelError, TokenUsage};

pub use cases::{deltas_add_up, droppable, errors_are_typed, repeat_retracts, usage_or_none, whole_reply};

/// How the suite gets a model whose provider behaves as a case needs it.
#[async_trait]
pub trait ModelFixture: Send + Sync {
    /// A model, and the provider behind it: its calls go by `scenes`, one after the other.
    async fn open(&self, scenes: Vec<Scene>) -> Opened;
}

/// A model and its provider.
#[derive(Debug)]
pub struct Opened {
    /// The model.
    pub model: Arc<dyn Model>,
    /// What the provider knows.
    pub provider: Arc<dyn Provider>,
}

/// What a provider knows of the calls that reach it.
#[async_trait]
pub trait Provider: std::fmt::Debug + Send + Sync {
    /// How many calls have reached it.
    fn calls(&self) -> usize;

    /// Waits until a call has reached [`Scene::Hangs`].
    async fn hangs(&self);

    /// Waits until a call that hung has been left.
    async fn left(&self);
}

/// How a provider behaves in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scene {
    /// It says this, in these pieces, and what it used.
    Says(&'static [&'static str], Option<TokenUsage>),
    /// It says this, and then the connection breaks.
    Breaks(&'static [&'static str]),
    /// It says this, and then nothing more.
    Hangs(&'static [&'static str]),
    /// It does not reply.
    Fails(Failure),
}

/// Why a provider does not reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It refuses the key.
    Key,
    /// It does not know the model.
    UnknownModel,
    /// It does not take the request.
    Refuses,
    /// There are too many requests.
    Busy,
    /// It has a trouble of its own.
    Trouble,
    /// It sends something that is no reply.
    Garbage,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Key, Self::UnknownModel, Self::Refuses, Self::Busy, Self::Trouble, Self::Garbage];

    /// Whether `error` is what a model has to make of it.
    pub fn is(self, error: &ModelError) -> bool {
        matches!(
            (self, error),
            (Self::Key, ModelError::Key { .. })
                | (Self::UnknownModel, ModelError::UnknownModel { .. })
                | (Self::Refuses, ModelError::Refused { .. })
                | (Self::Busy, ModelError::RateLimited { .. })
                | (Self::Trouble, ModelError::Unavailable { .. })
                | (Self::Garbage, ModelError::NoReply { .. })
        )
    }
}

/// A clause and its test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The clause's name in the contract.
    pub clause: &'static str,
    /// Panics when the clause does not hold.
    pub run: for<'a> fn(&'a dyn ModelFixture) -> BoxFuture<'a, ()>,
}

/// Hands the names of all cases to the macro `$then`, after what stands in the brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_model_case {
    ($then:path, [$($with:tt)*]) => {
        $then! {
            [$($with)*]
            whole_reply "whole-reply",
            deltas_add_up "deltas-add-up",
            repeat_retracts "repeat-retracts",
            usage_or_none "usage-or-none",
            droppable "droppable",
            errors_are_typed "errors-are-typed",
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

for_each_model_case!(list, []);

/// One test for each clause of the contract of models.
///
/// The argument is an expression for a [`ModelFixture`](crate::suites::model::ModelFixture); each test evaluates it anew.
#[macro_export]
macro_rules! model_conformance {
    ($fixture:expr) => {
        $crate::for_each_model_case!($crate::model_tests, [$fixture]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! model_tests {
    ([$fixture:expr] $($case:ident $clause:literal,)+) => {
        $(
            #[test]
            fn $case() {
                $crate::block_on($crate::suites::model::$case(&$fixture));
            }
        )+
    };
}
