//! A team whose members work on the same question side by side: parallel.
//!
//! ```text
//! cargo run -p examples --example team_parallel
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use agent_runtime::prelude::*;
use agent_runtime::teams::Parallel;
use tokio::sync::Barrier;

type Taste = fn(&str) -> bool;

/// A member of a jury. It shows its verdict when all the others are ready to show theirs, so that nobody is swayed; one
/// after the other they would wait for ever.
#[derive(Debug)]
struct Juror {
    name: &'static str,
    likes: Taste,
    ready: Arc<Barrier>,
}

#[async_trait]
impl Agent for Juror {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("juror", self.name).expect("both are names")
    }

    async fn run(&self, _ctx: Ctx, title: Content) -> Result<Content, AgentError> {
        let likes = (self.likes)(title.as_text()?);
        println!("{:>8} has made up their mind", self.name);
        self.ready.wait().await;
        Ok(Content::text(if likes { "yes" } else { "no" }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let runtime = RuntimeManager::new().await?;
    let ready = Arc::new(Barrier::new(3));
    let tastes: [(&str, Taste); 3] = [
        ("poet", |title| title.contains("moon")),
        ("printer", |title| title.len() < 30),
        ("realist", |title| !title.contains("unicorn")),
    ];
    for (name, likes) in tastes {
        let juror = runtime.register_agent(Juror { name, likes, ready: Arc::clone(&ready) }).await?;
        runtime.start_agent(&juror).await?;
    }
    let jury = runtime.register_agent(Parallel::new("jury", tastes.map(|(name, _)| name))?).await?;
    runtime.start_agent(&jury).await?;
    let result = runtime.run_agent(&jury, "The unicorn on the moon").await?;
    let verdicts: BTreeMap<String, String> = result.output.parse()?;
    println!("\n{verdicts:?}");
    assert_eq!(verdicts.into_values().collect::<Vec<_>>(), ["yes", "yes", "no"]);
    Ok(())
}
