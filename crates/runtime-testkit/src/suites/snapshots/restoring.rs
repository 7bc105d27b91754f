//! What a snapshot is restored into.

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Content;
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::runtime::Want;
use runtime_traits::{AgentSpec, RuntimeError};

use crate::suites::snapshots::{Bench, SnapshotsFixture};

/// An agent with conversations of several sorts.
pub(super) async fn lively(bench: &Bench) -> AgentId {
    let agent = bench.agent("scribe", 3).await;
    let many: Vec<String> = (0..150).map(|n| format!("message {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    bench.say(&agent, "default", &many).await;
    bench.say(&agent, "short", &["one"]).await;
    bench.say_contents(&agent, "large", &[Content::text("x".repeat(70_000)), Content::text("y")]).await;
    bench.set(&agent, "large", &Content::text("z".repeat(40_000))).await;
    bench.set(&agent, "thought", &Content::json(&[1, 2]).expect("JSON")).await;
    agent
}

async fn put_back(bench: &Bench, state: &StateId, agent: &AgentId) -> Result<(), RuntimeError> {
    bench.snapshots.put_back(&bench.tenant, state, agent, UnixMillis(9), &bench.owner).await
}

/// `restored-is-equal`: what a snapshot is restored into has its conversations and states, those and no others.
pub async fn restored_is_equal(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let agent = lively(&bench).await;
    let state = bench.save(&agent).await;
    let memory = bench.memory(&agent).await;

    for index in [3, 4] {
        let twin = bench.agent("twin", index).await;
        bench.snapshots.fill(&bench.tenant, &state, &twin, &bench.owner).await.expect("it is filled");
        assert_eq!(bench.memory(&twin).await, memory, "in partition {index}");
    }
    bench.say(&agent, "default", &["later"]).await;
    bench.say(&agent, "new", &["later"]).await;
    bench.set(&agent, "large", &Content::text("later")).await;
    let changed = AgentSpec::new("echo", "renamed").expect("names").described("changed");
    bench.declare(&agent, changed, 2).await;
    put_back(&bench, &state, &agent).await.expect("it is put back");
    assert_eq!(bench.memory(&agent).await, memory);
    let (spec, revision) = bench.declared(&agent).await;
    assert_eq!((spec.name.as_str(), spec.description.as_str(), revision), ("renamed", "", 3));
    put_back(&bench, &state, &agent).await.expect("twice is as good");
    assert_eq!((bench.memory(&agent).await, bench.declared(&agent).await.1), (memory.clone(), 3));

    let other = bench.agent("other", 5).await;
    bench.say(&other, "default", &["mine"]).await;
    put_back(&bench, &state, &other).await.expect("any agent of the kind can be put there");
    assert_eq!(bench.memory(&other).await, memory);
    bench.say(&other, "short", &["two"]).await;
    let short = bench.memory(&other).await.into_iter().find(|(name, ..)| name == "short");
    assert_eq!(short.map(|(_, said, _)| said), Some(vec!["one".to_owned(), "two".to_owned()]));
}

/// `at-rest-only`: an agent that is not stopped, or has an open run, is not put back, and is left as it was.
pub async fn at_rest_only(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let agent = bench.agent("scribe", 3).await;
    bench.say(&agent, "default", &["one"]).await;
    let state = bench.save(&agent).await;
    bench.say(&agent, "default", &["two"]).await;
    let memory = bench.memory(&agent).await;
    let refused = async || {
        let put = put_back(&bench, &state, &agent).await;
        assert!(matches!(put, Err(RuntimeError::WrongState { .. })), "{put:?}");
        assert_eq!(bench.memory(&agent).await, memory);
    };

    bench.want(&agent, Want::Active).await;
    refused().await;
    bench.want(&agent, Want::Paused).await;
    refused().await;
    bench.want(&agent, Want::Stopped).await;
    bench.open_run(&agent).await;
    refused().await;
}

/// `history-stays`: putting an agent back changes and removes no message of its logs, and uses no number again.
pub async fn history_stays(fixture: &dyn SnapshotsFixture) {
    let bench = Bench::of(fixture);
    let agent = lively(&bench).await;
    let state = bench.save(&agent).await;
    bench.say(&agent, "default", &["later"]).await;
    bench.say(&agent, "new", &["later"]).await;
    let before = [bench.log(&agent, "default").await, bench.log(&agent, "new").await];

    put_back(&bench, &state, &agent).await.expect("it is put back");

    for (session, before) in ["default", "new"].into_iter().zip(before) {
        let after = bench.log(&agent, session).await;
        assert!(after.starts_with(&before), "the log of `{session}` only grows");
    }
    let next = bench.log(&agent, "default").await.last().map(|(seq, _)| seq + 1);
    bench.say(&agent, "default", &["anew"]).await;
    assert_eq!(bench.log(&agent, "default").await.last().map(|(seq, _)| *seq), next);
}
