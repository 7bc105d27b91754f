//! Each law about agents with models, broken once in a small case that is otherwise good.

mod scene;

use std::time::Duration;

use runtime_traits::Digest;
use runtime_traits::bus::Event;
use runtime_traits::content::{Content, Payload};
use runtime_traits::log::{
    Author, CancelRequested, DecidedBy, EntryKind, Message, Outcome, Receipt, StepDispatched, StepUnknown,
    Stopped, UnknownCause, Usage, WaitOn,
};
use runtime_traits::store::Seq;

use crate::chaos::book::{Replied, Word};
use crate::chaos::check::events::told;
use crate::chaos::talk::{Talk, call_step};
use crate::chaos::violation::Law;
use scene::{ANSWER, CHILD, PARENT, PARTITION, Scene, json, pay};

/// A way to break a law.
type Flaw = fn(&mut Scene);

#[test]
fn a_good_case_breaks_no_law() {
    assert_eq!(Scene::good().violations(), []);
}

#[test]
fn every_law_about_what_is_executed_is_named_when_it_is_broken() {
    hold(&[
        (Law::Repeated, "a settled call of a model in a later attempt", |scene| {
            let mut again = scene.execution(PARENT, &Talk::model_step(1));
            (again.begun.attempt, again.begun.life) = (2, 2);
            scene.executions.push(again);
        }),
        (Law::Repeated, "a settled call of a tool in a later life", |scene| {
            let mut again = scene.execution(PARENT, &pay());
            (again.begun.attempt, again.begun.life) = (2, 2);
            scene.executions.push(again);
        }),
        (Law::Dispatch, "a model is asked twice in one dispatch", |scene| {
            let again = scene.execution(PARENT, &Talk::model_step(1));
            scene.executions.push(again);
        }),
        (Law::Dispatch, "a model is asked without a dispatch", |scene| {
            scene.entry(PARENT, 3).attempt = 0;
        }),
        (Law::Dispatch, "a tool's result that nobody gave", |scene| {
            scene.executions.retain(|execution| execution.begun.key != pay());
        }),
        (Law::Dispatch, "a model's reply that nobody gave", |scene| {
            scene.executions.retain(|execution| execution.begun.key != Talk::model_step(2));
        }),
        (Law::Twice, "a tool that may be called once is called twice", |scene| {
            let again = scene.execution(PARENT, &pay());
            scene.executions.push(again);
        }),
        (Law::Key, "another key towards the outside", |scene| {
            let of = scene.executions.iter_mut().find(|execution| execution.begun.key == pay());
            of.unwrap().begun.idempotency_key = "0".repeat(32);
        }),
        (Law::Usage, "a model's call was paid twice", |scene| {
            scene.settled(PARENT, 4).usage.model_calls = 2;
        }),
        (Law::Usage, "an agent paid for a call that another one made", |scene| {
            scene.evidence.model_calls.values_mut().for_each(|calls| *calls += 1);
        }),
        (Law::Output, "another last word", |scene| {
            scene.ended(PARENT).outcome = Outcome::Completed(json(&"something else"));
        }),
        (Law::Output, "a tool's result that its talk does not say", |scene| {
            scene.messages(PARENT)[2].content = json(&"something else");
        }),
        (Law::Output, "a failure that its talk does not say", |scene| {
            let failure = runtime_traits::log::RunFailure {
                kind: runtime_traits::log::FailureKind::Agent,
                message: "no".to_owned(),
            };
            scene.ended(PARENT).outcome = Outcome::Failed(failure);
        }),
        (Law::Cancelled, "nobody wanted it rolled back", |scene| {
            scene.ended(PARENT).outcome = Outcome::RolledBack;
        }),
        (Law::Invented, "a step that its talk does not have", |scene| {
            scene.settled(PARENT, 16).key = call_step(7, 7, "said");
        }),
    ]);
}

