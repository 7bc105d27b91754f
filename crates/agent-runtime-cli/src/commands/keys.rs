//! `state keys` and `state rekey`: the keys of an encrypted store.

use agent_runtime::OpenError;
use agent_runtime::fleet::StoreUri;
use agent_runtime::stores::{
    Copied, KeyId, KeyRing, Needed, RekeyError, copy_store, open_encrypted, rekey as rewrite,
};
use serde_json::json;

use super::stores::{amount, doing, existing, not_copied, opened};
use crate::args::Global;
use crate::error::CliError;
use crate::exit::Exit;
use crate::open;
use crate::progress::Progress;
use crate::render::{Row, Tone, table};
use crate::screen::Screen;

/// Says which keys a store needs, and for how many values: one that none needs may be withdrawn.
pub(super) async fn list(screen: &Screen, uri: &StoreUri) -> Result<Exit, CliError> {
    let StoreUri::Encrypted { keys, .. } = uri else {
        return Err(CliError::NoKeys { store: uri.to_string() });
    };
    // That it is there, and that nobody has it, is asked as everywhere; then it is let go and taken anew.
    drop(existing(screen, uri).await?);
    let store = open_encrypted(&uri.address()).await?;
    let bar = Progress::begin(screen, &format!("reading {uri}"));
    let needed = store.keys_needed().await;
    bar.end();
    let needed = needed.map_err(CliError::Verify)?;
    let ring = store.ring();
    let writing = ring.writing_key();
    let of = |id: KeyId| needed.get(&id).copied().unwrap_or_default();
    let all: std::collections::BTreeSet<KeyId> = ring.ids().chain(needed.keys().copied()).collect();
    let held: Vec<KeyId> = ring.ids().collect();
    if screen.lists_as_json() {
        let row = |id: &KeyId| {
            let Needed { cells, entries } = of(*id);
            let (held, writes) = (held.contains(id), *id == writing);
            json!({ "key": id, "cells": cells, "entries": entries, "held": held, "writes": writes })
        };
        screen.json(&json!({ "store": uri.to_string(), "keys": all.iter().map(row).collect::<Vec<_>>() }))?;
    } else {
        let row = |id: &KeyId| -> Row {
            let Needed { cells, entries } = of(*id);
            let (note, tone) = match (held.contains(id), *id == writing, cells + entries) {
                (false, ..) => ("missing: add its line", Tone::Bad),
                (true, true, _) => ("writes", Tone::Good),
                (true, false, 0) => ("not needed: it may go", Tone::Dim),
                (true, false, _) => ("needed", Tone::Plain),
            };
            vec![
                (id.to_string(), Tone::Plain),
                (cells.to_string(), Tone::Plain),
                (entries.to_string(), Tone::Plain),
                (note.to_owned(), tone),
            ]
        };
        let head = ["KEY", "CELLS", "ENTRIES", ""];
        let rows = all.iter().map(row).collect();
        screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
        if needed.keys().any(|id| *id != writing) {
            screen.hint(&[format!("state rekey {uri}")]);
        }
        let more: Vec<String> =
            needed.keys().filter(|id| !held.contains(id)).map(ToString::to_string).collect();
        if !more.is_empty() {
            let note = format!("values of key {} cannot be read from {keys}", more.join(", "));
            screen.say(screen.paint_err().warn(note));
        }
    }
    let is_whole = needed.keys().all(|id| held.contains(id));
    Ok(if is_whole { Exit::Done } else { Exit::Refused })
}

/// Rewrites a store under the first of its keys: a file in its place, any other into an empty one.
pub(super) async fn rekey(
    screen: &Screen,
    global: &Global,
    uri: &StoreUri,
    into: Option<&StoreUri>,
) -> Result<Exit, CliError> {
    if uri.is_in_memory() {
        return Err(CliError::InMemory);
    }
    let StoreUri::Encrypted { keys, store } = uri else {
        return Err(CliError::NotRekeyed { store: uri.to_string() });
    };
    let ring = KeyRing::read(&keys.to_string()).map_err(OpenError::from)?;
    let copied = match (into, &**store) {
        (Some(into), _) => {
            let target = match into {
                StoreUri::Encrypted { .. } => into.clone(),
                plain => StoreUri::Encrypted { keys: keys.clone(), store: Box::new(plain.clone()) },
            };
            open::may_take(&[uri, &target], global.nobody_serves)?;
            copied_into(screen, uri, &target).await?
        }
        (None, StoreUri::Redb(path)) => {
            // That nobody has it, and that the keys fit, is asked as everywhere; then it is let go and taken anew.
            drop(existing(screen, uri).await?);
            let bar = Progress::begin(screen, &format!("rewriting {uri}"));
            let copied = rewrite(path, &ring, |step, done| bar.note(&doing(step, done))).await;
            bar.end();
            copied.map_err(|error| match error {
                RekeyError::Open(error) => CliError::Open(error),
                other => CliError::Rekey(other),
            })?
        }
        (None, _) => return Err(CliError::RekeyWhere { store: uri.to_string() }),
    };
    let key = ring.writing_key();
    if screen.json {
        let into = into.map(ToString::to_string);
        screen.json(&json!({ "store": uri.to_string(), "into": into, "key": key, "copied": copied }))?;
    } else {
        screen.line(format!("rewrote {} under key {key}; no other key is needed", amount(&copied)))?;
        if let Some(into) = into {
            let note = format!("{uri} is as it was: use {into} from now on, and delete the old one");
            screen.say(screen.paint_err().dim(note));
        }
    }
    Ok(Exit::Done)
}

async fn copied_into(screen: &Screen, from: &StoreUri, to: &StoreUri) -> Result<Copied, CliError> {
    let source = existing(screen, from).await?;
    let target = opened(screen, to).await?;
    let bar = Progress::begin(screen, &format!("rewriting {from}"));
    let copied = copy_store(&*source, &*target, |step, done| bar.note(&doing(step, done))).await;
    bar.end();
    copied.map_err(|error| not_copied(error, from, to))
}
