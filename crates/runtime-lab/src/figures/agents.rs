//! What is run: an agent that does nothing, and one that takes steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use runtime_traits::agent::{Agent, AgentError, AgentKind, AgentSpec, Ctx, SpecError};
use runtime_traits::content::Content;
use runtime_traits::log::Effect;
use runtime_traits::name::Name;
use tokio::sync::Notify;

const NOOP: &str = "noop";
const STEPS: &str = "steps";

/// Gives its input back.
#[derive(Debug)]
struct Noop {
    name: Name,
}

/// Builds [`Noop`]s.
#[derive(Debug)]
pub(crate) struct NoopKind;

/// Takes so many steps, then one at which it is counted, and where the process may be told to stand still.
#[derive(Debug)]
struct Steps {
    name: Name,
    steps: u64,
    gate: Arc<Gate>,
}

/// Builds agents that take `steps` steps and then come to `gate`.
#[derive(Debug)]
pub(crate) struct StepsKind {
    pub(crate) steps: u64,
    pub(crate) gate: Arc<Gate>,
}

/// Where agents arrive.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Whoever comes stays.
    pub(crate) shut: bool,
    arrived: AtomicU64,
    came: Notify,
}

/// The declaration of an agent that does nothing.
pub(crate) fn noop(nth: u64) -> Result<AgentSpec, runtime_traits::NameError> {
    AgentSpec::new(NOOP, format!("noop-{nth}"))
}

/// The declaration of an agent that takes steps.
pub(crate) fn steps(nth: u64) -> Result<AgentSpec, runtime_traits::NameError> {
    AgentSpec::new(STEPS, format!("steps-{nth}"))
}

impl Gate {
    pub(crate) fn shut() -> Self {
        Self { shut: true, ..Self::default() }
    }

    /// Comes to the gate, and passes it unless it is shut.
    async fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        self.came.notify_one();
        if self.shut {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until so many have come.
    pub(crate) async fn until(&self, count: u64) {
        while self.arrived.load(Ordering::Acquire) < count {
            self.came.notified().await;
        }
    }
}

fn declared(kind: &str, name: &Name) -> AgentSpec {
    AgentSpec::new(kind, name.as_str()).expect("the kinds of this file have names")
}

#[async_trait]
impl Agent for Noop {
    fn spec(&self) -> AgentSpec {
        declared(NOOP, &self.name)
    }

    async fn run(&self, _: Ctx, input: Content) -> Result<Content, AgentError> {
        Ok(input)
    }
}

#[async_trait]
impl Agent for Steps {
    fn spec(&self) -> AgentSpec {
        declared(STEPS, &self.name)
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        for nth in 0..self.steps {
            let step = ctx.step("step", Effect::Repeatable, &nth, |_| async move { Ok(nth) });
            step.await?;
        }
        let gate = ctx.step("gate", Effect::Repeatable, "", |_| async move {
            self.gate.pass().await;
            Ok(())
        });
        gate.await?;
        Ok(input)
    }
}

impl AgentKind for NoopKind {
    fn name(&self) -> Name {
        Name::new(NOOP).expect("the kinds of this file have names")
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Noop { name: spec.name.clone() }))
    }
}

impl AgentKind for StepsKind {
    fn name(&self) -> Name {
        Name::new(STEPS).expect("the kinds of this file have names")
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        let gate = Arc::clone(&self.gate);
        Ok(Arc::new(Steps { name: spec.name.clone(), steps: self.steps, gate }))
    }
}
