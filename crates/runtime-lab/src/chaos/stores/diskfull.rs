//! `diskfull`: a small file system fills up while a store is at work, and gets room again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use runtime_traits::store::Durability;
use tokio::time::timeout;

use super::args::DiskfullArgs;
use super::bench::Bench;
use super::error::{StoresError, refused};
use super::examiner::Examiner;
use super::examining::Task;
use super::process::{Start, Writing};
use super::told::Told;
use super::word::{Why, Word};
use super::work::Work;
use crate::chaos::dice::Dice;
use crate::chaos::report::Report;
use crate::chaos::violation::{Law, Violation};

/// Bytes of the file system, as `mount` takes it.
const SIZE: &str = "size=32m";
/// So many refusals, and the disk is full for everybody.
const REFUSALS: u64 = 20;
/// So many acknowledgements without a refusal, and the store needs no more room.
const MOST: u64 = 2_000;
/// How long the store may take until it goes on.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same of one that is known not to.
const PATIENCE_ANYWAY: Duration = Duration::from_secs(1);

/// A small file system in memory. It goes with this value.
struct Small {
    folder: PathBuf,
}

impl Small {
    fn mount(folder: PathBuf) -> Result<Self, StoresError> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "chaos"]).arg(&folder).stdin(Stdio::null());
        let said = match mount.output() {
            Ok(output) if output.status.success() => return Ok(Self { folder }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        Err(StoresError::NoMount { path: folder, said })
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Takes all the room that is left.
    fn fill(&self) -> Result<(), StoresError> {
        let mut ballast = File::create(self.ballast()).map_err(refused("a file"))?;
        loop {
            match ballast.write_all(&[1; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(refused("to fill a file system")(error)),
            }
        }
    }

    fn make_room(&self) -> Result<(), StoresError> {
        fs::remove_file(self.ballast()).map_err(refused("to remove a file"))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What is left mounted is seen in the folder, which then cannot be removed either.
        let _ = Command::new("umount").arg(&self.folder).stderr(Stdio::null()).status();
    }
}

/// Fills the disks of `n` stores.
///
/// # Errors
/// [`StoresError`]: what kept it from being done; that nothing can be mounted.
pub(in crate::chaos) async fn diskfull(args: DiskfullArgs) -> Result<Report, StoresError> {
    let kind = args.common.kind("diskfull")?;
    let bench = Bench::new(kind)?;
    let mut trials = Trials::default();
    for nth in 1..=args.n {
        bench.tell(&format!("disk {nth} of {}", args.n));
        let (folder, store) = bench.copy(kind, "small")?;
        let small = Small::mount(folder)?;
        let start = Start {
            store,
            work: Work { seed: args.common.seed.wrapping_add(nth), writers: args.common.writers },
            life: nth,
            until: None,
            // Commits that no sync has reached would be lost with the file's closing, and stop the store.
            best: true,
            unclosed: false,
            flaw: args.common.how.flaw,
            log: bench.log("small"),
        };
        trials.one(&start, &small, Dice::of(args.common.seed, ("diskfull", nth))).await?;
        if trials.violations.len() > Bench::ENOUGH {
            break;
        }
    }
    let Trials { violations, refused, reads, full, acknowledged } = trials;
    let details = format!("looked full={full} refused={refused} reads={reads} acknowledged={acknowledged}\n");
    let figures = vec![("full", full.to_string())];
    let (n, seed) = (args.n, args.common.seed);
    let report = Report { name: "diskfull", n, seed, violations, figures, details, kept: None };
    Ok(bench.report(report, &args.common.how))
}

#[derive(Default)]
struct Trials {
    violations: Vec<Violation>,
    refused: u64,
    reads: u64,
    /// How often a disk was full for a store.
    full: u64,
    acknowledged: u64,
}

impl Trials {
    async fn one(&mut self, start: &Start, small: &Small, mut dice: Dice) -> Result<(), StoresError> {
        let mut writing = start.spawn(None)?;
        let mut told = Told::new(start.work.writers, Durability::Process);
        writing.begins().await?;
        let patience = if start.flaw.is_some() { PATIENCE_ANYWAY } else { PATIENCE };
        for round in 1..=2 {
            let at = format!("disk {}, round {round}", start.life);
            let written = told.acknowledged + dice.between(5, 60);
            self.hear(&mut writing, &mut told, &at, |_, told| told >= written).await?;
            small.fill()?;
            let before = (self.refused, told.acknowledged);
            self.hear(&mut writing, &mut told, &at, |refused, told| {
                refused >= before.0 + REFUSALS || told >= before.1 + MOST
            })
            .await?;
            small.make_room()?;
            if self.refused < before.0 + REFUSALS {
                break;
            }
            self.full += 1;
            let goes_on = told.acknowledged + 3 * u64::from(start.work.writers);
            let hearing = self.hear(&mut writing, &mut told, &at, |_, told| told >= goes_on);
            let Ok(heard) = timeout(patience, hearing).await else {
                self.violations
                    .push(Violation::new(Law::Stuck, format!("{at}: there is room, and it does not go on")));
                break;
            };
            heard?;
        }
        writing.kill();
        while let Some(word) = writing.next().await? {
            if let Word::Acknowledged(acknowledged) = word {
                told.hear(acknowledged);
            }
        }
        writing.gone().await?;
        self.acknowledged += told.acknowledged;
        let (Work { seed, writers }, store) = (start.work, start.store.clone());
        let seen =
            Examiner::new(None).look(&Task { store, seed, writers, exactly: None, check: true }).await?;
        self.violations.extend(told.check(&seen, &format!("disk {}", start.life)));
        Ok(())
    }

    /// Listens until there is enough: so many refusals, so many acknowledgements.
    async fn hear(
        &mut self,
        writing: &mut Writing,
        told: &mut Told,
        at: &str,
        enough: impl Fn(u64, u64) -> bool,
    ) -> Result<(), StoresError> {
        while !enough(self.refused, told.acknowledged) {
            match writing.next().await? {
                Some(Word::Acknowledged(acknowledged)) => told.hear(acknowledged),
                Some(Word::Refused { why: Why::NoSpace, .. }) => self.refused += 1,
                Some(Word::Reads { .. }) => self.reads += 1,
                Some(Word::Wrong(what)) => {
                    self.violations.push(Violation::new(Law::Answered, format!("{at}: {what}")));
                }
                Some(word) => {
                    self.refused += u64::from(matches!(word, Word::Refused { .. }));
                    self.violations.push(Violation::new(Law::Answered, format!("{at}: it said `{word}`")));
                }
                None => return Err(writing.ended().await),
            }
        }
        Ok(())
    }
}
