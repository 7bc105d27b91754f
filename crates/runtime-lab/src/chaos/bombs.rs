//! `bombs`: hostile bytes into everything that reads what others may have written.

mod input;
mod memory;
mod target;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use runtime_codec::{CodecError, OwnerRecord};
use thiserror::Error;

use super::dice::Dice;
use super::report::Report;
use super::violation::{Law, Violation};
use input::Seeds;
pub use memory::Counting;
use memory::peak_of;
use target::{TARGETS, Target};

/// The most memory that reading one input may take: the limit of a record, twice over while a vector grows.
const MUCH: usize = 8 * 1024 * 1024;
/// With so many violations there is no use in going on.
const ENOUGH: usize = 50;

/// How `bombs` is set.
#[derive(Clone, Debug, Args)]
pub(super) struct BombsArgs {
    /// How many inputs are made, after those of the corpus.
    #[arg(long, default_value_t = 100_000)]
    n: u64,
    /// Fixes the inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first input that is read: one that ends the process is found by halving.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// A folder with one folder for each decoder, and inputs in it. Without it: the laboratory's own.
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Says also which decoder took how many.
    #[arg(long)]
    details: bool,
    /// Takes a guard away from the decoders.
    #[arg(long, hide = true)]
    flaw: Option<Careless>,
}

/// What a decoder leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Careless {
    /// It takes as much memory as the bytes say.
    Unlimited,
    /// It does not look at what follows.
    Trailing,
    /// It trusts its input.
    Trusting,
}

/// Why the inputs could not be read.
#[derive(Debug, Error)]
pub(super) enum BombsError {
    /// The corpus is not there.
    #[error("the corpus `{}` cannot be read: name its folder by --corpus", path.display())]
    Corpus {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder of the corpus is no decoder's.
    #[error("there is no decoder `{0}`: the folders of a corpus are called as `bombs --details` calls them")]
    NoTarget(String),
}

/// What one decoder came to.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    inputs: u64,
    taken: u64,
    peak: usize,
}

/// Throws everything.
///
/// # Errors
/// [`BombsError`] when the corpus cannot be read.
pub(super) fn bombs(args: &BombsArgs) -> Result<Report, BombsError> {
    let targets = targets(args.flaw);
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut violations = Vec::new();
    let hook = panic::take_hook();
    // A panic is counted; its words would come a million times.
    panic::set_hook(Box::new(|_| {}));
    let corpus = corpus(args)?;
    for (at, name, bytes) in &corpus {
        throw(&targets[*at], bytes, name, &mut sums, &mut violations);
    }
    let seeds = Seeds::new();
    for nth in args.from..args.from.saturating_add(args.n) {
        let (at, bytes) = seeds.input(&mut Dice::of(args.seed, nth));
        throw(&targets[at], &bytes, &format_args!("input {nth}"), &mut sums, &mut violations);
        if violations.len() >= ENOUGH {
            break;
        }
    }
    panic::set_hook(hook);
    let peak = sums.values().map(|sum| sum.peak).max().unwrap_or(0);
    let mut details = format!("looked corpus={} peak={peak}\n", corpus.len());
    for (name, Sum { inputs, taken, peak }) in &sums {
        let _ = writeln!(details, "decoder name={name} inputs={inputs} taken={taken} peak={peak}");
    }
    Ok(Report {
        name: "bombs",
        n: sums.values().map(|sum| sum.inputs).sum(),
        seed: args.seed,
        violations,
        figures: vec![("peak", format!("{}KiB", peak / 1024))],
        details: if args.details { details } else { String::new() },
        kept: None,
    })
}

/// Lets a decoder read an input.
fn throw(
    target: &Target,
    bytes: &[u8],
    name: &dyn std::fmt::Display,
    sums: &mut BTreeMap<&str, Sum>,
    violations: &mut Vec<Violation>,
) {
    let mut violated = |law, what: String| {
        let begin = bytes[..bytes.len().min(24)].escape_ascii();
        let len = bytes.len();
        let what = format!("`{}`, {name} ({len} bytes, `{begin}`): {what}", target.name);
        violations.push(Violation::new(law, what));
    };
    let (taken, peak) = peak_of(|| panic::catch_unwind(AssertUnwindSafe(|| (target.read)(bytes))));
    let sum = sums.entry(target.name).or_default();
    sum.inputs += 1;
    sum.peak = sum.peak.max(peak);
    if peak > MUCH {
        violated(Law::Greedy, format!("it takes {peak} bytes of memory"));
    }
    match taken {
        Err(_) => violated(Law::Panicked, "it panics".to_owned()),
        Ok(false) => {}
        Ok(true) => {
            sum.taken += 1;
            if target.ends && (target.read)(&[bytes, &[0]].concat()) {
                violated(Law::Wrong, "it is taken with a byte more as well".to_owned());
            }
        }
    }
}

/// The inputs of the corpus, each with its decoder and its name.
fn corpus(args: &BombsArgs) -> Result<Vec<(usize, String, Vec<u8>)>, BombsError> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folder = args.corpus.as_ref().unwrap_or(&own);
    let read = || -> io::Result<Vec<(String, String, Vec<u8>)>> {
        let mut found = Vec::new();
        for decoder in fs::read_dir(folder)? {
            let decoder = decoder?;
            for file in fs::read_dir(decoder.path())? {
                let file = file?;
                let name = file.file_name().to_string_lossy().into_owned();
                found.push((
                    decoder.file_name().to_string_lossy().into_owned(),
                    name,
                    fs::read(file.path())?,
                ));
            }
        }
        found.sort();
        Ok(found)
    };
    let found = read().map_err(|source| BombsError::Corpus { path: folder.clone(), source })?;
    let known = found.into_iter().map(|(decoder, name, bytes)| {
        let at = TARGETS.iter().position(|target| target.name == decoder);
        at.map(|at| (at, format!("corpus/{decoder}/{name}"), bytes)).ok_or(BombsError::NoTarget(decoder))
    });
    known.collect()
}

/// The decoders, or some that leave something out.
fn targets(flaw: Option<Careless>) -> Vec<Target> {
    let mut targets = TARGETS.to_vec();
    for target in targets.iter_mut().filter(|target| target.name == "owner") {
        match flaw {
            None => {}
            Some(Careless::Unlimited) => {
                target.read = |bytes| {
                    let len =
                        bytes.get(5..9).and_then(|len| len.try_into().ok()).map_or(0, u32::from_le_bytes);
                    Vec::<u8>::with_capacity(len as usize).capacity() == usize::MAX
                }
            }
            Some(Careless::Trailing) => {
                target.read = |bytes| match runtime_codec::decode::<OwnerRecord>(bytes) {
                    Err(CodecError::Trailing { .. }) => true,
                    read => read.is_ok(),
                }
            }
            Some(Careless::Trusting) => target.read = |bytes| bytes[0] == bytes[bytes[1] as usize],
        }
    }
    targets
}
