//! A caller: keeps one run in flight, whatever happens to the server.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use runtime_traits::log::EntryKind;
use runtime_traits::name::{IdempotencyKey, SessionName};
use runtime_traits::runtime::{Joined, SessionPolicy, StreamItem};
use runtime_traits::store::Seq;
use runtime_traits::{AgentRef, Clock, RunId, Runtime, RuntimeError};
use tokio::time::timeout;

use super::book::{Asked, Book, Cancel, Input};
use super::dice::Dice;
use super::host::{THINKERS, agent_name, thinker_name};
use super::lives::{Lives, Up, is_away};
use super::violation::Law;
use super::{script, talk};

/// How long one request waits for an outcome.
const JOIN: Duration = Duration::from_secs(5);

/// A caller: keeps one run in flight, whatever happens to the server.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) nth: u32,
    pub(super) seed: u64,
    pub(super) agents: u32,
    pub(super) book: Book,
    pub(super) lives: Lives,
    pub(super) clock: Arc<dyn Clock>,
}

impl Caller {
    /// Asks for one run after the other, until nothing new is to be asked for.
    pub(super) async fn call(mut self) {
        let mut dice = Dice::of(self.seed, ("caller", self.nth));
        while !self.lives.finishing() {
            self.lives.up().await;
            let script = self.think(&mut dice);
            if let Some(run) = self.submit(script).await {
                self.follow(script, run, &mut dice).await;
            }
        }
    }

    /// Thinks of a run. Of three callers one talks to agents with models.
    fn think(&self, dice: &mut Dice) -> u64 {
        let mut pages = self.book.open();
        let id = pages.asked.len() as u64;
        let key = (!dice.one_in(3)).then(|| format!("key-{id}"));
        let key = key.map(|key| IdempotencyKey::new(key).expect("letters, digits and hyphens make a key"));
        let (agent, session) = if self.nth % 3 == 1 { self.talks_to() } else { self.plays_with() };
        let session = SessionName::new(session).expect("letters, digits and hyphens make a name");
        let (input, policy) = if self.nth % 3 == 1 {
            let policies = [SessionPolicy::Enqueue, SessionPolicy::Interrupt, SessionPolicy::Rollback];
            let policy = if dice.one_in(3) { *dice.pick(&policies) } else { SessionPolicy::Enqueue };
            (Input::Talk(talk::draw(self.seed, id)), policy)
        } else {
            (Input::Script(script::draw(self.seed, id)), SessionPolicy::Enqueue)
        };
        pages.asked.push(Asked { input, agent, session, policy, key, times: 0, run: None });
        id
    }

    /// Conversations of agents with models are shared by two.
    fn talks_to(&self) -> (String, String) {
        let pair = self.nth / 6;
        (thinker_name(pair % THINKERS), format!("talk-{pair}"))
    }

    /// Of five callers three have a session of their own; the others share some.
    fn plays_with(&self) -> (String, String) {
        let shared = self.nth % 5 >= 3;
        let (agent, session) = if shared {
            (self.nth % 4 % self.agents, format!("shared-{}", self.nth % 4))
        } else {
            (self.nth % self.agents, format!("own-{}", self.nth))
        };
        (agent_name(agent), session)
    }

    /// Submits until there is an answer. Without a key it is submitted once: nobody knows what became of it.
    async fn submit(&mut self, script: u64) -> Option<RunId> {
        let mut up = self.lives.up().await;
        loop {
            match self.submit_once(&up, script).await {
                Ok(run) => return Some(run),
                Err(true) => up = self.lives.after(&up).await,
                Err(false) => return None,
            }
        }
    }

    /// Submits once. The error: whether it may be submitted again.
    async fn submit_once(&self, up: &Up, script: u64) -> Result<RunId, bool> {
        let (agent, request) = {
            let mut pages = self.book.open();
            let request = pages.ask(script);
            (pages.asked[script as usize].agent.clone(), request)
        };
        let agent: AgentRef = agent.parse().expect("it is a name");
        let keyed = request.idempotency_key.is_some();
        match up.runtime.submit(&agent, request).await {
            Ok(submitted) => {
                self.book.open().accepted(script, submitted.run, submitted.repeated);
                Ok(submitted.run)
            }
            Err(error) => {
                if !is_away(&error) {
                    self.book.violation(Law::Served, format!("a submission was answered: {error}"));
                }
                Err(keyed && is_away(&error))
            }
        }
    }

    /// Sees a run to its end; some are cancelled on the way, some submitted again afterwards.
    async fn follow(&mut self, script: u64, run: RunId, dice: &mut Dice) {
        let streamed = dice.one_in(4);
        let cancel = dice.one_in(8).then(|| if dice.one_in(3) { 0 } else { dice.between(0, 250) });
        let keyed = self.book.open().asked[script as usize].key.is_some();
        let again = keyed && dice.one_in(3);
        if let Some(millis) = cancel {
            let soon = Duration::from_millis(millis);
            if timeout(soon, self.until_ended(script, run, keyed, streamed)).await.is_err() {
                let within = *dice.pick(&[0, 30, 300]);
                self.cancel(run, Duration::from_millis(within)).await;
            } else {
                return;
            }
        }
        self.until_ended(script, run, keyed, streamed).await;
        if again {
            let up = self.lives.up().await;
            // The book sees whether it is the same run.
            let _ = self.submit_once(&up, script).await;
        }
    }

    async fn until_ended(&mut self, script: u64, run: RunId, keyed: bool, streamed: bool) {
        let mut up = self.lives.up().await;
        let mut wrong_in = None;
        loop {
            let ended = if streamed { self.watch(&up, run).await } else { Ok(()) };
            let joined = match ended {
                Ok(()) => up.runtime.join(&run, JOIN).await,
                Err(error) => Err(error),
            };
            let error = match joined {
                Ok(Joined::Ended(finished)) => return self.book.open().finished(finished),
                Ok(Joined::Open(_)) => continue,
                Err(error) => error,
            };
            if matches!(error, RuntimeError::UnknownRun { .. }) {
                return self.book.violation(Law::Lost, format!("{run} was accepted, and is unknown now"));
            }
            if !is_away(&error) && wrong_in.replace(up.life) != Some(up.life) {
                self.book.violation(Law::Served, format!("waiting for {run} was answered: {error}"));
            }
            let next = self.lives.after(&up).await;
            if keyed && next.life != up.life {
                let _ = self.submit_once(&next, script).await;
            }
            up = next;
        }
    }

    /// Watches a run until it is over, going on where the last look ended.
    async fn watch(&self, up: &Up, run: RunId) -> Result<(), RuntimeError> {
        let last = self.book.open().seen.get(&run).and_then(|seen| seen.keys().next_back().copied());
        let mut items = up.runtime.stream(&run, Seq(last.unwrap_or(0) + 1)).await?;
        while let Some(item) = items.next().await {
            if let StreamItem::Entry { entry, .. } = item? {
                self.book.open().saw(run, &entry);
                if matches!(entry.kind, EntryKind::Ended(_)) {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn cancel(&mut self, run: RunId, within: Duration) {
        let up = self.lives.up().await;
        let nth = {
            let mut pages = self.book.open();
            pages.cancels.push(Cancel { run, answer: None });
            pages.cancels.len() - 1
        };
        match up.runtime.cancel(&run, "the caller has changed their mind", within).await {
            Ok(receipt) => {
                let answer = Some((receipt, self.clock.now(), up.life));
                self.book.open().cancels[nth].answer = answer;
            }
            Err(error) if is_away(&error) => {}
            Err(error) => self.book.violation(Law::Served, format!("cancelling {run} was answered: {error}")),
        }
    }
}
