use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use runtime_traits::{Partition, Pool, UnixMillis};

use super::{Admission, Ask, Borrower, Grant, Lender, Lent};
use crate::budgets::{Budgets, COUNTED};
use crate::claim::Claim;
use crate::ledger::Settled;
use crate::tried;
use runtime_traits::resource::Limit;

const PARTITIONS: usize = 3;
const MARGIN: u64 = 4_000;
const SPANS: [u64; COUNTED.len()] = [60_000, 60_000, u64::MAX, 3_600_000, 86_400_000, u64::MAX, u64::MAX];

#[derive(Clone, Debug)]
enum Act {
    /// Asks for a grant. The answer may be lost: then it is asked for again, some time.
    Ask {
        by: usize,
        least: Claim,
        times: u64,
        seconds: u64,
        lost: bool,
    },
    Again {
        by: usize,
    },
    Admit {
        by: usize,
        most: Claim,
    },
    Settle {
        by: usize,
        share: u8,
    },
    Keep {
        by: usize,
    },
    GiveBack {
        by: usize,
        least: Option<Claim>,
    },
    /// The lender gets what was given back longest ago, or gets it twice.
    Deliver {
        by: usize,
        twice: bool,
    },
    TopUp(Budgets),
    Pass(u64),
    /// Sets a clock to be so much ahead of or behind the time: of the lender (`None`), or a partition's owner.
    Set {
        whose: Option<usize>,
        ahead: i64,
    },
    LenderCrashes,
    /// The owner of a partition dies, and another one takes it over.
    Takeover {
        by: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let by = || 0..PARTITIONS;
    let claim = || (0..3_u64, 0..400_u64, 0..300_u64);
    let claim = || claim().prop_map(|(requests, tokens, micros)| Claim { requests, tokens, micros });
    prop_oneof![
        5 => (by(), claim(), 1..6_u64, 1..90_u64, any::<bool>()).prop_map(|(by, least, times, seconds, lost)| {
            Act::Ask { by, least, times, seconds, lost }
        }),
        2 => by().prop_map(|by| Act::Again { by }),
        12 => (by(), claim()).prop_map(|(by, most)| Act::Admit { by, most }),
        5 => (by(), any::<u8>()).prop_map(|(by, share)| Act::Settle { by, share }),
        1 => by().prop_map(|by| Act::Keep { by }),
        3 => (by(), proptest::option::of(claim())).prop_map(|(by, least)| Act::GiveBack { by, least }),
        3 => (by(), any::<bool>()).prop_map(|(by, twice)| Act::Deliver { by, twice }),
        1 => budgets().prop_map(Act::TopUp),
        4 => (0..4_000_u64).prop_map(Act::Pass),
        2 => (20_000..70_000_u64).prop_map(Act::Pass),
        2 => (proptest::option::of(by()), -1_000..1_001_i64).prop_map(|(whose, ahead)| Act::Set { whose, ahead }),
        1 => proptest::strategy::Just(Act::LenderCrashes),
        2 => by().prop_map(|by| Act::Takeover { by }),
    ]
}

fn budgets() -> impl Strategy<Value = Budgets> {
    tried::budgets([6, 900, 4_000, 700, 2_000, 4_000])
}

/// A call as the world knows it.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// When it was sent, by the latest moment that the lender had seen.
    at: u64,
    grant: u128,
    charged: Claim,
    open: bool,
}

/// What survives the owner of a partition: its cells and its outbox.
#[derive(Debug, Default)]
struct Kept {
    calls: BTreeMap<u128, Call>,
    /// Asks of which no answer came.
    unanswered: Vec<Ask>,
    answers: Vec<Grant>,
    /// Grants that it gave back, whether the lender knows or not.
    gone: BTreeSet<u128>,
    outbox: Vec<(u128, Claim)>,
}

/// What survives the lender, in the order of time.
#[derive(Clone, Debug)]
struct Told {
    grant: Grant,
    given_back: Option<(u64, Claim)>,
}

