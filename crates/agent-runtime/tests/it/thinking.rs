//! Agents with models on a real runtime, over a store on disk and the deaths of its process.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent_runtime::fleet::Fleet;
use agent_runtime::log::{Author, StepKey, WaitOn};
use agent_runtime::prelude::*;
use agent_runtime::runtime::{Joined, Reply, Said, SessionPolicy};
use agent_runtime::tools::{Approval, Calculator};
use agent_runtime::{Digest, RuntimeManager, Turn, kinds, schemars};
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "agent_runtime::schemars")]
struct Payment {
    cents: u32,
}

/// A store on disk, and what was paid in the world outside.
struct Shop {
    folder: TempDir,
    paid: Arc<AtomicU32>,
}

impl Shop {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), paid: Arc::default() }
    }

    async fn open(&self) -> RuntimeManager {
        RuntimeManager::open(&format!("redb:{}", self.folder.path().join("shop.redb").display()))
            .await
            .unwrap()
    }

    /// An agent that pays by its tool, with consent.
    async fn clerk(&self, runtime: &RuntimeManager, turns: impl IntoIterator<Item = Turn>) -> AgentId {
        let paid = Arc::clone(&self.paid);
        let pay = FnTool::new("pay", "Pays.", move |payment: Payment| {
            let paid = Arc::clone(&paid);
            async move {
                paid.fetch_add(payment.cents, Ordering::SeqCst);
                Ok(format!("{} cents were paid", payment.cents))
            }
        })
        .needs_approval(Approval::Always);
        let agent = LlmAgent::new("clerk", ScriptedModel::new("clerk", turns))
            .tool(pay)
            .tool(Calculator::new())
            .asks_people()
            .build()
            .unwrap();
        let agent = runtime.register_agent(agent).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
        agent
    }
}

/// The step for which a run waits for somebody.
async fn asks(runtime: &RuntimeManager, run: &RunId) -> (StepKey, Digest) {
    loop {
        let view = runtime.run_status(run).await.unwrap();
        let people = |on: &WaitOn| matches!(on, WaitOn::Approval(_) | WaitOn::Answer(_));
        if let Some(wait) = view.waits.iter().find(|wait| people(&wait.on)) {
            return (wait.on.step().unwrap().clone(), wait.digest);
        }
        tokio::task::yield_now().await;
    }
}

async fn output(runtime: &RuntimeManager, run: &RunId) -> String {
    match runtime.join(run, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => finished.into_result().unwrap().output.to_string(),
        Joined::Open(view) => panic!("{view:?}"),
    }
}

async fn said(runtime: &RuntimeManager, agent: AgentId) -> Vec<Said> {
    runtime.messages(&agent.into(), &SessionName::default(), None, 100).await.unwrap().items
}

fn pays(cents: u32) -> Turn {
    Turn::default().calls("pay", format!("{{\"cents\": {cents}}}"))
}

#[tokio::test]
async fn a_consent_waits_through_the_death_of_its_process_and_is_used_once() {
    let shop = Shop::new();
    let turns = || [pays(42), Turn::from("It was paid.")];
    let runtime = shop.open().await;
    let agent = shop.clerk(&runtime, turns()).await;
    let run = runtime.submit(&agent.into(), "Pay it.".into()).await.unwrap().run;
    let (step, digest) = asks(&runtime, &run).await;
    assert_eq!(shop.paid.load(Ordering::SeqCst), 0);
    runtime.shutdown(Duration::ZERO).await.unwrap();
    drop(runtime);

    let runtime = shop.open().await;
    let agent = shop.clerk(&runtime, turns()).await;
    assert_eq!(asks(&runtime, &run).await, (step.clone(), digest), "it asks for the same");
    runtime.answer(&run, &step, Reply::Approve { digest }).await.unwrap();

    assert_eq!(output(&runtime, &run).await, "It was paid.");
    assert_eq!(shop.paid.load(Ordering::SeqCst), 42);
    assert!(runtime.answer(&run, &step, Reply::Approve { digest }).await.is_err());
    let authors: Vec<Author> = said(&runtime, agent).await.iter().map(|said| said.author).collect();
    assert_eq!(authors, [Author::Caller, Author::Model, Author::Tool, Author::Model, Author::Agent]);
}

