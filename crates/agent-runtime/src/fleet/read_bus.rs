//! `[events]`: the bus.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use runtime_traits::bus::{Act, Pattern, Retention, Rights, Rule, TopicRule};
use runtime_traits::{Name, NameError, Tenant};
use toml::de::{DeTable, DeValue};

use super::bus::{BusPlace, FleetBus};
use super::measure::span;
use super::read::{Reader, Value, a};
use super::shown;
use super::store_uri::RedisUri;
use super::suggest::instead;

const SETTINGS: [&str; 3] = ["bus", "topics", "rights"];
const OF_TOPICS: [&str; 5] = ["of", "keep", "most", "size", "block"];
const OF_RIGHTS: [&str; 5] = ["tenant", "agent", "act", "of", "allow"];
/// The longest time that a publisher may wait for a slow reader.
const LONGEST_BLOCK: Duration = Duration::from_secs(60);

impl Reader<'_> {
    pub(super) fn bus(&mut self, value: &Value<'_>) -> FleetBus {
        let mut bus = FleetBus::default();
        let remedy = "write a table: [events] with bus = \"store\" or bus = \"redis://HOST\"";
        let Some(table) = self.table("events", value, remedy) else { return bus };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "bus" => {
                    if let Some(place) = self.bus_place(value) {
                        bus.place = place;
                    }
                }
                "topics" => {
                    let remedy = "write a table for each rule: [[events.topics]] with of = \"orders/**\"";
                    let rules = self.tables("topics", value, remedy);
                    bus.topics =
                        rules.into_iter().filter_map(|(at, rule)| self.topic_rule(at, rule)).collect();
                }
                "rights" => {
                    let remedy = "write a table for each line: [[events.rights]] with of = \"orders/**\"";
                    let lines = self.tables("rights", value, remedy);
                    bus.rights =
                        Rights(lines.into_iter().filter_map(|(at, line)| self.right(at, line)).collect());
                }
                other => {
                    let what = format!("`[events]` has no setting `{other}`");
                    self.fault(&key.span(), what, instead(other, &SETTINGS));
                }
            }
        }
        let blocks = bus.topics.iter().any(|rule| rule.block.is_some());
        if let (BusPlace::Redis(_), true, Some(topics)) = (&bus.place, blocks, table.get("topics")) {
            let what = "`block` does nothing over Redis: a publisher does not know who reads elsewhere";
            self.fault(&topics.span(), what, "leave it away, or write bus = \"store\"");
        }
        bus
    }

    fn bus_place(&mut self, value: &Value<'_>) -> Option<BusPlace> {
        let remedy = "write \"store\", or the address of a Redis server: \"redis://HOST[:PORT][/DATABASE]\"";
        let given = self.text("bus", value, remedy)?;
        if given == "store" {
            return Some(BusPlace::Store);
        }
        let place = ["redis://", "redis+unix://"].into_iter().find_map(|scheme| given.strip_prefix(scheme));
        if place.is_some_and(|place| !place.is_empty()) {
            return Some(BusPlace::Redis(RedisUri::of(&given)));
        }
        // An address may hold a password.
        let what = format!("`{}` is no place of a bus", shown(&RedisUri::of(&given).to_string()));
        self.fault(&value.span(), what, remedy);
        None
    }

    fn topic_rule(&mut self, at: Range<usize>, table: &DeTable<'_>) -> Option<TopicRule> {
        let (mut pattern, mut most, mut bytes, mut block) = (None, None, None, None);
        let mut keep: Option<Option<Duration>> = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "of" => pattern = Some(self.pattern(value)),
                "keep" => keep = self.keep(value),
                "most" => most = self.most(value),
                "size" => bytes = self.size("size", value),
                "block" => block = self.block(value),
                other => {
                    let what = format!("`[[events.topics]]` has no setting `{other}`");
                    self.fault(&key.span(), what, instead(other, &OF_TOPICS));
                }
            }
        }
        if pattern.is_none() {
            self.fault(&at, "the rule names no topics", "add of = \"orders/**\"");
        }
        for (name, given) in [("most", most.is_some()), ("size", bytes.is_some())] {
            if keep.is_none() && given && table.get("keep").is_none() {
                let what = format!("`{name}` is about what is kept");
                self.fault(&at, what, "add keep = \"forever\", or a time like \"7d\"");
            }
        }
        let keep = keep.map(|age| Retention { age, events: most, bytes });
        Some(TopicRule { pattern: pattern??, keep, block })
    }

    fn right(&mut self, at: Range<usize>, table: &DeTable<'_>) -> Option<Rule> {
        let (mut tenant, mut agent, mut act, mut pattern, mut allow) = (None, None, None, None, None);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "tenant" => tenant = Some(self.named::<Tenant>("tenant", value)),
                "agent" => agent = Some(self.named::<Name>("agent", value)),
                "act" => act = Some(self.act(value)),
                "of" => pattern = Some(self.pattern(value)),
                "allow" => match value.get_ref() {
                    DeValue::Boolean(wanted) => allow = Some(*wanted),
                    other => {
                        self.fault(&value.span(), format!("`allow` is {}", a(other)), "write true or false");
                        allow = Some(false);
                    }
                },
                other => {
                    let what = format!("`[[events.rights]]` has no setting `{other}`");
                    self.fault(&key.span(), what, instead(other, &OF_RIGHTS));
                }
            }
        }
        if pattern.is_none() {
            self.fault(&at, "the line names no topics", "add of = \"orders/**\", or of = \"**\" for all");
        }
        if allow.is_none() {
            self.fault(&at, "the line does not say whether it allows", "add allow = true or allow = false");
        }
        // What was given and is none must not become a line about everybody.
        Some(Rule {
            tenant: kept(tenant)?,
            agent: kept(agent)?,
            act: kept(act)?,
            topics: pattern??,
            allow: allow?,
        })
    }

    fn pattern(&mut self, value: &Value<'_>) -> Option<Pattern> {
        let given = self.text("of", value, "write topics, as in \"orders/**\"")?;
        let read = given.parse::<Pattern>().map_err(|error| error.to_string());
        read.map_err(|said| {
            let (what, remedy) =
                said.split_once("; ").unwrap_or((&said, "write topics, as in \"orders/**\""));
            self.fault(&value.span(), what, remedy);
        })
        .ok()
    }

    /// How long; within: `None` is for ever.
    fn keep(&mut self, value: &Value<'_>) -> Option<Option<Duration>> {
        let given = self.text("keep", value, "write a time like \"7d\", or \"forever\"")?;
        if given == "forever" {
            return Some(None);
        }
        let what = || format!("`keep` is no time: `{}`", shown(&given));
        span(&given)
            .map(Some)
            .map_err(|remedy| self.fault(&value.span(), what(), format!("{remedy}, or \"forever\"")))
            .ok()
    }

    fn most(&mut self, value: &Value<'_>) -> Option<u64> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| *number > 0);
        if number.is_none() {
            self.fault(&value.span(), "`most` is no number of events", "write a number from 1 on");
        }
        number
    }

    fn block(&mut self, value: &Value<'_>) -> Option<Duration> {
        let remedy = "write a time up to a minute, as in \"2s\"";
        let given = self.text("block", value, remedy)?;
        match span(&given) {
            Ok(time) if !time.is_zero() && time <= LONGEST_BLOCK => Some(time),
            _ => {
                let what = format!("publishers cannot wait for `{}`", shown(&given));
                self.fault(&value.span(), what, remedy);
                None
            }
        }
    }

    fn act(&mut self, value: &Value<'_>) -> Option<Act> {
        let given = self.text("act", value, "write \"publish\" or \"read\", or leave it away for both")?;
        match given.as_str() {
            "publish" => Some(Act::Publish),
            "read" => Some(Act::Read),
            other => {
                let what = format!("there is no act `{}`", shown(other));
                self.fault(&value.span(), what, instead(other, &["publish", "read"]));
                None
            }
        }
    }

    fn named<T: FromStr<Err = NameError>>(&mut self, setting: &str, value: &Value<'_>) -> Option<T> {
        let given = self.text(setting, value, "write a name in quotation marks")?;
        given
            .parse()
            .map_err(|_| {
                let what = format!("`{}` is no name", shown(&given));
                let remedy =
                    "use 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit";
                self.fault(&value.span(), what, remedy);
            })
            .ok()
    }

    /// The tables of an array of tables, each with its place.
    pub(super) fn tables<'v>(
        &mut self,
        name: &str,
        value: &'v Value<'v>,
        remedy: &str,
    ) -> Vec<(Range<usize>, &'v DeTable<'v>)> {
        let DeValue::Array(items) = value.get_ref() else {
            self.fault(&value.span(), format!("`{name}` is {}", a(value.get_ref())), remedy);
            return Vec::new();
        };
        let tables = items.iter().filter_map(|item| Some((item.span(), self.table(name, item, remedy)?)));
        tables.collect()
    }
}

/// What was not given, or was and is good.
fn kept<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(good) => good.map(Some),
    }
}
