//! Processes that die of the runs in them, drawn by chance: `AGENT_RUNTIME_DEATHS` of such stories.

use std::collections::BTreeSet;

use runtime_testkit::fakes::Chance;
use runtime_traits::{Partition, Pool, RunId};
use uuid::Uuid;

use super::{Suspect, after_death, next_trial};

const ATTEMPTS: u32 = 3;

fn stories() -> u64 {
    std::env::var("AGENT_RUNTIME_DEATHS").ok().and_then(|asked| asked.parse().ok()).unwrap_or(1_000)
}

fn run(n: u64) -> RunId {
    RunId::from_parts(Partition { pool: Pool::MAIN, index: 0 }, Uuid::from_u128(u128::from(n)))
}

fn untried(runs: u64) -> Vec<Suspect> {
    (0..runs).map(|nth| Suspect { run: run(nth), tried_with: 0, counted: 0 }).collect()
}

/// How often the process dies until all runs are cleared or set aside, and which ones are.
fn live(runs: u64, poison: &BTreeSet<RunId>) -> (u32, BTreeSet<RunId>) {
    let mut suspects = untried(runs);
    // All were in flight, and one of them killed the process. Nobody was tried, so nothing counts.
    let (mut deaths, mut aside) = (u32::from(!poison.is_empty()), BTreeSet::new());
    while !suspects.is_empty() {
        let trial = next_trial(&suspects);
        assert!(!trial.is_empty(), "nothing is stuck");
        if trial.iter().any(|run| poison.contains(run)) {
            deaths += 1;
            assert!(f64::from(deaths) <= bound(runs, poison.len()), "{deaths} deaths of {runs} runs");
            aside.extend(after_death(&mut suspects, &trial, ATTEMPTS));
        } else {
            suspects.retain(|suspect| !trial.contains(&suspect.run));
        }
    }
    (deaths, aside)
}

/// 4 + log2(runs), per poison run.
fn bound(runs: u64, poison: usize) -> f64 {
    (4.0 + (runs as f64).log2()) * poison as f64
}

#[test]
fn one_poison_run_is_found_within_the_bound_wherever_it_is_among_any_number() {
    for runs in 1..=70 {
        for nth in 0..runs {
            let poison = BTreeSet::from([run(nth)]);
            let (deaths, aside) = live(runs, &poison);
            assert_eq!(aside, poison, "run {nth} of {runs}");
            assert!(f64::from(deaths) <= bound(runs, 1), "run {nth} of {runs}: {deaths} deaths");
        }
    }
}

#[test]
fn poison_runs_and_no_others_are_set_aside_and_each_costs_few_deaths() {
    for seed in 0..stories() {
        let mut chance = Chance::new(seed);
        let runs = 1 + chance.below(300);
        let poison: BTreeSet<RunId> = (0..chance.below(6)).map(|_| run(chance.below(runs))).collect();
        let (deaths, aside) = live(runs, &poison);
        assert_eq!(aside, poison, "seed {seed}");
        assert!(
            f64::from(deaths) <= bound(runs, poison.len()),
            "seed {seed}: {deaths} deaths of {runs} runs"
        );
    }
}

#[test]
fn a_death_among_many_counts_against_nobody() {
    let mut suspects = untried(64);
    for _ in 0..6 {
        let trial = next_trial(&suspects);
        assert!(trial.len() > 1);
        assert_eq!(after_death(&mut suspects, &trial, ATTEMPTS), []);
        assert!(suspects.iter().all(|suspect| suspect.counted == 0));
    }
    let alone = next_trial(&suspects);
    after_death(&mut suspects, &alone, ATTEMPTS);

    assert_eq!(suspects.iter().map(|suspect| suspect.counted).sum::<u32>(), 1, "now one was alone");
}

#[test]
fn when_the_culprit_is_found_all_others_go_on_together() {
    let mut suspects = untried(16);
    let culprit = run(0);
    loop {
        let trial = next_trial(&suspects);
        assert!(trial.contains(&culprit), "it is in every first half");
        if after_death(&mut suspects, &trial, ATTEMPTS) == [culprit] {
            break;
        }
    }

    assert_eq!(next_trial(&suspects).len(), 15);
}
