//! Form 1 of the lines of an export.

use std::fmt::Write as _;
use std::sync::Arc;

use runtime_codec::keys;
use runtime_state::{EXPORT_FORMAT, MemoryStore, export_store};
use runtime_testkit::block_on;
use runtime_traits::store::{Seq, StateStore};

use super::batches::is_as_kept;
use crate::harmed::{Harm, Harmed};
use crate::lived::Lived;

/// The export of a whole store, then that of the same store with damage.
const LINES: &str = include_str!("../../golden/export-1.jsonl");

async fn export(store: &dyn StateStore, lines: &mut String) {
    let mut take = |line| {
        writeln!(lines, "{}", serde_json::to_string(&line)?).unwrap();
        Ok(())
    };
    export_store(store, &mut take).await.unwrap();
}

#[test]
fn todays_export_has_the_lines_of_form_1() {
    block_on(async {
        assert_eq!(EXPORT_FORMAT, 1, "another form has a file of its own");
        let lived = Lived::with(Arc::new(MemoryStore::new()), vec![7; 9_000]).await;
        let mut lines = String::new();
        export(&*lived.store, &mut lines).await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((lived.messages(), Seq(3)), Harm::Unreadable);
        harmed.cells.insert(lived.head(), Harm::Cut);
        let blob = keys::blob(&lived.tenant, lived.agent.partition(), &lived.large.digest(), 0);
        harmed.cells.insert(blob, Harm::Missing);
        export(&harmed, &mut lines).await;

        is_as_kept("export-1.jsonl", &lines, LINES);
    });
}
