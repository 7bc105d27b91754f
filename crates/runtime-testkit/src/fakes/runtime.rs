//! A runtime that does nothing: it writes down what it was asked, and answers what the test wants.

mod answer;
mod call;
mod control;
mod samples;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use runtime_traits::RuntimeError;

pub use answer::{Answer, Play};
pub use call::Call;
pub use samples::Samples;

/// A runtime that writes down what it was asked, and gives the answers that it was given, in their order. Without one it
/// answers with a sample.
///
/// # Examples
/// ```
/// # runtime_testkit::block_on(async {
/// use runtime_testkit::fakes::runtime::{Call, FakeRuntime};
/// use runtime_traits::{AgentRef, Name, Runtime};
///
/// let runtime = FakeRuntime::new();
/// let agent = AgentRef::Name(Name::new("scribe")?);
/// runtime.start(&agent).await?;
/// assert_eq!(runtime.calls(), [Call::Start(agent)]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct FakeRuntime {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<VecDeque<Answer>>,
    samples: Samples,
}

impl FakeRuntime {
    /// A runtime without answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next call is answered so.
    pub fn answer(&self, answer: Answer) -> &Self {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
        self
    }

    /// The next call fails so.
    pub fn fail(&self, error: RuntimeError) -> &Self {
        self.answer(Answer::Fail(error))
    }

    /// What it was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it answers by itself.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    fn asked(&self, call: Call) -> Option<Answer> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
