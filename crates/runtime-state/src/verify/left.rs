//! What is left of what is damaged, by agent, session and run.

use std::collections::{BTreeMap, BTreeSet};

use runtime_codec::{CellRecord, CellSort, Whose, decode_cell, keys};
use runtime_traits::id::{AgentId, RunId};
use runtime_traits::log::Head;
use runtime_traits::name::{Name, SessionName, Tenant};
use runtime_traits::store::{Key, Seq, StateStore};
use serde::Serialize;

use super::cells::Cells;
use super::damage::{Damage, DamagedPlace};

/// An agent of which something is damaged, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentLeft {
    /// The agent.
    pub agent: AgentId,
    /// Its tenant, if it is known.
    pub tenant: Option<Tenant>,
    /// Its name, if its declaration can be read.
    pub name: Option<Name>,
    /// Its damaged sessions.
    pub sessions: Vec<SessionLeft>,
    /// Its damaged runs.
    pub runs: Vec<RunLeft>,
}

/// A damaged session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionLeft {
    /// The session.
    pub session: SessionName,
    /// How many messages it had, if its head can be read.
    pub messages: Option<u64>,
    /// How many of them follow one another without a gap: the longest piece.
    pub whole: u64,
}

/// A damaged run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunLeft {
    /// The run.
    pub run: RunId,
    /// How many entries of its log come before the first that is damaged; `None`: all of them are whole.
    pub whole: Option<u64>,
}

#[derive(Default)]
struct Hurt {
    tenant: Option<Tenant>,
    sessions: BTreeSet<SessionName>,
    runs: BTreeMap<RunId, Option<u64>>,
}

/// Looks at what the damages leave. It reads what belongs to damaged agents only.
pub(super) async fn left(store: &dyn StateStore, damages: &[Damage]) -> Vec<AgentLeft> {
    let mut agents: BTreeMap<AgentId, Hurt> = BTreeMap::new();
    for damage in damages {
        let Some(agent) = damage.agent else { continue };
        let hurt = agents.entry(agent).or_default();
        hurt.tenant = hurt.tenant.take().or_else(|| damage.tenant.clone());
        if let Some(run) = damage.run {
            let before = match &damage.place {
                DamagedPlace::Entry { seq, .. } => Some(seq.saturating_sub(1)),
                _ => None,
            };
            let whole = hurt.runs.entry(run).or_insert(before);
            *whole = [*whole, before].into_iter().flatten().min();
        } else if let Some(session) = &damage.session {
            hurt.sessions.insert(session.clone());
        }
    }
    let mut left = Vec::with_capacity(agents.len());
    for (agent, Hurt { tenant, sessions, runs }) in agents {
        let runs = runs.into_iter().map(|(run, whole)| RunLeft { run, whole }).collect();
        let name = match &tenant {
            Some(tenant) => name_of(store, tenant, &agent).await,
            None => None,
        };
        let mut kept = Vec::new();
        for session in sessions {
            kept.push(session_left(store, tenant.as_ref(), agent, session).await);
        }
        left.push(AgentLeft { agent, tenant, name, sessions: kept, runs });
    }
    left
}

async fn name_of(store: &dyn StateStore, tenant: &Tenant, agent: &AgentId) -> Option<Name> {
    match record(store, &keys::spec(tenant, agent), CellSort::Spec).await? {
        CellRecord::Spec(_, spec) => Some(spec.name),
        _ => None,
    }
}

async fn session_left(
    store: &dyn StateStore,
    tenant: Option<&Tenant>,
    agent: AgentId,
    session: SessionName,
) -> SessionLeft {
    let mut left = SessionLeft { session, messages: None, whole: 0 };
    let Some(tenant) = tenant else { return left };
    let head = record(store, &keys::head(tenant, &agent, &left.session), CellSort::Head).await;
    let head = match head {
        Some(CellRecord::Head(head)) => {
            left.messages = Some(head.messages);
            head
        }
        // Without its head the conversation ends with the newest outcome that can be found.
        _ => Head {
            last: Seq(u64::MAX),
            messages: 0,
            run: RunId::from_parts(agent.partition(), uuid::Uuid::nil()),
            at: Default::default(),
        },
    };
    let whose = Whose {
        tenant: Some(tenant.clone()),
        agent: Some(agent),
        session: Some(left.session.clone()),
        run: None,
    };
    let chain = Cells::of(store, agent.partition()).chain(&whose, &head).await;
    left.whole = chain.ok().and_then(|chain| chain.longest()).map_or(0, |stretch| stretch.messages);
    left
}

async fn record(store: &dyn StateStore, key: &Key, sort: CellSort) -> Option<CellRecord> {
    let cell = store.get(std::slice::from_ref(key)).await.ok()?.pop().flatten()?;
    decode_cell(sort, &cell.value).ok()
}
