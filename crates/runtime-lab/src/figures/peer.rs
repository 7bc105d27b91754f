//! The peer: kameo's actors, which have a mailbox and a task each, and neither log nor store.

use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::message::{Context, Message};

use super::error::FiguresError;
use super::load::Caller;

/// An actor that does nothing.
#[derive(Actor)]
pub(crate) struct Idle;

struct Nothing(u64);

impl Message<Nothing> for Idle {
    type Reply = u64;

    async fn handle(&mut self, message: Nothing, _: &mut Context<Self, Self::Reply>) -> u64 {
        message.0
    }
}

/// Asks one actor, again and again.
pub(crate) struct Asks(ActorRef<Idle>);

impl Asks {
    pub(crate) fn of(actor: &ActorRef<Idle>) -> Self {
        Self(actor.clone())
    }
}

/// So many actors.
pub(crate) fn actors(count: u64) -> Vec<ActorRef<Idle>> {
    (0..count).map(|_| Idle::spawn(Idle)).collect()
}

impl Caller for Asks {
    async fn call(&mut self) -> Result<(), FiguresError> {
        let answer = self.0.ask(Nothing(1)).await;
        answer
            .map(drop)
            .map_err(|error| FiguresError::Unexpected(format!("the actor did not answer: {error}")))
    }
}
