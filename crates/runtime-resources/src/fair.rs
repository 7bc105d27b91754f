//! Whose turn it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::iter::Peekable;

use runtime_traits::UnixMillis;

/// Who waits: a tenant's agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party<T, A> {
    /// The tenant: tenants share what there is in equal parts.
    pub tenant: T,
    /// One of its agents: they share the tenant's part in equal parts.
    pub agent: A,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<I> {
    /// What it is.
    pub item: I,
    /// How much it takes of what is shared, as tokens.
    pub cost: u64,
    /// After this moment its turn has passed.
    pub deadline: Option<UnixMillis>,
}

/// A queue in which higher priorities come first, and within one priority tenants, and a tenant's agents, get equal parts of what is
/// shared, by what their turns cost and not by how many they are.
///
/// Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), once among tenants and once among the agents of each: whoever
/// waits is served before anybody gets more than one turn ahead, and who comes late has saved up nothing.
///
/// A plain value: bounded, without clock, lock or executor.
///
/// # Examples
/// ```
/// use runtime_resources::{FairQueue, Party, Waiting};
/// use runtime_traits::UnixMillis;
///
/// let mut queue = FairQueue::new(100);
/// for (agent, item) in [("greedy", 1), ("greedy", 2), ("greedy", 3), ("modest", 4)] {
///     let waiting = Waiting { item, cost: 10, deadline: None };
///     queue.push(0, Party { tenant: "default", agent }, waiting).expect("there is room");
/// }
/// let turns: Vec<i32> = std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.item).collect();
/// assert_eq!(turns, [1, 4, 2, 3]);
/// ```
#[derive(Clone, Debug)]
pub struct FairQueue<T, A, I> {
    capacity: usize,
    len: usize,
    /// The number of whoever came last.
    last: u64,
    /// By priority; the highest is served first.
    levels: BTreeMap<u8, Lanes<T, Agents<A, I>>>,
}

/// What waits for the agents of one tenant.
type Agents<A, I> = Lanes<A, Line<I>>;

/// What waits for one agent, by number: who came first has the lowest.
type Line<I> = BTreeMap<u64, Waiting<I>>;

/// Lanes that are served in equal parts. Whoever is next is found, and anybody taken out, without a look at the others.
#[derive(Clone, Debug)]
struct Lanes<K, Q> {
    lanes: BTreeMap<K, Lane<Q>>,
    /// Those in which somebody waits, in the order of their turns: what each was served, its last turn, and whose it is.
    next: BTreeSet<(u64, u64, K)>,
    /// Those in which nobody waits, by what they were served.
    idle: BTreeSet<(u64, K)>,
    /// Where the lane began that was served last.
    reached: u64,
    /// How many turns there were.
    turns: u64,
}

#[derive(Clone, Debug, Default)]
struct Lane<Q> {
    /// What it was served so far, counted from where it began; the lane with the lowest is next.
    start: u64,
    /// Its last turn: of lanes that are alike the one is next that has waited longest.
    turn: u64,
    queue: Q,
}

/// Those who will be served, in their order.
type Order<'a, I> = Box<dyn Iterator<Item = &'a Waiting<I>> + 'a>;

/// The order of lanes, without serving them: each with what it will have been served, its last turn, and its number.
struct Ahead<'a, I> {
    next: BinaryHeap<Reverse<(u64, u64, usize)>>,
    lanes: Vec<Peekable<Order<'a, I>>>,
    turns: u64,
}

/// What is served.
trait Serve {
    type Item;
    fn order(&self) -> Order<'_, Self::Item>;
    fn is_idle(&self) -> bool;
    fn first(&self) -> Option<&Waiting<Self::Item>>;
    fn serve(&mut self) -> Option<Waiting<Self::Item>>;
    fn remove_if(&mut self, gone: &mut dyn FnMut(&Waiting<Self::Item>) -> bool) -> Vec<Waiting<Self::Item>>;
}

