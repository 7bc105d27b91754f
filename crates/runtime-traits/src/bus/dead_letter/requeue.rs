//! Sends dead letters again: told before, and told after, so that whoever comes after a crash knows which may be in their
//! topics already, and looks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::marks::{BEGUN, Marks, SENT, mark};
use super::{DeadLetter, Requeue, Requeued, SentAgain};
use crate::bus::{Bus, BusError, Event, EventId, Kept, Position, Topic, Who};
use crate::clock::UnixMillis;
use crate::name::Tenant;

/// How many events are read at once to look through a topic.
const PAGE: u32 = 256;
/// How many letters are held and sent together. It is told of all of them at once: so what is told takes a small part of the
/// room that letters have, and pushes out none that was not seen to.
const TOGETHER: u32 = 32;
/// Of how many letters the ids are held.
const FOUND: usize = 65_536;
/// By how much clocks of processes may differ.
const CLOCKS: Duration = Duration::from_secs(60);

/// Sends the dead letters again that are wanted. What it holds does not grow with how many there are.
pub(in crate::bus) async fn requeue<B: Bus + ?Sized>(
    bus: &B,
    who: &Who,
    wanted: &Requeue,
    now: UnixMillis,
) -> Result<Requeued, BusError> {
    let letters = Topic::dead_letters(wanted.subscription.as_str())?;
    let asked = Asked { bus, who, wanted, letters, now };
    asked.in_parts(FOUND).await
}

/// What was asked for.
struct Asked<'a, B: ?Sized> {
    bus: &'a B,
    who: &'a Who,
    wanted: &'a Requeue,
    /// The topic of the dead letters.
    letters: Topic,
    now: UnixMillis,
}

/// Some of the letters that are wanted.
#[derive(Default)]
struct Found {
    /// Each where it is first.
    places: BTreeMap<Position, EventId>,
    ids: HashSet<EventId>,
    /// Where there may be more.
    next: Option<Position>,
}

