use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use runtime_traits::UnixMillis;

use super::{Asked, Call, Quota, Rates, Turn};
use crate::fair::Party;
use crate::ledger::Settled;
use runtime_traits::resource::Limit;

const RATES: Rates = Rates { requests_per_minute: Some(600), tokens_per_minute: Some(100_000) };
const BEGIN: u64 = 1_800_000_000_000;
const AGENTS: u64 = 50;
const TENANTS: u64 = 5;
/// Calls of each agent that wait or are under way: it presses.
const EACH: u64 = 8;

/// What a provider does with calls that reach it.
trait Provider {
    /// `Err`: how long to stay away.
    fn takes(&mut self, at: u64, tokens: u64) -> Result<(), Duration>;
}

/// Counts the last 60 seconds exactly.
struct Sliding {
    rates: Rates,
    taken: VecDeque<(u64, u64)>,
}

/// Buckets that are refilled continuously, and hold what so many seconds bring.
struct Buckets {
    seconds: f64,
    last: u64,
    requests: f64,
    tokens: f64,
}

impl Sliding {
    fn of(percent: u64) -> Self {
        let part = |rate: Option<u64>| rate.map(|rate| rate * percent / 100);
        let requests_per_minute = part(RATES.requests_per_minute);
        let tokens_per_minute = part(RATES.tokens_per_minute);
        Self { rates: Rates { requests_per_minute, tokens_per_minute }, taken: VecDeque::new() }
    }
}

impl Provider for Sliding {
    fn takes(&mut self, at: u64, tokens: u64) -> Result<(), Duration> {
        while self.taken.front().is_some_and(|(taken, _)| taken + 60_000 <= at) {
            self.taken.pop_front();
        }
        let used: u64 = self.taken.iter().map(|(_, tokens)| tokens).sum();
        let fits = self.taken.len() < self.rates.requests_per_minute.unwrap() as usize
            && used + tokens <= self.rates.tokens_per_minute.unwrap();
        if !fits {
            return Err(Duration::from_secs(2));
        }
        self.taken.push_back((at, tokens));
        Ok(())
    }
}

impl Buckets {
    fn of(seconds: f64) -> Self {
        Self { seconds, last: 0, requests: 10.0 * seconds, tokens: 100_000.0 / 60.0 * seconds }
    }
}

impl Provider for Buckets {
    fn takes(&mut self, at: u64, tokens: u64) -> Result<(), Duration> {
        let passed = at.saturating_sub(self.last) as f64 / 1_000.0;
        self.last = at;
        self.requests = (self.requests + passed * 10.0).min(10.0 * self.seconds);
        let per_second = 100_000.0 / 60.0;
        self.tokens = (self.tokens + passed * per_second).min(per_second * self.seconds);
        if self.requests < 1.0 || self.tokens < tokens as f64 {
            return Err(Duration::from_secs(2));
        }
        (self.requests, self.tokens) = (self.requests - 1.0, self.tokens - tokens as f64);
        Ok(())
    }
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (self.0 >> 33) % (high - low + 1)
    }
}

enum Event {
    Arrives(u64),
    Replies(u64, Result<(), Duration>),
    Wakes,
}

#[derive(Clone, Copy)]
struct Flight {
    agent: u64,
    tokens: u64,
    most: u64,
}

/// What came of it.
#[derive(Debug, Default)]
struct Score {
    reached: u64,
    refused: u64,
    requests: u64,
    tokens: u64,
    /// What each agent got, by the larger one of its parts.
    got: Vec<u64>,
}

struct World<P> {
    quota: Quota<u64, u64, u64>,
    provider: P,
    dice: Dice,
    events: BTreeMap<(u64, u64), Event>,
    flights: BTreeMap<u64, Flight>,
    ids: u64,
    sizes: (u64, u64),
    score: Score,
}

