use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use runtime_traits::UnixMillis;

use super::{Answer, Budgets, Claim, Ledger, Settled};
use crate::tried;
use runtime_traits::resource::Limit;
use runtime_traits::resource::Money;

#[derive(Clone, Debug)]
enum Act {
    Reserve {
        id: u8,
        most: Claim,
    },
    Settle {
        id: u8,
        share: u8,
    },
    Keep {
        id: u8,
    },
    Limits(Budgets),
    Pass(u32),
    ClockBack(u32),
    /// The process dies. Its successor makes the ledger again from what is kept.
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    let claim = (0..3_u64, 0..600_u64, 0..400_u64);
    let claim = claim.prop_map(|(requests, tokens, micros)| Claim { requests, tokens, micros });
    prop_oneof![
        6 => (any::<u8>(), claim).prop_map(|(id, most)| Act::Reserve { id, most }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(id, share)| Act::Settle { id, share }),
        1 => any::<u8>().prop_map(|id| Act::Keep { id }),
        1 => budgets().prop_map(Act::Limits),
        3 => (0..90_000_u32).prop_map(Act::Pass),
        1 => (0..90_000_u32).prop_map(Act::ClockBack),
        1 => proptest::strategy::Just(Act::Crash),
    ]
}

fn budgets() -> impl Strategy<Value = Budgets> {
    tried::budgets([10, 1_500, 20_000, 1_000, 3_000, 20_000])
}

/// What the model knows of a call: when it was let through, what for, and what it was found to have taken.
#[derive(Clone, Copy, Debug)]
struct Call {
    at: u64,
    charged: Claim,
    open: bool,
}

/// By the plainest rule that there is: nothing that was let through at a moment makes any span over its limit.
fn within(calls: &[Call], now: u64, budgets: &Budgets, most: Claim) -> bool {
    let sum = |span: u64, of: fn(&Claim) -> u64| {
        let counted = calls.iter().filter(|call| now.saturating_sub(call.at) < span);
        counted.map(|call| of(&call.charged)).sum::<u64>() + of(&most)
    };
    let fits = |max: Option<u64>, used: u64| max.is_none_or(|max| used <= max);
    let money = |money: Option<Money>| money.map(Money::micros);
    fits(budgets.requests_per_minute, sum(60_000, |claim| claim.requests))
        && fits(budgets.tokens_per_minute, sum(60_000, |claim| claim.tokens))
        && fits(budgets.tokens_total, sum(u64::MAX, |claim| claim.tokens))
        && fits(money(budgets.cost_per_hour), sum(3_600_000, |claim| claim.micros))
        && fits(money(budgets.cost_per_day), sum(86_400_000, |claim| claim.micros))
        && fits(money(budgets.cost_total), sum(u64::MAX, |claim| claim.micros))
}

fn part(most: Claim, share: u8) -> Claim {
    let of = |amount: u64| amount * u64::from(share) / 255;
    Claim { requests: most.requests, tokens: of(most.tokens), micros: of(most.micros) }
}

