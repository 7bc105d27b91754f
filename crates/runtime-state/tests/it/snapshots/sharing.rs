//! A save writes what is new.

use runtime_testkit::suites::snapshots::Bench;
use runtime_traits::id::AgentId;
use runtime_traits::store::Key;

use super::bench;

/// How many bytes of contents there are.
async fn kept(bench: &Bench, agent: &AgentId) -> (usize, usize) {
    let cells = bench.store.scan(&Key::all(agent.partition()), None, 1_000_000).await.unwrap();
    let contents = cells.iter().filter(|(key, _)| key.path.to_string().contains("/blob/"));
    contents.fold((0, 0), |(count, bytes), (_, cell)| (count + 1, bytes + cell.value.len()))
}

async fn say(bench: &Bench, agent: &AgentId, from: usize, upto: usize) {
    let said: Vec<String> =
        (from..upto).map(|n| format!("message {n:06} {}", "of a hundred bytes or so".repeat(4))).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    bench.say(agent, "default", &said).await;
}

#[tokio::test]
async fn a_save_after_ten_thousand_messages_writes_at_most_twice_what_one_after_ten_does() {
    let bench = bench();
    let mut added = Vec::new();
    for (name, messages) in [("short", 10), ("long", 10_000)] {
        let agent = bench.agent(name, 7).await;
        say(&bench, &agent, 0, messages).await;
        bench.save(&agent).await;
        let before = kept(&bench, &agent).await;
        say(&bench, &agent, messages, messages + 20).await;
        bench.save(&agent).await;
        let after = kept(&bench, &agent).await;
        added.push((after.0 - before.0, after.1 - before.1));
    }
    let (short, long) = (added[0], added[1]);
    assert!(long.0 <= 2 * short.0 && long.1 <= 2 * short.1, "{short:?} {long:?}");
}

#[tokio::test]
async fn a_save_of_what_did_not_change_adds_no_content() {
    let bench = bench();
    let agent = bench.agent("scribe", 7).await;
    say(&bench, &agent, 0, 5_000).await;
    bench.save(&agent).await;
    let before = kept(&bench, &agent).await;

    bench.save(&agent).await;

    assert_eq!(kept(&bench, &agent).await, before);
}

#[tokio::test]
async fn what_was_trimmed_between_two_saves_does_not_come_back() {
    let bench = bench();
    for (nth, before) in [2, 64, 65, 100, 4_096, 4_097, 4_500, 5_001].into_iter().enumerate() {
        let agent = bench.agent(&format!("scribe-{nth}"), 7).await;
        say(&bench, &agent, 0, 5_000).await;
        bench.save(&agent).await;
        bench.trim(&agent, "default", before).await;
        say(&bench, &agent, 5_000, 5_010).await;
        let state = bench.save(&agent).await;

        let twin = bench.agent(&format!("twin-{nth}"), 8).await;
        bench.snapshots.fill(&bench.tenant, &state, &twin, &bench.owner).await.unwrap();
        let (mine, twins) = (bench.memory(&agent).await, bench.memory(&twin).await);
        // A segment or an index that is trimmed in part is kept as a whole.
        assert!(twins[0].1.ends_with(&mine[0].1), "trimmed before {before}");
        assert!(twins[0].1.len() < mine[0].1.len() + 4_096, "trimmed before {before}");
    }
}

#[tokio::test]
async fn a_list_of_many_conversations_needs_no_large_manifest() {
    let bench = bench();
    let agent = bench.agent("popular", 7).await;
    let long = "s".repeat(50);
    for nth in 0..3_000 {
        bench.say(&agent, &format!("{long}-{nth}"), &["hello"]).await;
    }
    let state = bench.save(&agent).await;

    let view = bench.snapshots.describe(&bench.tenant, &state).await.unwrap();
    assert_eq!((view.info.sessions, view.sessions.len()), (3_000, 3_000));
    let cell = runtime_codec::keys::snapshot(&bench.tenant, &state);
    let cell = bench.store.get(&[cell]).await.unwrap().pop().flatten().unwrap();
    assert!(cell.value.len() < 500, "{}", cell.value.len());
}
