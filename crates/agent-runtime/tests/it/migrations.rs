//! A state outlives the code that wrote it: newer code brings it to its version, older code leaves it alone.

use std::sync::Arc;

use agent_runtime::store::StateStore;
use agent_runtime::{
    Agent, AgentError, AgentSpec, Content, Ctx, HasSchema, MemoryStore, RuntimeError, RuntimeManager, Schema,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize, Deserialize)]
struct First {
    item: String,
}

#[derive(Serialize, Deserialize)]
struct Second {
    items: Vec<String>,
}

/// As [`Second`], by somebody who forgot a migration.
#[derive(Serialize, Deserialize)]
struct Third {
    items: Vec<String>,
}

impl HasSchema for First {
    fn schema() -> Schema {
        Schema::new("cart", 1)
    }
}

impl HasSchema for Second {
    fn schema() -> Schema {
        Schema::new("cart", 2).migrates(1, |old| Ok(json!({ "items": [old["item"]] })))
    }
}

impl HasSchema for Third {
    fn schema() -> Schema {
        Schema::new("cart", 3).migrates(1, Ok)
    }
}

/// Keeps what it is told, as the code of this version does.
#[derive(Debug)]
struct Keeper(u32);

#[async_trait]
impl Agent for Keeper {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("keeper", "keeper").expect("good names")
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let item = input.as_text()?.to_owned();
        let had = match self.0 {
            0 => {
                // Code from before there was a schema, which looks away.
                ctx.set_state(&json!({ "item": item }))?;
                vec![]
            }
            1 => {
                let before = ctx.load_state::<First>()?;
                ctx.keep_state(&First { item })?;
                before.into_iter().map(|before| before.item).collect()
            }
            2 => {
                let before = ctx.load_state::<Second>()?.map_or(vec![], |before| before.items);
                ctx.keep_state(&Second { items: [&before[..], &[item]].concat() })?;
                before
            }
            _ => {
                // It does not even look, and writes.
                ctx.keep_state(&Third { items: vec![item] })?;
                vec![]
            }
        };
        Ok(Content::text(had.join(",")))
    }
}

async fn say(store: &Arc<dyn StateStore>, version: u32, item: &str) -> Result<String, RuntimeError> {
    let runtime = RuntimeManager::builder(Arc::clone(store)).open().await?;
    let agent = runtime.register_agent(Keeper(version)).await?;
    runtime.start_agent(agent).await?;
    let answer = runtime.run_agent(agent, item).await;
    runtime.shutdown(std::time::Duration::ZERO).await?;
    answer.map(|result| result.output.to_string())
}

#[tokio::test]
async fn newer_code_brings_a_state_to_its_version_and_older_code_does_not_overwrite_it() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    assert_eq!(say(&store, 0, "milk").await.unwrap(), "");
    assert_eq!(say(&store, 1, "tea").await.unwrap(), "milk", "what has no schema is of version 1");
    let unasked = say(&store, 0, "lost").await.unwrap_err().to_string();
    assert!(unasked.contains("not overwritten") && unasked.contains("`cart/1`"), "{unasked}");
    assert_eq!(say(&store, 2, "milk").await.unwrap(), "tea");

    let older = say(&store, 1, "lost").await.unwrap_err().to_string();
    assert!(older.contains("`cart` has version 2") && older.contains("up to 1"), "{older}");
    let gap = say(&store, 3, "lost").await.unwrap_err().to_string();
    assert!(gap.contains("not overwritten") && gap.contains(".migrates(2, …)"), "{gap}");

    assert_eq!(say(&store, 2, "salt").await.unwrap(), "tea,milk", "nothing is lost");
}
