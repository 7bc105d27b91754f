//! Mail between partitions: what leaves one is sent to the inbox of the other, and taken there. At least once; what has
//! been taken is known and dropped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_codec::{Cursor, InboxMail, Mail, OutboxMail, decode, encode};
use runtime_traits::partition::Partition;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::store::{Key, Log, Seq, Then, When};
use tokio::sync::Notify;

use super::inner::Inner;
use super::load::read;
use super::run_slot::lock;
use crate::engine::batches::Writes;
use crate::engine::keys;

/// Mails that are sent or taken together: with at most 8 KiB each, they fit into a batch.
const GROUP: u32 = 48;
/// How long to wait before what could not be sent or taken is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Where there is mail.
#[derive(Debug, Default)]
pub(super) struct Post {
    rung: Mutex<BTreeSet<Partition>>,
    bell: Notify,
    /// The partitions that a task sees to.
    seen_to: Mutex<BTreeSet<Partition>>,
}

/// A cursor as it stands in the store.
struct At {
    key: Key,
    done: u64,
    when: When,
}

impl Post {
    /// Says that there is mail in a partition.
    pub(super) fn ring(&self, partition: Partition) {
        lock(&self.rung).insert(partition);
        self.bell.notify_one();
    }

    fn take(&self) -> Vec<Partition> {
        let (mut rung, mut seen_to) = (lock(&self.rung), lock(&self.seen_to));
        let free: Vec<Partition> =
            rung.iter().filter(|partition| !seen_to.contains(partition)).copied().collect();
        for partition in &free {
            rung.remove(partition);
            seen_to.insert(*partition);
        }
        free
    }

    fn done(&self, partition: Partition) {
        lock(&self.seen_to).remove(&partition);
        self.bell.notify_one();
    }
}

impl Inner {
    /// Sees to the mail of all partitions until the runtime ends.
    pub(super) async fn keep_post(self: Arc<Self>) {
        loop {
            for partition in self.post.take() {
                let inner = Arc::clone(&self);
                self.tasks.spawn(async move {
                    inner.see_to(partition).await;
                    inner.post.done(partition);
                });
            }
            tokio::select! {
                () = self.post.bell.notified() => {}
                () = self.ending.cancelled() => return,
            }
        }
    }

    async fn see_to(self: &Arc<Self>, partition: Partition) {
        loop {
            let error = match self.send_out(partition).await {
                Ok(()) => match self.take_in(partition).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
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
                self.commit_unfenced(to, Writes::of(Vec::new(), then)).await?;
                self.post.ring(to);
            }
            self.commit(partition, advance(at, &log, last)).await?;
        }
    }

    /// Takes what came into the partition.
    async fn take_in(self: &Arc<Self>, partition: Partition) -> Result<(), RuntimeError> {
        let log = keys::inbox(partition);
        loop {
            let at = self.cursor(keys::taken(partition)).await?;
            let mails = self.mails::<InboxMail>(&log, at.done).await?;
            let Some((last, _)) = mails.last() else { return Ok(()) };
            let mut writes = advance(at, &log, *last);
            let mut taken: HashMap<Partition, u64> = HashMap::new();
            for (_, InboxMail { from, number, mail }) in mails {
                let before = match taken.get(&from) {
                    Some(before) => *before,
                    None => self.cursor(keys::taken_from(partition, from)).await?.done,
                };
                if number > before {
                    if let Some((to, answer)) = self.take_mail(from, mail).await? {
                        writes.send(partition, to, answer);
                    }
                    taken.insert(from, number);
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

    /// Does what a mail says; it may be said again. What is to be answered, and to whom.
    async fn take_mail(
        self: &Arc<Self>,
        from: Partition,
        mail: Mail,
    ) -> Result<Option<(Partition, Mail)>, RuntimeError> {
        match mail {
            Mail::Start(child) => {
                let to = child.parent.partition();
                Ok(self.start_child(from, *child).await?.map(|answer| (to, answer)))
            }
            Mail::Cancel { run } => self.cancel_child(&run).await.map(|()| None),
            Mail::Over { parent, step, result, usage, .. } => {
                self.child_over(from, &parent, step, result, usage).await.map(|()| None)
            }
        }
    }

    async fn cursor(&self, key: Key) -> Result<At, RuntimeError> {
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
fn advance(at: At, log: &Log, done: u64) -> Writes {
    let then = vec![Then::Put(at.key, encode(&Cursor { done })), Then::Trim(log.clone(), Seq(done + 1))];
    Writes::of(vec![at.when], then)
}
