//! Each law, broken once in a small case that is otherwise good.

use std::collections::BTreeMap;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    Accepted, Author, Ended, Entry, EntryKind, Head, Message, Outcome, Price, Receipt, Started, StateSet,
    StepDispatched, StepOpened, StepSettled, Stopped,
};
use runtime_traits::name::SessionName;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::{CancelReceipt, Decision, SessionPolicy};
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, Digest, NodeId, RunId, StateId, StepKey, StepSort, Usage};
use uuid::Uuid;

use super::check;
use super::events::told_all;
use crate::chaos::book::{Asked, Cancel, Decided, Input, Pages, Told};
use crate::chaos::effects::{Begun, Execution};
use crate::chaos::evidence::{Conversation, Evidence};
use crate::chaos::host::agent_name;
use crate::chaos::script::{Act, Kept, Output, Script, Sort, Work, piece};
use crate::chaos::violation::Law;

const PARTITION: Partition = Partition { pool: Pool::MAIN, index: 3 };
const PAID: Usage =
    Usage { input_tokens: 0, output_tokens: 0, model_calls: 0, tool_calls: 1, estimated_tokens: 0 };

/// Two runs of one session, each with one step that was executed once.
struct Scene {
    evidence: Evidence,
    pages: Pages,
    executions: Vec<Execution>,
}

fn run(nth: u128) -> RunId {
    RunId::from_parts(PARTITION, Uuid::from_u128(nth + 1))
}

fn agent() -> AgentId {
    AgentId::from_parts(PARTITION, Uuid::from_u128(77))
}

fn place() -> (AgentId, SessionName) {
    (agent(), SessionName::default())
}

fn pay() -> StepKey {
    "pay".parse().unwrap()
}

fn script(id: u64) -> Script {
    let work = Work { key: pay(), sort: Sort::AtMostOnce, millis: 1, bytes: 0, fails: false, within: None };
    Script { id, acts: vec![Act::Do(work)], fails: false, padding: String::new() }
}

fn json<T: serde::Serialize>(value: &T) -> Payload {
    Payload::of(&Content::json(value).unwrap())
}

fn log(id: u64, saw: Option<Kept>) -> Vec<Entry> {
    let script = script(id);
    let (_, work) = script.steps().next().unwrap();
    let value = work.value(id);
    let digest = Digest::of(b"request");
    let input = Content::json(&script).unwrap();
    let accepted = Accepted {
        agent: agent(),
        spec_rev: 1,
        session: SessionName::default(),
        policy: SessionPolicy::Enqueue,
        input: Payload::of(&input),
        digest: input.digest(),
        idempotency_key: None,
        parent: None,
        copied_from: None,
        principal: None,
        trace: None,
        deadline: None,
        priority: 0,
        chain: None,
        labels: BTreeMap::new(),
    };
    let output = Output { script: id, saw: saw.clone(), pieces: vec![piece(&value)], padding: String::new() };
    let node = NodeId(Uuid::from_u128(5));
    let kinds = vec![
        EntryKind::Accepted(Box::new(accepted)),
        EntryKind::Started(Started { kind_version: 1, build: String::new(), node, suspects: 0 }),
        EntryKind::StepOpened(StepOpened {
            key: pay(),
            sort: StepSort::Tool,
            effect: Sort::AtMostOnce.effect(),
            request: json(&"request"),
            digest,
            reserved: 0,
            reserved_usage: Usage::default(),
            dispatched: true,
        }),
        EntryKind::StepSettled(StepSettled {
            key: pay(),
            try_no: 1,
            result: Ok(json(&value)),
            digest,
            usage: PAID,
            price: Price::default(),
            messages: None,
        }),
        EntryKind::StateSet(StateSet { cell: String::new(), value: json(&script.kept(saw.as_ref(), 0)) }),
        EntryKind::Ended(Ended {
            outcome: Outcome::Completed(json(&output)),
            usage: PAID,
            price: Price::default(),
        }),
    ];
    let entry = |(kind, number): (EntryKind, u64)| {
        let attempt = u32::from(number > 1);
        Entry { seq: Seq(number), at: UnixMillis(number), attempt, epoch: 1, kind }
    };
    kinds.into_iter().zip(1..).map(entry).collect()
}

