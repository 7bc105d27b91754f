//! What is changed of limits.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::resource::limits::ResourceLimits;

/// What is changed of limits: what is not named stays as it is, so that two who change different limits at once do not undo what the
/// other one did.
///
/// In JSON an object with the fields of [`ResourceLimits`] that are to be others; `null` lifts a limit.
///
/// # Examples
/// ```
/// use runtime_traits::resource::{LimitsChange, ResourceLimits};
///
/// let change: LimitsChange = serde_json::from_str(r#"{ "max_queued": 7, "max_tokens_total": null }"#)?;
/// let before = ResourceLimits { max_tokens_total: Some(9), max_run_seconds: Some(5), ..ResourceLimits::default() };
/// let after = ResourceLimits { max_queued: Some(7), max_run_seconds: Some(5), ..ResourceLimits::default() };
/// assert_eq!(change.of(before), after);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct LimitsChange(Map<String, Value>);

/// A field that no limits have, or a value that it cannot have.
#[derive(Debug, Error)]
#[error("`{field}`: {source}")]
pub struct LimitsChangeError {
    /// Which one.
    field: String,
    source: serde_json::Error,
}

impl LimitsChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits with this change.
    pub fn of(&self, limits: ResourceLimits) -> ResourceLimits {
        let Ok(Value::Object(mut all)) = serde_json::to_value(limits) else { return limits };
        for (field, value) in &self.0 {
            all.remove(field);
            if !value.is_null() {
                all.insert(field.clone(), value.clone());
            }
        }
        serde_json::from_value(Value::Object(all)).expect("each of them is one by itself")
    }
}

impl TryFrom<Map<String, Value>> for LimitsChange {
    type Error = LimitsChangeError;

    fn try_from(change: Map<String, Value>) -> Result<Self, LimitsChangeError> {
        for (field, value) in &change {
            // These are no numbers that may be absent.
            let has_default = matches!(field.as_str(), "on_limit" | "cancel_over_memory");
            if value.is_null() && has_default {
                continue;
            }
            let one = Map::from_iter([(field.clone(), value.clone())]);
            if let Err(source) = serde_json::from_value::<ResourceLimits>(Value::Object(one)) {
                return Err(LimitsChangeError { field: field.clone(), source });
            }
        }
        Ok(Self(change))
    }
}

impl From<LimitsChange> for Map<String, Value> {
    fn from(LimitsChange(change): LimitsChange) -> Self {
        change
    }
}

#[cfg(test)]
mod tests {
    use super::{LimitsChange, ResourceLimits};
    use crate::resource::limits::{Limit, OnLimit};

    fn change(json: &str) -> Result<LimitsChange, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_limit_can_be_set_and_lifted_alone() {
        for limit in Limit::ALL {
            let number = if limit.is_money() { "\"0.000007\"" } else { "7" };
            let set = change(&format!("{{\"{limit}\": {number}}}")).unwrap();
            let lifted = change(&format!("{{\"{limit}\": null}}")).unwrap();
            let limits = set.of(ResourceLimits::default());

            assert_eq!(limits.of(limit), Some(7));
            assert_eq!(lifted.of(limits), ResourceLimits::default());
        }
        let refuse =
            change(r#"{"on_limit": "refuse", "max_memory_mb": 1, "cancel_over_memory": true}"#).unwrap();
        let limits = refuse.of(ResourceLimits::default());
        assert_eq!((limits.on_limit, limits.cancel_over_memory), (OnLimit::Refuse, true));
        let lifted =
            change(r#"{"on_limit": null, "max_memory_mb": null, "cancel_over_memory": null}"#).unwrap();
        assert_eq!(lifted.of(limits), ResourceLimits::default());
        assert_eq!(change("{}").unwrap().of(limits), limits);
    }

    #[test]
    fn what_is_no_limit_is_named_and_a_change_is_read_as_it_was_written() {
        for bad in [r#"{"max_token": null}"#, r#"{"max_queued": -1}"#, r#"{"max_cost_per_day": 5}"#, "[]"] {
            assert!(change(bad).is_err(), "{bad}");
        }
        assert!(
            change(r#"{"max_token": null}"#).unwrap_err().contains("max_tokens_total"),
            "what there is, is said"
        );
        let whole = change(r#"{"max_queued": 7, "max_tokens_total": null}"#).unwrap();
        assert_eq!(change(&serde_json::to_string(&whole).unwrap()), Ok(whole));
    }
}
