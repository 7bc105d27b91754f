//! `kill9`: a process that writes is killed at any moment, again and again over one store.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use runtime_traits::store::Durability;
use rustix::process::Signal;

use super::args::Kill9Args;
use super::bench::Bench;
use super::error::StoresError;
use super::examiner::Examiner;
use super::examining::Task;
use super::process::Start;
use super::told::Told;
use super::word::Word;
use super::work::Work;
use crate::chaos::dice::Dice;
use crate::chaos::report::{Report, percentile};
use crate::chaos::violation::{Law, Violation};

/// When a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// So long after its start: while it opens the store, or begins.
    FromStart(Duration),
    /// So long after it has told so many acknowledgements: while it writes.
    FromAcknowledgement(u64, Duration),
}

/// The moment of one life: one in four comes early.
fn moment(seed: u64, life: u64) -> Moment {
    let mut dice = Dice::of(seed, ("kill9", life));
    if dice.one_in(4) {
        Moment::FromStart(Duration::from_micros(dice.between(0, 80_000)))
    } else {
        let after = Duration::from_micros(dice.between(0, 6_000));
        Moment::FromAcknowledgement(dice.between(1, 120), after)
    }
}

/// Kills `n` processes, and looks at the store after each.
///
/// # Errors
/// [`StoresError`]: what kept it from being done.
pub(in crate::chaos) async fn kill9(args: Kill9Args) -> Result<Report, StoresError> {
    let bench = Bench::new(&args.common.store)?;
    let work = Work { seed: args.common.seed, writers: args.common.writers };
    let mut examiner = Examiner::new(None);
    let mut told = Told::new(work.writers, Durability::Process);
    let (mut violations, mut opened) = (Vec::new(), Vec::new());
    let mut killed = 0;
    for life in 1..=args.n {
        bench.tell(&format!("kill {life} of {}", args.n));
        let start = Start {
            store: bench.store().to_owned(),
            work,
            life,
            until: None,
            best: false,
            unclosed: false,
            flaw: args.common.how.flaw,
            log: bench.log(&format!("life-{life:05}")),
        };
        violations.extend(live(&start, moment(work.seed, life), &mut told).await?);
        killed += 1;
        let seen = examiner
            .look(&Task {
                store: bench.store().to_owned(),
                seed: work.seed,
                writers: work.writers,
                exactly: None,
                check: false,
            })
            .await?;
        let at = format!("life {life}");
        violations.extend(told.check(&seen, &at));
        told.settle(&seen);
        opened.push(seen.opened_in);
        if violations.len() > Bench::ENOUGH {
            break;
        }
    }
    let details = format!("looked kills={killed} acknowledged={} kept={}\n", told.acknowledged, told.must());
    Ok(bench.report(
        Report {
            name: "kill9",
            n: killed,
            seed: work.seed,
            violations,
            figures: vec![("p50", percentile(&opened, 50)), ("p99", percentile(&opened, 99))],
            details,
            kept: None,
        },
        &args.common.how,
    ))
}

/// One life, to its end.
async fn live(start: &Start, moment: Moment, told: &mut Told) -> Result<Vec<Violation>, StoresError> {
    let mut found = Vec::new();
    let mut writing = start.spawn(None)?;
    let (mut begun, mut heard, mut alive) = (false, 0, true);
    let mut sleep = Box::pin(tokio::time::sleep(match moment {
        Moment::FromStart(after) => after,
        Moment::FromAcknowledgement(..) => Duration::MAX,
    }));
    loop {
        let word = tokio::select! {
            word = writing.next() => word?,
            () = &mut sleep, if alive => {
                writing.kill();
                alive = false;
                continue;
            }
        };
        match word {
            None => break,
            Some(Word::Begins { .. }) => begun = true,
            Some(Word::Acknowledged(acknowledged)) => {
                told.hear(acknowledged);
                heard += 1;
                if let Moment::FromAcknowledgement(nth, after) = moment
                    && nth == heard
                {
                    sleep = Box::pin(tokio::time::sleep(after));
                }
            }
            Some(Word::Wrong(what)) => {
                found.push(Violation::new(Law::Answered, format!("life {}: {what}", start.life)));
            }
            Some(word @ (Word::Refused { .. } | Word::Reads { .. } | Word::Ends)) => {
                let what = format!("life {}: nothing was wrong, and it said `{word}`", start.life);
                found.push(Violation::new(Law::Served, what));
            }
        }
    }
    let status = writing.gone().await?;
    if status.signal() == Some(Signal::KILL.as_raw()) {
        return Ok(found);
    }
    // A process that cannot begin is a finding once a store was there, and a broken experiment before that.
    if begun || start.life > 1 {
        found.push(Violation::new(Law::Served, writing.ended().await.to_string()));
        return Ok(found);
    }
    Err(writing.ended().await)
}

#[cfg(test)]
mod tests {
    use super::{Moment, moment};

    #[test]
    fn moments_are_fixed_by_the_seed_and_some_come_before_the_first_batch() {
        let moments: Vec<Moment> = (1..=100).map(|life| moment(5, life)).collect();

        assert_eq!(moments, (1..=100).map(|life| moment(5, life)).collect::<Vec<_>>());
        let early = moments.iter().filter(|moment| matches!(moment, Moment::FromStart(_))).count();
        assert!((10..=40).contains(&early), "{early}");
    }
}
