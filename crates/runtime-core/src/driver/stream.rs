//! A run as it happens: a tail of its log, with previews between.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use runtime_traits::content::Payload;
use runtime_traits::id::RunId;
use runtime_traits::log::{Entry, EntryKind, StepSettled};
use runtime_traits::name::Tenant;
use runtime_traits::runtime::{Previewed, RunStream, RuntimeError, StreamItem};
use runtime_traits::store::Seq;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::inner::Inner;
use super::previews::Shown;
use super::run_slot::{RunSlot, Stage};
use crate::engine::machine::payload_of;

/// A reader's place in a run.
struct Tail {
    inner: Arc<Inner>,
    tenant: Tenant,
    run: RunId,
    next: Seq,
    ready: VecDeque<Entry>,
    slot: Option<Arc<RunSlot>>,
    previews: Option<broadcast::Receiver<Shown>>,
    /// What was taken from there, and has to wait for the entries before it.
    shown: VecDeque<Shown>,
    previewed: Previewed,
    over: bool,
}

impl Inner {
    /// A run as it happens, beginning with the entry `from`.
    pub(super) async fn stream(
        self: &Arc<Self>,
        tenant: &Tenant,
        run: &RunId,
        from: Seq,
    ) -> Result<RunStream, RuntimeError> {
        let slot = self.open_slot(tenant, run)?;
        if slot.is_none() {
            self.tenant_log(tenant, run).await?;
        }
        let (shown, previews) = slot.as_ref().map(|slot| slot.previews()).unzip();
        let tail = Tail {
            inner: Arc::clone(self),
            tenant: tenant.clone(),
            run: *run,
            next: from.max(Seq::FIRST),
            ready: VecDeque::new(),
            slot,
            previews,
            shown: shown.unwrap_or_default().into(),
            previewed: Previewed::default(),
            over: false,
        };
        Ok(Box::pin(stream::unfold(
            tail,
            |mut tail| async move { tail.item().await.map(|item| (item, tail)) },
        )))
    }
}

impl Tail {
    async fn item(&mut self) -> Option<Result<StreamItem, RuntimeError>> {
        loop {
            if self.over {
                return None;
            }
            if let Some(item) = self.shown_now() {
                return Some(Ok(item));
            }
            if let Some(entry) = self.ready.pop_front() {
                self.next = entry.seq.next();
                self.over = matches!(entry.kind, EntryKind::Ended(_));
                self.previewed.recorded(&entry);
                return Some(self.with_content(entry).await);
            }
            let seen = self.slot.as_ref().map_or(u64::MAX, |slot| slot.entries());
            if self.next.0 <= seen {
                match self.inner.entries(&self.run, self.next).await {
                    // The log may have been let go meanwhile: then it does not just end.
                    Ok(entries)
                        if self.slot.is_none()
                            && entries.first().is_none_or(|entry| entry.seq != self.next) =>
                    {
                        let error = self.inner.run_log(&self.run).await.err()?;
                        return Some(Err(self.ends_with(error)));
                    }
                    Ok(entries) => self.ready.extend(entries),
                    Err(error) => return Some(Err(self.ends_with(error))),
                }
                if !self.ready.is_empty() {
                    continue;
                }
            }
            let slot = self.slot.clone()?;
            match slot.stage() {
                // What was committed since is read once more, without the slot.
                Stage::Ended(_) => {
                    self.slot = None;
                    continue;
                }
                Stage::Left(error) => return Some(Err(self.ends_with(error))),
                _ => {}
            }
            self.preview_or_move(&slot, seen).await;
        }
    }

    /// The next preview, if the entries before it were given. It comes before the entry that says it again.
    fn shown_now(&mut self) -> Option<StreamItem> {
        if self.shown.is_empty()
            && let Some(previews) = &mut self.previews
        {
            match previews.try_recv() {
                Ok(shown) => self.shown.push_back(shown),
                Err(TryRecvError::Lagged(_)) => self.join_again(),
                Err(TryRecvError::Closed) => self.previews = None,
                Err(TryRecvError::Empty) => {}
            }
        }
        let Shown { item, .. } = self.shown.pop_front_if(|shown| shown.after < self.next.0)?;
        self.previewed.note(&item);
        Some(item)
    }

    /// A reader that was too slow is as good as one who comes late.
    fn join_again(&mut self) {
        let withdrawn = self.previewed.withdraw().into_iter();
        self.shown.extend(withdrawn.map(|item| Shown { after: 0, item }));
        self.previews = self.slot.as_ref().map(|slot| {
            let (shown, previews) = slot.previews();
            self.shown.extend(shown);
            previews
        });
    }

    /// Waits until there is another preview, or the log has grown.
    async fn preview_or_move(&mut self, slot: &RunSlot, seen: u64) {
        let ending = self.inner.ending.clone();
        let previews = async {
            match &mut self.previews {
                None => std::future::pending().await,
                Some(previews) => previews.recv().await,
            }
        };
        tokio::select! {
            biased;
            received = previews => match received {
                Ok(shown) => self.shown.push_back(shown),
                Err(RecvError::Lagged(_)) => self.join_again(),
                Err(RecvError::Closed) => self.previews = None,
            },
            () = slot.moves(seen) => {}
            () = ending.cancelled() => self.over = true,
        }
    }

    fn ends_with(&mut self, error: RuntimeError) -> RuntimeError {
        self.over = true;
        error
    }

    async fn with_content(&mut self, entry: Entry) -> Result<StreamItem, RuntimeError> {
        if let EntryKind::StepSettled(StepSettled { messages: Some((_, end)), .. }) = &entry.kind {
            let said = self.inner.said_by(&self.tenant, &self.run, *end).await;
            let content = said.map_err(|error| self.ends_with(error))?;
            return Ok(StreamItem::Entry { entry: Box::new(entry), content });
        }
        let content = match payload_of(&entry.kind) {
            Some(payload @ Payload::Blob { .. }) => {
                let resolved = self.inner.resolve(&self.tenant, self.run.partition(), payload).await;
                Some(resolved.map_err(|error| self.ends_with(error))?)
            }
            _ => None,
        };
        Ok(StreamItem::Entry { entry: Box::new(entry), content })
    }
}
