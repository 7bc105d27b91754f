//! Tools: from functions, with schemas, and refused where no provider takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use runtime_agents::tools::{
    Approval, Calculator, FnTool, Json, SchemaFault, ToolOutput, WithApproval, schema_of,
};
use runtime_agents::{LlmAgent, LlmAgentError, ScriptedModel};
use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, Reconciled, StepCall, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// A tool that can be asked what became of a call.
#[derive(Debug)]
pub(crate) struct Sender {
    inner: FnTool,
    knows: &'static str,
    called: Arc<AtomicU32>,
}

impl Sender {
    pub(crate) fn new(knows: &'static str) -> Self {
        Self::counting(knows, Arc::default())
    }

    pub(crate) fn counting(knows: &'static str, called: Arc<AtomicU32>) -> Self {
        let inner = FnTool::new("send", "Sends.", |(): ()| async { Ok("sent") });
        Self { inner, knows, called }
    }

    pub(crate) fn called(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.called)
    }
}

#[async_trait::async_trait]
impl Tool for Sender {
    fn spec(&self) -> &ToolSpec {
        self.inner.spec()
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        self.called.fetch_add(1, Ordering::SeqCst);
        self.inner.call(call, arguments).await
    }

    async fn reconcile(&self, _: &StepCall, _: &str) -> Result<Reconciled<String>, AgentError> {
        match self.knows {
            "done" => Ok(Reconciled::Done("as it was".to_owned())),
            "not done" => Ok(Reconciled::NotDone),
            "unknown" => Ok(Reconciled::Unknown),
            "fails" => Err(AgentError::says("nobody there")),
            _ => panic!("it knows nothing"),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// As people call it.
    city: String,
    #[serde(default)]
    days: Option<u8>,
    near: Vec<Near>,
}

#[derive(Deserialize, JsonSchema)]
struct Near {
    km: f64,
}

fn schema(tool: &dyn Tool) -> Value {
    serde_json::from_str(tool.spec().parameters.get()).unwrap()
}

async fn say(tool: &dyn Tool, arguments: &str) -> Result<String, String> {
    tool.call(&StepCall::detached("a"), arguments).await.map_err(|error| error.message().to_owned())
}

#[test]
fn the_schema_is_that_of_the_type_in_the_form_that_providers_take() {
    let tool = FnTool::new("weather", "Tells it.", |place: Place| async move {
        Ok(format!("{} {:?} {}", place.city, place.days, place.near.iter().map(|n| n.km).sum::<f64>()))
    });
    let schema = schema(&tool);
    assert_eq!(schema["type"], "object");
    assert_eq!(schema["properties"]["city"], json!({"type": "string", "description": "As people call it."}));
    assert_eq!(schema["properties"]["near"]["items"]["properties"]["km"]["type"], "number");
    assert_eq!(schema["required"], json!(["city", "near"]));
    for absent in ["$schema", "title", "$defs"] {
        assert_eq!(schema.get(absent), None, "{absent}");
    }
    let text = schema.to_string();
    assert!(!text.contains("$ref") && !text.contains("uint8") && !text.contains("double"), "{text}");
    // Without arguments, an object all the same.
    let bare = FnTool::new("now", "Tells it.", |(): ()| async { Ok(7_u32) });
    assert_eq!(self::schema(&bare), json!({"type": "object", "properties": {}}));
}

#[test]
fn a_format_that_says_something_stays() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct When {
        #[schemars(extend("format" = "date-time"))]
        at: String,
        count: u64,
    }
    let schema = schema_of::<When>();
    assert_eq!(schema["properties"]["at"]["format"], "date-time");
    assert_eq!(schema["properties"]["count"].get("format"), None);
}

#[tokio::test]
async fn functions_take_nothing_or_something_and_give_texts_numbers_and_json() {
    let nothing = FnTool::new("n", "", |(): ()| async { Ok(Json([1, 2])) });
    assert_eq!(say(&nothing, "{}").await.unwrap(), "[1,2]");
    assert!(say(&nothing, r#"{"a": 1}"#).await.unwrap_err().contains("the arguments do not fit"));
    let fails = FnTool::new("n", "", |(): ()| async { Err::<(), _>(AgentError::says("closed on Sundays")) });
    assert_eq!(say(&fails, "{}").await.unwrap_err(), "closed on Sundays");
    assert_eq!(true.into_text().unwrap(), "true");
    assert_eq!(().into_text().unwrap(), "done");
    assert_eq!(json!({"a": [1]}).into_text().unwrap(), r#"{"a":[1]}"#);
    assert_eq!((2.5, "x", "y".to_owned(), 3_i64).0.into_text().unwrap(), "2.5");
    let by_hand = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let raw = FnTool::with_schema("raw", "", by_hand, |value: Value| async move { Ok(value["a"].clone()) });
    assert_eq!(say(&raw, r#"{"a": 5}"#).await.unwrap(), "5");
}

#[test]
fn what_a_tool_declares_is_what_it_says() {
    let tool = FnTool::new("n", "", |(): ()| async { Ok(()) });
    assert_eq!((Tool::effect(&tool), Tool::within(&tool)), (Effect::AtMostOnce, Duration::from_secs(60)));
    assert!(!Tool::needs_approval(&tool, "{}"));
    let tool =
        tool.effect(Effect::Repeatable).within(Duration::from_secs(2)).needs_approval(Approval::Always);
    assert_eq!((Tool::effect(&tool), Tool::within(&tool)), (Effect::Repeatable, Duration::from_secs(2)));
    assert!(Tool::needs_approval(&tool, "{}"));
    // Somebody else's opinion replaces it, and nothing else.
    let tool = WithApproval::new(tool, Approval::Never);
    assert!(!Tool::needs_approval(&tool, "{}"));
    assert_eq!((tool.effect(), tool.within()), (Effect::Repeatable, Duration::from_secs(2)));
}

fn refused(tools: Vec<Arc<dyn Tool>>) -> LlmAgentError {
    let model = ScriptedModel::new("test", ["never"]);
    LlmAgent::new("assistant", model).tools(tools).build().unwrap_err()
}

#[test]
fn tools_that_no_provider_takes_are_refused() {
    let named = |name: &str| -> Arc<dyn Tool> { Arc::new(FnTool::new(name, "", |(): ()| async { Ok(()) })) };
    let long = "x".repeat(61);
    for name in ["", "1st", "my tool", "höhe", "_a", &long] {
        let error = refused(vec![named(name)]);
        assert!(matches!(&error, LlmAgentError::Tool { fault: SchemaFault::Name(_), .. }), "{error}");
    }
    assert!(LlmAgent::new("a", ScriptedModel::new("t", ["x"])).tool(named(&long[..60])).build().is_ok());
    let error = refused(vec![named("look"), named("Look")]);
    assert_eq!(error, LlmAgentError::TwoTools { tool: "Look".into() });
    assert!(error.to_string().contains("setting `tools`: there are two tools `Look`"));

    let schemed = |schema: Value| -> Arc<dyn Tool> {
        Arc::new(FnTool::with_schema("raw", "", schema, |_: Value| async { Ok(()) }))
    };
    for schema in [json!({"type": "string"}), json!([]), json!({"oneOf": [{"type": "object"}]}), json!(false)]
    {
        let error = refused(vec![schemed(schema.clone())]);
        assert!(
            matches!(&error, LlmAgentError::Tool { fault: SchemaFault::NoObject, .. }),
            "{schema}: {error}"
        );
    }
    for schema in [
        json!({"type": "object", "properties": {"a": {"type": "strin"}}}),
        json!({"type": "object", "required": "a"}),
        json!({"type": "object", "properties": {"a": {"pattern": "("}}}),
        json!({"type": "object", "properties": {"a": {"$ref": "https://example.invalid/schema.json"}}}),
    ] {
        let error = refused(vec![schemed(schema.clone())]);
        assert!(
            matches!(&error, LlmAgentError::Tool { fault: SchemaFault::Invalid(_), .. }),
            "{schema}: {error}"
        );
    }
}

#[test]
fn agents_that_cannot_work_are_refused_with_the_setting() {
    let begin = |name: &str| LlmAgent::new(name, ScriptedModel::new("t", ["x"]));
    for (builder, part) in [
        (begin("not a name"), "no name of an agent"),
        (begin("a").calls("no name", ""), "no name of an agent"),
        (begin("a").hand_off_to("A"), "`hand_off_to` names the agent `A` itself"),
        (begin("a").max_steps(0), "setting `max_steps` is 0; use 1 to 1000"),
        (begin("a").max_tokens(0), "setting `max_tokens` is 0"),
        (begin("a").window(10_001), "setting `window` is 10001"),
        (begin("a").temperature(f64::NAN), "setting `temperature` is NaN"),
        (begin("a").output_schema(json!({"type": 7})), "setting `output_schema` is of no use"),
        (begin("a").output_schema(json!("text")), "setting `output_schema` is of no use"),
        (begin("a").calls("person", "").asks_people(), "two tools `ask_person`"),
        (begin("a").tool(Calculator::new()).tool(Calculator::new()), "two tools `calculator`"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(part), "{error} lacks {part}");
    }
    assert!(begin("a").calls("a", "itself, anew").build().is_ok());
}

#[cfg(feature = "documents")]
#[tokio::test]
async fn documents_are_searched_by_a_tool_that_is_pure() {
    use runtime_agents::tools::DocumentSearch;

    let folder =
        crate::support::Folder::with(&[("cluster.md", "# Cluster\n\nA lease is a node's liveness.\n")]);
    let search = DocumentSearch::new(folder.path()).named("search_manual").described("Knows it all.");
    assert_eq!((search.spec().name.as_str(), search.effect()), ("search_manual", Effect::Pure));
    assert_eq!(search.spec().description, "Knows it all.");
    let found = say(&search, r#"{"query": "What is a lease?"}"#).await.unwrap();
    assert!(found.contains("cluster.md:3") && found.contains("liveness"), "{found}");
    let missing = DocumentSearch::new(folder.at("none"));
    assert!(say(&missing, r#"{"query": "lease"}"#).await.unwrap_err().contains("does not exist"));
}
