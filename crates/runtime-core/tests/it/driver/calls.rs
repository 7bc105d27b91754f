//! Agents that call agents, runs that go on in successors, effects whose other side is asked.

#![expect(clippy::unwrap_used, reason = "what helps tests fails like them")]

use std::sync::Arc;
use std::time::Duration;

use runtime_core::RuntimeManager;
use runtime_testkit::agents::{Gates, kinds};
use runtime_testkit::fakes::{Fault, FaultyStore, MapStore, ReadFault};
use runtime_traits::log::{Outcome, Phase, StepPhase, WaitOn};
use runtime_traits::runtime::{
    AgentRef, CancelReceipt, Finished, Joined, Reply, RunFilter, RunRequest, Runtime, SessionPolicy,
};
use runtime_traits::store::{Batch, StateStore, Then};
use runtime_traits::{AgentId, AgentSpec, RunId, SessionName, Usage};

use super::house::{House, output, submit, until_phase};

/// The one run of an agent.
async fn run_of(runtime: &RuntimeManager, agent: AgentId) -> RunId {
    loop {
        let filter = RunFilter { agent: Some(agent), ..RunFilter::default() };
        if let Some(view) = runtime.runs(filter).await.unwrap().items.first() {
            return view.run;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_gives_the_output_of_the_other_agent() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;

    let run = submit(&runtime, a, "call:b/once:x call:b/pure:y").await;

    assert_eq!(output(&runtime, run).await, "[x!] [y!]");
    assert_eq!(house.world.times("x"), 1);
    let children = runtime.runs(RunFilter { agent: Some(b), ..RunFilter::default() }).await.unwrap().items;
    assert_eq!(children.len(), 2);
    assert_ne!(children[0].session, children[1].session, "each has a conversation of its own");
}

#[tokio::test]
async fn a_call_that_comes_to_nothing_is_a_failure_that_the_caller_can_use() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;

    let failed = submit(&runtime, a, "call:b/fail:badly").await;
    assert_eq!(output(&runtime, failed).await, "<badly>");
    let nobody = submit(&runtime, a, "call:nobody/x").await;
    assert!(output(&runtime, nobody).await.contains("there is no agent `nobody`"));
    let nameless = submit(&runtime, a, "call:?!/x").await;
    assert!(output(&runtime, nameless).await.contains("is no"), "it names the rule");
    runtime.stop_agent(b).await.unwrap();
    let stopped = submit(&runtime, a, "call:b/x").await;
    assert!(output(&runtime, stopped).await.contains("start it first"));
}

#[tokio::test]
async fn a_run_that_calls_into_its_own_conversation_is_told_and_does_not_wait_for_itself() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;

    let run = submit(&runtime, a, "call-here:a/pure:x").await;

    assert!(output(&runtime, run).await.contains("is busy with"));
}

#[tokio::test]
async fn what_is_called_is_billed_to_the_caller_and_counted_once_for_each_agent() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;

    let run = submit(&runtime, a, "used:10 call:b/used:5").await;

    let Joined::Ended(finished) = runtime.join(&run, Duration::from_secs(20)).await.unwrap() else {
        unreachable!("it ends")
    };
    let all = Usage { input_tokens: 15, model_calls: 2, ..Usage::default() };
    assert_eq!(finished.usage, all);
}

#[tokio::test]
async fn whoever_is_called_ends_when_its_caller_is_cancelled() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;
    let run = submit(&runtime, a, "call:b/held:door").await;
    house.world.began("door").await;
    let child = run_of(&runtime, b).await;

    runtime.cancel(&run, "enough", Duration::from_secs(1)).await.unwrap();

    let joined = runtime.join(&child, Duration::from_secs(20)).await.unwrap();
    let Joined::Ended(finished) = joined else { unreachable!("{joined:?}") };
    assert!(matches!(finished.outcome, Outcome::Cancelled(_)), "{:?}", finished.outcome);
}

#[tokio::test]
async fn whoever_is_called_ends_when_its_call_is_dropped() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;

    let run = submit(&runtime, a, "call-briefly:b/held:door held:end").await;
    house.world.began("end").await;
    let child = run_of(&runtime, b).await;
    let joined = runtime.join(&child, Duration::from_secs(20)).await.unwrap();
    assert!(matches!(joined, Joined::Ended(_)), "{joined:?}");

    house.world.open("end");
    assert_eq!(output(&runtime, run).await, "too late end!");
}

