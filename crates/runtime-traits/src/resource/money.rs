//! Money, in millionths of a US dollar.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// An amount of money: millionths of a US dollar. In files and in output it is dollars in decimals, as in `0.25`.
///
/// # Examples
/// ```
/// use runtime_traits::resource::Money;
///
/// let daily: Money = "12.50".parse()?;
/// assert_eq!(daily, Money::from_micros(12_500_000));
/// assert_eq!(daily.to_string(), "12.50");
/// # Ok::<(), runtime_traits::resource::MoneyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

/// A text that is no amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{given}` is no amount of US dollars: write digits with at most six behind the point, as in \"0.25\""
)]
pub struct MoneyError {
    given: String,
}

impl Money {
    const DOLLAR: u64 = 1_000_000;

    /// So many millionths of a dollar.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// How many millionths of a dollar.
    pub const fn micros(self) -> u64 {
        self.0
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(given: &str) -> Result<Self, MoneyError> {
        let error = || MoneyError { given: given.chars().take(40).collect() };
        let (dollars, rest) = given.split_once('.').unwrap_or((given, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(dollars) || !digits(rest) || rest.len() > 6 {
            return Err(error());
        }
        let dollars: u64 = dollars.parse().map_err(|_| error())?;
        let rest: u64 = format!("{rest:0<6}").parse().map_err(|_| error())?;
        let micros = dollars.checked_mul(Self::DOLLAR).and_then(|micros| micros.checked_add(rest));
        micros.map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Money {
    /// At least two digits behind the point, and no more than it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = format!("{:06}", self.0 % Self::DOLLAR);
        let needed = rest.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / Self::DOLLAR, &rest[..needed])
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            // A number in a file would be read as a binary fraction, which 0.1 is not.
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::Money;

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_it_was(micros in any::<u64>()) {
            let money = Money::from_micros(micros);
            assert_eq!(money.to_string().parse(), Ok(money));
            assert_eq!(serde_json::from_str::<Money>(&serde_json::to_string(&money).unwrap()).unwrap(), money);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_by_name() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1,50", "1.0000001", "1e3", "$1", "18446744073710"] {
            let error = text.parse::<Money>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` is no amount")), "{error}");
        }
        assert!(serde_json::from_str::<Money>("0.1").is_err());
    }
}
