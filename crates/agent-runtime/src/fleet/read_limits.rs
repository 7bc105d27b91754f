//! `limits` and `[prices]`.

use std::collections::BTreeMap;

use runtime_resources::{ModelPrice, PriceTable};
use runtime_traits::resource::{Limit, ResourceLimits};
use serde_json::{Map, Value as Json};

use super::read::{Reader, Value};
use super::shown;
use super::suggest::instead;

const PRICE: [&str; 2] = ["input", "output"];
const MONEY: &str = "write US dollars in quotation marks, as in \"0.25\"";
pub(super) const NUMBER: &str = "write a whole number above 0";

impl Reader<'_> {
    /// What may be used, of these limits.
    pub(super) fn limits(&mut self, value: &Value<'_>, known: &[Limit]) -> ResourceLimits {
        let remedy = "write a table, as in { max_tokens_per_minute = 10000, max_cost_per_day = \"5.00\" }";
        let Some(table) = self.table("limits", value, remedy) else { return ResourceLimits::default() };
        let mut names: Vec<String> = known.iter().map(Limit::to_string).collect();
        if known.len() == Limit::ALL.len() {
            names.extend(["on_limit".to_owned(), "cancel_over_memory".to_owned()]);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut all = Map::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !names.contains(&name) {
                let what = format!("`limits` has no setting `{}`", shown(name));
                self.fault(&key.span(), what, instead(name, &names));
                continue;
            }
            let Some(json) = self.json(value) else { continue };
            let one = Map::from_iter([(name.to_owned(), json.clone())]);
            if serde_json::from_value::<ResourceLimits>(Json::Object(one)).is_err() {
                let remedy = match name {
                    "on_limit" => "write \"wait\" or \"refuse\"",
                    "cancel_over_memory" => "write true or false",
                    cost if cost.contains("cost") => MONEY,
                    _ => NUMBER,
                };
                let given = json.as_str().map_or_else(|| json.to_string(), |text| format!("`{text}`"));
                self.fault(&value.span(), format!("`{name}` is {}", shown(&given)), remedy);
                continue;
            }
            all.insert(name.to_owned(), json);
        }
        let limits: ResourceLimits = serde_json::from_value(Json::Object(all)).unwrap_or_default();
        if let Err(error) = limits.check() {
            let text = error.to_string();
            let (what, remedy) = text.split_once("; ").unwrap_or((&text, "change it"));
            self.fault(&value.span(), what, remedy);
        }
        limits
    }

    /// What models cost.
    pub(super) fn prices(&mut self, value: &Value<'_>) -> PriceTable {
        let remedy = "write a table: [prices] with \"openai/gpt-4o\" = { input = \"2.50\", output = \"10\" }";
        let Some(table) = self.table("prices", value, remedy) else { return PriceTable::default() };
        let mut prices = BTreeMap::new();
        for (key, value) in table {
            let model = key.get_ref().as_ref();
            let Some(of) = self.table(&format!("prices.{}", shown(model)), value, remedy) else { continue };
            let (mut both, mut faulty) = (Map::new(), false);
            for (key, value) in of {
                let name = key.get_ref().as_ref();
                if !PRICE.contains(&name) {
                    let what = format!("a price has no setting `{}`", shown(name));
                    self.fault(&key.span(), what, instead(name, &PRICE));
                    continue;
                }
                let money = self.text(name, value, MONEY);
                match money.map(|money| (money.parse::<runtime_resources::Money>(), money)) {
                    Some((Ok(_), money)) => {
                        both.insert(name.to_owned(), Json::String(money));
                    }
                    Some((Err(error), _)) => {
                        faulty = true;
                        let text = error.to_string();
                        let (what, remedy) = text.split_once(": ").unwrap_or((&text, MONEY));
                        self.fault(&value.span(), what, remedy);
                    }
                    None => faulty = true,
                }
            }
            match serde_json::from_value::<ModelPrice>(Json::Object(both)) {
                Ok(price) => {
                    if let Err(error) = PriceTable::new(BTreeMap::from([(model.to_owned(), price)])) {
                        let text = error.to_string();
                        let (what, remedy) =
                            text.split_once(": ").unwrap_or((&text, "write `provider/model`"));
                        self.fault(&key.span(), what, remedy);
                    } else {
                        prices.insert(model.to_owned(), price);
                    }
                }
                Err(_) if faulty => {}
                Err(_) => {
                    let what = format!("the price of `{}` is not whole", shown(model));
                    self.fault(&value.span(), what, "give `input` and `output`, each of a million tokens");
                }
            }
        }
        PriceTable::new(prices).unwrap_or_default()
    }
}
