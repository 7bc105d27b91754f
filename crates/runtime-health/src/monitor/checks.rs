//! What is registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use runtime_traits::health::{HealthCheck, Recovery, Watched};
use runtime_traits::name::Name;

use super::error::HealthError;
use super::rule::CheckRule;
use crate::policy::RecoveryRule;

/// A check with its rule, and what is done where it finds something unhealthy.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) rule: CheckRule,
    pub(super) check: Arc<dyn HealthCheck>,
    pub(super) recovery: Option<(Arc<RecoveryRule>, Arc<dyn Recovery>)>,
    /// It gives way to another one of its name.
    is_offered: bool,
}

/// All checks, by name.
#[derive(Clone, Default)]
pub(super) struct Checks(BTreeMap<Name, Registered>);

impl Checks {
    pub(super) fn add(
        &mut self,
        name: &str,
        rule: CheckRule,
        check: Arc<dyn HealthCheck>,
    ) -> Result<(), HealthError> {
        let key = checked(name, &rule)?;
        let mut recovery = None;
        if let Some(before) = self.0.get_mut(&key) {
            if !before.is_offered {
                return Err(HealthError::CheckTaken { name: name.to_owned() });
            }
            // What is done about it stays: it was registered for the name.
            recovery = before.recovery.take();
        }
        self.0.insert(key, Registered { rule, check, recovery, is_offered: false });
        Ok(())
    }

    pub(super) fn offer(
        &mut self,
        name: &str,
        rule: CheckRule,
        check: Arc<dyn HealthCheck>,
    ) -> Result<(), HealthError> {
        let key = checked(name, &rule)?;
        self.0.entry(key).or_insert(Registered { rule, check, recovery: None, is_offered: true });
        Ok(())
    }

    pub(super) fn recover(
        &mut self,
        name: &str,
        rule: RecoveryRule,
        recovery: Arc<dyn Recovery>,
    ) -> Result<(), HealthError> {
        let key = Name::new(name).ok().filter(|key| self.0.contains_key(key));
        let Some(registered) = key.and_then(|key| self.0.get_mut(&key)) else {
            return Err(self.unknown(name));
        };
        if registered.recovery.is_some() {
            return Err(HealthError::RecoveryTaken { name: name.to_owned() });
        }
        registered.recovery = Some((Arc::new(rule), recovery));
        Ok(())
    }

    /// The check of that name, if it looks at that.
    pub(super) fn one(&self, name: &str, watched: &Watched) -> Result<(Name, Registered), HealthError> {
        let found = Name::new(name).ok().and_then(|name| Some((name.clone(), self.0.get(&name)?.clone())));
        let (key, registered) = found.ok_or_else(|| self.unknown(name))?;
        if !looks_at(&registered.rule, watched) {
            return Err(HealthError::LooksElsewhere { name: name.to_owned(), watched: watched.clone() });
        }
        Ok((key, registered))
    }

    /// Those that look at something.
    pub(super) fn of(&self, watched: &Watched) -> Vec<(Name, Registered)> {
        let looking = self.0.iter().filter(|(_, registered)| looks_at(&registered.rule, watched));
        looking.map(|(name, registered)| (name.clone(), registered.clone())).collect()
    }

    fn unknown(&self, name: &str) -> HealthError {
        let known = self.0.keys().map(ToString::to_string).collect();
        HealthError::UnknownCheck { name: name.to_owned(), known }
    }
}

fn looks_at(rule: &CheckRule, watched: &Watched) -> bool {
    rule.only.has(watched)
}

fn checked(name: &str, rule: &CheckRule) -> Result<Name, HealthError> {
    let name = Name::new(name)?;
    if rule.within.as_millis() == 0 {
        return Err(HealthError::TooShort { what: "the time for a look" });
    }
    Ok(name)
}
