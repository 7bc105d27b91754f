//! Draws scripts.

use std::collections::HashMap;

use runtime_traits::{Name, StepKey};

use super::{Act, Script, Sort, Work};
use crate::chaos::dice::Dice;

/// The sorts of acts, as often as they come.
const ACTS: [&str; 12] =
    ["do", "do", "do", "do", "join", "join", "race", "limit", "sleep", "sleep", "keep", "keep"];

/// The script with this number.
pub(crate) fn draw(seed: u64, id: u64) -> Script {
    let mut drawing = Drawing { dice: Dice::of(seed, ("script", id)), counts: HashMap::new() };
    let mut acts = Vec::new();
    for nth in 0..drawing.dice.between(2, 5) {
        if drawing.dice.one_in(6) {
            acts.push(Act::Say(format!("{id}, act {nth}")));
        }
        acts.push(drawing.act());
    }
    let fails = drawing.dice.one_in(16);
    let padding = if drawing.dice.one_in(5) { drawing.dice.between(9_000, 40_000) } else { 0 };
    Script { id, acts, fails, padding: "p".repeat(padding as usize) }
}

struct Drawing {
    dice: Dice,
    /// As the engine counts the uses of a name in a scope.
    counts: HashMap<(Vec<Name>, Name), u32>,
}

impl Drawing {
    fn act(&mut self) -> Act {
        match *self.dice.pick(&ACTS) {
            "do" => Act::Do(self.work(None)),
            "join" => {
                let branches = self.dice.between(2, 3);
                Act::Join((0..branches).map(|branch| self.branch(branch)).collect())
            }
            "race" => Act::Race(self.work(None), self.work(None)),
            "limit" => {
                let work = self.work(None);
                // Sometimes the limit passes, sometimes the work is done, sometimes it is a close call.
                let millis = match self.dice.between(0, 2) {
                    0 => work.millis / 2,
                    1 => work.millis + 400,
                    _ => work.millis + 5,
                };
                Act::Limit(millis, work)
            }
            // A wait of more than five seconds parks its run, if the process lives that long.
            "sleep" if self.dice.one_in(12) => Act::Sleep(5_300),
            "sleep" => Act::Sleep(self.dice.between(0, 120)),
            _ => {
                let large = self.dice.one_in(6);
                Act::Keep(if large { 12_000 } else { 30 })
            }
        }
    }

    fn branch(&mut self, branch: u64) -> Vec<Work> {
        let scope = name(&format!("branch-{branch}"));
        (0..self.dice.between(1, 2)).map(|_| self.work(Some(scope.clone()))).collect()
    }

    fn work(&mut self, scope: Option<Name>) -> Work {
        let sort = *self.dice.pick(&[
            Sort::Pure,
            Sort::Repeatable,
            Sort::Repeatable,
            Sort::Idempotent,
            Sort::Fleeting,
            Sort::AtMostOnce,
            Sort::AtMostOnce,
        ]);
        let called = match sort {
            Sort::Pure => "look",
            Sort::Repeatable => "ask",
            Sort::Idempotent => "put",
            Sort::Fleeting => "offer",
            Sort::AtMostOnce => "pay",
        };
        let millis = if self.dice.one_in(8) { 150 } else { self.dice.between(0, 50) };
        let (bytes, within) = (self.bytes(), self.within(millis));
        Work { key: self.key(scope, called), sort, millis, bytes, fails: self.dice.one_in(12), within }
    }

    fn bytes(&mut self) -> usize {
        let large = self.dice.one_in(10);
        let (low, high) = if large { (9_000, 40_000) } else { (0, 200) };
        self.dice.between(low, high) as usize
    }

    fn within(&mut self, millis: u64) -> Option<u64> {
        match self.dice.between(0, 15) {
            0 => Some(millis / 2 + 1),
            1 => Some(millis + 400),
            _ => None,
        }
    }

    fn key(&mut self, scope: Option<Name>, called: &str) -> StepKey {
        let (scope, name): (Vec<Name>, Name) = (scope.into_iter().collect(), name(called));
        let nth = self.counts.entry((scope.clone(), name.clone())).or_insert(0);
        *nth += 1;
        StepKey { scope, name, nth: *nth }
    }
}

fn name(name: &str) -> Name {
    Name::new(name).expect("the names here are lower-case letters, digits and hyphens")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::draw;
    use crate::chaos::script::{Act, Sort};

    #[test]
    fn scripts_are_fixed_by_their_seed_and_have_everything_in_them() {
        assert_eq!(draw(1, 5), draw(1, 5));
        assert_ne!(draw(1, 5).acts, draw(2, 5).acts);

        let scripts: Vec<_> = (0..500).map(|id| draw(3, id)).collect();
        let acts = || scripts.iter().flat_map(|script| &script.acts);
        let works = || scripts.iter().flat_map(|script| script.steps().map(|(_, work)| work));

        assert!(acts().any(|act| matches!(act, Act::Sleep(5_300))));
        assert!(acts().any(|act| matches!(act, Act::Say(_))));
        for sort in [Sort::Pure, Sort::Repeatable, Sort::Idempotent, Sort::Fleeting, Sort::AtMostOnce] {
            assert!(works().any(|work| work.sort == sort), "{sort:?}");
        }
        assert!(works().any(|work| work.key.nth > 1) && works().any(|work| !work.key.scope.is_empty()));
        assert!(works().any(|work| work.within.is_some_and(|within| within < work.millis)));
    }

    #[test]
    fn no_two_steps_of_a_script_have_one_key() {
        for id in 0..500 {
            let script = draw(4, id);
            let keys: Vec<_> = script.steps().map(|(_, work)| work.key.clone()).collect();
            assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        }
    }
}
