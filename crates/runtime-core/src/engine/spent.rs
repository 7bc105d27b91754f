//! What runs used, moment by moment, and the cells that keep it by minutes, hours and months.

use std::collections::{BTreeMap, HashMap, HashSet};

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::{Chain, Entry, EntryKind, Price, RunView, StepKey, Usage, WaitOn, WaitOpened};
use runtime_traits::resource::{Hour, Minute, Past};

use super::fork::{copied_steps, held_off_steps};
use super::keys;

pub(super) const MINUTE: u64 = 60_000;
pub(super) const HOUR: u64 = 60 * MINUTE;
/// For how long after its end a minute's cell is needed: the longest limit that is counted by minutes is about an hour.
const MINUTES_KEPT: u64 = HOUR + 2 * MINUTE;
/// The same of an hour's, for a day.
const HOURS_KEPT: u64 = 25 * HOUR;
/// As many cells of a run ride in the batch of its end; what is older than they are is counted with the oldest of them.
const MOST_MINUTES: usize = 8;
const MOST_HOURS: usize = 3;

/// What was used at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// When it was booked.
    pub at: UnixMillis,
    /// Calls of models.
    pub requests: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Those of them that were written.
    pub written: u64,
    /// Millionths of a US dollar, as far as anybody knew.
    pub micros: u64,
    /// Calls that took tokens and of which nobody knew what they cost.
    pub unpriced: u64,
}

/// The most that is added to a cell at once, and the most tokens of either sort that a call reports or reserves: whatever an agent or
/// a provider says, a sum of thousands of them fits into a cell.
pub const MOST_AT_ONCE: u64 = 1 << 40;

/// A number that is added to a cell, and when the cell is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The last part of the cell's path.
    pub what: String,
    /// What is added.
    pub by: u64,
    /// From when on nobody needs the cell.
    pub until: Option<UnixMillis>,
    /// Whether it only tells people what was used, and no limit is counted from it.
    pub told: bool,
}

impl Spent {
    fn of(at: UnixMillis, used: Usage, micros: Option<u64>) -> Self {
        let (requests, tokens) = (u64::from(used.model_calls), used.tokens());
        let unpriced = if micros.is_none() && tokens > 0 { requests.max(1) } else { 0 };
        Self { at, requests, tokens, written: used.output_tokens, micros: micros.unwrap_or(0), unpriced }
    }

    /// What is held for a call. For one without a known price that is no money.
    fn held(at: UnixMillis, most: Usage, micros: u64) -> Self {
        Self::of(at, most, Some(micros).filter(|micros| *micros > 0))
    }

    /// The sum of two, at the moment of the first; saturates.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            at: self.at,
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            written: self.written.saturating_add(other.written),
            micros: self.micros.saturating_add(other.micros),
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }

    /// What of it has a cell of its own for each span of time, by the last part of the cell's name.
    fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("requests", self.requests),
            ("tokens", self.tokens),
            ("written", self.written),
            ("micros", self.micros),
            ("unpriced", self.unpriced),
        ]
    }

    pub(super) fn count_mut(&mut self, what: &str) -> Option<&mut u64> {
        match what {
            "requests" => Some(&mut self.requests),
            "tokens" => Some(&mut self.tokens),
            "written" => Some(&mut self.written),
            "micros" => Some(&mut self.micros),
            "unpriced" => Some(&mut self.unpriced),
            _ => None,
        }
    }
}

/// What a run used by itself, without the runs that it asked for, in the order of its log. Steps that have begun and not ended
/// count with what is held for them: whoever made them is gone.
pub fn spent_so_far(log: &[Entry]) -> Vec<Spent> {
    let mut all = spent(log);
    let mut open: HashMap<&StepKey, (UnixMillis, Spent)> = HashMap::new();
    let mut held: HashMap<&StepKey, Spent> = HashMap::new();
    for entry in log {
        match &entry.kind {
            EntryKind::StepOpened(opened) => {
                let most = Spent::held(entry.at, opened.reserved_usage, opened.reserved);
                held.insert(&opened.key, most);
                if opened.dispatched {
                    open.insert(&opened.key, (entry.at, most));
                }
            }
            EntryKind::StepDispatched(dispatched) => {
                if let Some(most) = held.get_mut(&dispatched.key) {
                    if !dispatched.reserved_usage.is_none() {
                        *most = Spent::held(entry.at, dispatched.reserved_usage, dispatched.reserved);
                    }
                    open.insert(&dispatched.key, (entry.at, *most));
                }
            }
            EntryKind::StepSettled(settled) => {
                open.remove(&settled.key);
            }
            EntryKind::StepUnknown(unknown) => {
                open.remove(&unknown.key);
            }
            _ => {}
        }
    }
    let under_way = open.into_values().map(|(at, most)| Spent { at, ..most });
    all.extend(under_way.filter(|most| most.tokens > 0 || most.requests > 0));
    all
}

