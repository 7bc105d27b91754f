//! What can be read of a store, as lines.

use std::sync::Arc;

use runtime_codec::keys;
use runtime_state::{Exported, export_store};
use runtime_testkit::block_on;
use runtime_traits::store::{Seq, StateStore};
use serde_json::Value;

use crate::harmed::{Harm, Harmed};
use crate::lived::Lived;

async fn export(store: &dyn StateStore) -> (Exported, Vec<Value>) {
    let mut lines = Vec::new();
    let mut take = |line| {
        lines.push(serde_json::to_value(&line)?);
        Ok(())
    };
    let done = export_store(store, &mut take).await.unwrap();
    (done, lines)
}

fn of<'a>(lines: &'a [Value], sort: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["line"] == sort).collect()
}

#[test]
fn everything_of_a_runtime_is_in_lines_that_say_whose_they_are() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let (done, lines) = export(&*lived.store).await;
        let expected = Exported { agents: 1, sessions: 1, messages: 6, runs: 4, entries: 12, missing: 0 };
        assert_eq!(done, expected);
        assert_eq!((lines[0]["line"].as_str(), lines[0]["format"].as_u64()), (Some("store"), Some(1)));
        assert_eq!(lines.last().unwrap()["messages"], 6);
        let agent = of(&lines, "agent")[0];
        assert_eq!((&agent["name"], &agent["spec"]["kind"]), (&"Anna".into(), &"writer".into()));
        let first = of(&lines, "message")[0];
        assert_eq!(first["content"]["text"], "question 0", "{first}");
        assert_eq!((&first["session"], &first["seq"]), (&"talk".into(), &1.into()));
        // The large answer stands where it was said.
        let last = of(&lines, "message")[5];
        assert_eq!(last["content"]["hex"].as_str().map(str::len), Some(2 * lived.large.bytes.len()));
        assert_eq!(of(&lines, "state")[0]["value"]["json"]["mood"], "good");
        assert_eq!(of(&lines, "open")[0]["run"], lived.open.to_string());
        let opened =
            of(&lines, "run").into_iter().find(|line| line["entry"]["kind"]["step_opened"].is_object());
        assert!(opened.is_some(), "{lines:#?}");
    });
}

#[test]
fn what_cannot_be_read_is_a_line_too() {
    block_on(async {
        let lived = Lived::in_memory().await;
        let mut harmed = Harmed::over(Arc::clone(&lived.store));
        harmed.entries.insert((lived.messages(), Seq(3)), Harm::Unreadable);
        harmed.cells.insert(lived.head(), Harm::Cut);
        harmed.cells.insert(
            keys::blob(&lived.tenant, lived.agent.partition(), &lived.large.digest(), 1),
            Harm::Missing,
        );
        let (done, lines) = export(&harmed).await;
        assert_eq!((done.messages, done.sessions), (5, 0));
        let missing = of(&lines, "missing");
        assert_eq!(missing.len() as u64, done.missing);
        assert!(
            missing.iter().all(|line| line["session"] == "talk" || line["run"].is_string()),
            "{missing:#?}"
        );
        let told = |sort: &str| missing.iter().any(|line| line["damage"] == sort);
        assert!(told("unreadable") && told("record") && told("content"), "{missing:#?}");
        // The message stands there without its content.
        let last = of(&lines, "message")[4];
        assert_eq!(last["content"]["missing"]["hash"], lived.large.digest().to_string());
    });
}
