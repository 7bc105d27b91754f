//! The kinds of agents that this build hosts.

#[cfg(feature = "documents")]
mod placed;

use std::path::Path;
use std::sync::Arc;

use runtime_traits::AgentKind;

/// The kinds of agents that this build hosts. Paths in their settings are taken from `folder`: that of the fleet file.
#[cfg_attr(not(feature = "documents"), expect(unused_variables, reason = "no kind is left that has paths"))]
pub fn kinds(folder: impl AsRef<Path>) -> Vec<Arc<dyn AgentKind>> {
    vec![
        #[cfg(feature = "documents")]
        Arc::new(placed::Placed {
            folder: folder.as_ref().to_owned(),
            paths: &["documents"],
            kind: runtime_agents::LibrarianKind,
        }),
    ]
}
