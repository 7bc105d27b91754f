//! `powerloss`: what a store does to its files is recorded, and the disk is made anew as a loss of power may leave it.

use std::path::PathBuf;

use runtime_state::SledStore;
use runtime_traits::store::Durability;

use super::args::PowerlossArgs;
use super::bench::Bench;
use super::disk::Disk;
use super::error::{StoresError, refused};
use super::examiner::Examiner;
use super::examining::Task;
use super::files::Files;
use super::image::{Fate, image};
use super::process::Start;
use super::recorder::{recorded, recording};
use super::told::Told;
use super::trace::Call;
use super::word::{Acknowledged, Word};
use super::work::Work;
use crate::chaos::dice::Dice;
use crate::chaos::report::Report;
use crate::chaos::violation::{Law, Violation};

/// Images that are made of one record.
const OF_ONE: u64 = 250;
/// Images that are kept, as they were before a store opened them.
const KEPT: usize = 5;

/// What a process did to the disk, and what it was told meanwhile.
struct Recording {
    disk: Disk,
    /// What was told before it began.
    before: Told,
    /// Acknowledgements, by the line in which they were told.
    told: Vec<(usize, Acknowledged)>,
    last: usize,
}

/// What all records come to.
#[derive(Default)]
struct Sums {
    violations: Vec<Violation>,
    images: u64,
    records: u64,
    steps: usize,
    syncs: usize,
    acknowledged: usize,
    kept: usize,
}

/// Makes `n` images, and opens each.
///
/// # Errors
/// [`StoresError`]: what kept it from being done; that `strace` is missing, or the store out of its reach.
pub(in crate::chaos) async fn powerloss(args: PowerlossArgs) -> Result<Report, StoresError> {
    let kind = args.common.kind("powerloss")?;
    let bench = Bench::new(kind)?;
    let mut examiner = Examiner::new(None);
    let mut sums = Sums::default();
    let mut round = 0;
    let mut before = None;
    while sums.images < args.n && sums.violations.len() < Bench::ENOUGH {
        // Every second record goes on where a process has left a store, which it has not closed.
        let work = Work { seed: args.common.seed.wrapping_add(round / 2), writers: args.common.writers };
        let fresh = round % 2 == 0;
        let (root, store) = if fresh { bench.copy(kind, "recorded")? } else { bench.place(kind, "recorded") };
        let told =
            before.take().filter(|_| !fresh).unwrap_or_else(|| Told::new(work.writers, Durability::Disk));
        let start = Start {
            store,
            work,
            life: round,
            until: Some(args.batches * (round % 2 + 1)),
            best: false,
            unclosed: fresh,
            flaw: args.common.how.flaw,
            log: bench.log("recorded"),
        };
        bench.tell(&format!("record {}", round + 1));
        let recording = record(&bench, &start, root, told, &mut sums).await?;
        let images = OF_ONE.min(args.n - sums.images);
        for nth in 0..images {
            bench.tell(&format!("image {} of {}", sums.images + 1, args.n));
            one(&bench, kind, &mut examiner, &recording, (work, round, nth), &mut sums).await?;
        }
        let mut told = recording.told_before(usize::MAX);
        told.go_on();
        before = Some(told);
        round += 1;
    }
    let of = |law| sums.violations.iter().filter(|violation| violation.law == law).count().to_string();
    let figures = vec![("lost", of(Law::Lost)), ("unreadable", of(Law::Unreadable))];
    let details = format!(
        "looked images={} records={} steps={} syncs={} acknowledged={}\n",
        sums.images, sums.records, sums.steps, sums.syncs, sums.acknowledged
    );
    let (n, seed) = (sums.images, args.common.seed);
    let violations = sums.violations;
    let report = Report { name: "powerloss", n, seed, violations, figures, details, kept: None };
    Ok(bench.report(report, &args.common.how))
}

