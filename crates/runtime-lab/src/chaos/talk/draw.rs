//! Draws talks.

use super::{Deed, RETRIES, Talk, Turn, Wish};
use crate::chaos::dice::Dice;
use crate::chaos::script::Sort;

/// The sorts of wishes, as often as they come.
const WISHES: [&str; 10] = ["do", "do", "do", "do", "do", "consent", "consent", "ask", "person", "nonsense"];

/// The talk of this submission.
pub(crate) fn draw(seed: u64, id: u64) -> Talk {
    let mut dice = Dice::of(seed, ("talk", id));
    let mut talk = of(&mut dice, id.to_string(), 3, true);
    // Now and then the model breaks off for good, or somebody else goes on.
    match dice.between(0, 15) {
        0 => {
            let at = dice.between(0, talk.turns.len() as u64 - 1) as usize;
            talk.turns[at].stumbles = RETRIES + 1;
        }
        1 | 2 => {
            let at = dice.between(0, talk.turns.len() as u64 - 2) as usize;
            let place = format!("{id}.{}.{}", at + 1, talk.turns[at].calls.len());
            let heir = of(&mut dice, place, 1, false);
            talk.turns[at].calls.push(Wish::HandOff(Box::new(heir)));
        }
        _ => {}
    }
    talk
}

/// A talk of at least one turn with calls. Runs that are called call no others.
fn of(dice: &mut Dice, talk: String, most: u64, calls_others: bool) -> Talk {
    let turns = dice.between(1, most);
    let mut turns: Vec<Turn> = (1..=turns).map(|nth| turn(dice, &talk, nth, calls_others)).collect();
    turns.push(spoken(dice));
    let padding = if dice.one_in(6) { dice.between(9_000, 20_000) } else { 0 };
    let word = format!("the last word of {talk}{}", ".".repeat(padding as usize));
    Talk { talk, turns, word }
}

fn spoken(dice: &mut Dice) -> Turn {
    let stumbles = if dice.one_in(8) { dice.between(1, u64::from(RETRIES)) as u32 } else { 0 };
    Turn { stumbles, millis: dice.between(0, 60), calls: Vec::new() }
}

fn turn(dice: &mut Dice, talk: &str, nth: u64, calls_others: bool) -> Turn {
    let calls = (0..dice.between(1, 3)).map(|call| match *dice.pick(&WISHES) {
        "ask" if calls_others => {
            let asked = of(dice, format!("{talk}.{nth}.{call}"), 1, false);
            Wish::Ask(Box::new(asked))
        }
        "consent" => Wish::Do(deed(dice, true)),
        "person" => Wish::Person,
        "nonsense" => Wish::Nonsense,
        _ => Wish::Do(deed(dice, false)),
    });
    let calls = calls.collect();
    Turn { calls, ..spoken(dice) }
}

fn deed(dice: &mut Dice, consent: bool) -> Deed {
    let sort = *dice.pick(&[
        Sort::Pure,
        Sort::Repeatable,
        Sort::Idempotent,
        Sort::Fleeting,
        Sort::AtMostOnce,
        Sort::AtMostOnce,
    ]);
    // Whoever consents to something that has no effect consents to nothing.
    let sort = if consent && sort == Sort::Pure { Sort::AtMostOnce } else { sort };
    let bytes = if dice.one_in(12) { dice.between(9_000, 20_000) } else { dice.between(0, 100) };
    Deed { sort, consent, millis: dice.between(0, 60), bytes: bytes as usize, fails: dice.one_in(10) }
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::chaos::script::Sort;
    use crate::chaos::talk::{Talk, Wish};

    fn wishes(talks: &[Talk]) -> impl Iterator<Item = &Wish> {
        talks.iter().flat_map(|talk| talk.turns.iter().flat_map(|turn| &turn.calls))
    }

    #[test]
    fn talks_are_fixed_by_their_seed_and_have_everything_in_them() {
        assert_eq!(draw(1, 5), draw(1, 5));
        assert_ne!(draw(1, 5).turns, draw(2, 5).turns);

        let talks: Vec<Talk> = (0..300).map(|id| draw(3, id)).collect();

        for sort in [Sort::Pure, Sort::Repeatable, Sort::Idempotent, Sort::Fleeting, Sort::AtMostOnce] {
            assert!(
                wishes(&talks).any(|wish| matches!(wish, Wish::Do(deed) if deed.sort == sort)),
                "{sort:?}"
            );
        }
        assert!(wishes(&talks).any(|wish| matches!(wish, Wish::Do(deed) if deed.consent)));
        assert!(wishes(&talks).any(|wish| matches!(wish, Wish::Ask(_))));
        assert!(wishes(&talks).any(|wish| matches!(wish, Wish::HandOff(_))));
        assert!(wishes(&talks).any(|wish| matches!(wish, Wish::Person)));
        assert!(wishes(&talks).any(|wish| matches!(wish, Wish::Nonsense)));
        assert!(talks.iter().any(|talk| talk.breaks().is_some()));
        assert!(talks.iter().any(|talk| talk.turns.iter().any(|turn| turn.calls.len() > 1)));
        assert!(talks.iter().all(|talk| talk.turns.last().is_some_and(|turn| turn.calls.is_empty())));
    }
}
