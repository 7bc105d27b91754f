//! `recovery` and `stall` of an agent.

use std::time::Duration;

use runtime_traits::recovery::{AgentRecovery, RestartWhen, StallLimits};
use toml::de::DeValue;

use super::measure::span;
use super::read::{Reader, Value, a};
use super::suggest::instead;

const RECOVERY: [&str; 8] =
    ["restart", "attempts", "retries", "pause", "longest_pause", "most", "within", "cool_down"];
const STALL: [&str; 4] = ["first_byte", "between_tokens", "tool", "step"];
const RESTARTS: [&str; 2] = ["never", "on-failure"];

impl Reader<'_> {
    /// How failures of its runs are recovered from.
    pub(super) fn recovery(&mut self, value: &Value<'_>) -> Option<AgentRecovery> {
        let remedy = "write a table, as in { restart = \"on-failure\", attempts = 3 }";
        let table = self.table("recovery", value, remedy)?;
        let mut recovery = AgentRecovery::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                "restart" => recovery.restart = self.restart(value).unwrap_or_default(),
                "attempts" => set(&mut recovery.attempts, self.times(name, value)),
                "retries" => set(&mut recovery.retries, self.times(name, value)),
                "most" => set(&mut recovery.most, self.times(name, value)),
                "pause" => set(&mut recovery.pause_ms, self.millis(name, value)),
                "longest_pause" => set(&mut recovery.longest_pause_ms, self.millis(name, value)),
                "within" => set(&mut recovery.within_ms, self.millis(name, value)),
                "cool_down" => set(&mut recovery.cool_down_ms, self.millis(name, value)),
                other => {
                    let what = format!("`recovery` has no setting `{other}`");
                    self.fault(&key.span(), what, instead(other, &RECOVERY));
                }
            }
        }
        if let Err(fault) = recovery.check() {
            let text = fault.to_string();
            let (what, remedy) =
                text.split_once("; ").or(text.split_once(": ")).unwrap_or((&text, "change it"));
            self.fault(&value.span(), what, remedy);
        }
        Some(recovery)
    }

    /// How long its runs may stand still.
    pub(super) fn stall(&mut self, value: &Value<'_>) -> StallLimits {
        let mut stall = StallLimits::default();
        let remedy = "write a table, as in { first_byte = \"5m\", tool = \"1h\" }";
        let Some(table) = self.table("stall", value, remedy) else { return stall };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let bound = match name {
                "first_byte" => &mut stall.first_byte_ms,
                "between_tokens" => &mut stall.between_tokens_ms,
                "tool" => &mut stall.tool_ms,
                "step" => &mut stall.step_ms,
                other => {
                    let what = format!("`stall` has no setting `{other}`");
                    self.fault(&key.span(), what, instead(other, &STALL));
                    continue;
                }
            };
            *bound = self.millis(name, value);
        }
        if let Some(bound) = stall.of_no_time() {
            let what = format!("`stall.{bound}` is no time, so that nothing could stay within it");
            self.fault(&value.span(), what, "raise it, or leave it out");
        }
        stall
    }

    fn restart(&mut self, value: &Value<'_>) -> Option<RestartWhen> {
        let given = self.text("restart", value, "write \"never\" or \"on-failure\"")?;
        match given.as_str() {
            "never" => Some(RestartWhen::Never),
            "on-failure" => Some(RestartWhen::OnFailure),
            "always" => {
                let remedy = "write \"on-failure\"; a run that is to go on for ever goes on as a new one (`continue_as`)";
                self.fault(&value.span(), "a run that has its outcome is not restarted", remedy);
                None
            }
            other => {
                self.fault(
                    &value.span(),
                    format!("there is no restart `{other}`"),
                    instead(other, &RESTARTS),
                );
                None
            }
        }
    }

    fn times(&mut self, name: &str, value: &Value<'_>) -> Option<u32> {
        let count = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if count.is_none() {
            let what = format!("`{name}` is {}, and no number of times", a(value.get_ref()));
            self.fault(&value.span(), what, "write a whole number, as in 3");
        }
        count
    }

    fn millis(&mut self, name: &str, value: &Value<'_>) -> Option<u64> {
        let remedy = "write a time in quotation marks, as in \"30s\" or \"5m\"";
        let given = self.text(name, value, remedy)?;
        let read =
            span(&given).map_err(|_| self.fault(&value.span(), format!("`{name}` is no time"), remedy));
        read.ok().map(|time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

fn set<T>(setting: &mut T, read: Option<T>) {
    if let Some(read) = read {
        *setting = read;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fleet;
    use super::*;

    fn parse(settings: &str) -> Result<(Option<AgentRecovery>, StallLimits), String> {
        let fleet = Fleet::parse(&format!("[agents.a]\nkind = \"llm\"\n{settings}"));
        fleet
            .map(|fleet| (fleet.agents[0].spec.recovery, fleet.agents[0].spec.stall))
            .map_err(|f| f.to_string())
    }

    #[test]
    fn what_is_declared_is_read_and_the_rest_is_as_by_default() {
        assert_eq!(parse("").unwrap(), (None, StallLimits::default()));
        let (recovery, stall) = parse(
            "stall = { first_byte = \"5m\", step = \"1h\" }\n[agents.a.recovery]\nrestart = \"never\"\nattempts = 4\npause = \"2s\"\nwithin = \"10m\"",
        )
        .unwrap();
        let declared = AgentRecovery {
            restart: RestartWhen::Never,
            attempts: 4,
            pause_ms: 2_000,
            within_ms: 600_000,
            ..AgentRecovery::default()
        };
        assert_eq!(recovery, Some(declared));
        let bounds =
            StallLimits { first_byte_ms: Some(300_000), step_ms: Some(3_600_000), ..Default::default() };
        assert_eq!(stall, bounds);
    }

    #[test]
    fn what_is_wrong_with_it_is_told_with_a_remedy() {
        let wrong = [
            ("recovery = 3", "`recovery` is an integer"),
            ("recovery = { attempts = 0 }", "`recovery.attempts` is 0"),
            ("recovery = { most = 0 }", "`recovery.most` is 0"),
            ("recovery = { within = \"0s\" }", "`recovery.within` is no time"),
            ("recovery = { pause = \"5m\" }", "`recovery.pause` is above `recovery.longest_pause`"),
            ("recovery = { restart = \"always\" }", "a run that has its outcome is not restarted"),
            ("recovery = { restart = \"on-failur\" }", "did you mean `on-failure`"),
            ("recovery = { atempts = 1 }", "did you mean `attempts`"),
            ("recovery = { attempts = \"two\" }", "no number of times"),
            ("recovery = { pause = \"soon\" }", "`pause` is no time"),
            ("stall = { tool = \"0s\" }", "`stall.tool` is no time"),
            ("stall = { tol = \"1s\" }", "did you mean `tool`"),
        ];
        for (text, told) in wrong {
            let faults = parse(text).unwrap_err();
            assert!(faults.contains(told), "{text}: {faults}");
        }
    }
}