impl<T: Ord + Clone, A: Ord + Clone, I> FairQueue<T, A, I> {
    /// A queue in which at most so many wait.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, len: 0, last: 0, levels: BTreeMap::new() }
    }

    /// Lets somebody wait.
    ///
    /// # Errors
    /// Gives it back when as many wait as may.
    pub fn push(&mut self, priority: u8, party: Party<T, A>, waiting: Waiting<I>) -> Result<(), Waiting<I>> {
        if self.len >= self.capacity {
            return Err(waiting);
        }
        self.insert(priority, &party, self.last + 1, waiting);
        Ok(())
    }

    /// Lets somebody wait among those of its party by its number, whenever it comes: before those who have higher ones.
    pub(crate) fn insert(&mut self, priority: u8, party: &Party<T, A>, number: u64, waiting: Waiting<I>) {
        self.last = self.last.max(number);
        let tenants = self.levels.entry(priority).or_default();
        let before = tenants
            .join(&party.tenant, |agents| agents.join(&party.agent, |line| line.insert(number, waiting)));
        self.len += usize::from(before.is_none());
    }

    /// Takes out somebody of a party, by its number. It was not its turn, and costs its party nothing.
    pub(crate) fn remove(&mut self, priority: u8, party: &Party<T, A>, number: u64) -> Option<Waiting<I>> {
        let tenants = self.levels.get_mut(&priority)?;
        let removed = tenants.change(&party.tenant, |agents| {
            agents.change(&party.agent, |line| line.remove(&number)).flatten()
        });
        let removed = removed.flatten()?;
        self.len -= 1;
        self.levels.retain(|_, level| !level.is_idle());
        Some(removed)
    }

    /// Whose turn it is.
    pub fn peek(&self) -> Option<&Waiting<I>> {
        self.levels.values().rev().find_map(Serve::first)
    }

    /// Takes out whose turn it is.
    pub fn pop(&mut self) -> Option<Waiting<I>> {
        let served = self.levels.values_mut().rev().find_map(Serve::serve)?;
        self.len -= 1;
        self.levels.retain(|_, level| !level.is_idle());
        Some(served)
    }

    /// Takes out all of whom this is so.
    pub fn remove_if(&mut self, mut gone: impl FnMut(&Waiting<I>) -> bool) -> Vec<Waiting<I>> {
        let levels = self.levels.values_mut().rev();
        let removed: Vec<_> = levels.flat_map(|level| level.remove_if(&mut gone)).collect();
        self.len -= removed.len();
        self.levels.retain(|_, level| !level.is_idle());
        removed
    }

    /// Takes out all whose turn has passed.
    pub fn expire(&mut self, now: UnixMillis) -> Vec<Waiting<I>> {
        self.remove_if(|waiting| waiting.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// Some of those who wait, in no order that means anything: the first and the last of each agent.
    pub(crate) fn some(&self) -> impl Iterator<Item = &I> {
        let lines = self.levels.values().flat_map(Lanes::waiting).flat_map(Lanes::waiting);
        let ends = lines.flat_map(|line| {
            let last = line.last_key_value().filter(|_| line.len() > 1);
            line.first_key_value().into_iter().chain(last)
        });
        ends.map(|(_, waiting)| &waiting.item)
    }

    /// The order in which those who wait now will be served, if nobody joins them. Reading it moves nobody; each next one costs
    /// about the logarithm of how many tenants and agents wait.
    pub fn order(&self) -> impl Iterator<Item = &Waiting<I>> {
        self.levels.values().rev().flat_map(Serve::order)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<K: Ord + Clone, Q: Serve> Lanes<K, Q> {
    /// The lane of somebody who is going to wait. Who did not wait until now begins where the others are.
    fn join<R>(&mut self, key: &K, act: impl FnOnce(&mut Q) -> R) -> R
    where
        Q: Default,
    {
        if !self.lanes.contains_key(key) {
            let start = self.reached;
            self.lanes.insert(key.clone(), Lane { start, turn: 0, queue: Q::default() });
            self.idle.insert((start, key.clone()));
        }
        self.change(key, act).expect("the lane is there")
    }

    /// Does something to a lane, after which it has its place among those in which somebody waits, or nobody.
    fn change<R>(&mut self, key: &K, act: impl FnOnce(&mut Q) -> R) -> Option<R> {
        let lane = self.lanes.get_mut(key)?;
        let was_idle = lane.queue.is_idle();
        let done = act(&mut lane.queue);
        match (was_idle, lane.queue.is_idle()) {
            (true, false) => {
                self.idle.remove(&(lane.start, key.clone()));
                self.next.insert((lane.start, lane.turn, key.clone()));
            }
            (false, true) => {
                self.next.remove(&(lane.start, lane.turn, key.clone()));
                self.idle.insert((lane.start, key.clone()));
            }
            (true, true) | (false, false) => {}
        }
        Some(done)
    }

    /// The lanes in which somebody waits, in the order of their turns.
    fn waiting(&self) -> impl Iterator<Item = &Q> {
        self.next.iter().filter_map(|(_, _, key)| Some(&self.lanes.get(key)?.queue))
    }
}

impl<K, Q> Default for Lanes<K, Q> {
    fn default() -> Self {
        let (next, idle) = (BTreeSet::new(), BTreeSet::new());
        Self { lanes: BTreeMap::new(), next, idle, reached: 0, turns: 0 }
    }
}

impl<K: Ord + Clone, Q: Serve> Serve for Lanes<K, Q> {
    type Item = Q::Item;

    fn order(&self) -> Order<'_, Self::Item> {
        let mut ahead = Ahead { next: BinaryHeap::new(), lanes: Vec::new(), turns: self.turns };
        for ((start, turn, _), queue) in self.next.iter().zip(self.waiting()) {
            ahead.next.push(Reverse((*start, *turn, ahead.lanes.len())));
            ahead.lanes.push(queue.order().peekable());
        }
        Box::new(ahead)
    }

    fn is_idle(&self) -> bool {
        self.next.is_empty()
    }

    fn first(&self) -> Option<&Waiting<Q::Item>> {
        self.waiting().next()?.first()
    }

    fn serve(&mut self) -> Option<Waiting<Q::Item>> {
        let (start, _, key) = self.next.pop_first()?;
        let lane = self.lanes.get_mut(&key)?;
        let served = lane.queue.serve()?;
        self.turns += 1;
        lane.turn = self.turns;
        self.reached = start;
        // A turn that costs nothing is a turn all the same.
        lane.start = start.saturating_add(served.cost.max(1));
        if lane.queue.is_idle() {
            self.idle.insert((lane.start, key));
        } else {
            self.next.insert((lane.start, lane.turn, key));
        }
        // Who is idle keeps what it was ahead, and nothing else.
        while self.idle.first().is_some_and(|(start, _)| *start <= self.reached) {
            if let Some((_, key)) = self.idle.pop_first() {
                self.lanes.remove(&key);
            }
        }
        Some(served)
    }

    fn remove_if(&mut self, gone: &mut dyn FnMut(&Waiting<Q::Item>) -> bool) -> Vec<Waiting<Q::Item>> {
        let Self { lanes, next, idle, .. } = self;
        let removed = lanes.values_mut().flat_map(|lane| lane.queue.remove_if(gone)).collect();
        next.retain(|(start, _, key)| {
            let waits = lanes.get(key).is_some_and(|lane| !lane.queue.is_idle());
            if !waits {
                idle.insert((*start, key.clone()));
            }
            waits
        });
        removed
    }
}

impl<'a, I> Iterator for Ahead<'a, I> {
    type Item = &'a Waiting<I>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((start, _, at)) = self.next.pop()?;
        let lane = &mut self.lanes[at];
        let served = lane.next()?;
        self.turns += 1;
        if lane.peek().is_some() {
            self.next.push(Reverse((start.saturating_add(served.cost.max(1)), self.turns, at)));
        }
        Some(served)
    }
}

impl<I> Serve for Line<I> {
    type Item = I;

    fn order(&self) -> Order<'_, I> {
        Box::new(self.values())
    }

    fn is_idle(&self) -> bool {
        self.is_empty()
    }

    fn first(&self) -> Option<&Waiting<I>> {
        self.first_key_value().map(|(_, waiting)| waiting)
    }

    fn serve(&mut self) -> Option<Waiting<I>> {
        self.pop_first().map(|(_, waiting)| waiting)
    }

    fn remove_if(&mut self, gone: &mut dyn FnMut(&Waiting<I>) -> bool) -> Vec<Waiting<I>> {
        let (removed, kept): (Self, Self) =
            std::mem::take(self).into_iter().partition(|(_, waiting)| gone(waiting));
        *self = kept;
        removed.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use runtime_traits::UnixMillis;

    use super::{FairQueue, Party, Waiting};

    fn waiting<I>(item: I, cost: u64) -> Waiting<I> {
        Waiting { item, cost, deadline: None }
    }

    proptest! {
        /// Whoever always waits gets, up to one turn, as much as anybody else of its tenant, and each tenant as much as any other.
        #[test]
        fn those_who_press_get_equal_parts(agents in vec(vec(1..100_u64, 1..5), 1..5), turns in 1..400_usize) {
            let mut queue = FairQueue::new(10_000);
            let mut served: BTreeMap<(usize, usize), u64> = BTreeMap::new();
            let join = |queue: &mut FairQueue<usize, usize, (usize, usize)>, tenant: usize, agent: usize| {
                let cost = agents[tenant][agent];
                queue.push(0, Party { tenant, agent }, waiting((tenant, agent), cost)).unwrap();
            };
            for (tenant, costs) in agents.iter().enumerate() {
                for agent in 0..costs.len() {
                    // Two each, so that nobody is ever idle; and some press more.
                    (0..2 + agent).for_each(|_| join(&mut queue, tenant, agent));
                    served.insert((tenant, agent), 0);
                }
            }
            for _ in 0..turns {
                let turn = queue.pop().unwrap();
                *served.get_mut(&turn.item).unwrap() += turn.cost;
                join(&mut queue, turn.item.0, turn.item.1);
            }
            let dearest = |tenant: usize| agents[tenant].iter().max().copied().unwrap();
            let sum = |tenant: usize| -> u64 {
                served.iter().filter(|((of, _), _)| *of == tenant).map(|(_, served)| served).sum()
            };
            for tenant in 0..agents.len() {
                for other in 0..agents.len() {
                    assert!(sum(tenant).abs_diff(sum(other)) <= dearest(tenant).max(dearest(other)));
                }
                for agent in 0..agents[tenant].len() {
                    for other in 0..agents[tenant].len() {
                        let apart = served[&(tenant, agent)].abs_diff(served[&(tenant, other)]);
                        assert!(apart <= dearest(tenant));
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_that_is_told_is_the_order_of_the_turns(
            joins in vec((0..3_u8, 0..4_usize, 0..4_usize, 0..50_u64, any::<bool>()), 1..80),
        ) {
            let mut queue = FairQueue::new(100);
            for (nth, (priority, tenant, agent, cost, turn)) in joins.into_iter().enumerate() {
                queue.push(priority, Party { tenant, agent }, waiting(nth, cost)).unwrap();
                if turn {
                    queue.pop();
                }
                let told: Vec<usize> = queue.order().map(|waiting| waiting.item).collect();
                let mut served = queue.clone();
                let turns: Vec<usize> = std::iter::from_fn(|| served.pop()).map(|turn| turn.item).collect();
                assert_eq!(told, turns);
            }
        }
    }

    #[test]
    fn a_higher_priority_comes_first_and_the_order_is_told_before() {
        let mut queue = FairQueue::new(10);
        for (priority, item) in [(1, "low"), (9, "high"), (5, "middle")] {
            queue.push(priority, Party { tenant: 0, agent: 0 }, waiting(item, 1)).unwrap();
        }
        let told: Vec<&str> = queue.order().map(|waiting| waiting.item).collect();
        assert_eq!(told, ["high", "middle", "low"]);
        assert_eq!(queue.peek().map(|waiting| waiting.item), Some("high"));
        assert_eq!(std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.item).collect::<Vec<_>>(), told);
    }

    #[test]
    fn who_comes_late_has_saved_up_nothing_and_who_leaves_has_not_paid_off() {
        let mut queue = FairQueue::new(100);
        let join = |queue: &mut FairQueue<u8, &str, &str>, agent| {
            queue.push(0, Party { tenant: 0, agent }, waiting(agent, 10)).unwrap();
        };
        (0..6).for_each(|_| join(&mut queue, "old"));
        (0..3).for_each(|_| assert!(queue.pop().is_some()));
        (0..3).for_each(|_| join(&mut queue, "late"));
        let turns: Vec<&str> = std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.item).collect();
        assert_eq!(turns, ["late", "old", "late", "old", "late", "old"]);

        (0..2).for_each(|_| join(&mut queue, "old"));
        join(&mut queue, "late");
        assert_eq!(queue.pop().unwrap().item, "late");
        join(&mut queue, "late"); // comes back at once, and is still a turn ahead
        assert_eq!(queue.pop().unwrap().item, "old");
    }

    #[test]
    fn who_comes_back_is_among_its_like_where_it_was_and_has_paid_nothing_for_going_away() {
        let mut queue = FairQueue::new(100);
        let party = |agent| Party { tenant: 0, agent };
        for (number, agent) in [(1, "a"), (2, "a"), (3, "b"), (4, "b")] {
            queue.insert(0, &party(agent), number, waiting(number, 10));
        }
        assert_eq!(queue.remove(0, &party("a"), 1), Some(waiting(1, 10)));
        assert_eq!(
            (queue.remove(0, &party("a"), 1), queue.remove(0, &party("c"), 3), queue.len()),
            (None, None, 3)
        );
        queue.insert(0, &party("a"), 1, waiting(1, 10));

        let turns: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.item).collect();
        assert_eq!(turns, [1, 3, 2, 4]);
    }

    #[test]
    fn a_full_queue_gives_back_and_what_has_passed_is_taken_out() {
        let mut queue = FairQueue::new(2);
        let party = || Party { tenant: 0, agent: 0 };
        let until = |item, at| Waiting { item, cost: 1, deadline: Some(UnixMillis(at)) };
        queue.push(0, party(), until("soon", 10)).unwrap();
        queue.push(0, party(), until("later", 20)).unwrap();

        assert_eq!(queue.push(0, party(), waiting("more", 1)).unwrap_err().item, "more");
        assert_eq!(queue.expire(UnixMillis(9)), []);
        assert_eq!(
            queue.expire(UnixMillis(10)).into_iter().map(|waiting| waiting.item).collect::<Vec<_>>(),
            ["soon"]
        );
        assert_eq!((queue.len(), queue.pop().unwrap().item, queue.is_empty()), (1, "later", true));
    }
}
