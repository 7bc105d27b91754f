//! A model that is asked once more: when, after how long, and what is taken back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use runtime_agents::{Gate, Retrying, ScriptedModel, Turn};
use runtime_testkit::fakes::SeededEntropy;
use runtime_traits::model::{Deltas, NoDeltas, Phase, Repeat};
use runtime_traits::resource::{Limit, Refused, Whose};
use runtime_traits::{Cause, Model, ModelError, ModelRequest};

/// Writes down what is shown.
#[derive(Default)]
struct Shown(Mutex<Vec<String>>);

impl Deltas for Shown {
    fn text(&self, piece: &str) {
        self.0.lock().unwrap().push(piece.to_owned());
    }

    fn retract(&self) {
        self.0.lock().unwrap().push("<".to_owned());
    }

    fn throttled(&self, retry_after: Option<Duration>) {
        self.0.lock().unwrap().push(format!("{retry_after:?}"));
    }
}

/// Lets so many calls be made once more, and writes down what it is told.
struct Lets(Mutex<(usize, Vec<String>)>, Repeat);

impl Deltas for Lets {
    fn text(&self, piece: &str) {
        self.0.lock().unwrap().1.push(piece.to_owned());
    }

    fn retract(&self) {
        self.0.lock().unwrap().1.push("<".to_owned());
    }

    fn broke_off(&self, may_be_billed: bool) {
        self.0.lock().unwrap().1.push(if may_be_billed { "billed" } else { "free" }.to_owned());
    }

    fn again(&self) -> BoxFuture<'_, Repeat> {
        let mut inside = self.0.lock().unwrap();
        inside.1.push("again?".to_owned());
        let go = inside.0 > 0;
        inside.0 = inside.0.saturating_sub(1);
        Box::pin(std::future::ready(if go { Repeat::Go } else { self.1.clone() }))
    }
}

fn model() -> String {
    "scripted/test".to_owned()
}

fn busy(retry_after: Option<u64>) -> ModelError {
    ModelError::RateLimited { model: model(), retry_after: retry_after.map(Duration::from_secs) }
}

fn away(retry_after: Option<u64>) -> ModelError {
    let retry_after = retry_after.map(Duration::from_secs);
    ModelError::Unavailable { model: model(), status: 503, said: "later".into(), retry_after }
}

fn cut() -> ModelError {
    ModelError::Cut { model: model(), cause: Cause::says("reset") }
}

fn script(turns: impl IntoIterator<Item = Turn>) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::in_order("test", turns))
}

fn fails(error: ModelError) -> Turn {
    Turn::default().fails(error)
}

