//! Mail between partitions: what leaves one is sent to the inbox of the other, and taken there. At least once; what has
//! been taken is known and dropped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use runtime_codec::{Cursor, InboxMail, Mail, OutboxMail, decode, encode};
use runtime_traits::id::RunId;
use runtime_traits::log::{StepFailure, StepFailureKind, Usage};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Key, Log, Seq, StateError, Then, When};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::child::Overtaken;
use super::inner::Inner;
use super::load::read;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// Mails that are sent or taken together: with at most 8 KiB each, they fit into a batch.
const GROUP: u32 = 48;
/// How long a run may take to have a mail recorded, until it is tried again behind the others.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before what could not be sent or taken is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Where there is mail. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Post(Arc<Rung>);

#[derive(Debug, Default)]
struct Rung {
    rung: Mutex<BTreeSet<Partition>>,
    bell: Notify,
    /// The partitions that a task sees to.
    seen_to: Mutex<BTreeSet<Partition>>,
}

/// A partition that a task sees to, however that ends.
struct SeenTo(Post, Partition);

impl Drop for SeenTo {
    fn drop(&mut self) {
        self.0.done(self.1);
    }
}

/// A cursor as it stands in the store.
pub(super) struct At {
    key: Key,
    pub(super) done: u64,
    when: When,
}

impl Post {
    /// Says that there is mail in a partition.
    pub(super) fn ring(&self, partition: Partition) {
        lock(&self.0.rung).insert(partition);
        self.0.bell.notify_one();
    }

    fn take(&self) -> Vec<Partition> {
        let (mut rung, mut seen_to) = (lock(&self.0.rung), lock(&self.0.seen_to));
        let free: Vec<Partition> =
            rung.iter().filter(|partition| !seen_to.contains(partition)).copied().collect();
        for partition in &free {
            rung.remove(partition);
            seen_to.insert(*partition);
        }
        free
    }

    fn done(&self, partition: Partition) {
        lock(&self.0.seen_to).remove(&partition);
        self.0.bell.notify_one();
    }
}

impl Inner {
    /// Sees to the mail of all partitions until the runtime ends.
    pub(super) async fn keep_post(self: Arc<Self>) {
        self.keep(&self.post, Self::see_to, self.control.control()).await;
    }

