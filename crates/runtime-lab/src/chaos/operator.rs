//! The people around: one decides and answers what runs wait for and looks after every restart whether all runs are
//! there, the other one saves agents.

mod quarantine;
mod replies;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use runtime_traits::clock::UnixMillis;
use runtime_traits::log::{Phase, WaitOn};
use runtime_traits::runtime::{Decision, RunFilter};
use runtime_traits::{AgentRef, Clock, Content, Name, RunId, RunView, Runtime, RuntimeError, StepKey};

pub(super) use replies::answer_to;

use super::book::{Book, Decided};
use super::dice::Dice;
use super::host::{agent_name, thinkers};
use super::lives::{Lives, Up, is_away};
use super::script::assumed;
use super::violation::Law;

/// Between two looks.
const ROUND: Duration = Duration::from_millis(100);
/// Between two snapshots.
const BETWEEN_SAVES: Duration = Duration::from_millis(250);
/// How long some decisions take: longer than a waiting run stays in memory.
const SLOWLY: Duration = Duration::from_secs(6);
const AT_ONCE: usize = 16;

/// Decides what runs wait for.
#[derive(Debug)]
pub(super) struct Operator {
    pub(super) seed: u64,
    pub(super) book: Book,
    pub(super) lives: Lives,
    pub(super) clock: Arc<dyn Clock>,
    /// Since when a step is known to wait.
    pub(super) waiting: HashMap<(RunId, StepKey), UnixMillis>,
}

