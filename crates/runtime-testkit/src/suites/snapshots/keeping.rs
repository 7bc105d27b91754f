//! What becomes of snapshots themselves.

use std::time::Duration;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Content;
use runtime_traits::id::StateId;
use runtime_traits::name::SessionName;
use runtime_traits::snapshot::{Retention, SessionDiff, SnapshotDiff, SnapshotInfo};
use runtime_traits::{AgentSpec, RuntimeError};

use crate::suites::snapshots::{Bench, SnapshotsFixture};

/// `saved-is-frozen`: whatever becomes of the agent later, its snapshots stay as they are.
pub async fn saved_is_frozen(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let agent = bench.agent("scribe", 3).await;
    bench.say(&agent, "default", &["one", "two"]).await;
    bench.set(&agent, "default", &Content::text("state")).await;
    let info = bench.save_at(&agent, 7).await;
    assert_eq!((info.agent, info.name.as_str(), info.kind.as_str()), (agent, "scribe", "echo"));
    assert_eq!((info.at, info.sessions, info.messages), (UnixMillis(7), 1, 2));
    let before = bench.snapshots.describe(&bench.tenant, &info.state).await.expect("it is there");
    assert_eq!(before.info, info);

    bench.say(&agent, "default", &["three"]).await;
    bench.say(&agent, "other", &["four"]).await;
    bench.set(&agent, "default", &Content::text("another")).await;
    bench.trim(&agent, "default", 2).await;
    bench.declare(&agent, AgentSpec::new("echo", "other").expect("names"), 2).await;
    bench.save(&agent).await;

    let after = bench.snapshots.describe(&bench.tenant, &info.state).await;
    assert_eq!(after, Ok(before));
}

/// `gone-is-unknown`: what was never saved, or was deleted, is `UnknownState`; what others share stays.
pub async fn gone_is_unknown(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let agent = bench.agent("scribe", 3).await;
    bench.say(&agent, "default", &["one"; 200]).await;
    let (first, second) = (bench.save(&agent).await, bench.save(&agent).await);
    unknown(&bench, &bench.state_of(&agent)).await;

    bench.snapshots.delete(&bench.tenant, &first, &bench.owner).await.expect("it is deleted");

    unknown(&bench, &first).await;
    assert_eq!(bench.count().await, 1);
    let twin = bench.agent("twin", 4).await;
    bench.snapshots.fill(&bench.tenant, &second, &twin, &bench.owner).await.expect("it is there");
    assert_eq!(bench.memory(&twin).await, bench.memory(&agent).await);
    let third = bench.save(&agent).await;
    bench.snapshots.delete(&bench.tenant, &second, &bench.owner).await.expect("it is deleted");
    let fourth = bench.save(&agent).await;
    assert!(bench.snapshots.diff(&bench.tenant, &third, &fourth).await.expect("both are there").is_empty());
}

async fn unknown(bench: &Bench, state: &StateId) {
    let Bench { snapshots, tenant, owner, .. } = bench;
    let agent = bench.agent("new", 9).await;
    let error = RuntimeError::UnknownState { state: *state };
    assert_eq!(snapshots.describe(tenant, state).await, Err(error.clone()));
    assert_eq!(snapshots.diff(tenant, state, state).await, Err(error.clone()));
    assert_eq!(snapshots.fill(tenant, state, &agent, owner).await, Err(error.clone()));
    assert_eq!(snapshots.put_back(tenant, state, &agent, UnixMillis(1), owner).await, Err(error.clone()));
    assert_eq!(snapshots.delete(tenant, state, owner).await, Err(error.clone()));
    assert_eq!(snapshots.export(tenant, state).await.err(), Some(error));
}

