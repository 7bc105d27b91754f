//! A runtime with the testkit's agents on it: what the cases have in common.

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::log::Phase;
use runtime_traits::runtime::{Finished, Joined, RunFilter};
use runtime_traits::{AgentRef, AgentSpec, RunId, RunRequest, RunView, Runtime, SessionName};

use crate::agents::{Gates, kinds};
use crate::suites::runtime::RuntimeFixture;

/// Longer than anything takes that ends at all.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// A runtime that hosts the testkit's kinds.
pub(super) struct Scene {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) gates: Gates,
}

impl Scene {
    pub(super) async fn of(fixture: &dyn RuntimeFixture) -> Self {
        let gates = Gates::new();
        let runtime = fixture.open(kinds(&gates)).await;
        Self { runtime, gates }
    }

    /// What a crash leaves. The gates are the world outside: they are not part of the process.
    pub(super) async fn crash(self, fixture: &dyn RuntimeFixture) -> Option<Self> {
        let Self { runtime, gates } = self;
        let runtime = fixture.crash(runtime, kinds(&gates)).await?;
        Some(Self { runtime, gates })
    }

    /// A started agent of `kind`, named after it.
    pub(super) async fn started(&self, kind: &str) -> AgentRef {
        let agent = self.registered(kind).await;
        self.runtime.start(&agent).await.expect("a registered agent starts");
        agent
    }

    /// An agent of `kind`, named after it.
    pub(super) async fn registered(&self, kind: &str) -> AgentRef {
        let spec = AgentSpec::new(kind, kind).expect("names");
        let agent = self.runtime.register(spec).await.expect("a good declaration is registered");
        AgentRef::Id(agent)
    }

    pub(super) async fn submit(&self, agent: &AgentRef, request: impl Into<RunRequest>) -> RunId {
        let submitted = self.runtime.submit(agent, request.into()).await;
        submitted.expect("a started agent takes runs").run
    }

    /// The run with its outcome.
    pub(super) async fn ended(&self, run: &RunId) -> Finished {
        let joined = self.runtime.join(run, LONG).await.expect("the run is there");
        let ended = match joined {
            Joined::Ended(finished) => Ok(finished),
            Joined::Open(view) => Err(view),
        };
        ended.expect("the run ends")
    }

    /// The output of a run that completes.
    pub(super) async fn output(&self, run: &RunId) -> String {
        self.ended(run).await.into_result().expect("the run completes").output.to_string()
    }

    /// Runs an agent to its output.
    pub(super) async fn run(&self, agent: &AgentRef, request: impl Into<RunRequest>) -> String {
        let run = self.submit(agent, request).await;
        self.output(&run).await
    }

    pub(super) async fn view(&self, run: &RunId) -> RunView {
        self.runtime.run_status(run).await.expect("the run is there")
    }

    pub(super) async fn phase(&self, run: &RunId) -> Phase {
        self.view(run).await.phase
    }

    /// Waits until `holds` of the run.
    pub(super) async fn until(&self, run: &RunId, holds: impl Fn(&RunView) -> bool) -> RunView {
        loop {
            let view = self.view(run).await;
            if holds(&view) {
                return view;
            }
            tokio::task::yield_now().await;
        }
    }

    /// How many runs there are.
    pub(super) async fn runs(&self) -> usize {
        let page = self.runtime.runs(RunFilter::default()).await.expect("runs are listed");
        page.items.len()
    }

    /// Lets the runtime come round: whatever was ready before this has had its turn after it.
    pub(super) async fn come_round(&self) {
        let agent = self.started("shout").await;
        for _ in 0..3 {
            assert_eq!(self.run(&agent, "round").await, "ROUND");
        }
    }
}

pub(super) fn session(name: &str) -> SessionName {
    SessionName::new(name).expect("a name")
}
