//! The routes of the bus.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::response::sse::Event as Sent;
use futures_util::StreamExt;
use runtime_traits::bus::{
    BusError, Durable, EventId, Failure, Live, Pattern, Position, Requeue, Requeued, Retry, Start, Topic, Who,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::{Cause, Name, Tenant};

use crate::bus::{Acting, Begin, Items, Reading, Tailed};
use crate::extract::{Asked, CloudEvent, Sent as Body, last_event_id};
use crate::face::{Face, events};
use crate::fault::Fault;
use crate::problem::Problem;
use crate::wire::bus::{
    EVENT, For, GAP, KeptPage, KeptQuery, OPEN, OpenEvent, PublishedAnswer, RequeueBody, SettleBody,
    SettledAnswer, TailQuery, cloud_line,
};

type Shared = State<Arc<Face>>;

/// How many events of a topic are answered at once, at most, and where nobody says.
const PAGE: (u32, u32) = (256, 100);

pub(super) async fn publish(
    State(face): Shared,
    Asked(For { tenant, agent }): Asked<For>,
    CloudEvent(mut event): CloudEvent,
) -> Result<(StatusCode, Json<PublishedAnswer>), Problem> {
    let acting = acting(&face, tenant, agent)?;
    if event.id == EventId::UNSET {
        return Err(BusError::malformed("its `id` is all zeros, and every event has one of its own").into());
    }
    // An event that names no tenant is of whoever publishes it.
    if event.tenant == Tenant::default() {
        event.tenant = acting.tenant.clone();
    }
    if event.time == UnixMillis(0) {
        event.time = face.door()?.clock.now();
    }
    let id = event.id;
    let published = acting.bus.publish(&acting.who, Arc::new(event)).await?;
    let answer = PublishedAnswer { id, position: published.position, reached: published.reached };
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn kept(
    State(face): Shared,
    Asked(asked): Asked<KeptQuery>,
) -> Result<Json<KeptPage>, Problem> {
    let acting = acting(&face, asked.tenant, asked.agent)?;
    let topic: Topic = asked.topic.parse().map_err(BusError::Topic)?;
    let limit = asked.limit.unwrap_or(PAGE.1).clamp(1, PAGE.0);
    let from = match begin(asked.from, asked.since.as_deref())? {
        None => return Ok(Json(acting.first_page(&topic, limit).await?.into())),
        Some(Begin::Since(time)) => acting.bus.find(&acting.who, &acting.tenant, &topic, time).await?,
        Some(Begin::At(position)) => position,
        Some(Begin::Now) => Position::FIRST,
    };
    let page = acting.bus.read(&acting.who, &acting.tenant, &topic, from, limit).await?;
    Ok(Json(page.into()))
}

pub(super) async fn settle(
    State(face): Shared,
    Asked(For { tenant, agent }): Asked<For>,
    Body(settled): Body<SettleBody>,
) -> Result<Json<SettledAnswer>, Problem> {
    let acting = acting(&face, tenant, agent)?;
    let topic: Topic = settled.topic.parse().map_err(BusError::Topic)?;
    let name = settled.durable;
    let reader = face.door()?.reader(&Reading::new(&acting.who, &topic, &name));
    let reader = reader.ok_or_else(|| Fault::NotReading { name: name.to_string(), topic })?;
    let dead_letter = match settled.failed {
        None => reader.done(settled.position).await.map(|()| false)?,
        Some(cause) => reader.failed(settled.position, &Failure::says(cause)).await?,
    };
    Ok(Json(SettledAnswer { dead_letter }))
}

pub(super) async fn requeue(
    State(face): Shared,
    Asked(For { tenant, agent }): Asked<For>,
    Body(asked): Body<RequeueBody>,
) -> Result<Json<Requeued>, Problem> {
    let acting = acting(&face, tenant, agent)?;
    let topic = asked.topic.map(|topic| topic.parse()).transpose().map_err(BusError::Topic)?;
    let requeue = Requeue {
        tenant: acting.tenant.clone(),
        subscription: asked.durable,
        position: asked.position,
        topic,
    };
    Ok(Json(acting.bus.requeue(&acting.who, &requeue, face.door()?.clock.now()).await?))
}

pub(super) async fn tail(
    State(face): Shared,
    Asked(asked): Asked<TailQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let acting = acting(&face, asked.tenant.clone(), asked.agent.clone())?;
    let pattern: Pattern = asked.topic.parse().map_err(BusError::Topic)?;
    let begin = match last_event_id(&headers)? {
        Some(last) => Some(Begin::At(Position(last.0.saturating_add(1)))),
        None => begin(asked.from, asked.since.as_deref())?,
    };
    let ring = match asked.ring {
        None => Live::RING,
        Some(ring) => NonZeroUsize::new(ring).filter(|ring| *ring <= Live::RING).ok_or(Fault::BadRing)?,
    };
    // A place is told with what is kept, so that whoever comes again can name it.
    let (items, placed) = match (asked.durable, pattern.as_topic()) {
        (Some(_), None) => return Err(Fault::OneTopic { what: "a durable subscription" }.into()),
        (Some(name), Some(topic)) => {
            (durable(&face, &acting, topic, name, begin, asked.attempts).await?, true)
        }
        (None, None) if begin.is_some() => return Err(Fault::OneTopic { what: "a place to begin at" }.into()),
        (None, None) => (acting.live(pattern, ring).await?, false),
        (None, Some(topic)) => match acting.kept(&topic, begin.unwrap_or(Begin::Now)).await? {
            None => (acting.live(pattern, ring).await?, false),
            Some((_, next)) if matches!(begin, Some(Begin::At(asked)) if asked > next) => {
                return Err(Fault::BeyondEnd { topic, next }.into());
            }
            Some((items, _)) => (items, true),
        },
    };
    Ok(events::body(&face, "events", items.map(move |item| sse(item, placed))))
}

async fn durable(
    face: &Face,
    acting: &Acting,
    topic: Topic,
    name: Name,
    begin: Option<Begin>,
    attempts: Option<u32>,
) -> Result<Items, Problem> {
    let start = match begin {
        None | Some(Begin::Now) => Start::Earliest,
        Some(Begin::At(position)) => Start::At(position),
        Some(Begin::Since(time)) => Start::Since(time),
    };
    let retry = Retry::default();
    let retry = Retry { attempts: attempts.unwrap_or(retry.attempts).max(1), ..retry };
    let reading = Reading::new(&acting.who, &topic, &name);
    let durable = Durable { tenant: acting.tenant.clone(), start, retry, ..Durable::of(topic, name) };
    let (deliveries, items) = acting.durable(durable).await?;
    face.door()?.reads(reading, &deliveries);
    Ok(items)
}

/// The server-sent event of an item, and whether it is the last one.
fn sse(item: Result<Tailed, BusError>, placed: bool) -> (Sent, bool) {
    let sent = Sent::default();
    let at = |sent: Sent, place: Option<Position>| match place.filter(|_| placed) {
        Some(place) => sent.id(place.to_string()),
        None => sent,
    };
    match item {
        Ok(Tailed::Open { kept, after }) => {
            let sent = at(sent.event(OPEN), after);
            (events::data(sent, &OpenEvent { kept, after }), false)
        }
        Ok(Tailed::Event { position, event }) => {
            (at(sent.event(EVENT), position).data(cloud_line(&event)), false)
        }
        // Whoever comes again after a gap is not told of it twice. Live places begin anew each time.
        Ok(Tailed::Gap(gap)) => (events::data(at(sent.event(GAP), Some(gap.to)), &gap), false),
        Ok(Tailed::Broken) => (sent.comment("broken"), false),
        Err(error) => (events::problem(error.into()), true),
    }
}

fn acting(face: &Face, tenant: Option<Tenant>, agent: Option<Name>) -> Result<Acting, Problem> {
    let bus = Arc::clone(&face.door()?.bus);
    let tenant = tenant.unwrap_or_default();
    let who = Who::Tenant { tenant: tenant.clone(), agent };
    Ok(Acting { bus, who, tenant })
}

fn begin(from: Option<u64>, since: Option<&str>) -> Result<Option<Begin>, Fault> {
    match (from, since) {
        (None, None) => Ok(None),
        (Some(place), None) => Ok(Some(Begin::At(Position(place.max(1))))),
        (None, Some(moment)) => UnixMillis::from_rfc3339(moment)
            .map(|time| Some(Begin::Since(time)))
            .ok_or_else(|| bad_query("`since` is a moment by RFC 3339, as in 2026-11-28T16:38:01Z")),
        (Some(_), Some(_)) => Err(bad_query("give one of `from` and `since`")),
    }
}

fn bad_query(what: &str) -> Fault {
    Fault::BadQuery(Cause::says(what))
}
