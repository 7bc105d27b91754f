//! `[quotas]`.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use runtime_resources::QuotaRule;
use runtime_traits::AgentKind;
use serde_json::Value as Json;
use toml::de::DeValue;

use super::fault::Fault;
use super::read::{Reader, Value, a};
use super::read_limits::NUMBER;
use super::suggest::instead;
use super::{FleetAgent, shown};

const QUOTA: [&str; 4] = ["credential", "models", "requests_per_minute", "tokens_per_minute"];
const CREDENTIAL: &str = "write it as the agent's `key`, \"env:NAME\" or \"file:PATH\", or a list of them";
const MODELS: &str =
    "write a model's name, \"openai/gpt-4o\", that of several, \"openai/*\", or a list of names";

/// A text, and where it stands.
pub(super) type Placed = (String, Range<usize>);

impl Reader<'_> {
    /// What providers let through.
    pub(super) fn quotas(&mut self, value: &Value<'_>) -> Vec<QuotaRule> {
        let remedy = "write a table: [quotas] with \"openai/*\" = { requests_per_minute = 500, tokens_per_minute = 30000 }";
        let Some(table) = self.table("quotas", value, remedy) else { return Vec::new() };
        let mut tables: Vec<_> = table.iter().collect();
        tables.sort_by_key(|(key, _)| key.span().start);
        let mut rules = Vec::new();
        for (key, value) in tables {
            let Some(rule) = self.quota(key.get_ref(), value, remedy) else { continue };
            match rule.check().and_then(|()| rule.check_behind(&rules)) {
                Ok(()) => rules.push(rule),
                Err(error) => {
                    let text = error.to_string();
                    let (what, remedy) = text.split_once(": ").unwrap_or((&text, remedy));
                    self.fault(&key.span(), what, remedy);
                }
            }
        }
        rules
    }

    /// A quota, if all of its settings can be read.
    fn quota(&mut self, name: &str, value: &Value<'_>, remedy: &str) -> Option<QuotaRule> {
        let of = self.table(&format!("quotas.{}", shown(name)), value, remedy)?;
        let (mut rule, mut whole) = (QuotaRule::default(), true);
        for (key, value) in of {
            let setting = key.get_ref().as_ref();
            let read = match setting {
                "credential" => self.texts(setting, value, CREDENTIAL).map(|named| {
                    rule.credentials = named.iter().map(|(credential, _)| credential.clone()).collect();
                    self.credentials.extend(named);
                }),
                "models" => self.texts(setting, value, MODELS).map(|named| {
                    rule.models = named.into_iter().map(|(models, _)| models).collect();
                }),
                "requests_per_minute" => {
                    self.rate(setting, value).map(|most| rule.requests_per_minute = Some(most))
                }
                "tokens_per_minute" => {
                    self.rate(setting, value).map(|most| rule.tokens_per_minute = Some(most))
                }
                other => {
                    let what = format!("a quota has no setting `{}`", shown(other));
                    self.fault(&key.span(), what, instead(other, &QUOTA));
                    None
                }
            };
            whole &= read.is_some();
        }
        // Its name is that of the models, where nothing says otherwise.
        if rule.models.is_empty() && (rule.credentials.is_empty() || name.contains('/')) {
            rule.models = vec![name.to_owned()];
        }
        whole.then_some(rule)
    }

    fn rate(&mut self, name: &str, value: &Value<'_>) -> Option<u64> {
        let most = self.json(value).and_then(|json| json.as_u64()).filter(|most| *most > 0);
        if most.is_none() {
            self.fault(&value.span(), format!("`{name}` is no number of them"), NUMBER);
        }
        most
    }

    /// A text, or a list of at least one.
    pub(super) fn texts(&mut self, name: &str, value: &Value<'_>, remedy: &str) -> Option<Vec<Placed>> {
        let one = |value: &Value<'_>| match value.get_ref() {
            DeValue::String(text) => Some((text.clone().into_owned(), value.span())),
            _ => None,
        };
        let texts = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(one).collect::<Option<Vec<_>>>(),
            _ => one(value).map(|text| vec![text]),
        };
        let texts = texts.filter(|texts| !texts.is_empty());
        if texts.is_none() {
            self.fault(&value.span(), format!("`{name}` is {}", a(value.get_ref())), remedy);
        }
        texts
    }
}

/// Says which of the credentials no agent calls with.
pub(super) fn unused(
    source: &str,
    credentials: &[Placed],
    agents: &[FleetAgent],
    kinds: &[Arc<dyn AgentKind>],
    faults: &mut Vec<Fault>,
) {
    if credentials.is_empty() {
        return;
    }
    let mut known = BTreeSet::new();
    for agent in agents {
        let settings = serde_json::from_str(agent.spec.config.get()).unwrap_or_default();
        let before = known.len();
        references(&settings, &mut known);
        if known.len() == before && !agent.names_a_credential(kinds, &mut known) {
            // What is wrong with it is said, and comes first.
            return;
        }
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    for (credential, at) in credentials.iter().filter(|(credential, _)| !known.contains(&credential.as_str()))
    {
        // What is no reference was said, and may be the key itself.
        if ["env:", "file:"].iter().any(|way| credential.starts_with(way)) {
            let what = format!("no agent has the key `{}`", shown(credential));
            let remedy = match &known[..] {
                [] => "no agent has any: give one its `key`, or take the quota out".to_owned(),
                known => instead(credential, known),
            };
            faults.push(Fault::at(source, at, what, remedy));
        }
    }
}

/// All texts of a setting that say where a key is.
fn references(settings: &Json, known: &mut BTreeSet<String>) {
    match settings {
        Json::String(text) if text.starts_with("env:") || text.starts_with("file:") => {
            known.insert(text.clone());
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, known)),
        Json::Object(settings) => settings.values().for_each(|value| references(value, known)),
        _ => {}
    }
}

impl FleetAgent {
    /// Adds the credential that it calls with though its settings name none, if there is one. `false`: it cannot be built.
    fn names_a_credential(&self, kinds: &[Arc<dyn AgentKind>], known: &mut BTreeSet<String>) -> bool {
        let Some(kind) = kinds.iter().find(|kind| kind.name() == self.spec.kind) else { return false };
        let Ok(agent) = kind.build(&self.spec) else { return false };
        known.extend(agent.least_call().and_then(|(called, _)| called.credential));
        true
    }
}
