//! A run as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, future, stream};
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
    let stop = face.stop.clone().cancelled_owned();
    let events = items
        .take_until(stop)
        .map(event)
        .scan(false, |over, (event, is_last)| {
            let item = (!*over).then_some(event);
            *over |= is_last;
            future::ready(item)
        })
        .map(Ok::<_, Infallible>);
    // A reader who is behind the last entry gets an empty stream; the comment sends the headers off.
    let opening = stream::once(future::ready(Ok(Event::default().comment("run"))));
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

fn problem(problem: Problem) -> Event {
    Event::default().event(PROBLEM).data(problem.to_json())
}

fn data<T: Serialize>(event: Event, value: &T) -> Event {
    event.json_data(value).unwrap_or_else(|error| problem(Fault::BadJson(Cause::of(&error)).into()))
}
