//! What models cost.

use std::collections::BTreeMap;

use runtime_traits::Usage;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use runtime_traits::resource::Money;

/// What a model costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Of a million tokens that it reads.
    pub input: Money,
    /// Of a million tokens that it writes.
    pub output: Money,
}

/// What each model costs, by its name as agents use it: `provider/model`. The name may end with `*`, which stands for any rest; of
/// several that fit the longest holds.
///
/// # Examples
/// ```
/// use runtime_resources::{Money, PriceTable};
/// use runtime_traits::Usage;
///
/// let table: PriceTable = serde_json::from_str(
///     r#"{ "openai/gpt-4o": { "input": "2.50", "output": "10.00" }, "ollama/*": { "input": "0", "output": "0" } }"#,
/// )?;
/// let usage = Usage { input_tokens: 1_000, output_tokens: 100, ..Usage::default() };
/// assert_eq!(table.cost("openai/gpt-4o", &usage), Some(Money::from_micros(3_500)));
/// assert_eq!(table.cost("openai/gpt-5", &usage), None); // unknown, which is not 0
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, ModelPrice>", into = "BTreeMap<String, ModelPrice>")]
pub struct PriceTable(BTreeMap<String, ModelPrice>);

/// A price table that cannot be meant so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PriceError {
    /// A name that no model can have.
    #[error(
        "`{model}` is no name of a model: write it as the agent does, `provider/model`, at most with one `*` at its end"
    )]
    Name {
        /// What stands there.
        model: String,
    },
}

impl PriceTable {
    /// A table of these prices.
    ///
    /// # Errors
    /// [`PriceError::Name`].
    pub fn new(prices: BTreeMap<String, ModelPrice>) -> Result<Self, PriceError> {
        match prices.keys().find(|name| !names_models(name)) {
            Some(model) => Err(PriceError::Name { model: model.chars().take(80).collect() }),
            None => Ok(Self(prices)),
        }
    }

    /// What a model costs, if that is known.
    pub fn of(&self, model: &str) -> Option<ModelPrice> {
        if let Some(price) = self.0.get(model) {
            return Some(*price);
        }
        let fits = |name: &str| name.strip_suffix('*').is_some_and(|stem| model.starts_with(stem));
        let longest = self.0.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len());
        longest.map(|(_, price)| *price)
    }

    /// What this usage of a model costs, rounded up to a millionth of a dollar; `None` when its price is not known.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<Money> {
        self.of(model).map(|price| price.cost(usage))
    }
}

impl ModelPrice {
    /// What this usage costs, rounded up to a millionth of a dollar.
    pub fn cost(self, usage: &Usage) -> Money {
        let part = |tokens: u64, price: Money| u128::from(tokens) * u128::from(price.micros());
        let micros = part(usage.input_tokens, self.input) + part(usage.output_tokens, self.output);
        Money::from_micros(u64::try_from(micros.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

/// Whether a name can be that of a model, or of several: `provider/model`, at most with one `*` at its end.
pub(crate) fn names_models(name: &str) -> bool {
    let stem = name.strip_suffix('*').unwrap_or(name);
    let printable = stem.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
    printable
        && stem.split_once('/').is_some_and(|(provider, model)| {
            !provider.is_empty() && (!model.is_empty() || name.ends_with('*'))
        })
}

impl TryFrom<BTreeMap<String, ModelPrice>> for PriceTable {
    type Error = PriceError;

    fn try_from(prices: BTreeMap<String, ModelPrice>) -> Result<Self, PriceError> {
        Self::new(prices)
    }
}

impl From<PriceTable> for BTreeMap<String, ModelPrice> {
    fn from(table: PriceTable) -> Self {
        table.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Money, PriceTable, Usage};

    fn table(text: &str) -> Result<PriceTable, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn the_longest_name_that_fits_holds_and_an_exact_one_before_all() {
        let table = table(
            r#"{ "a/*": { "input": "1", "output": "1" }, "a/big*": { "input": "2", "output": "2" },
                 "a/big": { "input": "3", "output": "3" } }"#,
        );
        let table = table.unwrap();
        let dollars = |model| table.of(model).map(|price| price.input.micros() / 1_000_000);

        assert_eq!(dollars("a/small"), Some(1));
        assert_eq!(dollars("a/bigger"), Some(2));
        assert_eq!(dollars("a/big"), Some(3));
        assert_eq!(dollars("b/big"), None);
    }

    #[test]
    fn a_price_is_never_rounded_down_to_nothing() {
        let table = table(r#"{ "a/b": { "input": "0.000001", "output": "0" } }"#).unwrap();
        let used = |input_tokens| Usage { input_tokens, ..Usage::default() };

        assert_eq!(table.cost("a/b", &used(1)), Some(Money::from_micros(1)));
        assert_eq!(table.cost("a/b", &used(0)), Some(Money::default()));
        assert_eq!(table.cost("a/b", &used(1_000_001)), Some(Money::from_micros(2)));
    }

    #[test]
    fn a_typo_in_the_table_is_named() {
        for (text, named) in [
            (r#"{ "gpt-4o": { "input": "1", "output": "1" } }"#, "`gpt-4o` is no name of a model"),
            (r#"{ "a/*b": { "input": "1", "output": "1" } }"#, "`a/*b` is no name of a model"),
            (r#"{ "a/b": { "inputs": "1", "output": "1" } }"#, "inputs"),
            (r#"{ "a/b": { "input": "1" } }"#, "output"),
            (r#"{ "a/b": { "input": "1,5", "output": "1" } }"#, "`1,5` is no amount"),
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
