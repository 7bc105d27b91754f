//! What a runtime that does nothing answers by itself.

use std::collections::BTreeMap;

use runtime_traits::bus::{HeldTopic, TellingStatus};
use runtime_traits::health::{CheckReport, HealthReport, Looked, RecoveryReport, Tried};
use runtime_traits::log::{Accepted, Author, Ended, Started};
use runtime_traits::meter::{LongPoll, ProcessStatus, ProcessUsage};
use runtime_traits::resource::{LimitsBy, ResourceLimits, ResourceUsage, TenantLimits, UsageHistory, UsedIn};
use runtime_traits::runtime::{
    AgentStatus, BreakerPhase, BreakerStatus, Finished, NodeStatus, Readiness, Said, SessionPolicy,
    SessionStatus, Stored, StreamItem, Want,
};
use runtime_traits::schedule::{Fire, HeldFire, Schedule, ScheduleView, ScheduledBy, Timing};
use runtime_traits::snapshot::{
    SessionDiff, SnapshotDiff, SnapshotInfo, SnapshotSession, SnapshotView, SpecChange,
};
use runtime_traits::store::{Durability, Limits, Seq, Sharing, StoreProfile};
use runtime_traits::{
    AgentId, Cause, Content, Entry, EntryKind, Health, Name, NodeId, Outcome, Partition, Payload, Pool,
    RunId, RunView, SessionName, StateId, StepSort, Tenant, UnixMillis, Usage, Verdict, Watched,
};
use uuid::Uuid;

/// An agent, a run that it has completed, and a snapshot.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The agent.
    pub agent: AgentId,
    /// The run.
    pub run: RunId,
    /// The snapshot.
    pub state: StateId,
    /// The node.
    pub node: NodeId,
    /// The run's input.
    pub input: Content,
    /// The run's output.
    pub output: Content,
    /// The snapshot's file: any bytes.
    pub file: Vec<u8>,
}

impl Default for Samples {
    fn default() -> Self {
        let partition = Partition { pool: Pool::MAIN, index: 17 };
        Self {
            agent: AgentId::from_parts(partition, Uuid::from_u128(1)),
            run: RunId::from_parts(partition, Uuid::from_u128(2)),
            state: StateId::from_parts(partition, Uuid::from_u128(3)),
            node: NodeId(Uuid::from_u128(4)),
            input: Content::text("hello"),
            output: Content::text("HELLO"),
            file: (0..=255).collect(),
        }
    }
}

impl Samples {
    /// The run with its outcome.
    pub fn finished(&self) -> Finished {
        Finished {
            run: self.run,
            agent: self.agent,
            session: SessionName::default(),
            outcome: Outcome::Completed(Payload::of(&self.output)),
            output: Some(self.output.clone()),
            usage: self.usage(),
        }
    }

    /// The snapshot, in a line.
    pub fn snapshot_info(&self) -> SnapshotInfo {
        SnapshotInfo {
            state: self.state,
            agent: self.agent,
            name: Name::new("scribe").expect("a name"),
            kind: Name::new("echo").expect("a name"),
            at: UnixMillis(2000),
            sessions: 1,
            messages: 2,
            bytes: 300,
        }
    }

    /// The snapshot, in full.
    pub fn snapshot_view(&self) -> SnapshotView {
        let session = SnapshotSession {
            name: SessionName::default(),
            messages: 2,
            bytes: 300,
            state: Some(Payload::of(&Content::json(&[1]).expect("JSON"))),
        };
        let spec = r#"{"kind":"echo","name":"scribe"}"#.to_owned();
        SnapshotView {
            info: self.snapshot_info(),
            revision: 1,
            kind_version: 1,
            spec,
            sessions: vec![session],
        }
    }

    /// How the snapshot differs from another.
    pub fn snapshot_diff(&self) -> SnapshotDiff {
        let name = |name| SessionName::new(name).expect("a name");
        let change = SpecChange {
            field: "config.model".to_owned(),
            before: None,
            after: Some("\"large\"".to_owned()),
        };
        SnapshotDiff {
            spec: vec![change],
            added: vec![name("new")],
            removed: vec![name("old")],
            changed: vec![SessionDiff {
                name: SessionName::default(),
                shared: 2,
                only_before: 0,
                only_after: 4,
                state_differs: true,
            }],
        }
    }

