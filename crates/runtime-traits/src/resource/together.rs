//! What the agents of a tenant may use together.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::resource::limits::{Limit, LimitsError, OnLimit, ResourceLimits};
use crate::resource::usage::ResourceUsage;

/// What the agents of a tenant may use together, as seen now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantLimits {
    /// What they may use.
    #[serde(skip_serializing_if = "ResourceLimits::is_default")]
    pub limits: ResourceLimits,
    /// When that was set; `None`: nothing is kept about it. It holds from then on, for runs that had begun as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<UnixMillis>,
    /// Who set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<LimitsBy>,
    /// From when on all that they used is counted, and what runs had used that were open then; `None`: nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_since: Option<UnixMillis>,
    /// What they use.
    pub usage: ResourceUsage,
    /// Why that is not known, if what they used before is damaged, or what they may use: then nothing is let through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// Who says what the agents of a tenant may use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitsBy {
    /// Somebody changed it while the runtime ran.
    #[default]
    Hand,
    /// A fleet file declares it.
    FleetFile,
}

impl fmt::Display for LimitsBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hand => "hand",
            Self::FleetFile => "fleet_file",
        })
    }
}

impl Limit {
    /// Those that agents can share: what calls take. The others are about one run, or about one agent.
    pub const TOGETHER: [Self; 7] = [
        Self::MaxRequestsPerMinute,
        Self::MaxTokensPerMinute,
        Self::MaxTokensTotal,
        Self::MaxCostPerHour,
        Self::MaxCostPerDay,
        Self::MaxCostPerMonth,
        Self::MaxCostTotal,
    ];
}

impl ResourceLimits {
    /// Checks them as limits of all agents of a tenant together: as [`check`](Self::check) does, and that agents can share them.
    ///
    /// # Errors
    /// [`LimitsError::NotTogether`] for the first limit that is of one run or one agent, [`LimitsError::OnLimit`] and
    /// [`LimitsError::CancelOverMemory`] for what each agent says for itself; and those of [`check`](Self::check).
    ///
    /// # Examples
    /// ```
    /// use runtime_traits::resource::{Limit, LimitsError, ResourceLimits};
    ///
    /// let of_a_run = ResourceLimits { max_tokens_per_run: Some(9), ..ResourceLimits::default() };
    /// let limit = Limit::MaxTokensPerRun;
    /// assert_eq!(of_a_run.check_together(), Err(LimitsError::NotTogether { limit }));
    /// ```
    pub fn check_together(&self) -> Result<(), LimitsError> {
        let is_alone = |limit: &Limit| self.of(*limit).is_some() && !Limit::TOGETHER.contains(limit);
        if let Some(limit) = Limit::ALL.into_iter().find(is_alone) {
            return Err(LimitsError::NotTogether { limit });
        }
        if self.on_limit != OnLimit::default() {
            return Err(LimitsError::OnLimit);
        }
        if self.cancel_over_memory {
            return Err(LimitsError::CancelOverMemory);
        }
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, LimitsError, OnLimit, ResourceLimits};

    #[test]
    fn what_agents_cannot_share_is_refused_by_name_and_what_they_can_is_checked_as_ever() {
        for limit in Limit::ALL {
            let number = if limit.to_string().contains("cost") { "\"0.000007\"" } else { "7" };
            let limits: ResourceLimits = serde_json::from_str(&format!("{{\"{limit}\": {number}}}")).unwrap();
            let expected = match Limit::TOGETHER.contains(&limit) {
                true => Ok(()),
                false => Err(LimitsError::NotTogether { limit }),
            };
            assert_eq!(limits.check_together(), expected, "{limit}");
            if let Err(error) = expected {
                assert!(error.to_string().starts_with(&format!("`{limit}` is of")), "{error}");
            }
        }
        let none = ResourceLimits::default();
        assert_eq!(none.check_together(), Ok(()));
        let refuse = ResourceLimits { on_limit: OnLimit::Refuse, ..none };
        assert_eq!(refuse.check_together(), Err(LimitsError::OnLimit));
        let cancel = ResourceLimits { cancel_over_memory: true, ..none };
        assert_eq!(cancel.check_together(), Err(LimitsError::CancelOverMemory));
        let limit = Limit::MaxTokensTotal;
        let zero = ResourceLimits { max_tokens_total: Some(0), ..none };
        assert_eq!(zero.check_together(), Err(LimitsError::Zero { limit }));
        let never = ResourceLimits { max_tokens_per_minute: Some(8), max_tokens_total: Some(7), ..none };
        let inner = Limit::MaxTokensPerMinute;
        assert_eq!(never.check_together(), Err(LimitsError::Contradiction { inner, outer: limit }));
    }
}
