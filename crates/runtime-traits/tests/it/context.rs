//! What the context tells the engine, whatever the work of a step does.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use runtime_traits::agent::{
    Ask, Blocking, Ctx, Facts, FenceMark, Given, RunPort, SetStateError, Slot, SpawnedTask, StepError,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Content;
use runtime_traits::log::{Effect, StepFailure, StepFailureKind, StepKey, Usage};
use runtime_traits::model::Spoken;
use runtime_traits::tool::Reconciled;
use runtime_traits::{AgentError, AgentId, Name, Partition, Pool, RunId, SessionName, StepOptions, Tenant};
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

/// Lets every step execute once, and gives back what is recorded.
struct Engine {
    facts: Facts,
    said: Mutex<Vec<String>>,
    recorded: Mutex<Option<Result<Content, StepFailure>>>,
    executed: Mutex<bool>,
    given_up: Mutex<bool>,
}

impl Engine {
    fn new() -> Arc<Self> {
        let partition = Partition { pool: Pool::MAIN, index: 0 };
        let facts = Facts {
            tenant: Tenant::default(),
            agent: AgentId::from_parts(partition, Uuid::from_u128(1)),
            session: SessionName::default(),
            run: RunId::from_parts(partition, Uuid::from_u128(2)),
            fence: FenceMark { partition, epoch: 3, attempt: 4 },
        };
        Arc::new(Self {
            facts,
            said: Mutex::default(),
            recorded: Mutex::default(),
            executed: Mutex::default(),
            given_up: Mutex::default(),
        })
    }

    fn says(&self, what: impl Into<String>) {
        self.said.lock().expect("nobody panicked").push(what.into());
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().expect("nobody panicked").clone()
    }
}

impl RunPort for Engine {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn count(&self, _scope: &[Name], name: &Name) -> u32 {
        self.says(format!("count {name}"));
        1
    }

    fn ask(&self, ask: Ask) -> Result<Slot, StepError> {
        self.says(format!("ask {} {:?} {:?}", ask.key, ask.request, ask.within));
        Ok(Slot(0))
    }

    fn poll_step(&self, _slot: Slot, _cx: &mut Context<'_>) -> Poll<Given> {
        let mut executed = self.executed.lock().expect("nobody panicked");
        if !*executed {
            *executed = true;
            return Poll::Ready(Given::Execute { try_no: 2 });
        }
        match self.recorded.lock().expect("nobody panicked").take() {
            Some(result) => Poll::Ready(Given::Result(result)),
            None => Poll::Pending,
        }
    }

    fn poll_given_up(&self, _slot: Slot, _cx: &mut Context<'_>) -> Poll<()> {
        let given_up = *self.given_up.lock().expect("nobody panicked");
        if given_up { Poll::Ready(()) } else { Poll::Pending }
    }

    fn used(&self, _slot: Slot, usage: Usage) {
        self.says(format!("used {}", usage.model_calls));
    }

    fn reserved(&self, _slot: Slot) -> Usage {
        Usage::default()
    }

    fn settle(&self, _slot: Slot, result: Result<Content, StepFailure>) {
        self.says(format!("settle {}", result.is_ok()));
        *self.recorded.lock().expect("nobody panicked") = Some(result);
    }

    fn give_up(&self, _slot: Slot) {
        self.says("give up");
    }

    fn ask_timer(&self, key: StepKey, after: Duration) -> Slot {
        self.says(format!("timer {key} {after:?}"));
        Slot(1)
    }

    fn poll_timer(&self, _slot: Slot, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(1_764_000_000_123)
    }

    fn random(&self, _scope: &[Name]) -> u64 {
        7
    }

    fn state(&self) -> Option<Content> {
        Some(Content::text("{"))
    }

    fn set_state(&self, _value: Content) -> Result<(), SetStateError> {
        Ok(())
    }

    fn reconciled(&self, _slot: Slot, _what: Reconciled<Content>) {}

    fn history(&self) -> Arc<[Spoken]> {
        Arc::default()
    }

    fn continue_as(&self, _input: Content) {}

    fn preview(&self, _slot: Option<Slot>, _text: &str) {}

    fn throttled(&self, _slot: Slot, _retry_after: Option<Duration>) {}

    fn retract(&self, _slot: Slot) {}

    fn spawn(&self, _: SpawnedTask) {
        unreachable!("it begins no task")
    }

    fn block(&self, _: Blocking) {
        unreachable!("it blocks no thread")
    }

