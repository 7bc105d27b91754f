//! Runs that are parked because there is no room: they are looked at, and write nothing meanwhile.

use std::time::Duration;

use runtime_testkit::fakes::{Lets, Turnstile};
use runtime_traits::UnixMillis;
use runtime_traits::log::Phase;
use runtime_traits::resource::ResourceLimits;
use runtime_traits::runtime::Runtime;

use super::house::{House, output, submit, until_phase};
use super::limits::governed;

const NEXT_YEAR: Lets = Lets::Wait(Some(UnixMillis(u64::MAX / 2)));
const HOUR: Duration = Duration::from_secs(60 * 60);

fn tokens(most: u64) -> ResourceLimits {
    ResourceLimits { max_tokens_total: Some(most), ..ResourceLimits::default() }
}

#[tokio::test(start_paused = true)]
async fn a_parked_run_looks_for_room_every_ten_minutes_however_often_it_was_woken_and_writes_nothing() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::that(NEXT_YEAR));
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Parked).await;
    let entries = runtime.run_status(&run).await.unwrap().entries;

    for most in 1..=9 {
        runtime.set_limits(&agent.into(), tokens(most)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    let before = turnstile.asked().len();
    assert!(before > 9, "who changes a limit lets it look: {before}");
    tokio::time::sleep(12 * HOUR).await;

    let looked = turnstile.asked().len() - before;
    assert!((71..=73).contains(&looked), "it looked {looked} times in twelve hours");
    let view = runtime.run_status(&run).await.unwrap();
    assert_eq!((view.entries, view.phase), (entries, Phase::Parked));
    assert_eq!((turnstile.waiting(), turnstile.settled().len()), (0, 0), "and takes no place");

    turnstile.set(Lets::Through);
    assert_eq!(output(&runtime, run).await, "30 used", "it finds by itself that there is room");
    assert_eq!(turnstile.settled().len(), 2, "what was held to look was given back");
}

#[tokio::test(start_paused = true)]
async fn a_parked_run_looks_at_the_moment_for_which_it_waits_as_well() {
    let (house, turnstile) = (House::new().by_executor(), Turnstile::default());
    let (runtime, agent) = governed(&house, &turnstile, ResourceLimits::default()).await;
    let in_an_hour = house.clock.as_ref().unwrap().now().after(HOUR);
    turnstile.set(Lets::Wait(Some(in_an_hour)));
    let run = submit(&runtime, agent, "costs:100/30").await;
    until_phase(&runtime, run, Phase::Parked).await;
    tokio::time::sleep(HOUR / 2).await;
    let looked = turnstile.asked().len();
    tokio::time::sleep(HOUR / 2 - Duration::from_secs(60)).await;
    assert_eq!(turnstile.asked().len() - looked, 2, "every ten minutes, and then for its moment");

    turnstile.set(Lets::Through);
    tokio::time::sleep(Duration::from_secs(61)).await;

    assert_eq!(runtime.run_status(&run).await.unwrap().phase, Phase::Ended);
}
