//! An agent that is run by the clock. What it is to do is kept in the store: a tick that passes while nobody is here is made
//! up for, once, when somebody opens the store again.
//!
//! ```text
//! cargo run -p examples --example scheduled_agent
//! ```

use std::error::Error;

use agent_runtime::open_store;
use agent_runtime::prelude::*;
use agent_runtime::schedule::{Schedule, ScheduledBy, Timing};

/// Says what it is asked to remind of.
#[derive(Debug)]
struct Reminder;

#[async_trait]
impl Agent for Reminder {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("reminder", "reminder").expect("both are names")
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        Ok(Content::text(format!("{} ms since 1970: {}", ctx.now().0, input.as_text()?)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = RuntimeManager::builder(open_store("memory:").await?).open().await?;
    let agent = AgentRef::from(runtime.register_agent(Reminder).await?);
    runtime.start_agent(agent.clone()).await?;

    // By the calendar of somewhere. It says when it fires next.
    let morning = Timing::cron("0 9 * * mon-fri").in_zone("Europe/Berlin");
    let morning = Schedule::new(Name::new("morning")?, morning, "Read the news.");
    let morning = runtime.put_schedule(&agent, morning, ScheduledBy::Hand).await?;
    println!("morning fires next {}", morning.next_local.unwrap_or_default());

    // And every second.
    let water = Name::new("water")?;
    let schedule = Schedule::new(water.clone(), Timing::every(Duration::from_secs(1)), "Drink water.");
    runtime.put_schedule(&agent, schedule, ScheduledBy::Hand).await?;
    let fired = loop {
        let view = runtime.schedule(&agent, &water).await?;
        if view.fired >= 2 {
            break view.last;
        }
        tokio::task::yield_now().await;
    };
    for fire in fired.iter().rev() {
        if let agent_runtime::runtime::Joined::Ended(ended) = runtime.join(&fire.run, Duration::MAX).await? {
            println!("{}", ended.into_result()?.output);
        }
    }
    runtime.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
