//! The task that looks when it is time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use runtime_traits::{Entropy, UnixMillis};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::watch::{Due, How, Watch};

/// What the keeper knows of one thing that is watched.
struct Kept {
    watch: Arc<Watch>,
    /// It was looked at before.
    is_old: bool,
}

/// A look that is over.
struct Over {
    id: u64,
    began: UnixMillis,
    goes_on: bool,
    to_do: Vec<Due>,
}

/// Looks at all that is watched when it is time, until it is dropped.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut due: BinaryHeap<Reverse<(UnixMillis, u64)>> = BinaryHeap::new();
    let mut kept: BTreeMap<u64, Kept> = BTreeMap::new();
    let mut looks: JoinSet<Over> = JoinSet::new();
    // They end with this, and each at its deadline; there is one for a check of a thing at most.
    let mut recoveries: JoinSet<()> = JoinSet::new();
    let mut count = 0;
    loop {
        let now = shared.around.clock.now();
        for watch in shared.arrived() {
            count += 1;
            kept.insert(count, Kept { watch, is_old: false });
            due.push(Reverse((now, count)));
        }
        while let Some(Reverse((at, id))) = due.peek().copied()
            && at <= now
        {
            due.pop();
            if let Some(Kept { watch, .. }) = kept.get(&id) {
                looks.spawn(look(Arc::clone(&shared), Arc::clone(watch), id));
            }
        }
        let pause = due.peek().map(|Reverse((at, _))| at.since(now));
        tokio::select! {
            () = shared.bell.notified() => {}
            () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            Some(over) = looks.join_next() => {
                let Over { id, began, goes_on, to_do } = over.expect("a look catches what panics in it, and nobody else ends it");
                for due in to_do {
                    recoveries.spawn(recover(Arc::clone(&shared), due));
                }
                match kept.get_mut(&id).filter(|_| goes_on) {
                    Some(of) => due.push(Reverse((next(&shared, of, began), id))),
                    None => { kept.remove(&id); }
                }
            }
            Some(_) = recoveries.join_next() => {}
        }
    }
}

/// Looks once.
async fn look(shared: Arc<Shared>, watch: Arc<Watch>, id: u64) -> Over {
    let began = shared.around.clock.now();
    let checks = shared.checks_of(&watch.watched);
    let looking = AssertUnwindSafe(watch.look(&shared.around, checks, How::WhenDue)).catch_unwind();
    tokio::select! {
        biased;
        _ = watch.stopped.acquire() => Over { id, began, goes_on: false, to_do: Vec::new() },
        looked = looking => Over { id, began, goes_on: true, to_do: looked.unwrap_or_default() },
    }
}

/// Does what is to be done.
async fn recover(shared: Arc<Shared>, due: Due) {
    let watch = due.watch();
    let doing = AssertUnwindSafe(due.carry_out(&shared.around)).catch_unwind();
    tokio::select! {
        biased;
        _ = watch.stopped.acquire() => {}
        _ = doing => {}
    }
}

/// When to look again: an interval after the last look began, or when something is to be done before that.
///
/// The second look comes within the first interval, at a moment that is drawn: what began together is not looked at together.
fn next(shared: &Shared, of: &mut Kept, began: UnixMillis) -> UnixMillis {
    let interval = of.watch.interval;
    let pause = if std::mem::replace(&mut of.is_old, true) {
        interval
    } else {
        part_of(interval, shared.around.entropy.as_ref())
    };
    let regular = began.after(pause);
    of.watch.next_try().map_or(regular, |at| at.min(regular))
}

/// A part of a while, a millisecond at least.
fn part_of(interval: Duration, entropy: &dyn Entropy) -> Duration {
    let mut drawn = [0; 8];
    entropy.fill(&mut drawn);
    let most = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(1 + u64::from_le_bytes(drawn) % most)
}
