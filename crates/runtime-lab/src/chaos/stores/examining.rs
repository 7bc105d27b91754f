//! The process that opens stores and reads them: what a store may do to its process, it does to this one.

use std::io::{self, BufRead, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use agent_runtime::SystemClock;
use clap::Args;
use futures_util::FutureExt;
use runtime_state::OpenError;
use runtime_traits::Clock;
use runtime_traits::store::StateStore;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::compare::{self, Known};
use super::expected::Expected;
use super::integrity::everything;
use super::seen::Seen;
use super::work::Work;
use crate::chaos::flaw::{Flaw, FlawedStore};

/// The name of the hidden command.
pub(super) const COMMAND: &str = "examine";

/// What the parent tells the process.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct ExamineArgs {
    /// Lets the stores break their contract.
    #[arg(long)]
    pub(super) flaw: Option<Flaw>,
}

/// A store to look at: one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Task {
    /// Its URI.
    pub(super) store: String,
    pub(super) seed: u64,
    pub(super) writers: u32,
    /// How many batches each writer has written, if that is certain.
    pub(super) exactly: Option<u64>,
    /// Whether to check everything as well.
    pub(super) check: bool,
}

/// Why the process could not go on.
#[derive(Debug, Error)]
pub(in crate::chaos) enum ExamineError {
    /// It could not be tied to its parent.
    #[error("the system does not tie this process to its parent")]
    Tie(#[source] io::Error),
    /// It cannot hear its parent, or not be heard.
    #[error("the parent of this process cannot be heard, or does not hear")]
    Talk(#[source] io::Error),
    /// What it is told is no task.
    #[error("no task")]
    NoTask(#[source] serde_json::Error),
}

/// Looks at one store after the other, until no more are named.
///
/// # Errors
/// [`ExamineError`]: what keeps it from hearing and answering.
pub(in crate::chaos) async fn examine(args: ExamineArgs) -> Result<(), ExamineError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|errno| ExamineError::Tie(errno.into()))?;
    let panics = count_panics();
    let mut cache: Vec<Expected> = Vec::new();
    let mut known_for = None;
    for line in io::stdin().lock().lines() {
        let line = line.map_err(ExamineError::Talk)?;
        let task: Task = serde_json::from_str(&line).map_err(ExamineError::NoTask)?;
        let work = Work { seed: task.seed, writers: task.writers };
        if known_for != Some(work) {
            known_for = Some(work);
            cache = (0..work.writers).map(|writer| Expected::nothing(work, writer)).collect();
        }
        let before = panics.load(Ordering::SeqCst);
        let mut seen = Seen::default();
        let looking = AssertUnwindSafe(look(&task, work, args.flaw, &mut cache, &mut seen));
        if let Err(panic) = looking.catch_unwind().await {
            seen.panicked = Some(text_of(&panic));
        }
        seen.caught = panics.load(Ordering::SeqCst) - before - u32::from(seen.panicked.is_some());
        let mut answer = serde_json::to_string(&seen).map_err(ExamineError::NoTask)?;
        answer.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(answer.as_bytes()).and_then(|()| out.flush()).map_err(ExamineError::Talk)?;
    }
    Ok(())
}

async fn look(task: &Task, work: Work, flaw: Option<Flaw>, cache: &mut [Expected], seen: &mut Seen) {
    let clock = SystemClock::default();
    let started = clock.now();
    match runtime_state::open(&task.store).await {
        Err(error) => seen.refused = Some(reason(&error)),
        Ok(mut store) => {
            seen.opened_in = clock.now().since(started).as_millis() as u64;
            if let Some(flaw) = flaw {
                store = Arc::new(FlawedStore::new(store, flaw));
            }
            compare_all(store.as_ref(), task, work, cache, seen).await;
        }
    }
    if task.check {
        seen.check = Some(everything(&task.store).await);
    }
}

async fn compare_all(
    store: &dyn StateStore,
    task: &Task,
    work: Work,
    cache: &mut [Expected],
    seen: &mut Seen,
) {
    let known = task.exactly.map_or(Known::ByJournal, Known::Exactly);
    for expected in cache.iter_mut() {
        let before = expected.clone();
        *expected = compare::writer(store, before, known, seen).await;
    }
    compare::strangers(store, work, seen).await;
}

/// What is said when a store does not open: the arm and the words.
fn reason(error: &OpenError) -> String {
    let debug = format!("{error:?}");
    let arm = debug.split([' ', '{', '(']).next().unwrap_or_default();
    format!("{arm}: {}", runtime_traits::Cause::of(error))
}

/// Counts panics, and keeps them quiet: damaged stores cause many.
fn count_panics() -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    panic::set_hook(Box::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    count
}

fn text_of(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}
