//! What a run lets its agent do.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::error::{AgentError, SetStateError, StepError};
use crate::agent::outside::{Call, Outside, WaitFor};
use crate::agent::port::{Ask, Facts, FenceMark, Given, RunPort, Slot};
use crate::agent::step::{StepCall, StepOptions};
use crate::agent::task::{Task, blocking_call, task};
use crate::clock::UnixMillis;
use crate::content::{Content, Digest};
use crate::error::Cause;
use crate::log::{Effect, StepFailure, StepFailureKind, StepKey, StepSort, Usage};
use crate::model::Spoken;
use crate::name::{Name, NameError};
use crate::schema::{HasSchema, SchemaError, schema_of};
use crate::tool::Reconciled;

/// What a run lets its agent do: record effects, wait, read time and chance, keep state.
///
/// Everything here gives the same answers when the run is replayed.
#[derive(Clone)]
pub struct Ctx {
    port: Arc<dyn RunPort>,
    scope: Vec<Name>,
}

impl Ctx {
    /// Makes the context of an attempt. For engines and their tests.
    pub fn new(port: Arc<dyn RunPort>) -> Self {
        Self { port, scope: Vec::new() }
    }

    /// What is fixed for this attempt: tenant, agent, session, run.
    pub fn facts(&self) -> &Facts {
        self.port.facts()
    }

    /// A context whose steps are counted apart: for branches that run side by side.
    ///
    /// # Errors
    /// [`NameError`] when `name` is no name.
    pub fn scope(&self, name: &str) -> Result<Self, NameError> {
        let mut scope = self.scope.clone();
        scope.push(Name::new(name)?);
        Ok(Self { port: Arc::clone(&self.port), scope })
    }

