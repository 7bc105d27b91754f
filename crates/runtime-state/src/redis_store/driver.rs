//! The thread that talks to the server: one connection, many requests on their way, made anew when it is lost.

use std::collections::HashSet;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use runtime_traits::error::Cause;
use runtime_traits::partition::Partition;
use tokio::sync::mpsc::Receiver;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::address::Address;
use super::flight::{Flight, Landed, looked};
use super::job::{Job, What};
use super::link::{Link, look};
use super::options::RedisOptions;
use super::server::Server;
use super::standing::Standing;
use crate::OpenError;

/// The most requests in one write to the connection.
const GROUP: usize = 128;

/// The most groups on their way.
const FLIGHTS: usize = 16;

/// How often it looks whether more askers have come: some 100 µs in all.
const PATIENCE: usize = 64;

/// The first wait before connecting again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Sends what is queued, in its order, and connects again whenever it has to.
pub(super) struct Driver {
    address: Address,
    options: RedisOptions,
    queue: Receiver<Job>,
    standing: Arc<Standing>,
    run_id: String,
    /// Taken from the queue and not sent.
    jobs: Vec<Job>,
    /// Partitions that are in the set of partitions.
    known: HashSet<Partition>,
    /// Askers who got an answer since the last group, and may be about to ask again.
    expected: usize,
    /// Whether it is just asking what the server is like.
    looking: bool,
}

/// Why it stopped serving.
enum End {
    /// The store is dropped, and everything is answered.
    Closed,
    Lost(Cause),
}

type Flying = Pin<Box<dyn Future<Output = Landed> + Send>>;

impl Driver {
    pub(super) fn new(
        address: Address,
        options: RedisOptions,
        queue: Receiver<Job>,
        standing: Arc<Standing>,
        server: &Server,
    ) -> Self {
        let run_id = server.run_id.clone();
        Self {
            address,
            options,
            queue,
            standing,
            run_id,
            jobs: Vec::new(),
            known: HashSet::new(),
            expected: 0,
            looking: false,
        }
    }

    /// Serves until the store is dropped.
    pub(super) async fn run(mut self, first: Link) {
        let mut link = Some(first);
        while let Some(present) = link {
            match self.serve(present).await {
                End::Closed => return,
                End::Lost(cause) => warn!(store = %self.address, %cause, "the connection to Redis is lost"),
            }
            link = self.connect_again().await;
        }
    }

    async fn serve(&mut self, link: Link) -> End {
        let Link { connection, mut pump, .. } = link;
        let mut flights: FuturesUnordered<Flying> = FuturesUnordered::new();
        let mut check = interval(self.options.check);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.reset();
        self.looking = false;
        let mut closed = false;
        let end = loop {
            let mut landed = None;
            if let Some(mut flight) = self.take_off(&connection) {
                // Its first poll hands the group to the connection, so that groups go in their order.
                match futures_util::poll!(&mut flight) {
                    Poll::Pending => flights.push(flight),
                    Poll::Ready(already) => landed = Some(already),
                }
            }
            if closed && flights.is_empty() {
                break End::Closed;
            }
            if landed.is_none() {
                tokio::select! {
                    biased;
                    Some(next) = flights.next() => landed = Some(next),
                    () = &mut pump => break End::Lost(Cause::says("the server closed the connection")),
                    count = self.queue.recv_many(&mut self.jobs, GROUP), if !closed && flights.len() < FLIGHTS => {
                        closed = count == 0;
                        self.gather().await;
                    }
                    _ = check.tick(), if !self.looking && !closed => {
                        self.looking = true;
                        let (address, mut connection) = (self.address.clone(), connection.clone());
                        let looking = async move { look(&address, &mut connection).await };
                        flights.push(Box::pin(looked(looking, self.options.reply)));
                    }
                }
            }
            if let Some(landed) = landed
                && let Err(cause) = self.take_in(landed)
            {
                break End::Lost(cause);
            }
        };
        // Without the pump no answer comes any more: whoever waits for one is told so.
        drop(pump);
        while flights.next().await.is_some() {}
        end
    }