    /// The run's log: accepted, started, ended.
    pub fn entries(&self) -> Vec<Entry> {
        let accepted = Accepted {
            agent: self.agent,
            spec_rev: 1,
            session: SessionName::default(),
            policy: SessionPolicy::Enqueue,
            input: Payload::of(&self.input),
            digest: self.input.digest(),
            idempotency_key: None,
            parent: None,
            copied_from: None,
            principal: None,
            trace: None,
            deadline: None,
            priority: 0,
            chain: None,
            labels: BTreeMap::from([("colour".to_owned(), "red".to_owned())]),
        };
        let started = Started { kind_version: 1, build: "test".to_owned(), node: self.node, suspects: 0 };
        let ended = Ended {
            outcome: Outcome::Completed(Payload::of(&self.output)),
            usage: self.usage(),
            price: runtime_traits::log::Price::default(),
        };
        let kinds =
            [EntryKind::Accepted(Box::new(accepted)), EntryKind::Started(started), EntryKind::Ended(ended)];
        (1..)
            .zip(kinds)
            .map(|(seq, kind)| Entry {
                seq: Seq(seq),
                at: UnixMillis(1000 + seq),
                attempt: u32::from(seq > 1),
                epoch: 1,
                kind,
            })
            .collect()
    }

    /// The run's log as a stream gives it, beginning with `from`.
    pub fn items(&self, from: Seq) -> Vec<StreamItem> {
        let content_of = |entry: &Entry| match entry.kind {
            EntryKind::Accepted(_) => Some(self.input.clone()),
            EntryKind::Ended(_) => Some(self.output.clone()),
            _ => None,
        };
        self.entries()
            .into_iter()
            .filter(|entry| entry.seq >= from)
            .map(|entry| StreamItem::Entry { content: content_of(&entry), entry: Box::new(entry) })
            .collect()
    }

    /// The run's log, folded.
    pub fn view(&self) -> RunView {
        RunView::of(self.run, &self.entries()).expect("the log begins with its first entry")
    }

    /// The run before its last entry.
    pub fn open_view(&self) -> RunView {
        RunView::of(self.run, &self.entries()[..2]).expect("the log begins with its first entry")
    }

    /// The agent.
    pub fn agent_status(&self) -> AgentStatus {
        AgentStatus {
            id: self.agent,
            name: Name::new("scribe").expect("a name"),
            kind: Name::new("echo").expect("a name"),
            description: "writes".to_owned(),
            want: Want::Active,
            hosted: true,
            revision: 1,
            declared_at: UnixMillis(1_764_000_000_000),
            running: 0,
            queued: 0,
            stored: Stored { bytes: 4096, grown: 1024, soft: Some(4000), hard: None },
            limits: ResourceLimits { max_tokens_per_minute: Some(9_000), ..ResourceLimits::default() },
            usage: ResourceUsage { tokens_used_last_minute: 700, ..ResourceUsage::default() },
            damage: None,
            process: Some(ProcessUsage {
                memory_mb: Some(1.5),
                cpu_percent: 0.25,
                cpu_ms: 150,
                longest_poll_ms: 20,
                over_memory: true,
            }),
        }
    }

    /// What all agents may use together.
    pub fn tenant_limits(&self) -> TenantLimits {
        TenantLimits {
            limits: ResourceLimits { max_tokens_total: Some(90_000), ..ResourceLimits::default() },
            since: Some(UnixMillis(1_764_000_000_000)),
            by: Some(LimitsBy::Hand),
            counted_since: Some(UnixMillis(1_763_000_000_000)),
            usage: ResourceUsage { tokens_total: 700, waiting: 2, ..ResourceUsage::default() },
            damage: None,
        }
    }

    /// What it used.
    pub fn usage_history(&self) -> UsageHistory {
        let of = |from, micros, unpriced| UsedIn {
            from: UnixMillis(from),
            requests: 2,
            input_tokens: 300,
            output_tokens: 50,
            micros,
            unpriced,
        };
        let minutes = vec![of(1_764_000_000_000, Some(1_250), 0), of(1_764_000_060_000, None, 2)];
        UsageHistory { minutes, hours: vec![of(1_763_996_400_000, Some(1_250), 2)] }
    }