    /// Does `work` and records its result; when the run is replayed, the recorded result is the answer and `work` is
    /// not called.
    ///
    /// `request` says what the work is about to do. A replay that asks for another request under the same name is
    /// stopped as diverged. After a crash between the work's begin and its record, `effect` rules what happens.
    ///
    /// # Errors
    /// [`StepError::Failed`] with what the work said, recorded like a value; [`StepError::Cancelled`] once the run is
    /// being cancelled; the others when name, request or value cannot be recorded.
    pub fn step<'a, R, T, W, F>(
        &'a self,
        name: &str,
        effect: Effect,
        request: &R,
        work: W,
    ) -> impl Future<Output = Result<T, StepError>> + Send + use<'a, R, T, W, F>
    where
        R: Serialize + ?Sized,
        T: Serialize + DeserializeOwned + Send + 'a,
        W: FnOnce(StepCall) -> F + Send + 'a,
        F: Future<Output = Result<T, AgentError>> + Send + 'a,
    {
        self.step_with(StepOptions::new(name, effect), request, work)
    }

    /// [`Ctx::step`] with a deadline or a sort.
    ///
    /// # Errors
    /// As [`Ctx::step`].
    pub fn step_with<'a, R, T, W, F>(
        &'a self,
        options: StepOptions,
        request: &R,
        work: W,
    ) -> impl Future<Output = Result<T, StepError>> + Send + use<'a, R, T, W, F>
    where
        R: Serialize + ?Sized,
        T: Serialize + DeserializeOwned + Send + 'a,
        W: FnOnce(StepCall) -> F + Send + 'a,
        F: Future<Output = Result<T, AgentError>> + Send + 'a,
    {
        self.do_step(options, request, work, None::<fn(StepCall) -> std::future::Ready<_>>)
    }

    /// [`Ctx::step_with`] whose other side can be asked: when nobody knows how a dispatch ended, `reconcile` asks what
    /// became of it. What it says is recorded as a decision; what it cannot say a person decides.
    ///
    /// # Errors
    /// As [`Ctx::step`].
    pub fn step_or_reconcile<'a, R, T, W, F, A, G>(
        &'a self,
        options: StepOptions,
        request: &R,
        work: W,
        reconcile: A,
    ) -> impl Future<Output = Result<T, StepError>> + Send + use<'a, R, T, W, F, A, G>
    where
        R: Serialize + ?Sized,
        T: Serialize + DeserializeOwned + Send + 'a,
        W: FnOnce(StepCall) -> F + Send + 'a,
        F: Future<Output = Result<T, AgentError>> + Send + 'a,
        A: FnOnce(StepCall) -> G + Send + 'a,
        G: Future<Output = Result<Reconciled<T>, AgentError>> + Send + 'a,
    {
        self.do_step(options, request, work, Some(reconcile))
    }

    fn do_step<'a, R, T, W, F, A, G>(
        &'a self,
        options: StepOptions,
        request: &R,
        work: W,
        reconcile: Option<A>,
    ) -> impl Future<Output = Result<T, StepError>> + Send + use<'a, R, T, W, F, A, G>
    where
        R: Serialize + ?Sized,
        T: Serialize + DeserializeOwned + Send + 'a,
        W: FnOnce(StepCall) -> F + Send + 'a,
        F: Future<Output = Result<T, AgentError>> + Send + 'a,
        A: FnOnce(StepCall) -> G + Send + 'a,
        G: Future<Output = Result<Reconciled<T>, AgentError>> + Send + 'a,
    {
        // The name is counted here and not at the first poll: `select!` polls its branches in random order.
        let key = self.key(&options.name);
        let request = Content::json(request);
        async move {
            let key = key?;
            let label = key.to_string();
            let request = request.map_err(|e| json_error(&label, "request", &e))?;
            let idempotency_key = self.idempotency_key(&key);
            let slot = self.port.ask(Ask {
                key,
                sort: options.sort,
                effect: options.effect,
                request,
                within: options.within,
                silence: options.silence,
                reserves: options.reserves,
                model: options.model,
                says: options.says,
                approval: options.approval,
                reconciles: reconcile.is_some(),
                outside: None,
            })?;
            let held = Held { port: self.port.as_ref(), slot };
            let called = |try_no| StepCall {
                idempotency_key,
                fence: self.fence(),
                try_no,
                step: Some((Arc::clone(&self.port), slot)),
            };
            let (mut work, mut reconcile) = (Some(work), reconcile);
            loop {
                match poll_fn(|cx| self.port.poll_step(slot, cx)).await {
                    Given::Execute { try_no } => {
                        let Some(work) = work.take() else {
                            return Err(StepError::Cancelled { step: label });
                        };
                        if let Some(result) = held.first_of(work(called(try_no))).await {
                            self.port.settle(slot, recorded(result));
                        }
                    }
                    Given::Reconcile { try_no } => {
                        let Some(ask) = reconcile.take() else {
                            return Err(StepError::Cancelled { step: label });
                        };
                        if let Some(said) = held.first_of(ask(called(try_no))).await {
                            self.port.reconciled(slot, as_content(said));
                        }
                    }
                    Given::Result(Ok(content)) => {
                        return content.parse().map_err(|e| json_error(&label, "value", &e));
                    }
                    Given::Result(Err(failure)) => return Err(StepError::Failed { step: label, failure }),
                    Given::Cancelled => return Err(StepError::Cancelled { step: label }),
                }
            }
        }
    }

    /// Waits until somebody answers, or consents; survives restarts. The answer's content; that of a consent is empty.
    ///
    /// # Errors
    /// [`StepError::Failed`] when the consent is refused; otherwise as [`Ctx::step`].
    pub fn wait_for<'a>(
        &'a self,
        what: WaitFor,
    ) -> impl Future<Output = Result<Content, StepError>> + Send + use<'a> {
        let WaitFor { name, approval, about } = what;
        let outside = if approval { Outside::Approval } else { Outside::Answer };
        self.outside(name, StepSort::Custom, about, outside)
    }

    /// Has another agent work on something, as a run of its own: cancelled, billed and traced with this one. Its output.
    ///
    /// # Errors
    /// [`StepError::Failed`] when the other agent cannot be called, or its run ends without an output; otherwise as
    /// [`Ctx::step`].
    pub fn call<'a>(
        &'a self,
        call: Call,
    ) -> impl Future<Output = Result<Content, StepError>> + Send + use<'a> {
        let Call { name, what } = call;
        let request = Content::json(&what).expect("texts, bytes and numbers are JSON");
        self.outside(name, StepSort::Call, request, Outside::Call(Box::new(what)))
    }

    fn outside<'a>(
        &'a self,
        name: String,
        sort: StepSort,
        request: Content,
        outside: Outside,
    ) -> impl Future<Output = Result<Content, StepError>> + Send + use<'a> {
        let key = self.key(&name);
        async move {
            let key = key?;
            let label = key.to_string();
            let slot = self.port.ask(Ask {
                key,
                sort,
                effect: Effect::AtMostOnce,
                request,
                within: None,
                silence: None,
                reserves: Usage::default(),
                model: None,
                says: false,
                approval: false,
                reconciles: false,
                outside: Some(outside),
            })?;
            let _held = Held { port: self.port.as_ref(), slot };
            match poll_fn(|cx| self.port.poll_step(slot, cx)).await {
                Given::Result(Ok(content)) => content.parse().map_err(|e| json_error(&label, "value", &e)),
                Given::Result(Err(failure)) => Err(StepError::Failed { step: label, failure }),
                Given::Cancelled | Given::Execute { .. } | Given::Reconcile { .. } => {
                    Err(StepError::Cancelled { step: label })
                }
            }
        }
    }

    /// The last messages of the conversation before this run's input: as many as [`Agent::remembers`] says.
    ///
    /// [`Agent::remembers`]: crate::agent::Agent::remembers
    pub fn history(&self) -> Arc<[Spoken]> {
        self.port.history()
    }

    /// Ends this run and goes on with `input` in a successor with a fresh log, in the same conversation. To be returned
    /// by the agent: `return ctx.continue_as("the rest")`. From this call on the run goes on so, whatever else the agent
    /// returns, unless it fails.
    ///
    /// # Errors
    /// None; it is what [`Agent::run`](crate::agent::Agent::run) returns.
    pub fn continue_as(&self, input: impl Into<Content>) -> Result<Content, AgentError> {
        self.port.continue_as(input.into());
        Ok(Content::text(""))
    }

    /// Waits. A wait of more than some seconds costs no memory: the run parks and is woken.
    pub fn sleep<'a>(&'a self, time: Duration) -> impl Future<Output = ()> + Send + use<'a> {
        self.timer("sleep", time)
    }

    /// `work`'s value, or `None` when it took longer than `time`. The limit is part of the log: a replay decides alike.
    pub fn timeout<'a, T, W>(
        &'a self,
        time: Duration,
        work: W,
    ) -> impl Future<Output = Option<T>> + use<'a, T, W>
    where
        W: Future<Output = T>,
    {
        let timer = self.timer("timeout", time);
        async move {
            let mut timer = std::pin::pin!(timer);
            let mut work = std::pin::pin!(work);
            poll_fn(|cx| {
                if let std::task::Poll::Ready(value) = work.as_mut().poll(cx) {
                    return std::task::Poll::Ready(Some(value));
                }
                timer.as_mut().poll(cx).map(|()| None)
            })
            .await
        }
    }

    fn timer<'a>(&'a self, name: &str, time: Duration) -> impl Future<Output = ()> + Send + use<'a> {
        let name = Name::new(name).expect("timers are called `sleep` and `timeout`");
        // Counted here, as for a step.
        let nth = self.port.count(&self.scope, &name);
        let key = StepKey { scope: self.scope.clone(), name, nth };
        async move {
            let slot = self.port.ask_timer(key, time);
            let _held = Held { port: self.port.as_ref(), slot };
            poll_fn(|cx| self.port.poll_timer(slot, cx)).await;
        }
    }

    /// Begins `work` beside what the agent awaits: a task that goes on whether or not somebody awaits it. It is polled where
    /// the agent is, so that its steps are replayed as those of `join!` are; it is charged to the agent; and it ends with the
    /// agent's `run`, however that ends. What has to be done before that is awaited.
    ///
    /// A panic of it is its own [`TaskError`](crate::agent::TaskError) and does not end the run.
    pub fn spawn<T, W>(&self, work: W) -> Task<T>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let (spawned, task) = task(work);
        self.port.spawn(spawned);
        task
    }

    /// Calls `work` on a thread that it may block: for what computes long, or waits without `await`. It begins at once,
    /// unless several of the run are under way. It is charged to the agent, the run neither parks nor completes before it is
    /// over, and its value is recorded nowhere: a replay calls it again, so what it does to the outside belongs in a
    /// [`Ctx::step`] around it.
    ///
    /// Nothing can stop it: a run that is cancelled meanwhile says in its receipt that a thread is still busy.
    pub fn blocking<T, W>(&self, work: W) -> Task<T>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (blocking, task) = blocking_call(work);
        self.port.block(blocking);
        task
    }

    /// The time of the last entry that this attempt has seen: the same when it is replayed.
    pub fn now(&self) -> UnixMillis {
        self.port.now()
    }

    /// The next number of a stream that is fixed by the run and the scope.
    pub fn random(&self) -> u64 {
        self.port.random(&self.scope)
    }

    /// An id from [`Ctx::now`] and [`Ctx::random`]: a UUID of version 7.
    pub fn uuid(&self) -> uuid::Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random().to_be_bytes());
        random[8..].copy_from_slice(&self.random().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(self.now().0, &random).into_uuid()
    }

    /// The session's state, as left by its last run and changed by this one.
    ///
    /// # Errors
    /// [`AgentError`] when what is stored is not the JSON of a `T`, or has a schema.
    pub fn state<T: DeserializeOwned>(&self) -> Result<Option<T>, AgentError> {
        let Some(content) = self.port.state() else { return Ok(None) };
        match schema_of(&content) {
            Some(found) => Err(SchemaError::Unasked { found }.into()),
            None => Ok(Some(content.parse()?)),
        }
    }

    /// The session's state as a value with a schema: one of an older version is brought to this one. The store has the
    /// older one until [`Ctx::keep_state`].
    ///
    /// # Errors
    /// [`SchemaError`], which names the schema, both versions and the remedy.
    pub fn load_state<T: HasSchema>(&self) -> Result<Option<T>, SchemaError> {
        self.port.state().map(|content| content.load()).transpose()
    }

    /// Sets the session's state to a value with a schema, as of the run's end.
    ///
    /// # Errors
    /// As [`Ctx::set_state`]; [`SetStateError::Schema`] when there is a state that this version of the schema could not
    /// load: it is not overwritten.
    pub fn keep_state<T: HasSchema>(&self, value: &T) -> Result<(), SetStateError> {
        let schema = T::schema();
        if let Some(present) = self.port.state() {
            schema.check(&present).map_err(SetStateError::Schema)?;
        }
        let value = schema.wrap(value).map_err(|error| SetStateError::Json(Cause::of(&error)))?;
        self.port.set_state(value)
    }

    /// Sets the session's state, as of the run's end.
    ///
    /// # Errors
    /// [`SetStateError`] when JSON cannot hold `value`, or it is too large, or the present state has a schema, which this
    /// value has not; then nothing is set.
    pub fn set_state<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), SetStateError> {
        if let Some(found) = self.port.state().and_then(|present| schema_of(&present)) {
            return Err(SetStateError::Schema(SchemaError::Unasked { found }));
        }
        let value = Content::json(value).map_err(|error| SetStateError::Json(Cause::of(&error)))?;
        self.port.set_state(value)
    }

    /// Shows a piece of the output to whoever watches, before it is recorded. It may get lost; the recorded output
    /// says it again.
    pub fn preview(&self, text: &str) {
        self.port.preview(None, text);
    }

    /// Ends when somebody asks the run to end. From then on no step begins.
    pub async fn cancelled(&self) {
        poll_fn(|cx| self.port.poll_cancelled(cx)).await;
    }

    /// Who may write: for outside stores that refuse a stale owner.
    pub fn fence(&self) -> FenceMark {
        self.facts().fence
    }

    fn key(&self, name: &str) -> Result<StepKey, NameError> {
        let name = Name::new(name)?;
        let nth = self.port.count(&self.scope, &name);
        Ok(StepKey { scope: self.scope.clone(), name, nth })
    }

    fn idempotency_key(&self, key: &StepKey) -> Digest {
        let facts = self.facts();
        Digest::of(format!("{}/{}/{key}", facts.tenant, facts.run).as_bytes())
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctx({}, attempt {})", self.facts().run, self.facts().fence.attempt)
    }
}

