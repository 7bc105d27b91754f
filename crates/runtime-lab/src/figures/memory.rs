//! Resident memory: of this process, and over millions of runs.

use std::sync::Arc;

use runtime_state::MemoryStore;
use serde::{Deserialize, Serialize};

use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::house;
use super::load::each;
use super::noop::AGENTS;
use super::plan::Plan;
use super::spread::Spread;
use super::stage::{self, Stage};

/// By then conversations, ended runs and the windows of all partitions are full.
const FIRST: u64 = 5_000_000;
const LAST: u64 = 10_000_000;
const MIB: f64 = 1024.0 * 1024.0;

/// Resident bytes after so many runs.
#[derive(Debug, Serialize, Deserialize)]
struct Grown {
    first: u64,
    last: u64,
}

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let stage = Stage::Memory { first: plan.sized(FIRST), last: plan.sized(LAST) };
    let grown: Grown = stage::ask(&stage).await?;
    Ok(vec![Figure {
        name: "memory",
        value: Spread::one(grown.last as f64 / MIB),
        unit: "MiB",
        baseline: Some(Spread::one(grown.first as f64 / MIB)),
        against: "resident memory after 5 million runs, when all that is capped is full; the value is that after 5 million more",
        bar: Bar::RatioAtMost(1.05),
        n: 1,
    }])
}

/// In a process of its own: works `first` runs, then as many as make `last`, and tells its memory each time.
pub(crate) async fn work(first: u64, last: u64) -> Result<(), FiguresError> {
    let (runtime, agents) = house::with_agents(Arc::new(MemoryStore::new()), AGENTS).await?;
    each(house::callers(&runtime, &agents), first / AGENTS).await?;
    let after_first = resident()?;
    each(house::callers(&runtime, &agents), (last - first) / AGENTS).await?;
    stage::answer(&Grown { first: after_first, last: resident()? })
}

/// The resident bytes of this process.
pub(crate) fn resident() -> Result<u64, FiguresError> {
    // `statm` and `status` may be some hundred pages behind; this sum is counted when it is read.
    let path = "/proc/self/smaps_rollup";
    let text = std::fs::read_to_string(path).map_err(|error| FiguresError::io(format!("`{path}`"), error))?;
    in_rollup(&text).ok_or_else(|| FiguresError::Unexpected(format!("`{path}` names no resident memory")))
}

fn in_rollup(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found_and_nothing_is_made_of_nothing() {
        let text = "55d8-7ffc ---p 00000000 00:00 0  [rollup]\nRss:                2048 kB\nPss:  17 kB\n";
        assert_eq!(in_rollup(text), Some(2 * 1024 * 1024));
        assert_eq!(in_rollup("Pss: 17 kB\n"), None);
    }

    #[test]
    fn this_process_has_some_memory() {
        assert!(resident().unwrap() > 1024 * 1024);
    }
}
