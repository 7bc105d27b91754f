//! A team that hands each question to the member whose subject it is: a router.
//!
//! ```text
//! cargo run -p examples --example team_router
//! ```

use std::error::Error;

use agent_runtime::prelude::*;
use agent_runtime::teams::Router;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = RuntimeManager::new().await?;
    // Their models need no key. Each says its next sentence when it is asked again in the same conversation.
    let members = [
        ("reception", vec!["Good day! What can we do for you?"]),
        ("gardener", vec!["Water it less.", "Less water, as I said. And put it into the light."]),
        ("baker", vec!["Knead it longer, and let it rest overnight."]),
    ];
    for (name, says) in members {
        let says = says.into_iter().map(|sentence| format!("{name}: {sentence}"));
        let member = LlmAgent::new(name, ScriptedModel::new(name, says)).build()?;
        let member = runtime.register_agent(member).await?;
        runtime.start_agent(&member).await?;
    }
    let desk = Router::new("desk", "reception")?
        .route("gardener", ["plant", "leaves", "flower pot"])?
        .route("baker", ["bread", "dough"])?;
    let desk = runtime.register_agent(desk).await?;
    runtime.start_agent(&desk).await?;

    let questions = [
        ("Hello?", "reception"),
        ("The leaves of my plant are yellow.", "gardener"),
        ("And my dough does not rise!", "baker"),
        ("The leaves are yellow still.", "gardener"),
    ];
    for (question, expected) in questions {
        let answer = runtime.run_agent(&desk, question).await?.output.to_string();
        println!("> {question}\n  {answer}");
        assert!(answer.starts_with(expected), "{expected} knows about that");
        // Who is asked twice remembers: the conversation is the desk's, whoever answers in it.
        assert_eq!(answer.contains("as I said"), question.contains("still"));
    }
    Ok(())
}