#[tokio::test]
async fn a_call_survives_the_death_of_its_process() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;
    let run = submit(&runtime, a, "once:before call:b/again:first,held:door").await;
    house.world.began("door").await;
    until_phase(&runtime, run, Phase::Parked).await;
    let child = run_of(&runtime, b).await;

    // Whoever opens the store next owns it.
    let next = house.open().await;
    house.world.began("door").await;
    house.world.open("door");
    house.world.open("door");

    assert_eq!(output(&next, run).await, "before! [first! door!]");
    assert_eq!((house.world.times("before"), house.world.times("first")), (1, 1));
    assert!(matches!(next.join(&child, Duration::ZERO).await.unwrap(), Joined::Ended(_)));
    let runs = next.runs(RunFilter { agent: Some(b), ..RunFilter::default() }).await.unwrap().items;
    assert_eq!(runs.len(), 1, "it was called once");
}

#[tokio::test]
async fn large_contents_pass_between_agents() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;

    let run = submit(&runtime, a, "call:b/big:100000").await;

    assert_eq!(output(&runtime, run).await.len(), 100_002);
    let input = "y".repeat(20_000);
    let run = submit(&runtime, a, &format!("call:b/{input}")).await;
    assert_eq!(output(&runtime, run).await, format!("[{input}]"));
}

#[tokio::test]
async fn whoever_looks_at_a_caller_is_told_which_run_waits_for_consent() {
    let (house, gates) = (House::new(), Gates::new());
    let builder = kinds(&gates).into_iter().fold(house.builder(), |builder, kind| builder.kind(kind));
    let runtime = builder.open().await.unwrap();
    for kind in ["call", "consent"] {
        let agent = runtime.register_spec(AgentSpec::new(kind, kind).unwrap()).await.unwrap();
        runtime.start_agent(agent).await.unwrap();
    }
    let agent: AgentRef = "call".parse().unwrap();
    let run = runtime.submit(&agent, RunRequest::new("consent door")).await.unwrap().run;
    let note = async |run: &RunId| {
        let waits = runtime.run_status(run).await.unwrap().waits;
        let WaitOn::Child { run, .. } = waits.first()?.on else { unreachable!("{waits:?}") };
        Some((run, waits[0].note.clone()?))
    };
    let (called, told) = loop {
        match note(&run).await {
            Some(told) => break told,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(told, format!("`{called}`, which waits for consent to `act`"));

    let wait = runtime.run_status(&called).await.unwrap().waits.remove(0);
    runtime.answer(&called, wait.on.step().unwrap(), Reply::Approve { digest: wait.digest }).await.unwrap();
    assert_eq!(output(&runtime, run).await, "door");
}

#[tokio::test]
async fn a_run_goes_on_in_successors_and_its_caller_is_given_the_last_outcome() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;

    let result = runtime.run_agent(a, "relay:3").await.unwrap();

    assert_eq!(result.output.to_string(), "arrived");
    let runs = runtime.runs(RunFilter { agent: Some(a), ..RunFilter::default() }).await.unwrap().items;
    assert_eq!(runs.len(), 4);
    let continued = runs.iter().filter(|view| matches!(view.outcome, Some(Outcome::Continued(_)))).count();
    assert_eq!(continued, 3);
    assert!(runs.iter().all(|view| view.session == SessionName::default()));
    let run = submit(&runtime, a, "call:b/relay:2").await;
    assert_eq!(output(&runtime, run).await, "[arrived]", "whoever calls it waits for the last one");
}

#[tokio::test]
async fn a_successor_goes_before_runs_that_wait_for_their_turn() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;
    let first = submit(&runtime, a, "held:door relay:1").await;
    house.world.began("door").await;
    let queued = submit(&runtime, a, "pure:late").await;

    house.world.open("door");
    output(&runtime, queued).await;

    let view = runtime.run_status(&first).await.unwrap();
    let Some(Outcome::Continued(next)) = view.outcome else { unreachable!("{view:?}") };
    let (next, queued) =
        (runtime.run_status(&next).await.unwrap(), runtime.run_status(&queued).await.unwrap());
    assert_eq!(next.phase, Phase::Ended);
    assert!(next.last_at <= queued.last_at);
    let page = runtime.messages(&AgentRef::Id(a), &SessionName::default(), None, 10).await.unwrap();
    let said: Vec<_> = page.items.iter().map(|said| said.content.to_string()).collect();
    assert_eq!(said, ["held:door relay:1", "relay:0", "arrived", "pure:late", "late!"]);
}

