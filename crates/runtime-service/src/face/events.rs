//! Server-sent events: a run's, and those of the bus.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, future, stream};
use runtime_traits::EntryKind;
use runtime_traits::runtime::{RunStream, StreamItem};
use runtime_traits::{Cause, RuntimeError};
use serde::Serialize;

use crate::face::Face;
use crate::fault::Fault;
use crate::problem::Problem;
use crate::wire::{ENTRY, EntryEvent, PREVIEW, PROBLEM, PreviewEvent, RETRACTED, RetractedEvent};

/// A run's stream as the body of an answer. It ends after `ended`, after a problem, and when the service stops.
pub(super) fn events(face: &Arc<Face>, items: RunStream) -> Response {
    body(face, "run", items.map(event))
}

/// Events as the body of an answer, each with whether it is the last one. It ends after that, and when the service stops.
pub(super) fn body(
    face: &Arc<Face>,
    opening: &str,
    events: impl Stream<Item = (Event, bool)> + Send + 'static,
) -> Response {
    let stop = face.stop.clone().cancelled_owned();
    let events = events
        .take_until(stop)
        .scan(false, |over, (event, is_last)| {
            let item = (!*over).then_some(event);
            *over |= is_last;
            future::ready(item)
        })
        .map(Ok::<_, Infallible>);
    // Nothing may come for a while; the comment sends the headers off.
    let opening = stream::once(future::ready(Ok(Event::default().comment(opening))));
    Sse::new(opening.chain(events)).keep_alive(KeepAlive::new().interval(face.keep_alive)).into_response()
}

/// The event of an item, and whether it is the last one.
fn event(item: Result<StreamItem, RuntimeError>) -> (Event, bool) {
    match item {
        Ok(StreamItem::Entry { entry, content }) => {
            let is_last = matches!(entry.kind, EntryKind::Ended(_));
            let event = Event::default().event(ENTRY).id(entry.seq.0.to_string());
            (data(event, &EntryEvent { entry, content }), is_last)
        }
        Ok(StreamItem::Preview { step, text, gap }) => {
            (data(Event::default().event(PREVIEW), &PreviewEvent { step, text, gap }), false)
        }
        Ok(StreamItem::Retracted { step }) => {
            (data(Event::default().event(RETRACTED), &RetractedEvent { step }), false)
        }
        Err(error) => (problem(error.into()), true),
    }
}

pub(super) fn problem(problem: Problem) -> Event {
    Event::default().event(PROBLEM).data(problem.to_json())
}

pub(super) fn data<T: Serialize>(event: Event, value: &T) -> Event {
    event.json_data(value).unwrap_or_else(|error| problem(Fault::BadJson(Cause::of(&error)).into()))
}