/// How long it took, in milliseconds of the paused clock.
async fn timed(model: &dyn Model) -> (Result<String, ModelError>, u128) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of the test stands still unless it is waited for"
    )]
    let begin = tokio::time::Instant::now();
    let reply = model.reply(&ModelRequest::default(), &NoDeltas).await;
    (reply.map(|reply| reply.text), begin.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn what_may_succeed_later_is_asked_again_and_nothing_else() {
    let late =
        ModelError::TimedOut { model: model(), phase: Phase::FirstByte, after: Duration::from_secs(1) };
    let unreachable = ModelError::Unreachable { model: model(), cause: Cause::says("refused") };
    for error in [busy(None), away(None), cut(), late, unreachable] {
        let inner = script([fails(error.clone()), Turn::from("yes")]);
        let (reply, _) = timed(&Retrying::new(Arc::clone(&inner), 1)).await;
        assert_eq!(reply.as_deref(), Ok("yes"), "{error}");
        assert_eq!(inner.asked(), 2);
    }
    let said = || "no".to_owned();
    for error in [
        ModelError::Key { model: model(), said: said() },
        ModelError::UnknownModel { model: model(), said: said() },
        ModelError::Refused { model: model(), status: 400, said: said() },
        ModelError::NoReply { model: model(), said: said() },
    ] {
        let inner = script([fails(error.clone()), Turn::from("yes")]);
        assert_eq!(timed(&Retrying::new(Arc::clone(&inner), 5)).await, (Err(error), 0));
        assert_eq!(inner.asked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_told_when_the_tries_are_used_up() {
    let inner = script([fails(busy(None)), fails(cut()), fails(away(None)), Turn::from("too late")]);
    let (reply, _) = timed(&Retrying::new(Arc::clone(&inner), 2)).await;
    assert_eq!((reply, inner.asked()), (Err(away(None)), 3));
    let inner = script([fails(busy(None)), Turn::from("too late")]);
    assert_eq!(timed(&Retrying::new(inner, 0)).await, (Err(busy(None)), 0));
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_a_cap_and_vary() {
    let seconds = Duration::from_secs;
    let mut first_pauses = Vec::new();
    for seed in 0..8 {
        let turns = (0..8).map(|_| fails(busy(None))).chain([Turn::from("yes")]);
        let retrying = Retrying::new(script(turns), 8).waits(seconds(1), seconds(8));
        let (_, took) = timed(&retrying.entropy(Arc::new(SeededEntropy::new(seed)))).await;
        // 1 + 2 + 4 + 8 * 5, of which each is at least a half.
        assert!((23_500..=47_100).contains(&took), "{took}");
        first_pauses.push(took);
    }
    first_pauses.dedup();
    assert!(first_pauses.len() > 1, "callers that failed together do not come back together");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_when_is_asked_then() {
    for error in [busy(Some(7)), away(Some(7))] {
        let retrying = Retrying::new(script([fails(error), Turn::from("yes")]), 3);
        let (reply, took) = timed(&retrying).await;
        assert!(reply.is_ok());
        // Never before; and not everybody at once.
        assert!((7_000..=7_130).contains(&took), "{took}");
    }
    let retrying = Retrying::new(script([fails(busy(Some(121))), Turn::from("yes")]), 3);
    assert_eq!(timed(&retrying).await, (Err(busy(Some(121))), 0));
    let patient = Retrying::new(script([fails(busy(Some(121))), Turn::from("yes")]), 3);
    assert!(timed(&patient.patience(Duration::from_secs(121))).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_or_may_be_billed_is_taken_back_before_the_next_try() {
    let shown = |turns: Vec<Turn>| async move {
        let shown = Shown::default();
        drop(Retrying::new(script(turns), 1).reply(&ModelRequest::default(), &shown).await);
        shown.0.into_inner().unwrap()
    };
    let yes = || Turn::from("yes");
    assert_eq!(shown(vec![Turn::from("y").then("e").fails(away(None)), yes()]).await, ["y", "e", "<", "yes"]);
    assert_eq!(shown(vec![fails(cut()), yes()]).await, ["<", "yes"], "it may be billed");
    assert_eq!(shown(vec![fails(busy(None)), yes()]).await, ["None", "yes"], "nothing happened");
    // The last one is left to whoever reads the error.
    assert_eq!(shown(vec![fails(busy(None)), Turn::from("y").fails(cut())]).await, ["None", "y"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_books_is_told_of_each_call_that_broke_off_and_asked_before_the_next() {
    let refused =
        Refused::Reached { limit: Limit::MaxRequestsPerMinute, whose: Whose::Agent, retry_after: None };
    let at_limit = ModelError::AtLimit { model: model(), refused: refused.clone() };
    for (answer, told) in [(Repeat::Refused(refused), at_limit), (Repeat::Ends, cut())] {
        let inner = script([fails(busy(None)), fails(cut()), Turn::from("never")]);
        let lets = Lets(Mutex::new((1, Vec::new())), answer);
        let reply = Retrying::new(Arc::clone(&inner), 5).reply(&ModelRequest::default(), &lets).await;
        assert_eq!(reply.unwrap_err(), told);
        assert_eq!(inner.asked(), 2, "what is not let through is not sent");
        assert_eq!(lets.0.into_inner().unwrap().1, ["free", "again?", "billed", "<", "again?"]);
    }
}

#[tokio::test(start_paused = true)]
async fn to_drop_it_ends_it() {
    let gate = Gate::new();
    let inner = script([fails(busy(None)), Turn::from("?").waits(&gate), Turn::from("never")]);
    let retrying = Retrying::new(Arc::clone(&inner), 5);
    {
        let request = ModelRequest::default();
        let mut call = Box::pin(retrying.reply(&request, &NoDeltas));
        tokio::select! {
            _ = &mut call => panic!("it waits"),
            () = gate.reached() => {}
        }
    }
    gate.open();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(inner.asked(), 2);
    assert_eq!((retrying.name(), format!("{retrying:?}").contains("5 times")), ("scripted/test", true));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_which_it_asks_again_is_told_and_the_one_that_it_returns_is_not() {
    let model = Retrying::new(script([fails(busy(Some(3))), fails(busy(None))]), 1);
    let shown = Shown::default();

    assert_eq!(model.reply(&ModelRequest::default(), &shown).await, Err(busy(None)));
    assert_eq!(*shown.0.lock().unwrap(), ["Some(3s)"]);
}
