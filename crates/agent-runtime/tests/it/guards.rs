//! Models and tools behind circuit breakers.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

mod silent;
mod untold;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_runtime::agent::StepCall;
use agent_runtime::error::Cause;
use agent_runtime::events::catalogue::{Announced as _, BreakerClosed, BreakerHalfOpened, BreakerOpened};
use agent_runtime::guards::{Backoff, BreakerRule, GuardRule, GuardedModel, Guards};
use agent_runtime::model::{NoDeltas, Phase, ToolSpec};
use agent_runtime::prelude::*;
use agent_runtime::resource::{Limit, Refused, Whose};
use agent_runtime::runtime::{BreakerPhase, Breakers as _};
use agent_runtime::{
    Gate, MemoryStore, Model, ModelError, ModelReply, ModelRequest, Reconciled, StepSort, Tool, Turn,
};
use proptest::prelude::{any, proptest};
use runtime_testkit::fakes::{ManualClock, SeededEntropy};
use runtime_testkit::suites::model::{Failure, ModelFixture, Opened, Provider, Scene};
use tokio::sync::Semaphore;

const SECOND: Duration = Duration::from_secs(1);

/// Opens after three failures for 5 to 10 s; one call tries it out.
fn rule() -> GuardRule {
    let breaker = BreakerRule {
        in_a_row: NonZeroU32::new(3),
        probes: NonZeroU32::MIN,
        pause: Backoff { base: 10 * SECOND, max: 10 * SECOND },
        ..BreakerRule::default()
    };
    GuardRule { breaker, ..GuardRule::default() }
}

fn guards() -> (Guards, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (Guards::new(rule(), Arc::clone(&clock) as _, Arc::new(SeededEntropy::new(1))), clock)
}

fn gone() -> ModelError {
    ModelError::Unreachable { model: "scripted/a".into(), cause: Cause::says("connection refused") }
}

type Asked = (GuardedModel<Arc<ScriptedModel>>, Arc<ScriptedModel>);

/// A guarded model whose calls all come to this.
fn guarded(guards: &Guards, name: &str, turn: Turn) -> Asked {
    let model = Arc::new(ScriptedModel::in_order(name, [turn]).again());
    (guards.model(Arc::clone(&model)), model)
}

async fn ask(model: &impl Model) -> Result<ModelReply, ModelError> {
    model.reply(&ModelRequest::default(), &NoDeltas).await
}

/// A fixture whose models are guarded, each by a guard of its own.
struct Guarded;

/// A model that tells when a call was left.
#[derive(Debug)]
struct Told {
    model: ScriptedModel,
    gate: Gate,
    left: Arc<Semaphore>,
}

struct Leaving(Option<Arc<Semaphore>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(left) = self.0.take() {
            left.add_permits(1);
        }
    }
}

#[async_trait]
impl Model for Told {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        deltas: &dyn agent_runtime::Deltas,
    ) -> Result<ModelReply, ModelError> {
        let mut leaving = Leaving(Some(Arc::clone(&self.left)));
        let reply = self.model.reply(request, deltas).await;
        leaving.0 = None;
        reply
    }
}

#[async_trait]
impl Provider for Told {
    fn calls(&self) -> usize {
        self.model.asked() as usize
    }

    async fn hangs(&self) {
        self.gate.reached().await;
    }

    async fn left(&self) {
        self.left.acquire().await.unwrap().forget();
    }
}

