//! What it costs to know whose memory is whose: transcripts that are parsed and dropped, with the allocator that meters and without.
//!
//! A program has one allocator: the one that meters is that of another program, `metered`, which does the same.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::Duration;

use agent_runtime::resources::Heap;
use runtime_core::SystemClock;
use runtime_traits::clock::Clock;
use serde_json::{Value, json};

use super::contest::take_turns;
use super::error::FiguresError;
use super::figure::{Bar, Figure};
use super::plan::{Plan, WORKERS};
use super::stage::{self, Stage};

/// The program whose allocator meters.
pub(crate) const PROGRAM: &str = "metered";
/// How long the JSON of the transcript is.
const BYTES: usize = 48 * 1024;
/// How many transcripts are parsed between two looks at the clock.
const AT_ONCE: u64 = 16;

pub(crate) async fn measure(plan: &Plan) -> Result<Vec<Figure>, FiguresError> {
    let millis = u64::try_from(plan.turn.as_millis()).unwrap_or(u64::MAX);
    let stage = Stage::Transcripts { millis };
    let metered = async || stage::ask_other::<f64>(PROGRAM, &stage).await;
    let plain = async || stage::ask::<f64>(&stage).await;
    let (value, baseline) = take_turns(plan.rounds, metered, plain).await?;
    Ok(vec![Figure {
        name: "metered",
        value,
        unit: "µs",
        baseline: Some(baseline),
        against: "a 48 KiB JSON transcript parsed and dropped by each of two threads: the same with the system's allocator alone",
        bar: Bar::RatioAtMost(1.15),
        n: plan.rounds,
    }])
}

/// The program that does the same with another allocator.
pub fn other_main() -> ExitCode {
    let mut millis = std::env::args().skip_while(|arg| arg != "transcripts").skip(1);
    let Some(millis) = millis.next().and_then(|millis| millis.parse().ok()) else {
        eprintln!("usage: metered stage transcripts MILLIS");
        return ExitCode::from(2);
    };
    if !Heap::is_metered() {
        eprintln!("error: the allocator of this program does not meter");
        return ExitCode::from(2);
    }
    match work(millis) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::fail(&error),
    }
}

/// In a process of its own: parses and drops transcripts for so many milliseconds, and tells how many microseconds one took.
pub(crate) fn work(millis: u64) -> Result<(), FiguresError> {
    let (text, until) = (transcript(), Duration::from_millis(millis));
    let (barrier, clock) = (Barrier::new(WORKERS), SystemClock::default());
    let took = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..WORKERS).map(|_| scope.spawn(|| parse_for(&text, until, &barrier, &clock))).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let mut sum = 0.0;
    for took in took {
        sum += took.map_err(|_| FiguresError::Unexpected("a thread panicked".to_owned()))??;
    }
    stage::answer(&(sum / WORKERS as f64))
}

/// Microseconds that one transcript took, in the name of a heap as an agent has.
fn parse_for(
    text: &str,
    until: Duration,
    barrier: &Barrier,
    clock: &SystemClock,
) -> Result<f64, FiguresError> {
    barrier.wait();
    let heap = Heap::new().map_err(|error| FiguresError::Unexpected(error.to_string()))?;
    let (began, mut parsed) = (clock.now(), 0_u64);
    loop {
        for _ in 0..AT_ONCE {
            heap.enter(|| {
                let value: Result<Value, _> = serde_json::from_str(black_box(text));
                drop(black_box(value));
            });
        }
        parsed += AT_ONCE;
        let took = clock.now().since(began);
        if took >= until {
            return Ok(took.as_secs_f64() * 1e6 / parsed as f64);
        }
    }
}

/// A conversation with calls of tools, as long as promised.
fn transcript() -> String {
    let mut messages = Vec::new();
    let mut text = String::new();
    for nth in 0_u64.. {
        messages
            .push(json!({ "role": "user", "content": "Which of the papers measure what survives a crash?" }));
        messages.push(json!({
            "role": "assistant",
            "content": null,
            "tool_calls": [{ "id": format!("call_{nth}"), "type": "function", "function": {
                "name": "search", "arguments": { "query": "crash consistency", "limit": 10, "after": nth } } }],
        }));
        let hits: Vec<Value> = (0..4)
            .map(|hit| json!({ "title": format!("Paper {hit}"), "year": 2014 + hit, "score": 0.5, "cited": true }))
            .collect();
        messages.push(json!({ "role": "tool", "tool_call_id": format!("call_{nth}"), "content": hits }));
        text = Value::Array(messages.clone()).to_string();
        if text.len() >= BYTES {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transcript_is_as_long_as_promised_and_is_json() {
        let text = transcript();
        assert!((BYTES..BYTES + 1_024).contains(&text.len()), "{}", text.len());
        assert!(serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().len() > 100);
    }
}
