//! What somebody wants to open.

use runtime_codec::CursorRecord;
use runtime_traits::bus::{BusError, Durable, DurablePattern, Retry, Start, Topic};

use super::window::blank;
use crate::journal::CursorName;

/// A durable subscription that somebody wants to open.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: CursorName,
    pub(super) start: Start,
    pub(super) group: bool,
    pub(super) retry: Retry,
}

impl Wanted {
    /// The same subscription, as it is over one topic.
    pub(super) fn over(&self, topic: &Topic, start: Start) -> Self {
        let name = CursorName { topics: topic.clone().into(), ..self.name.clone() };
        Self { name, start, ..self.clone() }
    }
}

impl From<&Durable> for Wanted {
    fn from(durable: &Durable) -> Self {
        let (tenant, topics) = (durable.tenant.clone(), durable.topic.clone().into());
        let name = CursorName { tenant, topics, name: durable.name.clone() };
        Self { name, start: durable.start, group: durable.group, retry: durable.retry }
    }
}

impl From<&DurablePattern> for Wanted {
    fn from(durable: &DurablePattern) -> Self {
        let (tenant, topics) = (durable.tenant.clone(), durable.pattern.clone());
        let name = CursorName { tenant, topics, name: durable.name.clone() };
        Self { name, start: durable.start, group: durable.group, retry: durable.retry }
    }
}

/// Decides whether a subscription may be opened with these settings.
pub(super) fn same_settings(wanted: &Wanted, kept: &CursorRecord) -> Result<(), BusError> {
    let given = blank(wanted.group, &wanted.retry);
    let settings = [
        ("sharing", kept.group.to_string(), given.group.to_string()),
        ("number of attempts", kept.attempts.to_string(), given.attempts.to_string()),
        ("first pause", format!("{} ms", kept.first_pause), format!("{} ms", given.first_pause)),
        ("longest pause", format!("{} ms", kept.longest_pause), format!("{} ms", given.longest_pause)),
    ];
    match settings.into_iter().find(|(_, kept, given)| kept != given) {
        None => Ok(()),
        Some((what, kept, given)) => Err(BusError::SettingsDiffer {
            name: wanted.name.name.to_string(),
            topic: wanted.name.topics.clone(),
            what,
            kept,
            given,
        }),
    }
}
