//! The kit's own snapshots keep the contract; wrong ones break the clause that they should, and no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use runtime_testkit::fakes::MapSnapshots;
use runtime_testkit::suites::snapshots::{CASES, Case, Flaw, SnapshotsFixture};
use runtime_traits::snapshot::Snapshots;
use runtime_traits::store::StateStore;

struct Copies(Option<Flaw>);

impl SnapshotsFixture for Copies {
    fn over(&self, store: Arc<dyn StateStore>) -> Arc<dyn Snapshots> {
        match self.0 {
            None => Arc::new(MapSnapshots::new(store)),
            Some(flaw) => Arc::new(MapSnapshots::flawed(store, flaw)),
        }
    }
}

runtime_testkit::snapshots_conformance!(Copies(None));

#[test]
fn each_flaw_fails_exactly_the_case_of_its_clause() {
    for (flaw, clause) in Flaw::ALL {
        let fails = |case: &&Case| {
            let run = AssertUnwindSafe(|| runtime_testkit::block_on((case.run)(&Copies(Some(flaw)))));
            catch_unwind(run).is_err()
        };
        let failed: Vec<_> = CASES.iter().filter(fails).map(|case| case.clause).collect();
        assert_eq!(failed, [clause], "{flaw:?}");
    }
}
