//! What an agent may use.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::resource::Money;

/// What an agent may use. `None` means without a limit.
///
/// In a file an unknown name is an error, and what is left out has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceLimits {
    /// Heap in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_mb: Option<u64>,
    /// Tokens, read and written, in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_minute: Option<u64>,
    /// Runs that are worked on at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_requests: Option<u32>,
    /// Accepted runs that have not begun, with those that wait until fewer are worked (`max_concurrent_requests`); 0 for no queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queued: Option<u32>,
    /// Calls of models in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_minute: Option<u64>,
    /// Tokens of one run, read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_run: Option<u64>,
    /// Tokens in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_total: Option<u64>,
    /// Money of one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_run: Option<Money>,
    /// Money in any hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_hour: Option<Money>,
    /// Money in any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_day: Option<Money>,
    /// Money in a calendar month, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_month: Option<Money>,
    /// Money in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_total: Option<Money>,
    /// Seconds from a run's acceptance to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_run_seconds: Option<u64>,
    /// Steps of one run; a call that was held off, so that nobody was asked, is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps_per_run: Option<u32>,
    /// Share of one processor over the last minute, in percent: an agent beyond it is polled later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpu_percent: Option<u32>,
    /// Whether a run of an agent that is above `max_memory_mb` is cancelled. Otherwise that is told, and nothing else.
    #[serde(skip_serializing_if = "is_false")]
    pub cancel_over_memory: bool,
    /// What a call does that reaches a limit.
    #[serde(skip_serializing_if = "OnLimit::is_wait")]
    pub on_limit: OnLimit,
}

/// What a call does that reaches a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// Its run waits until there is room, at most until its deadline.
    #[default]
    Wait,
    /// Its run fails at once, and says when there would be room.
    Refuse,
}

/// The name of a limit; shown as it is written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// [`ResourceLimits::max_memory_mb`].
    MaxMemoryMb,
    /// [`ResourceLimits::max_tokens_per_minute`].
    MaxTokensPerMinute,
    /// [`ResourceLimits::max_concurrent_requests`].
    MaxConcurrentRequests,
    /// [`ResourceLimits::max_queued`].
    MaxQueued,
    /// [`ResourceLimits::max_requests_per_minute`].
    MaxRequestsPerMinute,
    /// [`ResourceLimits::max_tokens_per_run`].
    MaxTokensPerRun,
    /// [`ResourceLimits::max_tokens_total`].
    MaxTokensTotal,
    /// [`ResourceLimits::max_cost_per_run`].
    MaxCostPerRun,
    /// [`ResourceLimits::max_cost_per_hour`].
    MaxCostPerHour,
    /// [`ResourceLimits::max_cost_per_day`].
    MaxCostPerDay,
    /// [`ResourceLimits::max_cost_per_month`].
    MaxCostPerMonth,
    /// [`ResourceLimits::max_cost_total`].
    MaxCostTotal,
    /// [`ResourceLimits::max_run_seconds`].
    MaxRunSeconds,
    /// [`ResourceLimits::max_steps_per_run`].
    MaxStepsPerRun,
    /// [`ResourceLimits::max_cpu_percent`].
    MaxCpuPercent,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// It holds for a run.
    Run,
    /// It holds for all runs of an agent.
    #[default]
    Agent,
    /// It holds for all agents of a tenant.
    Tenant,
    /// A provider sets it, for all who use its models with one key.
    Provider,
}