/// A lender, its borrowers, and all that a world knows which neither of them tells.
struct World {
    lender: Lender,
    book: Vec<Told>,
    owners: Vec<(Borrower, Kept)>,
    /// How much of each limit may be used: what it is, or what was lent already when it was lowered.
    allowed: [u64; COUNTED.len()],
    time: u64,
    /// By how much clocks are ahead: the lender's and those of the owners.
    ahead: [i64; PARTITIONS + 1],
    seen: u64,
    ids: u128,
}

impl World {
    fn new(budgets: Budgets) -> Self {
        Self {
            lender: Lender::new(budgets, Duration::from_millis(MARGIN)),
            book: Vec::new(),
            owners: (0..PARTITIONS).map(|_| Default::default()).collect(),
            allowed: COUNTED.map(|counted| budgets.of(counted.limit).unwrap_or(u64::MAX)),
            time: 1_800_000_000_000,
            ahead: [0; PARTITIONS + 1],
            seen: 0,
            ids: 0,
        }
    }

    fn clock(&self, of: Option<usize>) -> UnixMillis {
        UnixMillis(self.time.saturating_add_signed(self.ahead[of.map_or(PARTITIONS, |of| of)]))
    }

    /// The lender's clock; it looks at it.
    fn lenders(&mut self) -> UnixMillis {
        let now = self.clock(None);
        self.seen = self.seen.max(now.0);
        now
    }

    fn id(&mut self) -> u128 {
        self.ids += 1;
        self.ids
    }

    fn used(&self, span: u64, of: impl Fn(&Claim) -> u64) -> u64 {
        let calls = self.owners.iter().flat_map(|(_, kept)| kept.calls.values());
        let counted = calls.filter(|call| self.seen.saturating_sub(call.at) < span);
        counted.map(|call| of(&call.charged)).sum()
    }

    fn ask(&mut self, ask: Ask, lost: bool) {
        let now = self.lenders();
        let known = self.lender.grants_of(ask.borrower).find(|grant| grant.id == ask.id).copied();
        let (owner, kept) = &mut self.owners[usize::from(ask.borrower.index)];
        match self.lender.lend(now, ask) {
            Lent::Grant(grant) => {
                if let Some(known) = known {
                    assert_eq!(grant, known, "asked again it is the same");
                } else {
                    assert!(ask.least.fits(grant.lent) && grant.lent.fits(ask.most));
                    self.book.push(Told { grant, given_back: None });
                    for (counted, span) in COUNTED.iter().zip(SPANS) {
                        let committed = committed(&self.book, self.seen, span, |claim| counted.of(claim));
                        let max = self.lender.budgets().of(counted.limit);
                        assert!(max.is_none_or(|max| committed <= max), "{committed} of {counted:?}");
                    }
                }
                if lost {
                    kept.unanswered.push(ask);
                } else {
                    owner.take(grant);
                    // And another copy of the answer comes later.
                    kept.answers.push(grant);
                }
            }
            Lent::Never { limit, needs, max } => {
                assert!(needs > max && self.lender.budgets().of(limit) == Some(max));
            }
            Lent::Wait { limit, .. } => {
                // It is not refused for nothing: what is used and lent leaves no room.
                let used = self.lender.used(now).into_iter().find(|used| used.limit == limit).unwrap();
                let counted = COUNTED.iter().find(|counted| counted.limit == limit).unwrap();
                assert!(used.used + counted.of(&ask.least) > used.max.unwrap());
            }
            Lent::Over => assert!(ask.expiry.0 <= self.seen || kept.gone.contains(&ask.id)),
            Lent::TooMany { .. } => unreachable!("they are few"),
        }
    }

