//! Who may publish what, and read what.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BusError, Pattern, Topic};
use crate::name::{Name, Tenant};

/// Who acts on a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The runtime itself: it may do everything, in every tenant, and nobody else writes to system topics.
    System,
    /// A tenant, or one of its agents.
    Tenant {
        /// Which.
        tenant: Tenant,
        /// Its agent, by name.
        agent: Option<Name>,
    },
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Publishes.
    Publish,
    /// Reads, live or durably.
    Read,
}

/// A line of the rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about; `None`: every tenant.
    pub tenant: Option<Tenant>,
    /// Whom of the tenant; `None`: everybody.
    pub agent: Option<Name>,
    /// What it is about; `None`: both.
    pub act: Option<Act>,
    /// Which topics.
    pub topics: Pattern,
    /// Whether it is allowed.
    pub allow: bool,
}

/// Who may do what, as lines of which the first one that matches decides. What no line is about is allowed.
///
/// Whatever the lines say, nobody acts in another tenant, and nobody but the runtime publishes to system topics.
///
/// # Examples
/// ```
/// use runtime_traits::bus::{Act, Rights, Rule, Who};
/// use runtime_traits::{Name, Tenant};
///
/// let tenant = Tenant::default();
/// let clerk = Who::Tenant { tenant: tenant.clone(), agent: Some(Name::new("clerk")?) };
/// let rights = Rights(vec![Rule {
///     tenant: None,
///     agent: Some(Name::new("clerk")?),
///     act: Some(Act::Publish),
///     topics: "money/**".parse()?,
///     allow: false,
/// }]);
/// assert!(rights.may_publish(&clerk, &tenant, &"money/paid".parse()?).is_err());
/// assert!(rights.decide(&clerk, &tenant, Act::Read, &"money/*".parse()?).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(pub Vec<Rule>);

impl Who {
    /// Everybody in a tenant who is no agent.
    pub fn tenant(tenant: Tenant) -> Self {
        Self::Tenant { tenant, agent: None }
    }
}

impl Rights {
    /// Decides whether somebody may publish about a topic.
    ///
    /// # Errors
    /// [`BusError::Protected`] for a system topic, else [`BusError::Forbidden`].
    pub fn may_publish(&self, who: &Who, tenant: &Tenant, topic: &Topic) -> Result<(), BusError> {
        let Who::Tenant { tenant: own, .. } = who else { return Ok(()) };
        if own == tenant && topic.is_system() {
            return Err(BusError::Protected { topic: topic.clone() });
        }
        if own == tenant && self.0.is_empty() {
            return Ok(());
        }
        self.decide(who, tenant, Act::Publish, &Pattern::from(topic.clone()))
    }

    /// Decides. What is about several topics is allowed only if it is for all of them.
    ///
    /// # Errors
    /// [`BusError::Forbidden`]; for system topics see [`Rights::may_publish`].
    pub fn decide(&self, who: &Who, tenant: &Tenant, act: Act, topics: &Pattern) -> Result<(), BusError> {
        let Who::Tenant { tenant: own, agent } = who else { return Ok(()) };
        let forbidden = || BusError::Forbidden { who: who.to_string(), act, topics: topics.clone() };
        if own != tenant {
            return Err(forbidden());
        }
        for rule in &self.0 {
            let about = rule.tenant.as_ref().is_none_or(|named| named == own)
                && rule.agent.as_ref().is_none_or(|named| agent.as_ref() == Some(named))
                && rule.act.is_none_or(|named| named == act);
            if about && rule.topics.covers(topics) {
                return if rule.allow { Ok(()) } else { Err(forbidden()) };
            }
            if about && !rule.allow && rule.topics.overlaps(topics) {
                return Err(forbidden());
            }
        }
        Ok(())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the runtime"),
            Self::Tenant { tenant, agent: None } => write!(f, "tenant `{tenant}`"),
            Self::Tenant { tenant, agent: Some(agent) } => write!(f, "agent `{agent}` of tenant `{tenant}`"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Read => "read",
        })
    }
}
