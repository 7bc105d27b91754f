//! `fsyncfail`: from some sync on the disk refuses all of them.

use runtime_traits::store::Durability;

use super::args::FsyncfailArgs;
use super::bench::Bench;
use super::error::StoresError;
use super::examiner::Examiner;
use super::examining::Task;
use super::process::Start;
use super::recorder::{failing_syncs, recorded};
use super::told::Told;
use super::trace::Call;
use super::word::{Acknowledged, Why, Word};
use super::work::Work;
use crate::chaos::dice::Dice;
use crate::chaos::report::Report;
use crate::chaos::violation::{Law, Violation};

/// So many words after the first refusal: every writer has submitted its batch again by then.
const LISTENED: u32 = 40;
/// So many acknowledgements, and the syncs did not matter to the store, or failed before it was open.
const MOST: u64 = 400;

/// Breaks the disk of `n` stores.
///
/// # Errors
/// [`StoresError`]: what kept it from being done; that `strace` is missing.
pub(in crate::chaos) async fn fsyncfail(args: FsyncfailArgs) -> Result<Report, StoresError> {
    let kind = args.common.kind("fsyncfail")?;
    let bench = Bench::new(kind)?;
    let mut examiner = Examiner::new(None);
    let (mut violations, mut acknowledged, mut failed, mut poisoned) = (Vec::new(), 0, 0, 0);
    for nth in 1..=args.n {
        bench.tell(&format!("disk {nth} of {}", args.n));
        let work = Work { seed: args.common.seed.wrapping_add(nth), writers: args.common.writers };
        let first = Dice::of(args.common.seed, ("fsyncfail", nth)).between(1, 60);
        let (_, store) = bench.copy(kind, "broken")?;
        let start = Start {
            store: store.clone(),
            work,
            life: nth,
            until: None,
            best: false,
            unclosed: false,
            flaw: args.common.how.flaw,
            log: bench.log("broken"),
        };
        let file = bench.log("strace");
        let mut writing = start.spawn(Some(failing_syncs(&file, first).await?))?;
        let mut told = Told::new(work.writers, Durability::Process);
        let at = format!("disk {nth}, from sync {first} on");
        let (mut begun, mut refusals, mut killed) = (false, 0, false);
        while let Some(word) = writing.next().await? {
            match word {
                Word::Acknowledged(acknowledged) => told.hear(acknowledged),
                Word::Refused { why: Why::Poisoned, .. } => refusals += 1,
                Word::Refused { .. } => {
                    violations.push(Violation::new(Law::Answered, format!("{at}: it said `{word}`")));
                    refusals += 1;
                }
                Word::Wrong(what) => violations.push(Violation::new(Law::Answered, format!("{at}: {what}"))),
                Word::Begins { .. } => begun = true,
                Word::Reads { .. } | Word::Ends => {}
            }
            if !killed && (refusals >= LISTENED || told.acknowledged >= MOST) {
                writing.kill();
                killed = true;
            }
        }
        writing.gone().await?;
        let calls = recorded(&file)?;
        failed += u64::from(calls.iter().any(is_failed_sync));
        poisoned += u64::from(refusals > 0);
        acknowledged += told.acknowledged;
        violations.extend(afterwards(&calls, work.writers, &at));
        if begun {
            let Work { seed, writers } = work;
            let seen = examiner.look(&Task { store, seed, writers, exactly: None, check: true }).await?;
            violations.extend(told.check(&seen, &at));
        }
        if violations.len() > Bench::ENOUGH {
            break;
        }
    }
    let details = format!("looked failed={failed} poisoned={poisoned} acknowledged={acknowledged}\n");
    let figures = vec![("poisoned", poisoned.to_string())];
    let (n, seed) = (args.n, args.common.seed);
    let report = Report { name: "fsyncfail", n, seed, violations, figures, details, kept: None };
    Ok(bench.report(report, &args.common.how))
}

fn is_failed_sync(call: &Call) -> bool {
    matches!(call.name.as_str(), "fsync" | "fdatasync" | "sync_file_range" | "msync")
        && call.answer.is_some_and(|answer| answer < 0)
}

/// What was acknowledged after the first sync had failed. One answer of each writer may have been on its way.
fn afterwards(calls: &[Call], writers: u32, at: &str) -> Vec<Violation> {
    let Some(failed) = calls.iter().filter(|call| is_failed_sync(call)).filter_map(|call| call.end).min()
    else {
        return Vec::new();
    };
    let mut heard: Vec<Option<Acknowledged>> = vec![None; writers as usize];
    let mut found = Vec::new();
    for call in calls.iter().filter(|call| call.begin > failed) {
        let Some(Word::Acknowledged(told)) = Word::in_call(call) else { continue };
        if heard[told.writer as usize].replace(told).is_some() {
            let what =
                format!("{at}: batch {} of writer {} was acknowledged after that", told.n, told.writer);
            found.push(Violation::new(Law::Answered, what));
        }
    }
    found
}
