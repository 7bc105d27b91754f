//! Processes that die of the runs in them, as their logs tell it: `AGENT_RUNTIME_DEATHS` of such stories.

use std::collections::BTreeSet;
use std::time::Duration;

use runtime_core::engine::claim::{Next, after_park, claim};
use runtime_core::engine::suspects::{
    Judged, MOST_COUNTED, Trace, holds_session, judge, let_out, next_trial, set_aside, without,
};
use runtime_testkit::fakes::Chance;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::{NodeId, RunId};
use runtime_traits::log::{
    AttemptEnded, AttemptEnding, Entry, EntryKind, RunView, Started, StepDispatched, WaitId, WaitOn,
};
use runtime_traits::store::Seq;
use runtime_traits::{Partition, Pool};
use uuid::Uuid;

use super::life::{accepted, by};
use super::play::key;
use super::tables::{settled, waits};

const CLEAR_AFTER: Duration = Duration::from_secs(10);

fn stories() -> u64 {
    std::env::var("AGENT_RUNTIME_DEATHS").ok().and_then(|asked| asked.parse().ok()).unwrap_or(300)
}

fn run(n: usize) -> RunId {
    RunId::from_parts(Partition { pool: Pool::MAIN, index: 0 }, Uuid::from_u128(n as u128))
}

fn started(suspects: u32) -> EntryKind {
    let (build, node) = (String::new(), NodeId(Uuid::nil()));
    EntryKind::Started(Started { kind_version: 1, build, node, suspects })
}

fn over(how: AttemptEnding, counted: bool) -> EntryKind {
    EntryKind::AttemptEnded(AttemptEnded { how, counted })
}

fn again(step: &str) -> EntryKind {
    EntryKind::StepDispatched(StepDispatched::of(key(step), 2))
}

/// Runs that share a process, each with its log.
struct World {
    chance: Chance,
    now: u64,
    logs: Vec<Vec<Entry>>,
    /// Those that kill the process as soon as they are started.
    poison: BTreeSet<usize>,
    /// Those that live long enough to be cleared, or block their threads that long, and may kill the process afterwards.
    late: BTreeSet<usize>,
    /// How often those still do, and how often they did.
    late_deaths: (u32, u32),
}

impl World {
    /// So many runs in flight, of which these are poison.
    fn new(seed: u64, runs: usize, poison: BTreeSet<usize>) -> Self {
        let (chance, logs, late) = (Chance::new(seed), vec![Vec::new(); runs], BTreeSet::new());
        let mut world = Self { chance, now: 0, logs, poison, late, late_deaths: (0, 0) };
        for nth in 0..runs {
            world.append(nth, EntryKind::Accepted(Box::new(accepted(None))));
            world.append(nth, started(0));
        }
        world
    }

    fn append(&mut self, nth: usize, kind: EntryKind) {
        self.now += 1;
        let log = &mut self.logs[nth];
        let seq = Seq(log.len() as u64 + 1);
        log.push(Entry { seq, at: UnixMillis(self.now), attempt: 1, epoch: 1, kind });
    }

    fn view(&self, nth: usize) -> RunView {
        RunView::of(run(nth), &self.logs[nth]).expect("it begins with `Accepted`")
    }

    fn aside(&self) -> BTreeSet<usize> {
        (0..self.logs.len()).filter(|nth| self.view(*nth).is_quarantined()).collect()
    }

    fn in_flight(&self) -> Vec<(RunId, Trace)> {
        let traces = self.logs.iter().enumerate().map(|(nth, log)| (run(nth), Trace::of(log)));
        traces.filter(|(_, trace)| trace.in_flight || trace.lost).collect()
    }

    /// What the next process finds, and writes down before it starts anybody. What it writes of the first that it tries rides with
    /// their starts.
    fn recover(&mut self) -> Judged {
        // Time passes between processes.
        self.now += 100;
        let judged = judge(&self.in_flight(), MOST_COUNTED, CLEAR_AFTER);
        let first: BTreeSet<RunId> = next_trial(&judged.suspects).into_iter().collect();
        for nth in (0..self.logs.len()).filter(|nth| !first.contains(&run(*nth))) {
            self.claim(nth, &judged);
        }
        judged
    }

    fn claim(&mut self, nth: usize, judged: &Judged) {
        let mut claim = claim(&self.view(nth), &self.logs[nth]);
        judged.tell(&run(nth), &self.logs[nth], &mut claim);
        claim.entries.into_iter().for_each(|kind| self.append(nth, kind));
    }

