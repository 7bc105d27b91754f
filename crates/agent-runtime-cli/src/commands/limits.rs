//! `agents limit`, and how limits are shown.

use agent_runtime::resource::{Limit, Money, ResourceLimits};
use agent_runtime::runtime::AgentStatus;
use agent_runtime::{AgentRef, Runtime};
use serde_json::{Map, Value};

use crate::args::LimitArgs;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::time::moment;

/// Changes what an agent may use.
pub(super) async fn limit(desk: &Desk, runtime: &dyn Runtime, args: &LimitArgs) -> Result<Exit, CliError> {
    let agent = runtime.agent(&args.agent).await?;
    let limits = changed(agent.limits, &args.limits)?;
    let id = AgentRef::from(agent.id);
    runtime.set_limits(&id, limits).await?;
    let agent = runtime.agent(&id).await?;
    if desk.screen.json {
        desk.screen.json(&agent)?;
    } else {
        desk.screen.line(format!(
            "{} may use, since {} and for runs under way too: {}",
            agent.name,
            moment(agent.declared_at),
            shown(&agent)
        ))?;
    }
    Ok(Exit::Done)
}

/// The limits with these changes, each as `NAME=VALUE`; without a value a limit is lifted.
fn changed(limits: ResourceLimits, changes: &[String]) -> Result<ResourceLimits, CliError> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(limits) else { return Ok(limits) };
    for change in changes {
        let refused = |why: String| CliError::Limit { given: change.clone(), why };
        let (name, value) =
            change.split_once('=').ok_or_else(|| refused("write it as NAME=VALUE".to_owned()))?;
        let text = name.contains("cost") || name == "on_limit";
        let value = match value {
            "" => Value::Null,
            value if text => Value::String(value.to_owned()),
            value => value
                .parse::<u64>()
                .map(Value::from)
                .map_err(|_| refused(format!("`{value}` is no whole number")))?,
        };
        if value.is_null() {
            all.remove(name);
        }
        let one = Map::from_iter([(name.to_owned(), value.clone())]);
        let read = if value.is_null() && name == "on_limit" {
            Ok(ResourceLimits::default())
        } else {
            serde_json::from_value::<ResourceLimits>(Value::Object(one))
        };
        read.map_err(|error| refused(error.to_string()))?;
        if !value.is_null() {
            all.insert(name.to_owned(), value);
        }
    }
    Ok(serde_json::from_value(Value::Object(all)).unwrap_or(limits))
}

/// How many tokens an agent used.
pub(super) fn tokens(agent: &AgentStatus) -> String {
    if let Some(damage) = &agent.damage {
        return format!("not known: {damage}");
    }
    let usage = &agent.usage;
    let waiting = match usage.waiting {
        0 => String::new(),
        waiting => format!(", {waiting} waiting for room"),
    };
    format!("{} in all, {} in the last minute{waiting}", usage.tokens_total, usage.tokens_used_last_minute)
}

/// The limits of an agent, with what is used of them.
pub(super) fn shown(agent: &AgentStatus) -> String {
    let one = |limit: Limit| {
        let max = agent.limits.of(limit)?;
        let value = |value: u64| {
            if limit.to_string().contains("cost") {
                Money::from_micros(value).to_string()
            } else {
                value.to_string()
            }
        };
        let used = agent.usage.limits.iter().find(|used| used.limit == limit);
        let used = used.map(|used| format!("{} of ", value(used.used))).unwrap_or_default();
        Some(format!("{limit} {used}{}", value(max)))
    };
    let all: Vec<String> = Limit::ALL.into_iter().filter_map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use agent_runtime::resource::{Money, OnLimit, ResourceLimits};

    use super::changed;

    fn change(changes: &[&str]) -> Result<ResourceLimits, String> {
        let before = ResourceLimits { max_queued: Some(7), ..ResourceLimits::default() };
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        changed(before, &changes).map_err(|error| error.to_string())
    }

    #[test]
    fn each_change_is_one_and_the_others_stay() {
        let limits =
            change(&["max_tokens_per_minute=100", "max_cost_per_day=2.50", "on_limit=refuse"]).unwrap();
        let expected = ResourceLimits {
            max_queued: Some(7),
            max_tokens_per_minute: Some(100),
            max_cost_per_day: Some(Money::from_micros(2_500_000)),
            on_limit: OnLimit::Refuse,
            ..ResourceLimits::default()
        };
        assert_eq!(limits, expected);
        assert_eq!(change(&["max_queued="]).unwrap(), ResourceLimits::default());
    }

    #[test]
    fn what_is_no_limit_is_named() {
        for bad in [
            "max_tokens",
            "max_tokens=1",
            "max_queued=-1",
            "max_queued=1.5",
            "max_cost_per_day=x",
            "on_limit=stop",
        ] {
            assert!(change(&[bad]).unwrap_err().contains(bad), "{bad}");
        }
    }
}
