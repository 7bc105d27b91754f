//! A run of an agent with a model that had something consented to, called another agent and asked a person; and the run
//! that it called.

use std::collections::BTreeMap;

use runtime_traits::clock::UnixMillis;
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    Accepted, Author, DecidedBy, Effect, Ended, Entry, EntryKind, Head, Message, Outcome, Price, Started,
    StepDispatched, StepOpened, StepSettled, WaitClosed, WaitId, WaitOn, WaitOpened,
};
use runtime_traits::model::{ModelReply, ToolCall, ToolResult};
use runtime_traits::name::SessionName;
use runtime_traits::partition::{Partition, Pool};
use runtime_traits::runtime::SessionPolicy;
use runtime_traits::store::Seq;
use runtime_traits::{AgentId, Digest, Media, NodeId, RunId, StepKey, StepSort, Usage};
use uuid::Uuid;

use crate::chaos::book::{Asked, Input, Pages, Replied, Word};
use crate::chaos::check::check;
use crate::chaos::check::events::told_all;
use crate::chaos::effects::{Begun, Execution};
use crate::chaos::evidence::{Boxes, Conversation, Evidence, Mailbox};
use crate::chaos::host::thinker_name;
use crate::chaos::operator::answer_to;
use crate::chaos::script::Sort;
use crate::chaos::talk::{Deed, Talk, Turn, Wish, call_step};
use crate::chaos::violation::Violation;

pub(super) const PARTITION: Partition = Partition { pool: Pool::MAIN, index: 3 };
/// The entry with the person's answer.
pub(super) const ANSWER: usize = 17;
const ASKED: Usage =
    Usage { input_tokens: 10, output_tokens: 5, model_calls: 1, tool_calls: 0, estimated_tokens: 0 };
const DONE: Usage =
    Usage { input_tokens: 0, output_tokens: 0, model_calls: 0, tool_calls: 1, estimated_tokens: 0 };
const NOTHING: Usage =
    Usage { input_tokens: 0, output_tokens: 0, model_calls: 0, tool_calls: 0, estimated_tokens: 0 };

/// Which run: called, so that a constant can name it.
pub(super) type Which = fn() -> RunId;
pub(super) const PARENT: Which = || run(0);
pub(super) const CHILD: Which = || run(1);

pub(super) struct Scene {
    pub(super) evidence: Evidence,
    pub(super) pages: Pages,
    pub(super) executions: Vec<Execution>,
}

pub(super) fn run(nth: u128) -> RunId {
    RunId::from_parts(PARTITION, Uuid::from_u128(nth + 1))
}

