//! Which cells ride with which entries.

use runtime_codec::{
    Due, EndedRun, IdemRecord, OpenRun, Record, StateRecord, decode, decode_entry, encode_entry,
};
use runtime_core::engine::batches::{
    Conversation, End, KEY_KEPT, Place, Writes, closed_timers, fitting, open_timers,
};
use runtime_core::engine::keys;
use runtime_traits::content::Payload;
use runtime_traits::log::{
    Accepted, Author, Ended, Entry, EntryKind, FailureKind, Head, Message, Outcome, Price, RunFailure, Usage,
    Verdict, WaitId,
};
use runtime_traits::name::IdempotencyKey;
use runtime_traits::store::{Key, Seq, Then, When};
use runtime_traits::{SessionName, Tenant};

use super::{at, decided, decision, diverged, log, start, text, time, waited, waits};
use crate::engine::attempt::{agent, run};
use crate::engine::scene::USED;

fn place() -> Place {
    Place { tenant: Tenant::default(), agent: agent(), session: SessionName::default(), run: run() }
}

fn accepted(key: Option<&str>) -> Accepted {
    let idempotency_key = key.map(|key| IdempotencyKey::new(key).expect("a good key"));
    Accepted { idempotency_key, ..crate::engine::life::accepted(None) }
}

fn ended(outcome: Outcome, usage: Usage) -> Ended {
    Ended { outcome, usage, price: Price::default() }
}

/// The record that the batch puts there.
fn put<R: Record>(writes: &Writes, key: &Key) -> Option<R> {
    let found = writes.then.iter().find_map(|then| match then {
        Then::Put(of, value) if of == key => Some(value),
        _ => None,
    })?;
    Some(decode(found).expect("it is written by this codec"))
}

fn deletes(writes: &Writes, key: &Key) -> bool {
    writes.then.contains(&Then::Delete(key.clone()))
}

fn messages(writes: &Writes) -> Vec<Message> {
    let log = keys::messages(&Tenant::default(), &agent(), &SessionName::default());
    let appended = writes.then.iter().find_map(|then| match then {
        Then::Append(of, entries) if *of == log => Some(entries),
        _ => None,
    });
    let appended = appended.map(Vec::as_slice).unwrap_or_default();
    appended.iter().map(|bytes| decode(bytes).expect("it is written by this codec")).collect()
}

#[test]
fn the_first_batch_opens_the_run_and_takes_its_key() {
    let accepted = accepted(Some("k-1"));
    let entries = [log(None, vec![start()])[0].clone()];
    let writes = Writes::accept(&place(), &accepted, &entries);

    let idem = keys::idem(
        &Tenant::default(),
        &agent(),
        &SessionName::default(),
        accepted.idempotency_key.as_ref().expect("it has one"),
    );
    let first = When::Next(keys::run_log(&run()), Seq(1));
    assert_eq!(writes.when, [first, When::Absent(idem.clone())]);
    let open = OpenRun { tenant: Tenant::default(), agent: agent(), session: SessionName::default() };
    assert_eq!(put(&writes, &keys::open(&run())), Some(open));
    let record = IdemRecord { run: run(), digest: accepted.digest };
    assert_eq!(put(&writes, &idem), Some(record));
    assert_eq!(writes.then.len(), 3);

    assert_eq!(Writes::accept(&place(), &self::accepted(None), &entries).then.len(), 2);
}

#[test]
fn entries_are_appended_on_the_condition_that_nobody_else_did() {
    let log = log(None, vec![start(), decided("a", Verdict::Fail)]);
    let writes = Writes::append(&place(), &log[1..]);

    assert_eq!(writes.when, [When::Next(keys::run_log(&run()), Seq(2))]);
    let bytes = log[1..].iter().map(encode_entry).collect();
    assert_eq!(writes.then, [Then::Append(keys::run_log(&run()), bytes)]);

    let none = Writes::append(&place(), &[]);
    assert!(none.when.is_empty() && none.then.is_empty());
}

#[test]
fn a_timer_has_a_cell_from_its_begin_to_its_end() {
    let log = log(
        None,
        vec![
            start(),
            waits(3, time("a"), Some(50)),
            waits(4, decision("b"), None),
            waits(5, time("c"), Some(60)),
        ],
    );
    let writes = Writes::append(&place(), &log);
    let cells: Vec<_> = writes.then[1..].to_vec();
    let cell = |millis: u64, wait: u64| {
        keys::due(run().partition(), at(millis), &format!("wake/{}/{wait}", run().unique().simple()))
    };
    assert_eq!(cells.len(), 2, "a decision has no moment");
    assert_eq!(put(&writes, &cell(50, 3)), Some(Due::Wake { run: run() }));
    assert_eq!(put(&writes, &cell(60, 5)), Some(Due::Wake { run: run() }));

    let mut closed = log.clone();
    for (number, wait) in (6..).zip([3, 4, 99]) {
        closed.push(Entry { seq: Seq(number), kind: waited(wait), ..log[0].clone() });
    }
    let ends: Vec<_> = closed_timers(&closed, &closed[5..]).collect();
    assert_eq!(ends, [(WaitId(3), at(50))]);
    let mut writes = Writes::default();
    writes.undue(&run(), ends);
    assert!(deletes(&writes, &cell(50, 3)));
    assert_eq!(open_timers(&closed), [(WaitId(5), at(60))]);
}

