//! Where things are in Redis. What is about one topic has one hash tag.

use crate::journal::{CursorName, Place};

/// All topics that were ever written to: a set of `TENANT/TOPIC`.
pub(super) const TOPICS: &str = "ae:topics";
/// The same, as a stream in the order of their first events.
pub(super) const ANNOUNCED: &str = "ae:announced";

/// `TENANT/TOPIC`: a tenant's name has no `/`.
pub(super) fn text(place: &Place) -> String {
    format!("{}/{}", place.tenant, place.topic)
}

/// A place by its text.
pub(super) fn place(text: &str) -> Option<Place> {
    let (tenant, topic) = text.split_once('/')?;
    Some(Place { tenant: tenant.parse().ok()?, topic: topic.parse().ok()? })
}

/// The events of a topic.
pub(super) fn stream(place: &Place) -> String {
    of(place, "events")
}

/// The ids of the last events of a topic, with their places.
pub(super) fn ids(place: &Place) -> String {
    of(place, "ids")
}

/// The same ids in their order.
pub(super) fn order(place: &Place) -> String {
    of(place, "order")
}

/// The names of the durable subscriptions of a topic.
pub(super) fn names(place: &Place) -> String {
    of(place, "subs")
}

/// How far a durable subscription has come; of a group, each slot.
pub(super) fn cursor(name: &CursorName) -> String {
    of_subscription(name, "sub")
}

/// Who works a durable subscription now.
pub(super) fn lease(name: &CursorName) -> String {
    of_subscription(name, "lease")
}

/// Which processes work a group now, and who has which slot.
pub(super) fn share(name: &CursorName) -> String {
    of_subscription(name, "share")
}

/// The names of the durable subscriptions to the same topic or pattern.
pub(super) fn siblings(name: &CursorName) -> String {
    format!("ae:{{{}/{}}}:subs", name.tenant, name.topics)
}

/// What comes before the names of subscriptions in the keys of cursors and leases.
pub(super) fn prefix(place: &Place) -> String {
    of(place, "")
}

fn of_subscription(CursorName { tenant, topics, name }: &CursorName, what: &str) -> String {
    format!("ae:{{{tenant}/{topics}}}:{what}:{name}")
}

fn of(place: &Place, what: &str) -> String {
    format!("ae:{{{}}}:{what}", text(place))
}
