//! What a call of a model is booked with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use runtime_traits::model::{ChatMessage, Deltas, Repeat, TokenUsage};
use runtime_traits::{ModelError, ModelReply, ModelRequest, StepCall, Usage};

/// What a call may use at most, as far as that can be known before: it is asked for, and booked when nobody says what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    input: u64,
    output: u64,
}

impl Reservation {
    /// A token for three bytes, and a tenth more; and all the tokens that the reply may have.
    pub(crate) fn of(request: &ModelRequest) -> Self {
        let message = |message: &ChatMessage| match message {
            ChatMessage::User(text) => text.len(),
            ChatMessage::Assistant { text, calls, state } => {
                let calls = calls.iter().map(|call| call.id.len() + call.name.len() + call.arguments.len());
                text.len() + calls.sum::<usize>() + state.as_ref().map_or(0, String::len)
            }
            ChatMessage::Tool { call, text } => call.len() + text.len(),
        };
        let tools = request.tools.iter();
        let tools = tools.map(|tool| tool.name.len() + tool.description.len() + tool.parameters.get().len());
        let bytes = request.system.len()
            + request.messages.iter().map(message).sum::<usize>()
            + tools.sum::<usize>()
            + request.output.as_ref().map_or(0, |schema| schema.get().len());
        Self { input: (bytes as u64 * 11).div_ceil(30), output: u64::from(request.max_tokens) }
    }

    /// What is booked for a call that nobody reported.
    pub(crate) fn booked(self) -> Usage {
        let Self { input, output } = self;
        Usage {
            input_tokens: input,
            output_tokens: output,
            model_calls: 1,
            estimated_tokens: input + output,
            ..Usage::default()
        }
    }
}

/// A call that was not carried out.
const REQUEST: Usage =
    Usage { input_tokens: 0, output_tokens: 0, model_calls: 1, tool_calls: 0, estimated_tokens: 0 };

/// Hands on what a model shows, and books the calls that broke off inside it: each is taken back.
pub(crate) struct Booking<'a> {
    step: &'a StepCall,
    reservation: Reservation,
    shows: AtomicBool,
    /// A call broke off and is booked, and no other was made since.
    over: AtomicBool,
}

impl<'a> Booking<'a> {
    pub(crate) fn new(step: &'a StepCall, reservation: Reservation) -> Self {
        Self { step, reservation, shows: AtomicBool::new(false), over: AtomicBool::new(false) }
    }

    /// Books the call with which the model came to its end, if it is not booked: what the provider said, if it did.
    pub(crate) fn ends(&self, result: &Result<ModelReply, ModelError>) {
        if self.over.load(Ordering::Relaxed) {
            return;
        }
        self.step.used(match result {
            Ok(ModelReply { usage: Some(TokenUsage { input, output }), .. }) => {
                Usage { input_tokens: *input, output_tokens: *output, ..REQUEST }
            }
            Ok(_) => self.most(),
            // Nobody was asked.
            Err(ModelError::HeldOff { .. }) => Usage::default(),
            Err(error) if error.may_be_billed() => self.most(),
            Err(_) => REQUEST,
        });
    }

    /// What is booked for a call of which nobody says what it took: all that is held for it, which is more than was asked for where
    /// the model billed more so far.
    fn most(&self) -> Usage {
        let held = self.step.reserved();
        if held.is_none() { self.reservation.booked() } else { held }
    }
}

impl Deltas for Booking<'_> {
    fn text(&self, piece: &str) {
        self.shows.store(true, Ordering::Relaxed);
        self.step.text(piece);
    }

    fn progress(&self) {
        self.step.progress();
    }

    fn retract(&self) {
        // At once: the step may be given up before the next call ends.
        if !self.over.load(Ordering::Relaxed) {
            self.step.used(self.most());
        }
        if self.shows.swap(false, Ordering::Relaxed) {
            self.step.retract();
        }
    }

    fn broke_off(&self, may_be_billed: bool) {
        if !self.over.swap(true, Ordering::Relaxed) {
            self.step.used(if may_be_billed { self.most() } else { REQUEST });
            self.step.broke_off(may_be_billed);
        }
    }

    fn again(&self) -> BoxFuture<'_, Repeat> {
        Box::pin(async {
            let repeat = self.step.again().await;
            self.over.store(repeat != Repeat::Go, Ordering::Relaxed);
            repeat
        })
    }

    fn throttled(&self, retry_after: Option<Duration>) {
        self.step.throttled(retry_after);
    }
}
