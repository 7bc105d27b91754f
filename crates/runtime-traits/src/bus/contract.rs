//! The contract of a bus.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;

use super::{
    BusError, Delivery, Durable, DurablePattern, Event, Failure, Live, Page, Pattern, Position, Published,
    Publishing, Requeue, Requeued, Topic, Who, dead_letter,
};
use crate::clock::UnixMillis;
use crate::name::Tenant;

/// Hands events to live readers, and keeps those of durable topics for durable ones.
///
/// # Contract
/// - `heard-in-order`: a live reader gets every event that is published after it has subscribed and that matches, in
///   the order in which its source published.
/// - `nothing-else`: a reader gets no event of another topic or tenant.
/// - `gap-is-exact`: a reader that is too slow loses the oldest events, and is told exactly which.
/// - `disconnect-is-told`: a reader that asked to be disconnected is told what it lost, and gets nothing new.
/// - `slow-slows-nobody`: a reader that stops delays neither publishers nor others.
/// - `refused-leaves-nothing`: what is too large, has too many hops, is about a system topic, or is not allowed is
///   refused by its own error, and nobody gets it.
/// - `numbered-without-gap`: the events of a durable topic have the places 1, 2, 3, …
/// - `once-by-id`: an event that is published again with its id, because nobody knew what became of it, is kept once,
///   and answered with its first place.
/// - `kept-when-ok`: an event of a durable topic whose publishing was answered survives a crash.
/// - `delivered-until-settled`: a durable event is delivered again after a crash, until its settling was answered; then
///   it is not.
/// - `ordered-by-source`: a durable event is not delivered while an earlier one of its source is not settled.
/// - `failed-then-dead`: an event that failed is delivered again after its pause, as often as was said, and is then a
///   dead letter with its cause; others go on meanwhile.
/// - `requeued-for-one`: a dead letter that is sent again is delivered to its durable subscription once more, as a new event,
///   and to nobody else; to send it again twice, or after it was broken off, is to send it again once.
/// - `begins-where-told`: a new cursor begins where it was told to, an old one goes on where it is.
/// - `replayed`: a topic is read from any place and from any time; before retention the error names the first place.
/// - `shared-by-a-group`: of the members of a group one gets an event; what a member leaves behind another one gets.
/// - `one-name-one-cursor`: a second reader that is no member of a group is refused, and so is another setting.
/// - `trimmed-by-its-rule`: what is beyond retention goes, but nothing that an active durable subscription has not done
///   goes because of its number.
/// - `trimmed-by-bytes`: so it is with what is beyond the bytes that are kept.
/// - `joined-by-a-pattern`: a durable subscription to a pattern gets the events of all topics that match and are kept,
///   and those of a topic that comes to be later from the first one.
/// - `settled-in-its-topic`: it has a cursor in each topic: places, order, failures and dead letters are those of one
///   topic, and it goes on there where it was.
/// - `shared-between-processes`: the members of a group may be in several processes where a place is shared by several:
///   each gets an event once, also when members come and go, and what a process that dies leaves behind is another one's.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Publishes an event. In a durable topic it is kept when this answers.
    ///
    /// # Errors
    /// [`BusError`]; after [`BusError::Unknown`] the same event may be published again.
    async fn publish(&self, who: &Who, event: Arc<Event>) -> Result<Published, BusError>;

    /// As [`publish`](Self::publish), which may be done when this returns: a bus that need not wait for an event spares it
    /// the box of a future.
    fn publishing<'a>(&'a self, who: &'a Who, event: Arc<Event>) -> Publishing<'a> {
        Publishing::Awaited(self.publish(who, event))
    }

    /// Subscribes to what is published from now on.
    ///
    /// # Errors
    /// [`BusError::Forbidden`]; [`BusError::Unavailable`].
    async fn listen(&self, who: &Who, live: Live) -> Result<Box<dyn Listener>, BusError>;

    /// Becomes the reader of a durable subscription, or a member of its group. Makes its cursor if there is none.
    ///
    /// # Errors
    /// [`BusError::NotDurable`], [`BusError::SettingsDiffer`], [`BusError::Busy`], [`BusError::BeforeRetention`],
    /// [`BusError::Forbidden`]; [`BusError::Unavailable`].
    async fn open(&self, who: &Who, durable: Durable) -> Result<Box<dyn Deliveries>, BusError>;

    /// Becomes the reader of a durable subscription to a pattern, or a member of its group. Makes its cursors if there
    /// are none.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`BusError::NotDurable`] when no topic that matches is kept.
    async fn open_pattern(
        &self,
        who: &Who,
        durable: DurablePattern,
    ) -> Result<Box<dyn PatternDeliveries>, BusError>;

    /// At most `limit` events of a durable topic, those at `from` and later.
    ///
    /// # Errors
    /// [`BusError::BeforeRetention`], which names the first place that there is; [`BusError::NotDurable`],
    /// [`BusError::Forbidden`]; [`BusError::Unavailable`].
    async fn read(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        from: Position,
        limit: u32,
    ) -> Result<Page, BusError>;

    /// The place of the first event of a durable topic that was appended at `time` or later; where there is none, the
    /// next event's.
    ///
    /// # Errors
    /// [`BusError::NotDurable`], [`BusError::Forbidden`]; [`BusError::Unavailable`].
    async fn find(
        &self,
        who: &Who,
        tenant: &Tenant,
        topic: &Topic,
        time: UnixMillis,
    ) -> Result<Position, BusError>;

    /// Sends dead letters of a durable subscription again, those that were not yet: to it alone, and one that is there
    /// several times once. Whoever may read their topics may do so. One that cannot be sent keeps back no other; the answer
    /// says why. After an error it may be asked again.
    ///
    /// # Errors
    /// [`BusError::NotDurable`] and [`BusError::Forbidden`] for the dead letters as a whole; when the bus is away, as
    /// [`publish`](Self::publish).
    async fn requeue(&self, who: &Who, requeue: &Requeue, now: UnixMillis) -> Result<Requeued, BusError> {
        dead_letter::requeue(self, who, requeue, now).await
    }

    /// Whether an event about one of these topics may interest somebody now: as cheap as it can be told, and rather yes than
    /// no. Who makes many events asks it first.
    fn is_interested(&self, _topics: &Pattern) -> bool {
        true
    }

    /// What becomes of an event about this topic. A bus that cannot tell keeps it.
    fn interest(&self, _tenant: &Tenant, _topic: &Topic) -> Interest {
        Interest::Kept
    }
}