impl<B: Bus + ?Sized> Asked<'_, B> {
    /// Sends the letters again, so many at most in one part.
    async fn in_parts(&self, most: usize) -> Result<Requeued, BusError> {
        let mut done = Requeued::default();
        let mut from = Some(self.wanted.position.unwrap_or(Position::FIRST));
        // What dies meanwhile is for the next time.
        let mut end = None;
        while let Some(start) = from {
            let mut found = self.find(start, &mut end, most).await?;
            let (marks, now) = self.marks_of(&found.ids, end).await?;
            found.places.retain(|_, letter| {
                let was_sent = matches!(marks.of(*letter), SentAgain::Sent(_));
                done.before += u64::from(was_sent && !now.contains(letter));
                !was_sent
            });
            from = found.next;
            self.send(found.places, &marks, &mut done).await?;
        }
        Ok(done)
    }

    /// Finds letters that are wanted, so many at most.
    async fn find(&self, from: Position, end: &mut Option<Position>, most: usize) -> Result<Found, BusError> {
        let Requeue { tenant, position, topic, .. } = self.wanted;
        let mut found = Found::default();
        each((self.bus, self.who), (tenant, &self.letters), from, end, |kept| {
            if position.is_some_and(|position| position != kept.position) {
                return false;
            }
            if found.ids.len() >= most {
                found.next = Some(kept.position);
                return false;
            }
            let (place, letter) = (kept.position, kept.event.id);
            let is_letter = Marks::says(&kept).is_none();
            let letter_of = kept.event.headers.get(super::SAID[0]);
            let is_wanted = topic.as_ref().is_none_or(|topic| letter_of == Some(topic.as_str()));
            if is_letter && is_wanted && found.ids.insert(letter) {
                found.places.insert(place, letter);
            }
            position.is_none()
        })
        .await?;
        Ok(found)
    }

    /// What is told of letters, which may stand before one of them that is there once more; and which of them it is told of
    /// since `end`, that they were sent.
    async fn marks_of(
        &self,
        letters: &HashSet<EventId>,
        end: Option<Position>,
    ) -> Result<(Marks, HashSet<EventId>), BusError> {
        let (mut marks, mut now) = (Marks::default(), Marks::default());
        if !letters.is_empty() {
            let topic = (&self.wanted.tenant, &self.letters);
            each((self.bus, self.who), topic, Position::FIRST, &mut None, |kept| {
                if let Some(said) = Marks::says(&kept) {
                    marks.take(&kept, said, |letter| letters.contains(&letter));
                    if said == SENT && end.is_some_and(|end| kept.position >= end) {
                        now.take(&kept, said, |letter| letters.contains(&letter));
                    }
                }
                true
            })
            .await?;
        }
        Ok((marks, now.letters().collect()))
    }

    /// Sends the letters at some places, page by page.
    async fn send(
        &self,
        mut places: BTreeMap<Position, EventId>,
        marks: &Marks,
        done: &mut Requeued,
    ) -> Result<(), BusError> {
        while let Some((&from, _)) = places.first_key_value() {
            let read = self.bus.read(self.who, &self.wanted.tenant, &self.letters, from, TOGETHER).await;
            let page = match read {
                Err(error @ BusError::BeforeRetention { first, .. }) if first > from => {
                    let rest = places.split_off(&first);
                    let gone = std::mem::replace(&mut places, rest);
                    gone.into_keys().for_each(|place| done.refuse(place, error.clone()));
                    continue;
                }
                page => page?,
            };
            let Some(last) = page.events.last().map(|kept| kept.position) else { break };
            let rest = places.split_off(&last.next());
            let wanted = std::mem::replace(&mut places, rest);
            let letters = page.events.into_iter().filter(|kept| wanted.contains_key(&kept.position));
            let letters = letters.map(|kept| DeadLetter { again: marks.of(kept.event.id), kept });
            self.send_together(letters.collect(), done).await?;
        }
        Ok(())
    }

    /// Sends these letters, and goes on behind one that cannot be sent.
    async fn send_together(&self, letters: Vec<DeadLetter>, done: &mut Requeued) -> Result<(), BusError> {
        let mut readable: HashMap<Topic, Result<(), BusError>> = HashMap::new();
        let mut ready = Vec::with_capacity(letters.len());
        for letter in letters {
            let place = letter.kept.position;
            let again = match letter.again(&self.wanted.subscription, self.now) {
                Ok(again) => again,
                Err(error) => {
                    done.refuse(place, error);
                    continue;
                }
            };
            if !readable.contains_key(&again.topic) {
                readable.insert(again.topic.clone(), self.is_readable(&again.topic).await?);
            }
            match &readable[&again.topic] {
                Ok(()) => ready.push((letter, again)),
                Err(error) => done.refuse(place, error.clone()),
            }
        }
        let (there, unknown) = self.are_there(&ready).await?;
        ready.retain(|(letter, again)| {
            let error = unknown.get(&again.topic).filter(|_| letter.again != SentAgain::No);
            error.into_iter().for_each(|error| done.refuse(letter.kept.position, error.clone()));
            error.is_none()
        });
        let fresh = ready.iter().filter(|(letter, _)| letter.again == SentAgain::No);
        self.tell(BEGUN, &fresh.map(|(letter, _)| letter.kept.event.id).collect::<Vec<_>>()).await?;
        let mut sent = Vec::with_capacity(ready.len());
        for (letter, again) in ready {
            if !there.contains(&again.id) {
                match self.bus.publish(&Who::System, Arc::new(again)).await {
                    Ok(_) => {}
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => {
                        done.refuse(letter.kept.position, error);
                        continue;
                    }
                }
            }
            sent.push(letter.kept.event.id);
        }
        self.tell(SENT, &sent).await?;
        done.sent += sent.len() as u64;
        Ok(())
    }

    /// Whether a topic is kept, and whoever asked may read it: he may have its events delivered then.
    async fn is_readable(&self, topic: &Topic) -> Result<Result<(), BusError>, BusError> {
        let end = Position(u64::MAX >> 1);
        match self.bus.read(self.who, &self.wanted.tenant, topic, end, 1).await {
            Ok(_) => Ok(Ok(())),
            Err(error) if error.is_transient() => Err(error),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Which of the letters that somebody began to send are in their topics, appended since then; and in which topics nobody
    /// can tell.
    async fn are_there(
        &self,
        letters: &[(DeadLetter, Event)],
    ) -> Result<(HashSet<EventId>, HashMap<Topic, BusError>), BusError> {
        let mut doubtful: BTreeMap<&Topic, (UnixMillis, HashSet<EventId>)> = BTreeMap::new();
        for (letter, again) in letters {
            if let SentAgain::Begun(at) = letter.again {
                let (since, ids) = doubtful.entry(&again.topic).or_insert_with(|| (at, HashSet::new()));
                *since = at.min(*since);
                ids.insert(again.id);
            }
        }
        let (mut there, mut unknown) = (HashSet::new(), HashMap::new());
        for (topic, (since, mut ids)) in doubtful {
            let looked = self.each_since(since, topic, |kept| {
                there.extend(ids.take(&kept.event.id));
                !ids.is_empty()
            });
            match looked.await {
                Ok(()) => {}
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => _ = unknown.insert(topic.clone(), error),
            }
        }
        Ok((there, unknown))
    }

    /// Takes the events of a topic that were appended since then.
    async fn each_since(
        &self,
        since: UnixMillis,
        topic: &Topic,
        take: impl FnMut(Kept) -> bool + Send,
    ) -> Result<(), BusError> {
        let tenant = &self.wanted.tenant;
        let since = UnixMillis(since.0.saturating_sub(CLOCKS.as_millis() as u64));
        let from = self.bus.find(&Who::System, tenant, topic, since).await?;
        each((self.bus, &Who::System), (tenant, topic), from, &mut None, take).await
    }

    /// Tells something of letters, in as many marks as a bus of small events needs.
    async fn tell(&self, said: &str, about: &[EventId]) -> Result<(), BusError> {
        let mut parts = vec![about];
        while let Some(about) = parts.pop() {
            if about.is_empty() {
                continue;
            }
            let mark = mark(&self.wanted.tenant, &self.letters, said, about, self.now)?;
            match self.bus.publish(&Who::System, Arc::new(mark)).await {
                Err(BusError::TooLarge { .. }) if about.len() > 1 => {
                    let (one, other) = about.split_at(about.len() / 2);
                    parts.extend([other, one]);
                }
                told => _ = told?,
            }
        }
        Ok(())
    }
}

/// Takes the events of a topic from a place on, as long as they are wanted: those before `end`, which is found out if it is
/// not known.
async fn each<B: Bus + ?Sized>(
    (bus, who): (&B, &Who),
    (tenant, topic): (&Tenant, &Topic),
    mut from: Position,
    end: &mut Option<Position>,
    mut take: impl FnMut(Kept) -> bool + Send,
) -> Result<(), BusError> {
    loop {
        let page = match bus.read(who, tenant, topic, from, PAGE).await {
            Err(BusError::BeforeRetention { first, .. }) if first > from => {
                from = first;
                continue;
            }
            page => page?,
        };
        let end = *end.get_or_insert(page.next);
        let Some(last) = page.events.last().map(|kept| kept.position) else { return Ok(()) };
        for kept in page.events {
            if kept.position >= end || !take(kept) {
                return Ok(());
            }
        }
        from = last.next();
    }
}

#[cfg(test)]
mod tests;