fn execution(nth: u128, tick: u64) -> Execution {
    let key = Digest::of(format!("default/{}/pay", run(nth)).as_bytes()).to_string();
    let begun = Begun {
        life: 1,
        run: run(nth),
        key: pay(),
        try_no: 1,
        attempt: 1,
        epoch: 1,
        idempotency_key: key[..32].to_owned(),
    };
    Execution { tick, at: UnixMillis(tick), begun, ended: true }
}

impl Scene {
    fn good() -> Self {
        let (mut evidence, mut pages) = (Evidence::default(), Pages::default());
        let mut conversation = Conversation::default();
        let mut saw = None;
        for nth in 0..2 {
            let (id, run) = (nth as u64, run(nth));
            let log = log(id, saw.clone());
            let (EntryKind::Accepted(accepted), EntryKind::Ended(ended)) = (&log[0].kind, &log[5].kind)
            else {
                panic!("the log begins and ends");
            };
            let Outcome::Completed(output) = ended.outcome.clone() else { panic!("it completed") };
            for (author, content) in [(Author::Caller, accepted.input.clone()), (Author::Agent, output)] {
                let after = conversation.messages.len() as u64;
                let after = (after > 0).then_some(Seq(after));
                conversation.messages.push(Message { author, content, run, at: UnixMillis(1), after });
            }
            saw = Some(script(id).kept(saw.as_ref(), 0));
            evidence.runs.insert(run, log);
            let (session, script) = (SessionName::default(), script(id));
            pages.asked.push(Asked {
                input: Input::Script(script),
                agent: agent_name(0),
                session,
                policy: SessionPolicy::Enqueue,
                key: None,
                times: 1,
                run: Some(run),
            });
            pages.accepted.insert(run, id);
        }
        conversation.head = Some(Head { last: Seq(4), messages: 4, run: run(1), at: UnixMillis(1) });
        conversation.state = saw.as_ref().map(json);
        evidence.sessions.insert(place(), conversation);
        evidence.names.insert(agent_name(0), agent());
        evidence.tool_calls.insert(agent(), 2);
        Self { evidence, pages, executions: vec![execution(0, 1), execution(1, 2)] }
    }

    fn broken(&self) -> Vec<Law> {
        let (violations, _) = check(&told_all(&self.evidence), &self.pages, &self.executions);
        violations.iter().map(|violation| violation.law).collect()
    }

    fn log(&mut self) -> &mut Vec<Entry> {
        self.evidence.runs.get_mut(&run(0)).unwrap()
    }

    fn conversation(&mut self) -> &mut Conversation {
        self.evidence.sessions.get_mut(&place()).unwrap()
    }

    /// The first run was cancelled, and nothing came of it.
    fn cancelled(&mut self) {
        let receipt = Receipt { stopped: Stopped::Complete, unknown: Vec::new() };
        let EntryKind::Ended(ended) = &mut self.log()[5].kind else { panic!("it ends") };
        ended.outcome = Outcome::Cancelled(receipt.clone());
        let answer = Some((CancelReceipt::Cancelled(receipt), UnixMillis(10), 1));
        self.pages.cancels.push(Cancel { run: run(0), answer });
    }
}

/// A way to break a law.
type Flaw = fn(&mut Scene);

#[test]
fn a_good_case_breaks_no_law() {
    assert_eq!(Scene::good().broken(), []);
}