/// What a run used by itself, without the runs that it asked for, in the order of its log.
pub fn spent(log: &[Entry]) -> Vec<Spent> {
    let mut children: HashSet<&StepKey> = HashSet::new();
    let mut held: HashMap<&StepKey, u64> = HashMap::new();
    let mut booked: HashMap<&StepKey, (Usage, Price)> = HashMap::new();
    let mut all = Vec::new();
    for entry in log {
        let (key, usage, price) = match &entry.kind {
            EntryKind::WaitOpened(WaitOpened { on: WaitOn::Child { step, .. }, .. }) => {
                children.insert(step);
                continue;
            }
            EntryKind::StepOpened(opened) => {
                held.insert(&opened.key, opened.reserved);
                continue;
            }
            EntryKind::StepDispatched(dispatched) => {
                if !dispatched.reserved_usage.is_none() {
                    held.insert(&dispatched.key, dispatched.reserved);
                }
                let (usage, price) = booked.get(&dispatched.key).copied().unwrap_or_default();
                let price = price.plus(dispatched.broke_off_price);
                (&dispatched.key, usage.plus(dispatched.broke_off), Some(price))
            }
            EntryKind::StepSettled(settled) => (&settled.key, settled.usage, Some(settled.price)),
            EntryKind::StepUnknown(unknown) => (&unknown.key, unknown.usage, unknown.price),
            _ => continue,
        };
        if children.contains(key) {
            continue;
        }
        let before = booked.get(key).copied().unwrap_or_default();
        let price = price.unwrap_or_else(|| {
            let took = usage.tokens() != before.0.tokens();
            let held = held.get(key).copied().filter(|held| *held > 0 && took);
            before.1.plus(Price { micros: held, wasted_micros: 0 })
        });
        let (used, cost) = (usage.minus(before.0), price.minus(before.1));
        let spent = Spent::of(entry.at, used, cost.micros);
        booked.insert(key, (usage, price));
        if (Spent { at: entry.at, ..Spent::default() }) != spent {
            all.push(spent);
        }
    }
    all
}

/// The runs before the one that goes on from this run, and what all of them took.
pub fn chain(run: RunId, log: &[Entry]) -> Option<Chain> {
    let first = log.first()?;
    let EntryKind::Accepted(accepted) = &first.kind else { return None };
    let before = Chain { first: run, began: first.at, steps: 0, tokens: 0, micros: 0 };
    let before = accepted.chain.unwrap_or(before);
    let steps =
        RunView::of(run, log).map_or(0, |view| view.steps.len() - copied_steps(log) - held_off_steps(log));
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    let sum = spent(log).into_iter().fold(Spent::default(), Spent::plus);
    Some(Chain {
        steps: before.steps.saturating_add(steps),
        tokens: before.tokens.saturating_add(sum.tokens),
        micros: before.micros.saturating_add(sum.micros),
        ..before
    })
}

/// What is added to which cells when a run ends that used this; by `now` only the last hour matters by minutes.
pub fn sums(spent: &[Spent], now: UnixMillis) -> Vec<Sum> {
    let mut sums = Vec::new();
    let mut add = |what: String, by: u64, until, told| {
        if by > 0 {
            sums.push(Sum { what, by, until, told });
        }
    };
    for (minute, used) in grouped(spent, now, MINUTE, MINUTES_KEPT, MOST_MINUTES) {
        let until = Some(UnixMillis((minute + 1) * MINUTE + MINUTES_KEPT));
        for (what, by) in used.counts() {
            let told = !matches!(what, "requests" | "tokens" | "micros");
            add(format!("m-{minute:010}-{what}"), by, until, told);
        }
    }
    for (hour, used) in grouped(spent, now, HOUR, HOURS_KEPT, MOST_HOURS) {
        let until = Some(UnixMillis((hour + 1) * HOUR + HOURS_KEPT));
        for (what, by) in used.counts() {
            add(format!("h-{hour:010}-{what}"), by, until, what != "micros");
        }
    }
    let month = month_of(now);
    let of_month = spent.iter().filter(|spent| month_of(spent.at) == month).copied();
    add(format!("y-{month}-micros"), of_month.fold(Spent::default(), Spent::plus).micros, None, false);
    let all = spent.iter().copied().fold(Spent::default(), Spent::plus);
    add("micros".to_owned(), all.micros, None, false);
    sums
}

