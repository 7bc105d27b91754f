//! Hostile bytes: golden ones that were changed, and random ones.

use runtime_traits::content::{Content, Payload};

use super::target::TARGETS;
use crate::chaos::dice::Dice;

/// Records of every sort, by name, in hexadecimal digits.
const GOLDEN: &str = include_str!("../../../../runtime-codec/tests/golden/all.txt");
const FLEET: &str = include_str!("../../../../../fleet.toml");
const MORE_FLEET: &str = "durability = \"disk\"\n[agents.\"a b\"]\nkind = 'x'\nstart = false\nn = [1, 2.5e3, {a.b = 1979-05-27T07:32:00Z}]\n";

/// What decides something where it stands: ends of scales, what bincode reads as the begin of a longer number, what
/// texts are made of.
const BYTES: &[u8] =
    &[0, 1, 127, 128, 250, 251, 252, 253, 254, 255, b'{', b'[', b'"', b'\\', b'\n', b'.', b':', b'='];
/// The longest input, about.
const LONGEST: usize = 16 * 1024;

/// Good bytes of every target: what hostile ones are made from.
#[derive(Debug)]
pub(super) struct Seeds(Vec<Vec<Vec<u8>>>);

impl Seeds {
    pub(super) fn new() -> Self {
        let mut seeds = vec![Vec::new(); TARGETS.len()];
        let mut add = |target: &str, bytes: Vec<u8>| {
            if let Some(at) = TARGETS.iter().position(|known| known.name == target) {
                seeds[at].push(bytes);
            }
        };
        for line in GOLDEN.lines() {
            let Some((name, digits)) = line.split_once(' ').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let name = name.split_once(':').map_or(name, |(_, name)| name);
            let target = match name.split_once('.') {
                Some(("record", name)) => name.split('.').next().unwrap_or(name),
                _ => "entry",
            };
            add(target, unhex(digits));
        }
        let contents = [
            Content::text("h\u{e9}llo \u{1f980} \"quoted\"\n"),
            Content::bytes(vec![0, 255, 7]),
            Content::json(&[1.5, -0.0]).expect("numbers are JSON"),
        ];
        for content in &contents {
            let text = serde_json::to_vec(content).expect("a content can be written");
            let payload =
                serde_json::to_vec(&Payload::Inline(content.clone())).expect("a payload can be written");
            add("payload", payload);
            add("run-request", [b"{\"input\":", text.as_slice(), b"}"].concat());
            add("content", text);
        }
        add(
            "agent-spec",
            br#"{"kind":"poet","name":"Basho","description":"x","config":{"a":[1,{"b":null}]}}"#.to_vec(),
        );
        add(
            "run-request",
            br#"{"session":"s","input":{"json":{"a":[1]}},"policy":"enqueue","labels":{"a":"b"}}"#.to_vec(),
        );
        for fleet in [FLEET, MORE_FLEET] {
            add("fleet", fleet.as_bytes().to_vec());
        }
        for uri in ["memory:", "redb:a/b.redb", "sled:x", "redis://user:secret@[::1]:6379/0?a=b"] {
            add("store-uri", uri.as_bytes().to_vec());
        }
        Self(seeds)
    }

    /// The target and the bytes of an execution.
    pub(super) fn input(&self, dice: &mut Dice) -> (usize, Vec<u8>) {
        let target = dice.between(0, TARGETS.len() as u64 - 1) as usize;
        let mut bytes = match dice.between(0, 15) {
            0 => (0..dice.between(0, 80)).map(|_| dice.roll() as u8).collect(),
            // Another sort's bytes.
            1 => {
                let other = dice.between(0, TARGETS.len() as u64 - 1) as usize;
                self.seed(other, dice)
            }
            _ => self.seed(target, dice),
        };
        for _ in 0..dice.between(1, 4) {
            self.change(target, &mut bytes, dice);
        }
        bytes.truncate(LONGEST);
        (target, bytes)
    }

    fn seed(&self, target: usize, dice: &mut Dice) -> Vec<u8> {
        if self.0[target].is_empty() { Vec::new() } else { dice.pick(&self.0[target]).clone() }
    }

    fn change(&self, target: usize, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let len = bytes.len() as u64;
        let at = dice.between(0, len) as usize;
        let until = dice.between(at as u64, len.min(at as u64 + 40)) as usize;
        match dice.between(0, 11) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << dice.between(0, 7),
            2 | 3 if at < bytes.len() => bytes[at] = *dice.pick(BYTES),
            4 => bytes.insert(at, *dice.pick(BYTES)),
            5 => drop(bytes.drain(at..until)),
            6 => {
                let again = bytes[at..until].to_vec();
                drop(bytes.splice(at..at, again));
            }
            7 => bytes.truncate(at),
            // A number that is too large for whatever it counts.
            8 => {
                let mut huge = vec![253];
                huge.extend_from_slice(&(u64::MAX >> dice.between(0, 40)).to_le_bytes());
                drop(bytes.splice(at..(at + 9).min(bytes.len()), huge));
            }
            9 => {
                let other = self.seed(target, dice);
                let from = dice.between(0, other.len() as u64) as usize;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            // Deep, or long.
            10 if dice.one_in(4) => {
                let piece = *dice.pick(&[
                    &b"["[..],
                    b"{\"a\":",
                    b"a.",
                    b"[[",
                    b"{a=",
                    b"\\u",
                    b"9",
                    b"\"\"\"",
                    b"(",
                    b"\0",
                ]);
                let more = piece.repeat(dice.between(1, (LONGEST / piece.len()) as u64) as usize);
                drop(bytes.splice(at..at, more));
            }
            _ => bytes.extend((0..dice.between(1, 9)).map(|_| dice.roll() as u8)),
        }
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Dice, Seeds, TARGETS};

    #[test]
    fn every_target_has_good_bytes_and_takes_them() {
        for (seeds, target) in Seeds::new().0.iter().zip(TARGETS) {
            let taken = seeds.iter().filter(|seed| (target.read)(seed)).count();
            assert!(taken > 0, "{target:?} takes none of {} seeds", seeds.len());
        }
    }

    #[test]
    fn inputs_are_fixed_by_the_dice() {
        let seeds = Seeds::new();
        let of = |nth: u64| seeds.input(&mut Dice::of(1, nth));

        assert!((0..50).all(|nth| of(nth) == of(nth)));
        assert!((0..50).any(|nth| of(nth) != of(nth + 1)));
    }
}
