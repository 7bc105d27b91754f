//! An executor whose only thread is blocked.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use agent_runtime::SystemClock;
use agent_runtime::health::Watched;
use agent_runtime::health::checks::{ExecutorLag, LagBounds};
use agent_runtime::prelude::*;
use runtime_testkit::suites::health::{HealthFixture, Opened, Thing};
use tokio::runtime::Runtime as Executor;

struct Blocked;

#[derive(Debug)]
struct OneThread {
    executor: Option<Executor>,
    /// Lets go the task that blocks it.
    door: Mutex<Option<SyncSender<()>>>,
}

#[async_trait]
impl HealthFixture for Blocked {
    async fn open(&self) -> Opened {
        let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let executor = executor.expect("a thread");
        let bounds =
            LagBounds { degraded: Duration::from_millis(500), unhealthy: Duration::from_millis(1_000) };
        let clock = Arc::new(SystemClock::default());
        let check = ExecutorLag::of(executor.handle().clone(), clock, bounds);
        let thing = OneThread { executor: Some(executor), door: Mutex::default() };
        Opened { check: Arc::new(check), of: Watched::Runtime, thing: Box::new(thing) }
    }
}

#[async_trait]
impl Thing for OneThread {
    async fn breaks(&self) {
        let (door, opens): (_, Receiver<()>) = sync_channel(1);
        let (blocks, is_blocked) = tokio::sync::oneshot::channel();
        let task = async move {
            let _ = blocks.send(());
            let _ = opens.recv();
        };
        drop(self.executor.as_ref().expect("it is there").spawn(task));
        *self.door.lock().expect("nobody panics with it") = Some(door);
        is_blocked.await.expect("it begins to block");
    }

    async fn mends(&self) {
        drop(self.door.lock().expect("nobody panics with it").take());
        let executor = self.executor.as_ref().expect("it is there");
        executor.spawn(async {}).await.expect("it goes on");
    }

    async fn state(&self) -> String {
        let metrics = self.executor.as_ref().expect("it is there").metrics();
        format!("{}", metrics.num_workers())
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        drop(self.door.get_mut().expect("nobody panics with it").take());
        if let Some(executor) = self.executor.take() {
            executor.shutdown_background();
        }
    }
}

mod of_executor_lag {
    runtime_testkit::health_conformance!(super::Blocked);
}
