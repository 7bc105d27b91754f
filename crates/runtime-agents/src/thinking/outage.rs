//! What comes after a model that is away: the next one of the chain, a wait, or the end. Pure: the log says which models were.

use std::time::Duration;

/// How long it is waited at the least before models are asked once more.
const LEAST: Duration = Duration::from_secs(1);
/// And at the least such a part of what was waited before, so that each try adds to the time from try to try: whatever models say, a
/// turn that waits for an hour asks less than a hundred times, and one that waits for a week less than two hundred.
const PART: u32 = 12;

/// How often and how long it was waited for the models of a turn.
#[derive(Debug, Default)]
pub(super) struct Outage {
    waited: Duration,
}

/// The models of a chain that are away, as they are asked one after the other.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// How long the one is held off that is held off for the shortest time.
    held_off: Option<Duration>,
    said: Vec<String>,
}

/// What comes after a round in which all models were away.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// They are asked once more, later.
    Wait(Duration),
    /// The run fails.
    Fail(String),
}

impl Round {
    /// One more is away.
    pub(super) fn away(&mut self, held_off: Option<Duration>, said: String) {
        self.held_off = match (self.held_off, held_off) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.said.push(said);
    }
}

impl Outage {
    /// What comes next, if a run waits `most` for its models. Where none is held off nothing says that to wait would help: whoever
    /// asked has tried more than once.
    pub(super) fn after(&mut self, round: Round, most: Duration) -> Next {
        let said = round.said.join("; ");
        let Some(held_off) = round.held_off else { return Next::Fail(said) };
        let left = most.saturating_sub(self.waited);
        if left.is_zero() {
            let most = most.as_secs();
            return Next::Fail(format!("{said}; a turn may wait {most} s for it, and has: raise `outage`"));
        }
        // Whoever may wait no longer asks once more before that is said.
        let wait = held_off.max(LEAST).max(self.waited / PART).min(left);
        self.waited += wait;
        Next::Wait(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Duration, LEAST, Next, Outage, Round};

    const SECOND: Duration = Duration::from_secs(1);

    fn round(held_off: &[Option<Duration>]) -> Round {
        let mut round = Round::default();
        for (held_off, name) in held_off.iter().zip(["a is away", "b is away", "c is away"]) {
            round.away(*held_off, name.to_owned());
        }
        round
    }

    #[test]
    fn it_is_waited_for_the_model_that_is_tried_first_again() {
        let mut outage = Outage::default();
        let next = outage.after(round(&[Some(9 * SECOND), None, Some(4 * SECOND)]), 60 * SECOND);
        assert_eq!(next, Next::Wait(4 * SECOND));
    }

    #[test]
    fn where_no_model_is_held_off_the_run_fails_with_what_all_said() {
        let next = Outage::default().after(round(&[None, None]), 60 * SECOND);
        assert_eq!(next, Next::Fail("a is away; b is away".to_owned()));
    }

    #[test]
    fn a_run_waits_as_long_as_it_may_in_all() {
        let mut outage = Outage::default();
        let held = |outage: &mut Outage| outage.after(round(&[Some(4 * SECOND)]), 10 * SECOND);
        assert_eq!(held(&mut outage), Next::Wait(4 * SECOND));
        assert_eq!(held(&mut outage), Next::Wait(4 * SECOND));
        assert_eq!(held(&mut outage), Next::Wait(2 * SECOND), "it is asked once more at the end");
        let Next::Fail(said) = held(&mut outage) else { unreachable!("it waited 10 s") };
        assert_eq!(said, "a is away; a turn may wait 10 s for it, and has: raise `outage`");
    }

    /// How often all are asked until `most` is over.
    fn asks(most: Duration, mut held_off: impl FnMut() -> Duration) -> usize {
        let mut outage = Outage::default();
        1 + (0..)
            .take_while(|_| matches!(outage.after(round(&[Some(held_off())]), most), Next::Wait(_)))
            .count()
    }

    #[test]
    fn an_hour_of_outage_is_a_hundred_tries_at_the_most_and_a_week_two_hundred() {
        let (an_hour, a_week) = (3_600 * SECOND, 604_800 * SECOND);
        assert_eq!((asks(an_hour, || Duration::ZERO), asks(a_week, || Duration::ZERO)), (85, 149));
    }

    proptest! {
        #[test]
        fn whatever_models_say_an_hour_is_a_hundred_tries_at_the_most(said in proptest::collection::vec(0_u64..30_000, 1..50)) {
            let mut said = said.into_iter().cycle().map(Duration::from_millis);
            let asked = asks(3_600 * SECOND, || said.next().unwrap_or_default());
            prop_assert!(asked <= 100, "{asked} tries");
        }
    }

    #[test]
    fn a_run_never_asks_again_at_once() {
        let next = Outage::default().after(round(&[Some(Duration::ZERO)]), SECOND);
        assert_eq!(next, Next::Wait(LEAST));
    }
}
