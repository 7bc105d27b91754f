//! The cases of the suite of models.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runtime_traits::model::{ChatMessage, Deltas, ModelRequest, TokenUsage};
use runtime_traits::{ModelError, ModelReply};

use super::{Failure, ModelFixture, Opened, Scene};

const USED: Option<TokenUsage> = Some(TokenUsage { input: 12, output: 4 });

/// Keeps what is shown, as somebody who watches sees it.
#[derive(Debug, Default)]
struct Shown(Mutex<(String, usize)>);

impl Shown {
    /// The text, and how often it was taken back.
    fn now(&self) -> (String, usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Deltas for Shown {
    fn text(&self, piece: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.push_str(piece);
    }

    fn retract(&self) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.0.clear();
        shown.1 += 1;
    }
}

fn question() -> ModelRequest {
    let messages = vec![ChatMessage::User("What is six times seven?".to_owned())];
    ModelRequest { messages, max_tokens: 100, ..ModelRequest::default() }
}

async fn asked(
    fixture: &dyn ModelFixture,
    scenes: Vec<Scene>,
) -> (Result<ModelReply, ModelError>, Shown, Opened) {
    let opened = fixture.open(scenes).await;
    let shown = Shown::default();
    let reply = opened.model.reply(&question(), &shown).await;
    (reply, shown, opened)
}

/// `whole-reply`: the reply holds the whole text, whatever the deltas said; nothing that was only a delta counts.
pub async fn whole_reply(fixture: &dyn ModelFixture) {
    for pieces in [&["It is ", "42", "."][..], &["It is 42."]] {
        let (reply, _, opened) = asked(fixture, vec![Scene::Says(pieces, USED)]).await;
        let reply = reply.expect("the provider replies");
        assert_eq!(reply.text, "It is 42.", "the text is whole");
        assert!(reply.calls.is_empty(), "nothing was called");
        assert_eq!(opened.provider.calls(), 1, "one call is enough");
    }
}

/// `deltas-add-up`: the deltas since the last retraction, put together, are the reply's text.
pub async fn deltas_add_up(fixture: &dyn ModelFixture) {
    for pieces in [&["It is ", "42", "."][..], &["It ", "is ", "forty", "-two."], &["42"]] {
        let (reply, shown, _) = asked(fixture, vec![Scene::Says(pieces, USED)]).await;
        let reply = reply.expect("the provider replies");
        assert_eq!(shown.now().0, reply.text);
    }
}

/// `repeat-retracts`: a call that is repeated inside takes back the deltas that it gave before.
///
/// A model that does not repeat says that the same call may succeed later.
pub async fn repeat_retracts(fixture: &dyn ModelFixture) {
    let scenes = vec![Scene::Breaks(&["It ", "might be"]), Scene::Says(&["It is ", "42."], USED)];
    let (reply, shown, opened) = asked(fixture, scenes).await;
    match reply {
        Ok(reply) => {
            assert_eq!(opened.provider.calls(), 2, "the first call brought no reply");
            assert_eq!(reply.text, "It is 42.");
            let (text, times) = shown.now();
            assert_eq!(text, reply.text, "what was shown of the first call is taken back");
            assert!(times > 0, "that a call was repeated is told");
        }
        Err(error) => {
            assert_eq!(opened.provider.calls(), 1, "it was not repeated");
            assert!(error.is_transient(), "the same call may succeed later: {error}");
        }
    }
}

/// `usage-or-none`: the usage is what the provider reported for this call; what it did not report is `None`, never 0.
pub async fn usage_or_none(fixture: &dyn ModelFixture) {
    for usage in [USED, None] {
        let (reply, ..) = asked(fixture, vec![Scene::Says(&["42."], usage)]).await;
        assert_eq!(reply.expect("the provider replies").usage, usage);
    }
}

/// `droppable`: dropping the future ends the call, and nothing more is read or sent for it.
pub async fn droppable(fixture: &dyn ModelFixture) {
    let opened = fixture.open(vec![Scene::Hangs(&["It is"]), Scene::Says(&["too late"], USED)]).await;
    let shown = Shown::default();
    {
        let request = question();
        let mut call = opened.model.reply(&request, &shown);
        tokio::select! {
            reply = &mut call => unreachable!("the provider hangs: {reply:?}"),
            () = opened.provider.hangs() => {}
        }
    }
    let left = tokio::time::timeout(Duration::from_secs(10), opened.provider.left()).await;
    assert!(left.is_ok(), "the call that was dropped goes on");
    assert_eq!(opened.provider.calls(), 1, "nothing more is sent");
    assert!(!shown.now().0.contains("late"));
}

/// `errors-are-typed`: a failure says by its variant whether the same call may succeed later.
pub async fn errors_are_typed(fixture: &dyn ModelFixture) {
    for failure in Failure::ALL {
        // Often enough for a wrapper that repeats what may succeed later.
        let scenes = vec![Scene::Fails(failure); 32];
        let (reply, ..) = asked(fixture, scenes).await;
        let error = reply.expect_err("the provider does not reply");
        assert!(failure.is(&error), "{failure:?} is told as {error:?}");
        let passes = matches!(failure, Failure::Busy | Failure::Trouble);
        assert_eq!(error.is_transient(), passes, "{failure:?}");
    }
}
