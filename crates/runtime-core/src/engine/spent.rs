//! What runs used, moment by moment, and the cells that keep it by minutes, hours and months.

use std::collections::{BTreeMap, HashMap, HashSet};

use runtime_traits::clock::UnixMillis;
use runtime_traits::id::RunId;
use runtime_traits::log::{Chain, Entry, EntryKind, Price, RunView, StepKey, Usage, WaitOn, WaitOpened};
use runtime_traits::resource::{Hour, Minute, Past};

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
    /// How often nobody knew what it cost.
    pub unpriced: u64,
}

impl Spent {
    fn of(at: UnixMillis, used: Usage, micros: Option<u64>) -> Self {
        let (requests, tokens) = (u64::from(used.model_calls), used.tokens());
        let unpriced = u64::from(micros.is_none() && (requests > 0 || tokens > 0));
        Self { at, requests, tokens, written: used.output_tokens, micros: micros.unwrap_or(0), unpriced }
    }

    /// What is held for a call.
    fn held(at: UnixMillis, used: Usage, micros: u64) -> Self {
        Self::of(at, used, Some(micros).filter(|micros| *micros > 0))
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.written += other.written;
        self.micros += other.micros;
        self.unpriced += other.unpriced;
    }
}

/// A number that is added to a cell, and when the cell is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The last part of the cell's path.
    pub what: String,
    /// What is added.
    pub by: u64,
    /// From when on nobody needs the cell.
    pub until: Option<UnixMillis>,
    /// Whether it is shown to people, and limits nothing.
    pub shown: bool,
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
            EntryKind::StepUnknown(unknown) => (&unknown.key, unknown.usage, None),
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
    let steps = RunView::of(run, log).map_or(0, |view| view.steps.len() as u32);
    let sum = spent(log).into_iter().fold((0, 0), |sum, used| (sum.0 + used.tokens, sum.1 + used.micros));
    Some(Chain {
        steps: before.steps.saturating_add(steps),
        tokens: before.tokens.saturating_add(sum.0),
        micros: before.micros.saturating_add(sum.1),
        ..before
    })
}

/// What is added to which cells when a run ends that used this; by `now` only the last hour matters by minutes.
pub fn sums(spent: &[Spent], now: UnixMillis) -> Vec<Sum> {
    let mut sums = Vec::new();
    let mut put = |what: String, by: u64, until, shown| {
        if by > 0 {
            sums.push(Sum { what, by, until, shown });
        }
    };
    for (minute, used) in grouped(spent, now, MINUTE, MINUTES_KEPT, MOST_MINUTES) {
        let until = Some(UnixMillis((minute + 1) * MINUTE + MINUTES_KEPT));
        put(format!("m-{minute:010}-requests"), used.requests, until, false);
        put(format!("m-{minute:010}-tokens"), used.tokens, until, false);
        put(format!("m-{minute:010}-micros"), used.micros, until, false);
        put(format!("m-{minute:010}-written"), used.written, until, true);
        put(format!("m-{minute:010}-unpriced"), used.unpriced, until, true);
    }
    for (hour, used) in grouped(spent, now, HOUR, HOURS_KEPT, MOST_HOURS) {
        let until = Some(UnixMillis((hour + 1) * HOUR + HOURS_KEPT));
        put(format!("h-{hour:010}-micros"), used.micros, until, false);
        put(format!("h-{hour:010}-requests"), used.requests, until, true);
        put(format!("h-{hour:010}-tokens"), used.tokens, until, true);
        put(format!("h-{hour:010}-written"), used.written, until, true);
        put(format!("h-{hour:010}-unpriced"), used.unpriced, until, true);
    }
    let month = month_of(now);
    let of_month = spent.iter().filter(|spent| month_of(spent.at) == month).map(|spent| spent.micros).sum();
    put(format!("y-{month}-micros"), of_month, None, false);
    put("micros".to_owned(), spent.iter().map(|spent| spent.micros).sum(), None, false);
    sums
}

/// Sums by spans of time that are of use yet: at most so many, and what is older is counted with the oldest of them.
fn grouped(spent: &[Spent], now: UnixMillis, span: u64, kept: u64, most: usize) -> BTreeMap<u64, Spent> {
    let mut groups: BTreeMap<u64, Spent> = BTreeMap::new();
    for used in spent.iter().filter(|used| used.at.0 + kept > now.0) {
        groups.entry(used.at.0 / span).or_default().add(used);
    }
    while groups.len() > most
        && let Some((_, oldest)) = groups.pop_first()
        && let Some(mut next) = groups.first_entry()
    {
        next.get_mut().add(&oldest);
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

/// Of a cell's name the sort of its span, which span it is, and what is counted.
pub(super) fn dated(what: &str) -> Option<(&str, u64, &str)> {
    let mut parts = what.splitn(3, '-');
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
                    "requests" => minute.requests += sum,
                    "tokens" => minute.tokens += sum,
                    "micros" => minute.micros += sum,
                    _ => {}
                }
            }
            Some((_, at, "micros")) => {
                let hour = hours.entry(at).or_default();
                hour.at = UnixMillis((at + 1) * HOUR - 1);
                hour.micros += sum;
            }
            _ => match what {
                "input-tokens" | "output-tokens" | "tokens" => past.tokens += sum,
                "micros" => past.micros += sum,
                what if what == this_month => past.month_micros += sum,
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
        past.tokens += used.tokens;
        past.micros += used.micros;
        if month_of(used.at) == month_of(now) {
            past.month_micros += used.micros;
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

/// Year and month of a moment, in UTC: `2026-11`.
fn month_of(at: UnixMillis) -> String {
    let mut date = at.date();
    date.truncate(date.rfind('-').unwrap_or(date.len()));
    date
}

#[cfg(test)]
mod tests;
