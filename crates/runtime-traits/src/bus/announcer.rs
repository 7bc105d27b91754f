//! How what happens to agents becomes events.

use std::fmt;

use super::{Event, Pattern};
use crate::clock::UnixMillis;
use crate::id::{AgentId, RunId, StateId};
use crate::log::{DecidedBy, Entry};
use crate::meter::{LongPoll, MemoryExcess};
use crate::name::{Name, SessionName};
use crate::resource::NoRoom;
use crate::runtime::Want;
use crate::schedule::Missed;

/// Says what happens to agents, and in their runs, as events. Pure: the same happening is the same event.
pub trait Announcer: fmt::Debug + Send + Sync + 'static {
    /// What all of its events are about.
    fn topics(&self) -> &Pattern;

    /// The event of what happened; id, tenant, run and time are still to be set. `None`: nobody is told of this.
    fn announce(&self, agent: &Subject<'_>, what: &Happening<'_>) -> Option<Event>;
}

/// The agent to which something happened.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its id.
    pub id: &'a AgentId,
    /// Its name.
    pub name: &'a Name,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// The agent was registered.
    Registered {
        /// Its kind.
        kind: &'a Name,
    },
    /// It was declared anew.
    Revised {
        /// The number of the declaration.
        revision: u32,
    },
    /// Something else is wanted of it.
    Wanted {
        /// What.
        want: Want,
        /// Counts what was wanted.
        generation: u64,
    },
    /// It is deleted: from now on it takes no runs and has no name, and what is stored of it goes.
    Deleted,
    /// It was frozen.
    Saved {
        /// The snapshot.
        state: &'a StateId,
    },
    /// It was put back to a snapshot, or made of one.
    Restored {
        /// The snapshot.
        state: &'a StateId,
        /// Whether it was put back in its place.
        in_place: bool,
    },
    /// It blocks a thread.
    Blocks {
        /// Which poll, for how long, in which steps.
        poll: &'a LongPoll,
    },
    /// It came above its memory.
    OverMemory {
        /// By how much.
        excess: MemoryExcess,
    },
    /// It, or a run of it, waits or is refused because of a limit.
    NoRoom {
        /// The run, if there is one.
        run: Option<&'a RunId>,
        /// Which limit.
        no_room: &'a NoRoom,
    },
    /// One of its schedules began a run.
    Fired {
        /// The schedule.
        schedule: &'a Name,
        /// The moment for which it did.
        tick: UnixMillis,
        /// The run.
        run: &'a RunId,
    },
    /// Moments of one of its schedules got no run of their own.
    Missed {
        /// The schedule.
        schedule: &'a Name,
        /// The first of them.
        from: UnixMillis,
        /// The last one.
        upto: UnixMillis,
        /// How many. Of one gap at most 10,000 are counted.
        count: u64,
        /// The rule by which they were left out.
        rule: Missed,
    },
    /// An entry was appended to the log of one of its runs.
    Run {
        /// The run.
        run: &'a RunId,
        /// Its session.
        session: &'a SessionName,
        /// The entry.
        entry: &'a Entry,
        /// Who wanted the run to end, if somebody did; known at its end.
        ended_by: Option<&'a DecidedBy>,
    },
}
