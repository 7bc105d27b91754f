//! A breaker against its definition, and the guard that callers share.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use runtime_testkit::fakes::{ManualClock, SeededEntropy};
use runtime_traits::UnixMillis;

use super::{Breaker, BreakerGuard, BreakerRule, BreakerState, CallOutcome, Ticket};
use crate::backoff::Backoff;

const START: UnixMillis = UnixMillis(1_800_000_000_000);

#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(u64),
    Admit,
    /// The `nth` of the calls under way ends.
    Settle(usize, CallOutcome),
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![
        2 => Just(CallOutcome::Worked),
        3 => Just(CallOutcome::Failed),
        1 => Just(CallOutcome::Neutral),
    ];
    prop_oneof![
        2 => (0_u64..4_000).prop_map(Act::Wait),
        5 => Just(Act::Admit),
        4 => (0_usize..8, outcome).prop_map(|(nth, outcome)| Act::Settle(nth, outcome)),
    ]
}

fn rule(failures: u32, probes: u32, percent: u8) -> BreakerRule {
    BreakerRule {
        window: Duration::from_secs(10),
        failures: NonZeroU32::new(failures).unwrap(),
        percent,
        in_a_row: None,
        probes: NonZeroU32::new(probes).unwrap(),
        pause: Backoff { base: Duration::from_secs(1), max: Duration::from_secs(8) },
    }
}

/// What a breaker should do, straight from its definition: all calls are remembered.
struct Model {
    rule: BreakerRule,
    state: Stand,
    /// When each counted call ended since it was last closed, and whether it failed.
    ended: Vec<(UnixMillis, bool)>,
    /// How many failed since one worked.
    row: u32,
    era: u64,
    opened: u32,
}

enum Stand {
    Closed,
    /// Since when, and the shortest and the longest that it may last.
    Open(UnixMillis, Duration, Duration),
    Half {
        under_way: u32,
        worked: u32,
    },
}

impl Model {
    fn open(&mut self, now: UnixMillis) {
        let most = self.rule.pause.most(self.opened);
        self.opened += 1;
        self.era += 1;
        self.row = 0;
        self.state = Stand::Open(now, most / 2, most);
    }

    /// Whether a call must (`Some`) be let through or not; between the shortest and the longest pause either is right.
    fn admits(&self, now: UnixMillis) -> Option<bool> {
        match &self.state {
            Stand::Closed => Some(true),
            Stand::Open(since, shortest, longest) => match now.since(*since) {
                passed if passed < *shortest => Some(false),
                passed if passed >= *longest => Some(true),
                _ => None,
            },
            Stand::Half { under_way, worked } => Some(under_way + worked < self.rule.probes.get()),
        }
    }

    fn admitted(&mut self) {
        match &mut self.state {
            Stand::Closed => {}
            Stand::Open(..) => {
                self.era += 1;
                self.state = Stand::Half { under_way: 1, worked: 0 };
            }
            Stand::Half { under_way, .. } => *under_way += 1,
        }
    }

