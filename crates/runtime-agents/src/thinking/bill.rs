//! What a call of a model is booked with.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use runtime_traits::model::{ChatMessage, Deltas, TokenUsage};
use runtime_traits::{ModelError, ModelReply, ModelRequest, Usage};

/// What a call may use at most, as far as that can be known before: it is booked when nobody says what it used.
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

    /// `calls` calls that nobody reported.
    fn booked(self, calls: u32) -> Usage {
        let (input_tokens, output_tokens) = (self.input * u64::from(calls), self.output * u64::from(calls));
        let estimated_tokens = input_tokens + output_tokens;
        Usage { input_tokens, output_tokens, model_calls: calls, tool_calls: 0, estimated_tokens }
    }

    /// What is booked for a step: its last call by what the provider said, and those that broke off by what was held
    /// for them. `broke_off` counts the calls of this dispatch, `try_no` those of dispatches that a crash ended.
    pub(crate) fn bill(self, result: &Result<ModelReply, ModelError>, try_no: u32, broke_off: u32) -> Usage {
        let last = match result {
            Ok(ModelReply { usage: Some(TokenUsage { input, output }), .. }) => {
                Usage { input_tokens: *input, output_tokens: *output, model_calls: 1, ..Usage::default() }
            }
            Ok(_) => self.booked(1),
            Err(error) if error.may_be_billed() => self.booked(1),
            Err(_) => Usage { model_calls: 1, ..Usage::default() },
        };
        last.plus(self.booked(try_no.saturating_sub(1).saturating_add(broke_off)))
    }
}

/// Hands on what a model shows, and counts the calls that broke off inside it: each is taken back.
pub(crate) struct Counted<'a> {
    deltas: &'a dyn Deltas,
    shows: AtomicBool,
    broke_off: AtomicU32,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(deltas: &'a dyn Deltas) -> Self {
        Self { deltas, shows: AtomicBool::new(false), broke_off: AtomicU32::new(0) }
    }

    /// How many calls broke off.
    pub(crate) fn broke_off(&self) -> u32 {
        self.broke_off.load(Ordering::Relaxed)
    }
}

impl Deltas for Counted<'_> {
    fn text(&self, piece: &str) {
        self.shows.store(true, Ordering::Relaxed);
        self.deltas.text(piece);
    }

    fn retract(&self) {
        self.broke_off.fetch_add(1, Ordering::Relaxed);
        if self.shows.swap(false, Ordering::Relaxed) {
            self.deltas.retract();
        }
    }
}
