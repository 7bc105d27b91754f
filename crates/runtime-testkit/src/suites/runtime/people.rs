//! Many hands on one agent: answers, consent, runs that take the place of others, copies.

use runtime_traits::log::{Author, Outcome, Phase, WaitOn};
use runtime_traits::runtime::{ForkRequest, Reply, RunRequest, Said, SessionPolicy};
use runtime_traits::{AgentRef, Digest, RunId, RunView, RuntimeError, StepKey};

use crate::suites::runtime::RuntimeFixture;
use crate::suites::runtime::scene::{Scene, session};

/// `answered-once`: an answer or a consent ends its wait, once; whoever comes later is told `NothingToAnswer`.
pub async fn answered_once(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("ask").await;
    let run = scene.submit(&agent, "which size?").await;
    let (step, _) = waiting(&scene, &run).await;

    let consent = Reply::Approve { digest: Digest::of(b"which size?") };
    let refused = scene.runtime.answer(&run, &step, consent).await;
    assert_eq!(refused, Err(RuntimeError::NothingToAnswer { run, step: step.clone() }), "it asks no consent");
    let elsewhere: StepKey = "elsewhere".parse().expect("a key");
    let refused = scene.runtime.answer(&run, &elsewhere, Reply::Answer("L".into())).await;
    assert_eq!(refused, Err(RuntimeError::NothingToAnswer { run, step: elsewhere }));

    scene.runtime.answer(&run, &step, Reply::Answer("L".into())).await.expect("it waits for that");
    assert_eq!(scene.output(&run).await, "L");
    let late = scene.runtime.answer(&run, &step, Reply::Answer("XL".into())).await;
    assert!(
        matches!(late, Err(RuntimeError::NothingToAnswer { .. } | RuntimeError::RunOver { .. })),
        "it was answered: {late:?}"
    );

    // Who asks and is not answered before a crash asks still.
    let run = scene.submit(&agent, "which colour?").await;
    waiting(&scene, &run).await;
    if let Some(scene) = scene.crash(fixture).await {
        waiting(&scene, &run).await;
        scene.runtime.answer(&run, &step, Reply::Answer("red".into())).await.expect("it waits for that");
        assert_eq!(scene.output(&run).await, "red");
    }
}

/// `consent-is-for-one-call`: a consent with another hash than the waiting call's is `OtherCall`, and starts nothing.
pub async fn consent_is_for_one_call(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("consent").await;
    let run = scene.submit(&agent, "delete").await;
    let (step, digest) = waiting(&scene, &run).await;

    let other = Reply::Approve { digest: Digest::of(b"something else") };
    let refused = scene.runtime.answer(&run, &step, other).await;
    assert_eq!(refused, Err(RuntimeError::OtherCall { run, step: step.clone() }));
    scene.come_round().await;
    assert_eq!(scene.gates.times("delete"), 0, "nobody consented to this");
    let answer = scene.runtime.answer(&run, &step, Reply::Answer("yes".into())).await;
    assert!(answer.is_err(), "an answer is no consent");

    scene.runtime.answer(&run, &step, Reply::Approve { digest }).await.expect("it waits for that");
    assert_eq!(scene.output(&run).await, "delete");
    assert_eq!(scene.gates.times("delete"), 1);

    let run = scene.submit(&agent, "again").await;
    let (step, _) = waiting(&scene, &run).await;
    let reason = "not today".to_owned();
    scene.runtime.answer(&run, &step, Reply::Deny { reason }).await.expect("it waits for that");
    let said = scene.output(&run).await;
    assert!(said.contains("not today"), "{said}");
    assert_eq!(scene.gates.times("again"), 0);
}

/// `interrupt-keeps`: with the policy `Interrupt` the run at work is cancelled, and the conversation holds what it said.
pub async fn interrupt_keeps(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("talk").await;
    let (first, second) = displaced(&scene, &agent, SessionPolicy::Interrupt).await;

    let outcome = scene.ended(&first).await.outcome;
    assert!(matches!(outcome, Outcome::Cancelled(_)), "{outcome:?}");
    let said = said(&scene, &agent).await;
    let of_first: Vec<Author> =
        said.iter().filter(|said| said.run == first).map(|said| said.author).collect();
    assert_eq!(of_first, [Author::Caller, Author::Model]);
    let of_second: Vec<Author> =
        said.iter().filter(|said| said.run == second).map(|said| said.author).collect();
    assert_eq!(of_second, [Author::Caller, Author::Model, Author::Tool, Author::Agent]);
}

