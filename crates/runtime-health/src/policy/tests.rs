//! The policy under many drawn histories: `AGENT_RUNTIME_HISTORIES` of them.

use std::num::NonZeroU32;
use std::time::Duration;

use runtime_testkit::fakes::{Chance, SeededEntropy};
use runtime_traits::UnixMillis;
use runtime_traits::recovery::{Failure, History, Phase, Remedy};

use super::{RecoveryRule, Restart};
use crate::backoff::Backoff;

const START: UnixMillis = UnixMillis(1_800_000_000_000);

fn histories() -> u64 {
    std::env::var("AGENT_RUNTIME_HISTORIES").ok().and_then(|asked| asked.parse().ok()).unwrap_or(3_000)
}

fn count(n: u64) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(n).unwrap()).unwrap()
}

fn rule(chance: &mut Chance) -> RecoveryRule {
    RecoveryRule {
        restart: *chance.pick(&[Restart::Never, Restart::OnFailure, Restart::Always]).unwrap(),
        attempts: count(1 + chance.below(5)),
        retries: u32::try_from(chance.below(4)).unwrap(),
        backoff: Backoff {
            base: Duration::from_millis(chance.below(2_000)),
            max: Duration::from_millis(chance.below(20_000)),
        },
        most: count(1 + chance.below(5)),
        within: Duration::from_millis(chance.below(60_000)),
        cool_down: Duration::from_millis(chance.below(30_000)),
        fallback: (0..chance.below(3)).map(|nth| format!("model-{nth}")).collect(),
    }
}

fn failure(chance: &mut Chance) -> Failure {
    let phase =
        [Phase::Queued, Phase::FirstByte, Phase::BetweenTokens, Phase::Tool, Phase::Step, Phase::Wait];
    match chance.below(12) {
        0 => Failure::Panicked,
        1 => Failure::Failed,
        2 => Failure::Memory,
        3 => Failure::Died { suspects: count(1 + chance.below(3)) },
        4 => Failure::ModelAway,
        5 => Failure::Crowded,
        6 => Failure::StoreAway,
        7 => Failure::Damaged { snapshot: !chance.once_in(4) },
        8 => Failure::Unhealthy { action: None },
        9 => Failure::Unhealthy { action: Some("restart-the-proxy".to_owned()) },
        10 => Failure::Ended,
        _ => Failure::Stalled { phase: *chance.pick(&phase).unwrap() },
    }
}

#[test]
fn restarts_stay_within_their_window_quarantine_stays_and_pauses_stay_within_bounds() {
    for seed in 0..histories() {
        let mut chance = Chance::new(seed);
        let (rule, entropy) = (rule(&mut chance), SeededEntropy::new(seed));
        let (mut history, mut now) = (History::default(), START);
        let (mut starts, mut counted, mut retried) = (Vec::<UnixMillis>::new(), 0, 0);
        for _ in 0..40 {
            now = now.after(Duration::from_millis(chance.below(5_000)));
            let was = history.quarantine().cloned();
            let failure = failure(&mut chance);
            let remedy = rule.decide(&failure, &history, now, &entropy);
            history.took(&remedy, rule.most, now);
            if let Some(was) = was {
                assert_eq!(remedy, Remedy::Quarantine(was.clone()), "seed {seed}: it is absorbing");
                assert_eq!(history.quarantine(), Some(&was), "seed {seed}");
            }
            match remedy {
                Remedy::Restart { at, .. } | Remedy::Restore { at } | Remedy::Act { at, .. } => {
                    let most = rule.backoff.max.max(rule.within);
                    assert!(at >= now && at.since(now) <= most, "seed {seed}: {:?}", at.since(now));
                    assert_ne!(
                        (rule.restart, matches!(remedy, Remedy::Restart { .. })),
                        (Restart::Never, true)
                    );
                    counted += u32::from(!matches!(remedy, Remedy::Restart { counted: false, .. }));
                    assert!(counted < rule.attempts.get(), "seed {seed}: {counted} starts without progress");
                    retried = 0;
                    starts.push(at);
                    now = at;
                }
                Remedy::Retry { at } => {
                    assert!(at >= now && at.since(now) <= rule.backoff.max, "seed {seed}");
                    retried += 1;
                    assert!(retried <= rule.retries, "seed {seed}: {retried} tries without progress");
                }
                Remedy::CoolDown { until } => {
                    let pause = until.since(now);
                    assert!(pause >= rule.cool_down / 2 && pause <= rule.cool_down, "seed {seed}: {pause:?}");
                }
                Remedy::SwitchModel { model } => assert!(rule.fallback.contains(&model), "seed {seed}"),
                Remedy::Quarantine(_) | Remedy::Leave => {}
            }
            match chance.below(20) {
                0 => {
                    history.release();
                    (counted, retried) = (0, 0);
                }
                1..4 => {
                    history.progressed();
                    (counted, retried) = (0, 0);
                }
                _ => {}
            }
        }
        for row in starts.windows(rule.most.get() as usize + 1) {
            let took = row[row.len() - 1].since(row[0]);
            assert!(took >= rule.within, "seed {seed}: {} starts within {took:?}", row.len());
        }
    }
}