#[test]
fn every_law_that_is_broken_is_named() {
    let flaws: [(Law, &str, Flaw); 25] = [
        (Law::Lost, "an accepted run without a log", |scene| {
            scene.pages.accepted.insert(run(9), 0);
        }),
        (Law::Stuck, "a run without an end", |scene| {
            scene.log().pop();
        }),
        (Law::Repeated, "a settled step in a later attempt", |scene| {
            let mut again = execution(0, 3);
            again.begun.attempt = 2;
            again.begun.life = 2;
            scene.executions.push(again);
        }),
        (Law::Twice, "a step twice without a decision", |scene| {
            scene.executions.push(execution(0, 3));
        }),
        (Law::Dispatch, "a try that the log does not have", |scene| {
            scene.executions[0].begun.try_no = 2;
        }),
        (Law::Dispatch, "a settled step that nobody did", |scene| {
            scene.executions.remove(0);
        }),
        (Law::Dispatch, "a fence that falls", |scene| {
            let mut stale = execution(0, 3);
            stale.begun.epoch = 0;
            scene.executions.push(stale);
        }),
        (Law::Key, "another key towards the outside", |scene| {
            scene.executions[0].begun.idempotency_key = "0".repeat(32);
        }),
        (Law::Key, "two runs of one submission", |scene| {
            let twin = scene.log().clone();
            scene.evidence.runs.insert(run(8), twin);
        }),
        (Law::Log, "a gap", |scene| {
            scene.log().remove(4);
        }),
        (Law::Log, "something after the end", |scene| {
            let more = Entry { seq: Seq(7), ..scene.log()[4].clone() };
            scene.log().push(more);
        }),
        (Law::Log, "dispatched again, and nobody said why", |scene| {
            let again = EntryKind::StepDispatched(StepDispatched::of(pay(), 2));
            let log = scene.log();
            log.insert(3, Entry { kind: again, ..log[2].clone() });
            log.iter_mut().zip(1..).for_each(|(entry, number)| entry.seq = Seq(number));
        }),
        (Law::Stream, "a reader saw something else", |scene| {
            let seen = scene.pages.seen.entry(run(0)).or_default();
            seen.insert(3, "settled something".to_owned());
        }),
        (Law::Output, "a value that the script does not say", |scene| {
            let EntryKind::StepSettled(settled) = &mut scene.log()[3].kind else { panic!("it is settled") };
            settled.result = Ok(json(&"something else"));
        }),
        (Law::Told, "a caller was told of another end", |scene| {
            scene.pages.ended.insert(run(0), Told { outcome: "failed", output: None });
        }),
        (Law::Session, "a message is there twice", |scene| {
            let message = scene.conversation().messages[0].clone();
            scene.conversation().messages.push(message);
        }),
        (Law::Session, "a state that no run left", |scene| {
            scene.conversation().state = Some(json(&Kept::default()));
        }),
        (Law::Session, "a run beside another one", |scene| {
            scene.executions.push(execution(0, 3));
        }),
        (Law::Decided, "a verdict that was answered is not recorded", |scene| {
            let (run, step) = (run(0), pay());
            scene.pages.decisions.push(Decided { run, step, verdict: Decision::Fail, recorded: true });
        }),
        (Law::Cancelled, "nobody wanted the run to end", |scene| {
            scene.cancelled();
            scene.pages.cancels.clear();
        }),
        (Law::Cancelled, "something was done after the receipt", |scene| {
            scene.cancelled();
            let mut late = execution(0, 3);
            late.begun.life = 2;
            scene.executions.push(late);
        }),
        (Law::Saved, "a snapshot is gone", |scene| {
            scene.pages.saves.push(StateId::from_parts(PARTITION, Uuid::from_u128(3)));
        }),
        (Law::Usage, "a call was paid twice", |scene| {
            scene.evidence.tool_calls.insert(agent(), 3);
        }),
        (Law::Left, "a run that is over is still open", |scene| {
            scene.evidence.open.insert(run(0));
        }),
        (Law::Invented, "nobody asked for the run", |scene| {
            scene.pages.asked[0].input = Input::Script(script(7));
        }),
    ];
    for (law, what, flaw) in flaws {
        let mut scene = Scene::good();
        flaw(&mut scene);
        let broken = scene.broken();
        assert!(broken.contains(&law), "{what}: {law} is not among {broken:?}");
    }
}
