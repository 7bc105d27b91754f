//! `schedules`: agents that are run by the clock.

use std::time::Duration;

use agent_runtime::schedule::{Missed, Schedule, ScheduleFilter, ScheduleView, ScheduledBy, Timing};
use agent_runtime::{AgentRef, RunRequest, Runtime, UnixMillis};
use serde_json::json;

use crate::args::{AddArgs, ScheduleArg, SchedulesCommand};
use crate::desk::Desk;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::time::{ago, duration, moment};
use crate::render::{Row, Tone, pairs, table};

/// Does what is asked with a schedule, or lists them.
pub(crate) async fn schedules(
    desk: &Desk,
    runtime: &dyn Runtime,
    command: Option<&SchedulesCommand>,
) -> Result<Exit, CliError> {
    match command {
        None => list(desk, runtime, None).await,
        Some(SchedulesCommand::List { agent }) => list(desk, runtime, agent.as_ref()).await,
        Some(SchedulesCommand::Show(arg)) => show(desk, runtime, arg).await,
        Some(SchedulesCommand::Add(args)) => add(desk, runtime, args).await,
        Some(SchedulesCommand::Pause(arg)) => pause(desk, runtime, arg, true).await,
        Some(SchedulesCommand::Resume(arg)) => pause(desk, runtime, arg, false).await,
        Some(SchedulesCommand::Rm(arg)) => remove(desk, runtime, arg).await,
    }
}

async fn list(desk: &Desk, runtime: &dyn Runtime, agent: Option<&AgentRef>) -> Result<Exit, CliError> {
    let agent = match agent {
        Some(agent) => Some(runtime.agent(agent).await?.id),
        None => None,
    };
    let mut filter = ScheduleFilter { agent, after: None, limit: 0 };
    let mut schedules: Vec<ScheduleView> = Vec::new();
    loop {
        let page = runtime.schedules(filter.clone()).await?;
        schedules.extend(page.items);
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    // Those that fire no more come last.
    let last = UnixMillis(u64::MAX);
    schedules.sort_by(|a, b| {
        let key = |view: &ScheduleView| (view.next.unwrap_or(last), view.agent_name.clone());
        key(a).cmp(&key(b)).then_with(|| a.schedule.name.cmp(&b.schedule.name))
    });
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&schedules)?;
        return Ok(Exit::Done);
    }
    if schedules.is_empty() {
        let note = "there are no schedules; `schedules add AGENT NAME INPUT --every 1h` makes one";
        screen.say(screen.paint_err().dim(note));
        return Ok(Exit::Done);
    }
    let now = desk.now();
    let head = ["AGENT", "SCHEDULE", "FIRES", "NEXT", "IN", "FIRED", "MISSED"];
    let rows = schedules.iter().map(|view| row(view, now)).collect();
    screen.line(table(&head, rows, screen.terminal.width, screen.paint().is_on()))?;
    if let Some(first) = schedules.first() {
        screen.hint(&[format!("schedules show {} {}", first.agent_name, first.schedule.name)]);
    }
    Ok(Exit::Done)
}

fn row(view: &ScheduleView, now: UnixMillis) -> Row {
    let (next, within) = next(view, now);
    vec![
        (view.agent_name.to_string(), Tone::Plain),
        (view.schedule.name.to_string(), Tone::Plain),
        (timing(&view.schedule.timing), Tone::Plain),
        next,
        within,
        (view.fired.to_string(), Tone::Plain),
        (view.missed.to_string(), if view.missed > 0 { Tone::Warn } else { Tone::Plain }),
    ]
}

/// When it fires next, in its time zone, and in how long.
fn next(view: &ScheduleView, now: UnixMillis) -> ((String, Tone), (String, Tone)) {
    let none = (String::new(), Tone::Dim);
    match view.next {
        _ if view.paused => (("paused".to_owned(), Tone::Warn), none),
        None => (("done".to_owned(), Tone::Dim), none),
        Some(next) => {
            let at = view.next_local.clone().unwrap_or_else(|| moment(next));
            let within = match &view.held {
                Some(_) => ("held up".to_owned(), Tone::Warn),
                None if next <= now => ("now".to_owned(), Tone::Good),
                None => (duration(next.since(now)), Tone::Dim),
            };
            ((at, Tone::Plain), within)
        }
    }
}

/// When a schedule fires, in words.
fn timing(timing: &Timing) -> String {
    match timing {
        Timing::Cron { line, zone } => format!("{line} ({zone})"),
        Timing::Every { ms, .. } => format!("every {}", exactly(*ms)),
        Timing::Once { at } => format!("once, {}", moment(*at)),
    }
}

