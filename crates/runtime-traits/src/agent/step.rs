//! How a step is asked for, and what its work is told.

use std::sync::Mutex;
use std::time::Duration;

use crate::agent::port::FenceMark;
use crate::content::Digest;
use crate::log::{Effect, StepSort, Usage};

/// How a step is asked for.
///
/// ```
/// # use std::time::Duration;
/// # use runtime_traits::{Effect, StepOptions};
/// let options = StepOptions::new("fetch", Effect::Repeatable).within(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
pub struct StepOptions {
    pub(crate) name: String,
    pub(crate) effect: Effect,
    pub(crate) sort: StepSort,
    pub(crate) within: Option<Duration>,
}

/// What a step's work is told about its dispatch, and where it reports what it used.
#[derive(Debug)]
pub struct StepCall {
    pub(crate) idempotency_key: Digest,
    pub(crate) fence: FenceMark,
    pub(crate) try_no: u32,
    pub(crate) usage: std::sync::Arc<Mutex<Usage>>,
}

impl StepOptions {
    /// A step under `name` whose repetition `effect` rules.
    pub fn new(name: impl Into<String>, effect: Effect) -> Self {
        Self { name: name.into(), effect, sort: StepSort::Custom, within: None }
    }

    /// Says what it calls.
    #[must_use]
    pub fn calls(mut self, sort: StepSort) -> Self {
        self.sort = sort;
        self
    }

    /// Gives each dispatch a deadline. When it passes, the step's future is dropped and the step has failed.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.within = Some(deadline);
        self
    }
}

impl StepCall {
    /// The same over all attempts, nodes and epochs: the hash of tenant, run and step. For the other side to drop
    /// repetitions by.
    pub fn idempotency_key(&self) -> String {
        self.idempotency_key.to_string()[..32].to_owned()
    }

    /// Greater for later owners and attempts. For outside stores that refuse a stale owner.
    pub fn fence(&self) -> FenceMark {
        self.fence
    }

    /// 1 for the first dispatch.
    pub fn try_no(&self) -> u32 {
        self.try_no
    }

    /// Adds to what the step used.
    pub fn used(&self, usage: Usage) {
        let mut sum = self.usage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *sum = sum.plus(usage);
    }
}
