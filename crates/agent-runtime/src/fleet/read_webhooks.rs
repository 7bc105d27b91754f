//! `[[webhooks]]`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use runtime_traits::Name;
use runtime_traits::bus::TopicRule;
use toml::de::{DeTable, DeValue};

use super::measure::span;
use super::read::{Reader, Value, a};
use super::suggest::instead;
use super::webhooks::FleetWebhook;
use super::{Fleet, shown};
use crate::webhooks::{RunEnd, Webhook, WebhookError, topic_rules};

const SETTINGS: [&str; 11] = [
    "name",
    "url",
    "secret",
    "events",
    "agents",
    "allow_private",
    "attempts",
    "first_pause",
    "give_up_after",
    "timeout",
    "at_once",
];
const NAME: &str = "use 1 to 56 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";
const SECRET: &str = "write \"env:NAME\" or \"file:PATH\", or a list of them while it changes";
const EVENTS: &str = "write a list, as in [\"run.completed\", \"run.failed\"]";
const AGENTS: &str = "write a list of agents' names, as in [\"librarian\"]";
const TIME: &str = "write a time, as in \"5s\"";
/// The longest time that a delivery may take.
const LONGEST: Duration = Duration::from_secs(60);

impl Reader<'_> {
    /// The webhooks, and what the bus has to keep for them.
    pub(super) fn webhooks(&mut self, fleet: &mut Fleet, value: &Value<'_>) {
        let remedy = "write a table for each: [[webhooks]] with name = \"billing\", url = \"https://…\", secret = \"env:NAME\"";
        let tables = self.tables("webhooks", value, remedy);
        let mut told: Vec<Webhook> = Vec::new();
        for (at, table) in tables {
            let Some(webhook) = self.webhook(&at, table) else { continue };
            match webhook.unsigned() {
                Err(error) => self.refuse(&at, table, &error),
                Ok(unsigned) => {
                    let twin = |other: &Webhook| other.name().folded() == webhook.name.folded();
                    if told.iter().any(twin) {
                        let what = format!("two webhooks are called `{}`", webhook.name);
                        self.fault(&at, what, "choose another name");
                    } else {
                        told.push(unsigned);
                        fleet.webhooks.push(webhook);
                    }
                }
            }
        }
        let rules = topic_rules(&told);
        for rule in &rules {
            let unkept = fleet.bus.topics.iter().find(|given| unkeeps(given, rule));
            if let Some(given) = unkept {
                let what = format!(
                    "webhooks need `{}`, and a rule about `{}` does not keep it",
                    rule.pattern, given.pattern
                );
                self.fault(&value.span(), what, "give that rule of [[events.topics]] a `keep`");
            }
        }
        // Behind those of the file, which hold first.
        fleet.bus.topics.extend(rules);
    }

    fn webhook(&mut self, at: &Range<usize>, table: &DeTable<'_>) -> Option<FleetWebhook> {
        let (mut name, mut url, mut secrets) = (None, None, None);
        let mut ends = None;
        let mut agents = Vec::new();
        let mut allow_private = false;
        let (mut attempts, mut at_once) = (None, None);
        let (mut first_pause, mut give_up_after, mut timeout) = (None, None, None);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => name = Some(self.name_of_webhook(value)),
                "url" => url = Some(self.text("url", value, "write it as \"https://HOST/PATH\"")),
                "secret" => secrets = Some(self.secrets(value)),
                "events" => ends = self.ends(value),
                "agents" => agents = self.agents_of_webhook(value),
                "allow_private" => match value.get_ref() {
                    DeValue::Boolean(allow) => allow_private = *allow,
                    other => {
                        let what = format!("`allow_private` is {}", a(other));
                        self.fault(&value.span(), what, "write true or false");
                    }
                },
                "attempts" => attempts = self.count("attempts", value, 100),
                "at_once" => at_once = self.count("at_once", value, 64),
                "first_pause" => first_pause = self.time("first_pause", value, Duration::MAX),
                "give_up_after" => give_up_after = self.time("give_up_after", value, Duration::MAX),
                "timeout" => timeout = self.time("timeout", value, LONGEST),
                other => {
                    let what = format!("a webhook has no setting `{}`", shown(other));
                    self.fault(&key.span(), what, instead(other, &SETTINGS));
                }
            }
        }
        for (missing, setting, remedy) in [
            (name.is_none(), "name", "add name = \"billing\""),
            (url.is_none(), "url", "add url = \"https://HOST/PATH\""),
            (secrets.is_none(), "secret", "add secret = \"env:NAME\": what it sends is signed with it"),
        ] {
            if missing {
                self.fault(at, format!("the webhook has no {setting}"), remedy);
            }
        }
        Some(FleetWebhook {
            name: name??,
            url: url??,
            secrets: secrets??,
            ends,
            agents,
            allow_private,
            attempts,
            first_pause,
            give_up_after,
            timeout,
            at_once: at_once.map(|count| count as usize),
        })
    }

    fn name_of_webhook(&mut self, value: &Value<'_>) -> Option<Name> {
        let given = self.text("name", value, "write a name in quotation marks")?;
        let name = Webhook::new(&given, "").map(|webhook| webhook.name().clone());
        let what = || format!("`{}` is no name of a webhook", shown(&given));
        name.map_err(|_| self.fault(&value.span(), what(), NAME)).ok()
    }

    /// References to secrets. What is none may be the secret, and is not shown.
    fn secrets(&mut self, value: &Value<'_>) -> Option<Vec<String>> {
        let named = self.texts("secret", value, SECRET)?;
        let mut all = true;
        for (reference, at) in &named {
            let is_one = ["env:", "file:"]
                .iter()
                .any(|way| reference.strip_prefix(way).is_some_and(|rest| !rest.is_empty()));
            if !is_one {
                self.fault(at, "a secret is named, and never written down itself", SECRET);
            }
            all &= is_one;
        }
        all.then(|| named.into_iter().map(|(reference, _)| reference).collect())
    }

    fn ends(&mut self, value: &Value<'_>) -> Option<BTreeSet<RunEnd>> {
        let mut ends = BTreeSet::new();
        for (given, at) in self.texts("events", value, EVENTS)? {
            match given.parse() {
                Ok(end) => _ = ends.insert(end),
                Err(()) => {
                    let known = RunEnd::ALL.map(RunEnd::as_str);
                    let what = format!("webhooks do not tell of `{}`", shown(&given));
                    self.fault(&at, what, instead(&given, &known));
                }
            }
        }
        Some(ends)
    }

    fn agents_of_webhook(&mut self, value: &Value<'_>) -> Vec<Name> {
        let mut agents = Vec::new();
        for (given, at) in self.texts("agents", value, AGENTS).unwrap_or_default() {
            match Name::new(&given) {
                Ok(name) => agents.push(name),
                Err(_) => {
                    let what = format!("`{}` is no name of an agent", shown(&given));
                    self.fault(&at, what, AGENTS);
                }
            }
        }
        agents
    }

    fn count(&mut self, setting: &str, value: &Value<'_>, most: u32) -> Option<u32> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => u32::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| (1..=most).contains(number));
        if number.is_none() {
            let what = format!("`{setting}` is no number from 1 to {most}");
            self.fault(&value.span(), what, "write such a number");
        }
        number
    }

    fn time(&mut self, setting: &str, value: &Value<'_>, most: Duration) -> Option<Duration> {
        let given = self.text(setting, value, TIME)?;
        match span(&given) {
            Ok(time) if !time.is_zero() && time <= most => Some(time),
            Ok(_) if most < Duration::MAX => {
                let what = format!("`{setting}` is not above 0 and at most {} s", most.as_secs());
                self.fault(&value.span(), what, TIME);
                None
            }
            Ok(_) | Err(_) => {
                self.fault(&value.span(), format!("`{setting}` is no time: `{}`", shown(&given)), TIME);
                None
            }
        }
    }

    /// Says what is wrong with an address.
    fn refuse(&mut self, at: &Range<usize>, table: &DeTable<'_>, error: &WebhookError) {
        let at = table.get("url").map_or(at.clone(), |url| url.span());
        let text = error.to_string();
        let (what, remedy) =
            text.rsplit_once("; ").unwrap_or_else(|| text.split_once(": ").unwrap_or((&text, "")));
        self.fault(&at, what, remedy);
    }
}

/// Whether a rule that comes first does not keep what another one would.
fn unkeeps(given: &TopicRule, wanted: &TopicRule) -> bool {
    given.keep.is_none() && given.pattern.overlaps(&wanted.pattern)
}