/// Limits under which nothing could run, of which one can never be reached, or that nobody can be held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitsError {
    /// A limit is 0 that lets nothing through then.
    #[error("`{limit}` is 0, so that nothing could ever run; set it to 1 or more, or leave it out")]
    Zero {
        /// Which one.
        limit: Limit,
    },
    /// A limit of something is higher than the limit of what contains it.
    #[error(
        "`{inner}` is more than `{outer}`, so that it could never be reached; lower it, or raise `{outer}`"
    )]
    Contradiction {
        /// The one that could never be reached.
        inner: Limit,
        /// The one that is reached before.
        outer: Limit,
    },
    /// A limit that agents cannot share.
    #[error(
        "`{limit}` is of one agent or one of its runs, and not of all agents together; set it with `agent-runtime agents limit`"
    )]
    NotTogether {
        /// Which one.
        limit: Limit,
    },
    /// What becomes of a call that reaches a limit is said for each agent.
    #[error(
        "`on_limit` is of one agent, and not of all agents together; set it with `agent-runtime agents limit`"
    )]
    OnLimit,
    /// What becomes of a run that takes too much memory is said for each agent.
    #[error(
        "`cancel_over_memory` is of one agent, and not of all agents together; set it with `agent-runtime agents limit`"
    )]
    CancelOverMemory,
    /// Nobody holds agents to limits.
    #[error(
        "`limits`: nobody holds agents to limits here; give the runtime a governor, or leave `limits` out"
    )]
    NobodyHolds,
    /// Runs are to be cancelled for a limit that there is not.
    #[error("`cancel_over_memory` cancels nothing without `max_memory_mb`; set that, or leave it out")]
    NothingToCancel,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl OnLimit {
    fn is_wait(&self) -> bool {
        *self == Self::Wait
    }
}

impl ResourceLimits {
    /// Checks that something can run under these limits, and that each can be reached.
    ///
    /// # Errors
    /// [`LimitsError::Zero`] for the first limit that is 0, which only `max_queued` may be; [`LimitsError::Contradiction`];
    /// [`LimitsError::NothingToCancel`].
    ///
    /// # Examples
    /// ```
    /// use runtime_traits::resource::{Limit, LimitsError, ResourceLimits};
    ///
    /// let none = ResourceLimits { max_memory_mb: Some(0), ..ResourceLimits::default() };
    /// assert_eq!(none.check(), Err(LimitsError::Zero { limit: Limit::MaxMemoryMb }));
    /// ```
    pub fn check(&self) -> Result<(), LimitsError> {
        if let Some(limit) =
            Limit::ALL.into_iter().find(|limit| self.of(*limit) == Some(0) && *limit != Limit::MaxQueued)
        {
            return Err(LimitsError::Zero { limit });
        }
        let more = |(inner, outer): &(Limit, Limit)| match (self.of(*inner), self.of(*outer)) {
            (Some(inner), Some(outer)) => inner > outer,
            _ => false,
        };
        match Limit::WITHIN.into_iter().find(more) {
            Some((inner, outer)) => Err(LimitsError::Contradiction { inner, outer }),
            None if self.cancel_over_memory && self.max_memory_mb.is_none() => {
                Err(LimitsError::NothingToCancel)
            }
            None => Ok(()),
        }
    }