/// Gives its step up when it is dropped; the engine knows whether there is anything to give up.
struct Held<'a> {
    port: &'a dyn RunPort,
    slot: Slot,
}

impl Held<'_> {
    /// The work's result, or `None` when the engine has an answer before it: the step timed out or the run ends.
    async fn first_of<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            if let std::task::Poll::Ready(result) = work.as_mut().poll(cx) {
                return std::task::Poll::Ready(Some(result));
            }
            self.port.poll_given_up(self.slot, cx).map(|()| None)
        })
        .await
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.port.give_up(self.slot);
    }
}

fn json_error(step: &str, what: &'static str, error: &serde_json::Error) -> StepError {
    StepError::Json { step: step.to_owned(), what, cause: Cause::of(error) }
}

/// A value that is no JSON is recorded as a failure: a replay has to see it, too.
fn recorded<T: Serialize>(result: Result<T, AgentError>) -> Result<Content, StepFailure> {
    let failed = |message| StepFailure { kind: StepFailureKind::Work, message };
    match result {
        Ok(value) => {
            Content::json(&value).map_err(|e| failed(format!("its value is not JSON: {}", Cause::of(&e))))
        }
        Err(error) => Err(StepFailure { kind: error.step_kind(), message: error.message().to_owned() }),
    }
}

/// What the other side said; who could not be asked, or says what cannot be written down, has said nothing.
fn as_content<T: Serialize>(said: Result<Reconciled<T>, AgentError>) -> Reconciled<Content> {
    match said {
        Ok(Reconciled::Done(value)) => Content::json(&value).map_or(Reconciled::Unknown, Reconciled::Done),
        Ok(Reconciled::NotDone) => Reconciled::NotDone,
        Ok(Reconciled::Unknown) | Err(_) => Reconciled::Unknown,
    }
}
