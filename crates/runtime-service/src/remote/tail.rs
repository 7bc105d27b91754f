//! A run as it happens, over connections that may break.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Method;
use runtime_traits::log::{EntryKind, Phase};
use runtime_traits::runtime::{Previewed, StreamItem};
use runtime_traits::store::Seq;
use runtime_traits::{Cause, RunId, RunView, RuntimeError};
use tokio::time::sleep;

use crate::problem::Problem;
use crate::remote::RemoteRuntime;
use crate::remote::call::{Again, Failure};
use crate::remote::connection::{Connection, Piece};
use crate::sse::Event;
use crate::wire::{
    ENTRY, EntryEvent, LAST_EVENT_ID, PREVIEW, PROBLEM, PreviewEvent, RETRACTED, RetractedEvent,
};

/// Reads a run's events, and asks for the rest when a connection breaks.
#[derive(Debug)]
pub(super) struct Tail {
    remote: RemoteRuntime,
    run: RunId,
    /// The entry that comes next.
    next: Seq,
    again: Again,
    connection: Option<Connection>,
    ready: VecDeque<StreamItem>,
    previewed: Previewed,
    over: bool,
}

impl Tail {
    /// Begins with the entry `from`.
    pub(super) async fn begin(remote: RemoteRuntime, run: RunId, from: Seq) -> Result<Self, RuntimeError> {
        let again = Again::Broken(RemoteRuntime::briefly());
        let mut tail = Self {
            remote,
            run,
            next: from.max(Seq(1)),
            again,
            connection: None,
            ready: VecDeque::new(),
            previewed: Previewed::default(),
            over: false,
        };
        while let Err(failure) = tail.connect().await {
            tail.pause(failure).await?;
        }
        tail.be_patient();
        Ok(tail)
    }

    /// The next item; `None` after the last one.
    pub(super) async fn next(&mut self) -> Option<Result<StreamItem, RuntimeError>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            if self.over {
                return None;
            }
            if let Err(failure) = self.advance().await {
                self.connection = None;
                if let Err(error) = self.pause(failure).await {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Connects, or takes the next piece, or finds that there is no more.
    async fn advance(&mut self) -> Result<(), Failure> {
        let Some(connection) = &mut self.connection else {
            return self.connect().await;
        };
        match connection.read(&self.remote).await? {
            Piece::Closed => return self.check_whether_over().await,
            Piece::Arrived => self.be_patient(),
            Piece::Opening => {}
        }
        self.take()
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        let run = self.run.to_string();
        let mut request = self.remote.request(Method::GET, &["v1", "runs", &run, "stream"]);
        let last = self.next.0.saturating_sub(1);
        request.headers_mut().insert(LAST_EVENT_ID, last.into());
        let connection = Connection::open(&self.remote, request).await?;
        // Another connection shows anew what is under way.
        self.ready.extend(self.previewed.withdraw());
        self.connection = Some(connection);
        Ok(())
    }

    /// Takes the events that have arrived.
    fn take(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.connection.as_mut().and_then(Connection::next) {
            self.take_event(&event)?;
        }
        Ok(())
    }

    fn take_event(&mut self, event: &Event) -> Result<(), Failure> {
        match event.name.as_str() {
            ENTRY => self.take_entry(parse(&event.data)?),
            PREVIEW => {
                let PreviewEvent { step, text, gap } = parse(&event.data)?;
                self.give(StreamItem::Preview { step, text, gap });
                Ok(())
            }
            RETRACTED => {
                let RetractedEvent { step } = parse(&event.data)?;
                self.give(StreamItem::Retracted { step });
                Ok(())
            }
            PROBLEM => {
                let problem: Problem = parse(&event.data)?;
                Err(match problem.error {
                    Some(error) => Failure::Said(*error),
                    None => Failure::Nonsense(Cause::says(problem.detail)),
                })
            }
            // A newer service may say more.
            _ => Ok(()),
        }
    }

    fn take_entry(&mut self, EntryEvent { entry, content }: EntryEvent) -> Result<(), Failure> {
        if entry.seq < self.next {
            return Ok(());
        }
        if entry.seq > self.next {
            let cause = format!("entry {} came where {} belongs", entry.seq.0, self.next.0);
            return Err(Failure::Away { cause: Cause::says(cause), spent: Duration::ZERO });
        }
        self.next = Seq(entry.seq.0 + 1);
        self.over = matches!(entry.kind, EntryKind::Ended(_));
        self.be_patient();
        self.give(StreamItem::Entry { entry, content });
        Ok(())
    }

    fn give(&mut self, item: StreamItem) {
        self.previewed.note(&item);
        self.ready.push_back(item);
    }

    /// A stream that was closed before `Ended` came: the service was stopped, or `Ended` lies before what was asked for.
    async fn check_whether_over(&mut self) -> Result<(), Failure> {
        self.connection = None;
        let run = self.run.to_string();
        let request = self.remote.request(Method::GET, &["v1", "runs", &run]);
        let view: RunView =
            self.remote.ask(request, Duration::ZERO, self.again).await.map_err(Failure::Said)?;
        if view.phase == Phase::Ended && self.next.0 > view.entries {
            self.over = true;
            return Ok(());
        }
        Err(Failure::Away {
            cause: Cause::says("it closed the stream before the run was over"),
            spent: Duration::ZERO,
        })
    }

    /// Waits before the next try, or says that there is none.
    async fn pause(&mut self, failure: Failure) -> Result<(), RuntimeError> {
        let Some(wait) = self.again.after(&failure) else {
            return Err(self.remote.error(failure));
        };
        sleep(wait).await;
        Ok(())
    }

    /// A run that was seen to exist is worth waiting for.
    fn be_patient(&mut self) {
        self.again = Again::Ending(self.remote.patiently());
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(data: &str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(|error| Failure::Nonsense(Cause::of(&error)))
}
