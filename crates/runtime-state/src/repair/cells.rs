//! Cells: copied, mended from what else there is, or left out.

use bytes::Bytes;
use runtime_codec::{
    CellRecord, CellSort, Cursor, Due, EndedRun, OpenRun, OwnerRecord, SweptRun, WantRecord, Whose, decode,
    encode, keys,
};
use runtime_traits::clock::UnixMillis;
use runtime_traits::content::Digest;
use runtime_traits::id::{NodeId, RunId};
use runtime_traits::log::{Accepted, Head};
use runtime_traits::name::SessionName;
use runtime_traits::runtime::Want;
use runtime_traits::store::{Cell, Key, Log, Revision, Seq, Tail, Token};
use uuid::Uuid;

use super::RepairError;
use super::notes::ChangeSort;
use super::part::{Part, as_copied};
use crate::chance;
use crate::verify::blobs::{Row, RowEnd};
use crate::verify::damage::{DamagedPlace, Fault};

impl Part<'_, '_> {
    /// A cell that the store shows.
    pub(super) async fn known_cell(
        &mut self,
        sort: CellSort,
        key: Key,
        cell: Cell,
        whose: Whose,
    ) -> Result<(), RepairError> {
        if let (Some(tenant), Some(agent)) = (&whose.tenant, &whose.agent)
            && self.is_lost(tenant, agent).await
        {
            let why = "nothing declares its agent any more";
            return self.leave_out(key, &whose, why, Some(cell.value));
        }
        let record = match self.look.read(sort, &cell.value) {
            Ok(record) => record,
            Err(error) => {
                let fault = Fault::from(error);
                self.keep_aside(place_of(&key), &whose, &fault.what, Some(cell.value))?;
                return self.mend(sort, key, &whose, &fault).await;
            }
        };
        match &record {
            CellRecord::Open(open) => return self.open_run(key, cell, open.clone(), whose).await,
            CellRecord::Spec(_, spec) => {
                if let (Some(tenant), Some(agent)) = (&whose.tenant, whose.agent) {
                    self.see_to_name(tenant, agent, spec.name.clone()).await;
                }
                // A name that is missing is written at the end.
                return self.put(key, cell.value).await;
            }
            CellRecord::Want(_) => return self.put_agents(key, cell.value, &whose).await,
            CellRecord::Ended(ended) => {
                return self.ended_run(key, &cell, ended.session.clone(), whose).await;
            }
            CellRecord::Swept(stub) => return self.stub(key, &cell, stub, whose).await,
            CellRecord::Name(name) => {
                // An agent's cells may be in another partition.
                let tenant = whose.tenant.clone().unwrap_or_default();
                if self.is_declared_elsewhere(&tenant, name).await {
                    return self.put(key, cell.value).await;
                }
                let why = "its agent is no more";
                return self.leave_out(key, &whose, why, Some(cell.value));
            }
            _ => {}
        }
        match self.look.needs(&key, &cell, &record, &whose).await {
            None => self.put(key.clone(), as_copied(&key, cell.value)).await,
            Some(fault) => {
                self.keep_aside(place_of(&key), &whose, &fault.what, Some(cell.value))?;
                if let CellRecord::Head(head) = &record {
                    return self.mend_head(key, &whose, Some(head), &fault).await;
                }
                self.mend(sort, key, &whose, &fault).await
            }
        }
    }

    /// A run that is over. One of whose log nothing is left gets one that says so.
    async fn ended_run(
        &mut self,
        key: Key,
        cell: &Cell,
        session: SessionName,
        whose: Whose,
    ) -> Result<(), RepairError> {
        let Some(run) = whose.run else { return Ok(()) };
        if self.look.is_swept(&run).await {
            // Its log is being let go, and is not copied. By this cell its stub goes with its agent.
            return self.put(key, cell.value.clone()).await;
        }
        let state = match self.has_no_log(&run).await {
            true => None,
            false => self.inspect(&run, &whose).await,
        };
        match state.as_ref().map(|state| &state.accepted) {
            Some(Some(accepted)) if Some(accepted.agent) == whose.agent && accepted.session == session => {
                self.put(key, cell.value.clone()).await
            }
            Some(Some(_)) => {
                self.leave_out(key, &whose, "its log is another one's", Some(cell.value.clone()))
            }
            _ => {
                self.put(key, cell.value.clone()).await?;
                self.retell(run, &whose, session, "the log, or its begin, is lost").await
            }
        }
    }

