//! Permits under many schedules of those who use them, as shuttle draws them. A waiter that nobody wakes is a deadlock there, and fails.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicU32, Ordering};

use modelled::{Permit, Permits};

#[path = "../../src/permits.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is the library's source, and is used in part")]
mod modelled;

const MAX: u32 = 2;
const RAISED: u32 = 3;
const TASKS: usize = 4;

/// How many schedules are tried: `AGENT_RUNTIME_SCHEDULES` of them, half by drawing each turn, half by drawing who goes before whom.
fn schedules() -> usize {
    let asked = std::env::var("AGENT_RUNTIME_SCHEDULES").ok().and_then(|asked| asked.parse().ok());
    asked.unwrap_or(400)
}

fn under_all(scenario: fn()) {
    let each = schedules().div_ceil(2);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        shuttle::Runner::new(scheduler, shuttle::Config::new()).run(scenario)
    };
    assert_eq!(run(Box::new(RandomScheduler::new(each))), each);
    assert_eq!(run(Box::new(PctScheduler::new(3, each))), each);
}

#[test]
fn no_more_than_may_hold_a_permit_and_none_leaks_under_any_schedule() {
    under_all(|| {
        let (permits, inside) = (Permits::new(Some(MAX)), Arc::new(AtomicU32::new(0)));
        let tasks = (0..TASKS).map(|_| spawn(uses(permits.clone(), Arc::clone(&inside), MAX))).collect();
        end(&permits, tasks, MAX);
    });
}

#[test]
fn a_limit_that_changes_meanwhile_holds_too_under_any_schedule() {
    under_all(|| {
        let (permits, inside) = (Permits::new(Some(MAX)), Arc::new(AtomicU32::new(0)));
        let changes = spawn(changes(permits.clone(), Arc::clone(&inside)));
        let users = (1..TASKS).map(|_| spawn(uses(permits.clone(), Arc::clone(&inside), RAISED)));
        let tasks = users.chain([changes]).collect();
        end(&permits, tasks, RAISED);
    });
}

/// Asks a few times; sometimes loses patience, before or after it was let in.
async fn uses(permits: Permits, inside: Arc<AtomicU32>, most: u32) {
    for _ in 0..2 {
        let patience = thread_rng().gen_range(0..4_u32);
        let Some(permit) = within(&permits, patience).await else { continue };
        assert!(inside.fetch_add(1, Ordering::SeqCst) < most, "more than {most} are in");
        yield_now().await;
        inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    }
}

/// A permit, unless it takes more than so many polls; 0 is for ever.
async fn within(permits: &Permits, patience: u32) -> Option<Permit> {
    if patience == 0 {
        return Some(permits.acquire().await.expect("few wait"));
    }
    let mut acquire = pin!(permits.acquire());
    let mut left = patience;
    poll_fn(|cx| match acquire.as_mut().poll(cx) {
        Poll::Ready(permit) => Poll::Ready(Some(permit.expect("few wait"))),
        Poll::Pending if left == 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Lowers the limit, looks at who is in once it has drained, and raises it.
async fn changes(permits: Permits, inside: Arc<AtomicU32>) {
    permits.set_max(Some(1));
    while permits.held() > 1 {
        yield_now().await;
    }
    for _ in 0..3 {
        assert!(inside.load(Ordering::SeqCst) <= 1, "more than 1 are in");
        yield_now().await;
    }
    permits.set_max(Some(RAISED));
}

/// When all have ended, nothing is held, nobody waits, and there are as many permits as may be held.
fn end(permits: &Permits, tasks: Vec<JoinHandle<()>>, most: u32) {
    for task in tasks {
        block_on(task).expect("it ended");
    }
    assert_eq!((permits.held(), permits.waiting()), (0, 0));
    let all: Vec<Permit> = std::iter::from_fn(|| permits.try_acquire()).collect();
    assert_eq!(all.len(), most as usize);
}
