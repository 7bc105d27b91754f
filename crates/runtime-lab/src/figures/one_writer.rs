//! One writer whose commits survive a loss of power, against appending as many bytes to a file with as many syncs.

use std::fs::File;
use std::io::Write;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::group::{SIZE, values, writer};
use super::load::per_second;
use super::plan::Plan;
use super::watch::Stopwatch;

/// What follows each value, with a sync of its own: whoever reads the file again has to know what is whole. redb needs
/// the second sync to open at once after a crash.
const MARK: [u8; 16] = [0xAA; 16];

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let folder = plan.folder()?;
    let store = Arc::new(runtime_state::RedbStore::open(folder.path().join("ours.redb"))?);
    let values = Arc::new(values());
    let mut turns = 0;
    let ours = async || {
        turns += 1;
        per_second([writer(&store, &values, 0, turns)], plan.turn).await
    };
    let file = folder.path().join("appended");
    let value = values[0].clone();
    let appended = async || {
        let (file, value, turn) = (file.clone(), value.clone(), plan.turn);
        let appending = tokio::task::spawn_blocking(move || append(&file, &value, turn));
        appending.await.map_err(|error| FiguresError::Unexpected(error.to_string()))?
    };
    let (value, baseline) = take_turns(plan.rounds, ours, appended).await?;
    Ok(vec![Figure {
        name: "one-writer",
        value,
        unit: "commits/s",
        baseline: Some(baseline),
        against: "appending 4 KiB to a file, `fdatasync`, appending 16 bytes, `fdatasync`: as many syncs as a commit makes",
        bar: Bar::RatioAtLeast(0.5),
        n: plan.rounds,
    }])
}

fn append(path: &FilePath, value: &[u8], turn: Duration) -> Result<f64, FiguresError> {
    debug_assert_eq!(value.len(), SIZE);
    let io = |error| FiguresError::io(format!("`{}`", path.display()), error);
    let mut file = File::options().create(true).append(true).open(path).map_err(io)?;
    let watch = Stopwatch::start();
    let mut written = 0;
    while watch.elapsed() < turn {
        for part in [value, &MARK] {
            file.write_all(part).and_then(|()| file.sync_data()).map_err(io)?;
        }
        written += 1;
    }
    Ok(watch.per_second(written))
}
