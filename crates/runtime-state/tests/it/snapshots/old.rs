//! Snapshots that version 1 wrote.

use runtime_codec::{Manifest, Segment, decode, encode, keys};
use runtime_testkit::suites::snapshots::Bench;
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Digest};
use runtime_traits::id::{AgentId, StateId};
use runtime_traits::snapshot::PartitionOwner;
use runtime_traits::store::Then;

use super::{bench, over};

/// The manifest of version 1 of what an agent remembers now: the head of the record, and its fields one after the other,
/// as bincode had them.
async fn save_as_version_1(bench: &Bench, agent: &AgentId) -> StateId {
    let state = bench.save(agent).await;
    let cell = keys::snapshot(&bench.tenant, &state);
    let value = bench.store.get(std::slice::from_ref(&cell)).await.unwrap().pop().flatten().unwrap().value;
    let manifest: Manifest = decode(&value).unwrap();
    let view = bench.snapshots.describe(&bench.tenant, &state).await.unwrap();
    assert_eq!(view.sessions.len(), 1, "this helper knows of one conversation");
    let log = bench.log(agent, "default").await;
    let head = keys::head(&bench.tenant, agent, &view.sessions[0].name);
    let head = bench.store.get(&[head]).await.unwrap().pop().flatten().unwrap().value;
    let segment = encode(&Segment { messages: log.into_iter().map(|(_, bytes)| bytes).collect() });
    let hash = Digest::of(&segment);
    // A cell of the store, as the old version wrote it.
    let blob = keys::blob(&bench.tenant, agent.partition(), &hash, 0);
    let whole = encode(&manifest);
    // Up to the time the fields are those of version 2; four of bincode's numbers and the reference follow there.
    let upto = prefix(&manifest);
    let mut old = vec![0x70, 0, 1, 0, 1];
    old.extend_from_slice(&whole[5..upto]);
    old.push(1);
    let name = view.sessions[0].name.as_str();
    old.push(name.len() as u8);
    old.extend_from_slice(name.as_bytes());
    old.push(1);
    old.extend_from_slice(&head[5..]);
    old.push(0);
    old.push(1);
    old.extend_from_slice(&hash.0);
    varint(&mut old, segment.len() as u64);
    varint(&mut old, 1);
    varint(&mut old, view.info.messages);
    let then = vec![Then::Put(blob, segment), Then::Put(cell, old.into())];
    bench.owner.commit(agent.partition(), Vec::new(), then).await.unwrap();
    state
}

/// How many bytes of an encoded manifest come before what is counted.
fn prefix(manifest: &Manifest) -> usize {
    let other = Manifest { sessions: manifest.sessions + 1, ..manifest.clone() };
    let (a, b) = (encode(manifest), encode(&other));
    a.iter().zip(b.iter()).position(|(a, b)| a != b).unwrap()
}

fn varint(out: &mut Vec<u8>, number: u64) {
    match number {
        0..=250 => out.push(number as u8),
        251..=0xffff => {
            out.push(251);
            out.extend_from_slice(&(number as u16).to_le_bytes());
        }
        _ => {
            out.push(252);
            out.extend_from_slice(&(number as u32).to_le_bytes());
        }
    }
}

#[tokio::test]
async fn a_snapshot_of_version_1_is_described_restored_put_back_and_exported() {
    let bench = bench();
    let agent = bench.agent("scribe", 3).await;
    bench.say(&agent, "default", &["one", "two", "three"]).await;
    let state = save_as_version_1(&bench, &agent).await;
    let memory = bench.memory(&agent).await;
    bench.say(&agent, "default", &["later"]).await;

    let view = bench.snapshots.describe(&bench.tenant, &state).await.unwrap();
    assert_eq!((view.info.name.as_str(), view.info.sessions, view.info.messages), ("scribe", 1, 3));
    let twin = bench.agent("twin", 4).await;
    bench.snapshots.fill(&bench.tenant, &state, &twin, &bench.owner).await.unwrap();
    assert_eq!(bench.memory(&twin).await, memory);
    bench.snapshots.put_back(&bench.tenant, &state, &agent, UnixMillis(9), &bench.owner).await.unwrap();
    assert_eq!(bench.memory(&agent).await, memory);

    let file = bench.export(&state).await;
    let there = over(std::sync::Arc::new(runtime_state::MemoryStore::new()));
    let taken = there.import(&file, 100).await.unwrap().state;
    let twin = there.agent("twin", 4).await;
    there.snapshots.fill(&there.tenant, &taken, &twin, &there.owner).await.unwrap();
    assert_eq!(there.memory(&twin).await, memory);
}

#[tokio::test]
async fn a_newer_manifest_is_refused_by_name() {
    let bench = bench();
    let agent = bench.agent("scribe", 3).await;
    bench.set(&agent, "default", &Content::text("x")).await;
    let state = bench.save(&agent).await;
    let cell = keys::snapshot(&bench.tenant, &state);
    let found = bench.store.get(std::slice::from_ref(&cell)).await.unwrap().pop().flatten().unwrap();
    let mut newer = found.value.to_vec();
    newer[2] = 3;
    let then = vec![Then::Put(cell, newer.into())];
    bench.owner.commit(agent.partition(), Vec::new(), then).await.unwrap();

    let error = bench.snapshots.describe(&bench.tenant, &state).await.unwrap_err();
    assert_eq!(error.code(), "newer");
    assert!(error.to_string().contains("/snap/"), "{error}");
}
