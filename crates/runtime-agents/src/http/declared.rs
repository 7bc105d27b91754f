//! The tools of the web from declarations.

use std::sync::Arc;

use runtime_traits::{Cause, SpecError, Tool};
use serde_json::Value;

use super::{HttpGet, HttpPost, WebError, WebRules};
use crate::llm_kind::{LlmKind, ToolSettings};

/// Adds the tools `http_get` and `http_post` to a kind. In a declaration each takes `allow`, a list of hosts and networks:
/// hosts restrict what is asked, networks open what is not public; and `ports`, a list of ports that are allowed beside 80
/// and 443. `http_post` also takes `status_url`, where the other side
/// says what became of a request: an address with `{key}` in the place of the idempotency key.
#[must_use]
pub fn with_web_tools(kind: LlmKind) -> LlmKind {
    kind.with_tool("http_get", |settings| {
        let rules = rules(settings)?;
        let get = HttpGet::new(rules).map_err(|error| refused(settings, &error))?;
        Ok(Arc::new(get) as Arc<dyn Tool>)
    })
    .with_tool("http_post", |settings| {
        let rules = rules(settings)?;
        let mut post = HttpPost::new(rules).map_err(|error| refused(settings, &error))?;
        if let Some(url) = settings.text("status_url")? {
            post = post.status_url(&url).map_err(|error| refused(settings, &error))?;
        }
        Ok(Arc::new(post) as Arc<dyn Tool>)
    })
}

fn rules(settings: &mut ToolSettings) -> Result<WebRules, SpecError> {
    let wrong = "`allow` has another type; use a list like [\"api.example.com\", \"10.0.0.0/8\"]";
    let mut rules = WebRules::default();
    match settings.take("allow") {
        None => {}
        Some(Value::Array(allowed)) => {
            for allow in &allowed {
                let allow = allow.as_str().ok_or_else(|| settings.refused(wrong))?;
                rules = rules.allow(allow).map_err(|error| refused(settings, &error))?;
            }
        }
        Some(_) => return Err(settings.refused(wrong)),
    }
    let port =
        |port: &Value| port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let ports = match settings.take("ports") {
        None => Some(Vec::new()),
        Some(Value::Array(ports)) => ports.iter().map(port).collect(),
        Some(_) => None,
    };
    let ports =
        ports.ok_or_else(|| settings.refused("`ports` is no list of ports; use a list like [8080]"))?;
    Ok(ports.into_iter().fold(rules, WebRules::port))
}

fn refused(settings: &ToolSettings, error: &WebError) -> SpecError {
    settings.refused(Cause::of(error).to_string())
}
