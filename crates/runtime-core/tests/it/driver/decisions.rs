//! Cancelling.

use std::time::Duration;

use runtime_traits::log::{Outcome, Phase, Receipt, Stopped};
use runtime_traits::runtime::{CancelReceipt, Joined, RunRequest, Runtime, SessionPolicy};

use super::house::{House, output, submit, until_phase};

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_run_that_listens_ends_by_itself_and_one_that_does_not_is_dropped() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let listens = submit(&runtime, agent, "once:a cancelled").await;
    house.world.began("a").await;
    let complete = runtime.cancel(&listens, "enough", LONG).await.unwrap();
    let deaf = submit(&runtime, agent, "held-once:b").await;
    house.world.began("b").await;

    let dropped = runtime.cancel(&deaf, "enough", Duration::from_millis(20)).await.unwrap();

    let receipt = Receipt { stopped: Stopped::Complete, unknown: Vec::new() };
    assert_eq!(complete, CancelReceipt::Cancelled(receipt));
    let receipt = Receipt { stopped: Stopped::Dropped, unknown: vec!["b".parse().unwrap()] };
    assert_eq!(dropped, CancelReceipt::Cancelled(receipt));
    assert_eq!(runtime.run_agent(agent, "next").await.unwrap().output.to_string(), "next");
}

#[tokio::test]
async fn queued_and_parked_runs_are_cancelled_at_once() {
    let house = House::new();
    let (runtime, agent) = house.with_agent().await;
    let parked = submit(&runtime, agent, "sleep:100000").await;
    until_phase(&runtime, parked, Phase::Parked).await;
    let request = RunRequest::new("never").when_busy(SessionPolicy::Enqueue);
    let queued = runtime.submit(&agent.into(), request).await.unwrap().run;

    runtime.cancel(&queued, "changed my mind", LONG).await.unwrap();
    runtime.cancel(&parked, "changed my mind", LONG).await.unwrap();

    for run in [queued, parked] {
        let joined = runtime.join(&run, LONG).await.unwrap();
        assert!(
            matches!(joined, Joined::Ended(finished) if matches!(finished.outcome, Outcome::Cancelled(_)))
        );
    }
    let again = runtime.cancel(&queued, "", LONG).await.unwrap();
    assert!(matches!(again, CancelReceipt::AlreadyEnded(Outcome::Cancelled(_))));
    assert_eq!(output(&runtime, submit(&runtime, agent, "next").await).await, "next");
}
