//! Thousands of lives of random agents: every law holds in each.

use std::fmt::Write as _;

use runtime_testkit::fakes::Chance;
use runtime_traits::log::{Entry, EntryKind, Outcome};

use super::laws;
use super::life::{Events, Life};
use super::rehearsal;

/// Set to a seed: lives that one life and tells it.
const SEED: &str = "ENGINE_SEED";
/// Set to a number: how many lives are lived.
const LIVES: &str = "ENGINE_LIVES";

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a seed or a number of lives is a number"))
}

#[derive(Debug, Default)]
struct Sum {
    lives: u64,
    entries: u64,
    replays: u64,
    changes: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    events: Events,
}

/// Lives a life, and replays it: whole, from prefixes, and with changed code.
fn one(seed: u64, sum: &mut Sum) -> Result<Life, (Life, Vec<String>)> {
    let mut life = Life::new(seed);
    life.live();
    let log = life.log();
    let mut wrong = super::scene::lock(&life.scene).faults.clone();
    if wrong.is_empty() {
        wrong = laws::broken(&log);
    }
    if wrong.is_empty() {
        let mut chance = Chance::new(seed ^ 0x5EED);
        wrong = rehearsal::whole(&life, &log, chance.bits());
        let every = seed.is_multiple_of(8);
        for end in 2..log.len() {
            if every || chance.once_in(8) {
                wrong.extend(rehearsal::prefix(&life, &log, end, chance.bits()));
                sum.replays += 1;
            }
        }
        for _ in 0..3 {
            wrong.extend(rehearsal::changed(&life, &log, &mut chance));
            sum.changes += 1;
        }
    }
    sum.add(&life, &log);
    if wrong.is_empty() { Ok(life) } else { Err((life, wrong)) }
}

impl Sum {
    fn add(&mut self, life: &Life, log: &[Entry]) {
        self.lives += 1;
        self.entries += log.len() as u64;
        if let Some(EntryKind::Ended(ended)) = log.last().map(|entry| &entry.kind) {
            match ended.outcome {
                Outcome::Completed(_) => self.completed += 1,
                Outcome::Cancelled(_) => self.cancelled += 1,
                _ => self.failed += 1,
            }
        }
        let (sum, one) = (&mut self.events, &life.events);
        sum.commits += one.commits;
        sum.unknown_commits += one.unknown_commits;
        sum.crashes += one.crashes;
        sum.crashes_at_commits += one.crashes_at_commits;
        sum.takeovers += one.takeovers;
        sum.cancels += one.cancels;
        sum.decisions += one.decisions;
        sum.parks += one.parks;
        sum.pauses += one.pauses;
    }
}

fn told(life: &Life, wrong: &[String]) -> String {
    let mut text = String::new();
    for line in wrong {
        writeln!(text, "  {line}").expect("a string takes every line");
    }
    writeln!(text, "{:#?}", life.program).expect("a string takes every line");
    for entry in life.log() {
        writeln!(
            text,
            "{:3} {:7} a{} e{} {:?}",
            entry.seq.0, entry.at.0, entry.attempt, entry.epoch, entry.kind
        )
        .expect("a string takes every line");
    }
    writeln!(text, "seen: {:?}", life.seen).expect("a string takes every line");
    text
}

#[test]
fn ten_thousand_lives_of_random_agents_break_no_clause_of_the_replay_rule() {
    let mut sum = Sum::default();
    let (first, lives) = match setting(SEED) {
        Some(seed) => (seed, 1),
        None => (0, setting(LIVES).unwrap_or(10_000)),
    };
    let mut failures = Vec::new();
    for seed in first..first + lives {
        match one(seed, &mut sum) {
            Ok(life) if lives == 1 => eprintln!("{}", told(&life, &[])),
            Ok(_) => {}
            Err((life, wrong)) => failures.push((seed, life, wrong)),
        }
        if failures.len() == 10 {
            break;
        }
    }
    if let Some((seed, life, wrong)) = failures.first() {
        for (seed, _, wrong) in &failures {
            eprintln!("seed {seed}: {}", wrong[0]);
        }
        eprintln!(
            "{}\nreplay it: {SEED}={seed} cargo nextest run -p runtime-core ten_thousand",
            told(life, wrong)
        );
    }
    assert!(failures.is_empty(), "seeds that break a clause are above");
    eprintln!("{sum:#?}");
}