    /// Whether the process dies now of one that was cleared.
    fn dies_late(&mut self) -> bool {
        let lives_on = |nth: &usize| {
            let trace = Trace::of(&self.logs[*nth]);
            let is_old = self.now >= trace.started_at.after(CLEAR_AFTER).0;
            trace.in_flight && trace.tried_with > 0 && (trace.cleared || is_old)
        };
        let may = self.late_deaths.0 > 0 && self.late.iter().any(lives_on);
        let dies = may && self.chance.once_in(3);
        if dies {
            self.late_deaths = (self.late_deaths.0 - 1, self.late_deaths.1 + 1);
        }
        dies
    }

    /// A process: it tries its suspects until it dies of one, or none is left. Whether it lives.
    fn live(&mut self) -> bool {
        let judged = self.recover();
        let mut suspects = judged.suspects.clone();
        let mut is_first = true;
        while !suspects.is_empty() {
            let mut trial = next_trial(&suspects);
            assert!(!trial.is_empty(), "nothing is stuck");
            without(&mut suspects, &trial);
            let with = u32::try_from(trial.len()).expect("they are few");
            // They are started in any order, and some not before the process dies.
            let mut working = Vec::new();
            while !trial.is_empty() {
                let nth = trial.swap_remove(self.chance.below(trial.len() as u64) as usize);
                let nth = usize::try_from(nth.unique().as_u128()).expect("a small number");
                if is_first {
                    self.claim(nth, &judged);
                }
                self.append(nth, started(with));
                if self.dies_late() {
                    return false;
                }
                working.push(nth);
                if self.poison.contains(&nth) && (trial.is_empty() || self.chance.once_in(2)) {
                    return false;
                }
                if working.iter().any(|nth| self.poison.contains(nth)) && self.chance.once_in(4) {
                    return false;
                }
                let early = working[self.chance.below(working.len() as u64) as usize];
                if !self.poison.contains(&early) && self.chance.once_in(2) {
                    self.clear(early);
                }
            }
            if working.iter().any(|nth| self.poison.contains(nth)) {
                return false;
            }
            for nth in working {
                if self.late.contains(&nth) && self.chance.once_in(2) {
                    // It blocks its thread, and nothing of it is written.
                    self.now += 10_000;
                } else {
                    self.clear(nth);
                }
                if self.dies_late() {
                    return false;
                }
            }
            is_first = false;
        }
        true
    }

    /// A run shows that it is not the one.
    fn clear(&mut self, nth: usize) {
        if !Trace::of(&self.logs[nth]).in_flight {
            return;
        }
        let name = format!("s{}", self.logs[nth].len());
        let kind = match self.chance.below(4) {
            0 => settled(&name),
            1 => waits(self.logs[nth].len() as u64 + 1, WaitOn::Time(key(&name)), Some(9_999)),
            2 => over(AttemptEnding::Parked, false),
            _ => EntryKind::Cleared,
        };
        self.append(nth, kind);
    }

    /// 5 + log2(runs in flight), for each poison run, and two more for each death of which another run was the cause.
    fn bound(&self) -> f64 {
        let of_late = 2.0 * f64::from(self.late_deaths.1);
        (5.0 + (self.logs.len() as f64).log2()) * self.poison.len() as f64 + of_late
    }
}

/// Lets process after process die until one lives. How often that was, and who is set aside.
fn story(seed: u64, runs: usize, poison: &BTreeSet<usize>) -> (u32, BTreeSet<usize>) {
    story_of(World::new(seed, runs, poison.clone()), seed)
}

fn story_of(mut world: World, seed: u64) -> (u32, BTreeSet<usize>) {
    let (runs, poison) = (world.logs.len(), &world.poison.clone());
    let mut deaths = u32::from(!poison.is_empty());
    // All were in flight, and one of them killed the process. Nobody was tried, so nothing counts.
    let none_kills = poison.is_empty() && world.late.is_empty();
    while !none_kills && !world.live() {
        deaths += 1;
        let bound = world.bound();
        let aside = world.aside();
        let killers: BTreeSet<usize> = poison.union(&world.late).copied().collect();
        assert!(aside.is_subset(&killers), "seed {seed}: an innocent run is set aside: {aside:?}");
        let among = format!("{runs} runs, {} of them poison", poison.len());
        assert!(f64::from(deaths) <= bound, "seed {seed}: {deaths} deaths of {among}");
    }
    (deaths, world.aside())
}

#[test]
fn one_poison_run_is_found_within_the_bound_wherever_it_is_among_any_number() {
    for runs in 1..=40 {
        for nth in 0..runs {
            let poison = BTreeSet::from([nth]);
            assert_eq!(story(runs as u64, runs, &poison).1, poison, "run {nth} of {runs}");
        }
    }
}

