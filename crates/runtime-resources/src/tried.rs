//! What the tests of ledgers and of lenders draw.

use proptest::option::of;
use proptest::prelude::Strategy;

use crate::budgets::Budgets;
use runtime_traits::resource::Money;

/// How many lives of ledgers, lenders and borrowers are tried: `AGENT_RUNTIME_LEDGERS` of them.
pub(crate) fn cases() -> u32 {
    std::env::var("AGENT_RUNTIME_LEDGERS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

/// Budgets below these, in the order of their fields and without the month's.
pub(crate) fn budgets(below: [u64; 6]) -> impl Strategy<Value = Budgets> {
    let [requests, minute, total, hour, day, cost] = below.map(|below| of(1..below));
    (requests, minute, total, hour, day, cost).prop_map(
        |(requests_per_minute, tokens_per_minute, tokens_total, hour, day, total)| Budgets {
            requests_per_minute,
            tokens_per_minute,
            tokens_total,
            cost_per_hour: hour.map(Money::from_micros),
            cost_per_day: day.map(Money::from_micros),
            cost_per_month: None,
            cost_total: total.map(Money::from_micros),
        },
    )
}
