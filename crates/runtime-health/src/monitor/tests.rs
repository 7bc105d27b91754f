//! The monitor in paused time.

mod scene;

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime_testkit::fakes::ManualClock;
use runtime_traits::health::{Health, HealthSource as _, Verdict, Watched};
use runtime_traits::{Cause, Name};
use tokio::time::sleep;

use super::{CheckRule, HealthError, HealthMonitor, Only};
use crate::backoff::Backoff;
use crate::hysteresis::Thresholds;
use crate::policy::RecoveryRule;
use scene::{Thing, agent, monitor, other};

const SECOND: Duration = Duration::from_secs(1);

/// Recovers at once, so often within a minute.
fn at_once(attempts: u32) -> RecoveryRule {
    RecoveryRule {
        attempts: NonZeroU32::new(attempts).unwrap(),
        backoff: Backoff { base: Duration::ZERO, max: Duration::ZERO },
        ..RecoveryRule::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_breaks_is_shown_within_an_interval_and_what_is_mended_after_two_looks() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    health.monitor(other("thing"), SECOND).unwrap();
    // It begins unknown, and two looks say that it is well.
    sleep(2 * SECOND).await;
    assert_eq!(health.health(&other("thing")).unwrap().health, Health::HEALTHY);

    thing.breaks();
    sleep(SECOND).await;
    let broken = health.health(&other("thing")).unwrap();
    assert_eq!(broken.health, Health::new(Verdict::Unhealthy, "the check says no"));

    thing.mends();
    sleep(SECOND).await;
    assert_eq!(health.health(&other("thing")).unwrap().health.verdict, Verdict::Unhealthy);
    sleep(SECOND).await;
    assert_eq!(health.health(&other("thing")).unwrap().health, Health::HEALTHY);
    assert!(health.health(&other("thing")).unwrap().since > broken.since);
}

#[tokio::test(start_paused = true)]
async fn each_is_looked_at_once_in_its_interval() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    for nth in 0..100 {
        health.monitor(agent(nth), 10 * SECOND).unwrap();
    }

    sleep(Duration::from_millis(1)).await;
    assert_eq!(thing.looks(), 100, "all are looked at at once");
    // The second time within the first interval.
    sleep(10 * SECOND).await;
    assert_eq!(thing.looks(), 200);
    sleep(100 * SECOND).await;
    assert_eq!(thing.looks(), 1_200);
}

#[tokio::test(start_paused = true)]
async fn those_that_begin_together_are_not_looked_at_together() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    for nth in 0..100 {
        health.monitor(agent(nth), 10 * SECOND).unwrap();
    }
    sleep(5 * SECOND).await;

    let early = thing.looks() - 100;
    assert!((20..=80).contains(&early), "{early} of 100 had their second look in half an interval");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_answers_is_unhealthy_and_holds_nobody_up() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("well", thing.check()).unwrap();
    let silent = CheckRule { only: Only::Just(other("silent")), within: 3 * SECOND, ..CheckRule::default() };
    health.register_check_with("silent", silent, || async { std::future::pending::<bool>().await }).unwrap();
    health.monitor(other("silent"), SECOND).unwrap();
    health.monitor(other("well"), SECOND).unwrap();

    sleep(4 * SECOND).await;

    let report = health.health(&other("silent")).unwrap();
    assert_eq!(report.health, Health::new(Verdict::Unhealthy, "no answer within 3s"));
    assert_eq!(report.checks.len(), 2);
    assert_eq!(health.health(&other("well")).unwrap().health, Health::HEALTHY);
    assert_eq!(health.overall(), Health::new(Verdict::Unhealthy, "silent: no answer within 3s"));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_knows_nothing_and_is_asked_again() {
    let (health, thing) = (monitor(), Thing::default());
    let panics = thing.clone();
    health
        .register_check("thing", move || {
            let is_well = panics.look();
            // Before there is a future.
            assert!(is_well, "it fell over");
            async { true }
        })
        .unwrap();
    thing.breaks();
    health.monitor(other("thing"), SECOND).unwrap();
    sleep(SECOND / 2).await;
    let report = health.health(&other("thing")).unwrap();
    assert_eq!(report.health, Health::new(Verdict::Unknown, "the check panicked: it fell over"));

    thing.mends();
    sleep(3 * SECOND).await;
    assert_eq!(health.health(&other("thing")).unwrap().health, Health::HEALTHY);
}

