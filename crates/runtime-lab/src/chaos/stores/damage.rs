//! `damage`: copies of a store's files are damaged, opened, read and checked.

use std::collections::BTreeMap;
use std::fmt::Write;

use runtime_traits::store::Durability;

use super::args::DamageArgs;
use super::bench::Bench;
use super::error::{StoresError, refused};
use super::examiner::Examiner;
use super::examining::Task;
use super::files::Files;
use super::harm::Harm;
use super::process::Start;
use super::seen::{Check, Seen};
use super::told::Told;
use super::word::Word;
use super::work::Work;
use crate::chaos::dice::Dice;
use crate::chaos::report::Report;
use crate::chaos::violation::{Law, Violation};

/// What became of a damaged copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// It does not open, and says so.
    Refused,
    /// It opens, and a read says so.
    Told,
    /// Every read is answered, and the check says so.
    Checked,
    /// Everything is there, and nothing is said: the damage hit what nobody needs.
    Whole,
    /// Something is not there, and nothing says so.
    Silent,
    /// A read gives what was not written there.
    Wrong,
    /// The process panicked, or ended.
    Panicked,
}

impl Answer {
    /// All of them, as they are told.
    const ALL: [(Self, &'static str); 7] = [
        (Self::Refused, "refused"),
        (Self::Told, "told"),
        (Self::Checked, "checked"),
        (Self::Whole, "whole"),
        (Self::Silent, "silent"),
        (Self::Wrong, "wrong"),
        (Self::Panicked, "panicked"),
    ];

    fn of(seen: &Seen) -> Self {
        let wrong = seen.faults.iter().any(|fault| fault.law == Law::Wrong);
        if seen.panicked.is_some() {
            Self::Panicked
        } else if wrong {
            Self::Wrong
        } else if seen.refused.is_some() {
            Self::Refused
        } else if !seen.told.is_empty() {
            Self::Told
        } else if matches!(seen.check, Some(Check::Damaged(_))) {
            Self::Checked
        } else if seen.faults.is_empty() {
            Self::Whole
        } else {
            Self::Silent
        }
    }

    fn law(self) -> Option<Law> {
        match self {
            Self::Refused | Self::Told | Self::Checked | Self::Whole => None,
            Self::Silent => Some(Law::Silent),
            Self::Wrong => Some(Law::Wrong),
            Self::Panicked => Some(Law::Panicked),
        }
    }
}

/// Damages `n` copies.
///
/// # Errors
/// [`StoresError`]: what kept it from being done.
pub(in crate::chaos) async fn damage(args: DamageArgs) -> Result<Report, StoresError> {
    let kind = args.common.kind("damage")?;
    let bench = Bench::new(kind)?;
    let work = Work { seed: args.common.seed, writers: args.common.writers };
    fill(&bench, work, args.batches).await?;
    let whole = Files::read(&bench.disk()).map_err(refused("to read the store's files"))?;
    let size: usize = whole.contents.values().map(Vec::len).sum();
    let mut examiner = Examiner::new(args.common.how.flaw);
    // A store that hides damage has no check that tells it.
    let check = args.common.how.flaw.is_none();
    let mut answers: BTreeMap<(&str, Answer), u64> = BTreeMap::new();
    let (mut violations, mut caught) = (Vec::new(), 0);
    for nth in 1..=args.n {
        bench.tell(&format!("copy {nth} of {}", args.n));
        let mut files = whole.clone();
        let harm = Harm::inflict(&mut Dice::of(work.seed, ("damage", nth)), &mut files);
        let (folder, store) = bench.copy(kind, "copy")?;
        files.write(&folder).map_err(refused("to write a copy"))?;
        let task = Task { store, seed: work.seed, writers: work.writers, exactly: Some(args.batches), check };
        let seen = examiner.look(&task).await?;
        let answer = Answer::of(&seen);
        caught += u64::from(seen.caught > 0);
        *answers.entry((harm.how.kind(), answer)).or_default() += 1;
        if let Some(law) = answer.law() {
            let first = seen.faults.first().map(|fault| fault.what.clone());
            let what = seen.panicked.or(first).unwrap_or_default();
            violations.push(Violation::new(law, format!("copy {nth}, {harm}: {what}")));
        }
    }
    let mut figures = Vec::new();
    let count = |sort: Option<&str>, answer: Answer| -> u64 {
        let counted = answers.iter().filter(|((s, a), _)| *a == answer && sort.is_none_or(|sort| sort == *s));
        counted.map(|(_, times)| times).sum()
    };
    for (answer, name) in Answer::ALL {
        figures.push((name, count(None, answer).to_string()));
    }
    let mut details = format!("looked copies={} bytes={size} caught={caught}\n", args.n);
    for sort in ["truncated", "flipped", "zeroed", "swapped"] {
        let told = Answer::ALL.map(|(answer, name)| format!(" {name}={}", count(Some(sort), answer)));
        let _ = writeln!(details, "answers sort={sort}{}", told.concat());
    }
    let report =
        Report { name: "damage", n: args.n, seed: work.seed, violations, figures, details, kept: None };
    Ok(bench.report(report, &args.common.how))
}

/// Lets every writer write so many batches into the store, and end.
async fn fill(bench: &Bench, work: Work, batches: u64) -> Result<(), StoresError> {
    let start = Start {
        store: bench.store().to_owned(),
        work,
        life: 1,
        until: Some(batches),
        best: true,
        unclosed: false,
        flaw: None,
        log: bench.log("filling"),
    };
    let mut writing = start.spawn(None)?;
    let mut told = Told::new(work.writers, Durability::Memory);
    while let Some(word) = writing.next().await? {
        match word {
            Word::Acknowledged(acknowledged) => told.hear(acknowledged),
            Word::Begins { .. } | Word::Reads { .. } | Word::Ends => {}
            Word::Refused { .. } | Word::Wrong(_) => writing.kill(),
        }
    }
    if writing.gone().await?.success() && told.must() == batches * u64::from(work.writers) {
        return Ok(());
    }
    Err(writing.ended().await)
}

#[cfg(test)]
mod tests {
    use super::{Answer, Check, Law, Seen};

    #[test]
    fn whatever_is_missing_is_silent_unless_somebody_says_so() {
        let mut seen = Seen { check: Some(Check::Sound), ..Seen::default() };
        assert_eq!(Answer::of(&seen), Answer::Whole);
        seen.fault(Law::Torn, "a cell");
        assert_eq!(Answer::of(&seen), Answer::Silent);
        let checked = Seen { check: Some(Check::Damaged("a page".to_owned())), ..seen.clone() };
        assert_eq!(Answer::of(&checked), Answer::Checked);
        seen.tell("another cell");
        assert_eq!(Answer::of(&seen), Answer::Told);
        seen.fault(Law::Wrong, "a third one");
        assert_eq!(Answer::of(&seen), Answer::Wrong);
    }
}
