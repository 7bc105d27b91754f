//! What an engine does for one agent in one attempt, in memory and without a log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use runtime_traits::agent::{
    Ask, Blocking, Facts, FenceMark, Given, RunPort, SetStateError, Slot, SpawnedTask,
};
use runtime_traits::log::StepFailure;
use runtime_traits::model::Spoken;
use runtime_traits::tool::Reconciled;
use runtime_traits::{
    Agent, AgentError, Content, Ctx, Effect, Name, Partition, Pool, StepError, StepKey, UnixMillis, Usage,
};

type Recorded = Result<Content, StepFailure>;

/// A port that records steps, or answers them from what was recorded.
struct Port {
    facts: Facts,
    attempt: Mutex<Attempt>,
}

/// What an attempt left behind.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Results of an earlier attempt that are still to be given out.
    replay: VecDeque<Recorded>,
    results: Vec<Option<Recorded>>,
    /// Name, effect and request of each step.
    pub(crate) asked: Vec<(String, Effect, Content)>,
    /// How many steps were not answered from the record.
    pub(crate) executed: usize,
    pub(crate) state: Option<Content>,
    pub(crate) previews: Vec<String>,
}

impl Attempt {
    /// What the attempt recorded, for the next one.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.results.iter().flatten().cloned().collect()
    }
}

/// Runs `agent` on `input` in a session with `state`; the steps in `recorded` are settled already.
pub(crate) async fn run(
    agent: &dyn Agent,
    input: Content,
    state: Option<Content>,
    recorded: Vec<Recorded>,
) -> (Result<String, AgentError>, Attempt) {
    let partition = Partition { pool: Pool::MAIN, index: 17 };
    let facts = Facts {
        tenant: "default".parse().unwrap(),
        agent: "agent:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00".parse().unwrap(),
        session: "default".parse().unwrap(),
        run: "run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f01".parse().unwrap(),
        fence: FenceMark { partition, epoch: 1, attempt: 1 },
    };
    let attempt = Attempt { replay: recorded.into(), state, ..Attempt::default() };
    let port = Arc::new(Port { facts, attempt: Mutex::new(attempt) });
    let output = agent.run(Ctx::new(port.clone()), input).await;
    let attempt = std::mem::take(&mut *port.attempt.lock().unwrap());
    (output.map(|content| content.to_string()), attempt)
}

impl RunPort for Port {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn count(&self, _: &[Name], _: &Name) -> u32 {
        1
    }

    fn ask(&self, ask: Ask) -> Result<Slot, StepError> {
        let mut attempt = self.attempt.lock().unwrap();
        let recorded = attempt.replay.pop_front();
        attempt.asked.push((ask.key.name.to_string(), ask.effect, ask.request));
        attempt.results.push(recorded);
        Ok(Slot(attempt.results.len() - 1))
    }

    fn poll_step(&self, slot: Slot, _: &mut Context<'_>) -> Poll<Given> {
        let mut attempt = self.attempt.lock().unwrap();
        match attempt.results[slot.0].clone() {
            Some(result) => Poll::Ready(Given::Result(result)),
            None => {
                attempt.executed += 1;
                Poll::Ready(Given::Execute { try_no: 1 })
            }
        }
    }

    fn poll_given_up(&self, _: Slot, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn used(&self, _: Slot, _: Usage) {}

    fn reserved(&self, _: Slot) -> Usage {
        Usage::default()
    }

    fn settle(&self, slot: Slot, result: Recorded) {
        self.attempt.lock().unwrap().results[slot.0] = Some(result);
    }

    fn give_up(&self, _: Slot) {}

    fn ask_timer(&self, _: StepKey, _: Duration) -> Slot {
        panic!("a librarian waits for nothing")
    }

    fn poll_timer(&self, _: Slot, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn random(&self, _: &[Name]) -> u64 {
        0
    }

    fn state(&self) -> Option<Content> {
        self.attempt.lock().unwrap().state.clone()
    }

    fn set_state(&self, value: Content) -> Result<(), SetStateError> {
        self.attempt.lock().unwrap().state = Some(value);
        Ok(())
    }

    fn reconciled(&self, _: Slot, _: Reconciled<Content>) {}

    fn history(&self) -> Arc<[Spoken]> {
        Arc::default()
    }

    fn continue_as(&self, _: Content) {}

    fn throttled(&self, _slot: Slot, _retry_after: Option<Duration>) {}

    fn retract(&self, _: Slot) {}

    fn preview(&self, _: Option<Slot>, text: &str) {
        self.attempt.lock().unwrap().previews.push(text.to_owned());
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