/// What becomes of an event that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It is kept.
    Kept,
    /// It is not kept, and has live readers in this process.
    Heard,
    /// Nothing.
    Nobody,
}

/// A live reader. Dropping it unsubscribes.
pub trait Listener: fmt::Debug + Send + Unpin {
    /// What comes next; `None` when nothing can come any more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>>;
}

/// A reader of a durable subscription. Dropping it leaves: what it has not settled is delivered to somebody else.
#[async_trait]
pub trait Deliveries: fmt::Debug + Send + Sync {
    /// Waits for the next event that may be worked on. Further ones may be asked for before this one is settled. A
    /// dropped future has taken nothing.
    ///
    /// # Errors
    /// [`BusError::Taken`] when another process has it now; [`BusError::Unavailable`], after which it may be asked
    /// again.
    async fn next(&self) -> Result<Delivery, BusError>;

    /// Says that the event at `position` is done. Once this answers it is not delivered again.
    ///
    /// # Errors
    /// As [`next`](Self::next): the event may then be delivered again.
    async fn done(&self, position: Position) -> Result<(), BusError>;

    /// Says that the event at `position` failed: it is delivered again after its pause, or becomes a dead letter.
    /// Whether it became one.
    ///
    /// # Errors
    /// As [`next`](Self::next): the event may then be delivered again.
    async fn failed(&self, position: Position, failure: &Failure) -> Result<bool, BusError>;
}

/// A reader of a durable subscription to a pattern: as [`Deliveries`], with the topic of each event. Dropping it leaves.
#[async_trait]
pub trait PatternDeliveries: fmt::Debug + Send + Sync {
    /// Waits for the next event that may be worked on, in whatever topic. Topics take turns. A dropped future has taken
    /// nothing.
    ///
    /// # Errors
    /// As [`Deliveries::next`].
    async fn next(&self) -> Result<(Topic, Delivery), BusError>;

    /// Says that the event of `topic` at `position` is done. Once this answers it is not delivered again.
    ///
    /// # Errors
    /// As [`Deliveries::done`].
    async fn done(&self, topic: &Topic, position: Position) -> Result<(), BusError>;

    /// Says that the event of `topic` at `position` failed. Whether it became a dead letter.
    ///
    /// # Errors
    /// As [`Deliveries::failed`].
    async fn failed(&self, topic: &Topic, position: Position, failure: &Failure) -> Result<bool, BusError>;
}