impl Operator {
    /// Looks and decides until the campaign is over.
    pub(super) async fn work(mut self) {
        let mut looked_in = None;
        loop {
            let up = self.lives.up().await;
            let known = (looked_in != Some(up.life)).then(|| self.book.open().open_runs());
            match list(&up).await {
                Ok(open) => {
                    if let Some(known) = known {
                        looked_in = Some(up.life);
                        self.look_for(&up, known, &open).await;
                    }
                    self.decide_all(&up, &open).await;
                }
                Err(error) if is_away(&error) => {}
                Err(error) => self.book.violation(Law::Served, format!("a list was answered: {error}")),
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    /// Looks whether every run that was accepted is open, or over.
    async fn look_for(&self, up: &Up, known: HashSet<RunId>, open: &[RunView]) {
        let listed: HashSet<RunId> = open.iter().map(|view| view.run).collect();
        for run in known.difference(&listed) {
            match up.runtime.run_status(run).await {
                Ok(view) if view.phase == Phase::Ended => {}
                // It may have been accepted since the list was made.
                Ok(_) if self.is_listed(up, run).await => {}
                Ok(view) => {
                    let what = format!("{run} is {:?} and in no list of open runs", view.phase);
                    self.book.violation(Law::Lost, what);
                }
                Err(RuntimeError::UnknownRun { .. }) => {
                    let what = format!("{run} was accepted, and is unknown in life {}", up.life);
                    self.book.violation(Law::Lost, what);
                }
                Err(_) => return,
            }
        }
    }

    async fn is_listed(&self, up: &Up, run: &RunId) -> bool {
        list(up).await.is_ok_and(|open| open.iter().any(|view| view.run == *run))
            || up.runtime.run_status(run).await.is_ok_and(|view| view.phase == Phase::Ended)
    }

    async fn decide_all(&mut self, up: &Up, open: &[RunView]) {
        let (mut due, mut asks, mut aside) = (Vec::new(), Vec::new(), Vec::new());
        for view in open {
            for wait in &view.waits {
                match &wait.on {
                    WaitOn::Approval(step) | WaitOn::Answer(step) if self.is_due(view.run, step) => {
                        asks.push((view.run, wait.clone()));
                    }
                    WaitOn::Decision(step) if self.is_due(view.run, step) => {
                        due.push((view.run, step.clone()));
                    }
                    // Who is killed again and again from outside looks like poison.
                    WaitOn::Operator { .. } => aside.push(view.run),
                    WaitOn::Decision(_)
                    | WaitOn::Time(_)
                    | WaitOn::Approval(_)
                    | WaitOn::Answer(_)
                    | WaitOn::Child { .. } => {}
                    other => {
                        let what = format!("{} waits for {other:?}", view.run);
                        self.book.violation(Law::Stuck, what);
                    }
                }
            }
        }
        let this = &*self;
        let replies = asks.into_iter().map(|(run, wait)| this.reply(up, run, wait));
        stream::iter(replies).buffer_unordered(AT_ONCE).collect::<()>().await;
        for run in aside {
            this.let_out(up, run).await;
        }
        let decisions = due.into_iter().map(|(run, step)| this.decide(up, run, step));
        stream::iter(decisions).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    fn is_due(&mut self, run: RunId, step: &StepKey) -> bool {
        let now = self.clock.now();
        let since = *self.waiting.entry((run, step.clone())).or_insert(now);
        let slow = Dice::of(self.seed, ("slow", run.to_string(), step.to_string())).one_in(6);
        !slow || self.lives.finishing() || now.since(since) > SLOWLY
    }

    async fn decide(&self, up: &Up, run: RunId, step: StepKey) {
        let verdict = {
            let pages = self.book.open();
            let before =
                pages.decisions.iter().filter(|given| given.run == run && given.step == step).count();
            self.verdict(run, &step, before)
        };
        let first = self.send(up, run, &step, verdict.clone()).await;
        // Nothing waits any more: a second verdict must not be taken.
        if first && Dice::of(self.seed, ("again", run.to_string())).one_in(4) {
            let second = self.send(up, run, &step, Decision::Fail).await;
            if second {
                let what = format!("{step} of {run} was decided twice in life {}", up.life);
                self.book.violation(Law::Decided, what);
            }
        }
    }

    fn verdict(&self, run: RunId, step: &StepKey, before: usize) -> Decision {
        let mut dice = Dice::of(self.seed, ("verdict", run.to_string(), step.to_string(), before));
        match dice.between(0, 3) {
            0 | 1 => Decision::Repeat,
            2 => Decision::Assume(Content::json(&assumed(step)).expect("a text is JSON")),
            _ => Decision::Fail,
        }
    }

    /// Sends a verdict. `true`: it is recorded.
    async fn send(&self, up: &Up, run: RunId, step: &StepKey, verdict: Decision) -> bool {
        let nth = {
            let mut pages = self.book.open();
            let decided = Decided { run, step: step.clone(), verdict: verdict.clone(), recorded: false };
            pages.decisions.push(decided);
            pages.decisions.len() - 1
        };
        match up.runtime.decide(&run, step, verdict).await {
            Ok(()) => {
                self.book.open().decisions[nth].recorded = true;
                return true;
            }
            // It had landed before, or the run went on without it.
            Err(RuntimeError::NothingToDecide { .. } | RuntimeError::RunOver { .. }) => {}
            Err(error) if is_away(&error) => {}
            Err(error) => {
                self.book
                    .violation(Law::Served, format!("a verdict on {step} of {run} was answered: {error}"));
            }
        }
        false
    }
}

/// Saves one agent after the other until nothing new is asked for: what a save tells has then left before the server ends.
pub(super) async fn save(book: Book, mut lives: Lives, agents: u32) {
    let names: Vec<String> = (0..agents).map(agent_name).chain(thinkers()).collect();
    for name in names.into_iter().cycle() {
        let agent = Name::new(name).expect("letters, digits and a hyphen make a name");
        let up = lives.up().await;
        match up.runtime.save_state(&AgentRef::from(agent)).await {
            Ok(state) => book.open().saves.push(state),
            Err(error) if is_away(&error) => {}
            Err(error) => book.violation(Law::Served, format!("a save was answered: {error}")),
        }
        if lives.finishing() {
            return;
        }
        tokio::time::sleep(BETWEEN_SAVES).await;
    }
}

/// All open runs.
pub(super) async fn list(up: &Up) -> Result<Vec<RunView>, RuntimeError> {
    let mut open = Vec::new();
    let mut filter = RunFilter { open: true, limit: 1_000, ..RunFilter::default() };
    loop {
        let page = up.runtime.runs(filter.clone()).await?;
        open.extend(page.items);
        filter.after = page.next;
        if filter.after.is_none() {
            return Ok(open);
        }
    }
}
