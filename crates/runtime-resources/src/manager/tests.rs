//! Who waits for a limit that others share gets its part of it.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::Usage;
use runtime_traits::resource::{Admission, Call, CallId, OnLimit, ResourceGovernor, Turn};
use runtime_traits::{Partition, Pool, Tenant, UnixMillis};

use super::{QuotaRule, ResourceManager};
use crate::budgets::Budgets;

const PARTITION: Partition = Partition { pool: Pool::MAIN, index: 0 };
const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);

fn agent(nth: usize) -> AgentId {
    AgentId::from_parts(PARTITION, uuid::Uuid::from_u128(nth as u128 + 1))
}

fn call(id: u128, of: usize, tokens: u64) -> Call {
    Call {
        id: CallId(id),
        tenant: Tenant::default(),
        agent: agent(of),
        run: RunId::from_parts(PARTITION, uuid::Uuid::from_u128(id + 1_000_000)),
        model: Some("openai/gpt-4o".to_owned()),
        most: Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() },
        on_limit: OnLimit::Wait,
        priority: 0,
    }
}

/// Fifty agents press against a quota for three minutes, each with one call at a time. What each of them sent, and when.
fn press(manager: &ResourceManager, agents: usize, tokens: impl Fn(usize) -> u64) -> Vec<(u64, usize, u64)> {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut turns, mut sent, mut id) = (BTreeMap::<usize, (CallId, Box<dyn Turn>)>::new(), Vec::new(), 0);
    let mut busy: BTreeMap<usize, (CallId, u64)> = BTreeMap::new();
    for tick in 0..180_000 / 50 {
        let now = UnixMillis(BEGIN.0 + tick * 50);
        for nth in 0..agents {
            if let Some((call, until)) = busy.get(&nth).copied() {
                if until > now.0 {
                    continue;
                }
                busy.remove(&nth);
                let took = Usage { output_tokens: tokens(nth), model_calls: 1, ..Usage::default() };
                manager.settle(call, took, now);
            }
            let (call_id, admission) = match turns.remove(&nth) {
                Some((call, mut turn)) => match turn.poll(now, &mut cx) {
                    Poll::Ready(admission) => (call, admission),
                    Poll::Pending => {
                        turns.insert(nth, (call, turn));
                        continue;
                    }
                },
                None => {
                    id += 1;
                    let call = Call { id: CallId(id), ..call(id, nth, tokens(nth)) };
                    (call.id, manager.admit(call, now))
                }
            };
            match admission {
                Admission::Held { .. } => {
                    sent.push((now.0, nth, tokens(nth)));
                    busy.insert(nth, (call_id, now.0 + 500));
                }
                Admission::Waits(turn) => {
                    turns.insert(nth, (call_id, turn));
                }
                Admission::Refused(refused) => panic!("{refused}"),
            }
        }
    }
    sent
}

#[test]
fn fifty_agents_use_a_quota_fully_and_never_exceed_it_and_each_gets_its_part() {
    let manager = ResourceManager::default();
    manager.declare_quota(QuotaRule {
        models: "openai/*".to_owned(),
        requests_per_minute: Some(600),
        tokens_per_minute: Some(100_000),
    });
    // Half of them ask for much at a time, half for little.
    let sent = press(&manager, 50, |nth| if nth % 2 == 0 { 300 } else { 100 });

    for (from, _, _) in &sent {
        let within: Vec<_> = sent.iter().filter(|(at, _, _)| (*from..from + 60_000).contains(at)).collect();
        assert!(within.len() <= 600, "{} calls in a minute", within.len());
        assert!(within.iter().map(|(_, _, tokens)| tokens).sum::<u64>() <= 100_000);
    }
    let all: u64 = sent.iter().map(|(_, _, tokens)| tokens).sum();
    assert!(
        all >= 100_000 * 3 * 95 / 100 || sent.len() >= 600 * 3 * 95 / 100,
        "{all} tokens in {} calls",
        sent.len()
    );
    let fair = all / 50;
    for nth in 0..50 {
        let own: u64 = sent.iter().filter(|(_, of, _)| *of == nth).map(|(_, _, tokens)| tokens).sum();
        assert!(own * 2 >= fair, "agent {nth} got {own} of {fair}");
    }
}

#[test]
fn after_a_refusal_of_the_provider_nothing_is_sent_until_its_time_and_then_a_little_less() {
    let manager = ResourceManager::default();
    manager.declare_quota(QuotaRule {
        models: "openai/*".to_owned(),
        requests_per_minute: Some(10),
        tokens_per_minute: None,
    });
    manager.throttled("openai/gpt-4o", Some(std::time::Duration::from_secs(20)), BEGIN);

    let Admission::Waits(mut turn) = manager.admit(call(1, 0, 5), BEGIN) else { panic!("it is shut") };
    assert_eq!(turn.until(), Some(UnixMillis(BEGIN.0 + 20_000)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(turn.poll(UnixMillis(BEGIN.0 + 19_999), &mut cx).is_pending());
    assert!(turn.poll(UnixMillis(BEGIN.0 + 20_000), &mut cx).is_ready());
    let now = UnixMillis(BEGIN.0 + 20_001);
    let held = (2..20).filter(|id| matches!(manager.admit(call(*id, 0, 5), now), Admission::Held { .. }));
    assert_eq!(held.count(), 8, "nine of ten for now, one of them before");
    // Another provider is another matter.
    let other = Call { model: Some("anthropic/claude".to_owned()), ..call(99, 0, 5) };
    assert!(matches!(manager.admit(other, BEGIN), Admission::Held { .. }));
}

#[test]
fn whoever_waits_for_its_own_limit_keeps_nobody_else_waiting() {
    let manager = ResourceManager::default();
    let of = |tokens| Budgets { tokens_total: Some(tokens), ..Budgets::default() };
    manager.limit_tenant(&Tenant::default(), of(1_000));
    let own = runtime_traits::ResourceLimits { max_tokens_total: Some(10), ..Default::default() };
    manager.limit(&Tenant::default(), &agent(0), &own);
    assert!(matches!(manager.admit(call(1, 0, 10), BEGIN), Admission::Held { .. }));
    let waits = manager.admit(call(2, 0, 5), BEGIN);
    assert!(matches!(waits, Admission::Waits(_)), "its own limit is reached");

    assert!(matches!(manager.admit(call(3, 1, 900), BEGIN), Admission::Held { .. }), "the tenant's is not");
    let beyond = manager.admit(call(4, 1, 200), BEGIN);
    assert!(matches!(beyond, Admission::Waits(_)));
    assert!(
        matches!(manager.admit(call(5, 2, 1), BEGIN), Admission::Waits(_)),
        "nobody overtakes within the tenant"
    );
    drop(beyond);
    assert!(matches!(manager.admit(call(6, 2, 1), BEGIN), Admission::Held { .. }));
}
