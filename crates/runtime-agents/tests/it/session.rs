//! A session of an agent in memory: its runs are recorded step by step, crash at a wish, and leave messages.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use runtime_traits::agent::{
    Ask, Blocking, Facts, FenceMark, Given, Outside, RunPort, SetStateError, Slot, SpawnedTask,
};
use runtime_traits::log::{Author, StepFailure, StepFailureKind};
use runtime_traits::model::Spoken;
use runtime_traits::tool::Reconciled;
use runtime_traits::{
    Agent, AgentError, Content, Ctx, Effect, Name, Partition, Pool, StepError, StepKey, StepSort, UnixMillis,
    Usage,
};

pub(crate) type Recorded = Result<Content, StepFailure>;

/// What the log holds of a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) key: String,
    pub(crate) ask: Ask,
    pub(crate) tries: u32,
    pub(crate) result: Option<Recorded>,
    pub(crate) usage: Usage,
}

/// A session with its current run. Clones are the same session.
#[derive(Clone, Default)]
pub(crate) struct Session(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    history: Vec<Spoken>,
    said: Vec<Spoken>,
    steps: Vec<Step>,
    run: u8,
    previews: Vec<String>,
    retracted: usize,
    asked_to_reconcile: usize,
    cancelled: bool,
    /// What people and other agents say, by the step that waits for it.
    answers: HashMap<String, VecDeque<Recorded>>,
    /// Steps whose deadline passes at once.
    times_out: HashSet<String>,
    /// How many tokens are held for a call beyond what it asks for.
    more: u64,
    wakers: Vec<Waker>,
    /// The times that were waited for.
    waits: Vec<(String, Duration)>,
}

struct Port {
    facts: Facts,
    session: Session,
    remembers: usize,
    counted: Mutex<HashMap<(Vec<Name>, Name), u32>>,
    /// Which step of the log each slot is.
    slots: Mutex<Vec<usize>>,
}

pub(crate) fn denied(why: &str) -> Recorded {
    Err(StepFailure { kind: StepFailureKind::Denied, message: why.to_owned() })
}

pub(crate) fn failed(why: &str) -> Recorded {
    Err(StepFailure { kind: StepFailureKind::Work, message: why.to_owned() })
}

impl Session {
    /// Holds so many tokens for each call beyond what it asks for, as if its model had billed more than was said.
    pub(crate) fn holds_more(&self, tokens: u64) {
        self.0.lock().unwrap().more = tokens;
    }

    /// Works a run to its end.
    pub(crate) async fn run(&self, agent: &dyn Agent, input: &str) -> Result<String, AgentError> {
        self.begin();
        let output = self.attempt(agent, input).await;
        self.end(input, &output);
        output
    }

    /// Forgets the last run's log.
    pub(crate) fn begin(&self) {
        let mut state = self.0.lock().unwrap();
        state.run += 1;
        state.steps.clear();
        state.waits.clear();
        state.said.clear();
        state.previews.clear();
        state.cancelled = false;
    }

    /// One attempt at the current run. To drop it is a crash.
    pub(crate) async fn attempt(&self, agent: &dyn Agent, input: &str) -> Result<String, AgentError> {
        let partition = Partition { pool: Pool::MAIN, index: 17 };
        let run = self.0.lock().unwrap().run;
        let facts = Facts {
            tenant: "default".parse().unwrap(),
            agent: "agent:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00".parse().unwrap(),
            session: "talk".parse().unwrap(),
            run: format!("run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e{run:04x}").parse().unwrap(),
            fence: FenceMark { partition, epoch: 1, attempt: 1 },
        };
        let port = Port {
            facts,
            session: self.clone(),
            remembers: agent.remembers(),
            counted: Mutex::default(),
            slots: Mutex::default(),
        };
        let output = agent.run(Ctx::new(Arc::new(port)), Content::text(input)).await;
        output.map(|content| content.to_string())
    }

    /// Keeps what was said, as an engine does with an outcome.
    pub(crate) fn end(&self, input: &str, output: &Result<String, AgentError>) {
        let mut state = self.0.lock().unwrap();
        let run = format!("run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e{:04x}", state.run).parse().unwrap();
        let spoken = |author, text: &str| Spoken { author, run, content: Content::text(text) };
        let mut said = vec![spoken(Author::Caller, input)];
        said.append(&mut state.said);
        said.extend(output.as_ref().ok().map(|text| spoken(Author::Agent, text)));
        state.history.extend(said);
    }

