//! What callers, models, tools and agents said stands once in its session; the conversation is what was not rolled back,
//! and every provider takes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use runtime_core::engine::suspects::holds_session;
use runtime_testkit::suites::transcript::{Rules, check};
use runtime_traits::log::{Author, Entry, EntryKind, Message, Outcome, StepSettled};
use runtime_traits::model::{ModelReply, Spoken, ToolResult, Transcript};
use runtime_traits::name::SessionName;
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, Content, RunId};

use super::logs::outcome;
use super::{Case, accepted};
use crate::chaos::evidence::Conversation;
use crate::chaos::talk::Talk;
use crate::chaos::violation::Law;

type Place = (AgentId, SessionName);

impl Case<'_> {
    /// The session of an agent with a model.
    pub(super) fn check_said(&mut self, place: &Place, runs: &BTreeSet<RunId>, conversation: &Conversation) {
        let mut owed: BTreeMap<u64, (RunId, Author)> = BTreeMap::new();
        for run in runs {
            for (seq, author) in said_by(&self.evidence.runs[run]) {
                let before = owed.insert(seq.0, (*run, author));
                self.hold(Law::Said, before.is_none(), || {
                    format!("message {} of {place:?} is said by {before:?} and by {run}", seq.0)
                });
            }
        }
        // What comes with the end of a run comes once.
        let mut rims = BTreeSet::new();
        for (message, seq) in conversation.messages.iter().zip(1..) {
            let right = match owed.remove(&seq) {
                Some(said) => said == (message.run, message.author) && self.is_input(message),
                None => {
                    self.is_rim(message, runs) && rims.insert((message.run, message.author == Author::Agent))
                }
            };
            self.hold(Law::Said, right, || {
                format!("message {seq} of {place:?}, {:?} in {}, was not said", message.author, message.run)
            });
        }
        self.hold(Law::Said, owed.is_empty(), || format!("{place:?} does not have what was said: {owed:?}"));
        self.check_chain(place, runs, conversation);
    }

    /// A caller's message is its run's input; of others the settlement knows.
    fn is_input(&self, message: &Message) -> bool {
        let input = self.evidence.runs.get(&message.run).and_then(|log| accepted(log));
        message.author != Author::Caller || input.is_some_and(|accepted| accepted.input == message.content)
    }

    /// Whether a message is one that comes with the end of its run.
    fn is_rim(&self, message: &Message, runs: &BTreeSet<RunId>) -> bool {
        let log = self.evidence.runs.get(&message.run).filter(|_| runs.contains(&message.run));
        match (message.author, log.and_then(|log| outcome(log))) {
            (Author::Agent, Some(Outcome::Completed(output))) => *output == message.content,
            (Author::Caller, Some(Outcome::Cancelled(_) | Outcome::Failed(_))) => self.is_input(message),
            _ => false,
        }
    }

    fn check_chain(&mut self, place: &Place, runs: &BTreeSet<RunId>, conversation: &Conversation) {
        let evidence = self.evidence;
        let chain = chain(conversation);
        let stored = conversation.head.map(|head| (head.messages, head.run));
        let right = chain.as_ref().map(|chain| chain.last().map(|last| (chain.len() as u64, last.run)));
        self.hold(Law::Said, right == Some(stored), || {
            format!("the head of {place:?} is {stored:?}, and its chain gives {right:?}")
        });
        let chain = chain.unwrap_or_default();
        let mut in_chain: HashMap<RunId, Vec<&Message>> = HashMap::new();
        for message in &chain {
            in_chain.entry(message.run).or_default().push(message);
        }
        for run in runs {
            let log = &evidence.runs[run];
            let began =
                log.iter().any(|entry| matches!(entry.kind, EntryKind::Started(_))) && holds_session(log);
            let kept = began && !matches!(outcome(log), None | Some(Outcome::RolledBack));
            let there = in_chain.get(run).cloned().unwrap_or_default();
            self.hold(Law::Said, kept != there.is_empty(), || {
                format!("{run} of {place:?} is kept: {kept}; the conversation has {} of it", there.len())
            });
            if kept {
                let all = conversation.messages.iter().filter(|message| message.run == *run).count();
                self.hold(Law::Said, all == there.len(), || {
                    format!("{run} of {place:?} said {all} messages; the conversation has {}", there.len())
                });
                self.check_results(run, log, &there);
            }
        }
        self.check_transcript(place, &chain);
    }

    /// A run that came to its end has a result for each of its calls.
    fn check_results(&mut self, run: &RunId, log: &[Entry], messages: &[&Message]) {
        if !matches!(outcome(log), Some(Outcome::Completed(_))) {
            return;
        }
        let read = |message: &Message| self.evidence.content(run.partition(), &message.content);
        let (mut calls, mut results) = (Vec::new(), Vec::new());
        for message in messages {
            let content = read(message);
            match message.author {
                Author::Model => {
                    let reply = content.and_then(|content| content.parse::<ModelReply>().ok());
                    calls.extend(reply.into_iter().flat_map(|reply| reply.calls).map(|call| call.id));
                }
                Author::Tool => {
                    let result = content.and_then(|content| content.parse::<ToolResult>().ok());
                    results.extend(result.map(|result| result.call));
                }
                Author::Caller | Author::Agent => {}
            }
        }
        calls.sort_unstable();
        results.sort_unstable();
        self.hold(Law::Said, calls == results, || {
            format!("{run} completed; its conversation has the calls {calls:?} and the results {results:?}")
        });
    }

    /// Whatever of a conversation is sent, every provider takes it.
    fn check_transcript(&mut self, place: &Place, chain: &[&Message]) {
        let mut transcript = Transcript::default();
        for (message, nth) in chain.iter().zip(1..) {
            let Some(content) = self.evidence.content(message.run.partition(), &message.content) else {
                self.hold(Law::Said, false, || {
                    format!("message {nth} of the conversation {place:?} is gone")
                });
                return;
            };
            transcript.say(&Spoken { author: message.author, run: message.run, content });
            for rules in [Rules::OpenAi, Rules::Anthropic] {
                let taken = check(&transcript.messages(), rules);
                self.hold(Law::Said, taken.is_ok(), || {
                    format!("the first {nth} messages of {place:?} are refused by {rules:?}: {taken:?}")
                });
                if taken.is_err() {
                    return;
                }
            }
        }
    }

    /// The value of a step that may be a message of its session.
    pub(super) fn said_value(&self, run: &RunId, settled: &StepSettled) -> Option<Content> {
        let payload = match settled.messages {
            None => settled.result.as_ref().ok()?,
            Some((_, end)) => {
                let accepted = accepted(self.evidence.runs.get(run)?)?;
                let session = self.evidence.sessions.get(&(accepted.agent, accepted.session.clone()))?;
                &session.messages.get(end.0.checked_sub(2)? as usize)?.content
            }
        };
        self.evidence.content(run.partition(), payload)
    }
}

