//! Where the deliveries of webhooks are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use runtime_traits::Name;
use runtime_traits::bus::{Retention, Topic, TopicRule};

use super::{RunEnd, Webhook};

/// How long the ends of runs are kept for webhooks, where no other rule says it.
const ENDS: Retention =
    Retention { age: Some(Duration::from_secs(7 * 86_400)), events: Some(10_000), bytes: None };
/// How many deliveries stay that are done. What is not done stays.
const DONE: Retention = Retention { age: None, events: Some(1_000), bytes: None };
/// How many states stay: the last one holds.
const STATES: Retention = Retention { age: None, events: Some(16), bytes: None };

/// The deliveries of a webhook.
///
/// # Panics
/// Never: a name of a webhook is a segment of a topic.
pub fn queue_topic(webhook: &Name) -> Topic {
    format!("system/webhooks/{webhook}/queue").parse().expect("a name is a segment")
}

/// How it stands with a webhook: the last event holds.
///
/// # Panics
/// As [`queue_topic`].
pub fn state_topic(webhook: &Name) -> Topic {
    format!("system/webhooks/{webhook}/state").parse().expect("a name is a segment")
}

/// Whoever publishes here has a webhook tested. It is no topic of the runtime: the rights of the bus say who may.
///
/// # Panics
/// As [`queue_topic`].
pub fn test_topic(webhook: &Name) -> Topic {
    format!("webhooks/{webhook}/test").parse().expect("a name is a segment")
}

/// The durable subscription of a webhook, which its dead letters are called by.
///
/// # Panics
/// Never: the name of a webhook leaves room for what is put before it.
pub fn subscription(webhook: &Name) -> Name {
    Name::new(format!("webhook.{webhook}")).expect("a webhook's name has 56 letters at most")
}

/// What a bus has to keep for these webhooks. Behind the rules of somebody else: of several the first one holds.
///
/// # Panics
/// Never: the patterns are constants.
pub fn topic_rules<'a>(webhooks: impl IntoIterator<Item = &'a Webhook>) -> Vec<TopicRule> {
    let ends: BTreeSet<RunEnd> = webhooks.into_iter().flat_map(|webhook| webhook.ends.clone()).collect();
    rules_for(ends)
}

/// The same, by the ends of which something is told.
pub(crate) fn rules_for(ends: BTreeSet<RunEnd>) -> Vec<TopicRule> {
    if ends.is_empty() {
        return Vec::new();
    }
    let pattern = |text: &str| text.parse().expect("it is a pattern");
    let mut rules = vec![
        TopicRule::keep(pattern("system/webhooks/*/queue"), DONE),
        TopicRule::keep(pattern("system/webhooks/*/state"), STATES),
    ];
    rules.extend(ends.into_iter().map(|end| TopicRule::keep(end.topics(), ENDS)));
    rules
}
