//! The steps of an attempt that ask to be let through under limits.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use runtime_traits::agent::Slot;
use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::Usage;
use runtime_traits::model::CalledModel;
use runtime_traits::resource::{Admission, Call, CallId, NoRoom, Turn};

use super::inner::Inner;
use super::over_calls::settle_over;
use super::run_slot::{RunSlot, lock};
use crate::engine::batches::Place;
use crate::engine::machine::RunMachine;
use crate::engine::machine::admit::{Asking, Awaits, WaitSaid};

/// A step that asks to be let through.
struct Asked {
    slot: Slot,
    id: CallId,
    model: Option<CalledModel>,
    most: Usage,
    /// What was used before is being read first.
    call: Option<BoxFuture<'static, Admission>>,
    turn: Option<Box<dyn Turn>>,
    /// Since when it waits, or was looked at for how long.
    since: UnixMillis,
    /// What was said of its waiting.
    said: WaitSaid,
    /// The log says that it waits.
    in_log: bool,
}

/// The steps of an attempt that ask to be let through.
#[derive(Default)]
pub(super) struct Admitting(Vec<Asked>);

impl Admitting {
    /// Asks for the steps that ask, and looks after those that wait. Whether one of them moved.
    pub(super) fn poll(
        &mut self,
        inner: &Arc<Inner>,
        run: &RunSlot,
        machine: &Mutex<RunMachine>,
        now: UnixMillis,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(governing) = &inner.governing else { return false };
        settle_over(inner, run, machine, now);
        let (asking, whose) = {
            let mut machine = lock(machine);
            (machine.take_asking(), (machine.counted_as(), machine.priority()))
        };
        for asking in asking {
            self.ask(inner, run, whose, asking, now);
        }
        let mut moved = false;
        self.0.retain_mut(|asked| {
            if !lock(machine).is_asking(asked.slot) {
                return false;
            }
            let Poll::Ready(admission) = asked.poll(now, cx) else {
                if let Some(no_room) = asked.turn.as_ref().map(|turn| turn.no_room())
                    && let Some(no_room) = asked.says(inner, &run.place, no_room)
                {
                    inner.tell_no_room(&run.place.tenant, &run.place.agent, Some(run.place.run), no_room);
                }
                if now >= asked.since.after(inner.config.park_after)
                    && let Some(turn) = &asked.turn
                {
                    asked.since = now;
                    let waiting = Awaits::of(turn.as_ref());
                    if std::mem::replace(&mut asked.in_log, true) {
                        let mut machine = lock(machine);
                        machine.pass(now);
                        moved |= machine.still_waits(asked.slot, waiting);
                        return true;
                    }
                    let price =
                        |model: &CalledModel| governing.governor().price(&model.name, &asked.most).micros;
                    let price = asked.model.as_ref().and_then(price);
                    let mut machine = lock(machine);
                    machine.pass(now);
                    machine.waits_long(asked.slot, waiting, price);
                    moved = true;
                }
                return true;
            };
            moved = true;
            let refused =
                if let Admission::Refused(refused) = &admission { refused.no_room(now) } else { None };
            let untold = refused.and_then(|no_room| asked.says(inner, &run.place, no_room));
            let mut machine = lock(machine);
            machine.pass(now);
            match admission {
                Admission::Held { most, price } => {
                    if !machine.admitted(asked.slot, most, price) {
                        drop(machine);
                        governing.governor().settle(asked.id, Usage::default(), now);
                    }
                    false
                }
                Admission::Refused(refused) => {
                    machine.not_admitted(asked.slot, &refused, untold);
                    false
                }
                Admission::Waits(turn) => {
                    asked.turn = Some(turn);
                    true
                }
            }
        });
        moved
    }

    fn ask(
        &mut self,
        inner: &Arc<Inner>,
        run: &RunSlot,
        (counted, priority): (RunId, u8),
        asking: Asking,
        now: UnixMillis,
    ) {
        let Asking { slot, id, model, most, said } = asking;
        // One that had asked before, and was to ask no more in between, gives up its place.
        self.0.retain(|asked| asked.slot != slot);
        let place = run.place.clone();
        let inner = Arc::clone(inner);
        let named = model.clone();
        let call = Box::pin(async move {
            let limits = match inner.see_to_book(&place).await {
                Ok(limits) => limits,
                Err(refused) => return Admission::Refused(refused),
            };
            let Some(governing) = &inner.governing else {
                return Admission::Held { most, price: None };
            };
            let call = Call {
                id,
                tenant: place.tenant,
                agent: place.agent,
                run: counted,
                model,
                most,
                on_limit: limits.on_limit,
                priority,
            };
            governing.governor().admit(call, inner.clock.now())
        });
        let (call, turn): (Option<BoxFuture<'static, _>>, _) = (Some(call), None);
        self.0.push(Asked { slot, id, model: named, most, call, turn, since: now, said, in_log: false });
    }

    /// When one of them is to be looked at again.
    pub(super) fn wake_at(&self, park_after: Duration) -> Option<UnixMillis> {
        let turns = self.0.iter().filter_map(|asked| asked.turn.as_ref().map(|turn| (turn, asked.since)));
        turns.flat_map(|(turn, since)| turn.until().into_iter().chain([since.after(park_after)])).min()
    }
}

impl Asked {
    /// What is to be said of finding no room, if that has not been said.
    fn says(&mut self, inner: &Inner, place: &Place, no_room: NoRoom) -> Option<NoRoom> {
        let said = WaitSaid::of(no_room.limit);
        if said <= self.said {
            return None;
        }
        self.said = said;
        Some(inner.with_allowed(place, no_room))
    }

    fn poll(&mut self, now: UnixMillis, cx: &mut Context<'_>) -> Poll<Admission> {
        if let Some(call) = &mut self.call {
            match std::task::ready!(call.as_mut().poll(cx)) {
                Admission::Waits(turn) => {
                    self.call = None;
                    self.turn = Some(turn);
                }
                admission => return Poll::Ready(admission),
            }
        }
        match &mut self.turn {
            Some(turn) => turn.poll(now, cx),
            None => Poll::Pending,
        }
    }
}
