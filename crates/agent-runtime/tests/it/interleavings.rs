//! Agents with models and tools under everything that can happen to them at once: callers, interrupts, rollbacks, cancels,
//! people, and deaths of the process, on a simulated clock.
//!
//! `INTERLEAVINGS=10000 cargo nextest run -p agent-runtime interleavings` plays as many as one likes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

mod play;
mod world;

use play::play;

/// How many are played, unless the environment says otherwise: some seconds.
const CI: u64 = 1_000;

#[test]
fn whatever_happens_transcripts_hold_and_nothing_is_sent_after_a_receipt() {
    let count = std::env::var("INTERLEAVINGS").map_or(CI, |count| count.parse().unwrap());
    let mut seen = world::Seen::default();
    for seed in 0..count {
        seen = seen.plus(play(seed));
    }
    // It came to all of it.
    eprintln!("{count} interleavings: {seen:?}");
    assert!(seen.requests > count && seen.completed > count / 4, "{seen:?}");
    for (what, times) in [
        ("cancels", seen.cancelled),
        ("rollbacks", seen.rolled_back),
        ("crashes", seen.crashes),
        ("consents", seen.consents),
        ("refusals", seen.denials),
        ("decisions", seen.decisions),
        ("failures of models", seen.retried),
        ("receipts", seen.receipts),
    ] {
        assert!(times > count / 100, "only {times} {what} in {count}");
    }
}