    /// What a limit is, in its unit; money in millionths of a dollar.
    pub fn of(&self, limit: Limit) -> Option<u64> {
        let money = |money: Option<Money>| money.map(Money::micros);
        match limit {
            Limit::MaxMemoryMb => self.max_memory_mb,
            Limit::MaxTokensPerMinute => self.max_tokens_per_minute,
            Limit::MaxConcurrentRequests => self.max_concurrent_requests.map(u64::from),
            Limit::MaxQueued => self.max_queued.map(u64::from),
            Limit::MaxRequestsPerMinute => self.max_requests_per_minute,
            Limit::MaxTokensPerRun => self.max_tokens_per_run,
            Limit::MaxTokensTotal => self.max_tokens_total,
            Limit::MaxCostPerRun => money(self.max_cost_per_run),
            Limit::MaxCostPerHour => money(self.max_cost_per_hour),
            Limit::MaxCostPerDay => money(self.max_cost_per_day),
            Limit::MaxCostPerMonth => money(self.max_cost_per_month),
            Limit::MaxCostTotal => money(self.max_cost_total),
            Limit::MaxRunSeconds => self.max_run_seconds,
            Limit::MaxStepsPerRun => self.max_steps_per_run.map(u64::from),
            Limit::MaxCpuPercent => self.max_cpu_percent.map(u64::from),
        }
    }

    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        Limit::ALL.into_iter().all(|limit| self.of(limit).is_none())
    }

    /// Whether money is limited: then each model has to have a price.
    pub fn limit_money(&self) -> bool {
        let money = [
            self.max_cost_per_run,
            self.max_cost_per_hour,
            self.max_cost_per_day,
            self.max_cost_per_month,
            self.max_cost_total,
        ];
        money.iter().any(Option::is_some)
    }

    /// Whether it says nothing at all.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::MaxMemoryMb,
        Self::MaxTokensPerMinute,
        Self::MaxConcurrentRequests,
        Self::MaxQueued,
        Self::MaxRequestsPerMinute,
        Self::MaxTokensPerRun,
        Self::MaxTokensTotal,
        Self::MaxCostPerRun,
        Self::MaxCostPerHour,
        Self::MaxCostPerDay,
        Self::MaxCostPerMonth,
        Self::MaxCostTotal,
        Self::MaxRunSeconds,
        Self::MaxStepsPerRun,
        Self::MaxCpuPercent,
    ];

    /// Whether it is of money: then it is counted in millionths of a dollar.
    pub const fn is_money(self) -> bool {
        match self {
            Self::MaxCostPerRun
            | Self::MaxCostPerHour
            | Self::MaxCostPerDay
            | Self::MaxCostPerMonth
            | Self::MaxCostTotal => true,
            Self::MaxMemoryMb
            | Self::MaxTokensPerMinute
            | Self::MaxConcurrentRequests
            | Self::MaxQueued
            | Self::MaxRequestsPerMinute
            | Self::MaxTokensPerRun
            | Self::MaxTokensTotal
            | Self::MaxRunSeconds
            | Self::MaxStepsPerRun
            | Self::MaxCpuPercent => false,
        }
    }

    /// An amount of what it limits, as people read it: money in dollars.
    ///
    /// # Examples
    /// ```
    /// use runtime_traits::resource::Limit;
    ///
    /// assert_eq!(Limit::MaxCostPerDay.amount(2_500_000), "2.50");
    /// assert_eq!(Limit::MaxTokensTotal.amount(2_500_000), "2500000");
    /// ```
    pub fn amount(self, amount: u64) -> String {
        if self.is_money() { Money::from_micros(amount).to_string() } else { amount.to_string() }
    }

    /// Whether it is a budget: time alone makes no room under it.
    pub const fn is_budget(self) -> bool {
        match self {
            Self::MaxTokensPerRun
            | Self::MaxTokensTotal
            | Self::MaxCostPerRun
            | Self::MaxCostTotal
            | Self::MaxRunSeconds
            | Self::MaxStepsPerRun => true,
            Self::MaxMemoryMb
            | Self::MaxTokensPerMinute
            | Self::MaxConcurrentRequests
            | Self::MaxQueued
            | Self::MaxRequestsPerMinute
            | Self::MaxCostPerHour
            | Self::MaxCostPerDay
            | Self::MaxCostPerMonth
            | Self::MaxCpuPercent => false,
        }
    }

    /// Limits of which the first is about a part of what the second is about.
    const WITHIN: [(Self, Self); 10] = [
        (Self::MaxTokensPerRun, Self::MaxTokensTotal),
        (Self::MaxTokensPerMinute, Self::MaxTokensTotal),
        (Self::MaxCostPerRun, Self::MaxCostTotal),
        (Self::MaxCostPerRun, Self::MaxCostPerMonth),
        (Self::MaxCostPerHour, Self::MaxCostPerDay),
        (Self::MaxCostPerDay, Self::MaxCostPerMonth),
        (Self::MaxCostPerHour, Self::MaxCostPerMonth),
        (Self::MaxCostPerHour, Self::MaxCostTotal),
        (Self::MaxCostPerDay, Self::MaxCostTotal),
        (Self::MaxCostPerMonth, Self::MaxCostTotal),
    ];
}

