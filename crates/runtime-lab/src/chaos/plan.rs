//! How each life of the server ends.

use std::time::Duration;

use super::boundary::Boundary;
use super::dice::Dice;
use super::trap::{Side, Trap};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Killed from outside, so long after its start.
    Outside(Duration),
    /// By its own hand, at a commit.
    Trapped(Trap),
}

/// How each of `n` lives ends. Of five one is killed from outside, one dies at any commit, and three at a commit of a
/// certain sort, so that the sorts get their turn one after the other.
pub(super) fn plan(n: u32, seed: u64) -> Vec<End> {
    let mut dice = Dice::of(seed, "plan");
    let mut sorts: Vec<Trap> = Vec::new();
    let (mut first, mut later) = (Vec::new(), Vec::new());
    let mut kinds = vec![0, 1, 2, 2, 2];
    for at in 0..n as usize {
        if at.is_multiple_of(kinds.len()) {
            dice.shuffle(&mut kinds);
        }
        match kinds[at % kinds.len()] {
            0 => later.push(End::Outside(moment(&mut dice))),
            1 => {
                let nth = if dice.one_in(3) { dice.between(1, 60) } else { dice.between(60, 400) };
                later.push(End::Trapped(Trap { at: None, side: side(&mut dice), nth }));
            }
            _ => {
                if sorts.is_empty() {
                    sorts = every_sort(&mut dice);
                }
                let Some(trap) = sorts.pop() else { continue };
                let registers = trap.at.is_some_and(Boundary::is_of_registration);
                if registers { first.push(End::Trapped(trap)) } else { later.push(End::Trapped(trap)) }
            }
        }
    }
    dice.shuffle(&mut later);
    // Agents are registered once, by the first process that lives long enough.
    first.sort_by_key(|end| match end {
        End::Trapped(trap) => Some((trap.at, trap.side, trap.nth)),
        End::Outside(_) => None,
    });
    first.extend(later);
    first
}

/// Every sort of commit with both sides, in some order.
fn every_sort(dice: &mut Dice) -> Vec<Trap> {
    let mut sorts: Vec<Trap> = Boundary::ALL
        .into_iter()
        .flat_map(|at| [Side::Before, Side::After].map(|side| (at, side)))
        .map(|(at, side)| {
            // As far into a life as such commits come in it; then another trap gets its turn sooner.
            let most = match at {
                Boundary::Declared
                | Boundary::Named
                | Boundary::Wanted
                | Boundary::Own
                | Boundary::Parked => 2,
                Boundary::Saved | Boundary::Decided | Boundary::Cancelled | Boundary::Handed => 3,
                Boundary::Over => 4,
                Boundary::Lost | Boundary::Asked | Boundary::Dispatched | Boundary::Answered => 8,
                Boundary::Posted | Boundary::Received | Boundary::Moved | Boundary::Waits => 12,
                _ => 40,
            };
            Trap { at: Some(at), side, nth: dice.between(1, most) }
        })
        .collect();
    dice.shuffle(&mut sorts);
    sorts
}

fn side(dice: &mut Dice) -> Side {
    *dice.pick(&[Side::Before, Side::After])
}

/// A quarter of the moments lies in the start and the takeover, the others in the work.
fn moment(dice: &mut Dice) -> Duration {
    let millis = if dice.one_in(4) { dice.between(0, 150) } else { dice.between(150, 1_200) };
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{End, plan};
    use crate::chaos::boundary::Boundary;
    use crate::chaos::trap::Side;

    #[test]
    fn a_long_campaign_has_every_sort_of_commit_on_both_sides() {
        let traps = |n, seed| -> BTreeSet<(Boundary, Side)> {
            let sorted = plan(n, seed).into_iter().filter_map(|end| match end {
                End::Trapped(trap) => trap.at.map(|at| (at, trap.side)),
                End::Outside(_) => None,
            });
            sorted.collect()
        };

        assert_eq!(traps(300, 1).len(), 2 * Boundary::ALL.len());
        assert_eq!(traps(30, 1).len(), 18);
        assert_ne!(traps(30, 1), traps(30, 2));
    }

    #[test]
    fn a_plan_has_as_many_lives_as_asked_for_and_registers_first() {
        for n in [1, 3, 30, 301] {
            assert_eq!(plan(n, 9).len(), n as usize);
        }
        let registers = |end: &End| matches!(end, End::Trapped(trap) if trap.at.is_some_and(Boundary::is_of_registration));
        let lives = plan(300, 5);
        let last = lives.iter().rposition(registers).expect("there are some");
        assert!(lives[..=last].iter().all(registers));
    }
}