/// What a run said while it was worked, by its settlements: the first begins with the input.
fn said_by(log: &[Entry]) -> Vec<(Seq, Author)> {
    let mut said = Vec::new();
    for entry in log {
        let EntryKind::StepSettled(StepSettled { key, messages: Some((first, end)), .. }) = &entry.kind
        else {
            continue;
        };
        let model = !key.scope.is_empty() && *key == Talk::model_step(turn_of(key));
        let author = if model { Author::Model } else { Author::Tool };
        if said.is_empty() {
            said.push((*first, Author::Caller));
            said.push((first.next(), author));
        } else {
            said.push((*first, author));
        }
        // A range that is longer or shorter has numbers that nobody says, or says twice.
        let last = said.last().map(|(last, _)| last.next());
        if last != Some(*end) {
            said.push((*end, author));
        }
    }
    said
}

fn turn_of(key: &runtime_traits::StepKey) -> usize {
    let turn = key.scope.first().and_then(|scope| scope.as_str().strip_prefix("turn-"));
    turn.and_then(|turn| turn.parse().ok()).unwrap_or(0)
}

/// The conversation, oldest message first. `None`: a message comes after one that is not before it.
fn chain(conversation: &Conversation) -> Option<Vec<&Message>> {
    let mut chain = Vec::new();
    let mut at = conversation.head.map(|head| head.last);
    while let Some(seq) = at {
        let message = conversation.messages.get(seq.0.checked_sub(1)? as usize)?;
        if message.after.is_some_and(|before| before >= seq) {
            return None;
        }
        chain.push(message);
        at = message.after;
    }
    chain.reverse();
    Some(chain)
}
