//! The kinds of the testkit's agents.

use std::sync::Arc;

use runtime_traits::{Agent, AgentKind, AgentSpec, Cause, Name, SpecError};

use crate::agents::{Gates, Play, Player};

/// Builds [`Player`]s of one [`Play`]. It knows no settings, and refuses a declaration that has some.
#[derive(Clone, Debug)]
pub struct PlayKind {
    play: Play,
    gates: Gates,
}

impl PlayKind {
    /// The kind of `play`, whose agents are steered by `gates`.
    pub fn new(play: Play, gates: Gates) -> Self {
        Self { play, gates }
    }
}

impl AgentKind for PlayKind {
    fn name(&self) -> Name {
        Name::new(self.play.name()).expect("a play has the name of a kind")
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        if spec.config.get() == "{}" {
            return Ok(());
        }
        let cause = Cause::says("the testkit's kinds have no settings; leave `config` out");
        Err(SpecError::Config { agent: spec.name.to_string(), cause })
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        self.check(spec)?;
        Ok(Arc::new(Player::new(self.play, spec.clone(), self.gates.clone())))
    }
}
