//! `[health]`, and `health` of an agent.

use std::time::Duration;

use runtime_health::Phase;
use runtime_health::checks::{DiskBounds, ErrorBounds, LagBounds, PressureBounds, ResponseBounds};
use toml::de::DeValue;

use super::health::{AgentHealth, FleetHealth};
use super::measure::span;
use super::read::{Reader, Value};
use super::shown;
use super::suggest::instead;

const PHASES: [(&str, Phase); 6] = [
    ("queued", Phase::Queued),
    ("first_byte", Phase::FirstByte),
    ("between_tokens", Phase::BetweenTokens),
    ("tool", Phase::Tool),
    ("step", Phase::Step),
    ("wait", Phase::Wait),
];
const CHECKS: [&str; 11] = [
    "interval",
    "progress",
    "response_time",
    "error_rate",
    "pressure",
    "models",
    "store_latency",
    "bus_lag",
    "executor_lag",
    "blocked_threads",
    "disk_space",
];
const TABLE: &str = "write health = \"off\", or a table: [health] with interval = \"10s\" and tool = \"30m\"";
const TIME: &str = "write a number with s, m, h or d, as in \"30s\"";

/// A setting that is off, or has a value.
enum Set<T> {
    Off,
    To(T),
}

impl Reader<'_> {
    /// How all is watched; `None`: not at all. What is wrong with it is a fault, and the default stays.
    pub(super) fn health(&mut self, value: &Value<'_>) -> Option<FleetHealth> {
        let mut health = FleetHealth::default();
        if is_off(value) {
            return None;
        }
        let Some(table) = self.table("health", value, TABLE) else { return Some(health) };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if let Some((_, phase)) = PHASES.iter().find(|(phase, _)| *phase == name) {
                if let Some(bound) = self.span_of(name, value) {
                    health.settings.progress = health.settings.progress.map(|all| all.with(*phase, bound));
                }
                continue;
            }
            let checks = &mut health.settings;
            match name {
                "interval" => health.interval = self.span_of(name, value).unwrap_or(health.interval),
                "progress" => {
                    if is_off(value) {
                        checks.progress = None;
                    } else {
                        let remedy = "write progress = \"off\", or bounds of phases: queued, first_byte, between_tokens, tool, step, wait";
                        self.fault(&value.span(), "`progress` is not off", remedy);
                    }
                }
                "response_time" => {
                    if let Some(time) = self.lag(name, value) {
                        checks.response_time = time.set().map(ResponseBounds::of);
                    }
                }
                "error_rate" => {
                    if let Some(percent) = self.percent(name, value) {
                        checks.error_rate = percent.set().map(ErrorBounds::from_percent);
                    }
                }
                "pressure" => {
                    if let Some(percent) = self.percent(name, value) {
                        let bounds = |degraded_percent| PressureBounds { degraded_percent };
                        checks.pressure = percent.set().map(bounds);
                    }
                }
                "models" => {
                    if let Some(time) = self.lag(name, value) {
                        checks.models = time.set();
                    }
                }
                "store_latency" | "bus_lag" | "executor_lag" | "blocked_threads" => {
                    if let Some(time) = self.lag(name, value) {
                        let bounds = time.set().map(LagBounds::up_to);
                        *match name {
                            "store_latency" => &mut checks.store_latency,
                            "bus_lag" => &mut checks.bus_lag,
                            "executor_lag" => &mut checks.executor_lag,
                            _ => &mut checks.blocked_threads,
                        } = bounds;
                    }
                }
                "disk_space" => {
                    if is_off(value) {
                        health.disk_space = None;
                    } else if let Some(bytes) = self.size(name, value) {
                        health.disk_space = Some(DiskBounds::from_bytes(bytes));
                    }
                }
                other => {
                    let known: Vec<&str> = CHECKS.into_iter().chain(PHASES.map(|(name, _)| name)).collect();
                    let what = format!("`[health]` has no setting `{}`", shown(other));
                    self.fault(&key.span(), what, instead(other, &known));
                }
            }
        }
        Some(health)
    }

    /// How one agent is watched.
    pub(super) fn agent_health(&mut self, value: &Value<'_>) -> AgentHealth {
        let mut health = AgentHealth { off: is_off(value), ..AgentHealth::default() };
        if health.off {
            return health;
        }
        let remedy = "write health = \"off\", or a table, as in { interval = \"1m\", tool = \"30m\" }";
        let Some(table) = self.table("health", value, remedy) else { return health };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let phase = PHASES.iter().find(|(phase, _)| *phase == name).map(|(_, phase)| *phase);
            match (name, phase) {
                ("interval", _) => health.interval = self.span_of(name, value),
                (_, Some(phase)) => {
                    let bound = self.span_of(name, value);
                    health.bounds.extend(bound.map(|bound| (phase, bound)));
                }
                (other, None) => {
                    let known: Vec<&str> =
                        ["interval"].into_iter().chain(PHASES.map(|(name, _)| name)).collect();
                    let what = format!("`health` of an agent has no setting `{}`", shown(other));
                    self.fault(&key.span(), what, instead(other, &known));
                }
            }
        }
        health
    }

    fn span_of(&mut self, name: &str, value: &Value<'_>) -> Option<Duration> {
        let given = self.text(name, value, TIME)?;
        match span(&given) {
            Ok(time) if !time.is_zero() => Some(time),
            _ => {
                let what = format!("`{name}` is no time above 0: `{}`", shown(&given));
                self.fault(&value.span(), what, TIME);
                None
            }
        }
    }

    fn lag(&mut self, name: &str, value: &Value<'_>) -> Option<Set<Duration>> {
        if is_off(value) { Some(Set::Off) } else { self.span_of(name, value).map(Set::To) }
    }

    fn percent(&mut self, name: &str, value: &Value<'_>) -> Option<Set<u32>> {
        if is_off(value) {
            return Some(Set::Off);
        }
        let percent = match value.get_ref() {
            DeValue::Integer(integer) => u32::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        let percent = percent.filter(|percent| (1..=100).contains(percent));
        if percent.is_none() {
            let what = format!("`{name}` is no part in percent");
            self.fault(&value.span(), what, "write a whole number from 1 to 100, or \"off\"");
        }
        percent.map(Set::To)
    }
}