    /// What is left of a run whose log was let go. It goes with its agent, which finds it by the cell of the run.
    async fn stub(
        &mut self,
        key: Key,
        cell: &Cell,
        stub: &SweptRun,
        whose: Whose,
    ) -> Result<(), RepairError> {
        let Some(run) = whose.run else { return Ok(()) };
        let SweptRun { tenant, agent, session, ended_at, .. } = stub;
        let whose = Whose {
            tenant: Some(tenant.clone()),
            agent: Some(*agent),
            session: Some(session.clone()),
            run: Some(run),
        };
        if self.is_lost(tenant, agent).await {
            let why = "nothing declares its agent any more";
            return self.leave_out(key, &whose, why, Some(cell.value.clone()));
        }
        let ended = keys::ended(tenant, agent, &run);
        if matches!(self.from.get(std::slice::from_ref(&ended)).await.as_deref(), Ok([None])) {
            let what = "nothing else said that the run is over; its stub does";
            self.changed(ChangeSort::Mended, place_of(&key), &whose, what);
            self.make(ended, encode(&EndedRun { session: session.clone(), at: *ended_at })).await?;
        }
        self.put(key, cell.value.clone()).await
    }

    /// The cell of a run that is over, as its stub says it.
    async fn ended_by_stub(&self, run: &RunId) -> Option<Bytes> {
        let stub = keys::swept(run);
        let cell = self.from.get(std::slice::from_ref(&stub)).await.ok()?.pop().flatten()?;
        let SweptRun { session, ended_at, .. } = decode(&cell.value).ok()?;
        Some(encode(&EndedRun { session, at: ended_at }))
    }

    async fn put_agents(&mut self, key: Key, value: Bytes, whose: &Whose) -> Result<(), RepairError> {
        if let (Some(tenant), Some(agent)) = (&whose.tenant, whose.agent) {
            self.see_to_spec(tenant.clone(), agent).await?;
        }
        self.put(key, value).await
    }

    /// Makes a declaration anew that is missing altogether.
    async fn see_to_spec(
        &mut self,
        tenant: runtime_traits::name::Tenant,
        agent: runtime_traits::id::AgentId,
    ) -> Result<(), RepairError> {
        let key = keys::spec(&tenant, &agent);
        if self.made.contains(&key) || self.declared(&tenant, &agent).await.is_some() {
            return Ok(());
        }
        let is_there = self.from.get(std::slice::from_ref(&key)).await;
        if matches!(is_there.as_deref(), Ok([None])) {
            let whose = Whose { tenant: Some(tenant), agent: Some(agent), ..Whose::default() };
            return self.mend(CellSort::Spec, key, &whose, &Fault::dangling("it is missing")).await;
        }
        Ok(())
    }

    /// Puts something in the place of a cell that cannot be read or does not fit; its bytes are in quarantine.
    pub(super) async fn mend(
        &mut self,
        sort: CellSort,
        key: Key,
        whose: &Whose,
        fault: &Fault,
    ) -> Result<(), RepairError> {
        let what = fault.what.as_str();
        let place = place_of(&key);
        let tenant = whose.tenant.clone().unwrap_or_default();
        let made: Option<(Bytes, &str)> = match sort {
            CellSort::Owner => {
                Some((self.owner().await, "nobody owns the partition; its epoch is that of its logs"))
            }
            CellSort::Want => {
                let stopped = WantRecord { want: Want::Stopped, generation: 1 };
                Some((encode(&stopped), "the agent is stopped: start it if it shall take runs"))
            }
            CellSort::Spec => match whose.agent {
                Some(agent) => match self.older(&tenant, &agent).await {
                    Some((record, name)) => {
                        self.see_to_name(&tenant, agent, name).await;
                        Some((encode(&record), "an older declaration of the agent took its place"))
                    }
                    None => None,
                },
                None => None,
            },
            CellSort::Cursor => self.cursor(&key).await.map(|cursor| (cursor, "it follows from the log")),
            CellSort::Due => {
                let due = self.due_of(&key, whose).await;
                due.map(|due| (encode(&due), "it follows from its path and the log of its run"))
            }
            CellSort::Schedule => return self.mend_schedule(key, whose, fault).await,
            CellSort::Head => return self.mend_head(key, whose, None, fault).await,
            CellSort::Ended => match whose.run {
                Some(run) => match self.ended_by_stub(&run).await {
                    Some(ended) => Some((ended, "it follows from the stub of the run")),
                    None => return self.mend_run(key, run, true, whose, fault).await,
                },
                None => None,
            },
            CellSort::Open => match whose.run {
                Some(run) => return self.mend_run(key, run, false, whose, fault).await,
                None => None,
            },
            CellSort::Blob(hash, _) => {
                self.content = Some((tenant, hash, false));
                None
            }
            _ => None,
        };
        match made {
            Some((value, how)) => {
                self.changed(ChangeSort::Mended, place, whose, format!("{what}; {how}"));
                self.make(key, value).await
            }
            None => {
                self.changed(ChangeSort::LeftOut, place, whose, what);
                Ok(())
            }
        }
    }

