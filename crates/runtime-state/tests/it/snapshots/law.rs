//! Whatever happens between, a snapshot gives back what was there when it was made.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Content;
use runtime_traits::id::StateId;

use super::bench;

/// What an agent remembers: conversations and states.
type Memory = BTreeMap<String, (Vec<String>, Option<String>)>;

#[derive(Clone, Debug)]
enum Step {
    /// So many messages into one of three conversations.
    Say(u8, u8),
    /// A state for one of them.
    Set(u8, u8),
    Save,
    /// Put back to one of the snapshots.
    PutBack(u8),
    /// Fill a new agent with one, and go on with that.
    Fill(u8),
    /// Delete one.
    Delete(u8),
    /// Let one go through a file.
    Carry(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, 1..90_u8).prop_map(|(session, count)| Step::Say(session, count)),
        2 => (0..3_u8, any::<u8>()).prop_map(|(session, value)| Step::Set(session, value)),
        3 => Just(Step::Save),
        2 => any::<u8>().prop_map(Step::PutBack),
        1 => any::<u8>().prop_map(Step::Fill),
        1 => any::<u8>().prop_map(Step::Delete),
        1 => any::<u8>().prop_map(Step::Carry),
    ]
}

fn of(nth: u8, saved: &[(StateId, Memory)]) -> Option<usize> {
    (!saved.is_empty()).then(|| usize::from(nth) % saved.len())
}

async fn holds(steps: Vec<Step>) {
    let bench = bench();
    let mut agent = bench.agent("scribe", 3).await;
    let mut now = Memory::new();
    let mut saved: Vec<(StateId, Memory)> = Vec::new();
    let mut said = 0;
    for step in steps {
        match step {
            Step::Say(session, count) => {
                let words: Vec<String> = (said..said + u32::from(count)).map(|n| format!("m{n}")).collect();
                said += u32::from(count);
                let texts: Vec<&str> = words.iter().map(String::as_str).collect();
                let session = format!("s{session}");
                bench.say(&agent, &session, &texts).await;
                now.entry(session).or_default().0.extend(words);
            }
            Step::Set(session, value) => {
                let session = format!("s{session}");
                bench.set(&agent, &session, &Content::text(value.to_string())).await;
                now.entry(session).or_default().1 = Some(value.to_string());
            }
            Step::Save => saved.push((bench.save(&agent).await, now.clone())),
            Step::PutBack(nth) => {
                let Some(at) = of(nth, &saved) else { continue };
                let put = bench.snapshots.put_back(
                    &bench.tenant,
                    &saved[at].0,
                    &agent,
                    UnixMillis(9),
                    &bench.owner,
                );
                put.await.unwrap();
                now = saved[at].1.clone();
            }
            Step::Fill(nth) => {
                let Some(at) = of(nth, &saved) else { continue };
                agent = bench.agent("twin", u16::from(nth)).await;
                bench.snapshots.fill(&bench.tenant, &saved[at].0, &agent, &bench.owner).await.unwrap();
                now = saved[at].1.clone();
            }
            Step::Delete(nth) => {
                let Some(at) = of(nth, &saved) else { continue };
                let (state, _) = saved.remove(at);
                bench.snapshots.delete(&bench.tenant, &state, &bench.owner).await.unwrap();
            }
            Step::Carry(nth) => {
                let Some(at) = of(nth, &saved) else { continue };
                let file = bench.export(&saved[at].0).await;
                saved[at].0 = bench.import(&file, 1_000).await.unwrap().state;
            }
        }
        let remembered = bench.memory(&agent).await.into_iter();
        let remembered: Memory = remembered.map(|(name, said, state)| (name, (said, state))).collect();
        assert_eq!(remembered, now);
    }
    compare(&bench, &saved).await;
}

/// Differences are those of the models.
async fn compare(bench: &runtime_testkit::suites::snapshots::Bench, saved: &[(StateId, Memory)]) {
    for pair in saved.windows(2) {
        let [(before, old), (after, new)] = pair else { unreachable!("windows of two") };
        let diff = bench.snapshots.diff(&bench.tenant, before, after).await.unwrap();
        let names = |all: &[runtime_traits::SessionName]| -> Vec<String> {
            all.iter().map(ToString::to_string).collect()
        };
        let only = |a: &Memory, b: &Memory| -> Vec<String> {
            a.keys().filter(|name| !b.contains_key(*name)).cloned().collect()
        };
        assert_eq!((names(&diff.added), names(&diff.removed)), (only(new, old), only(old, new)));
        for (name, (said, state)) in old {
            let Some((now_said, now_state)) = new.get(name) else { continue };
            let shared = said.iter().filter(|said| now_said.contains(said)).count() as u64;
            let change = diff.changed.iter().find(|change| change.name.as_str() == name);
            let told = change.map_or((shared, 0, 0, false), |change| {
                (change.shared, change.only_before, change.only_after, change.state_differs)
            });
            let before = said.len() as u64 - shared;
            let after = now_said.len() as u64 - shared;
            assert_eq!(told, (shared, before, after, state != now_state), "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_gives_back_what_was_there(steps in vec(step(), 1..30)) {
        runtime_testkit::block_on(holds(steps));
    }
}
