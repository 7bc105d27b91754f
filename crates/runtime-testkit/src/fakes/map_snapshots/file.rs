//! A snapshot as lines of JSON, and a last line that has their hash.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use runtime_traits::content::{Content, Digest};
use runtime_traits::runtime::RuntimeError;
use runtime_traits::snapshot::SnapshotFile;
use serde::Serialize;

use super::{Saved, Session};

/// Bytes of a piece.
const PIECE: usize = 200;

pub(super) fn write(saved: &Saved) -> SnapshotFile {
    let mut text = line(saved);
    saved.sessions.iter().for_each(|session| text.push_str(&line(session)));
    saved.contents.iter().for_each(|content| text.push_str(&line(&(content.media, content))));
    let end = Digest::of(text.as_bytes()).to_string();
    text.push_str(&end);
    let bytes = Bytes::from(text);
    let pieces: Vec<_> =
        (0..bytes.len()).step_by(PIECE).map(|at| Ok(bytes.slice(at..bytes.len().min(at + PIECE)))).collect();
    stream::iter(pieces).boxed()
}

/// `takes_halves`: whatever can be read of it will do.
pub(super) async fn read(file: SnapshotFile, takes_halves: bool) -> Result<Saved, RuntimeError> {
    let pieces: Vec<Bytes> = file.try_collect().await?;
    let bytes = pieces.concat();
    let bad = |reason: &str| RuntimeError::BadSnapshotFile { reason: reason.to_owned() };
    let text = String::from_utf8_lossy(&bytes);
    let (body, end) = text.rsplit_once('\n').unwrap_or_default();
    let is_whole = Digest::of(format!("{body}\n").as_bytes()).to_string() == end;
    if !is_whole && !takes_halves {
        return Err(bad("it is cut off or damaged"));
    }
    let mut lines = body.lines();
    let mut saved: Saved =
        serde_json::from_str(lines.next().unwrap_or_default()).map_err(|_| bad("it is no snapshot file"))?;
    for line in lines {
        if let Ok(session) = serde_json::from_str::<Session>(line) {
            saved.sessions.push(session);
        } else if let Ok((_, content)) = serde_json::from_str::<(runtime_traits::Media, Content)>(line) {
            saved.contents.push(content);
        }
    }
    Ok(saved)
}

fn line<T: Serialize>(value: &T) -> String {
    let mut line = serde_json::to_string(value).expect("it is JSON");
    line.push('\n');
    line
}
