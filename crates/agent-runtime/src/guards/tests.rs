//! How many guards there are.

use std::time::Duration;

use runtime_health::CallOutcome;
use runtime_testkit::fakes::{ManualClock, SeededEntropy};

use super::{Arc, GuardRule, Guards, MANY, PoisonError, Sort, What};

fn host(nth: usize) -> What {
    What { sort: Sort::Tool, name: "knock".to_owned(), at: Some(format!("host-{nth}")), key: None }
}

#[test]
fn the_oldest_guards_that_hold_calls_off_go_where_there_are_too_many_and_nobody_has_them() {
    let clock = Arc::new(ManualClock::default());
    let guards = Guards::new(GuardRule::default(), Arc::clone(&clock) as _, Arc::new(SeededEntropy::new(1)));
    let mut held = None;
    for nth in 0..MANY + 10 {
        clock.advance(Duration::from_millis(1));
        let guard = guards.guard(host(nth));
        for _ in 0..5 {
            if let Ok(pass) = guard.enter() {
                pass.settle(CallOutcome::Failed);
            }
        }
        assert!(guard.held_off().is_some(), "{nth}");
        if nth == 0 {
            held = Some(guard);
        }
    }
    let is_there =
        |nth: usize| guards.0.all.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&host(nth));
    let gone: Vec<usize> = (0..MANY + 10).filter(|nth| !is_there(*nth)).collect();
    assert_eq!(gone, (1..=10).collect::<Vec<_>>(), "and not the one that somebody has");
    assert!(held.is_some() && guards.guard(host(11)).held_off().is_some(), "who asks for one that is there");
    assert!((11..MANY + 10).all(is_there), "takes none away");
}