#[test]
fn every_law_about_consents_is_named_when_it_is_broken() {
    hold(&[
        (Law::Consent, "a consent that was answered is not recorded", |scene| {
            let step = Talk::model_step(1);
            scene.pages.replies.push(Replied { run: PARENT(), step, word: Word::Yes, recorded: true });
        }),
        (Law::Consent, "nobody gave the consent", |scene| scene.pages.replies.clear()),
        (Law::Consent, "a consent is recorded twice", |scene| {
            let again = scene.entry(PARENT, 11).clone();
            scene.insert(PARENT, 12, again.kind);
        }),
        (Law::Consent, "dispatched before the consent", |scene| {
            let dispatched = EntryKind::StepDispatched(StepDispatched::of(pay(), 1));
            scene.insert(PARENT, 11, dispatched);
        }),
        (Law::Log, "dispatched twice with one consent", |scene| {
            let again = EntryKind::StepDispatched(StepDispatched::of(pay(), 2));
            scene.insert(PARENT, 13, again);
        }),
        (Law::Consent, "given up before it began", |scene| {
            scene.executions.retain(|execution| execution.begun.key != pay());
            let (key, usage) = (pay(), Usage::default());
            let unknown = StepUnknown { key, try_no: 1, cause: UnknownCause::Crash, usage, price: None };
            scene.insert(PARENT, 13, EntryKind::StepUnknown(unknown));
        }),
        (Law::Consent, "begun without a question", |scene| {
            let EntryKind::StepOpened(opened) = &mut scene.entry(PARENT, 5).kind else { panic!("it opens") };
            opened.dispatched = true;
        }),
        (Law::Consent, "consent to another call", |scene| {
            let EntryKind::WaitOpened(opened) = &mut scene.entry(PARENT, 6).kind else { panic!("it waits") };
            opened.digest = Digest::of(b"another call");
        }),
        (Law::Consent, "done although it was refused", |scene| {
            let EntryKind::WaitClosed(closed) = &mut scene.entry(PARENT, 11).kind else { panic!("it ends") };
            closed.answer = Payload::Inline(Content::text("denied"));
            scene.pages.replies[0].word = Word::No;
        }),
        (Law::Consent, "another answer than the one that was given", |scene| {
            scene.settled(PARENT, 18).result = Ok(json(&Content::text("another answer")));
        }),
        (Law::Consent, "an answer that is not recorded", |scene| {
            scene.pages.replies.iter_mut().for_each(|reply| reply.word = Word::Yes);
            let EntryKind::WaitClosed(closed) = &mut scene.entry(PARENT, ANSWER).kind else {
                panic!("it ends")
            };
            closed.answer = Payload::Inline(Content::text("dropped"));
        }),
    ]);
}

#[test]
fn every_law_about_called_runs_is_named_when_it_is_broken() {
    hold(&[
        (Law::Called, "two runs of one call", |scene| {
            let twin = scene.evidence.runs[&CHILD()].clone();
            scene.evidence.runs.insert(scene::run(9), twin);
        }),
        (Law::Called, "a run that no step called", |scene| {
            let EntryKind::WaitOpened(opened) = &mut scene.entry(PARENT, 8).kind else { panic!("it waits") };
            opened.on = WaitOn::Answer(call_step(1, 1, "ask_helper"));
        }),
        (Law::Called, "a run that is gone", |scene| {
            scene.evidence.runs.remove(&CHILD());
        }),
        (Law::Called, "a call that came to something else than its run", |scene| {
            scene.settled(PARENT, 15).result = Ok(json(&Content::text("something else")));
        }),
        (Law::Called, "another input than the model's", |scene| {
            let EntryKind::Accepted(accepted) = &mut scene.entry(CHILD, 1).kind else { panic!("it begins") };
            accepted.input = json(&crate::chaos::talk::draw(5, 5));
        }),
        (Law::Called, "a run that goes on although nobody wants it", |scene| {
            scene.cut(PARENT, 10);
            scene.insert(
                PARENT,
                11,
                EntryKind::CancelRequested(CancelRequested {
                    by: DecidedBy::Principal("caller".to_owned()),
                    reason: String::new(),
                    within_millis: 0,
                }),
            );
            let receipt = Receipt { stopped: Stopped::Complete, unknown: Vec::new() };
            scene.end(PARENT, 12, Outcome::Cancelled(receipt));
            let end = scene.entry(CHILD, 5);
            end.at = end.at.after(Duration::from_secs(60));
        }),
        (Law::Usage, "a called run is not billed", |scene| {
            scene.settled(PARENT, 15).usage.model_calls = 0;
        }),
        (Law::Stuck, "a called run without an end", |scene| {
            scene.cut(CHILD, 4);
        }),
        (Law::Mail, "mail is left in an outbox", |scene| {
            scene.evidence.boxes.get_mut(&PARTITION).unwrap().outbox.left = 1;
        }),
        (Law::Mail, "mail was let go before it was taken", |scene| {
            scene.evidence.boxes.get_mut(&PARTITION).unwrap().inbox.done = 1;
        }),
        (Law::Mail, "mail was taken that nobody sent", |scene| {
            let boxes = scene.evidence.boxes.get_mut(&PARTITION).unwrap();
            boxes.taken_from.insert(PARTITION.to_string(), 3);
        }),
    ]);
}

