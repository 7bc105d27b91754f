//! `health`: how the runtime and its agents are.

use std::collections::BTreeMap;

use agent_runtime::health::{CheckReport, Health, HealthOverview, HealthReport, Verdict, Watched};
use agent_runtime::{AgentId, AgentRef, Runtime, UnixMillis};

use super::agents;
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{Row, Tone, table, time};

/// Shows how all is, or how one agent is. The exit code says how bad it is.
pub(crate) async fn health(
    desk: &Desk,
    runtime: &dyn Runtime,
    agent: Option<&AgentRef>,
) -> Result<Exit, CliError> {
    match agent {
        Some(agent) => one(desk, runtime, agent).await,
        None => all(desk, runtime).await,
    }
}

async fn all(desk: &Desk, runtime: &dyn Runtime) -> Result<Exit, CliError> {
    let overview = runtime.health().await?;
    let (screen, exit) = (&desk.screen, exit_of(overview.health.verdict));
    if screen.lists_as_json() {
        screen.json(&overview)?;
        return Ok(exit);
    }
    let HealthOverview { watched, reports, .. } = &overview;
    if watched.all() == 0 {
        screen.say(
            screen
                .paint_err()
                .dim("nothing is monitored; `serve` does, unless the fleet file says health = \"off\""),
        );
        return Ok(exit);
    }
    let names = names(runtime, reports).await?;
    let now = desk.now();
    let rows = reports.iter().map(|report| row(&named(&names, &report.watched), report, now)).collect();
    let head = ["WATCHED", "HEALTH", "SINCE", "CHECK", "REASON"];
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    let left = watched.all().saturating_sub(reports.len() as u64);
    if left > 0 {
        screen.say(screen.paint_err().dim(format!("{left} more, none of them worse")));
    }
    Ok(exit)
}

async fn one(desk: &Desk, runtime: &dyn Runtime, agent: &AgentRef) -> Result<Exit, CliError> {
    let report = runtime.agent_health(agent).await?;
    let (screen, exit) = (&desk.screen, exit_of(report.health.verdict));
    if screen.lists_as_json() {
        screen.json(&report)?;
        return Ok(exit);
    }
    let now = desk.now();
    if report.checks.is_empty() {
        screen.line(format!("{agent} is {}", report.health))?;
        return Ok(exit);
    }
    let rows = report.checks.iter().map(|check| {
        let CheckReport { name, health, since, looked, recovery } = check;
        let looked = looked.as_ref().map_or("not yet".to_owned(), |looked| time::ago(now, looked.at));
        let tried = match recovery {
            None => String::new(),
            Some(recovery) if recovery.quarantine.is_some() => "given up".to_owned(),
            Some(recovery) => format!("{} tried", recovery.attempts),
        };
        vec![
            (name.clone(), Tone::Plain),
            verdict(health),
            (time::ago(now, *since), Tone::Dim),
            (looked, Tone::Dim),
            (tried, Tone::Warn),
            (health.reason.clone(), Tone::Plain),
        ]
    });
    let head = ["CHECK", "HEALTH", "SINCE", "LOOKED", "RECOVERY", "REASON"];
    screen.line(table(&head, rows.collect(), screen.terminal.width, screen.paint().is_on()))?;
    Ok(exit)
}

/// One thing that is watched, by the worst of its checks.
fn row(name: &str, report: &HealthReport, now: UnixMillis) -> Row {
    let worst = report.checks.iter().find(|check| check.health == report.health);
    let check = worst.filter(|_| !report.health.reason.is_empty()).map(|check| check.name.clone());
    vec![
        (name.to_owned(), Tone::Plain),
        verdict(&report.health),
        (time::ago(now, report.since), Tone::Dim),
        (check.unwrap_or_default(), Tone::Dim),
        (report.health.reason.clone(), Tone::Plain),
    ]
}

fn verdict(health: &Health) -> (String, Tone) {
    let tone = match health.verdict {
        Verdict::Healthy => Tone::Good,
        Verdict::Unknown => Tone::Dim,
        Verdict::Degraded => Tone::Warn,
        Verdict::Unhealthy => Tone::Bad,
    };
    (health.verdict.to_string(), tone)
}

/// What agents are called, if one is to be shown.
async fn names(
    runtime: &dyn Runtime,
    reports: &[HealthReport],
) -> Result<BTreeMap<AgentId, String>, CliError> {
    if !reports.iter().any(|report| matches!(report.watched, Watched::Agent(_))) {
        return Ok(BTreeMap::new());
    }
    let all = agents::all(runtime).await?;
    Ok(all.into_iter().map(|agent| (agent.id, agent.name.to_string())).collect())
}

fn named(names: &BTreeMap<AgentId, String>, watched: &Watched) -> String {
    match watched {
        Watched::Agent(agent) => names.get(agent).cloned().unwrap_or_else(|| agent.to_string()),
        Watched::Runtime | Watched::Other(_) => watched.to_string(),
    }
}

/// Whoever asks whether all is well is told by the exit code.
fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Healthy => Exit::Done,
        Verdict::Unknown => Exit::Unknown,
        Verdict::Degraded => Exit::Degraded,
        Verdict::Unhealthy => Exit::Unhealthy,
    }
}
