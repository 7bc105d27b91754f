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
use crate::watch::{is_begun_again, with_gap};

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
    /// When the model said what it wants.
    replied_at: UnixMillis,
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
            replied_at: UnixMillis::default(),
        }
    }

    /// Takes the next item of the stream.
    pub(crate) fn take(&mut self, item: StreamItem) -> Vec<Act> {
        match item {
            StreamItem::Preview { step, text, gap } => {
                let other = self.speaking.as_ref().is_some_and(|speaking| *speaking != step);
                self.speaking = Some(step);
                let piece = Act::Piece(with_gap(text, gap));
                if other { vec![Act::Withdraw, piece] } else { vec![piece] }
            }
            StreamItem::Retracted { step } if self.speaking.as_ref() == Some(&step) => self.fall_silent(),
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
        let value = settled.result.as_ref().ok().and_then(|payload| match settled.messages {
            // What was said is kept with the messages.
            Some(_) => content,
            None => inline(payload, content),
        });
        if self.sorts.get(key) == Some(&StepSort::Model) {
            self.replied_at = at;
            return self.reply(key, value.and_then(|value| value.parse().ok()));
        }
        let result = value.and_then(|value| value.parse::<ToolResult>().ok());
        let failed = result.as_ref().filter(|result| result.failed).map(|result| result.text.clone());
        if let Some(at_call) = self.calls.iter().position(|call| call.key == *key) {
            let Call { called, since, .. } = self.calls.remove(at_call);
            let end = match (&settled.result, failed) {
                (Err(StepFailure { message, .. }), _) => Err(message.clone()),
                (Ok(_), Some(why)) => Err(why),
                (Ok(_), None) => Ok(()),
            };
            return vec![Act::Done { called, end, took: at.since(since) }];
        }
        // A call that nothing announced: one without an effect has no entry but its result, and one that could not be
        // made has none but what the model is told.
        match result {
            Some(result) if number(key).is_some_and(|number| !self.made.contains(&number)) => {
                let called = self.wanted.remove(&result.call);
                let called = called.unwrap_or_else(|| Called::by_request(key, None));
                let took = at.since(self.replied_at);
                vec![Act::Done { called, end: failed.map_or(Ok(()), Err), took }]
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

    /// What was being made is shown anew: the stream is read from another connection.
    pub(crate) fn fall_silent(&mut self) -> Vec<Act> {
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

fn inline(payload: &Payload, content: Option<Content>) -> Option<Content> {
    match payload {
        Payload::Inline(content) => Some(content.clone()),
        Payload::Blob { .. } => content,
    }
}

#[cfg(test)]
mod tests {
    use agent_runtime::log::{
        Accepted, Ended, Outcome, Price, StepDispatched, StepOpened, StepSettled, Usage,
    };
    use agent_runtime::model::{ModelReply, ToolCall, ToolResult};
    use agent_runtime::runtime::{SessionPolicy, StreamItem};
    use agent_runtime::store::Seq;
    use agent_runtime::{Content, Effect, Entry, EntryKind, Payload, StepKey, StepSort, UnixMillis};
    use runtime_testkit::fakes::runtime::FakeRuntime;
    use serde_json::json;

    use super::{Act, Story};

    /// A story, and the number of its next entry.
    struct Told(Story, u64);

    impl Told {
        fn begin() -> Self {
            let runtime = FakeRuntime::new();
            let samples = runtime.samples();
            let input = Content::text("go");
            let accepted = Accepted {
                agent: samples.agent,
                spec_rev: 1,
                session: "default".parse().unwrap(),
                policy: SessionPolicy::Enqueue,
                digest: input.digest(),
                input: Payload::of(&input),
                idempotency_key: None,
                parent: None,
                copied_from: None,
                principal: None,
                trace: None,
                deadline: None,
                priority: 0,
                chain: None,
                labels: std::collections::BTreeMap::new(),
            };
            let mut told = Self(Story::new(samples.run), 1);
            assert_eq!(told.entry(EntryKind::Accepted(Box::new(accepted)), None), []);
            told
        }

        fn entry(&mut self, kind: EntryKind, content: Option<Content>) -> Vec<Act> {
            let at = UnixMillis(1_000 * self.1);
            let entry = Box::new(Entry { seq: Seq(self.1), at, attempt: 1, epoch: 1, kind });
            self.1 += 1;
            self.0.take(StreamItem::Entry { entry, content })
        }

        fn opens(&mut self, step: &str, sort: StepSort, request: &serde_json::Value) -> Vec<Act> {
            let request = Content::json(request).unwrap();
            let opened = StepOpened {
                key: key(step),
                sort,
                effect: Effect::Repeatable,
                digest: request.digest(),
                request: Payload::of(&request),
                reserved: 0,
                reserved_usage: Usage::default(),
                dispatched: true,
            };
            self.entry(EntryKind::StepOpened(opened), None)
        }

        /// The step says something: that is kept with the messages, and comes beside the entry.
        fn says<T: serde::Serialize>(&mut self, step: &str, value: &T) -> Vec<Act> {
            let value = Content::json(value).unwrap();
            let settled = StepSettled {
                key: key(step),
                try_no: 1,
                result: Ok(Payload::Inline(Content::text(""))),
                digest: value.digest(),
                usage: Usage::default(),
                price: Price::default(),
                messages: Some((Seq(1), Seq(2))),
            };
            self.entry(EntryKind::StepSettled(settled), Some(value))
        }

        fn shows(&mut self, step: &str, text: &str) -> Vec<Act> {
            self.0.take(StreamItem::Preview { step: Some(key(step)), text: text.to_owned(), gap: false })
        }
    }

    fn key(text: &str) -> StepKey {
        text.parse().unwrap()
    }

    fn reply(text: &str, calls: &[(&str, &str)]) -> ModelReply {
        let call = |(id, name): &(&str, &str)| ToolCall {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            arguments: "{}".to_owned(),
        };
        ModelReply { text: text.to_owned(), calls: calls.iter().map(call).collect(), ..ModelReply::default() }
    }

    fn piece(text: &str) -> Act {
        Act::Piece(text.to_owned())
    }

    #[test]
    fn what_a_model_said_stays_and_is_not_withdrawn_for_what_comes_then() {
        let mut told = Told::begin();
        told.opens("turn-1/model", StepSort::Model, &json!({}));
        assert_eq!(told.shows("turn-1/model", "Let "), [piece("Let ")]);

        assert_eq!(
            told.says("turn-1/model", &reply("Let me see.", &[])),
            [Act::Text("Let me see.".to_owned())]
        );
        assert_eq!(told.shows("turn-2/model", "It"), [piece("It")]);
    }

    #[test]
    fn what_is_made_again_and_what_another_step_says_takes_the_place_of_what_was_shown() {
        let mut told = Told::begin();
        told.opens("a", StepSort::Model, &json!({}));
        told.shows("a", "One");

        assert_eq!(
            told.0.take(StreamItem::Retracted { step: Some(key("b")) }),
            [],
            "that one has shown nothing"
        );
        assert_eq!(told.0.take(StreamItem::Retracted { step: Some(key("a")) }), [Act::Withdraw]);
        assert_eq!(told.0.take(StreamItem::Retracted { step: Some(key("a")) }), [], "once");
        assert_eq!(told.shows("a", "Two"), [piece("Two")]);
        assert_eq!(told.shows("b", "Three"), [Act::Withdraw, piece("Three")]);
        let again = StepDispatched::of(key("b"), 2);
        assert_eq!(told.entry(EntryKind::StepDispatched(again), None), [Act::Withdraw]);
    }

    #[test]
    fn a_call_is_shown_once_with_its_end_and_its_time() {
        let mut told = Told::begin();
        told.opens("turn-1/model", StepSort::Model, &json!({}));
        told.says("turn-1/model", &reply("", &[("call_1_0", "search"), ("call_1_1", "nonsense")]));
        told.opens(
            "turn-1/0.search",
            StepSort::Tool,
            &json!({ "tool": "search", "arguments": { "q": "x" } }),
        );
        let under_way: Vec<String> =
            told.0.calls(UnixMillis(0)).map(|(called, _)| called.short(80)).collect();
        assert_eq!(under_way, ["search  q: \"x\""]);

        let result = |call: &str, failed| ToolResult { call: call.to_owned(), text: "no".to_owned(), failed };
        let acts = told.says("turn-1/0.search", &result("call_1_0", false));

        let [Act::Done { called, end: Ok(()), took }] = acts.as_slice() else { unreachable!("{acts:?}") };
        assert_eq!((called.name.as_str(), took.as_secs()), ("search", 1));
        assert_eq!(told.0.calls(UnixMillis(0)).count(), 0);
        assert_eq!(told.says("turn-1/0.said", &result("call_1_0", true)), [], "it was shown");
        assert_eq!(told.says("turn-1/0.said", &result("call_1_0", false)), [], "it was shown");
        let acts = told.says("turn-1/1.said", &result("call_1_1", true));
        let [Act::Done { called, end: Err(_), .. }] = acts.as_slice() else { unreachable!("{acts:?}") };
        assert_eq!(called.name, "nonsense", "the model wanted it, and no step made it");
    }

    #[test]
    fn a_call_without_an_effect_is_shown_though_only_its_result_is_recorded() {
        let mut told = Told::begin();
        told.opens("turn-1/model", StepSort::Model, &json!({}));
        told.says("turn-1/model", &reply("", &[("call_1_0", "calculator")]));

        let result = ToolResult { call: "call_1_0".to_owned(), text: "42".to_owned(), failed: false };
        let acts = told.says("turn-1/0.calculator", &result);

        let [Act::Done { called, end: Ok(()), took }] = acts.as_slice() else { unreachable!("{acts:?}") };
        assert_eq!((called.name.as_str(), took.as_secs()), ("calculator", 1));
    }

    #[test]
    fn the_end_is_the_end() {
        let mut told = Told::begin();
        let outcome = Outcome::Completed(Payload::Inline(Content::text("done")));
        let ended = Ended { outcome, usage: Usage::default(), price: Price::default() };

        assert_eq!(told.entry(EntryKind::Ended(ended), None), [Act::Over(None)]);
        assert_eq!(told.0.next, Seq(3));
    }
}