fn agent(nth: u128) -> AgentId {
    AgentId::from_parts(PARTITION, Uuid::from_u128(70 + nth))
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Payload {
    Payload::of(&Content::json(value).unwrap())
}

pub(super) fn pay() -> StepKey {
    call_step(1, 0, "pay")
}

fn helped() -> StepKey {
    call_step(1, 1, "ask_helper")
}

fn asked() -> StepKey {
    call_step(1, 2, "ask_person")
}

fn deed() -> Deed {
    Deed { sort: Sort::AtMostOnce, consent: true, millis: 1, bytes: 0, fails: false }
}

fn child_talk() -> Talk {
    Talk { talk: "0.1.1".to_owned(), turns: vec![Turn::default()], word: "the helper's word".to_owned() }
}

fn talk() -> Talk {
    let calls = vec![Wish::Do(deed()), Wish::Ask(Box::new(child_talk())), Wish::Person];
    let turns = vec![Turn { calls, ..Turn::default() }, Turn::default()];
    Talk { talk: "0".to_owned(), turns, word: "the last word".to_owned() }
}

fn accepted(of: u128, talk: &Talk, parent: Option<(RunId, StepKey)>) -> EntryKind {
    let input = Content::json(talk).unwrap();
    EntryKind::Accepted(Box::new(Accepted {
        agent: agent(of),
        spec_rev: 1,
        session: SessionName::default(),
        policy: SessionPolicy::Enqueue,
        digest: input.digest(),
        input: Payload::of(&input),
        idempotency_key: None,
        parent,
        copied_from: None,
        principal: None,
        trace: None,
        deadline: None,
        priority: 0,
        chain: None,
        labels: BTreeMap::new(),
    }))
}

fn started() -> EntryKind {
    let node = NodeId(Uuid::from_u128(5));
    EntryKind::Started(Started { kind_version: 1, build: String::new(), node, suspects: 0 })
}

fn opened(key: StepKey, sort: StepSort, dispatched: bool) -> EntryKind {
    let effect = if sort == StepSort::Model { Effect::Repeatable } else { Effect::AtMostOnce };
    let (request, digest) = (json(&"request"), Digest::of(b"request"));
    EntryKind::StepOpened(StepOpened {
        key,
        sort,
        effect,
        request,
        digest,
        reserved: 0,
        reserved_usage: Usage::default(),
        dispatched,
    })
}

fn waits(wait: u64, on: WaitOn) -> EntryKind {
    let digest = Digest::of(b"request");
    EntryKind::WaitOpened(WaitOpened { wait: WaitId(wait), on, digest, wake_at: None, holds_session: true })
}

fn closed(wait: u64, answer: &str) -> EntryKind {
    let answer = Payload::Inline(Content::text(answer.to_owned()));
    EntryKind::WaitClosed(WaitClosed { wait: WaitId(wait), by: DecidedBy::Policy, answer })
}

fn settled(
    key: StepKey,
    try_no: u32,
    usage: Usage,
    result: Payload,
    messages: Option<(u64, u64)>,
) -> EntryKind {
    EntryKind::StepSettled(StepSettled {
        key,
        try_no,
        result: Ok(result),
        digest: Digest::of(b"request"),
        usage,
        price: Price::default(),
        messages: messages.map(|(first, end)| (Seq(first), Seq(end))),
    })
}

/// A result that is a message.
fn said(key: StepKey, usage: Usage, first: u64, end: u64) -> EntryKind {
    let nothing = Payload::Inline(Content { media: Media::Json, bytes: "".into() });
    settled(key, 1, usage, nothing, Some((first, end)))
}

fn completed(word: &str, usage: Usage) -> EntryKind {
    let outcome = Outcome::Completed(Payload::of(&Content::text(word.to_owned())));
    EntryKind::Ended(Ended { outcome, usage, price: Price::default() })
}

fn numbered(kinds: Vec<EntryKind>) -> Vec<Entry> {
    let entry = |(kind, number): (EntryKind, u64)| {
        let attempt = u32::from(number > 1);
        Entry { seq: Seq(number), at: UnixMillis(number), attempt, epoch: 1, kind }
    };
    kinds.into_iter().zip(1..).map(entry).collect()
}

fn parent_log() -> Vec<Entry> {
    let (first, second) = (Talk::model_step(1), Talk::model_step(2));
    let (word, answer) = (Content::text("the helper's word"), Content::text(answer_to(&asked())));
    let usage = ASKED.plus(ASKED).plus(ASKED).plus(DONE);
    numbered(vec![
        accepted(0, &talk(), None),
        started(),
        opened(first.clone(), StepSort::Model, true),
        said(first, ASKED, 1, 3),
        opened(pay(), StepSort::Tool, false),
        waits(6, WaitOn::Approval(pay())),
        opened(helped(), StepSort::Call, false),
        waits(8, WaitOn::Child { step: helped(), run: CHILD() }),
        opened(asked(), StepSort::Custom, false),
        waits(10, WaitOn::Answer(asked())),
        closed(6, "approved"),
        EntryKind::StepDispatched(StepDispatched::of(pay(), 1)),
        said(pay(), DONE, 3, 4),
        closed(8, "over"),
        settled(helped(), 0, ASKED, json(&word), None),
        said(call_step(1, 1, "said"), NOTHING, 4, 5),
        closed(10, "answered"),
        settled(asked(), 0, NOTHING, json(&answer), None),
        said(call_step(1, 2, "said"), NOTHING, 5, 6),
        opened(second.clone(), StepSort::Model, true),
        said(second, ASKED, 6, 7),
        completed("the last word", usage),
    ])
}

fn child_log() -> Vec<Entry> {
    let model = Talk::model_step(1);
    numbered(vec![
        accepted(1, &child_talk(), Some((PARENT(), helped()))),
        started(),
        opened(model.clone(), StepSort::Model, true),
        said(model, ASKED, 1, 3),
        completed("the helper's word", ASKED),
    ])
}

/// A conversation of one run, each message after the one before.
fn conversation(run: RunId, messages: Vec<(Author, Payload)>) -> Conversation {
    let last = messages.len() as u64;
    let message = |((author, content), nth): ((Author, Payload), u64)| {
        let after = (nth > 1).then(|| Seq(nth - 1));
        Message { author, content, run, at: UnixMillis(1), after }
    };
    let messages = messages.into_iter().zip(1..).map(message).collect();
    let head = Some(Head { last: Seq(last), messages: last, run, at: UnixMillis(1) });
    Conversation { messages, head, state: None }
}

fn reply(talk: &Talk, turn: usize) -> Payload {
    let call = |(nth, wish): (usize, &Wish)| {
        let id = format!("call_{turn}_{nth}");
        ToolCall { id, name: wish.tool(), arguments: "{}".to_owned() }
    };
    let calls = talk.turns[turn - 1].calls.iter().enumerate().map(call).collect();
    json(&ModelReply { text: talk.text(turn), calls, ..ModelReply::default() })
}

fn result(call: usize, text: &str) -> Payload {
    json(&ToolResult { call: format!("call_1_{call}"), text: text.to_owned(), failed: false })
}

fn text(text: &str) -> Payload {
    Payload::of(&Content::text(text.to_owned()))
}

fn execution(run: RunId, key: StepKey, tick: u64) -> Execution {
    let of_model = key.name.as_str() == "model";
    let hash = Digest::of(format!("default/{run}/{key}").as_bytes()).to_string();
    let idempotency_key = if of_model { String::new() } else { hash[..32].to_owned() };
    let try_no = u32::from(!of_model);
    let begun = Begun { life: 1, run, key, try_no, attempt: 1, epoch: 1, idempotency_key };
    Execution { tick, at: UnixMillis(tick), begun, ended: true }
}

impl Scene {
    pub(super) fn good() -> Self {
        let (mut evidence, mut pages) = (Evidence::default(), Pages::default());
        evidence.runs = [(PARENT(), parent_log()), (CHILD(), child_log())].into();
        let said_it = talk().order(&pay()).unwrap().said().unwrap();
        let of_parent = vec![
            (Author::Caller, json(&talk())),
            (Author::Model, reply(&talk(), 1)),
            (Author::Tool, result(0, &said_it)),
            (Author::Tool, result(1, "the helper's word")),
            (Author::Tool, result(2, &answer_to(&asked()))),
            (Author::Model, reply(&talk(), 2)),
            (Author::Agent, text("the last word")),
        ];
        let of_child = vec![
            (Author::Caller, json(&child_talk())),
            (Author::Model, reply(&child_talk(), 1)),
            (Author::Agent, text("the helper's word")),
        ];
        let place = |nth| (agent(nth), SessionName::default());
        evidence.sessions.insert(place(0), conversation(PARENT(), of_parent));
        evidence.sessions.insert(place(1), conversation(CHILD(), of_child));
        evidence.names.insert(thinker_name(0), agent(0));
        evidence.tool_calls = [(agent(0), 1)].into();
        evidence.model_calls = [(agent(0), 2), (agent(1), 1)].into();
        let mailbox = Mailbox { written: 2, left: 0, done: 2 };
        let taken_from = [(PARTITION.to_string(), 2)].into();
        evidence
            .boxes
            .insert(PARTITION, Boxes { inbox: mailbox, outbox: mailbox, announced: mailbox, taken_from });
        let (input, session) = (Input::Talk(talk()), SessionName::default());
        let (policy, agent) = (SessionPolicy::Enqueue, thinker_name(0));
        pages.asked = vec![Asked { input, agent, session, policy, key: None, times: 1, run: Some(PARENT()) }];
        pages.accepted.insert(PARENT(), 0);
        let replied = |step, word| Replied { run: PARENT(), step, word, recorded: true };
        pages.replies = vec![replied(pay(), Word::Yes), replied(asked(), Word::Answer)];
        let executions = vec![
            execution(PARENT(), Talk::model_step(1), 1),
            execution(PARENT(), pay(), 2),
            execution(CHILD(), Talk::model_step(1), 3),
            execution(PARENT(), Talk::model_step(2), 4),
        ];
        Self { evidence, pages, executions }
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        check(&told_all(&self.evidence), &self.pages, &self.executions).0
    }

    fn log(&mut self, of: Which) -> &mut Vec<Entry> {
        self.evidence.runs.get_mut(&of()).unwrap()
    }

    pub(super) fn entry(&mut self, of: Which, number: usize) -> &mut Entry {
        &mut self.log(of)[number - 1]
    }

    pub(super) fn settled(&mut self, of: Which, number: usize) -> &mut StepSettled {
        match &mut self.entry(of, number).kind {
            EntryKind::StepSettled(settled) => settled,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ended(&mut self, of: Which) -> &mut Ended {
        match &mut self.log(of).last_mut().unwrap().kind {
            EntryKind::Ended(ended) => ended,
            other => panic!("{other:?}"),
        }
    }

    /// Lets go what is after this entry.
    pub(super) fn cut(&mut self, of: Which, number: usize) {
        self.log(of).truncate(number);
    }

    /// Puts an entry before the one that has this number.
    pub(super) fn insert(&mut self, of: Which, number: usize, kind: EntryKind) {
        let log = self.log(of);
        let entry = Entry { kind, ..log[number - 2].clone() };
        log.insert(number - 1, entry);
        log.iter_mut().zip(1..).for_each(|(entry, number)| entry.seq = Seq(number));
    }

    pub(super) fn end(&mut self, of: Which, number: usize, outcome: Outcome) {
        let ended = Ended { outcome, usage: ASKED, price: Price::default() };
        self.insert(of, number, EntryKind::Ended(ended));
    }

    pub(super) fn conversation(&mut self, of: Which) -> &mut Conversation {
        let nth = u128::from(of() == CHILD());
        self.evidence.sessions.get_mut(&(agent(nth), SessionName::default())).unwrap()
    }

    pub(super) fn messages(&mut self, of: Which) -> &mut Vec<Message> {
        &mut self.conversation(of).messages
    }

    pub(super) fn execution(&self, of: Which, key: &StepKey) -> Execution {
        let same = |execution: &&Execution| execution.begun.run == of() && execution.begun.key == *key;
        self.executions.iter().find(same).unwrap().clone()
    }

    /// The first run is rolled back for another one of its session, which never began.
    pub(super) fn rolled_back_by_the_next(&mut self) {
        self.ended(PARENT).outcome = Outcome::RolledBack;
        let next = Talk { talk: "1".to_owned(), ..child_talk() };
        let EntryKind::Accepted(mut accepted) = accepted(0, &next, None) else { panic!("it begins") };
        accepted.policy = SessionPolicy::Rollback;
        let receipt = runtime_traits::log::Receipt {
            stopped: runtime_traits::log::Stopped::Complete,
            unknown: Vec::new(),
        };
        let ended = Ended { outcome: Outcome::Cancelled(receipt), usage: NOTHING, price: Price::default() };
        let mut log = numbered(vec![EntryKind::Accepted(accepted), EntryKind::Ended(ended)]);
        log[1].attempt = 0;
        self.evidence.runs.insert(run(2), log);
        let (input, session) = (Input::Talk(next), SessionName::default());
        let (policy, agent) = (SessionPolicy::Rollback, thinker_name(0));
        self.pages.asked.push(Asked { input, agent, session, policy, key: None, times: 1, run: None });
        self.pages.cancels.push(crate::chaos::book::Cancel { run: run(2), answer: None });
        // What it said stays, and is nobody's predecessor: the last message came with its end.
        self.messages(PARENT).pop();
        self.conversation(PARENT).head = None;
    }
}