#[tokio::test]
async fn what_is_refused_is_told_to_the_model_and_not_done() {
    let shop = Shop::new();
    let runtime = shop.open().await;
    let agent = shop.clerk(&runtime, [pays(42), Turn::from("Then not.")]).await;
    let run = runtime.submit(&agent.into(), "Pay it.".into()).await.unwrap().run;
    let (step, _) = asks(&runtime, &run).await;

    let reason = "too much".to_owned();
    runtime.answer(&run, &step, Reply::Deny { reason }).await.unwrap();

    assert_eq!(output(&runtime, &run).await, "Then not.");
    assert_eq!(shop.paid.load(Ordering::SeqCst), 0);
    let told = said(&runtime, agent).await;
    assert!(
        told.iter().any(|said| said.author == Author::Tool && said.content.to_string().contains("too much"))
    );
}

#[tokio::test]
async fn a_model_asks_a_person_and_the_next_input_is_the_answer() {
    let shop = Shop::new();
    let runtime = shop.open().await;
    let question = Turn::default().calls("ask_person", r#"{"question": "Which size?"}"#);
    let agent = shop.clerk(&runtime, [question, Turn::from("Size L, then.")]).await;
    let run = runtime.submit(&agent.into(), "One shirt.".into()).await.unwrap().run;
    asks(&runtime, &run).await;

    let answer = RunRequest::new("L").when_busy(SessionPolicy::Answer);
    assert_eq!(runtime.submit(&agent.into(), answer).await.unwrap().run, run);

    assert_eq!(output(&runtime, &run).await, "Size L, then.");
}

#[tokio::test]
async fn a_restored_agent_goes_on_with_the_conversation() {
    let shop = Shop::new();
    let runtime = shop.open().await;
    let turns = [
        Turn::default().calls("calculator", r#"{"expression": "6*7"}"#),
        Turn::from("It is 42."),
        Turn::from("As I said: 42."),
    ];
    let agent = shop.clerk(&runtime, turns).await;
    let first = runtime.run_agent(agent, "What is 6 * 7?").await.unwrap();
    assert_eq!(first.output.to_string(), "It is 42.");

    // Save state, stop the agent; later, restore it with its state and continue the conversation.
    let state = runtime.save_state(agent).await.unwrap();
    runtime.stop_agent(agent).await.unwrap();
    let restored = runtime.restore_agent(&state).await.unwrap();
    let second = runtime.run_agent(restored, "Tell me more about that last topic").await.unwrap();

    // The script goes by how often the model has spoken in the conversation that it is sent.
    assert_eq!(second.output.to_string(), "As I said: 42.");
}

#[tokio::test]
async fn agents_of_a_fleet_file_hand_over_to_each_other_and_work_as_teams() {
    let file = r#"
        store = "memory:"
        [agents.desk]
        kind = "llm"
        model = "scripted/desk"
        hand_off_to = "billing"
        replies = [{ calls = [{ tool = "hand_off_to_billing", arguments = { message = "an invoice" } }] }]
        [agents.billing]
        kind = "llm"
        model = "scripted/billing"
        replies = ["It is paid."]
        again = true
        [agents.poet]
        kind = "llm"
        model = "scripted/poet"
        replies = ["Roses."]
        [agents.both]
        kind = "sequence"
        agents = ["poet", "billing"]
    "#;
    let hosted = kinds("");
    let fleet = Fleet::check(file, &hosted).unwrap_or_else(|faults| panic!("{faults:?}"));
    let runtime = RuntimeManager::new().await.unwrap();
    for agent in &fleet.agents {
        let id = runtime.register_spec(agent.spec.clone()).await.unwrap();
        runtime.start_agent(id).await.unwrap();
    }
    let desk: AgentRef = "desk".parse().unwrap();
    assert_eq!(runtime.run_agent(desk, "My invoice?").await.unwrap().output.to_string(), "It is paid.");
    let both: AgentRef = "both".parse().unwrap();
    assert_eq!(runtime.run_agent(both, "Write.").await.unwrap().output.to_string(), "It is paid.");
}
