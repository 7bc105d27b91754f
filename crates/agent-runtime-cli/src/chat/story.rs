//! A run as a conversation shows it: what is said, and which calls are made. A pure fold over its stream.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use agent_runtime::log::{StepFailure, StepSettled, WaitOn};
use agent_runtime::model::{ModelReply, ToolResult};
use agent_runtime::runtime::StreamItem;
use agent_runtime::store::Seq;
use agent_runtime::{Content, Entry, EntryKind, Payload, RunId, RunView, StepKey, StepSort, UnixMillis};

use crate::render::call::Called;
use crate::render::{awaited, steps_under_way, time};
use crate::watch::is_begun_again;

/// What becomes visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A piece of a text that is being made.
    Piece(String),
    /// That text does not count.
    Withdraw,
    /// A text, as it is recorded.
    Text(String),
    /// A call has ended: well, or for this reason.
    Done { called: Called, end: Result<(), String>, took: Duration },
    /// The run is over; its output, where that is kept beside the log.
    Over(Option<Content>),
}

/// A run as a conversation shows it.
#[derive(Debug)]
pub(crate) struct Story {
    /// The run.
    pub(crate) run: RunId,
    /// The next entry that is to be read.
    pub(crate) next: Seq,
    /// What the log says so far.
    pub(crate) view: Option<RunView>,
    /// What was said last, as recorded.
    pub(crate) said: Option<String>,
    speaking: Option<Option<StepKey>>,
    sorts: HashMap<StepKey, StepSort>,
    requests: HashMap<StepKey, Content>,
    calls: Vec<Call>,
    wanted: HashMap<String, Called>,
    made: HashSet<(Vec<String>, String)>,
}

#[derive(Debug)]
struct Call {
    key: StepKey,
    called: Called,
    since: UnixMillis,
}

impl Story {
    /// Nothing of it is known yet.
    pub(crate) fn new(run: RunId) -> Self {
        Self {
            run,
            next: Seq::FIRST,
            view: None,
            said: None,
            speaking: None,
            sorts: HashMap::new(),
            requests: HashMap::new(),
            calls: Vec::new(),
            wanted: HashMap::new(),
            made: HashSet::new(),
        }
    }

    /// Takes the next item of the stream.
    pub(crate) fn take(&mut self, item: StreamItem) -> Vec<Act> {
        match item {
            StreamItem::Preview { step, text } => {
                let other = self.speaking.as_ref().is_some_and(|speaking| *speaking != step);
                self.speaking = Some(step);
                let piece = Act::Piece(text);
                if other { vec![Act::Withdraw, piece] } else { vec![piece] }
            }
            StreamItem::Retracted { step } if self.speaks(&step) => self.fall_silent(),
            StreamItem::Retracted { .. } => Vec::new(),
            StreamItem::Entry { entry, content } => self.entry(&entry, content),
        }
    }

    fn entry(&mut self, entry: &Entry, content: Option<Content>) -> Vec<Act> {
        self.next = entry.seq.next();
        match &mut self.view {
            Some(view) => view.apply(entry),
            None => self.view = RunView::of(self.run, [entry]),
        }
        let mut acts = if is_begun_again(entry) { self.fall_silent() } else { Vec::new() };
        match &entry.kind {
            EntryKind::StepOpened(opened) => {
                let request = inline(&opened.request, content);
                self.sorts.insert(opened.key.clone(), opened.sort);
                if let Some(number) = number(&opened.key) {
                    self.made.insert(number);
                }
                if matches!(opened.sort, StepSort::Tool | StepSort::Call) {
                    let called = Called::of(opened.sort, &opened.key, request.as_ref());
                    self.calls.push(Call { key: opened.key.clone(), called, since: entry.at });
                } else {
                    self.requests.extend(request.map(|request| (opened.key.clone(), request)));
                }
            }
            // Time for which somebody was asked is not the call's.
            EntryKind::StepDispatched(dispatched) => {
                for call in self.calls.iter_mut().filter(|call| call.key == dispatched.key) {
                    call.since = entry.at;
                }
            }
            // What needs consent is shown, whatever sort it is of.
            EntryKind::WaitOpened(opened) => {
                if let WaitOn::Approval(key) = &opened.on
                    && self.calls.iter().all(|call| call.key != *key)
                {
                    let called = Called::by_request(key, self.requests.get(key));
                    self.calls.push(Call { key: key.clone(), called, since: entry.at });
                }
            }
            EntryKind::StepSettled(settled) => acts.extend(self.settled(entry.at, settled, content)),
            EntryKind::Ended(_) => {
                self.calls.clear();
                acts.push(Act::Over(content));
            }
            _ => {}
        }
        acts
    }