/// Agents with calls of such sizes press for so long.
fn press<P: Provider>(provider: P, sizes: (u64, u64), seconds: u64) -> (Score, Rates) {
    let mut world = World {
        quota: Quota::new(RATES, (AGENTS * EACH) as usize),
        provider,
        dice: Dice(7),
        events: BTreeMap::new(),
        flights: BTreeMap::new(),
        ids: 0,
        sizes,
        score: Score { got: vec![0; AGENTS as usize], ..Score::default() },
    };
    for agent in 0..AGENTS {
        (0..EACH).for_each(|_| world.ask_anew(agent));
    }
    let mut now = BEGIN;
    world.send(now);
    while let Some(((at, _), event)) = world.events.pop_first() {
        assert!(at >= now);
        now = at;
        if now >= BEGIN + seconds * 1_000 {
            break;
        }
        world.happens(now, event);
        world.send(now);
    }
    let rates = world.quota.rates();
    (world.score, rates)
}

impl<P: Provider> World<P> {
    fn ask_anew(&mut self, agent: u64) {
        // Sizes are unequal: from the smallest agent to the largest one.
        let (small, large) = self.sizes;
        let mean = small + (large - small) * agent / (AGENTS - 1);
        let tokens = self.dice.between(mean / 2, mean * 3 / 2).max(1);
        let most = tokens * self.dice.between(105, 140) / 100;
        self.ask(Flight { agent, tokens, most });
    }

    fn ask(&mut self, flight: Flight) {
        self.ids += 1;
        let id = self.ids;
        let party = Party { tenant: flight.agent % TENANTS, agent: flight.agent };
        let call = Call { id, party, priority: 0, tokens: flight.most, deadline: None };
        assert_eq!(self.quota.ask(call), Asked::Waits);
        self.flights.insert(id, flight);
    }

    fn at(&mut self, at: u64, event: Event) {
        self.ids += 1;
        self.events.insert((at, self.ids), event);
    }

    fn send(&mut self, now: u64) {
        loop {
            match self.quota.next(UnixMillis(now)) {
                Turn::Send(id) => {
                    let way = self.dice.between(10, 300);
                    self.at(now + way, Event::Arrives(id));
                }
                Turn::Passed(_) => unreachable!("nothing has a deadline"),
                Turn::Nobody { until } => {
                    if let Some(until) = until {
                        // Once for each moment.
                        self.events.insert((until.0, 0), Event::Wakes);
                    }
                    return;
                }
            }
        }
    }

    fn happens(&mut self, now: u64, event: Event) {
        match event {
            Event::Wakes => {}
            Event::Arrives(id) => {
                let Flight { agent, tokens, .. } = self.flights[&id];
                let taken = self.provider.takes(now, tokens);
                self.score.reached += 1;
                match taken {
                    Ok(()) => {
                        self.score.requests += 1;
                        self.score.tokens += tokens;
                        self.score.got[agent as usize] += tokens.max(100_000 / 600);
                    }
                    Err(_) => self.score.refused += 1,
                }
                let way = if taken.is_ok() { self.dice.between(300, 3_000) } else { 50 };
                self.at(now + way, Event::Replies(id, taken));
            }
            Event::Replies(id, taken) => {
                let flight = self.flights.remove(&id).unwrap();
                match taken {
                    Ok(()) => {
                        assert_eq!(self.quota.settle(&id, flight.tokens), Settled::Settled);
                        self.ask_anew(flight.agent);
                    }
                    Err(after) => {
                        assert_eq!(self.quota.refused(&id, UnixMillis(now), Some(after)), Settled::Settled);
                        self.ask(flight);
                    }
                }
            }
        }
    }
}

impl Score {
    /// The part that was used of what a quota holds over so many minutes: of requests or tokens, of which more was.
    fn part(&self, minutes: u64) -> f64 {
        let (requests, tokens) = (self.requests as f64 / 600.0, self.tokens as f64 / 100_000.0);
        requests.max(tokens) / minutes as f64
    }

    fn holds(&self, minutes: u64, what: &str) {
        let (refused, part) = (self.refused as f64 / self.reached as f64, self.part(minutes));
        let fair = self.got.iter().sum::<u64>() as f64 / AGENTS as f64;
        let least = self.got.iter().min().copied().unwrap() as f64 / fair;
        eprintln!("{what}: {refused:.4} refused, {part:.3} used, {least:.2} of the fair share at least");
        assert!(refused <= 0.005, "{what}: {} of {} were refused", self.refused, self.reached);
        assert!(part >= 0.95, "{what}: {part} was used");
        assert!(least >= 0.5, "{what}: somebody got {least} of its fair share");
    }
}