#[test]
fn the_last_batch_closes_the_run_and_keeps_the_conversation() {
    let head = Head { last: Seq(8), messages: 6, run: run(), at: at(1) };
    let before = Conversation { head: Some(head), next: Seq(11) };
    let mut writes = Writes::default();
    let completed = ended(Outcome::Completed(text("42")), USED);

    let begin = accepted(Some("k-1"));
    let end = End {
        log: &[],
        accepted: &begin,
        ended: &completed,
        at: at(90),
        state: Some(text("{}")),
        before: None,
        keep: None,
    };
    let after = writes.end(&place(), end, Some(before));

    let tenant = Tenant::default();
    let session = SessionName::default();
    let said = |author, content: Payload, after| Message { author, content, run: run(), at: at(90), after };
    assert_eq!(
        messages(&writes),
        [said(Author::Caller, text("input"), Some(Seq(8))), said(Author::Agent, text("42"), Some(Seq(11))),],
        "the first follows the head, not what was rolled back after it"
    );
    let head = Head { last: Seq(12), messages: 8, run: run(), at: at(90) };
    assert_eq!(put(&writes, &keys::head(&tenant, &agent(), &session)), Some(head));
    assert_eq!(after, Some(Conversation { head: Some(head), next: Seq(13) }));
    let log = keys::messages(&tenant, &agent(), &session);
    assert_eq!(writes.when, [When::Next(log, Seq(11))]);
    let state = StateRecord { value: text("{}") };
    assert_eq!(put(&writes, &keys::state(&tenant, &agent(), &session)), Some(state));
    let over = EndedRun { session: session.clone(), at: at(90) };
    assert_eq!(put(&writes, &keys::ended(&tenant, &agent(), &run())), Some(over));
    assert!(deletes(&writes, &keys::open(&run())));
    let key = IdempotencyKey::new("k-1").expect("a good key");
    let cell = keys::idem(&tenant, &agent(), &session, &key).path.as_bytes().to_vec();
    let forget = format!("key/{}", run().unique().simple());
    let due = keys::due(run().partition(), at(90).after(KEY_KEPT), &forget);
    assert_eq!(put(&writes, &due), Some(Due::ForgetKey { cell }));
    for (what, sum) in [("input-tokens", 3), ("output-tokens", 2), ("model-calls", 1), ("tool-calls", 1)] {
        let add = Then::Add(keys::usage(&tenant, &agent(), what), sum);
        assert!(writes.then.contains(&add), "{what}");
    }
}

#[test]
fn what_a_run_leaves_depends_on_how_it_ended() {
    let empty = Conversation { head: None, next: Seq(1) };
    let failure = RunFailure { kind: FailureKind::Agent, message: "no".to_owned() };
    let keeps = |outcome, conversation| {
        let mut writes = Writes::default();
        let ended = ended(outcome, Usage::default());
        let begin = accepted(None);
        let end = End {
            log: &[],
            accepted: &begin,
            ended: &ended,
            at: at(9),
            state: Some(text("{}")),
            before: None,
            keep: None,
        };
        let after = writes.end(&place(), end, conversation);
        let state = keys::state(&Tenant::default(), &agent(), &SessionName::default());
        let has_state = put::<StateRecord>(&writes, &state).is_some();
        assert!(deletes(&writes, &keys::open(&run())), "it is over in any case");
        (messages(&writes).len(), has_state, after.map(|after| after.next))
    };

    assert_eq!(keeps(Outcome::Completed(text("42")), Some(empty)), (2, true, Some(Seq(3))));
    assert_eq!(keeps(Outcome::Failed(failure), Some(empty)), (1, true, Some(Seq(2))));
    assert_eq!(keeps(Outcome::RolledBack, Some(empty)), (0, false, Some(Seq(1))));
    assert_eq!(keeps(Outcome::Completed(text("42")), None), (0, false, None), "it never began");
}

#[test]
fn a_batch_is_never_cut_between_two_entries_that_belong_together() {
    let timers = |count: u64| (0..count).map(|at| waits(at + 2, time("a"), Some(9))).collect::<Vec<_>>();
    let most = fitting(&log(None, timers(300)), |_| 0);
    assert!((40..=100).contains(&most), "{most}");
    for last in [decided("a", Verdict::Fail), waits(9, diverged(), None)] {
        let mut kinds = timers(most as u64 - 2);
        kinds.extend([last, waited(9), waited(9)]);
        assert_eq!(fitting(&log(None, kinds), |_| 0), most + 1);
    }
    assert_eq!(fitting(&log(None, timers(3)), |_| 0), 4);
}

#[test]
fn a_batch_of_large_entries_has_fewer_of_them() {
    let large = EntryKind::StateSet(runtime_traits::log::StateSet {
        cell: String::new(),
        value: text(&"x".repeat(Payload::INLINE_LIMIT)),
    });
    let log = log(None, vec![large; 200]);
    let fits = fitting(&log, |_| 0);
    let bytes: usize = log[..fits].iter().map(|entry| encode_entry(entry).len()).sum();
    assert!(fits > 30 && bytes <= 640 * 1024, "{fits} entries, {bytes} bytes");
    let read = decode_entry(Seq(1), &encode_entry(&log[0]));
    assert_eq!(read.as_ref(), Ok(&log[0]));
}
