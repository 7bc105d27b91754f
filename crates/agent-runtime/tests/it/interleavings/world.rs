//! The world outside: what agents send to it, and what it says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_runtime::clock::{Clock, UnixMillis};
use agent_runtime::model::{ChatMessage, Deltas, ModelReply, TokenUsage, ToolCall, ToolSpec};
use agent_runtime::{AgentError, Effect, Model, ModelError, ModelRequest, Reconciled, StepCall, Tool};
use async_trait::async_trait;
use runtime_testkit::fakes::Chance;
use runtime_testkit::suites::transcript::{Rules, check};

/// What happened in some interleavings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: u64,
    pub(super) completed: u64,
    pub(super) cancelled: u64,
    pub(super) rolled_back: u64,
    pub(super) crashes: u64,
    pub(super) consents: u64,
    pub(super) denials: u64,
    pub(super) decisions: u64,
    pub(super) retried: u64,
    pub(super) receipts: u64,
}

impl Seen {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            completed: self.completed + other.completed,
            cancelled: self.cancelled + other.cancelled,
            rolled_back: self.rolled_back + other.rolled_back,
            crashes: self.crashes + other.crashes,
            consents: self.consents + other.consents,
            denials: self.denials + other.denials,
            decisions: self.decisions + other.decisions,
            retried: self.retried + other.retried,
            receipts: self.receipts + other.receipts,
        }
    }
}

/// What was sent, and by whom: a run names itself in its input.
#[derive(Debug, Default)]
pub(super) struct World {
    sent: Mutex<Vec<String>>,
    done: Mutex<BTreeMap<String, u32>>,
    chance: Mutex<Option<Chance>>,
    pub(super) seen: Mutex<Seen>,
}

impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { chance: Mutex::new(Some(Chance::new(seed ^ 0x5eed))), ..Self::default() })
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap()
    }

    pub(super) fn below(&self, end: u64) -> u64 {
        self.chance.lock().unwrap().as_mut().unwrap().below(end)
    }

    async fn a_while(&self) {
        let millis = self.below(400);
        if millis > 40 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    fn send(&self, who: &str) {
        self.sent.lock().unwrap().push(who.to_owned());
    }

    /// How often anything was sent for this run.
    pub(super) fn sent_by(&self, who: &str) -> usize {
        self.sent.lock().unwrap().iter().filter(|sent| *sent == who).count()
    }

    /// What was done more often than once though it may be done at most once.
    pub(super) fn doubled(&self) -> Vec<String> {
        let done = self.done.lock().unwrap();
        done.iter().filter(|(_, times)| **times > 1).map(|(what, _)| what.clone()).collect()
    }
}

/// A process, as far as the world outside can tell: once it is dead, it sends nothing.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) world: Arc<World>,
    pub(super) dead: Arc<AtomicBool>,
}

impl Life {
    pub(super) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), dead: Arc::default() }
    }

    /// Goes on only in a process that lives.
    async fn alive(&self) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

/// The clock of the executor, which goes on by itself when nothing else does.
#[derive(Debug)]
pub(super) struct Simulated(pub(super) tokio::time::Instant);

impl Clock for Simulated {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_764_000_000_000 + self.0.elapsed().as_millis() as u64)
    }
}

/// A model that calls tools, says something, and fails now and then. What it says follows from what it is asked.
#[derive(Debug)]
pub(super) struct Talker(pub(super) Life);

/// The run that a conversation is about now: its last input names it.
fn who(request: &ModelRequest) -> &str {
    let user = request.messages.iter().rev().find_map(|message| match message {
        ChatMessage::User(text) if text.starts_with("run-") => Some(text.as_str()),
        _ => None,
    });
    user.unwrap_or("nobody")
}

/// How often the model has spoken since.
fn turns(request: &ModelRequest) -> usize {
    let since = request.messages.iter().rev();
    let since =
        since.take_while(|message| !matches!(message, ChatMessage::User(text) if text.starts_with("run-")));
    since.filter(|message| matches!(message, ChatMessage::Assistant { .. })).count()
}

#[async_trait]
impl Model for Talker {
    fn name(&self) -> &str {
        "simulated/talker"
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let Self(life) = self;
        life.alive().await;
        let who = who(request);
        life.world.send(who);
        life.world.seen.lock().unwrap().requests += 1;
        for rules in [Rules::OpenAi, Rules::Anthropic] {
            if let Err(fault) = check(&request.messages, rules) {
                panic!("{who} was sent what {rules:?} refuses: {fault:?}\n{:#?}", request.messages);
            }
        }
        life.world.a_while().await;
        life.alive().await;
        deltas.text("so ");
        if life.world.below(8) == 0 {
            life.world.seen.lock().unwrap().retried += 1;
            let (model, cause) = ("simulated/talker".to_owned(), agent_runtime::Cause::says("cut"));
            return Err(ModelError::Cut { model, cause });
        }
        life.world.send(who);
        deltas.text("far");
        let call = |id: usize, name: &str| ToolCall {
            // As unreliable as those of some providers.
            id: "same".to_owned(),
            name: name.to_owned(),
            arguments: format!("{{\"who\": \"{who}\", \"nth\": {id}}}"),
        };
        let number: usize = who.trim_start_matches("run-").parse().unwrap_or(0);
        let calls = match (turns(request), number % 4) {
            (0, 0) => Vec::new(),
            (0, 1) => vec![call(0, "look"), call(1, "pay"), call(2, "nothing_like_this")],
            (0, 2) => vec![call(0, "ask_first"), call(1, "look")],
            (0, _) => vec![call(0, "pay"), call(1, "pay")],
            (1, 3) => vec![call(2, "ask_first")],
            _ => Vec::new(),
        };
        let usage = Some(TokenUsage { input: 10, output: 5 });
        Ok(ModelReply { text: "so far".to_owned(), calls, usage, ..ModelReply::default() })
    }
}

/// A tool of the simulated world.
#[derive(Debug)]
pub(super) struct Deed {
    life: Life,
    spec: ToolSpec,
    effect: Effect,
    approval: bool,
}

impl Deed {
    pub(super) fn new(life: &Life, name: &str, effect: Effect, approval: bool) -> Self {
        let parameters =
            r#"{"type": "object", "properties": {"who": {"type": "string"}, "nth": {"type": "integer"}}}"#;
        let parameters = serde_json::value::RawValue::from_string(parameters.to_owned()).unwrap();
        let (name, description) = (name.to_owned(), "does something".to_owned());
        Self {
            life: life.clone(),
            spec: ToolSpec { name, description, parameters: parameters.into() },
            effect,
            approval,
        }
    }
}

#[async_trait]
impl Tool for Deed {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn needs_approval(&self, _: &str) -> bool {
        self.approval
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        self.life.alive().await;
        let who = serde_json::from_str::<serde_json::Value>(arguments)?["who"].as_str().unwrap().to_owned();
        let world = &self.life.world;
        world.send(&who);
        if self.effect == Effect::AtMostOnce {
            // A verdict may have it done again; then it is another try.
            let deed = format!("{} {}", call.idempotency_key(), call.try_no());
            *world.done.lock().unwrap().entry(deed).or_default() += 1;
        }
        world.a_while().await;
        self.life.alive().await;
        world.send(&who);
        if world.below(10) == 0 { Err(AgentError::says("it did not work")) } else { Ok("done".to_owned()) }
    }

    async fn reconcile(&self, _: &StepCall, _: &str) -> Result<Reconciled<String>, AgentError> {
        Ok(match self.life.world.below(3) {
            0 => Reconciled::Done("done before".to_owned()),
            _ => Reconciled::Unknown,
        })
    }
}