#[test]
fn fifty_agents_that_press_use_the_quota_and_are_not_refused_and_share_it() {
    // Tokens are short, then requests, then both about equally.
    for sizes in [(60, 900), (10, 100), (40, 290)] {
        for minutes in [3, 15] {
            press(Sliding::of(100), sizes, minutes * 60).0.holds(minutes, &format!("{sizes:?}, sliding"));
            // A bucket that holds a minute's lets more through than a minute's in its first one; so much is not asked for.
            for seconds in [60.0, 12.0] {
                let (score, rates) = press(Buckets::of(seconds), sizes, minutes * 60);
                score.holds(minutes, &format!("{sizes:?}, buckets of {seconds} s"));
                assert_eq!(rates, RATES);
            }
        }
    }
}

#[test]
fn a_provider_that_holds_less_than_is_declared_is_found_out_and_rarely_asked_for_more() {
    let (score, rates) = press(Sliding::of(70), (60, 900), 30 * 60);

    assert!(rates.tokens_per_minute < Some(100_000), "{rates:?}");
    assert!(
        score.refused > 0 && score.refused * 50 <= score.reached,
        "{} of {}",
        score.refused,
        score.reached
    );
    assert!(score.part(30) >= 0.7 * 0.8, "{}", score.part(30));
}

fn call(id: u64) -> Call<u8, u8, u64> {
    Call { id, party: Party { tenant: 0, agent: 0 }, priority: 0, tokens: 100, deadline: None }
}

const NOW: UnixMillis = UnixMillis(BEGIN);

fn later(millis: u64) -> UnixMillis {
    UnixMillis(BEGIN + millis)
}

#[test]
fn a_429_shuts_for_as_long_as_it_says_and_lowers_the_rates_once_and_they_come_back_in_steps() {
    let mut quota = Quota::new(RATES, 10);
    for id in 0..4 {
        assert_eq!(quota.ask(call(id)), Asked::Waits);
    }
    for id in 0..3 {
        assert_eq!(quota.next(NOW), Turn::Send(id));
    }
    let lowered = |part: u64| Rates {
        requests_per_minute: Some(600 * part / 1_000),
        tokens_per_minute: Some(100_000 * part / 1_000),
    };
    // They were sent together: what the first one says, the others say again.
    for id in 0..3 {
        assert_eq!(quota.refused(&id, later(100 + id), Some(Duration::from_secs(5))), Settled::Settled);
        assert_eq!(quota.rates(), lowered(750));
    }
    assert_eq!(quota.refused(&0, later(200), None), Settled::NotHeld);
    assert_eq!(quota.next(later(5_101)), Turn::Nobody { until: Some(later(5_102)) });
    assert_eq!(quota.place(&3, later(200)).unwrap().expected, later(5_102));
    assert_eq!(quota.next(later(5_102)), Turn::Send(3));
    assert_eq!(quota.refused(&3, later(5_200), None), Settled::Settled);
    assert_eq!(quota.rates(), lowered(562));

    for (minutes, part) in [(1, 612), (2, 662), (9, 1_000)] {
        assert_eq!(quota.next(later(5_200 + minutes * 60_000)), Turn::Nobody { until: None });
        assert_eq!(quota.rates(), lowered(part));
    }
}

#[test]
fn whoever_is_to_come_again_in_a_day_comes_in_an_hour_and_at_once_if_the_rates_are_declared_anew() {
    for said in [Duration::from_secs(86_400), Duration::from_secs(u64::MAX)] {
        let mut quota = Quota::new(RATES, 10);
        for id in 0..2 {
            assert_eq!(quota.ask(call(id)), Asked::Waits);
        }
        assert_eq!(quota.next(NOW), Turn::Send(0));
        assert_eq!(quota.refused(&0, NOW, Some(said)), Settled::Settled);
        assert_eq!(quota.next(NOW), Turn::Nobody { until: Some(later(3_600_000)) });

        quota.set_rates(RATES);
        assert_eq!(quota.next(later(1_000)), Turn::Send(1));
    }
}