    fn act(&mut self, act: Act, wild: bool) {
        match act {
            Act::Ask { by, least, times, seconds, lost } => {
                let most = least.both(Claim::default(), |least, _| least * times);
                let borrower = Partition { pool: Pool::MAIN, index: by as u16 };
                let expiry = self.clock(Some(by)).after(Duration::from_secs(seconds));
                let id = self.id();
                self.ask(Ask { id, borrower, least, most, expiry }, lost);
            }
            Act::Again { by } => {
                if let Some(ask) = self.owners[by].1.unanswered.pop() {
                    self.ask(ask, false);
                }
                let (owner, kept) = &mut self.owners[by];
                kept.answers.drain(..).for_each(|grant| owner.take(grant));
            }
            Act::Admit { by, most } => {
                let (now, call) = (self.clock(Some(by)), self.id());
                let (owner, kept) = &mut self.owners[by];
                if let Admission::Held { grant } = owner.admit(call, now, most) {
                    assert_eq!(owner.admit(call, now, most), Admission::Held { grant });
                    kept.calls.insert(call, Call { at: self.seen, grant, charged: most, open: true });
                }
            }
            Act::Settle { by, share } => {
                let (owner, kept) = &mut self.owners[by];
                if let Some((id, call)) = kept.calls.iter_mut().find(|(_, call)| call.open) {
                    let took = call.charged.both(Claim::default(), |most, _| most * u64::from(share) / 255);
                    let took = Claim { requests: call.charged.requests, ..took };
                    assert_eq!(owner.settle(*id, took), Settled::Settled);
                    assert_eq!(owner.settle(*id, took), Settled::NotHeld);
                    (call.charged, call.open) = (took, false);
                }
            }
            Act::Keep { by } => {
                let (owner, kept) = &mut self.owners[by];
                if let Some((id, call)) = kept.calls.iter_mut().find(|(_, call)| call.open) {
                    assert_eq!(owner.keep(*id), Settled::Settled);
                    call.open = false;
                }
            }
            Act::GiveBack { by, least } => {
                let now = self.clock(Some(by));
                let (owner, kept) = &mut self.owners[by];
                for (grant, used) in owner.give_back(now, least) {
                    kept.gone.insert(grant);
                    kept.outbox.push((grant, used));
                }
            }
            Act::Deliver { by, twice } => self.deliver(by, twice),
            Act::TopUp(budgets) => {
                let now = self.lenders();
                let used = self.lender.used(now);
                for ((allowed, used), counted) in self.allowed.iter_mut().zip(used).zip(&COUNTED) {
                    let lent = used.used.min(*allowed);
                    *allowed = budgets.of(counted.limit).unwrap_or(u64::MAX).max(lent);
                }
                self.lender.set_budgets(budgets);
            }
            Act::Pass(by) => self.time += by,
            Act::Set { whose, ahead } => {
                // Two clocks differ by the margin at most; or by days, where nothing is limited by time.
                let most = if wild { 100_000 } else { MARGIN as i64 / 2_000 };
                self.ahead[whose.unwrap_or(PARTITIONS)] = ahead * most;
            }
            Act::LenderCrashes => {
                let budgets = *self.lender.budgets();
                self.lender = Lender::new(budgets, Duration::from_millis(MARGIN));
                for told in &self.book {
                    match told.given_back {
                        Some((at, used)) => self.lender.record(&told.grant, UnixMillis(at), used),
                        None => self.lender.hold(told.grant),
                    }
                }
                // What it had seen of the time is lost, but for what it wrote down. What was sent, was sent before now.
                let told = self.book.iter().filter_map(|told| told.given_back).map(|(at, _)| at).max();
                let now = self.clock(None);
                self.seen = now.0.max(told.unwrap_or(0));
                self.lender.left(now);
                for call in self.owners.iter_mut().flat_map(|(_, kept)| kept.calls.values_mut()) {
                    call.at = call.at.min(self.seen);
                }
            }
            Act::Takeover { by } => self.take_over(by),
        }
    }

    /// The lender gets what was given back longest ago.
    fn deliver(&mut self, by: usize, twice: bool) {
        let now = self.lenders();
        let outbox = &mut self.owners[by].1.outbox;
        if outbox.is_empty() {
            return;
        }
        let (id, used) = outbox.remove(0);
        // Before the expiry is over for everybody it is charged now, and then when it was.
        let place = self.book.iter().position(|told| told.grant.id == id).unwrap();
        let mut told = self.book.remove(place);
        let end = told.grant.expiry.0 + MARGIN;
        assert_eq!(self.lender.give_back(id, now, used), Settled::Settled);
        if twice {
            assert_eq!(self.lender.give_back(id, now, used), Settled::NotHeld);
        }
        let at = self.seen.min(end);
        told.given_back = Some((at, used));
        let later = |other: &Told| other.given_back.is_some_and(|(other, _)| other > at);
        let place = self.book.iter().position(later).unwrap_or(self.book.len());
        self.book.insert(place, told);
    }

