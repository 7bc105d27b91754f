//! Scripted models, alone and asked once more, keep the contract of models.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_agents::{Gate, Retrying, ScriptedModel, Turn};
use runtime_testkit::suites::model::{Failure, ModelFixture, Opened, Provider, Scene};
use runtime_traits::model::Deltas;
use runtime_traits::{Cause, Model, ModelError, ModelReply, ModelRequest};
use tokio::sync::Semaphore;

/// Makes a model; with `retries`, one that is asked once more.
struct Scripted {
    retries: Option<u32>,
}

/// A model that tells when a call was left.
#[derive(Debug)]
struct Told {
    model: ScriptedModel,
    gate: Gate,
    left: Semaphore,
}

/// Tells it, unless the call came to its end.
struct Leaving<'a>(Option<&'a Semaphore>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(left) = self.0 {
            left.add_permits(1);
        }
    }
}

#[async_trait]
impl Model for Told {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn reply(&self, request: &ModelRequest, deltas: &dyn Deltas) -> Result<ModelReply, ModelError> {
        let mut leaving = Leaving(Some(&self.left));
        let reply = self.model.reply(request, deltas).await;
        leaving.0 = None;
        reply
    }
}

#[async_trait]
impl Provider for Told {
    fn calls(&self) -> usize {
        self.model.asked() as usize
    }

    async fn hangs(&self) {
        self.gate.reached().await;
    }

    async fn left(&self) {
        self.left.acquire().await.unwrap().forget();
    }
}

#[async_trait]
impl ModelFixture for Scripted {
    async fn open(&self, scenes: Vec<Scene>) -> Opened {
        let gate = Gate::new();
        let turns = scenes.iter().map(|scene| turn(scene, &gate)).collect::<Vec<_>>();
        let model = ScriptedModel::in_order("test", turns);
        let told = Arc::new(Told { model, gate, left: Semaphore::new(0) });
        let model: Arc<dyn Model> = match self.retries {
            None => told.clone(),
            Some(retries) => {
                Arc::new(Retrying::new(told.clone(), retries).waits(Duration::ZERO, Duration::ZERO))
            }
        };
        Opened { model, provider: told }
    }
}

fn turn(scene: &Scene, gate: &Gate) -> Turn {
    let says = |pieces: &[&str]| pieces.iter().fold(Turn::default(), |turn, piece| turn.then(*piece));
    let name = || "scripted/test".to_owned();
    match scene {
        Scene::Says(pieces, Some(usage)) => says(pieces).used(usage.input, usage.output),
        Scene::Says(pieces, None) => says(pieces),
        Scene::Breaks(pieces) => {
            says(pieces).fails(ModelError::Cut { model: name(), cause: Cause::says("reset") })
        }
        Scene::Hangs(pieces) => says(pieces).waits(gate),
        Scene::Fails(failure) => {
            let (model, said) = (name(), "no".to_owned());
            Turn::default().fails(match failure {
                Failure::Key => ModelError::Key { model, said },
                Failure::UnknownModel => ModelError::UnknownModel { model, said },
                Failure::Refuses => ModelError::Refused { model, status: 400, said },
                Failure::Busy => ModelError::RateLimited { model, retry_after: None },
                Failure::Trouble => ModelError::Unavailable { model, status: 500, said, retry_after: None },
                Failure::Garbage => ModelError::NoReply { model, said },
            })
        }
    }
}

mod alone {
    runtime_testkit::model_conformance!(super::Scripted { retries: None });
}

mod once_more {
    runtime_testkit::model_conformance!(super::Scripted { retries: Some(3) });
}
