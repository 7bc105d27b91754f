//! Kinds: what builds agents from their declarations.

use std::fmt;
use std::sync::Arc;

use crate::agent::Agent;
use crate::agent::spec::{AgentSpec, SpecError};
use crate::name::Name;
use crate::schema::Schema;

/// A registered factory: builds agents from specs that name it.
pub trait AgentKind: fmt::Debug + Send + Sync + 'static {
    /// The name that specs use.
    fn name(&self) -> Name;

    /// The version of the code, written into the log of every run that it works.
    fn version(&self) -> u32 {
        1
    }

    /// The schemas of what its agents keep and take, in the versions that this code writes. `agent-runtime check --live`
    /// holds stored values against them.
    fn schemas(&self) -> Vec<Schema> {
        Vec::new()
    }

    /// Checks a declaration without building anything: what `agent-runtime check` asks.
    ///
    /// # Errors
    /// [`SpecError`], which names the setting and the remedy.
    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError>;

    /// Builds the agent.
    ///
    /// # Errors
    /// [`SpecError`], which names the setting or the thing that is missing, and the remedy.
    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError>;
}