#[test]
fn priorities_come_first_and_a_deadline_passes_while_others_wait() {
    let mut quota = Quota::new(Rates { requests_per_minute: Some(6), tokens_per_minute: None }, 3);
    let urgent = Call { priority: 9, ..call(3) };
    let brief = Call { deadline: Some(later(4_000)), ..call(2) };
    for call in [call(1), brief, urgent] {
        assert_eq!(quota.ask(call), Asked::Waits);
    }
    assert_eq!(quota.ask(call(4)), Asked::Full { max: 3 });
    let places: Vec<(u64, u64)> =
        quota.places(NOW).into_iter().map(|(id, place)| (id, place.expected.0 - BEGIN)).collect();
    assert_eq!(places, [(3, 0), (1, 10_000), (2, 20_000)]);

    assert_eq!(quota.next(NOW), Turn::Send(3));
    assert_eq!(quota.next(NOW), Turn::Nobody { until: Some(later(4_000)) });
    assert_eq!(quota.next(later(4_000)), Turn::Passed(2));
    assert_eq!(quota.next(later(4_000)), Turn::Nobody { until: Some(later(10_000)) });
    assert!(quota.withdraw(&1) && !quota.withdraw(&1));
    assert_eq!((quota.next(later(10_000)), quota.waiting()), (Turn::Nobody { until: None }, 0));
    assert_eq!((quota.sent(), quota.keep(&3), quota.keep(&3)), (1, Settled::Settled, Settled::NotHeld));
}

#[test]
fn what_never_fits_is_refused_at_once_and_what_the_lowered_rates_are_too_small_for_goes_alone() {
    let mut quota = Quota::new(RATES, 10);
    let large = |id| Call { tokens: 100_000, ..call(id) };
    let never = Asked::Never { limit: Limit::MaxTokensPerMinute, needs: 100_001, max: 100_000 };
    assert_eq!(quota.ask(Call { tokens: 100_001, ..call(1) }), never);
    assert_eq!(quota.ask(large(1)), Asked::Waits);
    assert_eq!(quota.next(NOW), Turn::Send(1));
    assert_eq!(quota.refused(&1, NOW, Some(Duration::from_secs(1))), Settled::Settled);
    assert_eq!(quota.ask(large(2)), Asked::Waits);

    assert_eq!(quota.next(later(1_000)), Turn::Send(2));
}

#[test]
fn what_was_used_before_counts_for_a_minute_and_nothing_counts_as_saved_up() {
    let quota = |ago: u64, requests| {
        let mut quota = Quota::new(RATES, 10);
        quota.recall(UnixMillis(BEGIN - ago), requests, 100, NOW);
        assert_eq!(quota.ask(call(1)), Asked::Waits);
        quota
    };
    // Six hundred in a minute are one in 100 ms.
    assert_eq!(quota(20_000, 1).next(NOW), Turn::Nobody { until: Some(later(100)) });
    let Turn::Nobody { until: Some(until) } = quota(20_000, 600).next(NOW) else { panic!("it is used up") };
    assert!((41_000..41_500).contains(&(until.0 - BEGIN)), "{until:?}");
    // Nobody knows when in this minute it was.
    let Turn::Nobody { until: Some(until) } = quota(0, 600).next(NOW) else { panic!("it is used up") };
    assert!((61_000..61_500).contains(&(until.0 - BEGIN)), "{until:?}");
    assert_eq!(quota(61_000, 600).next(NOW), Turn::Send(1));
    assert_eq!(quota(20_000, 0).next(NOW), Turn::Nobody { until: Some(later(100)) });
}

#[test]
fn a_quota_may_be_as_large_as_a_number() {
    let declared = Rates { requests_per_minute: Some(u64::MAX), tokens_per_minute: Some(u64::MAX / 2) };
    let quota: Quota<&str, u32, u32> = Quota::new(declared, 1);

    assert_eq!(quota.rates(), declared);
}
