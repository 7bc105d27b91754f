//! `scrub`: how the store is looked over for damage.

use std::time::Duration;

use runtime_core::ScrubRate;
use toml::de::DeValue;

use super::read::{Reader, Value};
use super::suggest::instead;

const SETTINGS: [&str; 2] = ["every", "pages_per_second"];
const REMEDY: &str =
    "write scrub = \"off\", or a table: [scrub] with every = \"1d\" and pages_per_second = 20";

impl Reader<'_> {
    /// `"off"`, or a table. What is wrong with it is a fault, and the default stays.
    pub(super) fn scrub(&mut self, value: &Value<'_>) -> Option<ScrubRate> {
        let mut rate = ScrubRate::default();
        let table = match value.get_ref() {
            DeValue::String(off) if off == "off" => return None,
            DeValue::Table(table) => table,
            _ => {
                self.fault(&value.span(), "`scrub` is neither off nor a table", REMEDY);
                return Some(rate);
            }
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "every" => {
                    let remedy = "write a number with m, h or d, as in \"12h\"; at least a minute";
                    let Some(given) = self.text("every", value, remedy) else { continue };
                    match duration(&given) {
                        Some(every) => rate.every = every,
                        None => self.fault(&value.span(), "`every` is no time between two passes", remedy),
                    }
                }
                "pages_per_second" => match pages(value.get_ref()) {
                    Some(pages) => rate.pages_per_second = pages,
                    None => {
                        let remedy = "write a number from 1 to 10000; scrub = \"off\" stops it";
                        self.fault(&value.span(), "`pages_per_second` is no number of pages", remedy);
                    }
                },
                other => {
                    let what = format!("`[scrub]` has no setting `{other}`");
                    self.fault(&key.span(), what, instead(other, &SETTINGS));
                }
            }
        }
        Some(rate)
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (number, seconds) = [("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let number: u32 = number.trim().parse().ok().filter(|number| (1..=36_500).contains(number))?;
    Some(Duration::from_secs(u64::from(number) * seconds))
}

fn pages(value: &DeValue<'_>) -> Option<u32> {
    let DeValue::Integer(integer) = value else { return None };
    let pages = u32::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    (1..=10_000).contains(&pages).then_some(pages)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Fleet;

    #[test]
    fn looking_for_damage_is_set_or_switched_off() {
        let parse = |text: &str| Fleet::parse(text).map(|fleet| fleet.scrub);
        let default = parse("").unwrap().unwrap();
        assert_eq!((default.every, default.pages_per_second), (Duration::from_secs(86_400), 20));
        assert_eq!(parse("scrub = \"off\"").unwrap(), None);
        let set = parse("[scrub]\nevery = \"12h\"\npages_per_second = 5\n").unwrap().unwrap();
        assert_eq!((set.every, set.pages_per_second), (Duration::from_secs(43_200), 5));
    }

    #[test]
    fn what_is_wrong_with_it_is_told_with_a_remedy() {
        let wrong = [
            ("scrub = 3", "neither off nor a table"),
            ("[scrub]\nevery = \"soon\"", "no time between two passes"),
            ("[scrub]\nevery = \"0h\"", "no time between two passes"),
            ("[scrub]\npages_per_second = 0", "no number of pages"),
            ("[scrub]\npages_per_secnd = 1", "did you mean `pages_per_second`"),
        ];
        for (text, told) in wrong {
            let faults = Fleet::parse(text).unwrap_err().to_string();
            assert!(faults.contains(told), "{text}: {faults}");
        }
    }
}
