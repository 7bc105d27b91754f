//! `RuntimeManager` keeps the control contract.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use runtime_core::RuntimeManager;
use runtime_testkit::fakes::{MapSnapshots, MapStore, Turnstile};
use runtime_testkit::suites::runtime::wrong::{Flaw, WrongRuntime};
use runtime_testkit::suites::runtime::{CASES, Case, RuntimeFixture};
use runtime_traits::store::StateStore;
use runtime_traits::{AgentKind, Runtime, Snapshots};

/// Runtimes over a store that outlives them.
struct Managers {
    store: Mutex<Kept>,
}

/// What outlives a runtime.
type Kept = (Arc<dyn StateStore>, Arc<dyn Snapshots>);

fn empty() -> Kept {
    let store: Arc<dyn StateStore> = Arc::new(MapStore::new());
    (Arc::clone(&store), Arc::new(MapSnapshots::new(store)))
}

impl Managers {
    fn new() -> Self {
        Self { store: Mutex::new(empty()) }
    }

    async fn over_the_store(&self, kinds: Vec<Arc<dyn AgentKind>>) -> Arc<dyn Runtime> {
        let (store, snapshots) = self.store.lock().expect("nobody panics with it").clone();
        let builder = RuntimeManager::builder(store).snapshots(snapshots);
        let builder = builder.governor(Arc::new(Turnstile::default()));
        let builder = kinds.into_iter().fold(builder, |builder, kind| builder.kind(kind));
        Arc::new(builder.open().await.expect("the store opens"))
    }
}

#[async_trait]
impl RuntimeFixture for Managers {
    async fn open(&self, kinds: Vec<Arc<dyn AgentKind>>) -> Arc<dyn Runtime> {
        *self.store.lock().expect("nobody panics with it") = empty();
        self.over_the_store(kinds).await
    }

    async fn crash(
        &self,
        runtime: Arc<dyn Runtime>,
        kinds: Vec<Arc<dyn AgentKind>>,
    ) -> Option<Arc<dyn Runtime>> {
        // The next owner of the store shuts this one out, whatever it is still about to do.
        drop(runtime);
        Some(self.over_the_store(kinds).await)
    }
}

runtime_testkit::runtime_conformance!(Managers::new());

/// Runtimes with a flaw.
struct WrongManagers {
    right: Managers,
    flaw: Flaw,
}

#[async_trait]
impl RuntimeFixture for WrongManagers {
    async fn open(&self, kinds: Vec<Arc<dyn AgentKind>>) -> Arc<dyn Runtime> {
        Arc::new(WrongRuntime::new(self.right.open(kinds).await, self.flaw))
    }

    async fn crash(
        &self,
        runtime: Arc<dyn Runtime>,
        kinds: Vec<Arc<dyn AgentKind>>,
    ) -> Option<Arc<dyn Runtime>> {
        let right = self.right.crash(runtime, kinds).await?;
        Some(Arc::new(WrongRuntime::new(right, self.flaw)))
    }
}

#[test]
fn each_flaw_fails_exactly_the_case_of_its_clause() {
    for (flaw, clause) in Flaw::ALL {
        let fails = |case: &Case| {
            let fixture = WrongManagers { right: Managers::new(), flaw };
            let run = || runtime_testkit::block_on((case.run)(&fixture));
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
        };
        let failed: Vec<_> = CASES.iter().filter(|case| fails(case)).map(|case| case.clause).collect();
        assert_eq!(failed, [clause], "{flaw:?}");
    }
}

#[test]
fn every_clause_of_the_contract_is_a_case_of_the_same_name() {
    let contract = include_str!("../../../runtime-traits/src/runtime/trait.rs");
    let (_, contract) = contract.split_once("/// # Contract\n").expect("the trait has a contract");
    let (contract, _) = contract.split_once("#[async_trait]").expect("the trait follows");
    let bullets = contract.lines().filter_map(|line| line.strip_prefix("/// - `")?.split('`').next());
    let clauses: Vec<_> = bullets.collect();

    let cases: Vec<_> = CASES.iter().map(|case| case.clause).collect();
    let flaws: Vec<_> = Flaw::ALL.iter().map(|(_, clause)| *clause).collect();

    assert!(clauses.len() >= 12, "only {clauses:?}");
    assert_eq!(cases, clauses);
    assert_eq!(flaws, clauses);
}