    fn settled(&mut self, at: UnixMillis, settled: &StepSettled, content: Option<Content>) -> Vec<Act> {
        let key = &settled.key;
        let value = settled.result.as_ref().ok().and_then(|payload| inline(payload, content));
        if self.sorts.get(key) == Some(&StepSort::Model) {
            return self.reply(key, value.and_then(|value| value.parse().ok()));
        }
        let result = value.and_then(|value| value.parse::<ToolResult>().ok());
        let failed = result.as_ref().filter(|result| result.failed).map(|result| result.text.clone());
        if let Some(at_call) = self.calls.iter().position(|call| call.key == *key) {
            let Call { called, since, .. } = self.calls.remove(at_call);
            let end = match (&settled.result, failed) {
                (Err(StepFailure { message, .. }), _) => Err(message.clone()),
                (Ok(_), Some(why)) => Err(without_mark(why)),
                (Ok(_), None) => Ok(()),
            };
            return vec![Act::Done { called, end, took: at.since(since) }];
        }
        // A call that was answered without being made.
        match (result, failed) {
            (Some(result), Some(why)) if number(key).is_some_and(|number| !self.made.contains(&number)) => {
                let called = self.wanted.remove(&result.call);
                let called = called.unwrap_or_else(|| Called::by_request(key, None));
                vec![Act::Done { called, end: Err(without_mark(why)), took: Duration::ZERO }]
            }
            _ => Vec::new(),
        }
    }

    fn reply(&mut self, key: &StepKey, reply: Option<ModelReply>) -> Vec<Act> {
        let Some(reply) = reply else {
            return if self.speaks(key) { self.fall_silent() } else { Vec::new() };
        };
        let called = reply.calls.into_iter().map(|call| (call.id, Called::tool(&call.name, &call.arguments)));
        self.wanted.extend(called);
        if reply.text.is_empty() {
            return if self.speaks(key) { self.fall_silent() } else { Vec::new() };
        }
        self.said = Some(reply.text.clone());
        let mut acts = if self.speaks(key) { Vec::new() } else { self.fall_silent() };
        self.speaking = None;
        acts.push(Act::Text(reply.text));
        acts
    }

    fn speaks(&self, step: &StepKey) -> bool {
        self.speaking.as_ref().is_some_and(|speaking| speaking.as_ref() == Some(step))
    }

    fn fall_silent(&mut self) -> Vec<Act> {
        if self.speaking.take().is_some() { vec![Act::Withdraw] } else { Vec::new() }
    }

    /// The calls that are under way, each with the time that it takes so far.
    pub(crate) fn calls(&self, now: UnixMillis) -> impl Iterator<Item = (&Called, Duration)> {
        self.calls.iter().map(move |call| (&call.called, now.since(call.since)))
    }

    /// What else is done, in words.
    pub(crate) fn doing(&self) -> String {
        let Some(view) = &self.view else { return String::new() };
        if let Some(wait) = view.waits.first() {
            return format!("waits for {}", awaited(wait));
        }
        let is_thought = |name: &String| {
            let key: Option<StepKey> = name.parse().ok();
            key.and_then(|key| self.sorts.get(&key).copied()) == Some(StepSort::Model)
        };
        let steps: Vec<String> = steps_under_way(view).into_iter().filter(|name| !is_thought(name)).collect();
        if steps.is_empty() { "thinks".to_owned() } else { steps.join(", ") }
    }

    /// For how long the run has been worked.
    pub(crate) fn age(&self, now: UnixMillis) -> String {
        let since = self.view.as_ref().map_or(now, |view| view.accepted_at);
        took(now.since(since))
    }
}

/// A time, once it is worth telling.
pub(crate) fn took(time: Duration) -> String {
    if time < Duration::from_secs(1) { String::new() } else { time::duration(time) }
}

/// The place of a call among those of its reply: `turn-1/0.search` and `turn-1/0.said` are about one call.
fn number(key: &StepKey) -> Option<(Vec<String>, String)> {
    let (number, _) = key.name.as_str().split_once('.')?;
    let scope = key.scope.iter().map(ToString::to_string).collect();
    number.bytes().all(|b| b.is_ascii_digit()).then(|| (scope, number.to_owned()))
}

/// What failed says so by its mark.
fn without_mark(why: String) -> String {
    why.strip_prefix("Error: ").map(str::to_owned).unwrap_or(why)
}

fn inline(payload: &Payload, content: Option<Content>) -> Option<Content> {
    match payload {
        Payload::Inline(content) => Some(content.clone()),
        Payload::Blob { .. } => content,
    }
}
