//! `status`: the runtime itself.

use agent_runtime::bus::{HeldTopic, TellingStatus};
use agent_runtime::runtime::{BreakerPhase, BreakerStatus};
use agent_runtime::scrub::{Finding, ScrubStatus};
use agent_runtime::store::{Durability, Sharing};
use agent_runtime::{Runtime, StepSort, Tenant, UnixMillis};

use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::{breaker, counted, pairs, process, readiness, time};

/// Shows store, readiness and open runs.
pub(crate) async fn status(desk: &Desk, runtime: &dyn Runtime) -> Result<Exit, CliError> {
    let status = runtime.status().await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&status)?;
        return Ok(Exit::Done);
    }
    let now = desk.now();
    let durability = match status.store.best {
        Durability::Memory => "survives nothing",
        Durability::Process => "survives the end of the process",
        Durability::Disk => "survives the loss of power",
    };
    let sharing = match status.store.sharing {
        Sharing::Single => "one process",
        Sharing::Shared => "any number of processes",
    };
    let progress = status.last_progress.map_or("none yet".to_owned(), |at| time::ago(now, at));
    let rows = vec![
        ("served by", desk.server()),
        ("readiness", readiness(&status.readiness).0),
        ("store", format!("{} ({durability}; {sharing})", desk.place.store)),
        ("since", format!("{} ({})", time::moment(status.since), time::ago(now, status.since))),
        ("health", status.health.as_ref().map_or("nothing is monitored".to_owned(), ToString::to_string)),
        ("open runs", status.open_runs.to_string()),
        ("active agents", status.active_agents.to_string()),
        ("suspects", suspected(status.suspects)),
        ("last progress", progress),
        (
            "damage",
            status.scrub.as_ref().map_or("nobody looks for it".to_owned(), |scrub| looked(scrub, now)),
        ),
        (
            "heap of no agent",
            status.process.unattributed_mb.map_or("not metered".to_owned(), |mib| format!("{mib:.1} MiB")),
        ),
        (
            "bus",
            status.telling.as_ref().map_or("none is told anything".to_owned(), |telling| told(telling, now)),
        ),
        ("models", breaker::all(&models(&status.breakers))),
        ("node", status.node.to_string()),
        ("build", status.build),
    ];
    screen.line(pairs(rows, screen.terminal.width, screen.paint()))?;
    for Finding { agent, session, run, place, what, .. } in
        status.scrub.iter().flat_map(|scrub| &scrub.findings)
    {
        let whose = [
            agent.map(|agent| agent.to_string()),
            session.as_ref().map(|session| format!("session {session}")),
            run.map(|run| run.to_string()),
        ];
        let whose: Vec<String> = whose.into_iter().flatten().collect();
        screen.line(format!("{} {}: {what} ({place})", screen.paint().bad("damaged"), whose.join(", ")))?;
    }
    for poll in &status.process.long_polls {
        screen.line(format!("{} {}", screen.paint().bad("blocks its thread"), process::blocked(poll)))?;
    }
    for held in status.breakers.iter().filter(|breaker| breaker.state != BreakerPhase::Closed) {
        screen.line(format!("{} {}", screen.paint().bad("held off"), breaker::held_off(held, now)))?;
    }
    for HeldTopic { tenant, topic, events, since, what } in
        status.telling.iter().flat_map(|telling| &telling.held)
    {
        let of = if *tenant == Tenant::default() { String::new() } else { format!(" of tenant {tenant}") };
        screen.line(format!(
            "{} topic {topic}{of}: {} held aside since {}: {what}",
            screen.paint().bad("damaged"),
            counted(*events, "event"),
            time::moment(*since),
        ))?;
    }
    Ok(Exit::Done)
}

/// How many runs are tried after the death of a process.
fn suspected(suspects: u64) -> String {
    match suspects {
        0 => "none".to_owned(),
        some => format!(
            "{}, and nothing else begins: a process died while they were at work",
            counted(some, "run")
        ),
    }
}

/// The breakers of models among all.
fn models(breakers: &[BreakerStatus]) -> Vec<BreakerStatus> {
    breakers.iter().filter(|breaker| breaker.sort == StepSort::Model).cloned().collect()
}

/// How it stands with telling the bus what happens.
fn told(telling: &TellingStatus, now: UnixMillis) -> String {
    let TellingStatus { waiting, since, left_out, held } = telling;
    let mut said = match waiting {
        0 => "nothing waits for it".to_owned(),
        1 => "1 announcement waits for it".to_owned(),
        waiting => format!("{waiting} announcements wait for it"),
    };
    if let Some(since) = since {
        said += &format!(", since {} ({})", time::moment(*since), time::ago(now, *since));
    }
    if !held.is_empty() {
        let events = held.iter().map(|of| of.events).sum();
        said += &format!("; {} held aside", counted(events, "event"));
    }
    if *left_out > 0 {
        said += &format!("; {left_out} left out");
    }
    said
}

/// How it stands with looking for damage.
fn looked(scrub: &ScrubStatus, now: UnixMillis) -> String {
    let last = scrub.last.map(|last| {
        let ended = last.ended.unwrap_or(last.began);
        let found = match last.count.damaged {
            0 => "none".to_owned(),
            damaged => counted(damaged, "damaged place"),
        };
        format!(
            "{found}, {} ({})",
            time::ago(now, ended),
            counted(last.count.cells + last.count.entries, "value")
        )
    });
    match (&scrub.failed, scrub.running, last) {
        (Some(failed), _, _) => format!("the last look broke off: {failed}"),
        (None, Some(running), _) => {
            format!("looking: {} so far", counted(running.count.cells + running.count.entries, "value"))
        }
        (None, None, Some(last)) => last,
        (None, None, None) if scrub.on => "not looked for yet".to_owned(),
        (None, None, None) => "not looked for: it is switched off".to_owned(),
    }
}
