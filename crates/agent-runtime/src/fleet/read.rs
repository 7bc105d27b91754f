//! From the text of a fleet file to what it declares. Pure; goes on after a fault, so that all are told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;

use runtime_traits::agent::StorageLimits;
use runtime_traits::recovery::StallLimits;
use runtime_traits::resource::{Limit, ResourceLimits};
use runtime_traits::store::Durability;
use runtime_traits::{AgentSpec, Name};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::address::loopback;
use super::fault::Fault;
use super::measure::{size, span};
use super::read_quotas::Placed;
use super::suggest::instead;
use super::{AgentHealth, Fleet, FleetAgent, KeepRuns, StoreUri, shown};

const TOP: [&str; 12] = [
    "store",
    "durability",
    "keep_runs",
    "listen",
    "scrub",
    "health",
    "events",
    "limits",
    "prices",
    "quotas",
    "webhooks",
    "agents",
];
const STORAGE: [&str; 4] = ["soft", "hard", "session_soft", "session_hard"];
const LEVELS: [&str; 3] = ["memory", "process", "disk"];

/// What can be read of a file, and what is wrong with it.
pub(super) struct Read {
    pub(super) fleet: Fleet,
    pub(super) faults: Vec<Fault>,
    /// The credentials that quotas name.
    pub(super) credentials: Vec<Placed>,
    /// The lines that are no TOML.
    broken: BTreeSet<u32>,
}

impl Read {
    /// Takes faults of what was read. What the parser made of a broken line is a guess: only its own fault counts there.
    pub(super) fn add(&mut self, faults: Vec<Fault>) {
        self.faults.extend(faults.into_iter().filter(|fault| !self.broken.contains(&fault.line)));
    }
}

/// Everything that can be read, and everything that is wrong.
pub(super) fn read(source: &str) -> Read {
    let (document, errors) = DeTable::parse_recoverable(source);
    let mut reader = Reader { source, faults: Vec::new(), credentials: Vec::new() };
    let fleet = reader.fleet(document.get_ref());
    let credentials = std::mem::take(&mut reader.credentials);
    let mut read = Read { fleet, faults: Vec::new(), credentials, broken: BTreeSet::new() };
    for error in &errors {
        // What follows the first fault of a line most often follows from it.
        let fault = reader.syntax(error);
        if read.broken.insert(fault.line) {
            read.faults.push(fault);
        }
    }
    read.add(reader.faults);
    read
}

