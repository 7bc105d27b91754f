//! Whatever calls do, no limit is exceeded, nothing leaks, and nobody waits for nothing.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use runtime_traits::Tenant;
use runtime_traits::log::Usage;
use runtime_traits::resource::{Admission, CallId, Limit, Past, ResourceGovernor, ResourceLimits, Turn};

use super::{BEGIN, agent, call};
use crate::budgets::Budgets;
use crate::manager::ResourceManager;
use crate::tried;

const AGENTS: usize = 3;

#[derive(Clone, Debug)]
enum Act {
    /// Asks for a call; the same one again if it is not settled.
    Ask(u8),
    Look(u8),
    GoAway(u8),
    Settle(u8, u8),
    LimitTenant(Option<u64>),
    LimitAgent(usize, Option<u64>),
}

fn act() -> impl Strategy<Value = Act> {
    let max = || of(1..3_000_u64);
    prop_oneof![
        6 => any::<u8>().prop_map(Act::Ask),
        4 => any::<u8>().prop_map(Act::Look),
        2 => any::<u8>().prop_map(Act::GoAway),
        5 => (any::<u8>(), any::<u8>()).prop_map(|(nth, share)| Act::Settle(nth, share)),
        1 => max().prop_map(Act::LimitTenant),
        1 => (0..AGENTS, max()).prop_map(|(of, max)| Act::LimitAgent(of, max)),
    ]
}

/// What the test knows.
struct Known {
    manager: ResourceManager,
    tenant_max: Option<u64>,
    agent_max: [Option<u64>; AGENTS],
    /// Calls that were let through, and are under way.
    held: BTreeMap<u8, ()>,
    /// What calls took that are over.
    settled: [u64; AGENTS],
    over: BTreeMap<u8, ()>,
    places: Vec<(u8, Box<dyn Turn>)>,
}

fn whose(id: u8) -> usize {
    usize::from(id) % AGENTS
}

/// What a call takes at most.
fn most(id: u8) -> u64 {
    u64::from(id) * 3 + 1
}

impl Known {
    fn new() -> Self {
        let manager = ResourceManager::default();
        for of in 0..AGENTS {
            manager.limit(&Tenant::default(), &agent(of), &ResourceLimits::default());
            manager.recall(&agent(of), &Past::default(), BEGIN);
        }
        let (held, over) = (BTreeMap::new(), BTreeMap::new());
        let (tenant_max, agent_max) = (None, [None; AGENTS]);
        Self { manager, tenant_max, agent_max, held, settled: [0; AGENTS], over, places: Vec::new() }
    }

    /// What is counted of the tenant: nothing while nobody limits it.
    fn tenant_used(&self) -> Option<u64> {
        let used = self.manager.tenant_usage(&Tenant::default(), BEGIN);
        used.iter().find(|used| used.limit == Limit::MaxTokensTotal).map(|used| used.used)
    }

    /// What the agents used, each by itself.
    fn all_used(&self) -> u64 {
        (0..AGENTS).map(|of| self.agent_used(of)).sum()
    }

    fn agent_used(&self, of: usize) -> u64 {
        self.manager.usage(&agent(of), BEGIN).expect("it is known").tokens_total
    }

    fn answered(&mut self, id: u8, admission: Admission) -> bool {
        match admission {
            Admission::Held { most: held, .. } => {
                assert_eq!(held.tokens(), most(id));
                self.held.insert(id, ());
                true
            }
            Admission::Waits(turn) => {
                self.places.push((id, turn));
                false
            }
            Admission::Refused(_) => false,
        }
    }

