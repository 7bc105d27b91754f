//! `cargo chaos`: kills the real serving process again and again, and holds the runtime to what it promises.
//!
//! `crash` starts the serving code of the command line as a process of its own, over a store on disk, keeps runs in
//! flight through its socket, and kills it: from outside at any moment, and by its own hand at a chosen commit. Every
//! step that is executed is counted in this process, which is not killed. In the end the store is read without the
//! runtime and compared with what was executed and with what the callers were told.

mod agent;
mod args;
mod bombs;
mod book;
mod boundary;
mod caller;
mod campaign;
mod check;
mod dice;
mod effects;
mod evidence;
mod flaw;
mod guards;
mod host;
mod lives;
mod operator;
mod outage;
mod plan;
mod poison;
mod quota;
mod report;
mod script;
mod server;
mod show;
mod stores;
mod talk;
mod thinker;
mod trap;
mod violation;

use std::process::ExitCode;

use agent_runtime_cli::{CliError, Signals};
use clap::Parser;

pub use bombs::Counting;

use args::{Cli, Command};
use campaign::Campaign;
use host::host;
use report::Report;
use show::show;

/// How the command ends when a law does not hold.
const VIOLATED: u8 = 1;
/// How it ends when it could not do its own work.
const BROKEN: u8 = 3;

/// The whole program: reads the arguments, does what they say, and tells how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match executor {
        Ok(executor) => executor.block_on(obey(cli)),
        Err(source) => Err(CliError::System { what: "to start threads", source }.into()),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {}", runtime_traits::Cause::of(error.as_ref()));
        ExitCode::from(BROKEN)
    })
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn obey(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Crash(args) => concluded(Campaign::run(args)).await,
        Command::Kill9(args) => concluded(stores::kill9(args)).await,
        Command::RedisKill(args) => concluded(stores::redis_kill(args)).await,
        Command::Powerloss(args) => concluded(stores::powerloss(args)).await,
        Command::Bombs(args) => concluded(async { bombs::bombs(&args) }).await,
        Command::Poison(args) => concluded(poison::poison(args)).await,
        Command::Quota(args) => concluded(quota::quota(args)).await,
        Command::Outage(args) => concluded(outage::outage(args)).await,
        Command::Fsyncfail(args) => concluded(stores::fsyncfail(args)).await,
        Command::Diskfull(args) => concluded(stores::diskfull(args)).await,
        Command::Guards(args) => concluded(guards::guards(args)).await,
        Command::Damage(args) => concluded(stores::damage(args)).await,
        Command::Show(args) => {
            print!("{}", show(&args).await?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Host(args) => Ok(host(args).await?.into()),
        Command::ServePoison(args) => {
            poison::serve_poison(args).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Write(args) => {
            stores::write(args).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Examine(args) => {
            stores::examine(args).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints what an experiment came to.
async fn concluded<E: Into<Failure>>(
    experiment: impl Future<Output = Result<Report, E>>,
) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    // Not a task of its own: a process is tied to the thread that started it.
    let report = tokio::select! {
        report = experiment => report.map_err(Into::into)?,
        signal = signals.next() => {
            eprintln!("error: ended by signal {signal}, before there was a result");
            return Ok(ExitCode::from(128 + signal));
        }
    };
    print!("{report}");
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) })
}
