//! Quotas are of credentials, from the fleet file to the call.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::fleet::{Faults, Fleet};
use agent_runtime::model::Deltas;
use agent_runtime::prelude::*;
use agent_runtime::resource::{OnLimit, ResourceLimits};
use agent_runtime::runtime::Joined;
use agent_runtime::{
    MemoryStore, Model, ModelError, ModelReply, ModelRequest, Outcome, Retrying, ScriptedModel, Tenant, Turn,
};
use async_trait::async_trait;
use runtime_testkit::fakes::Turnstile;

/// A model whose calls carry a key.
#[derive(Debug)]
struct Keyed {
    model: ScriptedModel,
    key: &'static str,
}

#[async_trait]
impl Model for Keyed {
    fn name(&self) -> &str {
        "openai/gpt-4o"
    }

    fn credential(&self) -> Option<&str> {
        Some(self.key)
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        self.model.reply(request, deltas).await
    }
}

/// An agent that calls with a key, and is refused where it would wait; `first`: what its model does before it answers.
async fn register(runtime: &RuntimeManager, name: &str, key: &'static str, first: Option<Turn>) -> AgentId {
    let turns = first.into_iter().chain((0..9).map(|_| Turn::from("yes").used(4, 6)));
    let model = Retrying::new(Keyed { model: ScriptedModel::in_order(name, turns), key }, 3);
    let agent = LlmAgent::new(name, model).max_tokens(40).build().unwrap();
    let agent = runtime.register_agent(agent).await.unwrap();
    let refuse = ResourceLimits { on_limit: OnLimit::Refuse, ..ResourceLimits::default() };
    runtime.set_limits(&agent.into(), refuse).await.unwrap();
    runtime.start_agent(agent).await.unwrap();
    agent
}

/// Whether a run completes, and otherwise what it says.
async fn asks(runtime: &RuntimeManager, agent: AgentId) -> Result<(), String> {
    let run = runtime.submit(&agent.into(), "question 0".into()).await.unwrap().run;
    match runtime.join(&run, Duration::from_secs(20)).await.unwrap() {
        Joined::Ended(finished) => match finished.outcome {
            Outcome::Completed(_) => Ok(()),
            other => Err(format!("{other:?}")),
        },
        open @ Joined::Open(_) => Err(format!("{open:?}")),
    }
}

async fn governed(text: &str) -> RuntimeManager {
    let resources = Fleet::parse(text).unwrap().resources(&Tenant::default());
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(resources));
    builder.open().await.unwrap().into()
}

#[tokio::test]
async fn two_agents_with_one_model_and_two_keys_have_a_quota_each_and_with_one_key_share_it() {
    let runtime = governed("[quotas]\n\"openai/*\" = { requests_per_minute = 1 }").await;
    let one = register(&runtime, "one", "env:ONE", None).await;
    let also = register(&runtime, "also", "env:ONE", None).await;
    let other = register(&runtime, "other", "env:OTHER", None).await;

    assert_eq!(asks(&runtime, one).await, Ok(()));
    let refused = asks(&runtime, also).await.unwrap_err();
    assert!(refused.contains("`max_requests_per_minute` is reached"), "{refused}");
    assert_eq!(asks(&runtime, other).await, Ok(()));
}

#[tokio::test]
async fn a_429_lowers_the_quota_of_the_key_that_was_refused_and_of_no_other() {
    let runtime = governed("[quotas]\n\"openai/*\" = { requests_per_minute = 600 }").await;
    let busy = ModelError::RateLimited {
        model: "openai/gpt-4o".into(),
        // Longer than the model makes calls once more for.
        retry_after: Some(Duration::from_secs(300)),
    };
    let one = register(&runtime, "one", "env:ONE", Some(Turn::default().fails(busy))).await;
    let also = register(&runtime, "also", "env:ONE", None).await;
    let other = register(&runtime, "other", "env:OTHER", None).await;
    asks(&runtime, one).await.unwrap_err();

    let refused = asks(&runtime, also).await.unwrap_err();
    assert!(refused.contains("`max_requests_per_minute` is reached"), "{refused}");
    assert_eq!(asks(&runtime, other).await, Ok(()));
}

#[tokio::test]
async fn a_call_says_which_key_it_carries_also_through_what_repeats_it() {
    let turnstile = Turnstile::default();
    let builder = RuntimeManager::builder(Arc::new(MemoryStore::new())).governor(Arc::new(turnstile.clone()));
    let runtime: RuntimeManager = builder.open().await.unwrap().into();
    let agent = register(&runtime, "one", "env:ONE", None).await;

    assert_eq!(asks(&runtime, agent).await, Ok(()));

    let called = turnstile.asked().remove(0).model.unwrap();
    assert_eq!((called.name.as_str(), called.credential.as_deref()), ("openai/gpt-4o", Some("env:ONE")));
}

