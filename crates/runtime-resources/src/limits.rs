//! What an agent may use.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What an agent may use. `None` means without a limit.
///
/// In a file an unknown name is an error, and what is left out has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceLimits {
    /// Heap in MiB. Declared only: nothing measures an agent's memory yet.
    pub max_memory_mb: Option<u64>,
    /// Tokens in any 60 seconds. Declared only: nothing counts an agent's tokens yet.
    pub max_tokens_per_minute: Option<u64>,
    /// Runs that are worked on at the same time; held by a [`Gate`](crate::Gate).
    pub max_concurrent_requests: Option<u32>,
    /// Accepted runs that have not begun; 0 for no queue. Held by a [`Gate`](crate::Gate).
    pub max_queued: Option<u32>,
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
}

/// Limits under which nothing could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LimitsError {
    /// A limit is 0 that lets nothing through then.
    #[error("`{limit}` is 0, so that nothing could ever run; set it to 1 or more, or leave it out")]
    Zero {
        /// Which one.
        limit: Limit,
    },
}

impl ResourceLimits {
    /// Checks that something can run under these limits.
    ///
    /// # Errors
    /// [`LimitsError::Zero`] for the first limit that is 0; `max_queued` may be.
    ///
    /// # Examples
    /// ```
    /// use runtime_resources::{Limit, LimitsError, ResourceLimits};
    ///
    /// let none = ResourceLimits { max_memory_mb: Some(0), ..ResourceLimits::default() };
    /// assert_eq!(none.check(), Err(LimitsError::Zero { limit: Limit::MaxMemoryMb }));
    /// ```
    pub fn check(&self) -> Result<(), LimitsError> {
        let limits = [
            (Limit::MaxMemoryMb, self.max_memory_mb),
            (Limit::MaxTokensPerMinute, self.max_tokens_per_minute),
            (Limit::MaxConcurrentRequests, self.max_concurrent_requests.map(u64::from)),
        ];
        match limits.into_iter().find(|(_, max)| *max == Some(0)) {
            Some((limit, _)) => Err(LimitsError::Zero { limit }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxMemoryMb => "max_memory_mb",
            Self::MaxTokensPerMinute => "max_tokens_per_minute",
            Self::MaxConcurrentRequests => "max_concurrent_requests",
            Self::MaxQueued => "max_queued",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, LimitsError, ResourceLimits};

    #[test]
    fn no_limits_and_an_empty_queue_are_fine() {
        let no_queue = ResourceLimits { max_queued: Some(0), ..ResourceLimits::default() };

        assert_eq!(ResourceLimits::default().check(), Ok(()));
        assert_eq!(no_queue.check(), Ok(()));
    }

    #[test]
    fn a_limit_of_zero_is_named() {
        let none = ResourceLimits::default();
        for (limits, limit) in [
            (ResourceLimits { max_memory_mb: Some(0), ..none }, Limit::MaxMemoryMb),
            (ResourceLimits { max_tokens_per_minute: Some(0), ..none }, Limit::MaxTokensPerMinute),
            (ResourceLimits { max_concurrent_requests: Some(0), ..none }, Limit::MaxConcurrentRequests),
        ] {
            let error = limits.check().unwrap_err();

            assert_eq!(error, LimitsError::Zero { limit });
            assert!(error.to_string().starts_with(&format!("`{limit}` is 0")), "{error}");
        }
    }

    #[test]
    fn a_file_may_leave_limits_out_but_not_misspell_them() {
        let read = |text| serde_json::from_str::<ResourceLimits>(text);

        let wanted = ResourceLimits { max_queued: Some(7), ..ResourceLimits::default() };
        assert_eq!(read(r#"{"max_queued": 7}"#).unwrap(), wanted);
        assert!(read(r#"{"max_memory": 7}"#).unwrap_err().to_string().contains("max_memory_mb"));
    }

    #[test]
    fn a_limit_is_shown_as_it_is_written() {
        for limit in
            [Limit::MaxMemoryMb, Limit::MaxTokensPerMinute, Limit::MaxConcurrentRequests, Limit::MaxQueued]
        {
            assert_eq!(serde_json::to_string(&limit).unwrap(), format!("\"{limit}\""));
        }
    }
}