proptest! {
    #![proptest_config(Config::with_cases(tried::cases()))]

    #[test]
    fn no_limit_is_exceeded_and_nothing_leaks_whatever_happens(first in budgets(), acts in vec(act(), 1..120)) {
        let mut ledger = Ledger::new(first);
        let mut budgets = first;
        // The time of day, and the time that the ledger has seen, which is never set back.
        let (mut clock, mut now) = (1_800_000_000_000_u64, 0);
        let mut calls: BTreeMap<u8, Call> = BTreeMap::new();
        for act in acts {
            match act {
                Act::Reserve { id, most } => {
                    if let Some(call) = calls.get(&id) {
                        // Ids of settled calls are never used again.
                        if call.open {
                            assert_eq!(ledger.reserve(id.into(), UnixMillis(clock), most), Answer::Held);
                        }
                        continue;
                    }
                    now = now.max(clock);
                    let all: Vec<Call> = calls.values().copied().collect();
                    match ledger.reserve(id.into(), UnixMillis(clock), most) {
                        Answer::Held => {
                            assert!(within(&all, now, &budgets, most), "{most:?} exceeds {budgets:?}");
                            calls.insert(id, Call { at: now, charged: most, open: true });
                        }
                        Answer::Never { limit, needs, max } => {
                            assert!(needs > max && budgets.of(limit) == Some(max));
                        }
                        Answer::Wait { until, .. } => {
                            // It is not refused for nothing: with the part of a span that is counted longer there is no room.
                            assert!(!within_with_slack(&all, clock, &budgets, most));
                            assert!(until.is_none_or(|until| until.0 > clock));
                        }
                    }
                }
                Act::Settle { id, share } => match calls.get_mut(&id) {
                    Some(call) if call.open => {
                        let took = part(call.charged, share);
                        assert_eq!(ledger.settle(id.into(), took), Settled::Settled);
                        (call.charged, call.open) = (took, false);
                    }
                    _ => assert_eq!(ledger.settle(id.into(), Claim::default()), Settled::NotHeld),
                },
                Act::Keep { id } => match calls.get_mut(&id) {
                    Some(call) if call.open => {
                        assert_eq!(ledger.keep(id.into()), Settled::Settled);
                        call.open = false;
                    }
                    _ => assert_eq!(ledger.keep(id.into()), Settled::NotHeld),
                },
                Act::Limits(other) => {
                    budgets = other;
                    ledger.set_budgets(other);
                }
                Act::Pass(by) => clock += u64::from(by),
                Act::ClockBack(by) => clock -= u64::from(by),
                Act::Crash => {
                    ledger = Ledger::new(budgets);
                    let mut kept: Vec<(u8, Call)> = calls.iter().map(|(id, call)| (*id, *call)).collect();
                    kept.sort_by_key(|(_, call)| call.at);
                    // The new process has seen no later time than that of what is kept.
                    now = kept.last().map_or(0, |(_, call)| call.at);
                    for (id, call) in kept {
                        if call.open {
                            ledger.hold(id.into(), UnixMillis(call.at), call.charged);
                        } else {
                            ledger.record(UnixMillis(call.at), call.charged);
                        }
                    }
                }
            }
            assert_eq!(ledger.held(), calls.values().filter(|call| call.open).count());
        }
        // Nothing leaks: when all is settled with nothing, nothing is used.
        for (id, call) in &calls {
            if call.open {
                assert_eq!(ledger.settle((*id).into(), Claim::default()), Settled::Settled);
            }
        }
        let settled = calls.values().filter(|call| !call.open).map(|call| call.charged.tokens).sum::<u64>();
        let used = ledger.used(UnixMillis(now));
        let total = used.iter().find(|used| used.limit == Limit::MaxTokensTotal).expect("it is counted");
        assert_eq!(total.used, settled);
    }
}

/// As [`within`], with each span longer by the part of it that a window counts longer.
fn within_with_slack(calls: &[Call], now: u64, budgets: &Budgets, most: Claim) -> bool {
    // A span that is longer by one part of 240: as if what was charged had been charged so much later.
    let later = |call: &Call, span: u64| Call { at: call.at + span / 240, ..*call };
    let fits = |span: u64, only: Budgets| {
        let moved: Vec<Call> = calls.iter().map(|call| later(call, span)).collect();
        within(&moved, now, &only, most)
    };
    let Budgets { requests_per_minute, tokens_per_minute, tokens_total, .. } = *budgets;
    let none = Budgets::default();
    fits(60_000, Budgets { requests_per_minute, tokens_per_minute, tokens_total, ..none })
        && fits(3_600_000, Budgets { cost_per_hour: budgets.cost_per_hour, ..none })
        && fits(86_400_000, Budgets { cost_per_day: budgets.cost_per_day, ..none })
        && fits(60_000, Budgets { cost_total: budgets.cost_total, ..none })
}

#[test]
fn the_limit_that_takes_longest_is_named() {
    let budgets = Budgets {
        tokens_per_minute: Some(100),
        cost_per_hour: Some(Money::from_micros(100)),
        tokens_total: Some(1_000),
        ..Budgets::default()
    };
    let mut ledger = Ledger::new(budgets);
    let (now, all) = (UnixMillis(0), Claim { requests: 1, tokens: 100, micros: 100 });
    assert_eq!(ledger.reserve(1, now, all), Answer::Held);

    let tokens = Claim { tokens: 1, ..Claim::default() };
    let wait = |limit, until: u64| Answer::Wait { limit, until: Some(UnixMillis(until)) };
    assert_eq!(ledger.reserve(2, now, tokens), wait(Limit::MaxTokensPerMinute, 60_250));
    assert_eq!(ledger.reserve(2, now, Claim { micros: 1, ..tokens }), wait(Limit::MaxCostPerHour, 3_615_000));
    let never = Answer::Never { limit: Limit::MaxTokensPerMinute, needs: 101, max: 100 };
    assert_eq!(ledger.reserve(2, now, Claim { tokens: 101, ..Claim::default() }), never);
    ledger.set_budgets(Budgets { tokens_total: Some(100), ..budgets });
    let wait = Answer::Wait { limit: Limit::MaxTokensTotal, until: None };
    assert_eq!(ledger.reserve(2, now, Claim { micros: 1, ..tokens }), wait);
}
