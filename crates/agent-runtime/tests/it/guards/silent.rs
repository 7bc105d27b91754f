//! A guarded model that says nothing, and is given up.

use std::sync::Arc;
use std::time::Duration;

use agent_runtime::guards::Guards;
use agent_runtime::prelude::*;
use agent_runtime::runtime::{BreakerPhase, Breakers as _};
use agent_runtime::{Deltas, Model, ModelError, ModelReply, ModelRequest};
use runtime_testkit::fakes::ManualClock;
use tokio::sync::Semaphore;

use super::{SECOND, ask, guards};

/// What a model does before it says nothing any more.
#[derive(Clone, Copy, Debug)]
enum First {
    Nothing,
    Speaks,
    /// A call inside came to nothing, and the next one is not made yet.
    BreaksOff,
}

#[derive(Debug)]
pub(super) struct Mute {
    first: First,
    silence: Option<Duration>,
    came: Semaphore,
}

impl Mute {
    pub(super) fn new() -> Arc<Self> {
        Self::that(First::Nothing, None)
    }

    fn that(first: First, silence: Option<Duration>) -> Arc<Self> {
        Arc::new(Self { first, silence, came: Semaphore::new(0) })
    }
}

#[async_trait]
impl Model for Mute {
    fn name(&self) -> &str {
        "scripted/a"
    }

    fn silence(&self) -> Option<Duration> {
        self.silence
    }

    async fn reply(&self, _: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        match self.first {
            First::Nothing => {}
            First::Speaks => deltas.text("Well"),
            First::BreaksOff => deltas.broke_off(false),
        }
        self.came.add_permits(1);
        std::future::pending().await
    }
}

/// Asks, and gives up after so long.
pub(super) async fn give_up(guards: &Guards, mute: &Arc<Mute>, clock: &ManualClock, after: Duration) {
    let model = guards.model(Arc::clone(mute));
    let passes = async {
        mute.came.acquire().await.unwrap().forget();
        clock.advance(after);
    };
    tokio::select! {
        reply = ask(&model) => unreachable!("{reply:?}"),
        () = passes => {}
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_after_it_was_silent_for_as_long_as_it_may_be_counts_and_another_does_not() {
    let cases = [
        (First::Nothing, None, 180, true),
        (First::Nothing, None, 120, false),
        (First::Speaks, None, 120, true),
        (First::Speaks, None, 100, false),
        (First::Nothing, Some(60), 60, true),
        (First::Nothing, Some(600), 180, false),
        (First::BreaksOff, None, 600, false),
    ];
    for (first, silence, after, opens) in cases {
        let (guards, clock) = guards();
        let mute = Mute::that(first, silence.map(Duration::from_secs));
        for _ in 0..3 {
            give_up(&guards, &mute, &clock, Duration::from_secs(after)).await;
        }
        let held_off = guards.model(Arc::clone(&mute)).held_off();
        assert_eq!(held_off.is_some(), opens, "{first:?}, silent {silence:?}, given up after {after} s");
    }
}

#[tokio::test]
async fn a_call_that_tries_it_out_and_hangs_holds_calls_off_for_longer() {
    let (guards, clock) = guards();
    let mute = Mute::new();
    for _ in 0..3 {
        give_up(&guards, &mute, &clock, 180 * SECOND).await;
    }
    clock.advance(10 * SECOND);
    give_up(&guards, &mute, &clock, 180 * SECOND).await;
    assert_eq!(guards.standing()[0].state, BreakerPhase::Open);
}
