//! A team in which one member works and another one sends the work back until it is good: a supervisor.
//!
//! ```text
//! cargo run -p examples --example team_supervisor
//! ```

use std::error::Error;

use agent_runtime::Turn;
use agent_runtime::model::ChatMessage;
use agent_runtime::prelude::*;
use agent_runtime::teams::Supervisor;

/// The most letters that fit on the sign.
const ROOM: usize = 24;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let drafts = [
        "We kindly ask our esteemed guests not to feed the ducks",
        "Please do not feed the ducks",
        "Do not feed the ducks",
    ];
    // The painter's model says one draft after the other; the inspector's counts. Neither needs a key.
    let painter = LlmAgent::new("painter", ScriptedModel::in_order("painter", drafts)).build()?;
    let inspector = ScriptedModel::by("inspector", |request, _| {
        let Some(ChatMessage::User(told)) = request.messages.last() else { return Turn::default() };
        let sign = told.split("Result:\n").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let remark = match sign.len() {
            long if long > ROOM => format!("{} letters too long", long - ROOM),
            _ => "Approved, that fits".to_owned(),
        };
        println!("{sign:<56} {remark}");
        Turn::from(remark)
    });
    let inspector = LlmAgent::new("inspector", inspector).build()?;

    let runtime = RuntimeManager::new().await?;
    for member in [painter, inspector] {
        let member = runtime.register_agent(member).await?;
        runtime.start_agent(&member).await?;
    }
    let workshop = Supervisor::new("workshop", "painter", "inspector")?.rounds(3)?;
    let workshop = runtime.register_agent(workshop).await?;
    runtime.start_agent(&workshop).await?;

    let result = runtime.run_agent(&workshop, "A sign for the pond: nobody shall feed the ducks").await?;
    let sign = result.output.to_string();
    let edge = "-".repeat(sign.len() + 4);
    println!("\n+{edge}+\n|  {sign}  |\n+{edge}+");
    assert_eq!(sign, drafts[2]);
    Ok(())
}