#[tokio::test(start_paused = true)]
async fn what_is_unhealthy_is_recovered_and_counts_anew_once_it_is_well() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    health.register_recovery_with("thing", at_once(3), thing.recovery()).unwrap();
    health.monitor(other("thing"), SECOND).unwrap();
    for round in 1..=5 {
        sleep(3 * SECOND).await;
        thing.breaks();
        sleep(3 * SECOND).await;
        assert_eq!(thing.tries(), round);
        let report = health.health(&other("thing")).unwrap();
        assert_eq!(report.health, Health::HEALTHY);
        let recovery = report.checks[0].recovery.clone().unwrap();
        assert_eq!((recovery.attempts, recovery.quarantine), (0, None));
        assert_eq!(recovery.last.unwrap().failed, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_does_not_help_is_given_up_until_a_person_says_otherwise() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    thing.is_beyond_help.store(true, SeqCst);
    health.register_recovery_with("thing", at_once(3), thing.recovery()).unwrap();
    thing.breaks();
    health.monitor(other("thing"), SECOND).unwrap();

    sleep(60 * SECOND).await;

    assert_eq!(thing.tries(), 2, "the third failure is one too many");
    let recovery = health.health(&other("thing")).unwrap().checks[0].recovery.clone().unwrap();
    assert!(recovery.quarantine.is_some());
    assert_eq!(recovery.last.unwrap().failed, Some(Cause::says("nothing helps")));
    assert!(thing.looks() > 50, "it is looked at all the same");

    thing.is_beyond_help.store(false, SeqCst);
    assert!(health.release(&other("thing"), "thing").unwrap());
    sleep(3 * SECOND).await;
    assert_eq!((thing.tries(), thing.is_well()), (3, true));
    assert!(!health.release(&other("thing"), "thing").unwrap(), "it is in quarantine no more");
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_panics_or_hangs_is_a_try_that_failed() {
    let (health, thing) = (monitor(), Thing::default());
    thing.breaks();
    for (name, hangs) in [("panics", false), ("hangs", true)] {
        let only = CheckRule { only: Only::Just(other(name)), ..CheckRule::default() };
        health.register_check_with(name, only, thing.check()).unwrap();
        let recovery = move || async move {
            assert!(hangs, "it fell over");
            std::future::pending::<()>().await;
        };
        health.register_recovery_with(name, at_once(2), recovery).unwrap();
        health.monitor(other(name), SECOND).unwrap();
    }

    sleep(70 * SECOND).await;

    let said = |name: &str| {
        let report = health.health(&other(name)).unwrap();
        report.checks[0].recovery.clone().unwrap().last.unwrap().failed
    };
    assert_eq!(said("panics"), Some(Cause::says("the recovery panicked: it fell over")));
    assert_eq!(said("hangs"), Some(Cause::says("the recovery did not end within 60s")));
}

#[tokio::test(start_paused = true)]
async fn a_pause_before_a_try_is_kept_and_the_look_comes_when_it_is_over() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    let later = RecoveryRule { backoff: Backoff { base: 20 * SECOND, max: 20 * SECOND }, ..at_once(9) };
    health.register_recovery_with("thing", later, thing.recovery()).unwrap();
    thing.breaks();
    health.monitor(other("thing"), 3_600 * SECOND).unwrap();

    sleep(Duration::from_millis(1)).await;
    let next = health.health(&other("thing")).unwrap().checks[0].recovery.clone().unwrap().next;
    assert!(next.is_some());
    assert_eq!(thing.tries(), 0);
    sleep(20 * SECOND).await;
    assert_eq!((thing.tries(), thing.is_well()), (1, true), "though it is looked at once in an hour");
}

#[tokio::test(start_paused = true)]
async fn what_is_well_again_by_itself_is_not_recovered() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    let later = RecoveryRule { backoff: Backoff { base: 60 * SECOND, max: 60 * SECOND }, ..at_once(9) };
    health.register_recovery_with("thing", later, thing.recovery()).unwrap();
    thing.breaks();
    health.monitor(other("thing"), SECOND).unwrap();
    sleep(Duration::from_millis(1)).await;
    let recovery = || health.health(&other("thing")).unwrap().checks[0].recovery.clone();
    assert!(recovery().unwrap().next.is_some());

    thing.mends();
    sleep(3 * SECOND).await;
    assert_eq!(recovery(), None);
    sleep(120 * SECOND).await;
    assert_eq!(thing.tries(), 0);
}

