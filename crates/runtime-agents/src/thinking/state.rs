//! What comes next in a run: a pure function of the conversation, and of what was said and done in the run.

use std::sync::Arc;

use runtime_traits::model::{ModelReply, Spoken, StopReason, ToolCall, ToolResult, Transcript};
use runtime_traits::{Content, Media, RunId};
use serde_json::value::RawValue;

use crate::tools::Fit;

/// What bounds a run, and the form of its output.
#[derive(Debug)]
pub(crate) struct Limits {
    /// How often the model is asked in one run.
    pub(crate) max_steps: u32,
    /// The most tokens of one reply.
    pub(crate) max_tokens: u32,
    /// What the output has to fit.
    pub(crate) output: Option<Shape>,
}

/// The schema that an output has to fit.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) schema: Arc<RawValue>,
    pub(crate) fit: Fit,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Ask the model.
    Ask,
    /// Do what it asks for, all of it at once.
    Call(Vec<ToolCall>),
    /// End with this output.
    Finish(Content),
    /// End without one.
    Fail(String),
}

/// What the calls of one reply came to.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) results: Vec<ToolResult>,
    /// The output of the agent that the conversation was handed over to.
    pub(crate) handed_over: Option<Content>,
}

/// A run so far.
#[derive(Debug)]
pub(crate) struct Thought {
    run: RunId,
    transcript: Transcript,
    /// How often the model was asked.
    turn: u32,
    last: Last,
}

/// What was said last.
#[derive(Debug)]
enum Last {
    /// Something that the model has to answer; and, if its last word was refused, why.
    ForModel(Option<String>),
    Calls(Vec<ToolCall>),
    Output(Content),
    Broken(String),
}

impl Thought {
    /// A run that begins: what was said before, and its input.
    pub(crate) fn begin(run: RunId, before: &[Spoken], input: &str) -> Self {
        let mut transcript = Transcript::default();
        before.iter().for_each(|spoken| transcript.say(spoken));
        transcript.user(input.to_owned());
        let last = if input.trim().is_empty() {
            Last::Broken("the input is empty: say what the agent shall do".to_owned())
        } else {
            Last::ForModel(None)
        };
        Self { run, transcript, turn: 0, last }
    }

    /// How often the model was asked.
    pub(crate) fn turn(&self) -> u32 {
        self.turn
    }

    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// What comes next.
    pub(crate) fn next(&self, limits: &Limits) -> Action {
        match &self.last {
            Last::ForModel(refused) if self.turn >= limits.max_steps => {
                let steps = limits.max_steps;
                let why = refused.as_ref().map(|why| format!("; its last answer was refused: {why}"));
                Action::Fail(format!(
                    "the agent did not come to an end in {steps} calls of its model; raise `max_steps`, or ask for \
                     less at once{}",
                    why.unwrap_or_default()
                ))
            }
            Last::ForModel(_) => Action::Ask,
            Last::Calls(calls) => Action::Call(calls.clone()),
            Last::Output(output) => Action::Finish(output.clone()),
            Last::Broken(why) => Action::Fail(why.clone()),
        }
    }

    /// Takes the model's next word.
    pub(crate) fn heard(&mut self, reply: &ModelReply, limits: &Limits) {
        self.turn += 1;
        self.transcript.reply(self.run, reply);
        let text = reply.text.trim();
        self.last = match (reply.stop, &limits.output) {
            (StopReason::Filtered, _) => Last::Broken(
                "the model's provider held the reply back, as against its rules; ask for something else"
                    .to_owned(),
            ),
            (StopReason::Done | StopReason::Length, _) if !reply.calls.is_empty() => {
                Last::Calls(reply.calls.clone())
            }
            (StopReason::Length, _) if text.is_empty() => Last::Broken(format!(
                "the model came to its limit of {} tokens before it said anything; raise `max_tokens`",
                limits.max_tokens
            )),
            (StopReason::Done | StopReason::Length, None) => Last::Output(Content::text(&*reply.text)),
            (stop, Some(shape)) => match shape.fit.check(unfenced(text)) {
                Ok(_) => {
                    Last::Output(Content { media: Media::Json, bytes: unfenced(text).to_owned().into() })
                }
                Err(faults) => self.refused(&faults, stop),
            },
        };
    }

    /// Tells the model what is wrong with its answer.
    fn refused(&mut self, faults: &str, stop: StopReason) -> Last {
        let cut =
            if stop == StopReason::Length { " The answer was cut off, so it has to be shorter." } else { "" };
        self.transcript.user(format!(
            "Your answer does not fit the JSON Schema that was asked for: {faults}.{cut} Answer with JSON that fits \
             the schema, and with nothing else."
        ));
        Last::ForModel(Some(faults.to_owned()))
    }

    /// Takes what the calls came to.
    pub(crate) fn did(&mut self, done: Done) {
        done.results.into_iter().for_each(|result| self.transcript.result(result));
        self.last = done.handed_over.map_or(Last::ForModel(None), Last::Output);
    }
}

/// JSON without the fence of Markdown that some models put around it.
fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}
