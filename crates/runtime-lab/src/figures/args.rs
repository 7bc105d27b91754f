//! What people type.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::plan::{Area, Which};
use super::stage::Stage;

const AFTER: &str = "\
Lines are `name value unit baseline ratio`; on a terminal they are a table with the bar and the spread.
Exit codes:
  0  every bar holds
  1  a bar is missed
  2  something could not be measured";

/// Measures what Agent Runtime promises about speed and memory, each figure beside a baseline of the same run.
#[derive(Debug, Parser)]
#[command(name = "figures", after_help = AFTER, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The figures of the engine and its stores
    Core(CoreArgs),
    /// The figures of the event bus
    Bus(CoreArgs),
    /// A part of a figure, in a process of its own
    #[command(subcommand, hide = true)]
    Stage(Stage),
}

#[derive(Debug, Args)]
pub(crate) struct CoreArgs {
    /// Only this one; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<Which>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the figures into docs/promises.md
    #[arg(long, conflicts_with = "quick")]
    pub(crate) write: bool,
    /// Three short rounds over a hundredth of the sizes, to see that it works
    #[arg(long)]
    pub(crate) quick: bool,
    /// How often ours and the baseline take turns [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: Option<u32>,
    /// Where stores are made: a folder on the disk to be measured [default: target/figures]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
}

impl CoreArgs {
    /// What is to be measured, in the order of the table.
    pub(crate) fn chosen(&self, area: Area) -> impl Iterator<Item = Which> {
        let of_area = Which::ALL.into_iter().filter(move |which| which.area() == area);
        of_area.filter(|which| self.only.is_empty() || self.only.contains(which))
    }
}
