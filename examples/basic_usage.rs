//! Basic usage: an agent is registered, started, run and stopped.
//!
//! ```text
//! cargo run -p examples --example basic_usage
//! ```

use std::error::Error;

use agent_runtime::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Create an agent. This one answers from documents; it needs no key and no network.
    let agent = Librarian::new("docs").named("Assistant")?.described("A helpful assistant");

    // Initialize the runtime manager.
    let runtime = RuntimeManager::new().await?;

    // Register the agent with the runtime.
    let agent_id = runtime.register_agent(agent).await?;

    // Start the agent.
    runtime.start_agent(&agent_id).await?;

    // Run the agent.
    let result = runtime.run_agent(&agent_id, "What survives a crash?").await?;
    println!("{}", result.output);

    // Stop the agent.
    runtime.stop_agent(&agent_id).await?;
    Ok(())
}
