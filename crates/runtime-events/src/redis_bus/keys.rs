//! Where things are in Redis. What is about one topic has one hash tag.

use runtime_traits::Name;

use crate::journal::Place;

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

/// How far a durable subscription has come.
pub(super) fn cursor(place: &Place, name: &Name) -> String {
    of(place, &format!("sub:{name}"))
}

/// Who works a durable subscription now.
pub(super) fn lease(place: &Place, name: &Name) -> String {
    of(place, &format!("lease:{name}"))
}

/// What comes before the names of subscriptions in the keys of cursors and leases.
pub(super) fn prefix(place: &Place) -> String {
    of(place, "")
}

fn of(place: &Place, what: &str) -> String {
    format!("ae:{{{}}}:{what}", text(place))
}