#[async_trait]
impl ModelFixture for Guarded {
    async fn open(&self, scenes: Vec<Scene>) -> Opened {
        let gate = Gate::new();
        let said = |pieces: &[&str]| pieces.iter().fold(Turn::default(), |turn, piece| turn.then(*piece));
        let model = || "scripted/guarded".to_owned();
        let turn = |scene: Scene| match scene {
            Scene::Says(pieces, usage) => {
                usage.map_or_else(|| said(pieces), |usage| said(pieces).used(usage.input, usage.output))
            }
            Scene::Breaks(pieces) => {
                said(pieces).fails(ModelError::Cut { model: model(), cause: Cause::says("reset") })
            }
            Scene::Hangs(pieces) => said(pieces).waits(&gate),
            Scene::Fails(failure) => Turn::default().fails(match failure {
                Failure::Key => ModelError::Key { model: model(), said: String::new() },
                Failure::UnknownModel => ModelError::UnknownModel { model: model(), said: String::new() },
                Failure::Refuses => ModelError::Refused { model: model(), status: 400, said: String::new() },
                Failure::Busy => ModelError::RateLimited { model: model(), retry_after: None },
                Failure::Trouble => ModelError::Unavailable {
                    model: model(),
                    status: 500,
                    said: String::new(),
                    retry_after: None,
                },
                Failure::Garbage => ModelError::NoReply { model: model(), said: String::new() },
            }),
        };
        let model = ScriptedModel::in_order("guarded", scenes.into_iter().map(turn));
        let told = Arc::new(Told { model, gate, left: Arc::new(Semaphore::new(0)) });
        Opened { model: Arc::new(guards().0.model(Arc::clone(&told))), provider: told }
    }
}

mod keeps_the_contract_of_models {
    use super::Guarded;

    runtime_testkit::model_conformance!(Guarded);
}

