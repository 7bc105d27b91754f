//! Runs, their steps, and what they wait for.

use super::announced;

announced! { "agents";
    /// A run was accepted: it is never lost.
    RunAccepted "run.accepted" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// On whose behalf.
        principal: Option<String>,
    }
    /// A run began, or went on in another process.
    RunStarted "run.started" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// Counts its executions.
        attempt: u32,
    }
    /// A run is over, with an output.
    RunCompleted "run.completed" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// Tokens that it sent.
        input_tokens: u64,
        /// Tokens that it got.
        output_tokens: u64,
    }
    /// A run is over, without an output.
    RunFailed "run.failed" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// What kind of failure it was.
        kind: String,
        /// What was said.
        message: String,
    }
    /// A run was cancelled.
    RunCancelled "run.cancelled" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// By whom.
        by: String,
        /// Whether all that it did outside is known to have ended.
        complete: bool,
    }
    /// A run was taken back.
    RunRolledBack "run.rolled-back" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
    }
    /// A run goes on as another one.
    RunContinued "run.continued" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// The run that it goes on as.
        successor: String,
    }
    /// A step may have its effect from now on.
    StepDispatched "step.dispatched" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// Counts its tries.
        try_no: u32,
    }
    /// A step has its result, for good.
    StepSettled "step.settled" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// Whether it is a failure.
        failed: bool,
    }
    /// Nobody knows whether a step had its effect.
    StepUnknown "step.unknown" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// Why nobody knows.
        cause: String,
    }
    /// Somebody said what becomes of a step.
    StepDecided "step.decided" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The step.
        step: String,
        /// What: `repeat`, `assume` or `fail`.
        verdict: String,
        /// Who.
        by: String,
    }
    /// A run is in quarantine: it waits for an operator, and its session goes on without it.
    RunQuarantined "run.quarantined" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// Why.
        why: String,
    }
    /// A person let a run out of quarantine.
    RunRequeued "run.requeued" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The session.
        session: String,
        /// By whom.
        by: String,
    }
    /// A run waits.
    WaitOpened "wait.opened" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The wait.
        wait: String,
        /// What for.
        on: String,
        /// Until when at the latest, in milliseconds since 1970.
        wake_at: Option<u64>,
    }
    /// A run waits no longer.
    WaitClosed "wait.closed" of agent {
        /// The agent's name.
        agent: String,
        /// The run.
        run: String,
        /// The wait.
        wait: String,
        /// By whom.
        by: String,
    }
}