impl Whose {
    /// How somebody raises a limit of theirs, as an end of a sentence.
    pub fn raises(self, limit: Limit) -> String {
        match self {
            Self::Run | Self::Agent => {
                format!("raise it with `agent-runtime agents limit NAME {limit}=VALUE`")
            }
            Self::Tenant => format!("raise it with `agent-runtime limits {limit}=VALUE`"),
            Self::Provider => {
                "raise it in `[quotas]` of the fleet file, if the provider lets more through".to_owned()
            }
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run => "run",
            Self::Agent => "agent",
            Self::Tenant => "tenant",
            Self::Provider => "provider",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxMemoryMb => "max_memory_mb",
            Self::MaxTokensPerMinute => "max_tokens_per_minute",
            Self::MaxConcurrentRequests => "max_concurrent_requests",
            Self::MaxQueued => "max_queued",
            Self::MaxRequestsPerMinute => "max_requests_per_minute",
            Self::MaxTokensPerRun => "max_tokens_per_run",
            Self::MaxTokensTotal => "max_tokens_total",
            Self::MaxCostPerRun => "max_cost_per_run",
            Self::MaxCostPerHour => "max_cost_per_hour",
            Self::MaxCostPerDay => "max_cost_per_day",
            Self::MaxCostPerMonth => "max_cost_per_month",
            Self::MaxCostTotal => "max_cost_total",
            Self::MaxRunSeconds => "max_run_seconds",
            Self::MaxStepsPerRun => "max_steps_per_run",
            Self::MaxCpuPercent => "max_cpu_percent",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Limit, LimitsError, ResourceLimits};

    /// Limits of which each is one more than the one before, by their names in a file.
    fn with(limits: &[(Limit, u64)]) -> ResourceLimits {
        let entry = |(limit, max): &(Limit, u64)| {
            let money = limit.to_string().contains("cost");
            let dollars = format!("{}.{:06}", max / 1_000_000, max % 1_000_000);
            (limit.to_string(), if money { json!(dollars) } else { json!(max) })
        };
        let object: serde_json::Map<String, Value> = limits.iter().map(entry).collect();
        serde_json::from_value(Value::Object(object)).expect("they are limits")
    }

    #[test]
    fn each_limit_is_read_by_the_name_that_is_shown_for_it() {
        for limit in Limit::ALL {
            let limits = with(&[(limit, 7)]);

            for other in Limit::ALL {
                assert_eq!(limits.of(other), (other == limit).then_some(7), "{limit} {other}");
            }
            assert_eq!(serde_json::to_string(&limit).unwrap(), format!("\"{limit}\""));
        }
    }

    #[test]
    fn a_limit_of_zero_is_named_and_only_a_queue_may_have_none() {
        for limit in Limit::ALL {
            let checked = with(&[(limit, 0)]).check();

            if limit == Limit::MaxQueued {
                assert_eq!(checked, Ok(()));
            } else {
                assert_eq!(checked, Err(LimitsError::Zero { limit }));
            }
        }
        assert_eq!(ResourceLimits::default().check(), Ok(()));
    }

    #[test]
    fn a_limit_that_could_never_be_reached_is_named_with_the_one_before_it() {
        for (inner, outer) in Limit::WITHIN {
            assert_eq!(with(&[(inner, 8), (outer, 8)]).check(), Ok(()));
            let error = with(&[(inner, 9), (outer, 8)]).check().unwrap_err();

            assert_eq!(error, LimitsError::Contradiction { inner, outer });
            assert!(error.to_string().starts_with(&format!("`{inner}` is more than `{outer}`")), "{error}");
        }
    }

    #[test]
    fn a_run_is_cancelled_for_its_memory_only_where_that_is_limited() {
        let limits = ResourceLimits { cancel_over_memory: true, ..ResourceLimits::default() };

        assert_eq!(limits.check(), Err(LimitsError::NothingToCancel));
        assert_eq!(ResourceLimits { max_memory_mb: Some(1), ..limits }.check(), Ok(()));
    }

    #[test]
    fn a_file_may_leave_limits_out_but_not_misspell_them() {
        let read = |text| serde_json::from_str::<ResourceLimits>(text);

        assert_eq!(read(r#"{"max_queued": 7}"#).unwrap(), with(&[(Limit::MaxQueued, 7)]));
        assert!(read(r#"{"max_memory": 7}"#).unwrap_err().to_string().contains("max_memory_mb"));
        assert!(read(r#"{"on_limit": "panic"}"#).unwrap_err().to_string().contains("refuse"));
    }
}