/// Lets a process write under `strace`.
async fn record(
    bench: &Bench,
    start: &Start,
    root: PathBuf,
    before: Told,
    sums: &mut Sums,
) -> Result<Recording, StoresError> {
    let base = Files::read(&root).map_err(refused("to read the store's files"))?;
    let file = bench.log("strace");
    let mut writing = start.spawn(Some(recording(&file).await?))?;
    let mut done = false;
    while let Some(word) = writing.next().await? {
        match word {
            Word::Ends => done = true,
            Word::Wrong(what) => sums.violations.push(Violation::new(Law::Answered, what)),
            Word::Refused { .. } => {
                sums.violations
                    .push(Violation::new(Law::Served, format!("nothing was wrong, and it said `{word}`")));
                writing.kill();
            }
            Word::Begins { .. } | Word::Acknowledged(_) | Word::Reads { .. } => {}
        }
    }
    if !done && sums.violations.is_empty() {
        return Err(writing.ended().await);
    }
    writing.gone().await?;
    let calls = recorded(&file)?;
    let mut disk = Disk::new(&root, base);
    disk.take(&calls)?;
    let told: Vec<_> = calls.iter().filter_map(acknowledged).collect();
    let last = calls.iter().filter_map(|call| call.end.max(Some(call.begin))).max().unwrap_or(1);
    sums.records += 1;
    sums.steps += disk.steps.len();
    sums.syncs += disk.syncs.iter().filter(|sync| sync.end > 1).count();
    sums.acknowledged += told.len();
    Ok(Recording { disk, before, told, last })
}

/// What a process was told of in a call, and when it began to tell it.
fn acknowledged(call: &Call) -> Option<(usize, Acknowledged)> {
    match Word::in_call(call)? {
        Word::Acknowledged(acknowledged) => Some((call.begin, acknowledged)),
        _ => None,
    }
}

impl Recording {
    /// What was told before a line: who is told it may have acted on it.
    fn told_before(&self, line: usize) -> Told {
        let mut told = self.before.clone();
        for (_, acknowledged) in self.told.iter().take_while(|(begin, _)| *begin < line) {
            told.hear(*acknowledged);
        }
        told
    }

    /// Before which line the power goes: anywhere, just after an acknowledgement, or about the end of a sync.
    fn cut(&self, dice: &mut Dice) -> usize {
        match dice.between(0, 7) {
            4 | 5 if !self.told.is_empty() => dice.pick(&self.told).0 + 1,
            6 | 7 if !self.disk.syncs.is_empty() => {
                dice.pick(&self.disk.syncs).end + usize::from(dice.one_in(2))
            }
            _ => dice.between(2, self.last as u64 + 1) as usize,
        }
    }
}

/// One image, opened.
async fn one(
    bench: &Bench,
    kind: &str,
    examiner: &mut Examiner,
    recording: &Recording,
    (work, round, nth): (Work, u64, u64),
    sums: &mut Sums,
) -> Result<(), StoresError> {
    let mut dice = Dice::of(work.seed, ("powerloss", round, nth));
    let (line, fate) = (recording.cut(&mut dice), Fate::of(&mut dice));
    let files = image(&recording.disk, line, fate, &mut dice);
    let (folder, store) = bench.copy(kind, "image")?;
    files.write(&folder).map_err(refused("to write an image"))?;
    if kind == "sled" {
        // It knows which start of the system it was written in. The power of this machine was not cut.
        SledStore::forget_start(&folder.join("store.sled")).map_err(refused("to write an image"))?;
    }
    let check = dice.one_in(8);
    let seen =
        examiner.look(&Task { store, seed: work.seed, writers: work.writers, exactly: None, check }).await?;
    let at = format!("image {nth} of record {}, before line {line}, {fate:?}", round + 1);
    let found = recording.told_before(line).check(&seen, &at);
    sums.images += 1;
    if !found.is_empty() && sums.kept < KEPT {
        sums.kept += 1;
        let (folder, _) = bench.copy(kind, &format!("image-{}-{nth}", round + 1))?;
        files.write(&folder).map_err(refused("to write an image"))?;
    }
    sums.violations.extend(found);
    Ok(())
}
