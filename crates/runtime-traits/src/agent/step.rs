//! How a step is asked for, and what its work is told.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::agent::port::{FenceMark, RunPort, Slot};
use crate::content::Digest;
use crate::log::{Effect, StepSort, Usage};
use crate::model::{CalledModel, Deltas, Repeat};
use crate::partition::{Partition, Pool};

/// How a step is asked for.
///
/// ```
/// # use std::time::Duration;
/// # use runtime_traits::{Effect, StepOptions};
/// let options = StepOptions::new("fetch", Effect::Repeatable).within(Duration::from_secs(30));
/// ```
#[derive(Clone, Debug)]
pub struct StepOptions {
    pub(crate) name: String,
    pub(crate) effect: Effect,
    pub(crate) sort: StepSort,
    pub(crate) within: Option<Duration>,
    pub(crate) silence: Option<Duration>,
    pub(crate) reserves: Usage,
    pub(crate) model: Option<CalledModel>,
    pub(crate) says: bool,
    pub(crate) approval: bool,
}

/// What a step's work is told about its dispatch, and where it reports what it used.
pub struct StepCall {
    pub(crate) idempotency_key: Digest,
    pub(crate) fence: FenceMark,
    pub(crate) try_no: u32,
    pub(crate) step: Option<(Arc<dyn RunPort>, Slot)>,
}

impl StepOptions {
    /// A step under `name` whose repetition `effect` rules.
    pub fn new(name: impl Into<String>, effect: Effect) -> Self {
        Self {
            name: name.into(),
            effect,
            sort: StepSort::Custom,
            within: None,
            silence: None,
            reserves: Usage::default(),
            model: None,
            says: false,
            approval: false,
        }
    }

    /// Says what it calls.
    #[must_use]
    pub fn calls(mut self, sort: StepSort) -> Self {
        self.sort = sort;
        self
    }

    /// Gives each dispatch a deadline. When it passes, the step's future is dropped and the step has failed.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.within = Some(deadline);
        self
    }

    /// Declares that its work may give no sign of life for so long, and is not stalled: for what works long and cannot report progress
    /// ([`StepCall::progress`]). Without it the longer counts of its [deadline](Self::within) and the runtime's bound; with it, of this
    /// and that bound.
    #[must_use]
    pub fn silent_for(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// Says what a dispatch that is given up, or that a crash cuts off, is booked with beside what it has reported: the most
    /// that it may be using then. Not for pure steps: they have no entry but their result.
    ///
    /// Where agents are held to limits, this is held before each dispatch, and the step waits until there is room for it. A step
    /// that reserves nothing is not held up by a limit: what it reports with [`StepCall::used`] counts after the fact, against
    /// every limit, so that what comes next waits. A step that calls a model ([`StepSort::Model`], or
    /// [`of_model`](Self::of_model)) and reserves nothing is held up by a limit that is reached already: one call and one token are
    /// reserved for it, and it may take more than is left.
    #[must_use]
    pub fn reserving(mut self, usage: Usage) -> Self {
        self.reserves = usage;
        self
    }

    /// Says which model it calls: by its name (`provider/name`) its price is known, by that and the credential of the call
    /// ([`CalledModel::with_credential`]) the quota at its provider. What it may take is held before only if it is
    /// [reserved](Self::reserving).
    #[must_use]
    pub fn of_model(mut self, model: impl Into<CalledModel>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Makes its value a message of the session: of a model or a tool, by what it calls.
    #[must_use]
    pub fn said(mut self) -> Self {
        self.says = true;
        self
    }

    /// Lets it begin only with somebody's consent to this very request.
    #[must_use]
    pub fn with_approval(mut self, needed: bool) -> Self {
        self.approval = needed;
        self
    }
}

impl StepCall {
    /// A call that belongs to no run: for trying tools and models out.
    pub fn detached(idempotency_key: &str) -> Self {
        let partition = Partition { pool: Pool::MAIN, index: 0 };
        Self {
            idempotency_key: Digest::of(idempotency_key.as_bytes()),
            fence: FenceMark { partition, epoch: 0, attempt: 0 },
            try_no: 1,
            step: None,
        }
    }

    /// The same over all attempts, nodes and epochs: the hash of tenant, run and step. For the other side to drop
    /// repetitions by.
    pub fn idempotency_key(&self) -> String {
        self.idempotency_key.to_string()[..32].to_owned()
    }

    /// Greater for later owners and attempts. For outside stores that refuse a stale owner.
    pub fn fence(&self) -> FenceMark {
        self.fence
    }

    /// 1 for the first dispatch.
    pub fn try_no(&self) -> u32 {
        self.try_no
    }

    /// What is held for the call under way: what the step [reserves](StepOptions::reserving), or more where its model billed more so
    /// far. It is what a call takes of which nobody can say what it took. Nothing for a call that belongs to no run.
    pub fn reserved(&self) -> Usage {
        self.step.as_ref().map(|(port, slot)| port.reserved(*slot)).unwrap_or_default()
    }

    /// Gives a sign of life: the work goes on, though there is nothing to show of it. A piece that is shown is one as well.
    pub fn progress(&self) {
        if let Some((port, slot)) = &self.step {
            port.progress(*slot);
        }
    }

    /// Adds to what this dispatch used. What was used is told when it is known, not at the end: a dispatch may be given up.
    /// What asking the other side (`reconcile`) used is not booked.
    pub fn used(&self, usage: Usage) {
        if let Some((port, slot)) = &self.step {
            port.used(*slot, usage);
        }
    }
}

impl Deltas for StepCall {
    fn text(&self, piece: &str) {
        if let Some((port, slot)) = &self.step {
            port.preview(Some(*slot), piece);
        }
    }

    fn retract(&self) {
        if let Some((port, slot)) = &self.step {
            port.retract(*slot);
        }
    }

    fn progress(&self) {
        Self::progress(self);
    }

    /// What it used is reported before, by [`StepCall::used`].
    fn broke_off(&self, _may_be_billed: bool) {
        if let Some((port, slot)) = &self.step {
            port.broke_off(*slot);
        }
    }

    fn again(&self) -> BoxFuture<'_, Repeat> {
        Box::pin(async {
            match &self.step {
                Some((port, slot)) => poll_fn(|cx| port.poll_again(*slot, cx)).await,
                None => Repeat::Go,
            }
        })
    }

    fn throttled(&self, retry_after: Option<Duration>) {
        if let Some((port, slot)) = &self.step {
            port.throttled(*slot, retry_after);
        }
    }
}

impl fmt::Debug for StepCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepCall({}, try {})", self.idempotency_key(), self.try_no)
    }
}
