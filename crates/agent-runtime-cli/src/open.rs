//! Opening a store, and a runtime over it.

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::events::Bus;
use agent_runtime::fleet::{KeepRuns, StoreUri};
use agent_runtime::store::{Durability, StateStore};
use agent_runtime::stores::TracedStore;
use agent_runtime::{AgentKind, Builder, OpenError, RuntimeManager, ScrubRate, open_store};

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

/// Opens a store for this process alone, or finds who serves it. While neither is so, it is tried again for 2 s.
pub(crate) async fn store<T>(
    uri: &StoreUri,
    screen: &Screen,
    served: impl Fn() -> Result<Option<T>, CliError>,
) -> Result<Opened<T>, CliError> {
    let mut left = PATIENCE;
    loop {
        let path = match open_store(&uri.address()).await {
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

/// Takes a store over, and goes on with the runs that are open in it, unless it is to be at rest.
pub(crate) async fn runtime(
    store: Arc<dyn StateStore>,
    bus: Arc<dyn Bus>,
    durability: Option<Durability>,
    kinds: Vec<Arc<dyn AgentKind>>,
    keep_runs: Option<KeepRuns>,
    scrub: Option<ScrubRate>,
    at_rest: bool,
) -> Result<RuntimeManager, CliError> {
    let durability = self::durability(&store, durability);
    let builder = RuntimeManager::builder(store).bus(bus).durability(durability);
    let builder = builder.configure(|config| {
        config.at_rest = at_rest;
        match keep_runs {
            Some(KeepRuns::For(time)) => config.keep_runs = Some(time),
            Some(KeepRuns::Forever) => config.keep_runs = None,
            None => {}
        }
        config.scrub = scrub;
    });
    let builder = kinds.into_iter().fold(builder, Builder::kind);
    Ok(builder.open().await?.into())
}
