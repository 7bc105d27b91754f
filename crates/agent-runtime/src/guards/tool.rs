//! A tool that is not called while what it needs is away.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use runtime_health::CallOutcome;
use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, Reconciled, StepCall, Tool, UnixMillis};

use super::Guards;
use super::guard::{Guard, Pass, Sort, What};

/// A tool that is not called while what it needs is away: its model is answered so, whatever the tool's effect, for nothing was done.
/// No run waits for a tool: the model may do without it.
///
/// An error that says [that it is away](AgentError::is_away) counts against it, and so does a call that is given up because its time
/// is over; every other error is an answer, which says that it is there. Asking what became of an earlier call is never held off.
pub struct GuardedTool<T> {
    tool: T,
    guards: Guards,
}

impl<T: Tool> GuardedTool<T> {
    pub(super) fn new(tool: T, guards: Guards) -> Self {
        Self { tool, guards }
    }
}

#[async_trait]
impl<T: Tool> Tool for GuardedTool<T> {
    fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    fn effect(&self) -> Effect {
        self.tool.effect()
    }

    fn within(&self) -> Duration {
        self.tool.within()
    }

    fn silence(&self) -> Option<Duration> {
        self.tool.silence()
    }

    fn place(&self, arguments: &str) -> Option<String> {
        self.tool.place(arguments)
    }

    fn needs_approval(&self, arguments: &str) -> bool {
        self.tool.needs_approval(arguments)
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        let (name, at) = (self.spec().name.clone(), self.place(arguments));
        let guard =
            self.guards.guard(What { sort: Sort::Tool, name: name.clone(), at: at.clone(), key: None });
        let pass = guard.enter().map_err(|retry_after| {
            let at = at.map(|at| format!(" at `{at}`")).unwrap_or_default();
            let seconds = retry_after.as_secs().max(1);
            let said = format!(
                "`{name}`{at} failed too often of late and was not called: nothing was done; try again in {seconds} s, or do \
                 without it"
            );
            AgentError::away(said, Some(retry_after))
        })?;
        guard.tell().await;
        let timed = Timed { began: guard.now(), within: self.within(), guard: &guard, pass: Some(pass) };
        let said = self.tool.call(call, arguments).await;
        timed.settle(match &said {
            Err(error) if error.is_away() => CallOutcome::Failed,
            Ok(_) | Err(_) => CallOutcome::Worked,
        });
        guard.tell().await;
        said
    }

    async fn reconcile(&self, call: &StepCall, arguments: &str) -> Result<Reconciled<String>, AgentError> {
        self.tool.reconcile(call, arguments).await
    }
}

impl<T: fmt::Debug> fmt::Debug for GuardedTool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedTool({:?})", self.tool)
    }
}

/// A call that counts as failed when it is dropped because its time is over; one that is dropped before says nothing.
struct Timed<'a> {
    began: UnixMillis,
    within: Duration,
    guard: &'a Guard,
    pass: Option<Pass<'a>>,
}

impl Timed<'_> {
    fn settle(mut self, outcome: CallOutcome) {
        if let Some(pass) = self.pass.take() {
            pass.settle(outcome);
        }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        // Its time began a little before this call did.
        let is_over = self.guard.now().since(self.began) >= self.within.mul_f64(0.95);
        pass.settle(if is_over { CallOutcome::Failed } else { CallOutcome::Neutral });
    }
}
