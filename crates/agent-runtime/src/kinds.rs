//! The kinds of agents that this build hosts.

mod placed;

use std::path::Path;
use std::sync::Arc;

use runtime_agents::LlmKind;
use runtime_agents::teams::TeamKind;
use runtime_traits::AgentKind;

use placed::Placed;
pub(crate) use placed::placed_key;

/// The kinds of agents that this build hosts. Paths in their settings are taken from `folder`: that of the fleet file.
pub fn kinds(folder: impl AsRef<Path>) -> Vec<Arc<dyn AgentKind>> {
    let folder = folder.as_ref().to_owned();
    let mut kinds: Vec<Arc<dyn AgentKind>> = vec![
        #[cfg(feature = "documents")]
        Arc::new(Placed {
            folder: folder.clone(),
            place: placed::documents,
            kind: runtime_agents::LibrarianKind,
        }),
        Arc::new(Placed { folder, place: placed::tools_and_keys, kind: llm_kind() }),
    ];
    kinds.extend(TeamKind::ALL.map(|kind| Arc::new(kind) as Arc<dyn AgentKind>));
    kinds
}

/// Agents with models: with the providers and tools that this build has.
pub fn llm_kind() -> LlmKind {
    #[cfg(feature = "llm")]
    let kind = LlmKind::new(runtime_agents::llm::GenaiModels);
    #[cfg(not(feature = "llm"))]
    let kind = LlmKind::new(runtime_agents::NoModels);
    #[cfg(feature = "http")]
    let kind = runtime_agents::http::with_web_tools(kind);
    kind
}
