//! What happens to agents is told once, in its order, and says what the logs say.

use std::collections::BTreeMap;

use runtime_core::engine::announced::ended_by;
use runtime_events::catalogue::{Announced, Announcements, BudgetExhausted, LimitReached, ThreadBlocked};
use runtime_traits::bus::{Announcer, Event, Happening, Subject};
use runtime_traits::log::Entry;
use runtime_traits::{AgentId, Name, RunId};

use super::{Case, accepted};
use crate::chaos::evidence::Mailbox;
use crate::chaos::violation::Law;

impl Case<'_> {
    /// Compares the topics with the logs of runs: each entry that is told is there once, and nothing else is.
    pub(super) fn check_events(&mut self) {
        let evidence = self.evidence;
        for (partition, boxes) in &evidence.boxes {
            let Mailbox { written, left, done } = boxes.announced;
            self.hold(Law::Events, left == 0 && done == written, || {
                format!("{partition} announced {written} batches, {done} are delivered, {left} are left")
            });
        }
        let mut told: BTreeMap<RunId, BTreeMap<&str, Vec<&Event>>> = BTreeMap::new();
        for (topic, events) in &evidence.topics {
            for event in events {
                match event.run {
                    Some(_) if is_of_memory(topic) => {}
                    Some(run) => told.entry(run).or_default().entry(topic.as_str()).or_default().push(event),
                    None if topic.ends_with("/agent.registered") => {
                        self.hold(Law::Events, events.len() == 1, || {
                            format!("`{topic}` is told {} times", events.len())
                        });
                    }
                    None => {}
                }
            }
        }
        let names: BTreeMap<AgentId, &str> =
            evidence.names.iter().map(|(name, agent)| (*agent, name.as_str())).collect();
        for (run, log) in &evidence.runs {
            let name = accepted(log).and_then(|accepted| names.get(&accepted.agent));
            let Some(name) = name.and_then(|name| Name::new(*name).ok()) else { continue };
            let expected = announced(run, log, &name);
            let told = told.remove(run).unwrap_or_default();
            for (topic, expected) in &expected {
                let told: Vec<_> =
                    told.get(topic.as_str()).into_iter().flatten().map(|event| said(event)).collect();
                let expected: Vec<_> = expected.iter().map(said).collect();
                self.hold(Law::Events, told == expected, || {
                    format!("{run}: `{topic}` tells {told:?}, and the log has {expected:?}")
                });
            }
            for topic in told.keys().filter(|topic| !expected.contains_key(**topic)) {
                self.hold(Law::Events, false, || format!("{run}: `{topic}` tells what is not in the log"));
            }
        }
        for run in told.keys() {
            self.hold(Law::Events, false, || format!("{run} is told of, and is not there"));
        }
    }
}

/// Whether a topic tells of runs what their logs do not say.
fn is_of_memory(topic: &str) -> bool {
    let name = topic.rsplit('/').next();
    let of_memory = [LimitReached::NAME, BudgetExhausted::NAME, ThreadBlocked::NAME];
    name.is_some_and(|name| of_memory.contains(&name))
}

/// What the log of a run is to be told as, by topic.
fn announced(run: &RunId, log: &[Entry], name: &Name) -> BTreeMap<String, Vec<Event>> {
    let announcer = Announcements::default();
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    let Some(accepted) = accepted(log) else { return events };
    for entry in log {
        let subject = Subject { id: &accepted.agent, name };
        let session = &accepted.session;
        let what = Happening::Run { run, session, entry, ended_by: ended_by(log) };
        if let Some(event) = announcer.announce(&subject, &what) {
            let event = Event { time: entry.at, ..event };
            events.entry(event.topic.to_string()).or_default().push(event);
        }
    }
    events
}

/// What all logs of named agents are to be told as.
#[cfg(test)]
pub(super) fn told(evidence: &crate::chaos::evidence::Evidence) -> BTreeMap<String, Vec<Event>> {
    let mut topics: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for (run, log) in &evidence.runs {
        let Some(agent) = accepted(log).map(|accepted| accepted.agent) else { continue };
        let named = evidence.names.iter().find(|(_, named)| **named == agent);
        let Some(name) = named.and_then(|(name, _)| Name::new(name.as_str()).ok()) else { continue };
        for (topic, events) in announced(run, log, &name) {
            let events = events.into_iter().map(|event| Event { run: Some(*run), ..event });
            topics.entry(topic).or_default().extend(events);
        }
    }
    topics
}

/// The evidence, with topics that tell what its logs say unless it has some.
#[cfg(test)]
pub(super) fn told_all(evidence: &crate::chaos::evidence::Evidence) -> crate::chaos::evidence::Evidence {
    let mut evidence = evidence.clone();
    if evidence.topics.is_empty() {
        evidence.topics = told(&evidence);
    }
    evidence
}

/// What an event says, and of when.
fn said(event: &Event) -> (u64, String) {
    (event.time.0, String::from_utf8_lossy(&event.data).into_owned())
}