#[test]
fn every_law_about_what_was_said_is_named_when_it_is_broken() {
    hold(&[
        (Law::Said, "a settled result is not there", |scene| {
            scene.messages(PARENT).pop();
            scene.messages(PARENT).pop();
        }),
        (Law::Said, "a message is there twice", |scene| {
            let last = scene.messages(PARENT)[6].clone();
            scene.messages(PARENT).push(Message { after: Some(Seq(7)), ..last });
            let head = scene.conversation(PARENT).head.as_mut().unwrap();
            (head.last, head.messages) = (Seq(8), 8);
        }),
        (Law::Said, "a message that nobody settled", |scene| {
            scene.settled(PARENT, 13).messages = None;
        }),
        (Law::Said, "two settlements name one message", |scene| {
            scene.settled(PARENT, 16).messages = Some((Seq(3), Seq(4)));
        }),
        (Law::Said, "somebody else says it", |scene| scene.messages(PARENT)[1].author = Author::Tool),
        (Law::Said, "the head is somewhere else", |scene| {
            scene.conversation(PARENT).head.as_mut().unwrap().messages = 6;
        }),
        (Law::Said, "a message comes after itself", |scene| {
            scene.messages(PARENT)[3].after = Some(Seq(4));
        }),
        (Law::Said, "a rolled-back run is in the conversation", |scene| {
            scene.ended(PARENT).outcome = Outcome::RolledBack;
        }),
        (Law::Said, "a call has no result", |scene| {
            let result = runtime_traits::model::ToolResult {
                call: "call_9_9".to_owned(),
                ..runtime_traits::model::ToolResult::default()
            };
            scene.messages(PARENT)[3].content = json(&result);
        }),
        (Law::Said, "the conversation begins in its midst", |scene| {
            scene.messages(PARENT)[1].after = None;
        }),
        (Law::Said, "a message's content is gone", |scene| {
            let hash = Digest::of(b"gone");
            scene.messages(PARENT)[3].content =
                Payload::Blob { hash, len: 4, media: runtime_traits::Media::Json };
        }),
    ]);
}

#[test]
fn what_is_told_of_runs_is_compared_with_their_logs() {
    fn topic(scene: &mut Scene) -> &mut Vec<Event> {
        scene.evidence.topics = told(&scene.evidence);
        scene.evidence.topics.get_mut("agents/thinker-0/step.settled").unwrap()
    }
    hold(&[
        (Law::Events, "an event is not told", |scene| {
            topic(scene).pop();
        }),
        (Law::Events, "an event is told twice", |scene| {
            let events = topic(scene);
            events.push(events.last().unwrap().clone());
        }),
        (Law::Events, "events are told in another order", |scene| topic(scene).swap(0, 1)),
        (Law::Events, "another run is told of", |scene| topic(scene)[0].run = Some(scene::run(9))),
        (Law::Events, "a topic tells of what did not happen", |scene| {
            let event = topic(scene)[0].clone();
            scene.evidence.topics.insert("agents/thinker-0/run.failed".to_owned(), vec![event]);
        }),
        (Law::Events, "a batch is not delivered", |scene| {
            scene.evidence.boxes.get_mut(&PARTITION).unwrap().announced.left = 1;
        }),
    ]);
}

fn hold(flaws: &[(Law, &str, Flaw)]) {
    for (law, what, flaw) in flaws {
        let mut scene = Scene::good();
        flaw(&mut scene);
        let broken: Vec<Law> = scene.violations().into_iter().map(|violation| violation.law).collect();
        assert!(broken.contains(law), "{what}: {law} is not among {broken:?}");
    }
}

#[test]
fn a_wish_of_the_next_run_may_roll_one_back() {
    let mut scene = Scene::good();
    scene.rolled_back_by_the_next();
    assert_eq!(scene.violations(), []);
}
