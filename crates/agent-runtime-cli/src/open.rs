//! Opening a store, and a runtime over it.

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::events::Bus;
use agent_runtime::fleet::{KeepRuns, StoreUri};
use agent_runtime::store::{Durability, StateStore};
use agent_runtime::stores::{TracedStore, open_to_salvage};
use agent_runtime::{
    AgentKind, Builder, HealthSettings, OpenError, ResourceManager, RuntimeManager, ScrubRate, open_store,
};

use tokio::time::sleep;

use crate::error::CliError;
use crate::screen::Screen;

/// How long it is tried again while another command has the store open: one that only looks ends soon, and a server
/// that begins listens soon.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is waited between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of opening a store.
pub(crate) enum Opened<T> {
    /// It is open, for this process alone.
    Here(Arc<dyn StateStore>),
    /// Somebody serves it.
    Served(T),
}

/// Sees that a command may have stores for itself. A file is somebody's alone, and its server is asked; from whoever works
/// on a Redis server, a command would take the store, and nothing there says that somebody does.
///
/// # Errors
/// [`CliError::MayBeServed`], unless somebody said that nobody serves them.
pub(crate) fn may_take(stores: &[&StoreUri], nobody_serves: bool) -> Result<(), CliError> {
    let is_shared = |store: &&&StoreUri| store.path().is_none() && !store.is_in_memory();
    match stores.iter().find(is_shared) {
        Some(store) if !nobody_serves => Err(CliError::MayBeServed { store: store.to_string() }),
        _ => Ok(()),
    }
}

/// Opens a store for this process alone, or finds who serves it. While neither is so, it is tried again for 2 s.
pub(crate) async fn store<T>(
    uri: &StoreUri,
    screen: &Screen,
    served: impl Fn() -> Result<Option<T>, CliError>,
) -> Result<Opened<T>, CliError> {
    store_for(uri, screen, served, false).await
}

/// As [`store`]; `to_salvage`: to read what is left of it.
pub(crate) async fn store_for<T>(
    uri: &StoreUri,
    screen: &Screen,
    served: impl Fn() -> Result<Option<T>, CliError>,
    to_salvage: bool,
) -> Result<Opened<T>, CliError> {
    let mut left = PATIENCE;
    loop {
        let address = uri.address();
        let opened = if to_salvage { open_to_salvage(&address).await } else { open_store(&address).await };
        let path = match opened {
            Ok(store) => return Ok(Opened::Here(TracedStore::where_heard(store))),
            Err(OpenError::InUse { path }) => path,
            Err(error) => return Err(error.into()),
        };
        if let Some(served) = served()? {
            return Ok(Opened::Served(served));
        }
        if left.is_zero() {
            return Err(CliError::StoreBusy { path });
        }
        if left == PATIENCE && !screen.json {
            let seconds = PATIENCE.as_secs();
            let note = format!("`{}` is open elsewhere; trying again for {seconds} s", path.display());
            screen.say(screen.paint_err().dim(note));
        }
        sleep(PAUSE).await;
        left = left.saturating_sub(PAUSE);
    }
}

/// The durability that was asked for, as far as the store has it: one that was named on the command line may be able to do
/// less than the one in the fleet file.
pub(crate) fn durability(store: &Arc<dyn StateStore>, asked: Option<Durability>) -> Durability {
    let best = store.profile().best;
    asked.unwrap_or(best).min(best)
}

/// How a runtime is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    /// What the fleet file asks for.
    pub(crate) durability: Option<Durability>,
    pub(crate) keep_runs: Option<KeepRuns>,
    pub(crate) scrub: Option<ScrubRate>,
    /// Who holds agents to their limits.
    pub(crate) resources: ResourceManager,
    /// The checks of its monitor.
    pub(crate) health: HealthSettings,
    /// It goes on with no run.
    pub(crate) at_rest: bool,
}

/// Takes a store over, and goes on with the runs that are open in it, unless it is to be at rest.
pub(crate) async fn runtime(
    store: Arc<dyn StateStore>,
    bus: Arc<dyn Bus>,
    kinds: Vec<Arc<dyn AgentKind>>,
    how: How,
    screen: &Screen,
) -> Result<RuntimeManager, CliError> {
    let How { durability, keep_runs, scrub, resources, health, at_rest } = how;
    let best = store.profile().best;
    if let Some(asked) = durability.filter(|asked| *asked > best) {
        let (asked, best) = (of(asked), of(best));
        let note = format!(
            "note: the fleet file asks for the durability `{asked}`, and this store gives `{best}` at most"
        );
        screen.say(screen.paint_err().dim(note));
    }
    let durability = self::durability(&store, durability);
    let builder =
        RuntimeManager::builder(store).bus(bus).durability(durability).governor(Arc::new(resources));
    let builder = builder.configure(|config| {
        config.at_rest = at_rest;
        match keep_runs {
            Some(KeepRuns::For(time)) => config.keep_runs = Some(time),
            Some(KeepRuns::Forever) => config.keep_runs = None,
            None => {}
        }
        config.scrub = scrub;
    });
    let builder = builder.health(health);
    let builder = kinds.into_iter().fold(builder, Builder::kind);
    Ok(builder.open().await?.into())
}

/// A level, as fleet files name it.
fn of(level: Durability) -> &'static str {
    match level {
        Durability::Memory => "memory",
        Durability::Process => "process",
        Durability::Disk => "disk",
    }
}