#[tokio::test]
async fn a_successor_that_has_not_begun_keeps_its_place_over_a_restart() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;
    let first = submit(&runtime, a, "held:door go-on:held/next").await;
    house.world.began("door").await;
    let queued = submit(&runtime, a, "held:late").await;
    // What goes on begins at once, unless its agent takes no turn just now.
    runtime.stop_agent(a).await.unwrap();
    house.world.open("door");
    let joined = runtime.join(&first, Duration::from_secs(20)).await.unwrap();
    let Joined::Ended(Finished { outcome: Outcome::Continued(next), .. }) = joined else {
        unreachable!("{joined:?}")
    };
    assert_eq!(runtime.run_status(&next).await.unwrap().phase, Phase::Queued);

    let (runtime, _, _) = house.with_two().await;
    house.world.began("next").await;

    assert_eq!(runtime.run_status(&queued).await.unwrap().phase, Phase::Queued);
    house.world.open("next");
    house.world.open("late");
    output(&runtime, queued).await;
    let page = runtime.messages(&AgentRef::Id(a), &SessionName::default(), None, 10).await.unwrap();
    let said: Vec<_> = page.items.iter().map(|said| said.content.to_string()).collect();
    assert_eq!(said, ["held:door go-on:held/next", "held:next", "next!", "held:late", "late!"]);
}

#[tokio::test]
async fn whoever_is_called_ends_when_its_call_is_dropped_also_when_a_pure_step_follows() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;

    let run = submit(&runtime, a, "call-briefly:b/held:door pure:x").await;
    assert_eq!(output(&runtime, run).await, "too late x!");

    let joined = runtime.join(&run_of(&runtime, b).await, Duration::from_secs(20)).await.unwrap();
    let Joined::Ended(finished) = joined else { unreachable!("{joined:?}") };
    assert!(matches!(finished.outcome, Outcome::Cancelled(_)));
}

#[tokio::test]
async fn a_run_with_hundreds_of_open_calls_can_be_ended_and_so_are_they() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;
    let run = submit(&runtime, a, "calls:300").await;
    house.world.began("n299").await;

    let receipt = runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    assert!(matches!(receipt, CancelReceipt::Cancelled(_)));
    let children = RunFilter { agent: Some(b), limit: 1_000, ..RunFilter::default() };
    let children = runtime.runs(children).await.unwrap().items;
    assert_eq!(children.len(), 300);
    for child in children {
        let joined = runtime.join(&child.run, Duration::from_secs(20)).await.unwrap();
        assert!(matches!(joined, Joined::Ended(_)), "{joined:?}");
    }
}

#[tokio::test]
async fn a_wish_to_end_a_run_follows_to_its_successor() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;
    let run = submit(&runtime, a, "go-on:held/door").await;
    house.world.began("door").await;

    let receipt = runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    assert!(matches!(receipt, CancelReceipt::Cancelled(_)), "{receipt:?}");
    assert_eq!(runtime.status().await.unwrap().open_runs, 0);
}

#[tokio::test]
async fn whoever_is_called_ends_with_its_caller_also_in_its_successor() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;
    let run = submit(&runtime, a, "call:b/go-on:held/door").await;
    house.world.began("door").await;

    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();

    while runtime.status().await.unwrap().open_runs > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_into_ones_own_conversation_is_refused_also_while_another_branch_is_busy() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;
    let run = submit(&runtime, a, "call-here-beside:a/pure:x").await;
    house.world.began("beside").await;
    let refused = |view: &runtime_traits::RunView| {
        view.steps.iter().any(|step| step.key.name.as_str() == "call" && step.phase == StepPhase::Settled)
    };
    while !refused(&runtime.run_status(&run).await.unwrap()) {
        tokio::task::yield_now().await;
    }

    house.world.open("beside");
    assert!(output(&runtime, run).await.contains("is busy with"));
}

