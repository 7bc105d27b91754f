//! How a caller points at an agent.

use std::fmt;
use std::str::FromStr;

use crate::id::AgentId;
use crate::name::{Name, NameError};

/// An agent, by its id or by its name. No name holds a colon, and every id does.
///
/// ```
/// # use runtime_traits::AgentRef;
/// let by_name: AgentRef = "librarian".parse()?;
/// # Ok::<(), runtime_traits::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AgentRef {
    /// By id.
    Id(AgentId),
    /// By name.
    Name(Name),
}

impl FromStr for AgentRef {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, NameError> {
        if s.starts_with("agent:") { Ok(Self::Id(s.parse()?)) } else { Ok(Self::Name(Name::new(s)?)) }
    }
}

impl fmt::Display for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<AgentId> for AgentRef {
    fn from(id: AgentId) -> Self {
        Self::Id(id)
    }
}

impl From<&AgentId> for AgentRef {
    fn from(id: &AgentId) -> Self {
        Self::Id(*id)
    }
}

impl From<Name> for AgentRef {
    fn from(name: Name) -> Self {
        Self::Name(name)
    }
}
