//! The suite of models: a right model passes it, and each wrong one fails the case of its clause, and no other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use runtime_testkit::suites::model::{CASES, Failure, ModelFixture, Opened, Provider, Scene};
use runtime_traits::model::{Deltas, ModelError, ModelReply, ModelRequest, TokenUsage};
use runtime_traits::{Cause, Model};
use tokio::sync::Semaphore;

/// What a model does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// The reply lacks its last piece, and shows no more than that.
    LosesTheEnd,
    /// A piece is shown twice.
    ShowsTwice,
    /// It repeats, and takes nothing back.
    KeepsWhatWasShown,
    /// No usage is a usage of nothing.
    SaysZero,
    /// The call goes on in a task of its own.
    GoesOn,
    /// Every failure is one of the connection.
    OneError,
}

const FLAWS: [(Flaw, &str); 6] = [
    (Flaw::LosesTheEnd, "whole-reply"),
    (Flaw::ShowsTwice, "deltas-add-up"),
    (Flaw::KeepsWhatWasShown, "repeat-retracts"),
    (Flaw::SaysZero, "usage-or-none"),
    (Flaw::GoesOn, "droppable"),
    (Flaw::OneError, "errors-are-typed"),
];

#[derive(Debug)]
struct Behind {
    scenes: Vec<Scene>,
    calls: AtomicUsize,
    hangs: Semaphore,
    left: Semaphore,
}

#[derive(Debug)]
struct Fake {
    behind: Arc<Behind>,
    flaw: Flaw,
}

struct Fixture(Flaw);

/// Tells when it is dropped.
struct Leaves(Arc<Behind>, bool);

impl Drop for Leaves {
    fn drop(&mut self) {
        if self.1 {
            self.0.left.add_permits(1);
        }
    }
}

#[async_trait]
impl Provider for Behind {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn hangs(&self) {
        self.hangs.acquire().await.unwrap().forget();
    }

    async fn left(&self) {
        self.left.acquire().await.unwrap().forget();
    }
}

#[async_trait]
impl ModelFixture for Fixture {
    async fn open(&self, scenes: Vec<Scene>) -> Opened {
        let (hangs, left) = (Semaphore::new(0), Semaphore::new(0));
        let behind = Arc::new(Behind { scenes, calls: AtomicUsize::new(0), hangs, left });
        let model = Arc::new(Fake { behind: Arc::clone(&behind), flaw: self.0 });
        Opened { model, provider: behind }
    }
}

fn error(failure: Failure) -> ModelError {
    let (model, said) = ("fake/model".to_owned(), "no".to_owned());
    match failure {
        Failure::Key => ModelError::Key { model, said },
        Failure::UnknownModel => ModelError::UnknownModel { model, said },
        Failure::Refuses => ModelError::Refused { model, status: 400, said },
        Failure::Busy => ModelError::RateLimited { model, retry_after: None },
        Failure::Trouble => ModelError::Unavailable { model, status: 500, said, retry_after: None },
        Failure::Garbage => ModelError::NoReply { model, said },
    }
}

fn cut() -> ModelError {
    ModelError::Cut { model: "fake/model".to_owned(), cause: Cause::says("reset") }
}

impl Fake {
    async fn call(&self, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let behind = Arc::clone(&self.behind);
        let scene = behind.scenes[behind.calls.fetch_add(1, Ordering::SeqCst)].clone();
        let show = |pieces: &[&str]| {
            for (at, piece) in pieces.iter().enumerate() {
                deltas.text(piece);
                if self.flaw == Flaw::ShowsTwice && at > 1 {
                    deltas.text(piece);
                }
            }
        };
        match scene {
            Scene::Says(pieces, usage) => {
                let short = self.flaw == Flaw::LosesTheEnd && pieces.last() == Some(&".");
                let pieces = if short { &pieces[..pieces.len() - 1] } else { pieces };
                show(pieces);
                let zero = (self.flaw == Flaw::SaysZero).then(TokenUsage::default);
                Ok(ModelReply { text: pieces.concat(), usage: usage.or(zero), ..ModelReply::default() })
            }
            Scene::Breaks(pieces) => {
                show(pieces);
                Err(cut())
            }
            Scene::Hangs(pieces) => {
                show(pieces);
                let _leaves = Leaves(Arc::clone(&behind), self.flaw != Flaw::GoesOn);
                behind.hangs.add_permits(1);
                std::future::pending().await
            }
            Scene::Fails(_) if self.flaw == Flaw::OneError => Err(cut()),
            Scene::Fails(failure) => Err(error(failure)),
        }
    }
}

#[async_trait]
impl Model for Fake {
    fn name(&self) -> &str {
        "fake/model"
    }

    async fn reply(&self, _: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        match self.call(deltas).await {
            Err(ModelError::Cut { .. }) if self.flaw != Flaw::OneError => {
                if self.flaw != Flaw::KeepsWhatWasShown {
                    deltas.retract();
                }
                self.call(deltas).await
            }
            other => other,
        }
    }
}

/// The clauses whose cases fail.
fn broken(flaw: Flaw) -> Vec<&'static str> {
    let fails = |case: &&runtime_testkit::suites::model::Case| {
        let fixture = Fixture(flaw);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(AssertUnwindSafe((case.run)(&fixture)).catch_unwind()).is_err()
    };
    CASES.iter().filter(fails).map(|case| case.clause).collect()
}

#[test]
fn a_right_model_passes() {
    assert_eq!(broken(Flaw::None), Vec::<&str>::new());
}

#[test]
fn each_wrong_model_fails_the_case_of_its_clause_alone() {
    for (flaw, clause) in FLAWS {
        assert_eq!(broken(flaw), [clause], "{flaw:?}");
    }
    assert_eq!(
        FLAWS.map(|(_, clause)| clause).to_vec(),
        CASES.iter().map(|case| case.clause).collect::<Vec<_>>()
    );
}

mod right {
    runtime_testkit::model_conformance!(super::Fixture(super::Flaw::None));
}
