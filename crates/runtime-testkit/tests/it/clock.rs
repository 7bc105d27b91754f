//! The clock of tests keeps the contract of clocks.

use std::time::Duration;

use runtime_testkit::fakes::{Chance, ManualClock};
use runtime_traits::clock::{Clock, UnixMillis};

#[test]
fn a_manual_clock_never_goes_backwards() {
    let clock = ManualClock::at(UnixMillis(5_000));
    clock.advance_to(UnixMillis(4_000));
    assert_eq!(clock.now(), UnixMillis(5_000));
    clock.advance_to(UnixMillis(6_000));
    clock.advance(Duration::from_micros(1_999));
    assert_eq!(clock.now(), UnixMillis(6_001));
    clock.advance(Duration::MAX);
    clock.advance(Duration::from_millis(1));
    assert_eq!(clock.now(), UnixMillis(u64::MAX));
}

#[test]
fn chance_repeats_itself_and_reaches_every_face() {
    let throws = |seed| {
        let mut chance = Chance::new(seed);
        (0..600).map(|_| chance.below(6)).collect::<Vec<_>>()
    };
    assert_eq!(throws(1), throws(1));
    assert_ne!(throws(1), throws(2));
    for face in 0..6 {
        let times = throws(1).iter().filter(|throw| **throw == face).count();
        assert!((60..140).contains(&times), "{face} came {times} times in 600");
    }
    assert_eq!(Chance::new(1).pick::<u8>(&[]), None);
}
