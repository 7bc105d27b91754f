//! Agents with models from declarations: each setting makes a difference, each fault names its setting.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_agents::tools::{Approval, FnTool};
use runtime_agents::{LlmKind, ModelSettings, ModelSource, NoModels, ScriptedModel, Turn};
use runtime_traits::{AgentKind, AgentSpec, Model, SpecError};
use serde_json::{Value, json};

use crate::session::{Session, denied};
use crate::support::Folder;

/// Gives a model that was made before, and keeps what it was asked for.
#[derive(Debug, Default)]
struct Source {
    asked: Arc<Mutex<Vec<ModelSettings>>>,
    model: Option<Arc<ScriptedModel>>,
}

impl ModelSource for Source {
    fn model(&self, settings: &ModelSettings) -> Result<Arc<dyn Model>, SpecError> {
        self.asked.lock().unwrap().push(settings.clone());
        Ok(self.model.clone().unwrap_or_else(|| Arc::new(ScriptedModel::new("s", ["hello"]))))
    }
}

fn spec(config: &Value) -> AgentSpec {
    AgentSpec::new("llm", "helper").unwrap().described("Helps.").configured(config).unwrap()
}

fn kind() -> LlmKind {
    LlmKind::new(Source::default()).with_tool("delete", |settings| {
        let what = settings.text("what")?.unwrap_or_else(|| "nothing".to_owned());
        let tool = FnTool::new("delete", what, |(): ()| async { Ok("deleted") });
        Ok(Arc::new(tool.needs_approval(Approval::Always)))
    })
}

fn refused(config: &Value) -> String {
    let error = kind().check(&spec(config)).unwrap_err();
    assert!(matches!(&error, SpecError::Config { agent, .. } if agent == "helper"), "{error:?}");
    error.to_string()
}

fn with(config: Value) -> Value {
    let mut all = json!({"model": "openai/gpt-4o"});
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    all
}

#[test]
fn the_model_is_asked_for_with_what_the_declaration_says() {
    let asked = Arc::default();
    let source = Source { asked: Arc::clone(&asked), model: None };
    let kind = LlmKind::new(source);
    kind.build(&spec(&with(json!({})))).unwrap();
    let full = json!({"key": "env:KEY", "base_url": "http://localhost:1/v1", "first_byte": 2.5, "between_tokens": 3, "whole_reply": 60, "retries": 0});
    let agent = kind.build(&spec(&with(full))).unwrap();
    let asked: Vec<ModelSettings> = asked.lock().unwrap().clone();
    assert_eq!(asked[0], ModelSettings::new("helper".parse().unwrap(), "openai/gpt-4o"));
    let expected = ModelSettings {
        key: Some("env:KEY".into()),
        base_url: Some("http://localhost:1/v1".into()),
        first_byte: Duration::from_millis(2500),
        between_tokens: Duration::from_secs(3),
        whole_reply: Duration::from_secs(60),
        retries: 0,
        ..asked[0].clone()
    };
    assert_eq!(asked[1], expected);
    // It declares what it was declared with, word for word.
    assert!(agent.spec().config.get().contains("env:KEY") && agent.spec().description == "Helps.");
    assert!(!format!("{agent:?}").contains("Retrying"));
    assert!(format!("{:?}", kind.build(&spec(&with(json!({})))).unwrap()).contains("Retrying"));
}

