//! How two snapshots differ.

use std::collections::{BTreeMap, HashMap};

use runtime_codec::{SavedSession, encode};
use runtime_traits::content::Digest;
use runtime_traits::log::Message;
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::{SessionDiff, SnapshotDiff, SpecChange};
use serde_json::{Map, Value};

use super::frozen::{Frozen, messages_in, segments_in};

/// The messages of a conversation: how often each is there. One is the same wherever it stands.
type Chain = HashMap<Digest, u64>;

pub(super) async fn diff(before: &Frozen, after: &Frozen) -> Result<SnapshotDiff, RuntimeError> {
    let mut diff = SnapshotDiff {
        spec: changes(&before.manifest.spec, &after.manifest.spec)?,
        ..SnapshotDiff::default()
    };
    let mut olds: BTreeMap<_, SavedSession> =
        before.sessions().await?.into_iter().map(|session| (session.session.clone(), session)).collect();
    for new in after.sessions().await? {
        let Some(old) = olds.remove(&new.session) else {
            diff.added.push(new.session);
            continue;
        };
        let state_differs = old.state != new.state;
        let (shared, only_before, only_after) = if (old.head, old.first()) == (new.head, new.first()) {
            (new.messages(), 0, 0)
        } else {
            compare(&chain(before, &old).await?, &chain(after, &new).await?)
        };
        if state_differs || only_before + only_after > 0 {
            diff.changed.push(SessionDiff {
                name: new.session,
                shared,
                only_before,
                only_after,
                state_differs,
            });
        }
    }
    diff.removed = olds.into_keys().collect();
    Ok(diff)
}

/// The messages of a conversation, from its head back.
async fn chain(frozen: &Frozen, session: &SavedSession) -> Result<Chain, RuntimeError> {
    let Some(head) = session.head else { return Ok(Chain::new()) };
    let mut links = HashMap::new();
    for segment in segments_in(&frozen.contents, session).await? {
        for (seq, message) in messages_in(&frozen.contents, &segment).await? {
            let after = message.after.map(|after| after.0);
            links.insert(seq, (after, Digest::of(&encode(&Message { after: None, ..message }))));
        }
    }
    let mut chain = Chain::new();
    let mut at = Some(head.last.0);
    // Each is taken once, so that links in a circle end too.
    while let Some((after, digest)) = at.and_then(|at| links.remove(&at)) {
        *chain.entry(digest).or_default() += 1;
        at = after;
    }
    Ok(chain)
}

/// How many messages both have, only the first, only the second.
fn compare(before: &Chain, after: &Chain) -> (u64, u64, u64) {
    let shared = before.iter().map(|(digest, times)| after.get(digest).unwrap_or(&0).min(times)).sum();
    let count = |chain: &Chain| chain.values().sum::<u64>();
    (shared, count(before) - shared, count(after) - shared)
}

/// The fields of two declarations that differ, settings one by one.
fn changes(before: &str, after: &str) -> Result<Vec<SpecChange>, RuntimeError> {
    let (before, after) = (fields(before)?, fields(after)?);
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |field: &String| {
        let (before, after) = (before.get(field).cloned(), after.get(field).cloned());
        (before != after).then(|| SpecChange { field: field.clone(), before, after })
    };
    Ok(names.into_iter().filter_map(change).collect())
}

fn fields(spec: &str) -> Result<BTreeMap<String, String>, RuntimeError> {
    let read: Map<String, Value> = serde_json::from_str(spec)
        .map_err(|error| RuntimeError::Damaged { what: format!("an agent's declaration ({error})") })?;
    let mut fields = BTreeMap::new();
    for (field, value) in read {
        match value {
            Value::Object(settings) if field == "config" => {
                let settings = settings.into_iter();
                fields.extend(settings.map(|(name, value)| (format!("{field}.{name}"), value.to_string())));
            }
            value => {
                fields.insert(field, value.to_string());
            }
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn settings_are_compared_one_by_one() {
        let before = r#"{"kind":"a","name":"n","description":"","config":{"x":1,"y":[2]}}"#;
        let after = r#"{"kind":"a","name":"n","description":"d","config":{"y":[3],"z":true}}"#;
        let told: Vec<String> = changes(before, after)
            .expect("both are JSON")
            .into_iter()
            .map(|c| format!("{} {:?} {:?}", c.field, c.before.as_deref(), c.after.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                r#"config.x Some("1") None"#,
                r#"config.y Some("[2]") Some("[3]")"#,
                r#"config.z None Some("true")"#,
                r#"description Some("\"\"") Some("\"d\"")"#,
            ]
        );
        assert!(changes(before, before).expect("it is JSON").is_empty());
    }
}
