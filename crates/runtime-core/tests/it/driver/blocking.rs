//! Agents that block their threads.

use std::sync::Arc;
use std::time::Duration;

use runtime_traits::log::{Outcome, Receipt, Stopped};
use runtime_traits::runtime::{CancelReceipt, Runtime};
use tokio_util::task::TaskTracker;

use super::house::{House, submit};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_done_about_runs_goes_on_while_an_agent_blocks_the_only_thread() {
    let house = House::new();
    let (runtime, a, b) = house.with_two().await;
    let blocks = submit(&runtime, a, "block:door").await;
    house.world.began("door").await;

    runtime.pause_agent(b).await.unwrap();
    let receipt = runtime.cancel(&blocks, "stuck", Duration::from_millis(10)).await.unwrap();
    let view = runtime.run_status(&blocks).await.unwrap();
    runtime.resume_agent(b).await.unwrap();
    house.world.unblock("door");

    let abandoned = Receipt { stopped: Stopped::Abandoned, unknown: Vec::new() };
    assert_eq!(receipt, CancelReceipt::Cancelled(abandoned.clone()));
    assert_eq!(view.outcome, Some(Outcome::Cancelled(abandoned)), "the agent is shut out of its log");
    assert_eq!(runtime.run_agent(b, "next").await.unwrap().output.to_string(), "next");
    assert_eq!(runtime.run_agent(a, "next").await.unwrap().output.to_string(), "next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_goes_on_while_an_agent_blocks_the_thread_that_waited_for_it() {
    let house = House::new();
    let (runtime, b) = house.with_agent().await;
    let tasks = TaskTracker::new();
    let sleeps = tasks.spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        runtime.run_agent(b, "slept").await.unwrap()
    });
    // Who is woken by the clock runs in the thread that waited for the clock.
    tasks.spawn({
        let world = Arc::clone(&house.world);
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            world.block("door");
        }
    });

    let slept = sleeps.await.unwrap();
    house.world.unblock("door");

    assert_eq!(slept.output.to_string(), "slept");
}