    fn poll_cancelled(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// A value that JSON cannot hold.
#[derive(Debug, Deserialize)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_step_is_asked_for_done_recorded_and_given_up_in_this_order() {
    let engine = Engine::new();
    let ctx = Ctx::new(Arc::clone(&engine) as Arc<dyn RunPort>);
    let options = StepOptions::new("fetch", Effect::Repeatable).within(Duration::from_secs(9));

    let value = poll(ctx.step_with(options, &[1, 2], |call| async move {
        assert_eq!((call.try_no(), call.fence().attempt), (2, 4));
        let used = Usage { model_calls: 1, ..Usage::default() };
        call.used(used);
        call.used(used);
        Ok(call.idempotency_key())
    }));

    let Poll::Ready(Ok(key)) = value else { unreachable!("the step is done: {value:?}") };
    assert_eq!((key.len(), key.bytes().all(|b| b.is_ascii_hexdigit())), (32, true));
    let asked = "ask fetch Json(5 B, \"[1,2]\") Some(9s)";
    assert_eq!(engine.said(), ["count fetch", asked, "used 1", "used 1", "settle true", "give up"]);
}

#[test]
fn a_value_that_is_no_json_is_recorded_as_a_failure() {
    let engine = Engine::new();
    let ctx = Ctx::new(Arc::clone(&engine) as Arc<dyn RunPort>);

    let value = poll(ctx.step("fetch", Effect::AtMostOnce, &(), |_| async { Ok(Unwritable) }));

    let message = "its value is not JSON: not today".to_owned();
    let failure = StepFailure { kind: StepFailureKind::Work, message };
    assert!(
        matches!(&value, Poll::Ready(Err(StepError::Failed { failure: f, .. })) if *f == failure),
        "{value:?}"
    );
    assert_eq!(engine.said()[2..], ["settle false", "give up"], "a replay sees what the agent saw");
}

#[test]
fn what_cannot_be_asked_for_is_never_asked_for() {
    let engine = Engine::new();
    let ctx = Ctx::new(Arc::clone(&engine) as Arc<dyn RunPort>);
    let work = |_| async { Ok::<(), AgentError>(()) };

    let bad_name = poll(ctx.step("../x", Effect::Pure, &(), work));
    assert!(matches!(bad_name, Poll::Ready(Err(StepError::Name(_)))), "{bad_name:?}");
    let bad_state = ctx.set_state(&Unwritable);
    let bad_request = poll(ctx.step("fetch", Effect::Pure, &Unwritable, work));
    assert!(matches!(bad_state, Err(SetStateError::Json(_))), "{bad_state:?}");
    assert!(
        matches!(bad_request, Poll::Ready(Err(StepError::Json { what: "request", .. }))),
        "{bad_request:?}"
    );
    assert!(ctx.scope("a b").is_err());

    assert_eq!(engine.said(), ["count fetch"]);
}

#[test]
fn work_that_is_given_up_is_dropped_and_not_recorded() {
    let engine = Engine::new();
    *engine.given_up.lock().expect("nobody panicked") = true;
    let ctx = Ctx::new(Arc::clone(&engine) as Arc<dyn RunPort>);
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);

    let mut step = Box::pin(ctx.step("fetch", Effect::Pure, &(), move |_| async move {
        let _held = held;
        std::future::pending::<Result<(), AgentError>>().await
    }));

    assert!(step.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(Arc::strong_count(&dropped), 1);
    drop(step);
    assert_eq!(engine.said()[2..], ["give up"]);
}

#[test]
fn names_are_counted_when_the_calls_are_written_and_not_when_they_are_polled() {
    let engine = Engine::new();
    let ctx = Ctx::new(Arc::clone(&engine) as Arc<dyn RunPort>);

    let sleep = ctx.sleep(Duration::from_secs(1));
    let timeout = ctx.timeout(Duration::from_secs(2), std::future::pending::<()>());
    let step = ctx.step("fetch", Effect::Pure, &(), |_| async { Ok(()) });
    assert_eq!(engine.said(), ["count sleep", "count timeout", "count fetch"]);

    drop((poll(timeout), poll(sleep), poll(step)));
    assert_eq!(engine.said()[3..5], ["timer timeout 2s", "give up"]);
}

#[test]
fn an_id_made_by_a_run_is_of_the_runs_time_and_chance() {
    let ctx = Ctx::new(Engine::new() as Arc<dyn RunPort>);
    let id = ctx.uuid();
    assert_eq!((id.get_version_num(), (id.as_u128() >> 80) as u64), (7, ctx.now().0));
    assert_eq!(id, ctx.uuid(), "the same chance gives the same id");
}

#[test]
fn a_state_that_is_not_what_the_agent_expects_is_told() {
    let ctx = Ctx::new(Engine::new() as Arc<dyn RunPort>);
    let error = ctx.state::<u64>().expect_err("it is no number");
    assert!(error.message().contains("expected u64"), "{error}");
}
