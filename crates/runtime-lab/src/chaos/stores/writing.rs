//! The process that writes, says what was acknowledged, and is killed.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use runtime_state::OpenError;
use runtime_traits::Cause;
use runtime_traits::store::{
    Batch, BatchId, Committed, Durability, Fence, Seq, StateError, StateStore, Then, Token, When,
};
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use thiserror::Error;
use tokio::task::JoinSet;

use super::word::{Acknowledged, Why, Word};
use super::work::{Piece, Work};
use crate::chaos::dice::Dice;
use crate::chaos::flaw::{Flaw, FlawedStore};

/// The name of the hidden command.
pub(super) const COMMAND: &str = "write";

/// Before a batch that was refused is submitted again.
const AGAIN: Duration = Duration::from_millis(10);
/// Of so many batches one is followed by a look whether the store refuses what it must.
const PROBED: u64 = 12;

/// What the parent tells the process.
#[derive(Clone, Debug, Args)]
pub(in crate::chaos) struct WriteArgs {
    /// The store's URI.
    #[arg(long)]
    pub(super) store: String,
    #[arg(long)]
    pub(super) seed: u64,
    #[arg(long)]
    pub(super) writers: u32,
    /// Which process this is over the same store: tells its batches from those of the others.
    #[arg(long)]
    pub(super) life: u64,
    /// The last batch of each writer; none: until it is killed.
    #[arg(long)]
    pub(super) until: Option<u64>,
    /// Whether it kills itself when it is done, and closes nothing.
    #[arg(long)]
    pub(super) unclosed: bool,
    /// Whether every batch asks for all that the store can give.
    #[arg(long)]
    pub(super) best: bool,
    /// Lets the store break its contract.
    #[arg(long)]
    pub(super) flaw: Option<Flaw>,
}

/// Why the process could not write.
#[derive(Debug, Error)]
pub(in crate::chaos) enum WriteError {
    /// It could not be tied to its parent.
    #[error("the system does not tie this process to its parent")]
    Tie(#[source] io::Error),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store does not let it begin.
    #[error("the store does not let the writers begin")]
    Begin(#[source] StateError),
}

/// Writes until it is killed or done.
///
/// # Errors
/// [`WriteError`]: why it could not begin.
pub(in crate::chaos) async fn write(args: WriteArgs) -> Result<(), WriteError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|errno| WriteError::Tie(errno.into()))?;
    let mut store = runtime_state::open(&args.store).await?;
    if let Some(flaw) = args.flaw {
        store = Arc::new(FlawedStore::new(store, flaw));
    }
    let work = Work { seed: args.seed, writers: args.writers };
    let token = Token(u128::from(args.life).wrapping_add(u128::from(args.seed) << 64).to_be_bytes());
    claim(store.as_ref(), token).await.map_err(WriteError::Begin)?;
    let mut firsts = Vec::new();
    for nth in 0..work.writers {
        let tail = store.read(&Work::journal(nth), Seq::FIRST, 0).await;
        firsts.push(tail.map_err(WriteError::Begin)?.next);
    }
    // From here on the store may go away.
    let mut writers = JoinSet::new();
    say(&Word::Begins { process: std::process::id() });
    for (next, nth) in firsts.into_iter().zip(0..) {
        let writer = Writer { store: Arc::clone(&store), work, nth, token, args: args.clone() };
        writers.spawn(writer.work(next.0));
    }
    while let Some(ended) = writers.join_next().await {
        if let Err(error) = ended {
            say(&Word::Wrong(format!("a writer broke: {error}")));
        }
    }
    if args.unclosed {
        say(&Word::Ends);
        let _ = kill_process(getpid(), Signal::KILL);
        return std::future::pending().await;
    }
    drop(store);
    say(&Word::Ends);
    Ok(())
}

