//! Snapshots into files, and out of them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use agent_runtime::{Runtime, RuntimeError, StateId};
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Writes a snapshot into a file that is not there yet. What cannot be written to its end is taken away again.
pub(super) async fn export(
    desk: &Desk,
    runtime: &dyn Runtime,
    state: &StateId,
    path: &Path,
) -> Result<Exit, CliError> {
    let unwritable = |source| CliError::Unwritable { path: path.to_owned(), source };
    if path == Path::new("-") {
        write(runtime, state, &mut io::stdout().lock(), CliError::Output).await?;
        return Ok(Exit::Done);
    }
    // Asked first, so that a snapshot that is not there leaves no file.
    runtime.snapshot(state).await?;
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CliError::FileThere { path: path.to_owned() },
        _ => unwritable(error),
    })?;
    let written = write(runtime, state, &mut file, unwritable).await;
    let written = written.and_then(|bytes| file.sync_all().map(|()| bytes).map_err(unwritable));
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) => {
            drop(file);
            // Half a file is no snapshot; that it cannot be removed either adds nothing.
            let _ = fs::remove_file(path);
            return Err(error);
        }
    };
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "state": state, "file": path, "bytes": bytes }))?;
    } else {
        screen.line(format!("{} has {state}, in {bytes} bytes", path.display()))?;
        screen.hint(&[format!("--store URI snapshot import {}", path.display())]);
    }
    Ok(Exit::Done)
}

async fn write(
    runtime: &dyn Runtime,
    state: &StateId,
    out: &mut impl Write,
    fault: impl Fn(io::Error) -> CliError,
) -> Result<u64, CliError> {
    let mut file = runtime.export_snapshot(state).await?;
    let mut bytes = 0;
    while let Some(piece) = file.next().await {
        let piece = piece?;
        out.write_all(&piece).map_err(&fault)?;
        bytes += piece.len() as u64;
    }
    out.flush().map_err(&fault)?;
    Ok(bytes)
}

/// Takes a snapshot from a file.
pub(super) async fn import(desk: &Desk, runtime: &dyn Runtime, path: &Path) -> Result<Exit, CliError> {
    let source: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let file = File::open(path);
        Box::new(file.map_err(|source| CliError::UnreadableFile { path: path.to_owned(), source })?)
    };
    let pieces = stream::unfold(Some(source), |source| async move {
        let mut source = source?;
        let mut piece = vec![0; PIECE];
        match source.read(&mut piece) {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(piece.into()), Some(source)))
            }
            Err(error) => {
                let reason = format!("it cannot be read ({error})");
                Some((Err(RuntimeError::BadSnapshotFile { reason }), None))
            }
        }
    });
    let state = runtime.import_snapshot(Box::pin(pieces)).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "state": state }))?;
    } else {
        screen.line(state.to_string())?;
        screen.hint(&[format!("snapshot show {state}"), format!("restore {state}")]);
    }
    Ok(Exit::Done)
}