/// `kept-by-a-rule`: retention deletes what no rule keeps, of this agent, and nothing else.
pub async fn kept_by_a_rule(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let (agent, other) = (bench.agent("scribe", 3).await, bench.agent("other", 3).await);
    let mut saved = Vec::new();
    for at in [1_000, 2_000, 3_000, 4_000] {
        saved.push(bench.save_at(&agent, at).await.state);
        bench.save_at(&other, at + 500).await;
    }
    let retain =
        |newest, within: Option<u64>| Retention { newest, within: within.map(Duration::from_millis) };
    let now = UnixMillis(5_000);
    let (snapshots, tenant) = (&bench.snapshots, &bench.tenant);
    let all = snapshots.retain(tenant, &agent, retain(None, None), now, &bench.owner).await;
    assert_eq!(all, Ok(Vec::new()), "no rule asks for anything");
    let gone = snapshots.retain(tenant, &agent, retain(Some(1), Some(2_000)), now, &bench.owner).await;
    assert_eq!(gone, Ok(saved[..2].to_vec()), "the oldest first; the third is young, the fourth is both");
    let gone = snapshots.retain(tenant, &agent, retain(Some(1), None), now, &bench.owner).await;
    assert_eq!(gone, Ok(vec![saved[2]]));
    let left = snapshots.list(tenant, Some(&agent), None, 10).await.expect("it lists");
    assert_eq!(left.iter().map(|info| info.state).collect::<Vec<_>>(), [saved[3]]);
    assert_eq!(snapshots.list(tenant, Some(&other), None, 10).await.expect("it lists").len(), 4);
    let pages = pages(&bench, 2).await;
    assert_eq!(pages.len(), 5, "pages have each once");
}

async fn pages(bench: &Bench, limit: u32) -> Vec<SnapshotInfo> {
    let mut all: Vec<SnapshotInfo> = Vec::new();
    loop {
        let after = all.last().map(|info| info.state);
        let page = bench.snapshots.list(&bench.tenant, None, after.as_ref(), limit).await.expect("it lists");
        assert!(page.len() <= limit as usize);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// `diff-is-what-changed`: a snapshot does not differ from itself; messages, states and settings that came, went or
/// changed are told.
pub async fn diff_is_what_changed(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let agent = bench.agent("scribe", 3).await;
    let setting = |value: u32| {
        let spec = AgentSpec::new("echo", "scribe").expect("names");
        spec.configured(&serde_json::json!({ "depth": value })).expect("JSON")
    };
    bench.declare(&agent, setting(1), 2).await;
    bench.say(&agent, "grows", &["one", "two"]).await;
    bench.say(&agent, "stays", &["one"]).await;
    bench.say(&agent, "thinks", &["one"]).await;
    let before = bench.save(&agent).await;
    bench.declare(&agent, setting(2), 3).await;
    bench.say(&agent, "grows", &["three"]).await;
    bench.say(&agent, "new", &["four"]).await;
    bench.set(&agent, "thinks", &Content::text("hm")).await;
    let after = bench.save(&agent).await;

    let diff = async |a: &StateId, b: &StateId| {
        bench.snapshots.diff(&bench.tenant, a, b).await.expect("both are there")
    };
    assert_eq!(diff(&before, &before).await, SnapshotDiff::default());
    assert_eq!(diff(&after, &after).await, SnapshotDiff::default());
    let there = diff(&before, &after).await;
    let change = &there.spec[0];
    assert_eq!(there.spec.len(), 1);
    assert_eq!(
        (change.field.as_str(), change.before.as_deref(), change.after.as_deref()),
        ("config.depth", Some("1"), Some("2"))
    );
    let name = |name| SessionName::new(name).expect("a name");
    assert_eq!((there.added, there.removed), (vec![name("new")], vec![]));
    let changed = |name, shared, only_before, only_after, state_differs| SessionDiff {
        name,
        shared,
        only_before,
        only_after,
        state_differs,
    };
    let grows = changed(name("grows"), 2, 0, 1, false);
    let thinks = changed(name("thinks"), 1, 0, 0, true);
    assert_eq!(there.changed, [grows, thinks.clone()]);
    let back = diff(&after, &before).await;
    assert_eq!((back.added, back.removed), (vec![], vec![name("new")]));
    assert_eq!(back.changed, [changed(name("grows"), 2, 1, 0, false), thinks]);
}
