//! `POST /run`: the route that people use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use runtime_traits::log::{Phase, WaitView};
use runtime_traits::runtime::{Finished, Joined, RunResult};
use runtime_traits::store::Seq;
use runtime_traits::{
    AgentRef, Content, Media, Outcome, RunId, RunRequest, RunView, RuntimeError, SessionName, Usage,
};
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::extract::{Sent, idempotency_key, last_event_id, wants_events};
use crate::face::{Face, events, runs};
use crate::fault::Fault;
use crate::problem::Problem;

/// What a person asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    input: Input,
    #[serde(default)]
    session: Option<String>,
    #[serde(default)]
    agent: Option<String>,
    #[serde(default)]
    priority: u8,
}

/// Text as a string, or content as everywhere else.
#[derive(Debug)]
struct Input(Content);

/// What a person is answered.
#[derive(Debug, Serialize)]
struct Answer {
    run_id: RunId,
    session: SessionName,
    output: Output,
    usage: Usage,
}

/// What a person is told of a run that is not over.
#[derive(Debug, Serialize)]
struct Pending {
    run_id: RunId,
    session: SessionName,
    status: Phase,
    waits: Vec<WaitView>,
}

/// Text as a string, JSON as itself, all else as content everywhere.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Output {
    Text(String),
    Json(Box<RawValue>),
    Other(Content),
}

pub(super) async fn ask(
    State(face): State<Arc<Face>>,
    headers: HeaderMap,
    Sent(question): Sent<Question>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let seen = last_event_id(&headers)?;
    let (agent, mut request) = read(&face, question)?;
    if !wants_events(&headers) {
        request.idempotency_key = key;
        return answer(&face, &agent, request).await;
    }
    if seen.is_some() && key.is_none() {
        return Err(Fault::NothingToResume.into());
    }
    request.idempotency_key = key;
    let submitted = face.runtime.submit(&agent, request).await?;
    let from = seen.map_or(Seq(1), runs::after);
    let stream = face.runtime.stream(&submitted.run, from).await?;
    let location = runs::location(&submitted.run);
    Ok(([location], events::events(&face, stream)).into_response())
}

fn read(face: &Face, question: Question) -> Result<(AgentRef, RunRequest), Problem> {
    let agent = match question.agent {
        Some(agent) => agent.parse().map_err(RuntimeError::Name)?,
        None => face.default_agent.clone().ok_or(Fault::NoAgent)?,
    };
    let mut request = RunRequest::new(question.input.0).with_priority(question.priority);
    if let Some(session) = question.session {
        request.session = SessionName::new(session).map_err(RuntimeError::Name)?;
    }
    Ok((agent, request))
}

async fn answer(face: &Face, agent: &AgentRef, request: RunRequest) -> Result<Response, Problem> {
    let submitted = face.runtime.submit(agent, request).await?;
    match outcome(face, submitted.run).await? {
        Joined::Open(view) => Ok(pending(*view)),
        Joined::Ended(finished) => Ok(Json(Answer::of(finished.into_result()?)).into_response()),
    }
}

/// Waits for a run and for those that it goes on as, at most for the wait limit in all.
async fn outcome(face: &Face, mut run: RunId) -> Result<Joined, RuntimeError> {
    let mut limit = std::pin::pin!(sleep(face.wait_limit));
    loop {
        let joined = tokio::select! {
            joined = face.join(&run, face.wait_limit) => joined?,
            () = &mut limit => face.runtime.join(&run, Duration::ZERO).await?,
        };
        match &joined {
            Joined::Ended(Finished { outcome: Outcome::Continued(next), .. }) if !limit.is_elapsed() => {
                run = *next
            }
            _ => return Ok(joined),
        }
    }
}

fn pending(view: RunView) -> Response {
    let location = runs::location(&view.run);
    let pending = Pending { run_id: view.run, session: view.session, status: view.phase, waits: view.waits };
    (StatusCode::ACCEPTED, [location], Json(pending)).into_response()
}

impl Answer {
    fn of(result: RunResult) -> Self {
        Self {
            run_id: result.run,
            session: result.session,
            output: Output::of(result.output),
            usage: result.usage,
        }
    }
}

impl Output {
    fn of(content: Content) -> Self {
        let text = std::str::from_utf8(&content.bytes).ok();
        let readable = match (content.media, text) {
            (Media::Text, Some(text)) => Some(Self::Text(text.to_owned())),
            (Media::Json, Some(text)) => RawValue::from_string(text.to_owned()).ok().map(Self::Json),
            _ => None,
        };
        readable.unwrap_or(Self::Other(content))
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, {\"text\": …} or {\"json\": …}")
    }

    fn visit_str<E>(self, text: &str) -> Result<Input, E> {
        Ok(Input(Content::text(text)))
    }

    fn visit_string<E>(self, text: String) -> Result<Input, E> {
        Ok(Input(Content::text(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Input, A::Error> {
        Content::deserialize(MapAccessDeserializer::new(map)).map(Input)
    }
}