    /// Gives those who got an answer a moment to come back, so that they go together: a server that syncs always does so
    /// once for all that it finds waiting. A lone writer waits for nobody.
    async fn gather(&mut self) {
        let expected = mem::take(&mut self.expected).min(GROUP);
        for _ in 0..PATIENCE {
            if self.jobs.len() >= expected {
                return;
            }
            // They may need this core.
            thread::yield_now();
            yield_now().await;
            while self.jobs.len() < GROUP
                && let Ok(job) = self.queue.try_recv()
            {
                self.jobs.push(job);
            }
        }
    }

    /// Learns from what has come back; refuses to go on with a connection that is of no use.
    fn take_in(&mut self, landed: Landed) -> Result<(), Cause> {
        match landed {
            Landed::Well(answered) => {
                self.expected += answered;
                Ok(())
            }
            Landed::Unregistered(partitions) => {
                self.known.retain(|known| !partitions.contains(known));
                Ok(())
            }
            Landed::Looked(server) => {
                self.looking = false;
                self.note(&server).map_err(|error| Cause::of(&error))
            }
            Landed::Lost(cause) => Err(cause),
        }
    }

    /// The jobs at hand, ready to be sent.
    fn take_off(&mut self, connection: &MultiplexedConnection) -> Option<Flying> {
        self.refuse_what_is_no_longer_given();
        if self.jobs.is_empty() {
            return None;
        }
        let mut new = Vec::new();
        for job in &self.jobs {
            if let What::Commit(_, partition, _) = job.asker.what
                && self.known.insert(partition)
            {
                new.push(partition);
            }
        }
        let flight = Flight::new(new, mem::take(&mut self.jobs).into_iter());
        Some(Box::pin(flight.fly(connection.clone(), self.options.reply)))
    }

    /// A commit answers with the level of when it was asked for. It may have waited since for a server that gives less.
    fn refuse_what_is_no_longer_given(&mut self) {
        for job in mem::take(&mut self.jobs) {
            let given = match job.asker.what {
                What::Commit(_, _, level) => self.standing.level(level).map(drop),
                What::Page => Ok(()),
            };
            match given {
                Ok(()) => self.jobs.push(job),
                Err(error) => job.asker.tell(Err(error)),
            }
        }
    }

    /// Takes in what the server is now; refuses it when it must not hold state any more.
    fn note(&mut self, server: &Server) -> Result<(), OpenError> {
        server.judge(&self.address)?;
        if self.standing.note(server) {
            warn!(store = %self.address, why = %server.why_not_disk(), "Redis gives less durability than before");
        }
        if self.run_id != server.run_id {
            info!(store = %self.address, "Redis was started anew");
            self.run_id.clone_from(&server.run_id);
        }
        // Somebody may have emptied the database; to register a partition once more costs little.
        self.known.clear();
        Ok(())
    }

    /// Tries until there is a server that will do; `None` when the store is dropped meanwhile.
    ///
    /// What is asked while it connects waits for that. What is asked while it pauses is refused at once: it was not
    /// sent, and whoever asks can decide better than a queue what to do about it.
    async fn connect_again(&mut self) -> Option<Link> {
        let (mut pause, longest) = PAUSES;
        loop {
            let cause = match self.try_to_connect().await? {
                Ok(link) => match self.note(&link.server) {
                    Ok(()) => return Some(link),
                    Err(error) => Cause::of(&error),
                },
                Err(error) => Cause::of(&error),
            };
            for job in self.jobs.drain(..) {
                job.refuse(pause, &cause);
            }
            let waited = sleep(pause);
            tokio::pin!(waited);
            loop {
                tokio::select! {
                    () = &mut waited => break,
                    job = self.queue.recv() => job?.refuse(pause, &cause),
                }
            }
            pause = (pause * 2).min(longest);
        }
    }

    async fn try_to_connect(&mut self) -> Option<Result<Link, OpenError>> {
        let making = Link::make(&self.address, self.options.connect, self.options.connect);
        tokio::pin!(making);
        loop {
            tokio::select! {
                made = &mut making => return Some(made),
                count = self.queue.recv_many(&mut self.jobs, GROUP), if self.jobs.is_empty() => {
                    if count == 0 {
                        return None;
                    }
                }
            }
        }
    }
}
