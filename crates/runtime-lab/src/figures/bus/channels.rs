//! The peers: broadcast channels and actors that hand messages on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};
use kameo_actors::DeliveryStrategy;
use kameo_actors::pubsub::{PubSub, Publish, Subscribe};
use postage::sink::Sink;
use postage::stream::Stream;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

use super::fan_out::{LOOK, RING, in_a_task};
use super::template::{READY, SIZE};
use super::tokio_channel::ready;
use crate::figures::contest::Contender;
use crate::figures::error::FiguresError;
use crate::figures::load::all;
use crate::figures::watch::Stopwatch;

type Data = Arc<[u8; SIZE]>;

/// All of them.
pub(super) fn contenders<'a>(readers: usize, turn: Duration) -> Vec<Contender<'a>> {
    vec![
        ("postage", Box::new(move || with_postage(readers, turn).boxed_local())),
        ("async-broadcast", Box::new(move || with_async_broadcast(readers, turn).boxed_local())),
        ("ractor", Box::new(move || with_ractor(readers, turn).boxed_local())),
        ("kameo", Box::new(move || with_kameo(readers, turn).boxed_local())),
    ]
}

async fn with_postage(readers: usize, turn: Duration) -> Result<f64, FiguresError> {
    let (mut sender, first) = postage::broadcast::channel::<Data>(RING);
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let mut receiver = sender.subscribe();
        reading.spawn(async move {
            let mut count = 0_u64;
            while receiver.recv().await.is_some() {
                count += 1;
            }
            Ok(count)
        });
    }
    drop(first);
    let publishing = in_a_task(async move {
        let ready = ready();
        let watch = Stopwatch::start();
        let mut published = 0_u64;
        while !published.is_multiple_of(LOOK) || watch.elapsed() < turn {
            let sent = sender.send(Arc::clone(&ready[published as usize % READY])).await;
            sent.map_err(|_| FiguresError::Unexpected("the readers have gone".to_owned()))?;
            published += 1;
        }
        Ok(watch)
    });
    let watch = publishing.await?;
    Ok(watch.per_second(all(reading).await?.into_iter().sum()))
}

async fn with_async_broadcast(readers: usize, turn: Duration) -> Result<f64, FiguresError> {
    let (sender, first) = async_broadcast::broadcast::<Data>(RING);
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let mut receiver = sender.new_receiver();
        reading.spawn(async move {
            let mut count = 0_u64;
            while receiver.recv().await.is_ok() {
                count += 1;
            }
            Ok(count)
        });
    }
    drop(first);
    let publishing = in_a_task(async move {
        let ready = ready();
        let watch = Stopwatch::start();
        let mut published = 0_u64;
        while !published.is_multiple_of(LOOK) || watch.elapsed() < turn {
            let sent = sender.broadcast(Arc::clone(&ready[published as usize % READY])).await;
            sent.map_err(|error| FiguresError::Unexpected(error.to_string()))?;
            published += 1;
        }
        Ok(watch)
    });
    let watch = publishing.await?;
    Ok(watch.per_second(all(reading).await?.into_iter().sum()))
}

/// Counts what it gets, and says so when it is told that this was all.
#[derive(Actor)]
struct Counter {
    count: u64,
    done: Option<oneshot::Sender<u64>>,
}

/// A message, or the end.
#[derive(Clone)]
struct Item(Option<Data>);

impl Message<Item> for Counter {
    type Reply = ();

    async fn handle(&mut self, message: Item, _: &mut Context<Self, Self::Reply>) {
        match message.0 {
            Some(_) => self.count += 1,
            None => {
                if let Some(done) = self.done.take() {
                    // Whoever measures waits for it.
                    let _ = done.send(self.count);
                }
            }
        }
    }
}

async fn with_kameo(readers: usize, turn: Duration) -> Result<f64, FiguresError> {
    let odd = |error: &dyn std::fmt::Display| FiguresError::Unexpected(format!("kameo: {error}"));
    let bus = PubSub::spawn(PubSub::new(DeliveryStrategy::Guaranteed));
    let mut dones = Vec::new();
    let mut actors: Vec<ActorRef<Counter>> = Vec::new();
    for _ in 0..readers {
        let (done, was) = oneshot::channel();
        let counter = Counter { count: 0, done: Some(done) };
        let actor = Counter::spawn_with_mailbox(counter, mailbox::bounded(RING));
        bus.ask(Subscribe(actor.clone())).await.map_err(|error| odd(&error))?;
        actors.push(actor);
        dones.push(was);
    }
    let publisher = bus.clone();
    let publishing = in_a_task(async move {
        let ready = ready();
        let watch = Stopwatch::start();
        let mut published = 0_u64;
        while !published.is_multiple_of(LOOK) || watch.elapsed() < turn {
            publisher
                .tell(Publish(Item(Some(Arc::clone(&ready[published as usize % READY])))))
                .await
                .map_err(|error| odd(&error))?;
            published += 1;
        }
        publisher.tell(Publish(Item(None))).await.map_err(|error| odd(&error))?;
        Ok(watch)
    });
    let watch = publishing.await?;
    let mut delivered = 0;
    for done in dones {
        delivered += done.await.map_err(|error| odd(&error))?;
    }
    let rate = watch.per_second(delivered);
    bus.kill();
    actors.iter().for_each(|actor| actor.kill());
    Ok(rate)
}

/// An actor that counts for all.
struct Tally;

impl ractor::Actor for Tally {
    type Msg = Item;
    type State = Arc<AtomicU64>;
    type Arguments = Arc<AtomicU64>;

    async fn pre_start(
        &self,
        _: ractor::ActorRef<Item>,
        count: Arc<AtomicU64>,
    ) -> Result<Self::State, ractor::ActorProcessingErr> {
        Ok(count)
    }

    async fn handle(
        &self,
        _: ractor::ActorRef<Item>,
        message: Item,
        count: &mut Self::State,
    ) -> Result<(), ractor::ActorProcessingErr> {
        count.fetch_add(u64::from(message.0.is_some()), Ordering::Relaxed);
        Ok(())
    }
}

/// Its port has no bound, so that the publisher itself sees to it that nobody is more than a ring behind on average.
async fn with_ractor(readers: usize, turn: Duration) -> Result<f64, FiguresError> {
    let odd = |error: &dyn std::fmt::Display| FiguresError::Unexpected(format!("ractor: {error}"));
    let port = ractor::OutputPort::<Item>::default();
    let mut counts = Vec::new();
    let mut actors = Vec::new();
    for _ in 0..readers {
        let count = Arc::new(AtomicU64::new(0));
        let (actor, task) =
            ractor::Actor::spawn(None, Tally, Arc::clone(&count)).await.map_err(|error| odd(&error))?;
        port.subscribe(actor.clone(), Some);
        counts.push(count);
        actors.push((actor, task));
    }
    let delivered = move || counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
    let publishing = in_a_task(async move {
        let ready = ready();
        let watch = Stopwatch::start();
        let mut published = 0_u64;
        while !published.is_multiple_of(LOOK) || watch.elapsed() < turn {
            if published.is_multiple_of(LOOK) {
                while published * readers as u64 - delivered() > (RING * readers) as u64 {
                    yield_now().await;
                }
            }
            port.send(Item(Some(Arc::clone(&ready[published as usize % READY]))));
            published += 1;
        }
        let all = published * readers as u64;
        while delivered() < all {
            yield_now().await;
        }
        Ok(watch.per_second(all))
    });
    let rate = publishing.await;
    for (actor, task) in actors {
        actor.stop(None);
        task.await.map_err(|error| odd(&error))?;
    }
    rate
}