impl<T> Set<T> {
    fn set(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::To(value) => Some(value),
        }
    }
}

fn is_off(value: &Value<'_>) -> bool {
    matches!(value.get_ref(), DeValue::String(off) if off == "off")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime_health::checks::{LagBounds, PhaseBounds};

    use super::super::Fleet;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn health_is_watched_unless_it_is_switched_off() {
        let health = Fleet::parse("").unwrap().health.unwrap();
        assert_eq!(health.interval, Duration::from_secs(10));
        assert_eq!(health.settings.models, Some(MINUTE / 2));
        assert!(health.settings.progress.is_some() && health.settings.response_time.is_none());
        assert_eq!(Fleet::parse("health = \"off\"").unwrap().health, None);
    }

    #[test]
    fn checks_have_bounds_or_are_off() {
        let text = "[health]\ninterval = \"1m\"\ntool = \"30m\"\nstore_latency = \"8s\"\nbus_lag = \"off\"\n\
                    models = \"5m\"\nerror_rate = 20\npressure = \"off\"\nresponse_time = \"5s\"\ndisk_space = \"1 GiB\"\n";
        let health = Fleet::parse(text).unwrap().health.unwrap();
        assert_eq!(health.interval, MINUTE);
        let checks = health.settings;
        assert_eq!(checks.progress, Some(PhaseBounds { tool: 30 * MINUTE, ..PhaseBounds::default() }));
        let second = Duration::from_secs(1);
        assert_eq!(checks.store_latency, Some(LagBounds { degraded: 2 * second, unhealthy: 8 * second }));
        assert_eq!((checks.bus_lag, checks.pressure), (None, None));
        assert_eq!(checks.models, Some(5 * MINUTE));
        assert_eq!(checks.error_rate.unwrap().unhealthy_percent, 20);
        assert_eq!(checks.response_time.unwrap().times.degraded, 5 * second);
        assert_eq!(health.disk_space.unwrap().unhealthy_bytes, 1 << 30);
    }

    #[test]
    fn an_agent_has_bounds_of_its_own_or_is_not_watched() {
        let text = "[health]\nstep = \"2m\"\n[agents.slow]\nkind = \"librarian\"\n\
                    health = { interval = \"1m\", tool = \"1h\" }\n[agents.mute]\nkind = \"librarian\"\nhealth = \"off\"\n";
        let fleet = Fleet::parse(text).unwrap();
        assert_eq!(fleet.agents[0].health.interval, Some(MINUTE));
        assert!(fleet.agents[1].health.off);
        let settings = fleet.health_settings(None);
        let own = PhaseBounds { step: 2 * MINUTE, tool: 60 * MINUTE, ..PhaseBounds::default() };
        assert_eq!(settings.of_agents.into_values().collect::<Vec<_>>(), [own]);
        assert!(!fleet.agents[0].spec.config.get().contains("health"), "its kind is not told");
    }

    #[test]
    fn what_is_wrong_with_it_is_told_with_a_remedy() {
        let wrong = [
            ("health = 3", "`health` is an integer"),
            ("[health]\ninterval = \"0s\"", "`interval` is no time above 0"),
            ("[health]\ntool = \"soon\"", "`tool` is no time above 0"),
            ("[health]\nprogress = \"on\"", "`progress` is not off"),
            ("[health]\nerror_rate = 0", "no part in percent"),
            ("[health]\nerror_rate = \"all\"", "no part in percent"),
            ("[health]\nstore_latncy = \"1s\"", "did you mean `store_latency`"),
            ("[agents.a]\nkind = \"librarian\"\nhealth = { tol = \"1s\" }", "did you mean `tool`"),
            ("[agents.a]\nkind = \"librarian\"\nhealth = true", "`health` is a boolean"),
        ];
        for (text, told) in wrong {
            let faults = Fleet::parse(text).unwrap_err().to_string();
            assert!(faults.contains(told), "{text}: {faults}");
        }
    }
}
