//! Agents that talk over the event bus. One asks in a durable topic, the other one is run for each question, and what it
//! finds is published. A question is kept until it is answered, whoever crashes, and is asked once.
//!
//! ```text
//! cargo run -p examples --example talking_agents
//! ```

use std::error::Error;

use agent_runtime::events::{Event, EventBus, Retention};
use agent_runtime::open_store;
use agent_runtime::prelude::*;

/// Asks what it is given.
#[derive(Debug)]
struct Asker(EventBus);

#[async_trait]
impl Agent for Asker {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("asker", "asker").expect("both are names")
    }

    async fn run(&self, ctx: Ctx, question: Content) -> Result<Content, AgentError> {
        let text = question.as_text()?;
        // The event has the id of the step: to publish it once more after a crash is to publish it once.
        ctx.step("ask", Effect::Repeatable, text, |call| async move {
            let event = Event::new("search_request", text)?.once_in(&call, 0);
            self.0.publish(event).await?;
            Ok(())
        })
        .await?;
        Ok(Content::text("asked"))
    }
}

/// Finds what is asked.
#[derive(Debug)]
struct Searcher;

#[async_trait]
impl Agent for Searcher {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("searcher", "searcher").expect("both are names")
    }

    async fn run(&self, _: Ctx, question: Content) -> Result<Content, AgentError> {
        Ok(Content::text(format!("three papers on {}", question.as_text()?)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What is asked is kept; what is found is for whoever listens.
    let builder =
        RuntimeManager::builder(open_store("memory:").await?).keep("search_request", Retention::default())?;
    let runtime: RuntimeManager = builder.open().await?.into();
    let bus = runtime.bus();
    let asker = runtime.register_agent(Asker(bus.clone())).await?;
    let searcher = runtime.register_agent(Searcher).await?;
    runtime.start_agent(&asker).await?;
    runtime.start_agent(&searcher).await?;

    // The searcher is run for each question. The key makes a question that comes twice one run.
    let (publisher, searching) = (bus.clone(), runtime.clone());
    let _searching = bus
        .durable("search_request", "searcher")?
        .handle(move |event| {
            let (bus, runtime) = (publisher.clone(), searching.clone());
            async move {
                let key = IdempotencyKey::new(event.id.to_string())?;
                let question = RunRequest::new(event.json::<String>()?).with_key(key);
                let found = runtime.run_agent(&searcher, question).await?.output;
                let result = found.as_text().unwrap_or_default();
                bus.publish(Event::new("search_result", result)?.caused_by(&event)).await?;
                Ok::<(), Box<dyn Error + Send + Sync>>(())
            }
        })
        .await?;

    let mut results = bus.listen("search_result").await?;
    runtime.run_agent(&asker, "crashes").await?;
    let result = results.next_event().await.ok_or("the bus is gone")?;
    println!("{}", result.json::<String>()?);
    assert_eq!(result.json::<String>()?, "three papers on crashes");
    Ok(())
}