    /// Says what somebody outside answers to the step of this key.
    pub(crate) fn answer(&self, key: &str, answer: Recorded) {
        let mut state = self.0.lock().unwrap();
        state.answers.entry(key.to_owned()).or_default().push_back(answer);
        state.wakers.drain(..).for_each(Waker::wake);
    }

    /// Lets the deadline of this step pass as soon as it pauses.
    pub(crate) fn times_out(&self, key: &str) {
        self.0.lock().unwrap().times_out.insert(key.to_owned());
    }

    /// Asks the run to end.
    pub(crate) fn cancel(&self) {
        let mut state = self.0.lock().unwrap();
        state.cancelled = true;
        state.wakers.drain(..).for_each(Waker::wake);
    }

    /// Lets the process end in the middle of this step: its result is not recorded, nor what was said by it.
    pub(crate) fn forget(&self, key: &str) {
        let mut state = self.0.lock().unwrap();
        let step = state.steps.iter_mut().find(|step| step.key == key).expect("it was asked for");
        step.result = None;
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.0.lock().unwrap().steps.clone()
    }

    pub(crate) fn step(&self, key: &str) -> Step {
        let steps = self.steps();
        let keys: Vec<&str> = steps.iter().map(|step| step.key.as_str()).collect();
        steps.iter().find(|step| step.key == key).unwrap_or_else(|| panic!("no `{key}` in {keys:?}")).clone()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.steps().into_iter().map(|step| step.key).collect()
    }

    /// The times that the run waited for.
    pub(crate) fn waits(&self) -> Vec<(String, Duration)> {
        self.0.lock().unwrap().waits.clone()
    }

    pub(crate) fn usage(&self) -> Usage {
        self.steps().iter().fold(Usage::default(), |sum, step| sum.plus(step.usage))
    }

    pub(crate) fn history(&self) -> Vec<Spoken> {
        self.0.lock().unwrap().history.clone()
    }

    pub(crate) fn previews(&self) -> Vec<String> {
        self.0.lock().unwrap().previews.clone()
    }

    pub(crate) fn retracted(&self) -> usize {
        self.0.lock().unwrap().retracted
    }

    pub(crate) fn asked_to_reconcile(&self) -> usize {
        self.0.lock().unwrap().asked_to_reconcile
    }
}

impl State {
    /// Somebody's answer to the step, which is then recorded.
    fn answered(&mut self, at: usize) -> Option<Recorded> {
        let key = self.steps[at].key.clone();
        self.answers.get_mut(&key)?.pop_front()
    }

    fn settle(&mut self, at: usize, result: Recorded, run: runtime_traits::RunId) -> Given {
        let step = &mut self.steps[at];
        step.result = Some(result.clone());
        if let (true, Ok(content)) = (step.ask.says, &result) {
            let author = if step.ask.sort == StepSort::Model { Author::Model } else { Author::Tool };
            self.said.push(Spoken { author, run, content: content.clone() });
        }
        Given::Result(result)
    }
}

impl RunPort for Port {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn count(&self, scope: &[Name], name: &Name) -> u32 {
        let mut counted = self.counted.lock().unwrap();
        let count = counted.entry((scope.to_vec(), name.clone())).or_default();
        *count += 1;
        *count
    }

    fn ask(&self, ask: Ask) -> Result<Slot, StepError> {
        let mut state = self.session.0.lock().unwrap();
        let key = ask.key.to_string();
        let at = match state.steps.iter().position(|step| step.key == key) {
            Some(at) => {
                let recorded = &state.steps[at].ask;
                assert_eq!(recorded.request, ask.request, "`{key}` diverged");
                assert_eq!((recorded.effect, recorded.sort), (ask.effect, ask.sort), "`{key}` diverged");
                at
            }
            None => {
                state.steps.push(Step { key, ask, tries: 0, result: None, usage: Usage::default() });
                state.steps.len() - 1
            }
        };
        let mut slots = self.slots.lock().unwrap();
        slots.push(at);
        Ok(Slot(slots.len() - 1))
    }

