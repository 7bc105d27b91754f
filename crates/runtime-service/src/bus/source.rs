//! Where the items of a tail come from: live delivery, the log of a topic, or a durable subscription.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use runtime_traits::Tenant;
use runtime_traits::bus::{
    Bus, BusError, Deliveries, Delivery, Durable, Live, Overflow, Page, Pattern, Position, Topic, Who,
};
use runtime_traits::clock::UnixMillis;

use super::Tailed;
use super::kept::KeptTail;

/// A bus, and for whom something is done there.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) who: Who,
    pub(crate) tenant: Tenant,
}

/// Where a tail of a topic that is kept begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Behind the last event that is kept.
    Now,
    /// At a place.
    At(Position),
    /// At the first event that was appended then or later.
    Since(UnixMillis),
}

/// The items of a tail.
pub(crate) type Items = BoxStream<'static, Result<Tailed, BusError>>;

impl Acting {
    /// What is published from now on about topics that match.
    pub(crate) async fn live(&self, pattern: Pattern, ring: NonZeroUsize) -> Result<Items, BusError> {
        let live = Live { tenant: self.tenant.clone(), pattern, ring, overflow: Overflow::LoseOldest };
        let mut listener = self.bus.listen(&self.who, live).await?;
        let opened = Ok(Tailed::Open { kept: false, after: None });
        let items = stream::poll_fn(move |cx| listener.poll_next(cx)).map(|delivery| Ok(of_live(delivery)));
        Ok(stream::iter([opened]).chain(items).boxed())
    }

    /// A topic that is kept, from a place on, and the place that its next event gets. `None`: it is not kept, and nobody
    /// asked for a place.
    pub(crate) async fn kept(
        &self,
        topic: &Topic,
        begin: Begin,
    ) -> Result<Option<(Items, Position)>, BusError> {
        // What is published from here on rings.
        let bell = Live {
            tenant: self.tenant.clone(),
            ring: NonZeroUsize::MIN,
            ..Live::of(Pattern::from(topic.clone()))
        };
        let bell = self.bus.listen(&self.who, bell).await?;
        let page = match self.first_page(topic, 1).await {
            Err(BusError::NotDurable { .. }) if begin == Begin::Now => return Ok(None),
            page => page?,
        };
        let next = match begin {
            Begin::Now => page.next,
            Begin::At(position) => position,
            Begin::Since(time) => self.bus.find(&self.who, &self.tenant, topic, time).await?,
        };
        let opened = Ok(Tailed::Open { kept: true, after: Some(Position(next.0.saturating_sub(1))) });
        let tail = KeptTail::new(self.clone(), topic.clone(), next, bell);
        let items = stream::try_unfold(tail, |mut tail| async move {
            let item = tail.next().await?;
            Ok(Some((item, tail)))
        });
        Ok(Some((stream::iter([opened]).chain(items).boxed(), page.next)))
    }

    /// What a durable subscription delivers.
    pub(crate) async fn durable(&self, durable: Durable) -> Result<(Arc<dyn Deliveries>, Items), BusError> {
        let deliveries: Arc<dyn Deliveries> = self.bus.open(&self.who, durable).await?.into();
        let reader = Arc::clone(&deliveries);
        let items = stream::try_unfold(reader, |reader| async move {
            let item = match reader.next().await? {
                Delivery::Event { position, event, .. } => Tailed::Event { position: Some(position), event },
                Delivery::Gap(gap) => Tailed::Gap(gap),
            };
            Ok(Some((item, reader)))
        });
        let opened = Ok(Tailed::Open { kept: true, after: None });
        Ok((deliveries, stream::iter([opened]).chain(items).boxed()))
    }

    /// The events from the first place on that there is.
    pub(crate) async fn first_page(&self, topic: &Topic, limit: u32) -> Result<Page, BusError> {
        let mut from = Position::FIRST;
        loop {
            match self.bus.read(&self.who, &self.tenant, topic, from, limit).await {
                // It may be trimmed again before it is read.
                Err(BusError::BeforeRetention { first, .. }) if first > from => from = first,
                page => return page,
            }
        }
    }
}

fn of_live(delivery: Delivery) -> Tailed {
    match delivery {
        Delivery::Event { event, .. } => Tailed::Event { position: None, event },
        Delivery::Gap(gap) => Tailed::Gap(gap),
    }
}

/// Waits until something was published; `false` when nothing can come any more.
pub(super) async fn rung(bell: &mut Box<dyn runtime_traits::bus::Listener>) -> bool {
    poll_fn(|cx| bell.poll_next(cx)).await.is_some()
}
