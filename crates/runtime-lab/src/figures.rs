//! `cargo figures`: how fast, how small; each figure beside a baseline that is measured in the same run.
//!
//! A number of one machine says little, a ratio says more: ours and the baseline take turns, on the same two workers
//! and the same disk, each warmed up, and the ratio is that of the medians. What is about memory, or about a process
//! that died, runs in a process of its own, which is this program again with the command `stage`.

mod admission;
mod agents;
mod args;
mod bus;
mod commit;
mod contest;
mod durable;
mod error;
mod figure;
mod group;
mod house;
mod idle;
mod load;
mod memory;
mod metered;
mod monitored;
mod noop;
mod one_writer;
mod opening;
#[cfg(feature = "peers")]
mod peer;
mod plan;
mod print;
mod promises;
mod redis_commits;
mod rehearsed;
mod replay;
mod saves;
mod scrub;
mod spread;
mod stage;
mod thinking;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, CoreArgs};
use error::FiguresError;
use figure::Figure;
pub use metered::other_main as metered_main;
use plan::{Area, Plan, Which};

/// What the program does: measures what its arguments name, prints it, and writes it down if it is told to.
///
/// Ends with 0 when every bar holds, with 1 when one is missed, and with 2 when something could not be measured.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(plan::WORKERS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&FiguresError::io("the executor", error)),
    };
    let done = match cli.command {
        Command::Core(args) => runtime.block_on(measure(&args, Area::Core)),
        Command::Bus(args) => runtime.block_on(measure(&args, Area::Bus)),
        Command::Stage(stage) => runtime.block_on(stage::act(stage)).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &FiguresError) -> ExitCode {
    eprintln!("error: {}", runtime_traits::Cause::of(error));
    ExitCode::from(2)
}

/// What a figure needs that is not here.
fn missing(which: Which) -> Result<Option<String>, FiguresError> {
    Ok(match which {
        Which::RedisCommits | Which::RedisEvents if std::env::var_os(redis_commits::SERVER).is_none() => {
            Some(format!("`{}` (see `cargo xtask tools`)", redis_commits::SERVER))
        }
        Which::Metered if !stage::beside(metered::PROGRAM)?.exists() => {
            Some(stage::how_to_build(metered::PROGRAM))
        }
        _ => None,
    })
}

/// Measures the figures of an area. Answers whether every bar holds.
async fn measure(args: &CoreArgs, area: Area) -> Result<bool, FiguresError> {
    let plan = Plan::new(args)?;
    let mut figures: Vec<Figure> = Vec::new();
    for which in args.chosen(area) {
        if let (true, Some(needed)) = (args.only.is_empty(), missing(which)?) {
            eprintln!("not measured: {which}, which needs {needed}");
            continue;
        }
        eprintln!("measuring {which} …");
        figures.extend(match which {
            Which::NoopRun => noop::measure(&plan).await?,
            Which::Memory => memory::measure(&plan).await?,
            Which::Metered => metered::measure(&plan).await?,
            Which::DurableRun => durable::measure(&plan).await?,
            Which::GroupCommit => group::measure(&plan).await?,
            Which::OneWriter => one_writer::measure(&plan).await?,
            Which::RedisCommits => redis_commits::measure(&plan).await?,
            Which::OpenAfterKill => opening::measure(&plan).await?,
            Which::Idle => idle::measure(&plan).await?,
            Which::Replay => replay::measure(&plan, &replay::ONE_LONG_RUN).await?,
            Which::Save => saves::measure(&plan).await?,
            Which::Scrub => scrub::measure(&plan).await?,
            Which::ModelCall => thinking::one_call(&plan).await?,
            Which::Conversation => thinking::conversation(&plan).await?,
            Which::Resume => replay::measure(&plan, &replay::MANY_OPEN_RUNS).await?,
            Which::Monitored => monitored::measure(&plan).await?,
            Which::Admission => admission::measure(&plan).await?,
            Which::FanOut => bus::fan_out::measure(&plan).await?,
            Which::Unheard => bus::unheard::measure(&plan).await?,
            Which::Patterns => bus::patterns::measure(&plan)?,
            Which::Stopped => bus::stopped::measure(&plan).await?,
            Which::DurableEvents => bus::durable::measure(&plan).await?,
            Which::RedisEvents => bus::redis_events::measure(&plan).await?,
        });
    }
    let taken = commit::Taken::now();
    print::print(&figures, &taken, args.json)?;
    if args.write {
        promises::write(&figures, &taken)?;
    }
    Ok(figures.iter().all(|figure| figure.holds() != Some(false)))
}