    fn poll_step(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<Given> {
        let at = self.slots.lock().unwrap()[slot.0];
        let mut state = self.session.0.lock().unwrap();
        let step = state.steps[at].clone();
        if let Some(result) = step.result {
            return Poll::Ready(Given::Result(result));
        }
        if state.cancelled {
            return Poll::Ready(Given::Cancelled);
        }
        let waits = matches!(step.ask.outside, Some(Outside::Answer | Outside::Approval | Outside::Call(_)));
        if waits || (step.ask.approval && step.tries == 0) {
            match state.answered(at) {
                None => {
                    state.wakers.push(cx.waker().clone());
                    return Poll::Pending;
                }
                Some(Err(failure)) => return Poll::Ready(state.settle(at, Err(failure), self.facts.run)),
                Some(Ok(answer)) if waits => {
                    // The value of such a step is the JSON of a content.
                    let answer = Content::json(&answer).unwrap();
                    return Poll::Ready(state.settle(at, Ok(answer), self.facts.run));
                }
                Some(Ok(_)) => {}
            }
        }
        if step.tries > 0 && step.ask.effect == Effect::AtMostOnce {
            state.asked_to_reconcile += 1;
            assert!(step.ask.reconciles, "`{}` is not to be repeated", step.key);
            return Poll::Ready(Given::Reconcile { try_no: step.tries });
        }
        if step.tries > 0 {
            // Nobody says what the dispatch used that a crash ended.
            state.steps[at].usage = step.usage.plus(step.ask.reserves);
        }
        state.steps[at].tries += 1;
        Poll::Ready(Given::Execute { try_no: step.tries + 1 })
    }

    fn poll_given_up(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.slots.lock().unwrap()[slot.0];
        let mut state = self.session.0.lock().unwrap();
        if state.cancelled {
            return Poll::Ready(());
        }
        let key = state.steps[at].key.clone();
        if !state.times_out.contains(&key) {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let failure =
            StepFailure { kind: StepFailureKind::TimedOut, message: "its deadline passed".to_owned() };
        state.settle(at, Err(failure), self.facts.run);
        Poll::Ready(())
    }

    fn used(&self, slot: Slot, usage: Usage) {
        let at = self.slots.lock().unwrap()[slot.0];
        let step = &mut self.session.0.lock().unwrap().steps[at];
        step.usage = step.usage.plus(usage);
    }

    fn reserved(&self, slot: Slot) -> Usage {
        let at = self.slots.lock().unwrap()[slot.0];
        let state = self.session.0.lock().unwrap();
        let more = Usage { input_tokens: state.more, estimated_tokens: state.more, ..Usage::default() };
        state.steps[at].ask.reserves.plus(more)
    }

    fn settle(&self, slot: Slot, result: Recorded) {
        let at = self.slots.lock().unwrap()[slot.0];
        let mut state = self.session.0.lock().unwrap();
        state.settle(at, result, self.facts.run);
    }

    fn reconciled(&self, slot: Slot, what: Reconciled<Content>) {
        let at = self.slots.lock().unwrap()[slot.0];
        let mut state = self.session.0.lock().unwrap();
        match what {
            Reconciled::Done(value) => drop(state.settle(at, Ok(value), self.facts.run)),
            Reconciled::NotDone => state.steps[at].tries = 0,
            Reconciled::Unknown => {
                let failure =
                    StepFailure { kind: StepFailureKind::Decided, message: "nobody knows".to_owned() };
                drop(state.settle(at, Err(failure), self.facts.run));
            }
        }
    }

    fn give_up(&self, _: Slot) {}

    fn ask_timer(&self, key: StepKey, after: Duration) -> Slot {
        let mut state = self.session.0.lock().unwrap();
        let (key, waits) = (key.to_string(), &mut state.waits);
        match waits.iter().find(|(recorded, _)| *recorded == key) {
            Some((_, recorded)) => assert_eq!(*recorded, after, "`{key}` diverged"),
            None => waits.push((key, after)),
        }
        Slot(usize::MAX)
    }

    /// Time passes at once.
    fn poll_timer(&self, _: Slot, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn random(&self, _: &[Name]) -> u64 {
        0
    }

    fn state(&self) -> Option<Content> {
        None
    }

    fn set_state(&self, _: Content) -> Result<(), SetStateError> {
        Ok(())
    }

    fn history(&self) -> Arc<[Spoken]> {
        let state = self.session.0.lock().unwrap();
        let first = state.history.len().saturating_sub(self.remembers);
        state.history[first..].into()
    }

    fn continue_as(&self, _: Content) {}

    fn preview(&self, _: Option<Slot>, text: &str) {
        self.session.0.lock().unwrap().previews.push(text.to_owned());
    }

    fn throttled(&self, _slot: Slot, _retry_after: Option<Duration>) {}

    fn retract(&self, _: Slot) {
        let mut state = self.session.0.lock().unwrap();
        state.previews.clear();
        state.retracted += 1;
    }

    fn spawn(&self, _: SpawnedTask) {
        unreachable!("it begins no task")
    }

    fn block(&self, _: Blocking) {
        unreachable!("it blocks no thread")
    }

    fn poll_cancelled(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