    /// A new owner of a partition: it finds the grants at the lender, and in the logs what was sent under them.
    fn take_over(&mut self, by: usize) {
        let partition = Partition { pool: Pool::MAIN, index: by as u16 };
        let (owner, kept) = &mut self.owners[by];
        let before: Vec<(Grant, Claim)> = owner.grants().map(|(grant, used)| (*grant, used)).collect();
        let mut new = Borrower::default();
        let open = self.lender.grants_of(partition).filter(|grant| !kept.gone.contains(&grant.id));
        open.for_each(|grant| new.take(*grant));
        let old = before.iter().filter(|(grant, _)| grant.expiry.0 + MARGIN > self.seen);
        for (grant, _) in old {
            assert!(new.grants().any(|(found, _)| found == grant), "{grant:?} is not found again");
        }
        // What the lender holds for expired is in the partition's own cells.
        before.iter().for_each(|(grant, _)| new.take(*grant));
        for (id, call) in &kept.calls {
            if call.open {
                new.hold(*id, call.grant, call.charged);
            } else {
                new.record(call.grant, call.charged);
            }
        }
        for (grant, charged) in new.grants() {
            let known = before.iter().find(|(old, _)| old.id == grant.id);
            assert_eq!(charged, known.map_or(Claim::default(), |(_, charged)| *charged));
        }
        // It asks for nothing again that it has found, and takes no answer that it has not asked for.
        kept.answers.clear();
        kept.unanswered.retain(|ask| !new.grants().any(|(grant, _)| grant.id == ask.id));
        *owner = new;
    }

    /// However calls and grants were, no more than a limit was used.
    fn check(&self) {
        for ((counted, span), allowed) in COUNTED.iter().zip(SPANS).zip(self.allowed) {
            if counted.limit == Limit::MaxCostPerMonth {
                continue;
            }
            let used = self.used(span, |claim| counted.of(claim));
            assert!(used <= allowed, "`{}` is {allowed}, and {used} were used", counted.limit);
        }
    }

    /// When all has ended and was told, the lender has charged what was used, and nothing else.
    fn end(mut self) {
        for by in 0..PARTITIONS {
            let (owner, kept) = &mut self.owners[by];
            for (id, call) in kept.calls.iter_mut().filter(|(_, call)| call.open) {
                assert_eq!(owner.settle(*id, Claim::default()), Settled::Settled);
                (call.charged, call.open) = (Claim::default(), false);
            }
            // What was lent and whose answer was lost is found.
            self.take_over(by);
            self.act(Act::GiveBack { by, least: None }, false);
            while !self.owners[by].1.outbox.is_empty() {
                self.deliver(by, true);
            }
            assert_eq!((self.owners[by].0.held(), self.owners[by].0.grants().count()), (0, 0));
        }
        let now = self.lenders();
        assert_eq!(self.lender.open(), 0);
        // A grant whose answer was lost, and that expired before anybody took it over, stays charged.
        let lost = self.book.iter().filter(|told| told.given_back.is_none());
        let lost: u64 = lost.map(|told| told.grant.lent.tokens).sum();
        let used = self.lender.used(now);
        let total = used.iter().find(|used| used.limit == Limit::MaxTokensTotal).unwrap();
        assert_eq!(total.used, self.used(u64::MAX, |claim| claim.tokens) + lost);
    }
}

/// By the plainest rule that there is: what is lent, what was used within the span, and all of what expired within it.
fn committed(book: &[Told], now: u64, span: u64, of: impl Fn(&Claim) -> u64) -> u64 {
    let counted = |told: &Told| {
        let end = told.grant.expiry.0 + MARGIN;
        let (at, claim) = told.given_back.unwrap_or((end, told.grant.lent));
        if at > now || now - at < span { of(&claim) } else { 0 }
    };
    book.iter().map(counted).sum()
}