#[test]
fn poison_runs_and_no_others_are_set_aside_and_each_costs_few_deaths() {
    for seed in 0..stories() {
        let mut chance = Chance::new(seed);
        let runs = 1 + chance.below(200);
        let poison: BTreeSet<usize> =
            (0..chance.below(6)).map(|_| usize::try_from(chance.below(runs)).expect("small")).collect();
        let (_, aside) = story(seed, usize::try_from(runs).expect("small"), &poison);
        assert_eq!(aside, poison, "seed {seed}");
    }
}

#[test]
fn who_kills_only_after_it_was_cleared_or_blocks_its_thread_until_then_never_sets_an_innocent_run_aside() {
    for seed in 0..stories() {
        let mut chance = Chance::new(seed);
        let runs = 1 + chance.below(60);
        let mut some = |most: u64| -> BTreeSet<usize> {
            (0..chance.below(most)).map(|_| usize::try_from(chance.below(runs)).expect("small")).collect()
        };
        let (poison, late) = (some(3), some(4));
        let mut world = World::new(seed, usize::try_from(runs).expect("small"), poison.clone());
        world.late = late.difference(&poison).copied().collect();
        world.late_deaths = (12, 0);
        let (_, aside) = story_of(world, seed);
        assert!(aside.is_superset(&poison), "seed {seed}: {poison:?} are set aside, and not {aside:?} alone");
    }
}

/// The log of a run with these entries after its acceptance, one every second.
fn log(kinds: Vec<EntryKind>) -> Vec<Entry> {
    let accepted = EntryKind::Accepted(Box::new(accepted(None)));
    let kinds = [accepted].into_iter().chain(kinds);
    let entry =
        |(nth, kind)| Entry { seq: Seq(nth), at: UnixMillis(nth * 1_000), attempt: 1, epoch: 1, kind };
    (1..).zip(kinds).map(entry).collect()
}

fn trace(kinds: Vec<EntryKind>) -> Trace {
    Trace::of(&log(kinds))
}

#[test]
fn only_a_run_whose_attempt_has_no_end_or_was_lost_is_a_suspect() {
    let suspect = |kinds| {
        let trace = trace(kinds);
        trace.in_flight || trace.lost
    };
    assert!(!suspect(vec![]), "it had not begun");
    assert!(suspect(vec![started(0)]));
    assert!(suspect(vec![started(0), over(AttemptEnding::Lost, false)]), "nobody has tried it since");
    for orderly in [AttemptEnding::Parked, AttemptEnding::Drained] {
        assert!(!suspect(vec![started(4), over(orderly, false)]), "an orderly end counts nothing");
    }
    let lost = || vec![started(1), over(AttemptEnding::Lost, true)];
    let aside = |mut kinds: Vec<EntryKind>| {
        let entries = kinds.len() + 1;
        kinds.push(set_aside(entries, "it died"));
        kinds
    };
    assert!(!suspect(aside(lost())), "it is in quarantine");
}

#[test]
fn what_shows_that_a_run_is_not_the_one_clears_it_and_a_step_that_only_begins_does_not() {
    let cleared = |kind: EntryKind| trace(vec![started(2), kind]).cleared;
    assert!(
        cleared(settled("a"))
            && cleared(waits(3, WaitOn::Time(key("t")), Some(9)))
            && cleared(EntryKind::Cleared)
    );
    assert!(!cleared(again("a")), "its work may be what kills");
    assert!(
        !trace(vec![started(2), settled("a"), over(AttemptEnding::Lost, false), started(2)]).cleared,
        "it was before"
    );
}

#[test]
fn counted_starts_are_forgotten_with_a_settled_step_and_when_a_person_says_so() {
    let died = || [started(1), over(AttemptEnding::Lost, true)];
    let twice = || died().into_iter().chain(died()).collect::<Vec<_>>();
    assert_eq!(trace(twice()).counted, 2);
    let failed = over(AttemptEnding::Failed { error: "no".to_owned() }, true);
    assert_eq!(trace([twice(), vec![started(0), failed]].concat()).counted, 2, "its process lived");
    assert_eq!(trace([twice(), vec![started(1), EntryKind::Cleared]].concat()).counted, 2);
    assert_eq!(trace([twice(), vec![started(1), settled("a")]].concat()).counted, 0);

    let mut kinds = twice();
    kinds.push(set_aside(kinds.len() + 1, "it died"));
    let out = let_out(WaitId(kinds.len() as u64 + 1), by());
    assert_eq!(trace(kinds.clone()).counted, 2);
    assert!(!holds_session(&log(kinds.clone())), "its session goes on");
    kinds.push(out);
    assert_eq!(trace(kinds.clone()), Trace::default());
    let view = RunView::of(run(0), &log(kinds.clone())).expect("a run");
    assert!(!view.is_quarantined() && after_park(&view, &log(kinds.clone())) == Next::Start);
    assert!(!holds_session(&log(kinds.clone())), "it may not be its turn");
    kinds.push(started(0));
    assert!(holds_session(&log(kinds)));
}

