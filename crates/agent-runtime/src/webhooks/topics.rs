//! Where the deliveries of webhooks are kept.

use std::collections::BTreeSet;
use std::time::Duration;

use runtime_traits::Name;
use runtime_traits::bus::{Retention, Topic, TopicRule};

use super::{RunEnd, Webhook};

/// How long nobody need serve before something is lost for that, where no other rule says it.
const UNSERVED: Duration = Duration::from_secs(7 * 86_400);
/// How long, and how many, of each agent, the ends of runs are kept for webhooks.
const ENDS: Retention = Retention { age: Some(UNSERVED), events: Some(10_000), bytes: None };
/// How long deliveries stay that were given up, however many they are.
const DEAD: Retention = Retention { age: Some(Duration::from_secs(30 * 86_400)), events: None, bytes: None };
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
/// Never: the patterns are constants, and a name of a webhook is a segment.
pub fn topic_rules<'a>(webhooks: impl IntoIterator<Item = &'a Webhook>) -> Vec<TopicRule> {
    let webhooks: Vec<&Webhook> = webhooks.into_iter().collect();
    let ends: BTreeSet<RunEnd> = webhooks.iter().flat_map(|webhook| webhook.ends.clone()).collect();
    if ends.is_empty() {
        return Vec::new();
    }
    let longest = webhooks.iter().map(|webhook| webhook.redelivery.give_up_after).max().unwrap_or_default();
    // Never by their number: a bus spares of that what a subscription at work has not done, and a queue is filled without one too.
    let queued = Retention { age: Some(UNSERVED.saturating_add(longest)), ..Retention::default() };
    let pattern = |text: &str| text.parse().expect("it is a pattern");
    let mut rules = vec![
        TopicRule::keep(pattern("system/webhooks/*/queue"), queued),
        TopicRule::keep(pattern("system/webhooks/*/state"), STATES),
    ];
    rules.extend(webhooks.iter().map(|webhook| {
        let letters = Topic::dead_letters(subscription(&webhook.name).as_str()).expect("a name is a segment");
        TopicRule::keep(letters.into(), DEAD)
    }));
    rules.extend(ends.into_iter().map(|end| TopicRule::keep(end.topics(), ENDS)));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::Redelivery;

    #[test]
    fn deliveries_are_kept_by_their_age_alone_and_longer_than_any_of_them_is_tried() {
        let hook = |name: &str, days: u64| {
            let give_up_after = Duration::from_secs(days * 86_400);
            let redelivery = Redelivery { give_up_after, ..Redelivery::default() };
            Webhook::new(name, "https://example.com/").expect("a name").redelivery(redelivery)
        };
        let rules = topic_rules([&hook("short", 1), &hook("long", 40), &hook("middle", 2)]);
        let of = |topic: Topic| TopicRule::for_topic(&rules, &topic).and_then(|rule| rule.keep);
        for name in ["short", "long", "middle"] {
            let name = Name::new(name).expect("a name");
            let kept = of(queue_topic(&name)).expect("a rule");
            assert_eq!(
                kept,
                Retention { age: Some(Duration::from_secs(47 * 86_400)), ..Retention::default() }
            );
            let letters = Topic::dead_letters(subscription(&name).as_str()).expect("a topic");
            assert_eq!(of(letters), Some(DEAD));
        }
        assert_eq!((DEAD.events, DEAD.bytes), (None, None));
        let endless = Redelivery { give_up_after: Duration::MAX, ..Redelivery::default() };
        topic_rules([&hook("endless", 1).redelivery(endless)]);
    }
}