#[tokio::test(start_paused = true)]
async fn thresholds_say_how_many_looks_it_takes() {
    let (health, thing) = (monitor(), Thing::default());
    let three = NonZeroU32::new(3).unwrap();
    let rule = CheckRule { thresholds: Thresholds { bad: three, good: three }, ..CheckRule::default() };
    health.register_check_with("thing", rule, thing.check()).unwrap();
    health.monitor(other("thing"), 3_600 * SECOND).unwrap();
    sleep(Duration::from_millis(1)).await;
    let report = health.health(&other("thing")).unwrap();
    assert_eq!(report.health, Health::HEALTHY, "what is well at the first look is shown at once");
    thing.breaks();
    for expected in [Verdict::Healthy, Verdict::Healthy, Verdict::Unhealthy] {
        let report = health.check_now(&other("thing"), "thing").await.unwrap();
        assert_eq!(report.health.verdict, expected);
        assert_eq!(report.looked.unwrap().found.verdict, Verdict::Unhealthy);
    }
}

#[tokio::test(start_paused = true)]
async fn turns_are_told_once_each() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (thing, telling) = (Thing::default(), Arc::clone(&told));
    let health = scene::builder()
        .on_turn(move |turn| {
            telling.lock().unwrap().push((turn.watched.clone(), turn.check.clone(), turn.to.verdict));
        })
        .build();
    health.register_check("thing", thing.check()).unwrap();
    health.monitor(other("thing"), SECOND).unwrap();
    sleep(5 * SECOND).await;
    thing.breaks();
    sleep(5 * SECOND).await;

    let turns = [Verdict::Healthy, Verdict::Unhealthy].map(|to| (other("thing"), "thing".to_owned(), to));
    assert_eq!(*told.lock().unwrap(), turns);
}