    fn look(&mut self, at: usize) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(admission) = self.places[at].1.poll(BEGIN, &mut cx) else { return false };
        let (id, _) = self.places.remove(at);
        self.answered(id, admission);
        true
    }

    fn settle(&mut self, id: u8, took: u64) {
        self.held.remove(&id);
        self.over.insert(id, ());
        self.settled[whose(id)] += took;
        let took = Usage { output_tokens: took, model_calls: 1, ..Usage::default() };
        self.manager.settle(CallId(id.into()), took, BEGIN);
        // Whoever asked for the same call has no need of it any more.
        self.places.retain(|(other, _)| *other != id);
    }

    fn act(&mut self, act: Act) {
        let nth = |len: usize, nth: u8| (len > 0).then(|| usize::from(nth) % len);
        match act {
            Act::Ask(id) if self.over.contains_key(&id) => {}
            Act::Ask(id) => {
                let admission = self.manager.admit(call(id.into(), whose(id), most(id)), BEGIN);
                self.answered(id, admission);
            }
            Act::Look(at) => {
                if let Some(at) = nth(self.places.len(), at) {
                    self.look(at);
                }
            }
            Act::GoAway(at) => {
                if let Some(at) = nth(self.places.len(), at) {
                    drop(self.places.remove(at));
                }
            }
            Act::Settle(at, share) => {
                let Some(at) = nth(self.held.len(), at) else { return };
                let id = *self.held.keys().nth(at).expect("there are so many");
                self.settle(id, most(id) * u64::from(share) / 255);
            }
            Act::LimitTenant(max) => {
                let is_counted = self.tenant_max.is_some();
                self.tenant_max = max;
                if max.is_some() && !is_counted {
                    // As whoever keeps what was used tells it: what is under way is held already.
                    let past = Past { tokens: self.settled.iter().sum(), ..Past::default() };
                    self.manager.recall_tenant(&Tenant::default(), &past, BEGIN);
                }
                let budgets = Budgets { tokens_total: max, ..Budgets::default() };
                self.manager.limit_tenant(&Tenant::default(), budgets);
            }
            Act::LimitAgent(of, max) => {
                self.agent_max[of] = max;
                let limits = ResourceLimits { max_tokens_total: max, ..ResourceLimits::default() };
                self.manager.limit(&Tenant::default(), &agent(of), &limits);
            }
        }
    }

    /// Lets everything end that can; whoever waits then would not fit.
    fn end(&mut self) {
        loop {
            while let Some((id, ())) = self.held.pop_first() {
                self.settle(id, 1);
            }
            // Twice: who looks may let one go on that looked before it, which is woken.
            if !(0..2).any(|_| (0..self.places.len()).any(|at| self.look(at))) {
                break;
            }
        }
        let (all, max) = (self.all_used(), |max: Option<u64>| max.unwrap_or(u64::MAX));
        for (id, _) in &self.places {
            let of = whose(*id);
            let fits = all + most(*id) <= max(self.tenant_max)
                && self.agent_used(of) + most(*id) <= max(self.agent_max[of]);
            assert!(!fits, "{id} waits for nothing");
        }
        self.places.clear();
        assert_eq!(self.all_used(), self.settled.iter().sum::<u64>(), "what is over is all that is used");
        for of in 0..AGENTS {
            assert_eq!(self.agent_used(of), self.settled[of]);
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(tried::cases()))]

    #[test]
    fn no_limit_is_exceeded_and_nothing_leaks_and_nobody_waits_for_nothing_whatever_happens(
        acts in vec(act(), 1..150),
    ) {
        let mut known = Known::new();
        for act in acts {
            let before = (known.all_used(), [0, 1, 2].map(|of| known.agent_used(of)));
            known.act(act);
            let counted = known.tenant_max.map(|_| known.all_used());
            assert_eq!(known.tenant_used(), counted, "a limited tenant uses what its agents do");
            let max = known.tenant_max.unwrap_or(u64::MAX);
            assert!(known.all_used() <= max.max(before.0), "the tenant's limit is exceeded");
            for (of, before) in before.1.into_iter().enumerate() {
                let max = known.agent_max[of].unwrap_or(u64::MAX);
                assert!(known.agent_used(of) <= max.max(before), "the agent's limit is exceeded");
            }
            for id in known.held.keys() {
                assert!(known.agent_used(whose(*id)) >= most(*id), "what is under way is held");
            }
        }
        known.end();
    }
}