/// What agents report is any number, and is nothing that a run ends for.
pub fn sum_of(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// Sums by spans of time that are of use yet: at most so many, and what is older is counted with the oldest of them.
fn grouped(spent: &[Spent], now: UnixMillis, span: u64, kept: u64, most: usize) -> BTreeMap<u64, Spent> {
    let mut groups: BTreeMap<u64, Spent> = BTreeMap::new();
    for used in spent.iter().filter(|used| used.at.0.saturating_add(kept) > now.0) {
        let group = groups.entry(used.at.0 / span).or_default();
        *group = group.plus(*used);
    }
    while groups.len() > most
        && let Some((_, oldest)) = groups.pop_first()
        && let Some(mut next) = groups.first_entry()
    {
        let next = next.get_mut();
        *next = next.plus(oldest);
    }
    groups
}

/// When a cell of this name is of no use any more; `None`: never, or it is no such cell.
pub fn kept_until(what: &str) -> Option<UnixMillis> {
    let (sort, at, _) = dated(what)?;
    Some(UnixMillis(match sort {
        "m" => (at + 1) * MINUTE + MINUTES_KEPT,
        _ => (at + 1) * HOUR + HOURS_KEPT,
    }))
}

/// Of cells of these names those that nobody needs any more.
pub fn stale<'a>(names: impl IntoIterator<Item = &'a str>, now: UnixMillis) -> impl Iterator<Item = &'a str> {
    names.into_iter().filter(move |what| kept_until(what).is_some_and(|until| until <= now))
}

/// What a cell counts: the same as one that is damaged, if it counts on for that.
fn counted(what: &str) -> &str {
    what.trim_start_matches(keys::MORE)
}

/// Of the name of a minute's cell (`m`) or an hour's (`h`) which of the two it is, its number since 1970, and what it counts.
pub(super) fn dated(what: &str) -> Option<(&str, u64, &str)> {
    let mut parts = counted(what).splitn(3, '-');
    let (sort, at, unit) = (parts.next()?, parts.next()?, parts.next()?);
    if !matches!(sort, "m" | "h") {
        return None;
    }
    Some((sort, at.parse().ok()?, unit))
}

/// What cells say that was used before, each by the last part of its path.
pub fn past<'a>(cells: impl IntoIterator<Item = (&'a str, u64)>, now: UnixMillis) -> Past {
    let mut past = Past::default();
    let (mut minutes, mut hours) = (BTreeMap::<u64, Minute>::new(), BTreeMap::<u64, Hour>::new());
    let this_month = format!("y-{}-micros", month_of(now));
    for (what, sum) in cells {
        match dated(what) {
            Some(("m", at, unit)) => {
                let minute = minutes.entry(at).or_default();
                minute.at = UnixMillis((at + 1) * MINUTE - 1);
                match unit {
                    "requests" => more(&mut minute.requests, sum),
                    "tokens" => more(&mut minute.tokens, sum),
                    "micros" => more(&mut minute.micros, sum),
                    _ => {}
                }
            }
            Some((_, at, "micros")) => {
                let hour = hours.entry(at).or_default();
                hour.at = UnixMillis((at + 1) * HOUR - 1);
                more(&mut hour.micros, sum);
            }
            _ => match counted(what) {
                "input-tokens" | "output-tokens" | "tokens" => more(&mut past.tokens, sum),
                "micros" => more(&mut past.micros, sum),
                what if what == this_month => more(&mut past.month_micros, sum),
                _ => {}
            },
        }
    }
    past.minutes = minutes.into_values().collect();
    past.hours = hours.into_values().collect();
    past
}

/// Adds what a run used that is not over, which no cell has yet.
pub fn with_open(past: &mut Past, spent: &[Spent], now: UnixMillis) {
    for used in spent {
        more(&mut past.tokens, used.tokens);
        more(&mut past.micros, used.micros);
        if month_of(used.at) == month_of(now) {
            more(&mut past.month_micros, used.micros);
        }
        if used.at.0 + MINUTES_KEPT > now.0 {
            let Spent { at, requests, tokens, micros, .. } = *used;
            past.minutes.push(Minute { at, requests, tokens, micros });
        }
        if used.at.0 + HOURS_KEPT > now.0 {
            past.hours.push(Hour { at: used.at, micros: used.micros });
        }
    }
    past.minutes.sort_by_key(|minute| minute.at);
    past.hours.sort_by_key(|hour| hour.at);
}

/// What a call may be said to take, or to have taken.
pub fn believable(said: Usage) -> Usage {
    Usage {
        input_tokens: said.input_tokens.min(MOST_AT_ONCE),
        output_tokens: said.output_tokens.min(MOST_AT_ONCE),
        estimated_tokens: said.estimated_tokens.min(MOST_AT_ONCE),
        ..said
    }
}

pub(super) fn more(sum: &mut u64, by: u64) {
    *sum = sum.saturating_add(by);
}

/// Year and month of a moment, in UTC: `2026-11`.
fn month_of(at: UnixMillis) -> String {
    let mut date = at.date();
    date.truncate(date.rfind('-').unwrap_or(date.len()));
    date
}

#[cfg(test)]
mod tests;
