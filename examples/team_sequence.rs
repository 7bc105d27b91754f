//! A team whose members work one after the other, each on what the one before has made: a sequence.
//!
//! ```text
//! cargo run -p examples --example team_sequence
//! ```

use std::error::Error;

use agent_runtime::Turn;
use agent_runtime::model::ChatMessage;
use agent_runtime::prelude::*;
use agent_runtime::runtime::RunFilter;
use agent_runtime::teams::Sequence;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let reporter = worker("reporter", |notes| {
        notes.split("; ").map(|note| format!("The {note}.")).collect::<Vec<_>>().join(" ")
    })?;
    // Nobody reads more than the end.
    let editor = worker("editor", |story| story.rsplit(". ").next().unwrap_or_default().to_owned())?;
    let printer = worker("printer", |line| format!("*** {} ***", line.trim_end_matches('.').to_uppercase()))?;
    let newsroom = Sequence::new("newsroom", ["reporter", "editor", "printer"])?;

    let runtime = RuntimeManager::new().await?;
    for member in [reporter, editor, printer] {
        let member = runtime.register_agent(member).await?;
        runtime.start_agent(&member).await?;
    }
    let newsroom = runtime.register_agent(newsroom).await?;
    runtime.start_agent(&newsroom).await?;

    let notes = "cat sat in a tree; fire brigade came; cat climbed down by itself";
    println!("{:>8}: {notes}", "notes");
    let result = runtime.run_agent(&newsroom, notes).await?;
    assert_eq!(result.output.to_string(), "*** THE CAT CLIMBED DOWN BY ITSELF ***");

    // Each member worked in a run of its own, so that a crash loses nothing of what was done before it.
    let runs = runtime.runs(RunFilter::default()).await?.items;
    println!("\n{} runs: the team's, and one of each member", runs.len());
    assert_eq!(runs.len(), 4);
    Ok(())
}

/// An agent whose model says what `makes` makes of what it is told; `GenaiModel::named("openai/gpt-4o").build()?` thinks.
fn worker(name: &'static str, makes: fn(&str) -> String) -> Result<LlmAgent, Box<dyn Error>> {
    let model = ScriptedModel::by(name, move |request, _| {
        let Some(ChatMessage::User(told)) = request.messages.last() else { return Turn::default() };
        let made = makes(told);
        println!("{name:>8}: {made}");
        Turn::from(made)
    });
    Ok(LlmAgent::new(name, model).build()?)
}