proptest! {
    #![proptest_config(Config::with_cases(tried::cases()))]

    #[test]
    fn what_is_lent_exceeds_no_limit_and_leaks_nothing_whatever_happens(
        first in budgets(), wild in any::<bool>(), acts in vec(act(), 1..120),
    ) {
        let total = |budgets: Budgets| {
            let Budgets { tokens_total, cost_total, .. } = budgets;
            if wild { Budgets { tokens_total, cost_total, ..Budgets::default() } } else { budgets }
        };
        let mut world = World::new(total(first));
        for act in acts {
            let act = if let Act::TopUp(budgets) = act { Act::TopUp(total(budgets)) } else { act };
            world.act(act, wild);
            world.check();
        }
        world.end();
    }
}

const NOW: UnixMillis = UnixMillis(1_000);

fn tokens(tokens: u64) -> Claim {
    Claim { requests: 1, tokens, ..Claim::default() }
}

fn ask(id: u128, least: u64, most: u64) -> Ask {
    let borrower = Partition { pool: Pool::MAIN, index: 1 };
    Ask { id, borrower, least: tokens(least), most: tokens(most), expiry: UnixMillis(31_000) }
}

#[test]
fn the_nearer_the_limit_the_less_is_lent_down_to_one_call() {
    let budgets = Budgets { tokens_total: Some(8_000), ..Budgets::default() };
    let mut lender = Lender::new(budgets, Duration::ZERO);
    let mut lent = Vec::new();
    for id in 0.. {
        match lender.lend(NOW, ask(id, 500, 900)) {
            Lent::Grant(grant) => lent.push(grant.lent.tokens),
            answer => {
                assert_eq!(answer, Lent::Wait { limit: Limit::MaxTokensTotal, until: None });
                break;
            }
        }
    }
    assert_eq!(lent[..8], [900, 887, 776, 679, 594, 520, 500, 500]);
    assert!(lent[8..].iter().all(|lent| *lent == 500) && lent.iter().sum::<u64>() > 7_500, "{lent:?}");
}

#[test]
fn an_expired_grant_stays_charged_until_its_borrower_says_what_it_used() {
    let budgets = Budgets { tokens_per_minute: Some(1_000), tokens_total: Some(1_500), ..Budgets::default() };
    let mut lender = Lender::new(budgets, Duration::from_millis(2_000));
    assert!(matches!(lender.lend(NOW, ask(1, 1_000, 1_000)), Lent::Grant(_)));

    // Until its expiry and the margin are over, and then for a minute, nothing is free.
    for now in [32_999, 33_000, 93_000] {
        assert_eq!(lender.left(UnixMillis(now)).tokens, 0, "at {now}");
    }
    assert_eq!(lender.left(UnixMillis(93_250)).tokens, 500);
    assert_eq!(lender.give_back(1, UnixMillis(93_250), tokens(100)), Settled::Settled);
    assert_eq!(lender.left(UnixMillis(93_250)).tokens, 1_000);
    assert_eq!(lender.give_back(1, UnixMillis(93_250), tokens(100)), Settled::NotHeld);
}

#[test]
fn a_copy_of_an_ask_gets_nothing_when_its_grant_was_given_back_or_has_expired() {
    let mut lender = Lender::new(Budgets::default(), Duration::ZERO);
    assert!(matches!(lender.lend(NOW, ask(1, 10, 20)), Lent::Grant(_)));
    assert_eq!(lender.give_back(1, NOW, tokens(5)), Settled::Settled);

    assert_eq!(lender.lend(NOW, ask(1, 10, 20)), Lent::Over);
    assert_eq!(lender.lend(UnixMillis(31_000), ask(2, 10, 20)), Lent::Over);
}

#[test]
fn nothing_is_sent_under_an_expired_grant_also_when_the_clock_is_set_back() {
    let mut borrower = Borrower::default();
    let grant = Grant {
        id: 1,
        borrower: Partition { pool: Pool::MAIN, index: 1 },
        lent: tokens(900),
        expiry: UnixMillis(31_000),
    };
    borrower.take(grant);
    assert_eq!(borrower.admit(1, UnixMillis(31_000), tokens(1)), Admission::Ask);
    assert_eq!(borrower.admit(1, NOW, tokens(1)), Admission::Ask);
    assert_eq!(borrower.give_back(NOW, Some(tokens(1))), [(1, Claim::default())]);

    borrower.take(grant);
    assert_eq!(borrower.grants().count(), 0);
}
