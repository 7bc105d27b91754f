//! The topics of a pattern that are open.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime_traits::bus::{BusError, Delivery, Topic};
use runtime_traits::clock::UnixMillis;

use crate::durable::member::Member;
use crate::durable::window::Take;
use crate::journal::CursorName;

/// How many topics are open at once.
pub(super) const OPEN: usize = 64;
/// After how many deliveries a topic makes room for those that wait.
const QUANTUM: u64 = 256;

/// The topics of a pattern that are open, at most [`OPEN`].
#[derive(Debug)]
pub(super) struct OpenTopics {
    name: CursorName,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<Topic, Opened>,
    /// Whose turn it was last.
    turn: Option<Topic>,
    /// Those that failed, and may be opened again.
    failed: Vec<Topic>,
    /// Nothing is opened any more.
    closed: bool,
    /// Why nothing goes on.
    ended: Option<BusError>,
}

#[derive(Debug)]
struct Opened {
    member: Arc<Member>,
    delivered: u64,
}

/// What comes of looking for work.
pub(super) enum Turn {
    Delivery(Topic, Delivery),
    /// Nothing, until this moment or until something changes.
    Nothing(Option<UnixMillis>),
    Failed(BusError),
}

/// A topic that was closed to make room.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) topic: Topic,
    pub(super) member: Arc<Member>,
    /// Whether all that there was is done.
    pub(super) is_idle: bool,
}

impl OpenTopics {
    pub(super) fn new(name: CursorName) -> Self {
        Self { name, state: Mutex::default() }
    }

    /// What may be worked on now. Topics take turns.
    pub(super) fn take(&self, now: UnixMillis) -> Turn {
        let mut state = self.state();
        if let Some(why) = &state.ended {
            return Turn::Failed(why.clone());
        }
        let State { topics, turn, failed, .. } = &mut *state;
        let (behind, before) = match &turn {
            Some(last) => {
                ((Bound::Excluded(last), Bound::Unbounded), Some((Bound::Unbounded, Bound::Included(last))))
            }
            None => ((Bound::Unbounded, Bound::Unbounded), None),
        };
        let order: Vec<&Topic> = [Some(behind), before]
            .into_iter()
            .flatten()
            .flat_map(|part| topics.range::<Topic, _>(part).map(|(topic, _)| topic))
            .collect();
        let mut earliest = None;
        let mut found = None;
        for topic in order {
            match topics[topic].member.try_next(now) {
                Ok(Take::Nothing(until)) => earliest = earliest.into_iter().chain(until).min(),
                Ok(Take::Delivery(delivery)) => {
                    found = Some((topic.clone(), Ok(delivery)));
                    break;
                }
                Err(error) => {
                    found = Some((topic.clone(), Err(error)));
                    break;
                }
            }
        }
        match found {
            None => Turn::Nothing(earliest),
            Some((topic, Ok(delivery))) => {
                if let Some(opened) = topics.get_mut(&topic) {
                    opened.delivered += 1;
                }
                *turn = Some(topic.clone());
                Turn::Delivery(topic, delivery)
            }
            Some((topic, Err(error))) => {
                topics.remove(&topic);
                failed.push(topic);
                Turn::Failed(error)
            }
        }
    }

    /// Who works on a topic.
    pub(super) fn member(&self, topic: &Topic) -> Result<Arc<Member>, BusError> {
        let state = self.state();
        let member = state.topics.get(topic).map(|opened| Arc::clone(&opened.member));
        let taken = || CursorName { topics: topic.clone().into(), ..self.name.clone() }.taken();
        member.ok_or_else(taken)
    }

    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.state().topics.contains_key(topic)
    }

    pub(super) fn is_full(&self) -> bool {
        self.state().topics.len() >= OPEN
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Opens a topic, unless nothing is opened any more.
    pub(super) fn insert(&self, topic: Topic, member: Member) {
        let mut state = self.state();
        if !state.closed {
            state.topics.insert(topic, Opened { member: Arc::new(member), delivered: 0 });
        }
    }

    /// Closes a topic that nobody has anything of in the hand: one that is idle, or one that had its turn.
    pub(super) fn park(&self) -> Option<Parked> {
        let mut state = self.state();
        let free = |opened: &&Opened| !opened.member.has_taken();
        let idle = |opened: &Opened| opened.member.cursor.is_idle();
        let parts = state.topics.iter().filter(|(_, opened)| free(opened));
        let mut had_turn = None;
        let mut chosen = None;
        for (topic, opened) in parts {
            if idle(opened) {
                chosen = Some((topic.clone(), true));
                break;
            }
            if opened.delivered >= QUANTUM {
                had_turn.get_or_insert_with(|| (topic.clone(), false));
            }
        }
        let (topic, is_idle) = chosen.or(had_turn)?;
        let member = state.topics.remove(&topic)?.member;
        Some(Parked { topic, member, is_idle })
    }

    /// Those that failed since the last call.
    pub(super) fn failed(&self) -> Vec<Topic> {
        std::mem::take(&mut self.state().failed)
    }

    /// Nothing goes on.
    pub(super) fn end(&self, why: BusError) {
        self.state().ended.get_or_insert(why);
    }

    /// Leaves all topics.
    pub(super) fn close(&self) {
        let topics = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.topics)
        };
        drop(topics);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