/// A time in the largest unit in which it is whole.
fn exactly(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    let whole = units.iter().find(|(_, of)| ms.is_multiple_of(*of));
    whole.map_or_else(|| format!("{ms} ms"), |(unit, of)| format!("{} {unit}", ms / of))
}

async fn show(desk: &Desk, runtime: &dyn Runtime, arg: &ScheduleArg) -> Result<Exit, CliError> {
    let view = runtime.schedule(&arg.agent, &arg.name).await?;
    let screen = &desk.screen;
    if screen.lists_as_json() {
        screen.json(&view)?;
        return Ok(Exit::Done);
    }
    let now = desk.now();
    let by = match view.by {
        ScheduledBy::Hand => "by hand",
        ScheduledBy::FleetFile => "by the fleet file",
    };
    let missed = match view.schedule.missed {
        Missed::Skip => "left out",
        Missed::Once => "made up for by one run",
        Missed::All => "made up for, each by a run of its own",
    };
    let ((next, _), (within, _)) = next(&view, now);
    let mut rows = vec![
        ("schedule", format!("{} of {}", view.schedule.name, view.agent_name)),
        ("fires", timing(&view.schedule.timing)),
        ("next", if within.is_empty() { next } else { format!("{next} ({within})") }),
        ("input", view.schedule.run.input.to_string()),
        ("session", view.schedule.run.session.to_string()),
        ("declared", format!("{by}, {}", moment(view.declared_at))),
        ("what it misses", missed.to_owned()),
        ("fired", view.fired.to_string()),
        ("missed", view.missed.to_string()),
    ];
    if let Some(held) = &view.held {
        rows.push(("held up", format!("since {}: {}", moment(held.since), held.reason)));
    }
    for fire in &view.last {
        rows.push(("run", format!("{}  {}", fire.run, ago(now, fire.at))));
    }
    screen.line(pairs(rows, screen.terminal.width, screen.paint()))?;
    if let Some(fire) = view.last.first() {
        screen.hint(&[format!("log {}", fire.run)]);
    }
    Ok(Exit::Done)
}

async fn add(desk: &Desk, runtime: &dyn Runtime, args: &AddArgs) -> Result<Exit, CliError> {
    let input = crate::input::text(&args.input)?;
    let request = RunRequest::new(input).in_session(args.session.clone()).with_priority(args.priority);
    let schedule = Schedule::new(args.name.clone(), args.timing(), request).when_missed(args.missed());
    let view = runtime.put_schedule(&args.agent, schedule, ScheduledBy::Hand).await?;
    say(desk, &view)?;
    if desk.served.is_none() && !desk.screen.json {
        let note = "nobody serves this store now; it fires once somebody does (`serve`)";
        desk.screen.say(desk.screen.paint_err().warn(note));
    }
    Ok(Exit::Done)
}

async fn pause(
    desk: &Desk,
    runtime: &dyn Runtime,
    arg: &ScheduleArg,
    paused: bool,
) -> Result<Exit, CliError> {
    let view = runtime.pause_schedule(&arg.agent, &arg.name, paused).await?;
    say(desk, &view)?;
    Ok(Exit::Done)
}

/// Says how a schedule stands, after it was changed.
fn say(desk: &Desk, view: &ScheduleView) -> Result<(), CliError> {
    if desk.screen.json {
        return desk.screen.json(view);
    }
    let which = format!("{} of {}", view.schedule.name, view.agent_name);
    let now = desk.now();
    let stands = match (view.paused, view.next) {
        (true, _) => "is paused".to_owned(),
        (false, None) => "fires no more".to_owned(),
        (false, Some(next)) => {
            let at = view.next_local.clone().unwrap_or_else(|| moment(next));
            format!("fires next {at}, in {}", duration(next.since(now).max(Duration::from_millis(1))))
        }
    };
    desk.screen.line(format!("{which} {stands}"))
}

async fn remove(desk: &Desk, runtime: &dyn Runtime, arg: &ScheduleArg) -> Result<Exit, CliError> {
    let view = runtime.schedule(&arg.agent, &arg.name).await?;
    runtime.delete_schedule(&arg.agent, &arg.name).await?;
    let screen = &desk.screen;
    if screen.json {
        screen.json(&json!({ "deleted": view.schedule.name }))?;
        return Ok(Exit::Done);
    }
    screen.line(format!("{} of {} is deleted; its runs go on", view.schedule.name, view.agent_name))?;
    if view.by == ScheduledBy::FleetFile {
        let note = "the fleet file declares it: take it out there, or the next `serve` makes it anew";
        screen.say(screen.paint_err().warn(note));
    }
    Ok(Exit::Done)
}