const AGENTS: &str = r#"
[agents.a]
kind = "llm"
model = "openai/gpt-4o"
key = "env:CARGO_PKG_NAME"
[agents.b]
kind = "llm"
model = "openai/gpt-4o"
key = "env:CARGO_PKG_VERSION"
[agents.c]
kind = "llm"
model = "scripted/c"
replies = ["yes"]
"#;

fn check(quotas: &str) -> Result<Fleet, Vec<String>> {
    let told = |faults: Faults| faults.iter().map(ToString::to_string).collect();
    Fleet::check(&format!("[quotas]\n{quotas}{AGENTS}"), &agent_runtime::kinds("")).map_err(told)
}

#[cfg(feature = "llm")]
#[test]
fn a_quota_names_credentials_models_or_both() {
    let fleet = check(
        r#"
        "openai/*" = { requests_per_minute = 500 }
        small = { credential = "env:CARGO_PKG_NAME", models = ["openai/o4-mini", "openai/gpt-4o-mini"], requests_per_minute = 5 }
        all = { credential = ["env:CARGO_PKG_NAME", "env:CARGO_PKG_VERSION"], tokens_per_minute = 9 }
        "anthropic/*" = { credential = "env:CARGO_PKG_NAME", requests_per_minute = 7 }
        "#,
    );
    // All of a key's models are behind those of which it is said apart.
    let faults = fleet.unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("`anthropic/* with env:CARGO_PKG_NAME` have a quota already"), "{faults:?}");

    let fleet = check(
        r#"
        "openai/*" = { requests_per_minute = 500 }
        small = { credential = "env:CARGO_PKG_NAME", models = ["openai/o4-mini", "openai/gpt-4o-mini"], requests_per_minute = 5 }
        "anthropic/*" = { credential = "env:CARGO_PKG_NAME", requests_per_minute = 7 }
        all = { credential = ["env:CARGO_PKG_NAME", "env:CARGO_PKG_VERSION"], tokens_per_minute = 9 }
        "#,
    );
    let rules = fleet.unwrap().quotas;
    let of: Vec<_> = rules.iter().map(|rule| (rule.credentials.len(), rule.models.len())).collect();
    assert_eq!(of, [(0, 1), (1, 2), (1, 1), (2, 0)]);
}

#[cfg(feature = "llm")]
#[test]
fn quotas_that_can_be_no_ones_are_faults_with_what_to_write_instead() {
    for (quotas, said) in [
        (
            r#"a = { credential = "env:CARGO_PKG_NAMES", requests_per_minute = 5 }"#,
            "no agent has the key `env:CARGO_PKG_NAMES`; did you mean `env:CARGO_PKG_NAME`?",
        ),
        (
            r#"a = { credential = "CARGO_PKG_NAME", requests_per_minute = 5 }"#,
            "`credential` says nowhere where the key is; write it as the agent's `key`",
        ),
        (
            r#"a = { credential = "env:CARGO_PKG_NAME" }"#,
            "the quota of `env:CARGO_PKG_NAME` limits nothing; give it `requests_per_minute`",
        ),
        (r#"a = { credential = [], requests_per_minute = 5 }"#, "`credential` is an array; write it as"),
        (r#"a = { models = 5, requests_per_minute = 5 }"#, "`models` is an integer; write a model's name"),
        (
            r#"a = { credentials = "env:X", requests_per_minute = 5 }"#,
            "a quota has no setting `credentials`; did you mean `credential`?",
        ),
        (r#"a = { models = "gpt-4o", requests_per_minute = 5 }"#, "`gpt-4o` is no name of a model"),
        (
            "a = { credential = \"env:CARGO_PKG_NAME\", requests_per_minute = 5 }\nb = { credential = \"env:CARGO_PKG_NAME\", tokens_per_minute = 5 }",
            "calls of `* with env:CARGO_PKG_NAME` have a quota already, before this one; write the narrower one first",
        ),
    ] {
        let faults = check(quotas).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(said), "{faults:?}");
    }
    // What may be the key itself is not repeated.
    let secret = check(r#"a = { credential = "sk-secret", requests_per_minute = 5 }"#).unwrap_err();
    assert!(!secret.concat().contains("sk-secret"), "{secret:?}");
}

#[test]
fn a_key_in_a_file_is_taken_from_the_folder_of_the_fleet_file_as_that_of_an_agent_is() {
    let text = "[quotas]\na = { credential = [\"file:keys/a\", \"env:A\"], requests_per_minute = 5 }";
    let fleet = Fleet::parse(text).unwrap().placed("/srv/fleet");
    assert_eq!(fleet.quotas[0].credentials, ["file:/srv/fleet/keys/a", "env:A"]);
}
