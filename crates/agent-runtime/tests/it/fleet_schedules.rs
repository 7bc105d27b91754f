//! `[agents.NAME.schedules.NAME]` of the fleet file: what is read, what is said of what cannot be, and what applying it does.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::fleet::Fleet;
use agent_runtime::prelude::*;
use agent_runtime::schedule::{Missed, Schedule, ScheduleFilter, ScheduleView, ScheduledBy, Timing};
use runtime_testkit::agents::{Gates, kinds};
use runtime_testkit::fakes::MapStore;

fn fleet(schedules: &str) -> String {
    format!("[agents.echo]\nkind = \"echo\"\n{schedules}")
}

const MORNING: &str = r#"
    [agents.echo.schedules.morning]
    cron = "0 9 * * mon-fri"
    zone = "Europe/Berlin"
    input = "Write the report."
"#;
const PULSE: &str = r#"
    [agents.echo.schedules.pulse]
    every = "10m"
    missed = "skip"
    input = "Is all well?"
    session = "pulse"
    priority = 7
"#;

fn told(schedules: &str) -> Vec<String> {
    let faults = Fleet::parse(&fleet(schedules)).expect_err("something is wrong");
    faults.iter().map(|fault| format!("{}; {}", fault.what, fault.remedy)).collect()
}

#[test]
fn schedules_are_read_in_the_order_of_their_names() {
    let read = Fleet::parse(&fleet(&[PULSE, MORNING].concat())).unwrap();

    let timing = Timing::cron("0 9 * * mon-fri").in_zone("Europe/Berlin");
    let morning = Schedule::new(Name::new("morning").unwrap(), timing, "Write the report.");
    let request = RunRequest::new("Is all well?").in_session(SessionName::new("pulse").unwrap());
    let timing = Timing::every(Duration::from_secs(600));
    let pulse = Schedule::new(Name::new("pulse").unwrap(), timing, request.with_priority(7));
    assert_eq!(read.agents[0].schedules, [morning, pulse.when_missed(Missed::Skip)]);
}

#[test]
fn what_is_wrong_with_a_schedule_is_told_with_the_remedy() {
    for (schedule, said) in [
        (
            "cron = \"0 0 30 2 *\"\ninput = \"x\"",
            "`0 0 30 2 *` never fires: no month of those that it names has such a day; change its day or its month",
        ),
        (
            "cron = \"@daily\"\nzone = \"Mars\"\ninput = \"x\"",
            "there is no time zone `Mars`; give its IANA name, as in `Europe/Berlin` or `UTC`",
        ),
        ("every = \"0s\"\ninput = \"x\"", "an interval of `0` ms is too short; give at least 1000 ms"),
        ("every = \"often\"\ninput = \"x\"", "`every` is no time: `often`"),
        (
            "every = \"1h\"",
            "schedule `s` has no input; add input = \"…\": what the agent shall work on, each time",
        ),
        (
            "input = \"x\"",
            "schedule `s` does not say when it fires; write cron = \"30 9 * * mon-fri\" or every = \"10m\"",
        ),
        (
            "every = \"1h\"\ncron = \"@daily\"\ninput = \"x\"",
            "a schedule fires by `cron` or `every`, not by both; take one of them out",
        ),
        ("every = \"1h\"\nzone = \"UTC\"\ninput = \"x\"", "`zone` is of `cron` alone; take it out"),
        (
            "at = \"2026-11-30T08:00:00Z\"\ninput = \"x\"",
            "one moment is nothing that lasts, as what a file declares does; add it with `agent-runtime schedules add … --at MOMENT`",
        ),
        (
            "every = \"1h\"\nmissed = \"twice\"\ninput = \"x\"",
            "there is no rule `twice` for what is missed; ",
        ),
        (
            "every = \"1h\"\ninput = \"x\"\npriority = 300",
            "`priority` is an integer; write a whole number from 0 to 255",
        ),
        ("every = \"1h\"\ninput = \"x\"\ncorn = 1", "a schedule has no setting `corn`; did you mean `cron`?"),
    ] {
        let told = told(&format!("[agents.echo.schedules.s]\n{schedule}"));
        assert_eq!(told.len(), 1, "{schedule}: {told:?}");
        assert!(told[0].starts_with(said), "{schedule}: {}", told[0]);
    }
    let told = told("[agents.echo.schedules.\"a b\"]\nevery = \"1h\"\ninput = \"x\"");
    assert!(told[0].starts_with("`a b` is no name of a schedule; "), "{told:?}");
}

async fn schedules(runtime: &RuntimeManager) -> Vec<ScheduleView> {
    runtime.schedules(ScheduleFilter::default()).await.unwrap().items
}

fn names(schedules: &[ScheduleView]) -> Vec<&str> {
    schedules.iter().map(|view| view.schedule.name.as_str()).collect()
}

#[tokio::test]
async fn what_the_file_declares_is_there_and_what_it_no_longer_declares_goes_but_not_what_a_hand_added() {
    let builder = RuntimeManager::builder(Arc::new(MapStore::new()));
    let builder = kinds(&Gates::new()).into_iter().fold(builder, |builder, kind| builder.kind(kind));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let both = Fleet::parse(&fleet(&[MORNING, PULSE].concat())).unwrap();
    both.apply(runtime.as_runtime()).await.unwrap();
    let agent: AgentRef = "echo".parse().unwrap();
    let mine = Schedule::new(Name::new("mine").unwrap(), Timing::every(Duration::from_secs(60)), "x");
    runtime.put_schedule(&agent, mine, ScheduledBy::Hand).await.unwrap();
    runtime.pause_schedule(&agent, &Name::new("morning").unwrap(), true).await.unwrap();
    let before = schedules(&runtime).await;
    assert_eq!(names(&before), ["mine", "morning", "pulse"]);

    both.apply(runtime.as_runtime()).await.unwrap();
    assert_eq!(schedules(&runtime).await, before, "what is as the file says stays, its pause included");

    // A command without a server undoes nothing.
    let morning = Fleet::parse(&fleet(&MORNING.replace("0 9", "30 8"))).unwrap();
    morning.attach(runtime.as_runtime()).await.unwrap();
    assert_eq!(schedules(&runtime).await, before);

    morning.apply(runtime.as_runtime()).await.unwrap();
    let after = schedules(&runtime).await;
    assert_eq!(names(&after), ["mine", "morning"]);
    assert_eq!(after[0], before[0]);
    assert_eq!((after[1].by, after[1].paused), (ScheduledBy::FleetFile, true));
    assert_ne!(after[1].schedule, before[1].schedule, "it is declared otherwise");
}
