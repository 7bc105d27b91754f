//! Thousands of lives of random agents: every law holds in each.

use std::fmt::Write as _;
use std::ops::Range;

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

/// Lives a life, and replays it: whole, from prefixes, and with changed code. Says what was wrong.
fn one(seed: u64, sum: &mut Sum) -> (Life, Vec<String>) {
    let mut life = Life::new(seed);
    life.live();
    let log = life.log();
    let thorough = seed.is_multiple_of(32);
    let mut wrong = super::scene::lock(&life.scene).faults.clone();
    if wrong.is_empty() {
        wrong = laws::broken(&log, thorough);
        wrong.extend(laws::underbooked(&log, |key| super::scene::lock(&life.scene).begun(key)));
    }
    if wrong.is_empty() {
        let mut chance = Chance::new(seed ^ 0x5EED);
        wrong = rehearsal::whole(&life, &log, chance.bits());
        for end in 2..log.len() {
            if thorough || chance.once_in(16) {
                wrong.extend(rehearsal::prefix(&life, &log, end, chance.bits()));
                sum.replays += 1;
            }
        }
        wrong.extend(rehearsal::changed(&life, &log, &mut chance));
        sum.changes += 1;
    }
    sum.count(&life, &log);
    (life, wrong)
}

impl Sum {
    fn count(&mut self, life: &Life, log: &[Entry]) {
        self.lives += 1;
        self.entries += log.len() as u64;
        if let Some(EntryKind::Ended(ended)) = log.last().map(|entry| &entry.kind) {
            match ended.outcome {
                Outcome::Completed(_) => self.completed += 1,
                Outcome::Cancelled(_) => self.cancelled += 1,
                _ => self.failed += 1,
            }
        }
        self.events.add(&life.events);
    }

    fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.entries += other.entries;
        self.replays += other.replays;
        self.changes += other.changes;
        self.completed += other.completed;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.events.add(&other.events);
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
    let (first, lives) = match setting(SEED) {
        Some(seed) => (seed, 1),
        None => (0, setting(LIVES).unwrap_or(10_000)),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = |from: usize| live(first + from as u64..first + lives, threads, lives == 1);
    let parts: Vec<(Sum, Option<String>)> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|from| scope.spawn(move || work(from))).collect();
        let join = |part: std::thread::ScopedJoinHandle<'_, _>| part.join().expect("no life panics");
        parts.into_iter().map(join).collect()
    });
    let mut sum = Sum::default();
    parts.iter().for_each(|(part, _)| sum.add(part));
    let failures: Vec<_> = parts.into_iter().filter_map(|(_, failure)| failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    eprintln!("{sum:#?}");
}

/// Lives every `step`th life of `seeds`, up to the first that breaks a clause.
fn live(seeds: Range<u64>, step: usize, tell: bool) -> (Sum, Option<String>) {
    let mut sum = Sum::default();
    for seed in seeds.step_by(step) {
        let (life, wrong) = one(seed, &mut sum);
        if !wrong.is_empty() {
            let again = format!("{SEED}={seed} cargo nextest run -p runtime-core ten_thousand_lives");
            let told = told(&life, &wrong);
            return (sum, Some(format!("seed {seed} breaks a clause:\n{told}once more: {again}")));
        }
        if tell {
            eprintln!("{}", told(&life, &[]));
        }
    }
    (sum, None)
}
