//! `redis-kill`: a Redis server is killed under a process that writes, or loses its power.

use std::ffi::OsString;
use std::time::Duration;

use agent_runtime::SystemClock;
use clap::ValueEnum;
use runtime_testkit::peers::RedisServer;
use runtime_traits::Clock;
use runtime_traits::store::Durability;
use tokio::process::Command;

use super::aof::Aof;
use super::args::RedisKillArgs;
use super::bench::Bench;
use super::error::{StoresError, refused};
use super::examiner::Examiner;
use super::examining::Task;
use super::process::{Start, Writing};
use super::recorder::{recorded, recording};
use super::told::Told;
use super::word::Word;
use super::work::Work;
use crate::chaos::dice::Dice;
use crate::chaos::report::{Report, percentile};
use crate::chaos::violation::{Law, Violation};

/// When a server syncs its append-only file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::chaos) enum Fsync {
    /// Before it answers: nothing that was acknowledged may be lost.
    Always,
    /// Once in a second: what is lost is counted.
    Everysec,
}

/// So many acknowledgements after a server is back show that the store goes on, if no refusal came between.
const GOES_ON: u64 = 500;

/// Kills the server `n` times, and looks at the store after each.
///
/// # Errors
/// [`StoresError`]: what kept it from being done.
pub(in crate::chaos) async fn redis_kill(args: RedisKillArgs) -> Result<Report, StoresError> {
    let bench = Bench::new("redis")?;
    let trace = bench.log("strace");
    let under = if args.power { words(&recording(&trace).await?) } else { Vec::new() };
    let fsync = match args.fsync {
        Fsync::Always => "always",
        Fsync::Everysec => "everysec",
    };
    let server = RedisServer::start_under(under, &["appendfsync", fsync]);
    let work = Work { seed: args.seed, writers: args.writers };
    let survives = match args.fsync {
        Fsync::Always => Durability::Process,
        Fsync::Everysec => Durability::Disk,
    };
    let mut told = Told::new(work.writers, survives);
    let mut examiner = Examiner::new(None);
    let (mut violations, mut back) = (Vec::new(), Vec::new());
    let (mut killed, mut lost, mut losses, mut cut) = (0, 0, 0_u64, 0);
    for life in 1..=args.n {
        bench.tell(&format!("kill {life} of {}", args.n));
        let mut dice = Dice::of(work.seed, ("redis-kill", life));
        let start = Start {
            store: server.uri(0),
            work,
            life,
            until: None,
            best: false,
            unclosed: false,
            flaw: args.how.flaw,
            log: bench.log(&format!("life-{life:05}")),
        };
        let before = Aof::read(server.folder()).map_err(refused("to read the server's files"))?;
        let mut writing = start.spawn(None)?;
        let mut hearing = Hearing { told: &mut told, violations: &mut violations, life };
        hearing.until(&mut writing, dice.between(1, 120)).await?;
        tokio::time::sleep(Duration::from_micros(dice.between(0, 6_000))).await;
        server.kill();
        killed += 1;
        if args.power {
            writing.kill();
            hearing.rest(&mut writing).await?;
            let synced = before.synced(&recorded(&trace)?);
            cut += synced.cut(server.folder(), &mut dice).map_err(refused("to cut the server's files"))?;
            server.revive();
        } else {
            server.revive();
            back.extend(hearing.goes_on(&mut writing).await?);
            writing.kill();
            hearing.rest(&mut writing).await?;
        }
        let (store, check) = (server.uri(0), dice.one_in(8));
        let task = Task { store, seed: work.seed, writers: work.writers, exactly: None, check };
        let seen = examiner.look(&task).await?;
        violations.extend(told.check(&seen, &format!("life {life}")));
        let gone = told.gone(&seen);
        lost += gone;
        losses += u64::from(gone > 0);
        told.settle(&seen);
        if violations.len() > Bench::ENOUGH {
            break;
        }
    }
    let mut figures = vec![("fsync", fsync.to_owned()), ("lost", lost.to_string())];
    if args.power {
        figures.push(("losses", losses.to_string()));
    } else {
        figures.extend([("p50", percentile(&back, 50)), ("p99", percentile(&back, 99))]);
    }
    let details = format!("looked kills={killed} acknowledged={} bytes_cut={cut}\n", told.acknowledged);
    let (n, seed) = (killed, work.seed);
    let report = Report { name: "redis-kill", n, seed, violations, figures, details, kept: None };
    Ok(bench.report(report, &args.how))
}

/// What is heard from one process that writes.
struct Hearing<'a> {
    told: &'a mut Told,
    violations: &'a mut Vec<Violation>,
    life: u64,
}

impl Hearing<'_> {
    /// Takes the next word; `None` when there is no more.
    async fn next(&mut self, writing: &mut Writing) -> Result<Option<Word>, StoresError> {
        let word = writing.next().await?;
        match &word {
            Some(Word::Acknowledged(acknowledged)) => self.told.hear(*acknowledged),
            Some(Word::Wrong(what)) => {
                self.violations.push(Violation::new(Law::Answered, format!("life {}: {what}", self.life)));
            }
            _ => {}
        }
        Ok(word)
    }

    /// Hears so many acknowledgements.
    async fn until(&mut self, writing: &mut Writing, count: u64) -> Result<(), StoresError> {
        let (mut heard, before) = (0, self.violations.len());
        // A store that refuses everything would be heard for ever.
        while heard < count && self.violations.len() < before + Bench::ENOUGH {
            match self.next(writing).await? {
                Some(Word::Acknowledged(_)) => heard += 1,
                Some(word @ Word::Refused { .. }) => {
                    let what = format!("life {}: nothing was wrong, and it said `{word}`", self.life);
                    self.violations.push(Violation::new(Law::Served, what));
                }
                Some(_) => {}
                None => return Err(writing.ended().await),
            }
        }
        Ok(())
    }

    /// Hears that the store goes on by itself, and how many milliseconds that took.
    async fn goes_on(&mut self, writing: &mut Writing) -> Result<Option<u64>, StoresError> {
        let clock = SystemClock::default();
        let begun = clock.now();
        // What was acknowledged before the server died may be heard after it is back; not after a refusal.
        let (mut refused, mut heard) = (false, 0);
        while !(refused && heard > 0 || heard >= GOES_ON) {
            match self.next(writing).await {
                Ok(Some(Word::Refused { .. })) => (refused, heard) = (true, 0),
                Ok(Some(Word::Acknowledged(_))) => heard += 1,
                Ok(Some(_)) => {}
                Ok(None) => return Err(writing.ended().await),
                Err(StoresError::Silent(seconds)) => {
                    let what =
                        format!("life {}: nothing for {seconds} s after the server was back", self.life);
                    self.violations.push(Violation::new(Law::Stuck, what));
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(clock.now().since(begun).as_millis() as u64))
    }

    /// Hears what a process that was killed has still said.
    async fn rest(&mut self, writing: &mut Writing) -> Result<(), StoresError> {
        while self.next(writing).await?.is_some() {}
        writing.gone().await.map(drop)
    }
}

/// A command as words.
fn words(command: &Command) -> Vec<OsString> {
    let command = command.as_std();
    let program = command.get_program().to_owned();
    std::iter::once(program).chain(command.get_args().map(ToOwned::to_owned)).collect()
}
