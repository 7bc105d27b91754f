//! Opening a store, and a runtime over it.

use std::sync::Arc;

use agent_runtime::fleet::StoreUri;
use agent_runtime::store::{Durability, StateStore};
use agent_runtime::{AgentKind, Builder, OpenError, RuntimeManager, open_store};

use crate::error::CliError;

/// Opens a store for this process alone.
pub(crate) fn store(uri: &StoreUri) -> Result<Arc<dyn StateStore>, CliError> {
    open_store(&uri.to_string()).map_err(|error| match error {
        OpenError::InUse { path } => CliError::StoreBusy { path },
        error => CliError::Open(error),
    })
}

/// Takes a store over, and goes on with the runs that are open in it, unless it is to be at rest.
pub(crate) async fn runtime(
    store: Arc<dyn StateStore>,
    durability: Option<Durability>,
    kinds: Vec<Arc<dyn AgentKind>>,
    at_rest: bool,
) -> Result<RuntimeManager, CliError> {
    // A store that was named on the command line may be able to do less than the one in the fleet file.
    let best = store.profile().best;
    let builder = RuntimeManager::builder(store).durability(durability.unwrap_or(best).min(best));
    let builder = builder.configure(|config| config.at_rest = at_rest);
    let builder = kinds.into_iter().fold(builder, Builder::kind);
    Ok(builder.open().await?.into())
}