/// `rollback-forgets`: with the policy `Rollback` it ends as `RolledBack`, and the conversation holds nothing of it.
pub async fn rollback_forgets(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("talk").await;
    let (first, second) = displaced(&scene, &agent, SessionPolicy::Rollback).await;

    assert_eq!(scene.ended(&first).await.outcome, Outcome::RolledBack);
    let said = said(&scene, &agent).await;
    assert!(said.iter().all(|said| said.run == second), "{said:?}");
    assert_eq!(said.len(), 4);
}

/// `answer-is-given`: with the policy `Answer` the input is the answer that the run at work waits for.
pub async fn answer_is_given(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("ask").await;
    let answer = |text: &str| RunRequest::new(text).when_busy(SessionPolicy::Answer);
    let run = scene.submit(&agent, "which size?").await;
    waiting(&scene, &run).await;

    assert_eq!(scene.submit(&agent, answer("XL")).await, run, "it is no run of its own");
    assert_eq!(scene.output(&run).await, "XL");
    assert_eq!(scene.runs().await, 1);

    // Nobody waits: it is a run like any other.
    let second = scene.submit(&agent, answer("which colour?")).await;
    assert_ne!(second, run);
    let (step, _) = waiting(&scene, &second).await;
    scene.runtime.answer(&second, &step, Reply::Answer("red".into())).await.expect("it waits for that");
    assert_eq!(scene.output(&second).await, "red");
}

/// `fork-leaves-the-original`: a fork is a new run in a new session; the original goes on as it was.
pub async fn fork_leaves_the_original(fixture: &dyn RuntimeFixture) {
    let scene = Scene::of(fixture).await;
    let agent = scene.started("gate").await;
    scene.gates.open("before");
    assert_eq!(scene.run(&agent, "before").await, "before");
    let run = scene.submit(&agent, "first second").await;
    scene.gates.open("first");
    scene.gates.arrived("second").await;

    let fork = scene.runtime.fork(&run, ForkRequest::default()).await.expect("it can be forked");
    assert_ne!(fork, run);
    let view = scene.view(&fork).await;
    assert_ne!(view.session, scene.view(&run).await.session, "its session is its own");
    scene.gates.arrived_times("second", 2).await;
    assert_eq!(scene.gates.times("first"), 1, "what was settled stays done");
    assert_ne!(scene.phase(&run).await, Phase::Ended, "the original goes on");
    scene.gates.open("second");
    assert_eq!(scene.output(&run).await, "first second");
    assert_eq!(scene.output(&fork).await, "first second");

    scene.gates.open("third");
    let request = ForkRequest { input: Some("third".into()), session: Some(session("edited")), upto: None };
    let edited = scene.runtime.fork(&run, request.clone()).await.expect("it can be forked");
    assert_eq!(scene.output(&edited).await, "third");
    let texts = |said: Vec<Said>| said.into_iter().map(|said| said.content.to_string()).collect::<Vec<_>>();
    let page = scene.runtime.messages(&agent, &session("edited"), None, 10).await.expect("it is there");
    assert_eq!(
        texts(page.items),
        ["before", "before", "third", "third"],
        "what was said before the original"
    );
    let refused = scene.runtime.fork(&run, request).await;
    assert!(matches!(refused, Err(RuntimeError::CannotFork { .. })), "the session is in use: {refused:?}");
}

/// The step for which a run waits for somebody, and the hash of what it asks.
async fn waiting(scene: &Scene, run: &RunId) -> (StepKey, Digest) {
    let asks = |view: &RunView| {
        let people = |on: &WaitOn| matches!(on, WaitOn::Approval(_) | WaitOn::Answer(_));
        view.waits.iter().find(|wait| people(&wait.on)).cloned()
    };
    let view = scene.until(run, |view| asks(view).is_some()).await;
    let wait = asks(&view).expect("it was seen");
    let shown = wait.asks.expect("what is asked is shown");
    assert_eq!(shown.digest(), wait.digest, "it is what the hash is of: {shown}");
    (wait.on.step().expect("a step asks").clone(), wait.digest)
}

/// Two runs of one session: the second takes the place of the first, which has said something.
async fn displaced(scene: &Scene, agent: &AgentRef, policy: SessionPolicy) -> (RunId, RunId) {
    let first = scene.submit(agent, "held").await;
    scene.gates.arrived("held").await;
    scene.gates.open("free");
    let second = scene.submit(agent, RunRequest::new("free").when_busy(policy)).await;
    assert_eq!(scene.output(&second).await, "past free");
    (first, second)
}

async fn said(scene: &Scene, agent: &AgentRef) -> Vec<Said> {
    let page = scene.runtime.messages(agent, &session("default"), None, 100).await;
    page.expect("the session is there").items
}
