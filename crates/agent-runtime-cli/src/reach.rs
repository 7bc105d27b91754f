//! A runtime to work with: that of the server of the store, or one of this process's own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use agent_runtime::fleet::{Fleet, FleetBus, KeepRuns};
use agent_runtime::log::Phase;
use agent_runtime::runtime::{AgentStatus, RunFilter, Want};
use agent_runtime::service::RemoteRuntime;
use agent_runtime::{AgentId, RunView, Runtime, RuntimeManager, Tenant};

use crate::commands::{agents, all_runs};
use crate::error::CliError;
use crate::open::{self, How, Opened};
use crate::place::Place;
use crate::render::counted;
use crate::screen::Screen;
use crate::signals::Signals;
use crate::socket::SocketPath;

/// How long runs that were resumed have to end by themselves when a command is done.
const DRAIN: Duration = Duration::from_secs(10);

/// A runtime to work with.
pub(crate) enum Reached {
    /// The server's.
    Served { runtime: RemoteRuntime, socket: SocketPath },
    /// This process's own.
    Own { runtime: RuntimeManager },
}

impl Reached {
    /// Asks the server of the store, or opens the store; `at_rest`, so that looking sets nothing off. Whoever opens a store on
    /// a Redis server is its owner from then on, also to look: then somebody has to say that nobody else is.
    pub(crate) async fn at(place: &Place, at_rest: bool, screen: &Screen) -> Result<Self, CliError> {
        if let Some(served) = served(place)? {
            return Ok(served);
        }
        open::may_take(&[&place.store], place.nobody_serves)?;
        // What the file says is asked of the kinds before anything is opened.
        let kinds = place.kinds();
        let fleet = place.file.as_ref().map(|file| file.check_with(&kinds)).transpose()?;
        let opened = open::store(&place.store, screen, || served(place)).await;
        let store = match opened.map_err(|error| place.refusal(error))? {
            Opened::Here(store) => store,
            // A server has come up meanwhile.
            Opened::Served(served) => return Ok(served),
        };
        let durability = fleet.as_ref().and_then(|fleet| fleet.durability);
        let keep_runs = keep_runs(fleet.as_ref());
        let of_file = fleet.as_ref().map_or_else(FleetBus::default, |fleet| fleet.bus.clone());
        // A runtime at rest tells nothing, and needs no bus that may be away.
        let of_file = if at_rest { FleetBus::default() } else { of_file };
        let bus = of_file.open(Arc::clone(&store), open::durability(&store, durability)).await?;
        // A command is over before a pass would begin.
        let resources = fleet.as_ref().map(|fleet| fleet.resources(&Tenant::default())).unwrap_or_default();
        let how = How { durability, keep_runs, resources, at_rest, ..How::default() };
        let runtime = open::runtime(store, bus, kinds, how, screen).await?;
        if let Some(fleet) = fleet
            && let Err(error) = fleet.attach(runtime.as_runtime()).await
        {
            runtime.shutdown(Duration::ZERO).await?;
            return Err(error.into());
        }
        Ok(Self::Own { runtime })
    }

    /// The runtime.
    pub(crate) fn runtime(&self) -> &dyn Runtime {
        match self {
            Self::Served { runtime, .. } => runtime,
            Self::Own { runtime } => runtime.as_runtime(),
        }
    }

    /// Where the server listens, if there is one.
    pub(crate) fn server(&self) -> Option<String> {
        match self {
            Self::Served { socket, .. } => Some(socket.shown().display().to_string()),
            Self::Own { .. } => None,
        }
    }

    /// Lets go of it. Runs that this process went on with may end by themselves, unless somebody wants it to end now;
    /// a signal parks them.
    pub(crate) async fn close(
        self,
        screen: &Screen,
        signals: &mut Signals,
        at_once: bool,
    ) -> Result<(), CliError> {
        let Self::Own { runtime } = self else { return Ok(()) };
        let running = running(runtime.as_runtime()).await;
        if running == 0 || at_once {
            return Ok(runtime.shutdown(Duration::ZERO).await?);
        }
        let open = counted(running, "open run");
        let note = format!("{} s for {open} of before, then parking; Ctrl-C parks at once", DRAIN.as_secs());
        screen.say(screen.paint_err().dim(note));
        tokio::select! {
            done = runtime.shutdown(DRAIN) => Ok(done?),
            _ = signals.next() => Ok(runtime.shutdown(Duration::ZERO).await?),
        }
    }
}

/// How long the logs of runs are kept that end here. Where no file says it, another one may say that they stay.
fn keep_runs(fleet: Option<&Fleet>) -> Option<KeepRuns> {
    fleet.map_or(Some(KeepRuns::Forever), |fleet| fleet.keep_runs)
}

/// How many runs are being worked. Those of an agent that is paused begin nothing, and those that are parked or whose
/// kind nobody hosts are left as they are: none of these needs time.
async fn running(runtime: &dyn Runtime) -> u64 {
    let agents = agents::all(runtime).await.unwrap_or_default();
    let works = |agent: &AgentStatus| agent.hosted && agent.running > 0 && agent.want != Want::Paused;
    let works: HashSet<AgentId> = agents.iter().filter(|agent| works(agent)).map(|agent| agent.id).collect();
    if works.is_empty() {
        return 0;
    }
    let open = RunFilter { open: true, ..RunFilter::default() };
    let runs = all_runs(runtime, open).await.unwrap_or_default();
    let worked =
        |run: &&RunView| works.contains(&run.agent) && matches!(run.phase, Phase::Running | Phase::Waiting);
    runs.iter().filter(worked).count() as u64
}

fn served(place: &Place) -> Result<Option<Reached>, CliError> {
    let Some(socket) = server(place)? else { return Ok(None) };
    let runtime = RemoteRuntime::at(&format!("unix:{}", socket.usable().display()))?;
    Ok(Some(Reached::Served { runtime, socket }))
}

/// Where a server of the store listens, if there is one.
pub(crate) fn server(place: &Place) -> Result<Option<SocketPath>, CliError> {
    // Without its folder there is no store yet, and nobody who serves it.
    let folder = place.store.path().and_then(|path| path.parent());
    if folder.is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        return Ok(None);
    }
    Ok(place.socket()?.filter(SocketPath::is_served))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent_runtime::fleet::{Fleet, KeepRuns};

    use super::keep_runs;

    #[test]
    fn a_command_without_a_fleet_file_decides_nothing_about_the_logs_of_runs() {
        let said = |keep_runs| Fleet { keep_runs, ..Fleet::default() };
        let day = Some(KeepRuns::For(Duration::from_secs(86_400)));
        assert_eq!(keep_runs(None), Some(KeepRuns::Forever));
        assert_eq!(keep_runs(Some(&said(None))), None, "the runtime's default");
        assert_eq!(keep_runs(Some(&said(day))), day);
    }
}
