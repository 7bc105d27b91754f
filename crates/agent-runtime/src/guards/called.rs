//! A call of a guarded model that is under way.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime_health::CallOutcome;
use runtime_traits::UnixMillis;
use runtime_traits::model::{Deltas, Repeat};
use runtime_traits::recovery::StallBounds;

use super::guard::{Guard, Pass};

/// A call that counts as failed when it is dropped after it was silent for as long as it may be; one that is dropped before says
/// nothing.
pub(super) struct Called<'a> {
    deltas: &'a dyn Deltas,
    guard: &'a Guard,
    /// What the model says of that.
    silence: Option<Duration>,
    life: Mutex<Life>,
    pass: Option<Pass<'a>>,
}

/// The signs of life of a call.
#[derive(Clone, Copy)]
struct Life {
    /// When the last one was; `None`: none is under way inside.
    moved: Option<UnixMillis>,
    /// There was one.
    heard: bool,
}

impl<'a> Called<'a> {
    pub(super) fn new(
        deltas: &'a dyn Deltas,
        guard: &'a Guard,
        silence: Option<Duration>,
        pass: Pass<'a>,
    ) -> Self {
        let life = Mutex::new(Life { moved: Some(guard.now()), heard: false });
        Self { deltas, guard, silence, life, pass: Some(pass) }
    }

    /// Tells how the call ended.
    pub(super) fn settle(mut self, outcome: CallOutcome) {
        if let Some(pass) = self.pass.take() {
            pass.settle(outcome);
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moves(&self) {
        *self.life() = Life { moved: Some(self.guard.now()), heard: true };
    }

    /// Whether it was silent for as long as it may be.
    fn is_silent(&self) -> bool {
        let Life { moved, heard } = *self.life();
        let bounds = StallBounds::default();
        let bound = if heard { bounds.between_tokens } else { bounds.first_byte };
        // Whoever watches for that began a little before this call did.
        let most = self.silence.unwrap_or(bound).mul_f64(0.95);
        moved.is_some_and(|moved| self.guard.now().since(moved) >= most)
    }
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        let outcome = if self.is_silent() { CallOutcome::Failed } else { CallOutcome::Neutral };
        if let Some(pass) = self.pass.take() {
            pass.settle(outcome);
        }
    }
}

impl Deltas for Called<'_> {
    fn text(&self, piece: &str) {
        self.moves();
        self.deltas.text(piece);
    }

    fn retract(&self) {
        self.deltas.retract();
    }

    fn progress(&self) {
        self.moves();
        self.deltas.progress();
    }

    fn broke_off(&self, may_be_billed: bool) {
        self.life().moved = None;
        self.deltas.broke_off(may_be_billed);
    }

    fn again(&self) -> Pin<Box<dyn Future<Output = Repeat> + Send + '_>> {
        Box::pin(async {
            let repeat = self.deltas.again().await;
            *self.life() = Life { moved: Some(self.guard.now()), heard: false };
            repeat
        })
    }

    fn throttled(&self, retry_after: Option<Duration>) {
        self.deltas.throttled(retry_after);
    }
}
