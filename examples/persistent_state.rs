//! Persistent state: an agent is saved and stopped; what is restored later goes on with the conversation.
//!
//! ```text
//! cargo run -p examples --example persistent_state
//! ```

use std::error::Error;

use agent_runtime::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = format!("redb:{}", folder.path().join("agents.redb").display());

    let runtime = RuntimeManager::open(&store).await?;
    let agent_id = runtime.register_agent(Librarian::new("docs")).await?;
    runtime.start_agent(&agent_id).await?;
    let result = runtime.run_agent(&agent_id, "What survives a crash?").await?;
    println!("{}\n", result.output);

    // Save state.
    let state_id = runtime.save_state(&agent_id).await?;

    // Stop the agent, and let go of the store.
    runtime.stop_agent(&agent_id).await?;
    runtime.shutdown(Duration::from_secs(10)).await?;
    drop(runtime);

    // Later, restore the agent with its state.
    let runtime = RuntimeManager::open(&store).await?;
    let new_agent_id = runtime.restore_agent(&state_id).await?;

    // Continue the conversation.
    let result = runtime.run_agent(&new_agent_id, "Tell me more about that last topic").await?;
    println!("{}", result.output);
    Ok(())
}