    /// Its schedule.
    pub fn schedule_view(&self) -> ScheduleView {
        let timing = Timing::cron("0 9 * * mon-fri").in_zone("Europe/Berlin");
        ScheduleView {
            agent: self.agent,
            agent_name: Name::new("scribe").expect("a name"),
            schedule: Schedule::new(Name::new("morning").expect("a name"), timing, "Write the report."),
            by: ScheduledBy::FleetFile,
            declared_at: UnixMillis(1_764_000_000_000),
            paused: false,
            next: Some(UnixMillis(1_764_057_600_000)),
            next_local: Some("2025-11-25 09:00:00 CET".to_owned()),
            fired: 3,
            missed: 1,
            last: vec![Fire {
                tick: UnixMillis(1_763_971_200_000),
                at: UnixMillis(1_763_971_200_004),
                run: self.run,
            }],
            held: Some(HeldFire { since: UnixMillis(1_764_000_000_001), reason: "it is full".to_owned() }),
        }
    }

    /// Its session.
    pub fn session_status(&self) -> SessionStatus {
        SessionStatus {
            session: SessionName::default(),
            stored: Stored { bytes: 4000, grown: 1000, soft: None, hard: Some(8000) },
        }
    }

    /// How the agent is.
    pub fn health_report(&self) -> HealthReport {
        let slow = Health::new(Verdict::Degraded, "answers take 9 s");
        let check = CheckReport {
            name: "response_time".to_owned(),
            health: slow.clone(),
            since: UnixMillis(1500),
            looked: Some(Looked { at: UnixMillis(2000), took_ms: 3, found: slow.clone() }),
            recovery: Some(RecoveryReport {
                attempts: 1,
                last: Some(Tried { at: UnixMillis(1900), failed: Some(Cause::says("nothing helps")) }),
                next: Some(UnixMillis(2500)),
                quarantine: None,
            }),
        };
        HealthReport {
            watched: Watched::Agent(self.agent),
            health: slow,
            since: UnixMillis(1500),
            checks: vec![check],
        }
    }

    /// The runtime.
    pub fn node_status(&self) -> NodeStatus {
        NodeStatus {
            node: self.node,
            build: "test".to_owned(),
            store: StoreProfile {
                name: "memory".to_owned(),
                best: Durability::Memory,
                sharing: Sharing::Single,
                limits: Limits::CONTRACT,
            },
            since: UnixMillis(1000),
            readiness: Readiness::Ready,
            open_runs: 2,
            active_agents: 1,
            last_progress: Some(UnixMillis(2000)),
            suspects: 0,
            scrub: None,
            process: ProcessStatus {
                unattributed_mb: Some(12.5),
                long_polls: vec![LongPoll {
                    agent: self.agent,
                    run: self.run,
                    steps: Vec::new(),
                    since: UnixMillis(1000),
                    lasts_ms: 1000,
                }],
            },
            telling: Some(TellingStatus {
                waiting: 3,
                since: Some(UnixMillis(1500)),
                left_out: 1,
                held: vec![HeldTopic {
                    tenant: Tenant::default(),
                    topic: "agents/docs/run.completed".parse().expect("a good topic"),
                    events: 2,
                    since: UnixMillis(1600),
                    what: "an entry".to_owned(),
                }],
            }),
            breakers: vec![BreakerStatus {
                sort: StepSort::Model,
                name: "openai/gpt-4o".to_owned(),
                at: Some("http://127.0.0.1:8080".to_owned()),
                state: BreakerPhase::Open,
                since: Some(UnixMillis(1700)),
                until: Some(UnixMillis(6700)),
            }],
            health: Some(self.health_report().named()),
        }
    }

    /// What was said in its session.
    pub fn said(&self) -> Vec<Said> {
        let said = |seq, author, content: &Content| Said {
            seq: Seq(seq),
            author,
            run: self.run,
            at: UnixMillis(1000),
            content: content.clone(),
        };
        vec![said(1, Author::Caller, &self.input), said(2, Author::Agent, &self.output)]
    }

    fn usage(&self) -> Usage {
        Usage {
            input_tokens: 5,
            output_tokens: self.output.bytes.len() as u64,
            model_calls: 1,
            tool_calls: 0,
            estimated_tokens: 0,
        }
    }
}