#[tokio::test]
async fn what_says_that_a_provider_is_away_holds_calls_off_and_nothing_else_does() {
    let model = || "scripted/a".to_owned();
    let refused = Refused::Reached { limit: Limit::MaxTokensTotal, whose: Whose::Agent, retry_after: None };
    let cases = [
        (gone(), true),
        (ModelError::TimedOut { model: model(), phase: Phase::FirstByte, after: SECOND }, true),
        (ModelError::TimedOut { model: model(), phase: Phase::BetweenTokens, after: SECOND }, true),
        (
            ModelError::Unavailable { model: model(), status: 503, said: String::new(), retry_after: None },
            true,
        ),
        (
            ModelError::Unavailable {
                model: model(),
                status: 529,
                said: String::new(),
                retry_after: Some(SECOND),
            },
            true,
        ),
        (ModelError::RateLimited { model: model(), retry_after: Some(SECOND) }, false),
        (ModelError::Key { model: model(), said: String::new() }, false),
        (ModelError::UnknownModel { model: model(), said: String::new() }, false),
        (ModelError::Refused { model: model(), status: 400, said: String::new() }, false),
        (ModelError::Cut { model: model(), cause: Cause::says("reset") }, false),
        (ModelError::NoReply { model: model(), said: String::new() }, false),
        (ModelError::AtLimit { model: model(), refused }, false),
        (ModelError::HeldOff { model: model(), retry_after: SECOND }, false),
    ];
    for (error, away) in cases {
        let (guards, _) = guards();
        let (guarded, asked) = guarded(&guards, "a", Turn::default().fails(error.clone()));
        for _ in 0..3 {
            assert_eq!(ask(&guarded).await.unwrap_err(), error, "what it says is handed on");
        }
        assert_eq!(guarded.held_off().is_some(), away, "{error}");
        let fourth = ask(&guarded).await.unwrap_err();
        assert_eq!(asked.asked(), if away { 3 } else { 4 }, "{error}");
        if away {
            let ModelError::HeldOff { model, retry_after } = fourth else { panic!("{fourth}") };
            assert_eq!(model, "scripted/a");
            assert!(retry_after >= 5 * SECOND && retry_after <= 12 * SECOND, "{retry_after:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_because_of_too_many_requests_says_that_the_provider_is_there() {
    let (guards, _) = guards();
    let busy = ModelError::RateLimited { model: "scripted/a".into(), retry_after: None };
    let turns = [gone(), gone(), busy, gone(), gone()].map(|error| Turn::default().fails(error));
    let model = guards.model(ScriptedModel::in_order("a", turns));
    for _ in 0..5 {
        ask(&model).await.unwrap_err();
    }
    assert_eq!(model.held_off(), None, "three failures were not in a row");
}

#[tokio::test]
async fn all_models_of_one_name_and_key_share_a_guard_and_others_do_not() {
    let (guards, _) = guards();
    let (first, _) = guarded(&guards, "a", Turn::default().fails(gone()));
    let (same, _) = guarded(&guards, "a", Turn::from("yes"));
    let (other, _) = guarded(&guards, "b", Turn::from("yes"));
    for _ in 0..3 {
        ask(&first).await.unwrap_err();
    }
    assert!(matches!(ask(&same).await, Err(ModelError::HeldOff { .. })));
    assert_eq!(ask(&other).await.unwrap().text, "yes");

    let standing = guards.standing();
    let seen: Vec<_> = standing.iter().map(|status| (status.name.as_str(), status.state)).collect();
    assert_eq!(seen, [("scripted/a", BreakerPhase::Open), ("scripted/b", BreakerPhase::Closed)]);
    assert!(
        standing[0].since.is_some() && standing[0].until > standing[0].since && standing[1].since.is_none()
    );
    assert_eq!(standing[0].sort, StepSort::Model);
}

#[tokio::test]
async fn one_call_tries_it_out_and_when_it_works_callers_come_back() {
    let (guards, clock) = guards();
    let (away, _) = guarded(&guards, "a", Turn::default().fails(gone()));
    for _ in 0..3 {
        ask(&away).await.unwrap_err();
    }
    clock.advance(10 * SECOND);
    let gate = Gate::new();
    let (back, asked) = guarded(&guards, "a", Turn::from("yes").waits(&gate));
    let probe = ask(&back);
    let others = async {
        gate.reached().await;
        for _ in 0..5 {
            assert!(matches!(ask(&back).await, Err(ModelError::HeldOff { .. })), "one is enough to try");
        }
        gate.open();
    };
    let (probed, ()) = tokio::join!(probe, others);
    assert_eq!((probed.unwrap().text.as_str(), asked.asked()), ("yes", 1));

    let (back, _) = guarded(&guards, "a", Turn::from("yes"));
    assert_eq!(back.held_off(), None);
    clock.advance(SECOND);
    assert!(ask(&back).await.is_ok());
    assert!(matches!(ask(&back).await, Err(ModelError::HeldOff { .. })), "they come one by one");
    clock.advance(SECOND);
    assert!(ask(&back).await.is_ok());
}

#[tokio::test]
async fn a_probe_that_is_dropped_gives_its_place_to_the_next() {
    let (guards, clock) = guards();
    let (away, _) = guarded(&guards, "a", Turn::default().fails(gone()));
    for _ in 0..3 {
        ask(&away).await.unwrap_err();
    }
    clock.advance(10 * SECOND);
    let gate = Gate::new();
    let (hangs, _) = guarded(&guards, "a", Turn::from("yes").waits(&gate));
    tokio::select! {
        reply = ask(&hangs) => panic!("{reply:?}"),
        () = gate.reached() => {}
    }
    let (back, _) = guarded(&guards, "a", Turn::from("yes"));
    assert_eq!(ask(&back).await.unwrap().text, "yes");
}

proptest! {
    /// However many call, whenever and with whatever luck: while it is away it is called by those that find out, and by probes.
    #[test]
    fn calls_while_it_is_away_are_those_that_find_out_and_probes(
        seed: u64,
        gaps in proptest::collection::vec(0_u64..3_000, 1..300),
        probes in 1_u32..4,
        fast in any::<bool>(),
    ) {
        let clock = Arc::new(ManualClock::default());
        let base = if fast { SECOND } else { 5 * SECOND };
        let pause = Backoff { base, max: 30 * SECOND };
        let probes = NonZeroU32::new(probes).unwrap();
        let rule = GuardRule { breaker: BreakerRule { probes, pause, ..rule().breaker }, ..rule() };
        let guards = Guards::new(rule, Arc::clone(&clock) as _, Arc::new(SeededEntropy::new(seed)));
        let (guarded, asked) = guarded(&guards, "a", Turn::default().fails(gone()));
        let began = agent_runtime::Clock::now(&*clock);
        runtime_testkit::block_on(async {
            for gap in gaps {
                clock.advance(Duration::from_millis(gap));
                ask(&guarded).await.unwrap_err();
            }
        });
        let passed = agent_runtime::Clock::now(&*clock).since(began);
        // The shortest pauses: half of 1, 2, 4 … times the base; a probe that fails ends the tries after each.
        let (mut rounds, mut at) = (0, Duration::ZERO);
        loop {
            at += pause.most(rounds) / 2;
            if at > passed {
                break;
            }
            rounds += 1;
        }
        assert!(asked.asked() <= 3 + rounds, "{} calls in {passed:?}", asked.asked());
    }
}

#[tokio::test]
async fn the_bus_is_told_of_every_change_and_of_nothing_else() {
    let (guards, clock) = guards();
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new()));
    let runtime: RuntimeManager = builder.guards(guards.clone()).open().await.unwrap().into();
    let mut heard = runtime.bus().listen("health/**").await.unwrap();
    let (away, _) = guarded(&guards, "a", Turn::default().fails(gone()));
    for _ in 0..3 {
        ask(&away).await.unwrap_err();
    }
    clock.advance(10 * SECOND);
    let (back, _) = guarded(&guards, "a", Turn::from("yes"));
    ask(&back).await.unwrap();

    let opened = heard.next_event().await.unwrap();
    let said: BreakerOpened = opened.json().unwrap();
    assert_eq!(opened.topic.as_str(), "health/scripted-a/breaker.opened");
    assert_eq!((said.name.as_str(), said.sort.as_str(), said.number), ("scripted/a", "model", 1));
    assert!(said.until > opened.time.0);
    let half: BreakerHalfOpened = heard.next_event().await.unwrap().json().unwrap();
    let closed: BreakerClosed = heard.next_event().await.unwrap().json().unwrap();
    assert_eq!((half.number, closed.number), (2, 3));
    assert_eq!(runtime.status().await.unwrap().breakers, guards.standing());
    assert!(runtime.bus().publish(said.event()).await.is_err(), "nobody else says so");
}

/// A tool that says what it is told to, at the place that its arguments name.
#[derive(Debug)]
struct Door {
    spec: ToolSpec,
    calls: AtomicUsize,
    hangs: Semaphore,
}

impl Door {
    fn new() -> Arc<Self> {
        let parameters = serde_json::value::to_raw_value(&serde_json::json!({"type": "object"})).unwrap();
        let (name, description) = ("door".to_owned(), "A door.".to_owned());
        let spec = ToolSpec { name, description, parameters: parameters.into() };
        Arc::new(Self { spec, calls: AtomicUsize::new(0), hangs: Semaphore::new(0) })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Tool for Door {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn effect(&self) -> Effect {
        Effect::Repeatable
    }

    fn within(&self) -> Duration {
        7 * SECOND
    }

    fn place(&self, arguments: &str) -> Option<String> {
        arguments.split_once('@').map(|(_, place)| place.to_owned())
    }

    fn needs_approval(&self, arguments: &str) -> bool {
        arguments.starts_with("locked")
    }

    async fn call(&self, _: &StepCall, arguments: &str) -> Result<String, AgentError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match arguments.split('@').next() {
            Some("away") => Err(AgentError::away("nobody opens", None)),
            Some("wrong") => Err(AgentError::says("it is no door")),
            Some("hangs") => {
                self.hangs.add_permits(1);
                std::future::pending().await
            }
            _ => Ok("open".to_owned()),
        }
    }

    async fn reconcile(&self, _: &StepCall, arguments: &str) -> Result<Reconciled<String>, AgentError> {
        Ok(Reconciled::Done(arguments.to_owned()))
    }
}

async fn knock(tool: &impl Tool, arguments: &str) -> Result<String, AgentError> {
    tool.call(&StepCall::detached("a"), arguments).await
}

#[tokio::test]
async fn a_guarded_tool_is_in_everything_the_tool_that_it_guards() {
    let (guards, _) = guards();
    let door = Door::new();
    let tool = guards.tool(Arc::clone(&door));
    assert_eq!(
        (tool.spec().name.as_str(), tool.effect(), tool.within()),
        ("door", Effect::Repeatable, 7 * SECOND)
    );
    assert_eq!(tool.place("open@home").as_deref(), Some("home"));
    assert!(tool.needs_approval("locked") && !tool.needs_approval("open"));
    assert_eq!(knock(&tool, "open").await.unwrap(), "open");
    assert_eq!(knock(&tool, "wrong").await.unwrap_err().message(), "it is no door");
    let said = tool.reconcile(&StepCall::detached("a"), "done").await.unwrap();
    assert_eq!(said, Reconciled::Done("done".to_owned()));
    assert!(guards.standing().is_empty(), "what never failed has nothing to say");
}

#[tokio::test]
async fn a_tool_whose_place_is_away_answers_so_without_a_call_and_only_there() {
    let (guards, clock) = guards();
    let door = Door::new();
    let tool = guards.tool(Arc::clone(&door));
    for _ in 0..3 {
        assert_eq!(knock(&tool, "away@home").await.unwrap_err().message(), "nobody opens");
    }
    let refused = knock(&tool, "open@home").await.unwrap_err();
    let said =
        "`door` at `home` failed too often of late and was not called: nothing was done; try again in ";
    assert!(refused.is_away() && refused.message().starts_with(said), "{refused}");
    assert_eq!(door.calls(), 3);
    assert_eq!(knock(&tool, "open@work").await.unwrap(), "open");
    assert!(
        tool.reconcile(&StepCall::detached("a"), "x@home").await.is_ok(),
        "it is asked what became of a call"
    );

    let status = guards.standing().remove(0);
    assert_eq!(
        (status.sort, status.name.as_str(), status.at.as_deref()),
        (StepSort::Tool, "door", Some("home"))
    );
    clock.advance(10 * SECOND);
    assert_eq!(knock(&tool, "open@home").await.unwrap(), "open");
}

#[tokio::test]
async fn an_error_that_is_an_answer_does_not_hold_a_tool_off() {
    let (guards, _) = guards();
    let door = Door::new();
    let tool = guards.tool(Arc::clone(&door));
    for _ in 0..9 {
        knock(&tool, "wrong").await.unwrap_err();
    }
    assert_eq!(door.calls(), 9);
}

#[tokio::test]
async fn a_call_whose_time_is_over_counts_and_one_that_is_given_up_before_does_not() {
    for (after, held_off) in [(7 * SECOND, true), (3 * SECOND, false)] {
        let (guards, clock) = guards();
        let door = Door::new();
        let tool = guards.tool(Arc::clone(&door));
        for _ in 0..3 {
            tokio::select! {
                said = knock(&tool, "hangs") => panic!("{said:?}"),
                permit = door.hangs.acquire() => permit.unwrap().forget(),
            }
        }
        assert_eq!(door.calls(), 3);
        for _ in 0..3 {
            let hanging = knock(&tool, "hangs");
            let passes = async {
                door.hangs.acquire().await.unwrap().forget();
                clock.advance(after);
            };
            tokio::select! {
                said = hanging => panic!("{said:?}"),
                () = passes => {}
            }
        }
        assert_eq!(knock(&tool, "open").await.is_err(), held_off, "{after:?}");
    }
}