#[tokio::test]
async fn an_agent_is_what_its_declaration_says() {
    let script = [Turn::default().calls("calculator", r#"{"expression": "6*7"}"#), Turn::from("42")];
    let model = Arc::new(ScriptedModel::in_order("s", script).recording());
    let source = Source { model: Some(Arc::clone(&model)), ..Source::default() };
    let agent = LlmKind::new(source).build(&spec(&with(json!({
        "instructions": "Be exact.", "tools": ["calculator"], "max_steps": 2, "max_tokens": 77, "temperature": 0.25,
        "window": 3, "output_schema": {"type": "integer"}, "calls": {"librarian": "Knows the manual."},
        "hand_off_to": ["billing"], "asks_people": true,
    })))).unwrap();
    assert_eq!(agent.remembers(), 3);
    assert_eq!(Session::default().run(agent.as_ref(), "6*7?").await.unwrap(), "42");
    let request = model.requests().remove(0);
    assert_eq!((&*request.system, request.max_tokens, request.temperature), ("Be exact.", 77, Some(0.25)));
    assert_eq!(request.output.unwrap().get(), r#"{"type":"integer"}"#);
    let tools: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(tools, ["calculator", "ask_librarian", "hand_off_to_billing", "ask_person"]);
    assert!(request.tools[1].description.contains("Knows the manual."));
}

#[tokio::test]
async fn a_script_in_the_declaration_needs_no_provider() {
    let config = json!({"model": "scripted/greeter", "replies": ["Hello.", {"text": "Bye."}], "again": true});
    let agent = LlmKind::new(NoModels).build(&spec(&config)).unwrap();
    let session = Session::default();
    for said in ["Hello.", "Bye.", "Hello."] {
        assert_eq!(session.run(agent.as_ref(), "?").await.unwrap(), said);
    }
    let error = LlmKind::new(NoModels).check(&spec(&with(json!({})))).unwrap_err().to_string();
    assert!(error.contains("no provider for `openai/gpt-4o`") && error.contains("feature `llm`"), "{error}");
}

#[tokio::test]
async fn consent_is_asked_for_as_the_declaration_says() {
    let asks = async |config: Value, arguments: &str| {
        let script = [Turn::default().calls("delete", arguments), Turn::from("ok")];
        let model = Arc::new(ScriptedModel::in_order("s", script));
        let source = Source { model: Some(model), ..Source::default() };
        let kind = LlmKind::new(source).with_tool("delete", |_| {
            let schema = json!({"type": "object", "properties": {"files": {"type": "integer"}}});
            let tool = FnTool::with_schema("delete", "", schema, |_: Value| async { Ok("deleted") });
            Ok(Arc::new(tool.needs_approval(Approval::Always)))
        });
        let agent = kind.build(&spec(&with(config))).unwrap();
        let session = Session::default();
        session.answer("turn-1/0.delete", denied("no"));
        session.run(agent.as_ref(), "go").await.unwrap();
        session.step("turn-1/0.delete").ask.approval
    };
    let rule = json!({"required": ["files"], "properties": {"files": {"minimum": 10}}});
    for (config, arguments, asked) in [
        (json!({"tools": ["delete"]}), "{}", true),
        (json!({"tools": ["delete"], "approval": "never"}), "{}", false),
        (json!({"tools": ["delete"], "approval": "always"}), "{}", true),
        (json!({"tools": ["delete"], "approval": ["delete"]}), "{}", true),
        (json!({"tools": [{"tool": "delete", "approval": "never"}], "approval": "always"}), "{}", false),
        (json!({"tools": [{"tool": "delete", "approval": "always"}], "approval": "never"}), "{}", true),
        (json!({"tools": {"delete": {"approval": {"when": rule}}}}), r#"{"files": 10}"#, true),
        (json!({"tools": {"delete": {"approval": {"when": rule}}}}), r#"{"files": 9}"#, false),
        (json!({"tools": {"mine": {"tool": "delete"}}}), "{}", true),
    ] {
        assert_eq!(asks(config.clone(), arguments).await, asked, "{config} {arguments}");
    }
}

#[test]
fn every_fault_names_its_setting_and_a_remedy() {
    for (config, part) in [
        (json!({}), "setting `model` is missing; set `model` to a provider and a model"),
        (json!({"model": "gpt-4o"}), "setting `model` names no provider"),
        (json!({"model": "/x"}), "setting `model` names no provider"),
        (json!({"model": 7}), "setting `model` has another type; use a text"),
        (with(json!({"modell": 1})), "unknown setting `modell`; did you mean `model`?"),
        (with(json!({"zzz": 1})), "unknown setting `zzz`; use one of `model`, `instructions`"),
        (with(json!({"instructions": []})), "setting `instructions` has another type; use a text"),
        (with(json!({"max_steps": "3"})), "setting `max_steps` has another type; use a whole number"),
        (with(json!({"max_steps": 0})), "setting `max_steps` is 0; use 1 to 1000"),
        (with(json!({"max_tokens": -1})), "setting `max_tokens` has another type"),
        (with(json!({"temperature": 3})), "setting `temperature` is 3; use a number from 0 to 2"),
        (with(json!({"window": 1.5})), "setting `window` has another type"),
        (with(json!({"output_schema": {"type": "nothing"}})), "setting `output_schema` is of no use"),
        (with(json!({"key": "sk-secret"})), "use \"env:NAME\" or \"file:PATH\", and never the key itself"),
        (with(json!({"key": "env:"})), "setting `key` says nowhere where the key is"),
        (with(json!({"base_url": "localhost"})), "setting `base_url` is no address of HTTP"),
        (with(json!({"first_byte": 0})), "setting `first_byte` is 0; use seconds"),
        (with(json!({"between_tokens": "1s"})), "setting `between_tokens` has another type"),
        (with(json!({"retries": 21})), "setting `retries` is too much"),
        (with(json!({"replies": ["a"]})), "setting `replies` belongs to models of scripts"),
        (json!({"model": "scripted/a"}), "set `replies` to a list of texts"),
        (json!({"model": "scripted/a", "replies": []}), "set `replies` to a list of texts"),
        (json!({"model": "scripted/a", "replies": [7]}), "setting `replies` has another type"),
        (with(json!({"tools": ["calculatr"]})), "there is no tool `calculatr`; did you mean `calculator`?"),
        (
            with(json!({"tools": [{"name": "calculator"}]})),
            "setting `tools` has another type; use a list like",
        ),
        (with(json!({"tools": "calculator"})), "setting `tools` has another type"),
        (with(json!({"tools": {"calculator": 7}})), "setting `tools` has another type"),
        (with(json!({"tools": ["calculator", "calculator"]})), "there are two tools `calculator`"),
        (
            with(json!({"tools": [{"tool": "calculator", "digits": 3}]})),
            "in `calculator` `digits` is unknown; take it out",
        ),
        (with(json!({"tools": [{"tool": "delete", "what": 7}]})), "in `delete` `what` is no text"),
        (with(json!({"tools": [{"tool": "delete", "approval": "perhaps"}]})), "`approval` has another type"),
        (
            with(json!({"tools": ["documents"]})),
            "in `documents` `documents` is missing; set it to the folder",
        ),
        (with(json!({"approval": "sometimes"})), "setting `approval` has another type"),
        (
            with(json!({"approval": ["delte"], "tools": ["delete"]})),
            "the agent has no tool `delte`; did you mean `delete`?",
        ),
        (
            with(json!({"approval": ["ask_person"], "asks_people": true})),
            "the agent has no tool `ask_person`",
        ),
        (with(json!({"calls": 7})), "setting `calls` has another type"),
        (with(json!({"calls": {"a": 7}})), "setting `calls` has another type"),
        (with(json!({"calls": [7]})), "setting `calls` has another type"),
        (with(json!({"calls": "no name"})), "no name of an agent"),
        (with(json!({"hand_off_to": "helper"})), "setting `hand_off_to` names the agent `helper` itself"),
        (with(json!({"asks_people": "yes"})), "setting `asks_people` has another type; use true or false"),
        (json!([]), "its settings are no table"),
    ] {
        let error = refused(&config);
        assert!(error.contains(part), "{config}: {error} lacks {part}");
        assert!(!error.contains("sk-secret"), "{error}");
    }
}

#[test]
fn the_documents_of_a_tool_have_to_be_there() {
    let folder = Folder::with(&[("a.md", "# A\n\nText.\n")]);
    let config =
        |path: &str| with(json!({"tools": [{"tool": "documents", "documents": path, "name": "manual"}]}));
    let path = folder.path().to_string_lossy().into_owned();
    let agent = kind().build(&spec(&config(&path))).unwrap();
    assert!(format!("{agent:?}").contains("manual"));
    let error = kind().check(&spec(&config(&format!("{path}/none")))).unwrap_err();
    assert!(matches!(&error, SpecError::Needs { .. }), "{error:?}");
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[test]
fn its_name_and_its_tools_are_told() {
    assert_eq!(kind().name().as_str(), "llm");
    let shown = format!("{:?}", kind());
    assert!(
        shown.contains("calculator") && shown.contains("documents") && shown.contains("delete"),
        "{shown}"
    );
}

#[test]
fn a_model_of_the_same_provider_has_key_and_address_of_the_first_one_unless_it_says_otherwise() {
    let asked = Arc::default();
    let kind = LlmKind::new(Source { asked: Arc::clone(&asked), model: None });
    let chain = json!([
        "openai/gpt-4o-mini",
        "anthropic/claude-sonnet-4-5",
        {"model": "openai/other", "key": "env:OTHER", "retries": 0},
    ]);
    let config = with(json!({"key": "env:KEY", "base_url": "http://localhost:1/v1", "fallback": chain}));
    kind.build(&spec(&config)).unwrap();
    let asked: Vec<ModelSettings> = asked.lock().unwrap().clone();
    let seen: Vec<_> = asked
        .iter()
        .map(|asked| (asked.model.as_str(), asked.key.as_deref(), asked.base_url.as_deref(), asked.retries))
        .collect();
    let url = Some("http://localhost:1/v1");
    let expected = [
        ("openai/gpt-4o", Some("env:KEY"), url, 4),
        ("openai/gpt-4o-mini", Some("env:KEY"), url, 4),
        ("anthropic/claude-sonnet-4-5", None, None, 4),
        ("openai/other", Some("env:OTHER"), None, 0),
    ];
    assert_eq!(seen, expected);
}