#[tokio::test(start_paused = true)]
async fn what_is_monitored_no_more_is_looked_at_no_more() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    health.monitor(other("thing"), SECOND).unwrap();
    sleep(3 * SECOND).await;

    assert!(health.stop_monitoring(&other("thing")));
    assert!(!health.stop_monitoring(&other("thing")));
    let looks = thing.looks();
    sleep(60 * SECOND).await;
    assert_eq!(thing.looks(), looks);
    assert!(matches!(health.health(&other("thing")), Err(HealthError::NotMonitored { .. })));

    // It may be monitored again.
    health.monitor(other("thing"), SECOND).unwrap();
    sleep(3 * SECOND).await;
    assert!(thing.looks() > looks);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_is_dropped_or_shut_down_looks_at_nothing() {
    for is_dropped in [true, false] {
        let (health, thing) = (monitor(), Thing::default());
        health.register_check("thing", thing.check()).unwrap();
        health.monitor(other("thing"), SECOND).unwrap();
        sleep(3 * SECOND).await;
        let kept = (!is_dropped).then(|| health.clone());
        match kept {
            Some(_) => health.shutdown().await,
            None => drop(health),
        }
        let looks = thing.looks();
        assert!(looks > 0);
        sleep(60 * SECOND).await;
        assert_eq!(thing.looks(), looks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_now_of_what_nobody_monitors_shows_what_it_found() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();

    let report = health.check_now(&other("thing"), "thing").await.unwrap();

    assert_eq!(report.health, Health::HEALTHY);
    assert!(health.all().is_empty());
    assert_eq!(health.overall().verdict, Verdict::Unknown);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_that_hang_are_found_within_their_bound_and_an_interval() {
    let health = monitor();
    let rule = CheckRule { within: 3 * SECOND, ..CheckRule::default() };
    health.register_check_with("silent", rule, || async { std::future::pending::<bool>().await }).unwrap();
    for nth in 0..10_000 {
        health.monitor(agent(nth), SECOND).unwrap();
    }

    sleep(4 * SECOND).await;

    let all = health.all();
    assert_eq!(all.len(), 10_000);
    assert!(all.iter().all(|report| report.health.verdict == Verdict::Unhealthy));
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_refused_by_name() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    let only = CheckRule { only: Only::Just(Watched::Runtime), ..CheckRule::default() };
    health.register_check_with("runtime", only, thing.check()).unwrap();
    health.register_recovery("thing", thing.recovery()).unwrap();
    health.monitor(other("thing"), SECOND).unwrap();

    let none = CheckRule { within: Duration::ZERO, ..CheckRule::default() };
    let refusals = [
        health.register_check("no name", thing.check()),
        health.register_check("thing", thing.check()),
        health.register_check_with("fast", none, thing.check()),
        health.register_recovery("thing", thing.recovery()),
        health.register_recovery("thong", thing.recovery()),
        health.monitor(other("else"), Duration::ZERO),
        health.monitor(other("thing"), SECOND),
        health.check_now(&other("thing"), "runtime").await.map(drop),
        health.release(&other("else"), "thing").map(drop),
    ];

    let said = refusals.map(|refusal| refusal.unwrap_err().to_string());
    assert_eq!(
        said,
        [
            Name::new("no name").unwrap_err().to_string().as_str(),
            "there is a check `thing` already; give this one another name",
            "the time for a look is less than a millisecond; give it at least one",
            "the check `thing` has a recovery already; a check has one",
            "there is no check `thong`; register it first, or take one of [\"runtime\", \"thing\"]",
            "the interval is less than a millisecond; give it at least one",
            "`thing` is monitored already; stop that first to change its interval",
            "the check `runtime` does not look at `thing`; its rule says what it looks at",
            "`else` is not monitored; call `monitor` or `monitor_agent` first",
        ]
    );
}

#[test]
fn nothing_is_monitored_outside_of_an_executor() {
    let refused = HealthMonitor::default().monitor(other("thing"), SECOND);

    assert!(matches!(refused, Err(HealthError::NoExecutor)));
}

#[test]
fn a_monitor_whose_executor_ended_goes_on_in_the_next_one_with_all_that_it_watches() {
    let (health, thing) = (HealthMonitor::default(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    let watch_until_all_are = |name: &str, verdict| {
        runtime_testkit::block_on(async {
            health.monitor(other(name), SECOND / 1_000).unwrap();
            let seen = async {
                while health.all().iter().any(|report| report.health.verdict != verdict) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(20 * SECOND, seen).await.expect("all are looked at");
        });
    };

    watch_until_all_are("first", Verdict::Healthy);
    thing.breaks();
    watch_until_all_are("second", Verdict::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn right_after_a_recovery_it_is_looked_again() {
    let (health, thing) = (monitor(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    health.register_recovery_with("thing", at_once(3), thing.recovery()).unwrap();
    thing.breaks();
    health.monitor(other("thing"), 3_600 * SECOND).unwrap();

    sleep(Duration::from_millis(1)).await;

    assert_eq!((thing.tries(), thing.looks()), (1, 2), "though it is looked at once in an hour");
    let looked = health.health(&other("thing")).unwrap().checks[0].looked.clone().unwrap();
    assert_eq!(looked.found, Health::HEALTHY);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_takes_its_time_holds_up_no_look_and_no_other_try_begins_meanwhile() {
    let (health, broken, well) = (monitor(), Thing::default(), Thing::default());
    health.register_check("broken", broken.check()).unwrap();
    health.register_check("well", well.check()).unwrap();
    let tries = broken.clone();
    let recovery = move || {
        let tries = tries.clone();
        async move {
            tries.recovery()().await.unwrap();
            tries.breaks();
            std::future::pending::<()>().await;
        }
    };
    health.register_recovery_with("broken", at_once(10), recovery).unwrap();
    broken.breaks();
    health.monitor(other("thing"), SECOND).unwrap();

    sleep(30 * SECOND).await;

    assert!(well.looks() >= 30, "{} looks in 30 s", well.looks());
    assert!(broken.looks() >= 30, "{} looks in 30 s", broken.looks());
    assert_eq!(broken.tries(), 1);
    well.breaks();
    sleep(SECOND).await;
    let shown = health.health(&other("thing")).unwrap().checks;
    assert!(shown.iter().all(|check| check.health.verdict == Verdict::Unhealthy), "{shown:?}");
    // It ends at its deadline, and may be tried again.
    sleep(35 * SECOND).await;
    assert_eq!(broken.tries(), 2);
    let held = broken.held();
    health.stop_monitoring(&other("thing"));
    sleep(Duration::from_millis(1)).await;
    assert!(broken.held() < held, "the recovery ends when nobody wants to know any more");
}

#[test]
fn what_nobody_looks_at_because_a_check_blocks_its_thread_is_unknown() {
    let clock = Arc::new(ManualClock::default());
    let health = HealthMonitor::builder().clock(Arc::clone(&clock) as _).on_own_thread().build();
    let (thing, (blocked, at_door), (door, opened)) = (Thing::default(), sync_channel(1), sync_channel(1));
    let only = CheckRule { only: Only::Just(other("blocking")), ..CheckRule::default() };
    let door_too = Mutex::new((blocked, opened));
    health.register_check("thing", thing.check()).unwrap();
    health
        .register_check_with("blocking", only, move || {
            let (blocked, opened) = &*door_too.lock().unwrap();
            blocked.send(()).unwrap();
            opened.recv().unwrap();
            async { true }
        })
        .unwrap();
    health.monitor(other("thing"), 10 * SECOND).unwrap();
    let well = || health.health(&other("thing")).unwrap().health == Health::HEALTHY;
    while !well() {
        std::thread::yield_now();
    }
    // Its thread is blocked from now on, and the time goes on.
    health.monitor(other("blocking"), 10 * SECOND).unwrap();
    at_door.recv_timeout(20 * SECOND).expect("it is looked at");
    clock.advance(25 * SECOND);
    assert!(well(), "the next look may take as long");
    clock.advance(SECOND);

    let report = health.health(&other("thing")).unwrap();
    assert_eq!(report.health.verdict, Verdict::Unknown);
    assert!(report.health.reason.starts_with("not looked at since 18"), "{report:?}");
    assert_eq!(report.checks[0].health, report.health);
    assert_eq!(health.overall().verdict, Verdict::Unknown);
    assert_eq!(health.overview(&|_| true).watched.unknown, 2);
    assert_eq!(health.all().len(), 2);
    door.send(()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_check_looks_as_rarely_as_its_rule_says_and_at_what_its_rule_says() {
    let (health, often, rarely) = (monitor(), Thing::default(), Thing::default());
    let of_agents = CheckRule { only: Only::Agents, ..CheckRule::default() };
    health.register_check_with("often", of_agents.clone(), often.check()).unwrap();
    let every = CheckRule { every: 60 * SECOND, ..of_agents };
    health.register_check_with("rarely", every, rarely.check()).unwrap();
    health.monitor(agent(1), SECOND).unwrap();
    health.monitor(other("thing"), SECOND).unwrap();

    sleep(300 * SECOND).await;

    assert!((300..=302).contains(&often.looks()), "{}", often.looks());
    assert!((5..=6).contains(&rarely.looks()), "{}", rarely.looks());
    assert_eq!(health.health(&agent(1)).unwrap().health, Health::HEALTHY);
    assert!(health.health(&other("thing")).unwrap().checks.is_empty());
    // Whoever asks now is told now.
    let before = rarely.looks();
    health.check_now(&agent(1), "rarely").await.unwrap();
    assert_eq!(rarely.looks(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_offered_gives_way_whoever_comes_first() {
    let (health, offered, own) = (monitor(), Thing::default(), Thing::default());
    offered.breaks();
    health.offer_check("early", CheckRule::default(), offered.check()).unwrap();
    health.register_recovery("early", offered.recovery()).unwrap();
    health.register_check("early", own.check()).unwrap();
    health.register_check("late", own.check()).unwrap();
    health.offer_check("late", CheckRule::default(), offered.check()).unwrap();
    health.monitor(other("thing"), SECOND).unwrap();
    sleep(2 * SECOND).await;

    assert_eq!(health.health(&other("thing")).unwrap().health, Health::HEALTHY);
    assert_eq!(offered.looks(), 0);
    let taken = health.register_recovery("early", own.recovery());
    assert!(
        matches!(taken, Err(HealthError::RecoveryTaken { .. })),
        "what was registered for the name stays"
    );
}

#[test]
fn a_monitor_with_a_thread_of_its_own_needs_no_executor_and_ends_with_its_last_handle() {
    let (health, thing) = (HealthMonitor::builder().on_own_thread().build(), Thing::default());
    health.register_check("thing", thing.check()).unwrap();
    health.monitor(other("thing"), SECOND / 1_000).unwrap();
    runtime_testkit::block_on(async {
        let seen = async {
            while health.health(&other("thing")).unwrap().health.verdict != Verdict::Healthy {
                tokio::task::yield_now().await;
            }
            drop(health);
            // The check is dropped with the thread.
            while thing.held() > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(20 * SECOND, seen).await.expect("it looks, and ends");
    });
}
