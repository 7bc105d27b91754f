//! The commands, each against any [`Runtime`](agent_runtime::Runtime).

pub(crate) mod agents;
pub(crate) mod answer;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod decide;
pub(crate) mod events;
pub(crate) mod fork;
pub(crate) mod health;
mod keys;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod messages;
mod repairs;
pub(crate) mod requeue;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod sizes;
mod snapshot_files;
pub(crate) mod snapshots;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod stores;
mod usage;
pub(crate) mod webhooks;

use agent_runtime::runtime::RunFilter;
use agent_runtime::{AgentId, RunId, RunView, Runtime};

use crate::args::RunArg;
use crate::error::CliError;

/// All runs that the filter lets through, oldest first.
pub(crate) async fn all_runs(runtime: &dyn Runtime, mut filter: RunFilter) -> Result<Vec<RunView>, CliError> {
    let mut runs = Vec::new();
    loop {
        let page = runtime.runs(filter.clone()).await?;
        runs.extend(page.items);
        filter.after = page.next;
        if filter.after.is_none() {
            // The pages go through the store, where runs lie by agent.
            runs.sort_by_key(|run| (run.accepted_at, run.run));
            return Ok(runs);
        }
    }
}

/// The run that somebody points at.
async fn run_of(runtime: &dyn Runtime, run: RunArg) -> Result<RunId, CliError> {
    match run {
        RunArg::Id(run) => Ok(run),
        RunArg::Last => {
            let runs = all_runs(runtime, RunFilter::default()).await?;
            runs.last().map(|run| run.run).ok_or(CliError::NoRuns)
        }
    }
}

/// The name of an agent, or its id where it is gone.
async fn name_of(runtime: &dyn Runtime, agent: AgentId) -> String {
    match runtime.agent(&agent.into()).await {
        Ok(status) => status.name.to_string(),
        Err(_) => agent.to_string(),
    }
}