    fn settled(&mut self, era: u64, outcome: CallOutcome, now: UnixMillis) {
        if era != self.era {
            return;
        }
        match &mut self.state {
            Stand::Open(..) => unreachable!("no call is of this era"),
            Stand::Closed if outcome == CallOutcome::Neutral => {}
            Stand::Closed => {
                self.ended.push((now, outcome == CallOutcome::Failed));
                let tenth = |at: UnixMillis| at.0 / 1_000;
                let recent = self.ended.iter().filter(|(at, _)| tenth(now) - tenth(*at) < 10);
                let (failed, all) = recent.fold((0, 0), |(f, all), (_, bad)| (f + u64::from(*bad), all + 1));
                let enough = failed >= u64::from(self.rule.failures.get());
                let share = failed * 100 >= all * u64::from(self.rule.percent);
                self.row = if outcome == CallOutcome::Failed { self.row + 1 } else { 0 };
                let row = self.rule.in_a_row.is_some_and(|most| self.row >= most.get());
                if outcome == CallOutcome::Failed && (enough && share || row) {
                    self.open(now);
                }
            }
            Stand::Half { under_way, worked } => {
                *under_way -= 1;
                match outcome {
                    CallOutcome::Failed => self.open(now),
                    CallOutcome::Neutral => {}
                    CallOutcome::Worked => {
                        *worked += 1;
                        if *worked == self.rule.probes.get() {
                            self.state = Stand::Closed;
                            self.era += 1;
                            self.opened = 0;
                            self.ended.clear();
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn it_does_what_its_definition_says(
        failures in 1_u32..6,
        probes in 1_u32..4,
        percent in 0_u8..=100,
        in_a_row in option::of(1_u32..6),
        seed: u64,
        acts in vec(act(), 0..200),
    ) {
        let in_a_row = in_a_row.and_then(NonZeroU32::new);
        let rule = BreakerRule { in_a_row, ..rule(failures, probes, percent) };
        let (mut breaker, entropy) = (Breaker::new(rule), SeededEntropy::new(seed));
        let mut model = Model { rule, state: Stand::Closed, ended: Vec::new(), row: 0, era: 0, opened: 0 };
        let mut under_way: Vec<(Ticket, u64)> = Vec::new();
        let (mut now, mut transitions) = (START, 0);

        for act in acts {
            let before = breaker.state();
            let turned = match act {
                Act::Wait(ms) => {
                    now = now.after(Duration::from_millis(ms));
                    None
                }
                Act::Admit => {
                    let expected = model.admits(now);
                    let admitted = breaker.admit(now);
                    assert!(expected.is_none_or(|expected| expected == admitted.is_ok()), "{before:?}");
                    match admitted {
                        Ok((ticket, turned)) => {
                            model.admitted();
                            under_way.push((ticket, model.era));
                            turned
                        }
                        Err(tripped) => {
                            assert!(tripped.retry_after <= rule.pause.max);
                            None
                        }
                    }
                }
                Act::Settle(_, _) if under_way.is_empty() => None,
                Act::Settle(nth, outcome) => {
                    let (ticket, era) = under_way.swap_remove(nth % under_way.len());
                    model.settled(era, outcome, now);
                    breaker.settle(ticket, outcome, now, &entropy)
                }
            };

            let probing = under_way.iter().filter(|(_, era)| *era == model.era).count();
            match (&model.state, breaker.state()) {
                (Stand::Closed, BreakerState::Closed) => {}
                (Stand::Open(since, shortest, longest), BreakerState::Open { until }) => {
                    assert!(until >= since.after(*shortest) && until <= since.after(*longest));
                }
                (Stand::Half { under_way, worked }, BreakerState::HalfOpen { under_way: shown, worked: w }) => {
                    assert_eq!((*under_way, *worked), (shown, w));
                    assert_eq!(probing, shown as usize, "as many are counted as are under way");
                    assert!(probing <= probes as usize);
                }
                (_, shown) => panic!("it is {shown:?}"),
            }
            let changed = std::mem::discriminant(&before) != std::mem::discriminant(&breaker.state());
            assert_eq!(turned.is_some(), changed, "every transition is told, and nothing else");
            if let Some(turned) = turned {
                transitions += 1;
                assert_eq!((turned.number, turned.from, turned.to), (transitions, before, breaker.state()));
            }
        }

        // It recovers: whatever came before, a thing that works is called again.
        for _ in 0..probes {
            now = now.after(rule.pause.max);
            for (ticket, _) in under_way.drain(..) {
                breaker.settle(ticket, CallOutcome::Neutral, now, &entropy);
            }
            if let Ok((ticket, _)) = breaker.admit(now) {
                breaker.settle(ticket, CallOutcome::Worked, now, &entropy);
            }
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}

/// A provider is away for a minute and asked ten times a second.
#[test]
fn while_it_is_away_it_is_asked_by_the_probes_alone() {
    let rule = rule(5, 2, 50);
    let (mut breaker, entropy) = (Breaker::new(rule), SeededEntropy::new(7));
    let (mut asked, mut opened_at, mut closed_after) = (0, None, None);
    for tick in 0..1_000_u64 {
        let now = START.after(Duration::from_millis(100 * tick));
        let away = tick < 600;
        let Ok((ticket, _)) = breaker.admit(now) else { continue };
        if away && opened_at.is_some() {
            asked += 1;
        }
        let outcome = if away { CallOutcome::Failed } else { CallOutcome::Worked };
        match breaker.settle(ticket, outcome, now, &entropy).map(|turned| turned.to) {
            Some(BreakerState::Open { .. }) => opened_at = opened_at.or(Some(tick)),
            Some(BreakerState::Closed) => closed_after = Some(tick - 600),
            Some(BreakerState::HalfOpen { .. }) | None => {}
        }
    }

    assert_eq!(opened_at, Some(4), "five failures open it");
    // Pauses of at least 0.5, 1, 2, 4, 4, 4 … seconds.
    assert!((1..=18).contains(&asked), "it was asked {asked} times");
    assert!(closed_after.is_some_and(|ticks| ticks <= 82), "it closed after {closed_after:?} ticks");
}

#[test]
fn failures_in_a_row_open_it_however_many_calls_worked_before() {
    let rule = BreakerRule { in_a_row: NonZeroU32::new(3), ..rule(100, 1, 100) };
    let (mut breaker, entropy) = (Breaker::new(rule), SeededEntropy::new(7));
    let mut ends = |outcome| {
        let (ticket, _) = breaker.admit(START).unwrap();
        breaker.settle(ticket, outcome, START, &entropy).is_some()
    };
    let [worked, failed, neutral] = [CallOutcome::Worked, CallOutcome::Failed, CallOutcome::Neutral];
    assert!((0..1_000).all(|_| !ends(worked)));
    for outcome in [failed, failed, worked, failed, neutral, failed] {
        assert!(!ends(outcome));
    }
    assert!(ends(failed), "it is the third since one worked");
}

#[test]
fn who_waits_for_a_call_that_tries_it_out_asks_the_more_seldom_the_longer_it_takes() {
    let (mut breaker, entropy) = (Breaker::new(rule(1, 1, 0)), SeededEntropy::new(7));
    let (call, _) = breaker.admit(START).unwrap();
    breaker.settle(call, CallOutcome::Failed, START, &entropy);
    let began = START.after(Duration::from_secs(1));
    let (_probe, _) = breaker.admit(began).unwrap();
    let mut waits = Vec::new();
    let mut now = began;
    while now < began.after(Duration::from_secs(60)) {
        let wait = breaker.admit(now).unwrap_err().retry_after;
        assert_eq!(breaker.held_off(now), Some(wait));
        waits.push(wait.as_millis());
        now = now.after(wait);
    }
    assert_eq!(waits[..6], [500, 500, 1_000, 2_000, 4_000, 8_000], "and 8 s is the longest pause");
    assert_eq!(waits.len(), 12, "{waits:?}");
}

fn guard(dropped: CallOutcome) -> (BreakerGuard, Arc<ManualClock>, Arc<Mutex<Vec<u64>>>) {
    let clock = Arc::new(ManualClock::at(START));
    let told = Arc::new(Mutex::new(Vec::new()));
    let numbers = Arc::clone(&told);
    let tell = Box::new(move |turned: super::Transition| numbers.lock().unwrap().push(turned.number));
    let entropy = Arc::new(SeededEntropy::new(1));
    (BreakerGuard::with(rule(1, 1, 0), Arc::clone(&clock) as _, entropy, dropped, Some(tell)), clock, told)
}

#[test]
fn a_dropped_call_counts_as_its_guard_says() {
    let (guard, _, _) = guard(CallOutcome::Neutral);
    drop(guard.enter().unwrap());
    assert_eq!(guard.state(), BreakerState::Closed);

    let (guard, _, _) = self::guard(CallOutcome::Failed);
    drop(guard.enter().unwrap());
    assert!(matches!(guard.state(), BreakerState::Open { .. }));
}

#[test]
fn a_dropped_probe_gives_its_place_back() {
    let (guard, clock, told) = guard(CallOutcome::Neutral);
    guard.enter().unwrap().settle(CallOutcome::Failed);
    assert!(guard.enter().is_err());
    clock.advance(Duration::from_secs(1));

    drop(guard.enter().unwrap());
    let probe = guard.enter().unwrap();
    assert!(guard.enter().is_err(), "one is enough to try");
    probe.settle(CallOutcome::Worked);

    assert_eq!(guard.state(), BreakerState::Closed);
    assert_eq!(*told.lock().unwrap(), [1, 2, 3], "it opened, was tried, and closed");
}
