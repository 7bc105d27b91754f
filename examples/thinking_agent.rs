//! An agent that thinks: it has a model and a tool, asks for consent before it acts, and remembers the conversation.
//!
//! The model here says what a script says, so that it needs no key. `GenaiModel::named("openai/gpt-4o").build()?` in its
//! place asks a real one.
//!
//! ```text
//! cargo run -p examples --example thinking_agent
//! ```

use std::error::Error;

use agent_runtime::log::WaitOn;
use agent_runtime::prelude::*;
use agent_runtime::runtime::{Joined, Reply};
use agent_runtime::tools::Approval;
use agent_runtime::{Turn, schemars};
use serde::Deserialize;

/// What the tool takes: the model is told its schema.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "agent_runtime::schemars")]
struct Refund {
    /// The order.
    order: u32,
    /// How much is paid back, in cents.
    cents: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A plain function becomes a tool. What moves money is done at most once, and only with consent.
    let refund = FnTool::new("refund", "Pays a customer back.", |asked: Refund| async move {
        Ok(format!("order {} was paid back {} cents", asked.order, asked.cents))
    })
    .effect(Effect::AtMostOnce)
    .needs_approval(Approval::when(|asked: &Refund| asked.cents > 1_000));

    let model = ScriptedModel::new(
        "clerk",
        [
            Turn::default().calls("refund", r#"{"order": 17, "cents": 4200}"#),
            Turn::from("Order 17 was paid back: 42.00."),
            Turn::from("It was order 17."),
        ],
    );
    let agent = LlmAgent::new("clerk", model).instructions("You serve customers.").tool(refund).build()?;

    let runtime = RuntimeManager::new().await?;
    let agent_id = runtime.register_agent(agent).await?;
    runtime.start_agent(&agent_id).await?;
    let run = runtime.submit(&agent_id.into(), "Pay order 17 back.".into()).await?.run;

    // The run waits until somebody consents to this very call; it would wait through a restart as well.
    let wait = loop {
        let view = runtime.run_status(&run).await?;
        if let Some(wait) = view.waits.into_iter().find(|wait| matches!(wait.on, WaitOn::Approval(_))) {
            break wait;
        }
        tokio::task::yield_now().await;
    };
    println!("consent to: {}", wait.asks.expect("a wait for consent shows the call"));
    let step = wait.on.step().expect("a step waits for consent");
    runtime.answer(&run, step, Reply::Approve { digest: wait.digest }).await?;

    if let Joined::Ended(done) = runtime.join(&run, Duration::from_secs(10)).await? {
        println!("{}", done.into_result()?.output);
    }
    let result = runtime.run_agent(&agent_id, "Which order was that?").await?;
    println!("{}", result.output);
    Ok(())
}
