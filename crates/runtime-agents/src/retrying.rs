//! [`Retrying`]: a model that is asked once more when it fails for a while.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use runtime_traits::model::{Deltas, Repeat};
use runtime_traits::{Entropy, Model, ModelError, ModelReply, ModelRequest};

/// A model that is asked once more when the same call may succeed later.
///
/// It waits longer before each further try, by chance a little less than it could, and never less than the provider
/// said. A model that is [held off](Model::held_off), or says so ([`ModelError::HeldOff`]), is not asked once more: that wait is its
/// caller's. It books nothing: whoever does is told of each call that broke off ([`Deltas::broke_off`]), and asked before the next is
/// sent ([`Deltas::again`]): each takes something, and counts for limits.
///
/// ```
/// use runtime_agents::{Retrying, ScriptedModel, Turn};
/// use runtime_traits::model::NoDeltas;
/// use runtime_traits::{Model, ModelError, ModelRequest};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let busy = ModelError::RateLimited { model: "scripted/busy".into(), retry_after: None };
/// let model = ScriptedModel::in_order("busy", [Turn::default().fails(busy), Turn::from("Here I am.")]);
/// let reply = Retrying::new(model, 3).reply(&ModelRequest::default(), &NoDeltas).await;
/// assert_eq!(reply.expect("the second call succeeds").text, "Here I am.");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Retrying<M> {
    model: M,
    retries: u32,
    first: Duration,
    longest: Duration,
    patience: Duration,
    entropy: Option<Arc<dyn Entropy>>,
}

impl<M: Model> Retrying<M> {
    /// Makes a failed call at most `retries` times more: after about half a second, and twice as long each time up to
    /// 30 s. Who is to come back in more than two minutes does not wait.
    pub fn new(model: M, retries: u32) -> Self {
        let seconds = Duration::from_secs;
        let first = Duration::from_millis(500);
        Self { model, retries, first, longest: seconds(30), patience: seconds(120), entropy: None }
    }

    /// Sets how long it waits before the second try, and how long at most.
    #[must_use]
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest);
        self
    }

    /// Sets how late a provider may want to be asked again: what it wants later is a failure.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Draws its chance from here, instead of from this process.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = Some(entropy);
        self
    }

    /// How long to wait before the try after `failed` ones; `None` when it is not worth while.
    fn pause(&self, failed: u32, error: &ModelError) -> Option<Duration> {
        if failed > self.retries || !error.is_transient() {
            return None;
        }
        // Nobody was asked. Who waits for that holds nothing meanwhile, and waits in its log.
        if matches!(error, ModelError::HeldOff { .. }) {
            return None;
        }
        // To ask once more would be to ask a breaker, which says the same.
        if error.is_away() && self.model.held_off().is_some() {
            return None;
        }
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failed - 1).unwrap_or(u32::MAX));
        let longest = doubled.min(self.longest);
        match error.retry_after() {
            // Everybody was told the same moment: a little later, each at another time.
            Some(after) if after <= self.patience => {
                Some(after + self.share(longest.min(after)).div_f64(4.0))
            }
            Some(_) => None,
            None => Some(longest.div_f64(2.0) + self.share(longest).div_f64(2.0)),
        }
    }

    /// A part of `whole`, by chance.
    fn share(&self, whole: Duration) -> Duration {
        let bits = match &self.entropy {
            Some(entropy) => {
                let mut bytes = [0; 8];
                entropy.fill(&mut bytes);
                u64::from_le_bytes(bytes)
            }
            None => RandomState::new().hash_one(0_u8),
        };
        whole.mul_f64((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[async_trait]
impl<M: Model> Model for Retrying<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn credential(&self) -> Option<&str> {
        self.model.credential()
    }

    fn silence(&self) -> Option<Duration> {
        self.model.silence()
    }

    fn held_off(&self) -> Option<Duration> {
        self.model.held_off()
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let mut failed = 0;
        loop {
            let watched = Watched { deltas, shown: AtomicBool::new(false) };
            let error = match self.model.reply(request, &watched).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            failed += 1;
            let Some(pause) = self.pause(failed, &error) else {
                return Err(error);
            };
            // Told of the call while it is held.
            if let ModelError::RateLimited { retry_after, .. } = &error {
                deltas.throttled(*retry_after);
            }
            let may_be_billed = watched.shown.load(Ordering::Relaxed) || error.may_be_billed();
            deltas.broke_off(may_be_billed);
            if may_be_billed {
                deltas.retract();
            }
            tracing::debug!(model = self.name(), failed, ?pause, %error, "a call of a model is made once more");
            tokio::time::sleep(pause).await;
            match deltas.again().await {
                Repeat::Go => {}
                Repeat::Refused(refused) => {
                    return Err(ModelError::AtLimit { model: self.name().to_owned(), refused });
                }
                Repeat::Ends => return Err(error),
            }
        }
    }
}

impl<M: fmt::Debug> fmt::Debug for Retrying<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retrying({:?}, {} times)", self.model, self.retries)
    }
}

/// Hands deltas on, and knows whether there are any.
struct Watched<'a> {
    deltas: &'a dyn Deltas,
    shown: AtomicBool,
}

impl Deltas for Watched<'_> {
    fn text(&self, piece: &str) {
        self.shown.store(true, Ordering::Relaxed);
        self.deltas.text(piece);
    }

    fn progress(&self) {
        self.deltas.progress();
    }

    fn retract(&self) {
        self.shown.store(false, Ordering::Relaxed);
        self.deltas.retract();
    }

    fn broke_off(&self, may_be_billed: bool) {
        self.deltas.broke_off(may_be_billed);
    }

    fn again(&self) -> BoxFuture<'_, Repeat> {
        self.deltas.again()
    }

    fn throttled(&self, retry_after: Option<Duration>) {
        self.deltas.throttled(retry_after);
    }
}
