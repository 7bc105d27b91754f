//! A session's runs are worked one after the other; messages, state and snapshots follow from their outcomes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use runtime_core::engine::suspects::holds_session;
use runtime_traits::content::Payload;
use runtime_traits::log::{Author, EntryKind, Outcome};
use runtime_traits::name::SessionName;
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, RunId};

use super::logs::{outcome, was_aside};
use super::{Case, accepted};
use crate::chaos::evidence::Conversation;
use crate::chaos::script::{Kept, Output};
use crate::chaos::violation::Law;

type Place = (AgentId, SessionName);

impl Case<'_> {
    pub(super) fn check_sessions(&mut self) {
        let evidence = self.evidence;
        let mut runs: BTreeMap<Place, BTreeSet<RunId>> = BTreeMap::new();
        for (run, log) in &evidence.runs {
            if let Some(accepted) = accepted(log) {
                runs.entry((accepted.agent, accepted.session.clone())).or_default().insert(*run);
            }
        }
        let empty = Conversation::default();
        let mut kept: HashMap<RunId, Option<Kept>> = HashMap::new();
        for (place, runs) in &runs {
            let conversation = evidence.sessions.get(place).unwrap_or(&empty);
            if runs.iter().any(|run| self.talks.contains_key(run)) {
                self.check_said(place, runs, conversation);
                self.check_turns(place, runs);
                continue;
            }
            let order = self.check_messages(place, runs, conversation);
            self.check_state(place, &order, conversation, &mut kept);
            self.check_turns(place, runs);
        }
        for place in evidence.sessions.keys() {
            self.hold(Law::Invented, runs.contains_key(place), || {
                format!("nobody asked for session {place:?}")
            });
        }
        self.check_snapshots(&kept);
    }

    /// The messages of a session are those of its runs that began and ended, each once. Gives back their order.
    fn check_messages(
        &mut self,
        place: &Place,
        runs: &BTreeSet<RunId>,
        conversation: &Conversation,
    ) -> Vec<RunId> {
        let evidence = self.evidence;
        let mut order = Vec::new();
        let mut messages = conversation.messages.iter().zip(1..).peekable();
        while let Some((message, seq)) = messages.next() {
            let run = message.run;
            let log = evidence.runs.get(&run).filter(|_| runs.contains(&run));
            let input = log.and_then(|log| accepted(log)).map(|accepted| &accepted.input);
            let right = message.author == Author::Caller && input == Some(&message.content);
            self.hold(Law::Session, right, || {
                format!("message {seq} of {place:?} is not the input of {run}")
            });
            self.hold(Law::Session, !order.contains(&run), || format!("{run} is twice in {place:?}"));
            order.push(run);
            if let Some(Outcome::Completed(output)) = log.and_then(|log| outcome(log)) {
                let answer = messages.next_if(|(next, _)| next.run == run && next.author == Author::Agent);
                let right = answer.is_some_and(|(answer, _)| answer.content == *output);
                self.hold(Law::Session, right, || {
                    format!("message {} of {place:?} is not the output of {run}", seq + 1)
                });
            }
        }
        for (message, seq) in conversation.messages.iter().zip(1..) {
            let before = (seq > 1).then(|| Seq(seq - 1));
            self.hold(Law::Session, message.after == before, || {
                format!("message {seq} of {place:?} comes after {:?}", message.after)
            });
        }
        let count = conversation.messages.len() as u64;
        let head = conversation.head.map(|head| (head.last.0, head.messages, head.run));
        let right = order.last().map(|last| (count, count, *last));
        self.hold(Law::Session, head == right, || {
            format!("the head of {place:?} is {head:?}, not {right:?}")
        });
        for run in runs {
            let log = &evidence.runs[run];
            let began =
                log.iter().any(|entry| matches!(entry.kind, EntryKind::Started(_))) && holds_session(log);
            let there = order.contains(run);
            self.hold(Law::Session, outcome(log).is_none() || began == there, || {
                format!("{run} began: {began}; it is in the conversation: {there}")
            });
        }
        order
    }

    /// Each run saw what the one before it left.
    fn check_state(
        &mut self,
        place: &Place,
        order: &[RunId],
        conversation: &Conversation,
        kept: &mut HashMap<RunId, Option<Kept>>,
    ) {
        let evidence = self.evidence;
        let read = |run: &RunId, payload: &Payload| -> Option<Kept> {
            evidence.content(run.partition(), payload)?.parse().ok()
        };
        let mut state: Option<Kept> = None;
        for run in order {
            let Some(log) = evidence.runs.get(run) else { continue };
            if let Some(Outcome::Completed(output)) = outcome(log) {
                let output = evidence.content(run.partition(), output);
                let saw =
                    output.and_then(|output| output.parse::<Output>().ok()).and_then(|output| output.saw);
                self.hold(Law::Session, saw == state, || {
                    format!(
                        "{run} saw the state of {:?}, not of {:?}",
                        brief(saw.as_ref()),
                        brief(state.as_ref())
                    )
                });
            }
            for entry in log {
                if let EntryKind::StateSet(set) = &entry.kind {
                    state = read(run, &set.value);
                }
            }
            kept.insert(*run, state.clone());
        }
        let stored = order.last().zip(conversation.state.as_ref()).and_then(|(run, state)| read(run, state));
        self.hold(Law::Session, stored == state, || {
            let (stored, state) = (brief(stored.as_ref()), brief(state.as_ref()));
            format!("the state of {place:?} is that of {stored:?}, not of {state:?}")
        });
    }

    /// No step of a run is done between two of another one. What did not end may be told late, and does not count.
    fn check_turns(&mut self, place: &Place, runs: &BTreeSet<RunId>) {
        let mut done: Vec<(u32, u64, RunId)> = Vec::new();
        // One that was set aside went on after others.
        let aside = |run: &&RunId| was_aside(&self.evidence.runs[*run]);
        for run in runs.iter().filter(|run| !aside(run)) {
            let executions = self.executions.get(run).into_iter().flatten();
            let ended = executions.filter(|execution| execution.ended);
            done.extend(ended.map(|execution| (execution.begun.life, execution.tick, *run)));
        }
        done.sort_unstable();
        let mut turns: Vec<RunId> = done.into_iter().map(|(_, _, run)| run).collect();
        turns.dedup();
        let mut seen = BTreeSet::new();
        for run in turns {
            self.hold(Law::Session, seen.insert(run), || {
                format!("{run} was worked beside another run of {place:?}")
            });
        }
    }

    /// A snapshot that was answered is there, each session as of one of its outcomes.
    fn check_snapshots(&mut self, kept: &HashMap<RunId, Option<Kept>>) {
        let (evidence, pages) = (self.evidence, self.pages);
        for state in &pages.saves {
            let there = evidence.snapshots.contains_key(state);
            self.hold(Law::Saved, there, || format!("{state} was saved, and is not there"));
        }
        for (state, manifest) in &evidence.snapshots {
            let sessions = evidence.saved_sessions(manifest);
            self.hold(Law::Saved, sessions.is_some(), || format!("{state} is not whole"));
            for session in sessions.unwrap_or_default() {
                let place = (manifest.agent, session.session.clone());
                let conversation = evidence.sessions.get(&place);
                let messages = evidence.saved_messages(manifest.agent.partition(), &session);
                let head = session.head;
                let count = head.map_or(0, |head| head.last.0 as usize);
                let stored = conversation.and_then(|conversation| conversation.messages.get(..count));
                let same = messages.is_some() && messages.as_deref() == stored;
                self.hold(Law::Saved, same, || {
                    format!("{state} has other messages in {place:?} than the session")
                });
                let saved = session.state.as_ref().and_then(|payload| {
                    evidence.content(manifest.agent.partition(), payload)?.parse::<Kept>().ok()
                });
                let then = head.and_then(|head| kept.get(&head.run)).cloned().flatten();
                self.hold(Law::Saved, saved == then, || {
                    let (saved, then) = (brief(saved.as_ref()), brief(then.as_ref()));
                    format!("{state} has the state of {saved:?} in {place:?}, not of {then:?}")
                });
            }
        }
    }
}

fn brief(kept: Option<&Kept>) -> Option<(u64, u64)> {
    kept.map(|kept| (kept.runs, kept.last))
}