pub(super) struct Reader<'a> {
    source: &'a str,
    faults: Vec<Fault>,
    pub(super) credentials: Vec<Placed>,
}

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn fleet(&mut self, table: &DeTable<'_>) -> Fleet {
        let mut fleet = Fleet::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "store" => {
                    if let Some(store) = self.store(value) {
                        fleet.store = store;
                    }
                }
                "durability" => fleet.durability = self.durability(value),
                "keep_runs" => fleet.keep_runs = self.keep_runs(value),
                "listen" => fleet.http = self.listen(value),
                "scrub" => fleet.scrub = self.scrub(value),
                "health" => fleet.health = self.health(value),
                "events" => fleet.bus = self.bus(value),
                "limits" => fleet.limits = self.limits(value, &Limit::TOGETHER),
                "prices" => fleet.prices = self.prices(value),
                "quotas" => fleet.quotas = self.quotas(value),
                // They need to know what the bus keeps.
                "webhooks" => {}
                "agents" => fleet.agents = self.agents(value),
                other => {
                    self.fault(&key.span(), format!("there is no setting `{other}`"), instead(other, &TOP))
                }
            }
        }
        if let Some(webhooks) = table.get("webhooks") {
            #[cfg(feature = "http")]
            self.webhooks(&mut fleet, webhooks);
            #[cfg(not(feature = "http"))]
            self.fault(
                &webhooks.span(),
                "this program was built without the feature `http`",
                "build it with it",
            );
        }
        let more = fleet.durability.filter(|durability| *durability > Durability::Memory);
        if let (true, Some(_), Some(asked)) = (fleet.store.is_in_memory(), more, table.get("durability")) {
            let what = "a store in memory ends with its process";
            self.fault(
                &asked.span(),
                what,
                "write \"memory\", or choose a store on disk: store = \"redb:PATH\"",
            );
        }
        fleet
    }

    fn store(&mut self, value: &Value<'_>) -> Option<StoreUri> {
        let given = self.text("store", value, "write it as \"redb:PATH\", \"sled:PATH\" or \"memory:\"")?;
        let read = given.parse::<StoreUri>();
        read.map_err(|e| self.fault(&value.span(), format!("no store `{}`", e.given()), e.remedy())).ok()
    }

    fn durability(&mut self, value: &Value<'_>) -> Option<Durability> {
        let given = self.text("durability", value, "write \"memory\", \"process\" or \"disk\"")?;
        match given.as_str() {
            "memory" => Some(Durability::Memory),
            "process" => Some(Durability::Process),
            "disk" => Some(Durability::Disk),
            other => {
                let what = format!("there is no durability `{other}`");
                self.fault(&value.span(), what, instead(other, &LEVELS));
                None
            }
        }
    }

    fn keep_runs(&mut self, value: &Value<'_>) -> Option<KeepRuns> {
        let given = self.text("keep_runs", value, "write a time like \"30d\", or \"forever\"")?;
        if given == "forever" {
            return Some(KeepRuns::Forever);
        }
        let what = || format!("`keep_runs` is no time: `{}`", shown(&given));
        span(&given)
            .map(KeepRuns::For)
            .map_err(|remedy| self.fault(&value.span(), what(), format!("{remedy}, or \"forever\"")))
            .ok()
    }

    fn storage(&mut self, value: &Value<'_>) -> StorageLimits {
        let mut limits = StorageLimits::default();
        let remedy = "write a table, as in { soft = \"1 GiB\", hard = \"2 GiB\" }";
        let Some(table) = self.table("storage", value, remedy) else { return limits };
        for (key, value) in table {
            let limit = match key.get_ref().as_ref() {
                "soft" => &mut limits.soft,
                "hard" => &mut limits.hard,
                "session_soft" => &mut limits.session_soft,
                "session_hard" => &mut limits.session_hard,
                other => {
                    let what = format!("`storage` has no setting `{other}`");
                    self.fault(&key.span(), what, instead(other, &STORAGE));
                    continue;
                }
            };
            *limit = self.size(key.get_ref(), value);
        }
        if let Some(fault) = limits.fault() {
            let (what, remedy) = fault.split_once(": ").unwrap_or((&fault, "lower it"));
            self.fault(&value.span(), what, remedy);
        }
        limits
    }

    pub(super) fn size(&mut self, name: &str, value: &Value<'_>) -> Option<u64> {
        let given = match value.get_ref() {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().to_owned(),
            other => format!("{} here", a(other)),
        };
        let what = || format!("`{}` is no size: {}", shown(name), shown(&given));
        size(&given).map_err(|remedy| self.fault(&value.span(), what(), remedy)).ok()
    }

    fn listen(&mut self, value: &Value<'_>) -> Option<SocketAddr> {
        let remedy = "write a table: [listen] with http = \"127.0.0.1:8000\"";
        let table = self.table("listen", value, remedy)?;
        let mut http = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "http" => http = self.address(value),
                other => self.fault(
                    &key.span(),
                    format!("`[listen]` has no setting `{other}`"),
                    instead(other, &["http"]),
                ),
            }
        }
        http
    }

    fn address(&mut self, value: &Value<'_>) -> Option<SocketAddr> {
        let given = self.text("http", value, "write an address like \"127.0.0.1:8000\"")?;
        loopback(&given).map_err(|e| self.fault(&value.span(), e.what, e.remedy)).ok()
    }

    fn agents(&mut self, value: &Value<'_>) -> Vec<FleetAgent> {
        let remedy = "write a table for each agent: [agents.NAME]";
        let Some(table) = self.table("agents", value, remedy) else {
            return Vec::new();
        };
        let mut tables: Vec<_> = table.iter().collect();
        tables.sort_by_key(|(key, _)| key.span().start);
        let mut agents: Vec<FleetAgent> = Vec::new();
        for (key, value) in tables {
            let Some(agent) = self.agent(key.get_ref(), &key.span(), value) else {
                continue;
            };
            let twin = agents.iter().find(|a| a.spec.name.folded() == agent.spec.name.folded());
            if let Some(twin) = twin {
                let what = format!("`{}` and `{}` are one name", agent.spec.name, twin.spec.name);
                self.fault(&key.span(), what, "names differ in more than case; choose another");
            } else {
                agents.push(agent);
            }
        }
        agents
    }

    fn agent(&mut self, name: &str, at: &Range<usize>, value: &Value<'_>) -> Option<FleetAgent> {
        let remedy = format!("write a table: [agents.{name}] with kind = \"…\"");
        let table = self.table(&format!("agents.{name}"), value, &remedy)?;
        let named = Name::new(name).map_err(|_| {
            let what = format!("`{}` is no name of an agent", shown(name));
            self.fault(
                at,
                what,
                "use 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit",
            );
        });
        let mut kind = None;
        let mut description = String::new();
        let mut start = true;
        let mut storage = StorageLimits::default();
        let mut limits = ResourceLimits::default();
        let (mut recovery, mut stall) = (None, StallLimits::default());
        let mut schedules = Vec::new();
        let mut health = AgentHealth::default();
        let mut config = serde_json::Map::new();
        let mut settings = BTreeMap::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "kind" => {
                    kind = Some(self.kind(value));
                    settings.insert("kind".to_owned(), (key.span(), value.span()));
                }
                "description" => {
                    let remedy = "write a text in quotation marks";
                    description = self.text("description", value, remedy).unwrap_or_default();
                }
                "storage" => storage = self.storage(value),
                "limits" => limits = self.limits(value, &Limit::ALL),
                "recovery" => recovery = self.recovery(value),
                "stall" => stall = self.stall(value),
                "schedules" => schedules = self.schedules(name, value),
                "health" => health = self.agent_health(value),
                "start" => match value.get_ref() {
                    DeValue::Boolean(wanted) => start = *wanted,
                    other => {
                        let what = format!("`start` is {}", a(other));
                        self.fault(&value.span(), what, "write true or false");
                    }
                },
                setting => {
                    if let Some(json) = self.json(value) {
                        config.insert(setting.to_owned(), json);
                    }
                    settings.insert(setting.to_owned(), (key.span(), value.span()));
                }
            }
        }
        if kind.is_none() {
            let what = format!("agent `{}` has no kind", shown(name));
            self.fault(at, what, "add kind = \"librarian\", or another kind");
        }
        let (kind, named) = (kind??, named.ok()?);
        let spec =
            AgentSpec::new(kind.as_str(), named.as_str()).ok()?.described(description).storing(storage);
        let spec = AgentSpec { recovery, ..spec.limited(limits).stalling(stall) }.configured(&config).ok()?;
        Some(FleetAgent { spec, start, schedules, health, at: at.clone(), settings })
    }

    fn kind(&mut self, value: &Value<'_>) -> Option<Name> {
        let given = self.text("kind", value, "write a kind's name, for example \"librarian\"")?;
        let named = Name::new(&given);
        let what = || format!("`{}` is no name of a kind", shown(&given));
        named
            .map_err(|_| self.fault(&value.span(), what(), "use a kind's name, for example \"librarian\""))
            .ok()
    }

    /// The JSON of a setting that its kind will read.
    pub(super) fn json(&mut self, value: &Value<'_>) -> Option<serde_json::Value> {
        let number = |text: &str| serde_json::from_str::<serde_json::Number>(text).ok();
        let json = match value.get_ref() {
            DeValue::String(text) => serde_json::Value::from(text.as_ref()),
            DeValue::Boolean(value) => serde_json::Value::from(*value),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(serde_json::Value::from)
                .or_else(|| self.no_json(value))?,
            DeValue::Float(float) => {
                number(float.as_str()).map(serde_json::Value::Number).or_else(|| self.no_json(value))?
            }
            DeValue::Datetime(at) => serde_json::Value::from(at.to_string()),
            DeValue::Array(items) => {
                items.iter().filter_map(|item| self.json(item)).collect::<Vec<_>>().into()
            }
            DeValue::Table(table) => {
                let mut json = serde_json::Map::new();
                for (key, value) in table {
                    json.insert(key.get_ref().clone().into_owned(), self.json(value)?);
                }
                json.into()
            }
        };
        Some(json)
    }

    fn no_json(&mut self, value: &Value<'_>) -> Option<serde_json::Value> {
        self.fault(&value.span(), "this number is out of range", "use one that fits into 64 bits");
        None
    }

    pub(super) fn text(&mut self, name: &str, value: &Value<'_>, remedy: &str) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            other => {
                self.fault(&value.span(), format!("`{name}` is {}", a(other)), remedy);
                None
            }
        }
    }

    pub(super) fn table<'v>(
        &mut self,
        name: &str,
        value: &'v Value<'v>,
        remedy: &str,
    ) -> Option<&'v DeTable<'v>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.fault(&value.span(), format!("`{name}` is {}", a(value.get_ref())), remedy);
        }
        table
    }

    pub(super) fn fault(&mut self, at: &Range<usize>, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(Fault::at(self.source, at, what, remedy));
    }

    fn syntax(&self, error: &toml::de::Error) -> Fault {
        let span = error.span().unwrap_or(0..0);
        let (what, remedy) = match error.message().split_once(", expected ") {
            Some((what, expected)) => (what, format!("TOML expects {expected} here")),
            None => (error.message(), "write it as TOML (https://toml.io)".to_owned()),
        };
        Fault::at(self.source, &span, what, remedy)
    }
}

/// What a value is, with its article.
pub(super) fn a(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}
