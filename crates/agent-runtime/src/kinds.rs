//! The kinds of agents that this build hosts.

mod placed;

use std::path::Path;
use std::sync::Arc;

use runtime_agents::LlmKind;
use runtime_agents::teams::TeamKind;
use runtime_traits::AgentKind;

use crate::guards::{GuardedModels, Guards};
use placed::Placed;
pub(crate) use placed::placed_key;

/// The kinds of agents that this build hosts. Paths in their settings are taken from `folder`: that of the fleet file. Their models
/// and tools are guarded by the [guards of the process](Guards::of_process).
pub fn kinds(folder: impl AsRef<Path>) -> Vec<Arc<dyn AgentKind>> {
    guarded_kinds(folder, &Guards::of_process())
}

/// [`kinds`] whose models and tools these guards guard.
pub fn guarded_kinds(folder: impl AsRef<Path>, guards: &Guards) -> Vec<Arc<dyn AgentKind>> {
    let folder = folder.as_ref().to_owned();
    let mut kinds: Vec<Arc<dyn AgentKind>> = vec![
        #[cfg(feature = "documents")]
        Arc::new(Placed {
            folder: folder.clone(),
            place: placed::documents,
            kind: runtime_agents::LibrarianKind,
        }),
        Arc::new(Placed { folder, place: placed::tools_and_keys, kind: guarded_llm_kind(guards) }),
    ];
    kinds.extend(TeamKind::ALL.map(|kind| Arc::new(kind) as Arc<dyn AgentKind>));
    kinds
}

/// Agents with models: with the providers and tools that this build has, guarded by the
/// [guards of the process](Guards::of_process).
pub fn llm_kind() -> LlmKind {
    guarded_llm_kind(&Guards::of_process())
}

/// [`llm_kind`] whose models and tools these guards guard.
pub fn guarded_llm_kind(guards: &Guards) -> LlmKind {
    #[cfg(feature = "llm")]
    let models = runtime_agents::llm::GenaiModels;
    #[cfg(not(feature = "llm"))]
    let models = runtime_agents::NoModels;
    let kind = LlmKind::new(GuardedModels { models, guards: guards.clone() });
    let guards = guards.clone();
    let kind = kind.with_tools_in(move |tool| Arc::new(guards.tool(tool)));
    #[cfg(feature = "http")]
    let kind = runtime_agents::http::with_web_tools(kind);
    kind
}
