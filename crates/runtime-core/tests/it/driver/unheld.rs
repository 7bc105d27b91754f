//! Steps that say nothing of what they may take: what they took counts all the same, once that is known.

use std::time::Duration;

use runtime_testkit::fakes::{Lets, Turnstile};
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::Runtime;

use super::house::{House, output, submit};
use super::limits::{FULL, governed, until_waiting};

#[tokio::test]
async fn what_a_step_used_that_reserved_nothing_is_told_when_it_settles() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    // From its first call on that is asked for, what the agent used before is known.
    let run = submit(&runtime, agent, "costs:100/30 used:5000 used-pure:70").await;
    output(&runtime, run).await;

    let recorded = turnstile.recorded();
    let told: Vec<_> = recorded.iter().map(|call| (call.run, call.most.input_tokens)).collect();
    assert_eq!(told, [(run, 5_000), (run, 70)]);
    assert_eq!(turnstile.asked().len(), 1, "nobody asks before");

    // What is given up counts with what was told of it.
    let given_up = submit(&runtime, agent, "used-held:400").await;
    house.world.began("400").await;
    runtime.cancel(&given_up, "enough", Duration::ZERO).await.unwrap();
    let last = turnstile.recorded().last().unwrap().clone();
    assert_eq!((last.run, last.most.input_tokens), (given_up, 400));
}

#[tokio::test]
async fn what_was_used_before_anybody_had_to_know_counts_once() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "used:5000").await).await;
    assert_eq!(turnstile.recorded(), [], "the log says it");

    output(&runtime, submit(&runtime, agent, "used:300 costs:100/30").await).await;

    assert_eq!(turnstile.told(&agent).unwrap().tokens, 5_300);
    assert_eq!(turnstile.recorded(), []);
}

#[tokio::test]
async fn a_call_of_a_model_that_reserves_nothing_is_held_up_by_a_limit_that_is_reached() {
    let (house, turnstile) = (House::new(), Turnstile::that(FULL));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "model:5000").await;
    until_waiting(&runtime, run).await;
    assert_eq!(house.world.times("5000"), 0);

    turnstile.set(Lets::Through);
    output(&runtime, run).await;

    let least = turnstile.asked()[0].most;
    assert_eq!((least.tokens(), least.model_calls), (1, 1));
    assert_eq!(turnstile.settled()[0].1.input_tokens, 5_000, "it counts with what it took");
    assert_eq!(runtime.run_status(&run).await.unwrap().price.micros, Some(5_000));
}

#[tokio::test]
async fn what_a_try_reported_that_is_given_up_is_priced_and_not_forgotten_after_a_restart() {
    let (house, first) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &first, ResourceLimits::default()).await;
    let given_up = submit(&runtime, agent, "model-held:5000").await;
    house.world.began("5000").await;
    runtime.cancel(&given_up, "enough", Duration::ZERO).await.unwrap();

    // With what was held for what it did not report.
    let view = runtime.run_status(&given_up).await.unwrap();
    assert_eq!((view.usage.tokens(), view.price.micros), (5_001, Some(5_001)));
    assert_eq!(first.settled()[0].1.tokens(), 5_001, "that is what whoever counts was told");
    drop(runtime);

    let second = Turnstile::default();
    let (runtime, agent) = governed(&house, &second, ResourceLimits::default()).await;
    output(&runtime, submit(&runtime, agent, "costs:100/30").await).await;
    let told = second.told(&agent).unwrap();
    assert_eq!((told.tokens, told.micros, told.month_micros), (5_001, 5_001, 5_001));
}

#[tokio::test]
async fn a_copy_of_a_run_counts_nothing_of_what_was_given_up_in_the_original() {
    let (house, turnstile) = (House::new(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "dropped:100").await;
    assert_eq!(output(&runtime, run).await, "dropped");
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.usage.tokens(), view.price.micros), (100, Some(100)));

    let copy = runtime.fork(&run, Default::default()).await.unwrap();

    assert_eq!(output(&runtime, copy).await, "dropped");
    let view = runtime.run_status(&copy).await.unwrap();
    assert_eq!((view.usage.tokens(), view.price.micros.unwrap_or(0)), (0, 0));
}
