//! What an entry means after those before it: which call a step made, what was asked, who said what to it.

use std::collections::HashMap;

use agent_runtime::log::{StepSettled, WaitId, WaitOn};
use agent_runtime::model::{ModelReply, ToolResult};
use agent_runtime::{Content, EntryKind, Payload, StepKey, StepSort};

use super::call::Called;
use super::entry::{by, effect, said};
use super::words::waits_for;

/// The most columns of a call among other words; the line is cut to the terminal after that.
const WIDE: usize = 2_000;

/// What the entries before said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    steps: HashMap<StepKey, (StepSort, Called)>,
    waits: HashMap<WaitId, WaitOn>,
}

impl Before {
    /// An entry in words, where those before it say more than it does itself.
    pub(super) fn told(&mut self, kind: &EntryKind, content: Option<&Content>) -> Option<(String, String)> {
        let (what, more) = match kind {
            EntryKind::StepOpened(opened) => {
                let request = inline(&opened.request, content);
                let called = Called::of(opened.sort, &opened.key, request);
                let so = if opened.dispatched { "" } else { ", not yet under way" };
                let how = format!("{} ({}{so})", opened.key, effect(opened.effect));
                let asks = match opened.sort {
                    StepSort::Tool | StepSort::Call => format!("{how}: {}", called.short(WIDE)),
                    StepSort::Model | StepSort::Shared | StepSort::Custom => how,
                };
                self.steps.insert(opened.key.clone(), (opened.sort, called));
                ("step opened", asks)
            }
            EntryKind::StepSettled(settled) => ("step settled", self.settled(settled, content)?),
            EntryKind::WaitOpened(opened) => {
                self.waits.insert(opened.wait, opened.on.clone());
                match &opened.on {
                    on @ (WaitOn::Approval(key) | WaitOn::Answer(key)) => {
                        let hash: String = opened.digest.to_string().chars().take(12).collect();
                        let asks = self.steps.get(key).map(|(_, called)| called.short(WIDE));
                        let asks = asks.map(|asks| format!(": {asks}")).unwrap_or_default();
                        ("waits", format!("for {} ({hash}){asks}", waits_for(on)))
                    }
                    WaitOn::Child { step, run } => ("waits", format!("for {run}, which `{step}` started")),
                    _ => return None,
                }
            }
            EntryKind::WaitClosed(closed) => {
                let who = by(&closed.by);
                let word = said(&closed.answer, content);
                let more = match self.waits.get(&closed.wait)? {
                    WaitOn::Approval(key) => format!("`{key}` is {word}, by {who}"),
                    WaitOn::Answer(key) => format!("`{key}` is answered, by {who}"),
                    WaitOn::Child { run, .. } => format!("{run} is over"),
                    _ => return None,
                };
                ("goes on", more)
            }
            _ => return None,
        };
        Some((what.to_owned(), more))
    }

    fn settled(&self, settled: &StepSettled, content: Option<&Content>) -> Option<String> {
        let Ok(value) = &settled.result else { return None };
        // What was said is kept with the messages.
        let value = if settled.messages.is_some() { content? } else { inline(value, content)? };
        let key = &settled.key;
        match self.steps.get(key) {
            Some((StepSort::Model, _)) => {
                let reply: ModelReply = value.parse().ok()?;
                let mut parts = Vec::new();
                if !reply.text.is_empty() {
                    parts.push(reply.text);
                }
                let called = |call: &agent_runtime::model::ToolCall| {
                    format!("[{}]", Called::tool(&call.name, &call.arguments).short(WIDE))
                };
                parts.extend(reply.calls.iter().map(called));
                Some(format!("{key}: {}", parts.join(" ")))
            }
            // What a call came to, also where no step made it.
            Some((StepSort::Tool, _)) | None => {
                let result: ToolResult = value.parse().ok()?;
                let mark = if result.failed { "✗" } else { "✓" };
                Some(format!("{key}: {mark} {}", result.text))
            }
            Some((StepSort::Call | StepSort::Shared | StepSort::Custom, _)) => None,
        }
    }
}

fn inline<'a>(payload: &'a Payload, content: Option<&'a Content>) -> Option<&'a Content> {
    match payload {
        Payload::Inline(content) => Some(content),
        Payload::Blob { .. } => content,
    }
}