    /// Does something wherever it is rung for, until the runtime ends: for each partition in one task at a time.
    pub(super) async fn keep<F>(
        self: &Arc<Self>,
        post: &Post,
        see_to: fn(Arc<Self>, Partition) -> F,
        executor: &Handle,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            for partition in post.take() {
                let seeing = see_to(Arc::clone(self), partition);
                let seen_to = SeenTo(post.clone(), partition);
                let seeing = async move {
                    seeing.await;
                    drop(seen_to);
                };
                self.tasks.spawn_on(seeing, executor);
            }
            tokio::select! {
                () = post.0.bell.notified() => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    async fn see_to(self: Arc<Self>, partition: Partition) {
        loop {
            // Both in any case: what is taken makes room for what is to be sent.
            let (sent, taken) = (self.send_out(partition).await, self.take_in(partition).await);
            let Err(error) = sent.and(taken) else { return };
            if self.ending.is_cancelled() || matches!(error, RuntimeError::ShuttingDown) {
                return;
            }
            tracing::warn!(%partition, %error, "mail could not be sent or taken; it is tried again");
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    /// Sends what leaves the partition.
    async fn send_out(&self, partition: Partition) -> Result<(), RuntimeError> {
        let log = keys::outbox(partition);
        loop {
            let _moving = self.moving_mail.read().await;
            let at = self.cursor(keys::sent(partition)).await?;
            let mails = self.mails::<OutboxMail>(&log, at.done).await?;
            let Some((last, _)) = mails.last() else { return Ok(()) };
            let last = *last;
            let mut by_target: BTreeMap<Partition, Vec<bytes::Bytes>> = BTreeMap::new();
            for (number, OutboxMail { to, mail }) in mails {
                by_target.entry(to).or_default().push(encode(&InboxMail { from: partition, number, mail }));
            }
            for (to, mails) in by_target {
                let then = vec![Then::Append(keys::inbox(to), mails)];
                // Once more after a crash: its owner drops what it has taken.
                let room = When::BacklogBelow(keys::inbox(to), self.config.max_mail);
                self.commit_unfenced(to, Writes::of(vec![room], then)).await?;
                self.post.ring(to);
            }
            self.commit(partition, advance(at, &log, last)).await?;
        }
    }

    /// Takes what came into the partition.
    async fn take_in(self: &Arc<Self>, partition: Partition) -> Result<(), RuntimeError> {
        let log = keys::inbox(partition);
        loop {
            let _moving = self.moving_mail.read().await;
            let at = self.cursor(keys::taken(partition)).await?;
            let mails = self.mails::<InboxMail>(&log, at.done).await?;
            let Some((last, _)) = mails.last() else { return Ok(()) };
            let mut writes = advance(at, &log, *last);
            let mut taken: HashMap<Partition, u64> = HashMap::new();
            let mut fresh: BTreeMap<RunId, Vec<(Partition, Mail)>> = BTreeMap::new();
            for (_, InboxMail { from, number, mail }) in mails {
                let before = match taken.get(&from) {
                    Some(before) => *before,
                    None => self.cursor(keys::taken_from(partition, from)).await?.done,
                };
                if number > before {
                    fresh.entry(concerned(&mail)).or_default().push((from, mail));
                    taken.insert(from, number);
                }
            }
            // What concerns one run is done in its order, and different runs do not wait for each other.
            let chains = fresh.into_values().map(|mails| self.take_mails(mails));
            for answer in join_all(chains).await {
                for (to, mail) in answer? {
                    writes.send(partition, to, mail);
                }
            }
            let seen = taken.into_iter();
            writes.then.extend(
                seen.map(|(from, done)| {
                    Then::Put(keys::taken_from(partition, from), encode(&Cursor { done }))
                }),
            );
            self.commit(partition, writes).await?;
        }
    }

    /// Does what mails to one run say. What is to be sent because of it.
    ///
    /// # Errors
    /// What keeps everything from being done: the store is away, or the runtime ends. Whatever else goes wrong concerns
    /// that run only, and keeps no other mail from being taken.
    async fn take_mails(
        self: &Arc<Self>,
        mails: Vec<(Partition, Mail)>,
    ) -> Result<Vec<(Partition, Mail)>, RuntimeError> {
        let mut answers = Vec::new();
        for (from, mail) in mails {
            let (inner, again) = (Arc::clone(self), mail.clone());
            // What was put behind the others comes from where it lies.
            let overtaken = Arc::new(AtomicBool::new(from == concerned(&mail).partition()));
            let late = Arc::clone(&overtaken);
            let (run, here) = (concerned(&mail), concerned(&mail).partition());
            // A task of its own: what has begun with a run is seen through, whoever waits for it.
            let taking = self.whole(async move { inner.take_mail(mail, late).await });
            match timeout(TAKEN_WITHIN, taking).await {
                Ok(Ok(answer)) => answers.extend(answer),
                // It is tried again, behind the others, and what is under way knows.
                Err(_) | Ok(Err(RuntimeError::Busy { .. })) => {
                    overtaken.store(true, Ordering::SeqCst);
                    answers.push((here, again));
                }
                Ok(Err(error)) if stops_all(&error) => return Err(error),
                Ok(Err(error)) => {
                    tracing::error!(%run, %error, "mail to a run could not be taken; it is dropped");
                    answers.extend(refusal(&again, &error));
                }
            }
        }
        Ok(answers)
    }

    /// Does what a mail says; it may be said again. What is to be answered, and to whom.
    async fn take_mail(
        self: &Arc<Self>,
        mail: Mail,
        overtaken: Overtaken,
    ) -> Result<Option<(Partition, Mail)>, RuntimeError> {
        match mail {
            Mail::Start(child) => {
                let to = child.parent.partition();
                Ok(self.start_child(*child, overtaken).await?.map(|answer| (to, answer)))
            }
            Mail::Cancel { run } => self.cancel_child(&run).await.map(|()| None),
            Mail::Over { parent, step, run, result, usage } => {
                self.child_over(&parent, step, &run, result, usage).await.map(|()| None)
            }
        }
    }

    pub(super) async fn cursor(&self, key: Key) -> Result<At, RuntimeError> {
        let cell = self.store.get(std::slice::from_ref(&key)).await?.pop().flatten();
        Ok(match cell {
            None => At { done: 0, when: When::Absent(key.clone()), key },
            Some(cell) => {
                let Cursor { done } = read(&key, &cell)?;
                At { done, when: When::Revision(key.clone(), cell.revision), key }
            }
        })
    }

    async fn mails<M: runtime_codec::Record>(
        &self,
        log: &Log,
        done: u64,
    ) -> Result<Vec<(u64, M)>, RuntimeError> {
        let tail = self.store.read(log, Seq(done + 1), GROUP).await?;
        let unreadable = |error| RuntimeError::Damaged { what: format!("`{log}` ({error})") };
        let mails = tail.entries.iter().zip(tail.first.0..);
        mails.map(|(bytes, number)| Ok((number, decode(bytes).map_err(unreadable)?))).collect()
    }
}

/// Moves a cursor on and lets go what is before it.
pub(super) fn advance(at: At, log: &Log, done: u64) -> Writes {
    let then = vec![Then::Put(at.key, encode(&Cursor { done })), Then::Trim(log.clone(), Seq(done + 1))];
    Writes::of(vec![at.when], then)
}

/// The run that a mail is about: mails to different runs may be taken in any order.
fn concerned(mail: &Mail) -> RunId {
    match mail {
        Mail::Start(child) => child.run,
        Mail::Cancel { run } => *run,
        Mail::Over { parent, .. } => *parent,
    }
}

/// Whether a failure is the store's, or the runtime ends: then nothing can be done for any run.
fn stops_all(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::Store(error) => !matches!(error, StateError::TooLarge { .. }),
        error => matches!(error, RuntimeError::ShuttingDown),
    }
}

/// What a step is told whose call could not be made.
fn refusal(mail: &Mail, error: &RuntimeError) -> Option<(Partition, Mail)> {
    let Mail::Start(child) = mail else { return None };
    let failure = StepFailure { kind: StepFailureKind::Work, message: error.to_string() };
    let (parent, step, run) = (child.parent, child.step.clone(), child.run);
    Some((
        parent.partition(),
        Mail::Over { parent, step, run, result: Err(failure), usage: Usage::default() },
    ))
}