#[test]
fn a_death_counts_against_a_run_that_was_alone_and_only_if_nothing_else_can_have_been_the_cause() {
    let seconds = |at: u64| UnixMillis(at * 1_000);
    let alone = Trace { in_flight: true, tried_with: 1, started_at: seconds(100), ..Trace::default() };
    let counted = |others: &[Trace]| {
        let others = others.iter().enumerate().map(|(nth, trace)| (run(nth + 1), *trace));
        let open: Vec<_> = [(run(0), alone)].into_iter().chain(others).collect();
        judge(&open, MOST_COUNTED, CLEAR_AFTER).counted
    };
    let other = |tried_with, began| Trace { tried_with, started_at: seconds(began), ..alone };
    assert_eq!(counted(&[]), Some(run(0)));
    assert_eq!(counted(&[Trace { cleared: true, ..other(4, 80) }]), None, "it lives on, and may kill later");
    assert_eq!(counted(&[other(4, 80)]), None, "it blocks its thread, and could not say that it lives");
    assert_eq!(counted(&[other(0, 80)]), Some(run(0)), "it has lived long enough");
    assert_eq!(
        counted(&[Trace { in_flight: false, lost: true, ..other(4, 1) }]),
        Some(run(0)),
        "it was not started"
    );
    assert_eq!(counted(&[other(1, 99)]), None, "two were tried");
    assert_eq!(counted(&[other(0, 95)]), None, "it began shortly before");
    assert_eq!(counted(&[other(0, 101)]), None, "it began beside it");
}

#[test]
fn a_death_among_many_counts_against_nobody_and_halves_them() {
    let among = |tried_with| Trace { in_flight: true, tried_with, ..Trace::default() };
    let open: Vec<_> = (0..8).map(|nth| (run(nth), among(8))).collect();
    let judged = judge(&open, MOST_COUNTED, CLEAR_AFTER);
    assert_eq!((judged.counted, judged.convicted.len()), (None, 0));
    assert_eq!(next_trial(&judged.suspects), [run(0), run(1), run(2), run(3)]);
}

#[test]
fn who_lived_until_another_was_tried_long_after_it_is_cleared_though_it_blocked_its_thread() {
    let tried = |began: u64| Trace {
        in_flight: true,
        tried_with: 4,
        started_at: UnixMillis(began * 1_000),
        ..Trace::default()
    };
    let open: Vec<_> = [(run(0), tried(100)), (run(1), tried(101)), (run(2), tried(110))].into();
    let judged = judge(&open, MOST_COUNTED, CLEAR_AFTER);
    let with: Vec<_> = judged.suspects.iter().map(|suspect| suspect.tried_with).collect();
    assert_eq!(with, [0, 2, 2]);

    // The next process writes it down, so that it stays so.
    let mut entries = log(vec![started(4)]);
    let view = RunView::of(run(0), &entries).expect("a run");
    let mut claim = claim(&view, &entries);
    judged.tell(&run(0), &entries, &mut claim);
    for kind in claim.entries {
        let (seq, at) = (Seq(entries.len() as u64 + 1), UnixMillis(200_000));
        entries.push(Entry { seq, at, attempt: 1, epoch: 1, kind });
    }
    let trace = Trace::of(&entries);
    assert_eq!((trace.lost, trace.cleared), (true, true));
}

#[test]
fn when_the_one_is_found_all_others_go_on_together() {
    let lost = Trace { lost: true, tried_with: 8, ..Trace::default() };
    let mut open: Vec<_> = (1..6).map(|nth| (run(nth), lost)).collect();
    open.push((
        run(0),
        Trace { in_flight: true, tried_with: 1, counted: MOST_COUNTED - 1, ..Trace::default() },
    ));
    let judged = judge(&open, MOST_COUNTED, CLEAR_AFTER);
    assert_eq!(judged.convicted, [run(0)]);
    assert_eq!(next_trial(&judged.suspects).len(), 5);
}
