//! Teams from declarations.

use std::collections::BTreeMap;
use std::sync::Arc;

use runtime_traits::{Agent, AgentKind, AgentSpec, Name, SpecError};

use super::{Parallel, Router, Sequence, Supervisor, TeamError};
use crate::llm_kind::Settings;

/// Builds teams from specs of the kinds `sequence`, `parallel`, `router` and `supervisor`.
///
/// ```
/// use runtime_agents::teams::TeamKind;
/// use runtime_traits::{AgentKind, AgentSpec};
/// use serde_json::json;
///
/// let config = json!({ "agents": ["researcher", "writer"] });
/// let spec = AgentSpec::new("sequence", "report")?.configured(&config)?;
/// assert!(TeamKind::Sequence.check(&spec).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TeamKind {
    /// [`Sequence`]: `agents`.
    Sequence,
    /// [`Parallel`]: `agents`.
    Parallel,
    /// [`Router`]: `otherwise`, and `routes` with the words of each agent.
    Router,
    /// [`Supervisor`]: `worker`, `reviewer`, `rounds`.
    Supervisor,
}

impl TeamKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sequence, Self::Parallel, Self::Router, Self::Supervisor];

    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Sequence | Self::Parallel => &["agents"],
            Self::Router => &["otherwise", "routes"],
            Self::Supervisor => &["worker", "reviewer", "rounds"],
        }
    }
}

fn agents(settings: &mut Settings) -> Result<Vec<String>, SpecError> {
    let expected = "a list of agents, like [\"researcher\", \"writer\"]";
    Ok(settings.take("agents", expected)?.unwrap_or_default())
}

fn agent(settings: &mut Settings, name: &str) -> Result<String, SpecError> {
    let missing =
        |settings: &Settings| settings.refused(format!("setting `{name}` is missing; name an agent"));
    settings.text(name)?.ok_or_else(|| missing(settings))
}

fn router(spec: &AgentSpec, settings: &mut Settings) -> Result<Router, SpecError> {
    let refused = |settings: &Settings, error: TeamError| settings.refused(error.to_string());
    let otherwise = agent(settings, "otherwise")?;
    let mut router = Router::new(spec.name.as_str(), &otherwise).map_err(|error| refused(settings, error))?;
    let expected = "a table of agents and lists of words, like { billing = [\"invoice\"] }";
    let routes: Option<BTreeMap<String, Vec<String>>> = settings.take("routes", expected)?;
    for (agent, words) in routes.unwrap_or_default() {
        router = router.route(&agent, words).map_err(|error| refused(settings, error))?;
    }
    Ok(router)
}

impl AgentKind for TeamKind {
    fn name(&self) -> Name {
        let name = match self {
            Self::Sequence => Sequence::KIND,
            Self::Parallel => Parallel::KIND,
            Self::Router => Router::KIND,
            Self::Supervisor => Supervisor::KIND,
        };
        Name::new(name).expect("the kinds of teams are names")
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        self.build(spec).map(drop)
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        let mut settings = Settings::of(spec, self.settings())?;
        let (name, about) = (spec.name.as_str(), spec.description.as_str());
        let refused = |settings: &Settings, error: TeamError| settings.refused(error.to_string());
        Ok(match self {
            Self::Sequence => {
                let team = Sequence::new(name, agents(&mut settings)?);
                Arc::new(team.map_err(|error| refused(&settings, error))?.described(about))
            }
            Self::Parallel => {
                let team = Parallel::new(name, agents(&mut settings)?);
                Arc::new(team.map_err(|error| refused(&settings, error))?.described(about))
            }
            Self::Router => Arc::new(router(spec, &mut settings)?.described(about)),
            Self::Supervisor => {
                let (worker, reviewer) = (agent(&mut settings, "worker")?, agent(&mut settings, "reviewer")?);
                let rounds = settings.take("rounds", "a whole number, like 3")?.unwrap_or(Supervisor::ROUNDS);
                let team = Supervisor::new(name, &worker, &reviewer).and_then(|team| team.rounds(rounds));
                Arc::new(team.map_err(|error| refused(&settings, error))?.described(about))
            }
        })
    }
}