/// Says something in one write, so that it is heard whole.
fn say(word: &Word) {
    let line = format!("{word}\n");
    let mut out = io::stdout().lock();
    // A parent that is gone hears nothing, and this process ends with it.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// Takes every partition, as the owner that comes next.
async fn claim(store: &dyn StateStore, token: Token) -> Result<(), StateError> {
    for (partition, nth) in Work::partitions().into_iter().zip(1..) {
        let owner = Work::owner(partition);
        let condition = match store.get(std::slice::from_ref(&owner)).await?.pop().flatten() {
            Some(cell) => When::Revision(owner.clone(), cell.revision),
            None => When::Absent(owner.clone()),
        };
        let batch = Batch {
            id: BatchId(u128::from_be_bytes(token.0) ^ nth << 120),
            partition,
            fence: None,
            when: vec![condition],
            then: vec![Then::Put(owner, Bytes::copy_from_slice(&token.0))],
            durability: store.profile().best,
        };
        store.commit(batch).await?;
    }
    Ok(())
}

/// One writer: its batches one after the other.
struct Writer {
    store: Arc<dyn StateStore>,
    work: Work,
    nth: u32,
    token: Token,
    args: WriteArgs,
}

impl Writer {
    async fn work(self, first: u64) {
        let last = self.args.until.unwrap_or(u64::MAX);
        for n in first..=last {
            let batch = self.batch(n);
            let done = self.commit(n, &batch).await;
            if Dice::of(self.work.seed, ("probe", self.nth, n, self.args.life)).one_in(PROBED) {
                self.probe(n, &batch, &done).await;
            }
        }
    }

    fn batch(&self, n: u64) -> Batch {
        let Piece { when, then, durability } = self.work.piece(self.nth, n);
        let best = self.store.profile().best;
        Batch {
            id: self.id(n, 0),
            partition: Work::home(self.nth),
            fence: Some(self.fence(self.token)),
            when,
            then,
            durability: if self.args.best { best } else { durability.min(best) },
        }
    }

    fn fence(&self, token: Token) -> Fence {
        Fence { owner: Work::owner(Work::home(self.nth)), token }
    }

    /// Ids of this process, this writer, and this batch.
    fn id(&self, n: u64, probe: u8) -> BatchId {
        let mut dice = Dice::of(self.work.seed, ("id", self.args.life, self.nth, n, probe));
        BatchId(u128::from(dice.roll()) << 64 | u128::from(dice.roll()))
    }

    /// Commits, however often it is refused.
    async fn commit(&self, n: u64, batch: &Batch) -> Committed {
        // Whether one of the tries may have landed.
        let mut unknown = false;
        loop {
            match self.store.commit(batch.clone()).await {
                Ok(done) => {
                    say(&Word::Acknowledged(Acknowledged {
                        writer: self.nth,
                        n,
                        revision: done.revision.0,
                        durability: done.durability,
                    }));
                    if done.durability < batch.durability {
                        say(&Word::Wrong(format!("batch {n} asked for more than it got: {done:?}")));
                    }
                    return done;
                }
                Err(error) => {
                    say(&Word::Refused { writer: self.nth, n, why: Why::of(&error) });
                    unknown |= matches!(error, StateError::Unknown { .. });
                    self.read(n, &error, unknown).await;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Reads what is certainly there, after a batch was refused.
    async fn read(&self, n: u64, refusal: &StateError, unknown: bool) {
        let count = Work::count(self.nth);
        let read = self.store.get(std::slice::from_ref(&count)).await;
        match (read, refusal) {
            (Ok(_), StateError::Poisoned { .. }) => {
                say(&Word::Wrong("a poisoned store answers reads".to_owned()));
            }
            (Ok(cells), _) => {
                let found = cells[0].as_ref().map_or(Bytes::from_static(b"0"), |cell| cell.value.clone());
                // What is not known may be there.
                let after = unknown && found == n.to_string();
                if found == (n - 1).to_string() || after {
                    say(&Word::Reads { writer: self.nth });
                } else {
                    let found = found.escape_ascii();
                    say(&Word::Wrong(format!(
                        "batch {n} was refused ({refusal}), and `{count}` holds {found}"
                    )));
                }
            }
            (Err(_), StateError::Poisoned { .. }) => {}
            (Err(error), _) => say(&Word::Refused { writer: self.nth, n, why: Why::of(&error) }),
        }
    }

    /// Submits what has to be refused, and what has to be answered as before.
    async fn probe(&self, n: u64, batch: &Batch, done: &Committed) {
        let strange = Batch {
            when: Vec::new(),
            then: vec![Then::Put(Work::probe(self.nth), n.to_string().into())],
            durability: Durability::Memory,
            ..batch.clone()
        };
        let stale = When::Next(Work::journal(self.nth), Seq(n));
        let stale = Batch { id: self.id(n, 1), when: vec![stale], ..strange.clone() };
        self.must(stale, "whose condition does not hold", |answer| {
            matches!(answer, Err(StateError::Conflict { condition: 0 }))
        })
        .await;
        let other = Some(self.fence(Token([7; 16])));
        let fenced = Batch { id: self.id(n, 2), fence: other, ..strange };
        let is_fenced = |answer: &Result<Committed, StateError>| matches!(answer, Err(StateError::Fenced));
        self.must(fenced, "of another owner", is_fenced).await;
        self.must(batch.clone(), "that was answered before", |answer| {
            answer
                .as_ref()
                .is_ok_and(|again| (again.revision, &again.appended) == (done.revision, &done.appended))
        })
        .await;
    }

    async fn must(
        &self,
        batch: Batch,
        what: &str,
        holds: impl FnOnce(&Result<Committed, StateError>) -> bool,
    ) {
        let answer = self.store.commit(batch).await;
        // Where something else is wrong with the store, nothing is learnt.
        let learns = !matches!(
            answer,
            Err(StateError::NoSpace
                | StateError::Poisoned { .. }
                | StateError::Unavailable { .. }
                | StateError::Unknown { .. })
        );
        if learns && !holds(&answer) {
            let answer = answer.map_err(|error| Cause::of(&error).to_string());
            say(&Word::Wrong(format!("a batch {what} is answered {answer:?}")));
        }
    }
}