#[tokio::test]
async fn a_run_that_takes_no_mail_keeps_it_from_no_other() {
    let below = Arc::new(MapStore::new());
    let store = Arc::new(FaultyStore::new(Arc::clone(&below) as Arc<dyn StateStore>, |_| Fault::Pass));
    let house = House::over(Arc::clone(&store) as Arc<dyn StateStore>);
    let (runtime, a, _) = house.with_two().await;
    let lost = submit(&runtime, a, "call:b/held:first").await;
    house.world.began("first").await;
    // From now on nothing more of the first caller can be written, and this process gives it up.
    let log = format!("run/{}", lost.unique().simple());
    let is_of = move |batch: &Batch| {
        batch.then.iter().any(|write| matches!(write, Then::Append(of, _) if of.path.to_string() == log))
    };
    store.decide_by(move |batch| if is_of(batch) { Fault::TooLarge } else { Fault::Pass });
    house.world.open("first");

    let request = RunRequest::new("call:b/pure:x").in_session(SessionName::new("other").unwrap());
    let other = runtime.submit(&a.into(), request).await.unwrap().run;

    assert_eq!(output(&runtime, other).await, "[x!]");
}

/// Leaves a step of unknown end behind, and opens the store anew.
async fn crashed(house: &House, script: &str) -> (RuntimeManager, RunId) {
    let (runtime, agent) = house.with_agent().await;
    let run = submit(&runtime, agent, script).await;
    house.world.began("pay").await;
    (house.open().await, run)
}

#[tokio::test]
async fn what_the_other_side_says_was_done_is_not_done_again() {
    let house = House::new();
    let (runtime, run) = crashed(&house, "reconcile-done:pay").await;

    assert_eq!(output(&runtime, run).await, "done before");
    assert_eq!((house.world.times("pay"), house.world.times("asked pay")), (1, 1));
}

#[tokio::test]
async fn what_the_other_side_says_was_not_done_is_done() {
    let house = House::new();
    let (runtime, run) = crashed(&house, "reconcile-not:pay").await;
    house.world.began("pay").await;
    house.world.open("pay");
    house.world.open("pay");

    assert_eq!(output(&runtime, run).await, "done now");
    assert_eq!((house.world.times("pay"), house.world.times("asked pay")), (2, 1));
}

#[tokio::test]
async fn what_the_other_side_does_not_know_a_person_decides() {
    let house = House::new();
    let (runtime, run) = crashed(&house, "reconcile-unknown:pay").await;
    house.world.began("asked pay").await;
    until_phase(&runtime, run, Phase::Waiting).await;

    let view = runtime.run_status(&run).await.unwrap();
    assert!(matches!(&view.waits[0].on, WaitOn::Decision(step) if step.name.as_str() == "pay"));
    assert!(view.steps.iter().any(|step| matches!(step.phase, StepPhase::Unknown(_))));
    assert_eq!(house.world.times("pay"), 1);
}

#[tokio::test]
async fn mail_that_was_taken_leaves_nothing_behind() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;
    let run = submit(&runtime, a, "call:b/pure:x").await;
    output(&runtime, run).await;
    runtime.shutdown(Duration::from_secs(5)).await.unwrap();

    for partition in house.store.partitions().await.unwrap() {
        for log in ["inbox", "outbox"] {
            let log = runtime_traits::store::Log::new(partition, log.as_bytes().to_vec()).unwrap();
            let tail = house.store.read(&log, runtime_traits::store::Seq::FIRST, 10).await.unwrap();
            assert!(tail.entries.is_empty(), "{log}: {tail:?}");
        }
    }
    let request = RunRequest::new("pure:z");
    drop((runtime, request));
}

/// A house over a store whose reads can be held.
fn held() -> (House, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::scripted(Arc::new(MapStore::new()), []));
    (House::over(Arc::clone(&store) as Arc<dyn StateStore>), store)
}

