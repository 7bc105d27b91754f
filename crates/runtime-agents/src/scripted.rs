//! [`ScriptedModel`]: a model that says what it was told to say.

mod gate;
mod turn;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use runtime_traits::model::{ChatMessage, Deltas};
use runtime_traits::{Model, ModelError, ModelReply, ModelRequest};

pub use gate::Gate;
pub use turn::Turn;

/// The most requests that are kept.
const KEPT: usize = 1000;

/// A model that says what it was told to say: for tests, and to try agents out without a key.
///
/// ```
/// use runtime_agents::{ScriptedModel, Turn};
/// use runtime_traits::model::{ChatMessage, NoDeltas};
/// use runtime_traits::{Model, ModelRequest};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let sum = Turn::default().calls("calculator", r#"{"expression": "6*7"}"#);
/// let model = ScriptedModel::new("sums", [sum, Turn::from("It is 42.")]);
/// let request = ModelRequest { messages: vec![ChatMessage::User("6*7?".into())], ..Default::default() };
/// let reply = model.reply(&request, &NoDeltas).await.expect("a script does not fail by itself");
/// assert_eq!(reply.calls[0].name, "calculator");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ScriptedModel {
    name: String,
    script: Script,
    again: bool,
    asked: AtomicU32,
    requests: Option<Mutex<Vec<ModelRequest>>>,
}

type Says = dyn Fn(&ModelRequest, u32) -> Turn + Send + Sync;

/// Which turn is next.
enum Script {
    /// By how often the model has spoken in the conversation: the same request gets the same turn.
    Conversation(Vec<Turn>),
    /// By how often it was asked.
    Order(Vec<Turn>),
    /// By what it was asked, and how often: 1 for the first time.
    By(Box<Says>),
}

impl ScriptedModel {
    /// Says the turns one after the other in each conversation: where it has spoken n times, it says turn n + 1.
    ///
    /// It is called `scripted/NAME`.
    pub fn new<T: Into<Turn>>(name: &str, turns: impl IntoIterator<Item = T>) -> Self {
        Self::with(name, Script::Conversation(turns.into_iter().map(Into::into).collect()))
    }

    /// Says the turns one after the other, whoever asks: for tests in which a call fails and is made once more.
    pub fn in_order<T: Into<Turn>>(name: &str, turns: impl IntoIterator<Item = T>) -> Self {
        Self::with(name, Script::Order(turns.into_iter().map(Into::into).collect()))
    }

    /// Says what `says` makes of the request, and of how often the model was asked: 1 for the first time.
    pub fn by(name: &str, says: impl Fn(&ModelRequest, u32) -> Turn + Send + Sync + 'static) -> Self {
        Self::with(name, Script::By(Box::new(says)))
    }

    fn with(name: &str, script: Script) -> Self {
        let name = format!("scripted/{name}");
        Self { name, script, again: false, asked: AtomicU32::new(0), requests: None }
    }

    /// Begins again with the first turn when the last was said; otherwise the next call is refused.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Keeps what it is asked, for [`ScriptedModel::requests`]: the first thousand.
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.requests = Some(Mutex::default());
        self
    }

    /// How often it was asked.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// What it was asked, oldest first, if it is recording.
    pub fn requests(&self) -> Vec<ModelRequest> {
        let kept = self.requests.as_ref();
        kept.map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    fn turn(&self, request: &ModelRequest, asked: u32) -> Result<Turn, ModelError> {
        let (turns, at) = match &self.script {
            Script::By(says) => return Ok(says(request, asked)),
            Script::Order(turns) => (turns, asked as usize - 1),
            Script::Conversation(turns) => {
                let spoke = |message: &&ChatMessage| matches!(message, ChatMessage::Assistant { .. });
                (turns, request.messages.iter().filter(spoke).count())
            }
        };
        let at = if self.again { at.checked_rem(turns.len()).unwrap_or(0) } else { at };
        turns.get(at).cloned().ok_or_else(|| ModelError::Refused {
            model: self.name.clone(),
            status: 410,
            said: format!("its script has {} turns, and they were said", turns.len()),
        })
    }
}

#[async_trait]
impl Model for ScriptedModel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(requests) = &self.requests {
            let mut kept = requests.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(request.clone());
            }
        }
        self.turn(request, asked)?.play(deltas).await
    }
}

impl fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptedModel({}, asked {} times)", self.name, self.asked())
    }
}
