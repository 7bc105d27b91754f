//! Random agents, as data.

use std::time::Duration;

use runtime_testkit::fakes::Chance;
use runtime_traits::Effect;

/// A piece of an agent. Each turns a number into a number, so that what one step gave feeds the next one's request.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// One after the other.
    Seq(Vec<Node>),
    /// Side by side, polled in their order; all are awaited.
    Join(Vec<Node>),
    /// Side by side; the value depends on the order in which they end.
    Gather(Vec<Node>),
    /// Side by side, polled in random order; the first wins and the others are dropped.
    Race(Vec<Node>),
    /// The same with steps and sleeps of one scope.
    Duel(Vec<Node>),
    /// `ctx.timeout`, in milliseconds.
    Limit(u64, Box<Node>),
    /// Ends early when the run is to end.
    Heed(Box<Node>),
    /// `ctx.step`.
    Step(Step),
    /// `ctx.sleep`, in milliseconds.
    Sleep(u64),
    /// `ctx.set_state`.
    Keep,
    /// `ctx.state`.
    Recall,
    /// `ctx.now`.
    Clock,
    /// `ctx.random`.
    Draw,
    /// `ctx.uuid`.
    Mint,
    /// The agent fails here.
    Fail,
}

/// How a step is asked for, and how its work behaves.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
    pub(crate) within: Option<Duration>,
    /// The work is over at its first poll; otherwise when the scheduler says so.
    pub(crate) instant: bool,
    /// Its request does not fit into the log.
    pub(crate) large: bool,
    /// The agent fails with it.
    pub(crate) strict: bool,
}

// A timer has the name `sleep`, too: what was the one may become the other.
const NAMES: [&str; 4] = ["fetch", "write", "ask", "sleep"];

impl Node {
    /// A random agent.
    pub(crate) fn random(chance: &mut Chance) -> Self {
        let mut room = 4 + chance.below(14);
        let body = Self::grow(chance, 3, &mut room);
        let last = Self::Step(Step::random(chance));
        let all = if chance.once_in(3) { body } else { Self::Seq(vec![body, last]) };
        if chance.once_in(8) {
            // What an agent does when it is told to end.
            let tidy =
                vec![Self::Heed(Box::new(all)), Self::Keep, Self::Step(Step::random(chance)), Self::Keep];
            Self::Seq(tidy)
        } else {
            all
        }
    }

    fn grow(chance: &mut Chance, depth: u32, room: &mut u64) -> Self {
        *room = room.saturating_sub(1);
        if depth == 0 || *room == 0 {
            return Self::leaf(chance);
        }
        match chance.below(12) {
            0..4 => Self::Seq(Self::several(chance, depth, room, Self::grow)),
            4..6 => Self::Join(Self::several(chance, depth, room, Self::grow)),
            6 => Self::Gather(Self::several(chance, depth, room, Self::grow)),
            // Whoever is polled first would win at once or act first, if a branch did not begin with a pause.
            7 => Self::Duel(Self::several(chance, depth, room, Self::pause)),
            8 => Self::Race(Self::several(chance, depth, room, Self::pausing)),
            9 => Self::Limit(chance.below(400), Box::new(Self::grow(chance, depth - 1, room))),
            _ => Self::leaf(chance),
        }
    }

    fn several(
        chance: &mut Chance,
        depth: u32,
        room: &mut u64,
        one: fn(&mut Chance, u32, &mut u64) -> Self,
    ) -> Vec<Self> {
        let count = 2 + chance.below(2);
        (0..count).map(|_| one(chance, depth - 1, room)).collect()
    }

    fn pausing(chance: &mut Chance, depth: u32, room: &mut u64) -> Self {
        let pause = Self::pause(chance, depth, room);
        Self::Seq(vec![pause, Self::grow(chance, depth, room)])
    }

    fn pause(chance: &mut Chance, _depth: u32, _room: &mut u64) -> Self {
        if chance.once_in(4) { Self::Sleep(chance.below(500)) } else { Self::Step(Step::random(chance)) }
    }

    fn leaf(chance: &mut Chance) -> Self {
        match chance.below(24) {
            0..13 => Self::Step(Step::random(chance)),
            13..16 => Self::Sleep(chance.below(600)),
            16..18 => Self::Keep,
            18 => Self::Recall,
            19..21 => Self::Clock,
            21 => Self::Draw,
            22 => Self::Mint,
            _ if chance.once_in(4) => Self::Fail,
            _ => Self::Recall,
        }
    }
}

impl Step {
    fn random(chance: &mut Chance) -> Self {
        let effect = match chance.below(8) {
            0..2 => Effect::Pure,
            2..4 => Effect::Repeatable,
            4 => Effect::Idempotent { window: Duration::from_millis(chance.below(400)) },
            5 => Effect::Idempotent { window: Duration::from_secs(3600) },
            _ => Effect::AtMostOnce,
        };
        Self {
            name: chance.pick(&NAMES).copied().unwrap_or("fetch"),
            effect,
            within: chance.once_in(4).then(|| Duration::from_millis(chance.below(300))),
            instant: chance.once_in(3),
            large: chance.once_in(150),
            strict: chance.once_in(10),
        }
    }
}