    pub(super) fn leave_out(
        &mut self,
        key: Key,
        whose: &Whose,
        why: &str,
        value: Option<Bytes>,
    ) -> Result<(), RepairError> {
        self.changed(ChangeSort::LeftOut, place_of(&key), whose, why);
        self.keep_aside(place_of(&key), whose, why, value)
    }

    /// The head of the longest whole piece of a conversation; without any the conversation begins anew.
    async fn mend_head(
        &mut self,
        key: Key,
        whose: &Whose,
        head: Option<&Head>,
        fault: &Fault,
    ) -> Result<(), RepairError> {
        let (Some(agent), Some(session)) = (whose.agent, whose.session.clone()) else { return Ok(()) };
        let had = head.map(|head| head.messages);
        let nobody = RunId::from_parts(self.partition, Uuid::nil());
        let from = head.copied().unwrap_or(Head {
            last: Seq(u64::MAX),
            messages: 0,
            run: nobody,
            at: UnixMillis::default(),
        });
        let chain = self.look.chain(whose, &from).await.unwrap_or_default();
        let piece = chain.longest();
        self.pieces.insert((agent, session), piece);
        let had = had.map_or_else(|| "an unknown number of".to_owned(), |had| had.to_string());
        let Some(piece) = piece else {
            let what =
                format!("{}; none of {had} messages is left, so the conversation begins anew", fault.what);
            self.changed(ChangeSort::LeftOut, place_of(&key), whose, what);
            return Ok(());
        };
        let (run, at) = self.said_last(whose, piece.last).await.unwrap_or((from.run, from.at));
        let head = Head { last: piece.last, messages: piece.messages, run, at };
        let what = format!(
            "{}; of {had} messages the {} from number {} to {} are kept",
            fault.what, piece.messages, piece.first.0, piece.last.0
        );
        self.changed(ChangeSort::Cut, place_of(&key), whose, what);
        self.make(key, encode(&head)).await
    }

    async fn owner(&self) -> Bytes {
        let epoch = self.highest_epoch().await;
        let record = OwnerRecord { epoch, node: NodeId(Uuid::nil()), since: self.now };
        [&chance::bytes::<{ size_of::<Token>() }>()[..], &encode(&record)].concat().into()
    }

    /// What is trimmed of a log is done.
    async fn cursor(&self, key: &Key) -> Option<Bytes> {
        let log: Log = if *key == keys::taken(self.partition) {
            keys::inbox(self.partition)
        } else if *key == keys::sent(self.partition) {
            keys::outbox(self.partition)
        } else if *key == keys::published(self.partition) {
            keys::announced(self.partition)
        } else {
            return None;
        };
        let Tail { first, .. } = self.from.read(&log, Seq::FIRST, 0).await.ok()?;
        Some(encode(&Cursor { done: first.0 - 1 }))
    }

