//! The agent's side of a machine.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use runtime_traits::agent::{
    Ask, Blocking, Facts, Given, RunPort, SetStateError, Slot, SpawnedTask, StepError,
};
use runtime_traits::clock::{Clock, Entropy, UnixMillis};
use runtime_traits::content::Content;
use runtime_traits::id::RunId;
use runtime_traits::log::{StepFailure, StepKey, Usage};
use runtime_traits::model::{Repeat, Spoken};
use runtime_traits::name::Name;
use runtime_traits::tool::Reconciled;

use super::beside::Beside;
use super::inner::Inner;
use super::run_slot::{RunSlot, lock};
use crate::engine::machine::RunMachine;

/// The agent's side of a machine.
pub(super) struct Port {
    pub(super) facts: Facts,
    pub(super) machine: Arc<Mutex<RunMachine>>,
    pub(super) slot: Arc<RunSlot>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) inner: Arc<Inner>,
    pub(super) beside: Arc<Beside>,
}

impl RunPort for Port {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn count(&self, scope: &[Name], name: &Name) -> u32 {
        lock(&self.machine).count(scope, name)
    }

    fn ask(&self, ask: Ask) -> Result<Slot, StepError> {
        lock(&self.machine).ask(ask)
    }

    fn poll_step(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<Given> {
        lock(&self.machine).poll_step(slot, cx)
    }

    fn poll_given_up(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.machine).poll_given_up(slot, cx)
    }

    fn used(&self, slot: Slot, usage: Usage) {
        let cost = self.inner.price_with(&self.machine, slot, usage);
        let mut machine = lock(&self.machine);
        machine.used(slot, usage);
        machine.costs(slot, cost);
    }

    fn reserved(&self, slot: Slot) -> Usage {
        lock(&self.machine).reserved(slot)
    }

    fn settle(&self, slot: Slot, result: Result<Content, StepFailure>) {
        // The agent may have worked for long since it was polled.
        let now = self.clock.now();
        let price = self.inner.settle_call(&self.machine, slot, now);
        let mut machine = lock(&self.machine);
        machine.pass(now);
        machine.settle(slot, result, price);
    }

    fn give_up(&self, slot: Slot) {
        lock(&self.machine).give_up(slot);
    }

    fn ask_timer(&self, key: StepKey, after: Duration) -> Slot {
        lock(&self.machine).ask_timer(key, after)
    }

    fn poll_timer(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.machine).poll_timer(slot, cx)
    }

    fn now(&self) -> UnixMillis {
        lock(&self.machine).seen_at()
    }

    fn random(&self, scope: &[Name]) -> u64 {
        lock(&self.machine).random(scope)
    }

    fn state(&self) -> Option<Content> {
        lock(&self.machine).state()
    }

    fn set_state(&self, value: Content) -> Result<(), SetStateError> {
        lock(&self.machine).set_state(value)
    }

    fn reconciled(&self, slot: Slot, what: Reconciled<Content>) {
        let now = self.clock.now();
        let mut machine = lock(&self.machine);
        machine.pass(now);
        machine.reconciled(slot, what);
    }

    fn history(&self) -> Arc<[Spoken]> {
        lock(&self.machine).history()
    }

    fn continue_as(&self, input: Content) {
        let partition = self.facts.run.partition();
        let run = RunId::mint(partition, self.clock.as_ref(), self.entropy.as_ref());
        lock(&self.machine).continue_as(run, input);
    }

    fn preview(&self, slot: Option<Slot>, text: &str) {
        let machine = lock(&self.machine);
        // What a replay says again has been said.
        if machine.is_live() {
            self.slot.show(slot.map(|slot| machine.key(slot).clone()), text, self.clock.now());
        }
    }

    fn throttled(&self, slot: Slot, retry_after: Option<Duration>) {
        let call = lock(&self.machine).call_under_way(slot);
        if let (Some(governing), Some(call)) = (&self.inner.governing, call)
            && call.held
        {
            governing.governor().throttled(call.id, retry_after, self.clock.now());
        }
    }

    fn broke_off(&self, slot: Slot) {
        let now = self.clock.now();
        let price = self.inner.settle_call(&self.machine, slot, now);
        let mut machine = lock(&self.machine);
        machine.pass(now);
        machine.broke_off(slot, price);
    }

    fn poll_again(&self, slot: Slot, cx: &mut Context<'_>) -> Poll<Repeat> {
        let now = self.clock.now();
        let mut machine = lock(&self.machine);
        machine.pass(now);
        let before = machine.asks_again(slot);
        let polled = machine.poll_again(slot, cx);
        // Whoever polls this may be another task than the attempt's, which has to look at what changed.
        if machine.asks_again(slot) != before {
            self.slot.signal.raise();
        }
        polled
    }

    fn retract(&self, slot: Slot) {
        let machine = lock(&self.machine);
        self.slot.retract(machine.key(slot));
    }

    fn spawn(&self, task: SpawnedTask) {
        self.beside.spawn(task);
    }

    fn block(&self, work: Blocking) {
        self.beside.block(work);
    }

    fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.machine).poll_cancelled(cx)
    }
}