/// Holds the answer of the next read of a run's log that is not there yet: that of a called run.
fn hold_first_look(store: &FaultyStore) {
    let mut seen = std::collections::HashSet::new();
    store.decide_reads_by(move |log| {
        let of_run = log.path.to_string().starts_with("run/");
        // The caller's log is read when its run parks; the called run's before it is there.
        if of_run && seen.insert(log.clone()) && seen.len() == 1 {
            ReadFault::HoldAnswer
        } else {
            ReadFault::Pass
        }
    });
}

/// Lets time pass: it passes as soon as nothing else can be done.
async fn idle(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

// The time in which mail is taken passes by itself as soon as everything waits.
#[tokio::test(start_paused = true)]
async fn a_called_run_that_is_asked_for_twice_at_once_has_one_place() {
    let (house, store) = held();
    let (runtime, a, b) = house.with_two().await;
    hold_first_look(&store);
    let run = submit(&runtime, a, "call:b/held:door").await;
    store.until_read_held().await;
    // It is asked for once more, behind the other mail, and begins.
    house.world.began("door").await;
    store.release_read();

    let child = run_of(&runtime, b).await;
    house.world.open("door");
    assert_eq!(output(&runtime, run).await, "[door!]");
    assert!(matches!(runtime.join(&child, Duration::from_secs(20)).await, Ok(Joined::Ended(_))));
    assert_eq!(runtime.status().await.unwrap().open_runs, 0);
    assert_eq!(house.world.times("door"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_called_run_that_its_caller_gave_up_before_it_was_accepted_is_not_begun() {
    let (house, store) = held();
    let (runtime, a, _) = house.with_two().await;
    hold_first_look(&store);
    let run = submit(&runtime, a, "call:b/held:door").await;
    store.until_read_held().await;
    runtime.cancel(&run, "enough", Duration::ZERO).await.unwrap();
    // Until the mail is put behind the one that says so.
    idle(6).await;
    store.release_read();
    idle(1).await;

    runtime.shutdown(Duration::from_secs(20)).await.unwrap();
    let runtime = house.open().await;
    assert_eq!(runtime.status().await.unwrap().open_runs, 0);
    assert_eq!(house.world.times("door"), 0);
}

#[tokio::test]
async fn much_mail_to_ones_own_partition_is_taken() {
    let house = House::new();
    let runtime = house.builder().configure(|config| config.max_mail = 1).open().await.unwrap();
    let b = runtime.register_spec(AgentSpec::new("scripted", "b").unwrap()).await.unwrap();
    runtime.start_agent(b).await.unwrap();

    submit(&runtime, b, "calls:100").await;

    house.world.began("n99").await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_once_does_not_lose_an_interrupt() {
    let (house, store) = held();
    let (runtime, a, _) = house.with_two().await;
    let waits = submit(&runtime, a, "call:b/held:door").await;
    house.world.began("door").await;
    until_phase(&runtime, waits, Phase::Parked).await;
    idle(1).await;
    let request = RunRequest::new("pure:now").when_busy(SessionPolicy::Interrupt);
    let mut failed = false;
    store.decide_reads_by(move |log| {
        let fails = log.path.to_string().starts_with("run/") && !std::mem::replace(&mut failed, true);
        if fails { ReadFault::Unavailable } else { ReadFault::Pass }
    });

    let next = runtime.submit(&AgentRef::Id(a), request).await.unwrap().run;

    // Sooner than what the other one waits for gives up.
    let joined = runtime.join(&next, Duration::from_secs(5)).await.unwrap();
    assert!(matches!(joined, Joined::Ended(_)), "{joined:?}");
}

#[tokio::test]
async fn agents_that_call_each_other_in_a_circle_are_told() {
    let house = House::new();
    let (runtime, a, _) = house.with_two().await;
    // Each calls the other with what is left of the script.
    let script = (0..40).map(|n| if n % 2 == 0 { "call:b/" } else { "call:a/" }).collect::<String>();

    let run = submit(&runtime, a, &format!("{script}pure:x")).await;

    let said = output(&runtime, run).await;
    assert!(said.contains("32 deep") && said.contains("in a circle"), "{said}");
    assert_eq!(runtime.status().await.unwrap().open_runs, 0);
}