    /// What is to be done for a run: its path says that, and its log what else it needs.
    async fn due_of(&mut self, key: &Key, whose: &Whose) -> Option<Due> {
        let path = std::str::from_utf8(key.path.as_bytes()).ok()?;
        let what = path.split('/').nth(2)?.to_owned();
        if let ("schedule", Some(agent)) = (what.as_str(), whose.agent) {
            let (name, tenant) = (path.split('/').nth(4)?.to_owned(), self.look.tenant_of(&agent));
            return (!self.is_lost(&tenant, &agent).await).then_some(Due::Schedule { tenant, agent, name });
        }
        let run = whose.run?;
        if what == "wake" {
            return Some(Due::Wake { run });
        }
        let tenant = self.tenant_of_run(&run).await;
        let whose = Whose { tenant: Some(tenant.clone()), ..whose.clone() };
        let Accepted { agent, session, idempotency_key, .. } = self.inspect(&run, &whose).await?.accepted?;
        if self.look.is_swept(&run).await || self.is_lost(&tenant, &agent).await {
            return None;
        }
        match (what.as_str(), idempotency_key) {
            ("sweep", _) => Some(Due::Sweep { tenant, agent, session, run }),
            ("key", Some(idempotency_key)) => {
                let cell = keys::idem(&tenant, &agent, &session, &idempotency_key);
                Some(Due::ForgetKey { cell: cell.path.as_bytes().to_vec() })
            }
            _ => None,
        }
    }

    /// The cell of a run that is over, or open, made anew from its log.
    async fn mend_run(
        &mut self,
        key: Key,
        run: RunId,
        is_over: bool,
        whose: &Whose,
        fault: &Fault,
    ) -> Result<(), RepairError> {
        let tenant = match &whose.tenant {
            Some(tenant) => tenant.clone(),
            None => self.tenant_of_run(&run).await,
        };
        let whose = Whose { tenant: Some(tenant.clone()), ..whose.clone() };
        let state = self.inspect(&run, &whose).await;
        let Some(accepted) = state.as_ref().and_then(|state| state.accepted.as_ref()) else {
            self.retold.insert(run);
            self.changed(
                ChangeSort::LeftOut,
                place_of(&key),
                &whose,
                "nothing is left that says what it was",
            );
            return Ok(());
        };
        let session = accepted.session.clone();
        let what = format!("{}; it follows from the log of the run", fault.what);
        self.changed(ChangeSort::Mended, place_of(&key), &whose, what);
        if is_over {
            let ended = state.as_ref().and_then(|state| state.ended.as_ref());
            let at = ended.map_or(self.now, |(at, _)| *at);
            return self.make(key, encode(&EndedRun { session, at })).await;
        }
        let open = OpenRun { tenant, agent: accepted.agent, session };
        let cell = Cell { value: encode(&open), revision: Revision(0) };
        self.open_run(key, cell, open, whose).await
    }

    /// Whether an agent is declared, wherever it lives.
    async fn is_declared_elsewhere(
        &self,
        tenant: &runtime_traits::name::Tenant,
        name: &runtime_codec::NameRecord,
    ) -> bool {
        self.declared(tenant, &name.agent).await.is_some() || self.older(tenant, &name.agent).await.is_some()
    }

    /// A chunk of content: contents are kept as a whole, or not at all.
    pub(super) async fn chunk(
        &mut self,
        key: Key,
        cell: Cell,
        whose: &Whose,
        hash: Digest,
        chunk: u32,
    ) -> Result<(), RepairError> {
        let tenant = whose.tenant.clone().unwrap_or_default();
        let known = self.content.as_ref().filter(|(of, known, _)| *of == tenant && *known == hash);
        let is_whole = match known {
            Some((_, _, is_whole)) => *is_whole,
            None => {
                let is_whole = self.is_whole(&tenant, hash, chunk).await;
                if !is_whole {
                    let what = "the content is not whole";
                    self.changed(ChangeSort::LeftOut, place_of(&key), whose, what);
                }
                self.content = Some((tenant, hash, is_whole));
                is_whole
            }
        };
        if is_whole {
            return self.put(key, cell.value).await;
        }
        self.keep_aside(place_of(&key), whose, "its content is not whole", Some(cell.value))
    }

    async fn is_whole(&self, tenant: &runtime_traits::name::Tenant, hash: Digest, first: u32) -> bool {
        if first != 0 {
            return false;
        }
        let mut row = Row::new(tenant.clone(), hash);
        for chunk in 0.. {
            let key = keys::blob(tenant, self.partition, &hash, chunk);
            match self.from.get(std::slice::from_ref(&key)).await {
                Ok(mut cells) => match cells.pop().flatten() {
                    Some(cell) => row.take(chunk, &cell.value),
                    None => break,
                },
                Err(_) => return false,
            }
        }
        matches!(row.end(), RowEnd::Whole(_))
    }
}

pub(super) fn place_of(key: &Key) -> DamagedPlace {
    DamagedPlace::Cell { path: key.path.clone() }
}
