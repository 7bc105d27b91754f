//! What agents take of the process, as people read it.

use agent_runtime::meter::{LongPoll, ProcessUsage};

/// What an agent takes.
pub(crate) fn taken(usage: &ProcessUsage) -> String {
    let memory = match (usage.memory_mb, usage.over_memory) {
        (None, _) => "memory not metered".to_owned(),
        (Some(mib), false) => format!("{mib:.1} MiB"),
        (Some(mib), true) => format!("{mib:.1} MiB, above its memory"),
    };
    let (cpu, longest) = (usage.cpu_percent, usage.longest_poll_ms);
    format!("{memory}; {cpu:.1} % of a processor in the last minute; longest poll {longest} ms")
}

/// Who blocks a thread, where, and for how long.
pub(crate) fn blocked(poll: &LongPoll) -> String {
    let steps: Vec<String> = poll.steps.iter().map(ToString::to_string).collect();
    let steps = if steps.is_empty() { "no step".to_owned() } else { format!("step {}", steps.join(", ")) };
    let seconds = poll.lasts_ms as f64 / 1_000.0;
    format!("{}, {}, {steps}: one poll for {seconds:.1} s", poll.agent, poll.run)
}

#[cfg(test)]
mod tests {
    use agent_runtime::UnixMillis;
    use agent_runtime::meter::{LongPoll, ProcessUsage};

    use super::{blocked, taken};

    #[test]
    fn what_is_not_measured_is_said_to_be_so() {
        let usage =
            ProcessUsage { cpu_percent: 2.25, longest_poll_ms: 40, cpu_ms: 1_350, ..ProcessUsage::default() };
        let rest = "2.2 % of a processor in the last minute; longest poll 40 ms";
        assert_eq!(taken(&usage), format!("memory not metered; {rest}"));
        let usage = ProcessUsage { memory_mb: Some(64.5), over_memory: true, ..usage };
        assert_eq!(taken(&usage), format!("64.5 MiB, above its memory; {rest}"));
    }

    #[test]
    fn who_blocks_is_named_with_run_and_steps() {
        let (agent, run) = (
            "agent:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00",
            "run:main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f01",
        );
        let poll = LongPoll {
            agent: agent.parse().unwrap(),
            run: run.parse().unwrap(),
            steps: Vec::new(),
            since: UnixMillis(0),
            lasts_ms: 1_250,
        };
        assert_eq!(blocked(&poll), format!("{agent}, {run}, no step: one poll for 1.2 s"));
    }
}
