//! `limits`, `agents limit`, and how limits are shown.

use agent_runtime::resource::{
    Limit, LimitsBy, LimitsChange, ResourceLimits, ResourceUsage, TenantLimits, Used,
};
use agent_runtime::runtime::AgentStatus;
use agent_runtime::{AgentRef, Runtime};
use serde_json::{Map, Value};

use crate::args::LimitArgs;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::time::moment;
use crate::render::{counted, pairs};

/// Changes what an agent may use.
pub(super) async fn limit(desk: &Desk, runtime: &dyn Runtime, args: &LimitArgs) -> Result<Exit, CliError> {
    let change = change(&args.limits)?;
    let id = AgentRef::from(runtime.agent(&args.agent).await?.id);
    runtime.change_limits(&id, change).await?;
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

/// Shows what all agents may use together, or changes it.
pub(crate) async fn limits(desk: &Desk, runtime: &dyn Runtime, changes: &[String]) -> Result<Exit, CliError> {
    let screen = &desk.screen;
    if changes.is_empty() {
        let set = runtime.tenant_limits().await?;
        if screen.lists_as_json() {
            screen.json(&set)?;
        } else {
            let rows = rows(&set);
            let rows = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            screen.line(pairs(rows, screen.terminal.width, screen.paint()))?;
            screen.hint(&["limits max_cost_per_day=5".to_owned(), "agents limit NAME …".to_owned()]);
        }
        return Ok(Exit::Done);
    }
    runtime.change_tenant_limits(change(changes)?).await?;
    let set = runtime.tenant_limits().await?;
    if screen.json {
        screen.json(&set)?;
    } else {
        let since = set.since.map(|at| format!(", since {} and for runs under way too", moment(at)));
        let (since, shown) = (since.unwrap_or_default(), shown_of(&set.limits, &set.usage));
        screen.line(format!("all agents together may use{since}: {shown}"))?;
    }
    if desk.place.fleet.as_ref().is_some_and(|fleet| !fleet.limits.is_none()) {
        let note = "the fleet file has `limits` of all agents too: the next `serve` sets those again";
        screen.say(screen.paint_err().warn(note));
    }
    Ok(Exit::Done)
}

/// What all agents may use together, limit by limit, and what is to be known about it.
fn rows(set: &TenantLimits) -> Vec<(String, String)> {
    let of = |limit: Limit| Some((limit.to_string(), one(limit, set.limits.of(limit)?, &set.usage.limits)));
    let mut rows: Vec<(String, String)> = Limit::TOGETHER.into_iter().filter_map(of).collect();
    let mut say = |name: &str, value: String| rows.push((name.to_owned(), value));
    if set.limits.is_none() {
        say("limits", "none of all agents together".to_owned());
    }
    if let (Some(at), Some(by)) = (set.since, set.by) {
        let by = match by {
            LimitsBy::Hand => "by hand",
            LimitsBy::FleetFile => "by the fleet file",
        };
        say("set", format!("{by}, {}", moment(at)));
    }
    if let Some(damage) = &set.damage {
        say("used", format!("not known: {damage}"));
    }
    if let Some(at) = set.counted_since {
        say("counted since", moment(at));
    }
    if set.usage.waiting > 0 {
        say("waiting", format!("{} for room", counted(set.usage.waiting.into(), "call")));
    }
    rows
}

/// A change to each of these, as `NAME=VALUE`; without a value a limit is lifted.
fn change(changes: &[String]) -> Result<LimitsChange, CliError> {
    let mut all = Map::new();
    for change in changes {
        let refused = |why: String| CliError::Limit { given: change.clone(), why };
        let (name, value) =
            change.split_once('=').ok_or_else(|| refused("write it as NAME=VALUE".to_owned()))?;
        let text = name.contains("cost") || name == "on_limit";
        let value = match value {
            "" => Value::Null,
            value if text => Value::String(value.to_owned()),
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            value => value
                .parse::<u64>()
                .map(Value::from)
                .map_err(|_| refused(format!("`{value}` is no whole number")))?,
        };
        let one = Map::from_iter([(name.to_owned(), value)]);
        LimitsChange::try_from(one.clone()).map_err(|error| refused(error.to_string()))?;
        all.extend(one);
    }
    Ok(LimitsChange::try_from(all).expect("each of them was looked at"))
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
    shown_of(&agent.limits, &agent.usage)
}

fn shown_of(limits: &ResourceLimits, usage: &ResourceUsage) -> String {
    let shown = |limit: Limit| Some(format!("{limit} {}", one(limit, limits.of(limit)?, &usage.limits)));
    let all: Vec<String> = Limit::ALL.into_iter().filter_map(shown).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// What there is of a limit, and what is used of it where that is known.
fn one(limit: Limit, max: u64, used: &[Used]) -> String {
    let used = used.iter().find(|used| used.limit == limit);
    let used = used.map(|used| format!("{} of ", limit.amount(used.used))).unwrap_or_default();
    format!("{used}{}", limit.amount(max))
}

#[cfg(test)]
mod tests {
    use agent_runtime::resource::{Money, OnLimit, ResourceLimits};

    fn change(changes: &[&str]) -> Result<ResourceLimits, String> {
        let before = ResourceLimits { max_queued: Some(7), ..ResourceLimits::default() };
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        super::change(&changes).map(|change| change.of(before)).map_err(|error| error.to_string())
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
        let cancelling = change(&["max_memory_mb=64", "cancel_over_memory=true"]).unwrap();
        assert_eq!((cancelling.max_memory_mb, cancelling.cancel_over_memory), (Some(64), true));
        for lifted in ["cancel_over_memory=false", "cancel_over_memory="] {
            assert!(!change(&["cancel_over_memory=true", lifted]).unwrap().cancel_over_memory);
        }
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
            "cancel_over_memory=1",
            "max_queued=true",
        ] {
            assert!(change(&[bad]).unwrap_err().contains(bad), "{bad}");
        }
    }
}
