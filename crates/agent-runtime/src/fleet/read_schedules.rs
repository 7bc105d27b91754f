//! `[agents.NAME.schedules.NAME]`.

use std::ops::Range;

use runtime_core::engine::schedule::times_of;
use runtime_traits::schedule::{Missed, Schedule, Timing};
use runtime_traits::{Name, RunRequest, ScheduleError, SessionName, UnixMillis};
use toml::de::DeValue;

use super::measure::span;
use super::read::{Reader, Value, a};
use super::shown;
use super::suggest::instead;

const SETTINGS: [&str; 7] = ["cron", "zone", "every", "missed", "input", "session", "priority"];
const RULES: [&str; 3] = ["skip", "once", "all"];
const TIMING: &str = "write cron = \"30 9 * * mon-fri\" or every = \"10m\"";

/// What a schedule's table says so far.
#[derive(Default)]
struct Said {
    cron: Option<(String, Range<usize>)>,
    zone: Option<(String, Range<usize>)>,
    every: Option<(u64, Range<usize>)>,
    missed: Missed,
    input: Option<String>,
    session: SessionName,
    priority: u8,
    /// Something of it is wrong, and told.
    faulty: bool,
}

impl Reader<'_> {
    /// The schedules of an agent.
    pub(super) fn schedules(&mut self, agent: &str, value: &Value<'_>) -> Vec<Schedule> {
        let remedy = format!("write a table for each: [agents.{agent}.schedules.NAME]");
        let Some(table) = self.table("schedules", value, &remedy) else { return Vec::new() };
        let mut schedules: Vec<Schedule> = Vec::new();
        for (key, value) in table {
            let Some(schedule) = self.schedule(key.get_ref(), &key.span(), value) else { continue };
            if schedules.iter().any(|other| other.name.folded() == schedule.name.folded()) {
                let what = format!("two schedules are called `{}`", schedule.name);
                self.fault(&key.span(), what, "names differ in more than case; choose another");
                continue;
            }
            schedules.push(schedule);
        }
        schedules.sort_by(|a, b| a.name.cmp(&b.name));
        schedules
    }

    fn schedule(&mut self, name: &str, at: &Range<usize>, value: &Value<'_>) -> Option<Schedule> {
        let table = self.table(&format!("schedules.{}", shown(name)), value, TIMING)?;
        let named = Name::new(name).map_err(|_| {
            let what = format!("`{}` is no name of a schedule", shown(name));
            let remedy = "use 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";
            self.fault(at, what, remedy);
        });
        let mut said = Said::default();
        for (key, value) in table {
            self.setting(key.get_ref(), &key.span(), value, &mut said);
        }
        if said.input.is_none() && !said.faulty {
            let what = format!("schedule `{}` has no input", shown(name));
            self.fault(at, what, "add input = \"…\": what the agent shall work on, each time");
        }
        let timing = self.timing(name, at, &said)?;
        let (name, input) = (named.ok()?, said.input?);
        let run = RunRequest::new(input).in_session(said.session).with_priority(said.priority);
        Some(Schedule::new(name, timing, run).when_missed(said.missed))
    }

    fn setting(&mut self, key: &str, at: &Range<usize>, value: &Value<'_>, said: &mut Said) {
        let mut text = |reader: &mut Self, remedy: &str| {
            let text = reader.text(key, value, remedy);
            said.faulty |= text.is_none();
            text
        };
        match key {
            "cron" => said.cron = text(self, TIMING).map(|line| (line, value.span())),
            "zone" => {
                let remedy = "write a name like \"Europe/Berlin\"";
                said.zone = text(self, remedy).map(|zone| (zone, value.span()));
            }
            "input" => said.input = text(self, "write a text in quotation marks"),
            "every" => {
                let Some(given) = text(self, "write a time like \"10m\"") else { return };
                let ms = span(&given).map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
                let what = || format!("`every` is no time: `{}`", shown(&given));
                let read = ms.map_err(|remedy| self.fault(&value.span(), what(), remedy));
                said.faulty |= read.is_err();
                said.every = read.ok().map(|ms| (ms, value.span()));
            }
            "missed" => {
                let Some(given) = text(self, "write \"skip\", \"once\" or \"all\"") else { return };
                match given.as_str() {
                    "skip" => said.missed = Missed::Skip,
                    "once" => said.missed = Missed::Once,
                    "all" => said.missed = Missed::All,
                    other => {
                        let what = format!("there is no rule `{}` for what is missed", shown(other));
                        self.fault(&value.span(), what, instead(other, &RULES));
                    }
                }
            }
            "session" => {
                let Some(given) = text(self, "write a name in quotation marks") else { return };
                match SessionName::new(&given) {
                    Ok(session) => said.session = session,
                    Err(_) => {
                        let what = format!("`{}` is no name of a session", shown(&given));
                        self.fault(&value.span(), what, "use letters, digits, `.`, `_` and `-`");
                    }
                }
            }
            "priority" => match value.get_ref() {
                DeValue::Integer(number) if number.as_str().parse::<u8>().is_ok() => {
                    said.priority = number.as_str().parse().unwrap_or_default();
                }
                other => {
                    let what = format!("`priority` is {}", a(other));
                    self.fault(&value.span(), what, "write a whole number from 0 to 255");
                }
            },
            "at" | "once" => {
                let what = "one moment is nothing that lasts, as what a file declares does";
                self.fault(at, what, "add it with `agent-runtime schedules add … --at MOMENT`");
                said.faulty = true;
            }
            other => {
                let what = format!("a schedule has no setting `{}`", shown(other));
                self.fault(at, what, instead(other, &SETTINGS));
            }
        }
    }

    fn timing(&mut self, name: &str, at: &Range<usize>, said: &Said) -> Option<Timing> {
        let (timing, place) = match (&said.cron, &said.every) {
            (Some((line, place)), None) => {
                let zone = said.zone.as_ref().map_or("UTC", |(zone, _)| zone);
                (Timing::cron(line).in_zone(zone), place)
            }
            (None, Some((ms, place))) => (Timing::Every { ms: *ms, from: None }, place),
            (Some(_), Some((_, place))) => {
                self.fault(
                    place,
                    "a schedule fires by `cron` or `every`, not by both",
                    "take one of them out",
                );
                return None;
            }
            (None, None) => {
                if !said.faulty {
                    let what = format!("schedule `{}` does not say when it fires", shown(name));
                    self.fault(at, what, TIMING);
                }
                return None;
            }
        };
        if let (Some((_, place)), None) = (&said.zone, &said.cron) {
            self.fault(place, "`zone` is of `cron` alone", "take it out");
        }
        match times_of(&timing, UnixMillis(0)) {
            Ok(_) => Some(timing),
            Err(error) => {
                let place = match (&error, &said.zone) {
                    (ScheduleError::UnknownZone { .. }, Some((_, zone))) => zone,
                    _ => place,
                };
                let text = error.to_string();
                let (what, remedy) = text.rsplit_once("; ").unwrap_or((&text, TIMING));
                self.fault(place, what, remedy);
                None
            }
        }
    }
}