fn decide(rule: &RecoveryRule, failure: &Failure, history: &History) -> Remedy {
    rule.decide(failure, history, START, &SeededEntropy::new(1))
}

#[test]
fn what_a_failure_asks_for_is_what_is_done() {
    let rule = RecoveryRule { fallback: vec!["small".to_owned()], ..RecoveryRule::default() };
    let mut history = History::default();
    let done = |failure, history: &History| decide(&rule, &failure, history);

    assert!(matches!(done(Failure::StoreAway, &history), Remedy::CoolDown { .. }));
    assert!(matches!(done(Failure::Crowded, &history), Remedy::CoolDown { .. }));
    assert!(matches!(done(Failure::Damaged { snapshot: true }, &history), Remedy::Restore { .. }));
    assert!(matches!(done(Failure::Damaged { snapshot: false }, &history), Remedy::Quarantine(_)));
    let restore = done(Failure::Damaged { snapshot: true }, &history);
    history.took(&restore, rule.most, START);
    let again = done(Failure::Damaged { snapshot: true }, &history);
    assert!(matches!(again, Remedy::Quarantine(_)), "the snapshot did not help");
    history.progressed();
    assert_eq!(done(Failure::Ended, &history), Remedy::Leave, "only `Always` starts it again");
    assert_eq!(done(Failure::Unhealthy { action: None }, &history), Remedy::Leave);
    let stalled = |phase| Failure::Stalled { phase };
    assert!(matches!(done(stalled(Phase::FirstByte), &history), Remedy::Retry { .. }));
    assert!(matches!(done(stalled(Phase::Step), &history), Remedy::Restart { counted: true, .. }));

    let switch = done(Failure::ModelAway, &history);
    assert_eq!(switch, Remedy::SwitchModel { model: "small".to_owned() });
    history.took(&switch, rule.most, START);
    let cool_down = done(Failure::ModelAway, &history);
    assert!(matches!(cool_down, Remedy::CoolDown { .. }), "the chain is at its end");
    history.took(&cool_down, rule.most, START);
    assert_eq!(done(Failure::ModelAway, &history), switch, "it begins anew");
}

#[test]
fn progress_gives_new_attempts_and_a_death_among_many_takes_none() {
    let rule = RecoveryRule::default();
    let mut history = History::default();
    for _ in 0..50 {
        let among_many = Failure::Died { suspects: count(2) };
        let remedy = decide(&rule, &among_many, &history);
        assert!(matches!(remedy, Remedy::Restart { counted: false, .. }));
        history.took(&remedy, rule.most, START);
    }
    for _ in 0..50 {
        let remedy = decide(&rule, &Failure::Panicked, &history);
        assert!(matches!(remedy, Remedy::Restart { .. }));
        history.took(&remedy, rule.most, START);
        history.progressed();
    }

    assert_eq!((history.attempts(), history.quarantine()), (0, None));
}

#[test]
fn only_a_person_ends_a_quarantine() {
    let rule = RecoveryRule { attempts: count(1), ..RecoveryRule::default() };
    let mut history = History::default();
    history.took(&decide(&rule, &Failure::Memory, &history), rule.most, START);
    history.progressed();
    assert!(matches!(decide(&rule, &Failure::StoreAway, &history), Remedy::Quarantine(_)));

    history.release();

    assert!(matches!(decide(&rule, &Failure::StoreAway, &history), Remedy::CoolDown { .. }));
}
