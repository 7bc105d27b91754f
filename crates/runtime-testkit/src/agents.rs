//! Agents that a test can steer, and the kinds that build them.

mod gates;
mod kind;
mod play;

use std::sync::Arc;

use runtime_traits::AgentKind;

pub use gates::Gates;
pub use kind::PlayKind;
pub use play::{Play, Player};

/// Every kind of [`Play`], steered by `gates`.
///
/// # Examples
/// ```
/// use runtime_testkit::agents::{Gates, kinds};
///
/// let kinds = kinds(&Gates::new());
/// assert!(kinds.iter().any(|kind| kind.name().as_str() == "echo"));
/// ```
pub fn kinds(gates: &Gates) -> Vec<Arc<dyn AgentKind>> {
    let kind = |play| Arc::new(PlayKind::new(play, gates.clone())) as Arc<dyn AgentKind>;
    Play::ALL.into_iter().map(kind).collect()
}
