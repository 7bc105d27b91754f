//! Quotas are of credentials: who calls with another one has nothing to do with it.

use std::time::Duration;

use runtime_traits::model::CalledModel;
use runtime_traits::resource::{Admission, Call, CallId, Minute, Past, Refused, ResourceGovernor, Whose};
use runtime_traits::{Tenant, UnixMillis, Usage};

use super::{BEGIN, QuotaError, QuotaRule, ResourceManager, call};

/// A sixth of this goes at once.
const MINUTE: u64 = 60;

fn manager(rules: impl IntoIterator<Item = QuotaRule>) -> ResourceManager {
    let manager = ResourceManager::default();
    rules.into_iter().for_each(|rule| manager.declare_quota(rule));
    manager
}

fn most(requests: u64, rule: QuotaRule) -> QuotaRule {
    QuotaRule { requests_per_minute: Some(requests), ..rule }
}

fn of_team(credentials: &[&str], models: &[&str]) -> QuotaRule {
    let credentials = credentials.iter().map(|name| (*name).to_owned()).collect();
    QuotaRule { credentials, ..QuotaRule::of_models(models.iter().copied()) }
}

fn with(id: u128, model: &str, credential: &str) -> Call {
    Call { model: Some(CalledModel::from(model).with_credential(credential)), ..call(id, 0, 5) }
}

/// How many of these calls, made one after the other at once, are let through; they stay under way. The wish of the others is taken
/// back.
fn at_once<'a>(
    manager: &ResourceManager,
    now: UnixMillis,
    ids: &mut u128,
    calls: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> usize {
    let held = |(model, credential)| {
        *ids += 1;
        matches!(manager.admit(with(*ids, model, credential), now), Admission::Held { .. })
    };
    calls.into_iter().map(held).filter(|held| *held).count()
}

fn times<'a>(calls: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    calls.iter().copied().cycle().take(100)
}

#[test]
fn agents_that_use_one_model_with_two_credentials_have_a_quota_each() {
    let (manager, mut ids) = (manager([most(MINUTE, QuotaRule::of_models(["openai/*"]))]), 0);

    for credential in ["env:ONE", "env:OTHER"] {
        assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("openai/gpt-4o", credential)])), 10);
    }
    assert!(
        matches!(manager.admit(call(1_000, 0, 5), BEGIN), Admission::Held { .. }),
        "nobody's is one as well"
    );
    // Its models share it.
    assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("openai/gpt-4o-mini", "env:ONE")])), 0);
}

#[test]
fn a_refusal_of_the_provider_lowers_the_quota_of_the_credential_it_was_answered_to_and_no_other() {
    let (manager, mut ids) = (manager([most(MINUTE, QuotaRule::of_models(["openai/*"]))]), 100);
    for (id, credential) in [(1, "env:ONE"), (2, "env:OTHER")] {
        let held = manager.admit(with(id, "openai/gpt-4o", credential), BEGIN);
        assert!(matches!(held, Admission::Held { .. }));
    }

    manager.throttled(CallId(1), Some(Duration::from_secs(20)), BEGIN);

    assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("openai/gpt-4o", "env:OTHER")])), 9);
    assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("openai/gpt-4o", "env:ONE")])), 0);
    // When the pause is over: a sixth of three quarters, and a sixth of all.
    let later = BEGIN.after(Duration::from_secs(62));
    for (credential, sent) in [("env:ONE", 8), ("env:OTHER", 10)] {
        assert_eq!(at_once(&manager, later, &mut ids, times(&[("openai/gpt-4o", credential)])), sent);
    }
}

#[test]
fn what_a_provider_counts_together_shares_one_quota() {
    let both = [("openai/gpt-4o", "env:TEAM"), ("openai/o4-mini", "env:TEAM")];
    let mut ids = 0;
    // All models of a credential, some of them, and two credentials.
    for rule in [
        of_team(&["env:TEAM"], &[]),
        of_team(&["env:TEAM"], &["openai/gpt-4o", "openai/o4-mini"]),
        of_team(&["env:TEAM", "env:ALIAS"], &["openai/*"]),
    ] {
        let manager = manager([most(MINUTE, rule)]);
        assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&both)), 10);
        assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("openai/gpt-4o", "env:ELSE")])), 100);
    }
    let manager = manager([most(MINUTE, of_team(&["env:TEAM", "env:ALIAS"], &["openai/*"]))]);
    let aliased = [("openai/gpt-4o", "env:TEAM"), ("openai/gpt-4o", "env:ALIAS")];
    assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&aliased)), 10);
    // What the rule does not name is not counted there.
    assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("anthropic/claude", "env:TEAM")])), 100);
}

#[test]
fn a_quota_that_names_the_credential_holds_before_one_that_does_not_wherever_it_stands() {
    let (each, team) =
        (most(MINUTE, QuotaRule::of_models(["openai/*"])), most(6, of_team(&["env:TEAM"], &["openai/*"])));
    let mut ids = 0;
    for manager in [manager([each.clone(), team.clone()]), manager([team, each])] {
        assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("openai/gpt-4o", "env:TEAM")])), 1);
        assert_eq!(at_once(&manager, BEGIN, &mut ids, times(&[("openai/gpt-4o", "env:ELSE")])), 10);
    }
}

#[test]
fn a_call_that_the_quota_of_its_credential_never_lets_through_is_named_at_registration() {
    let rule = QuotaRule { tokens_per_minute: Some(1_000), ..of_team(&["env:SMALL"], &[]) };
    let manager = manager([rule]);
    let check = |called: CalledModel, tokens| {
        let least = Usage { output_tokens: tokens, model_calls: 1, ..Usage::default() };
        manager.check(&Tenant::default(), &Default::default(), Some((&called, least)))
    };

    let called = CalledModel::from("openai/gpt-4o");
    assert_eq!(check(called.clone(), 1_001), Ok(()));
    assert_eq!(check(called.clone().with_credential("env:SMALL"), 1_000), Ok(()));
    let refused = check(called.with_credential("env:SMALL"), 1_001);
    assert!(matches!(refused, Err(Refused::Never { whose: Whose::Provider, max: 1_000, .. })), "{refused:?}");
}

#[test]
fn what_was_used_before_a_restart_counts_for_a_credential_that_is_called_later_in_the_minute() {
    let (manager, mut ids) = (manager([most(MINUTE, QuotaRule::of_models(["openai/*"]))]), 0);
    let minute = Minute { at: BEGIN, requests: 55, tokens: 0, micros: 0 };
    manager.recall_tenant(&Tenant::default(), &Past { minutes: vec![minute], ..Past::default() }, BEGIN);

    let later = BEGIN.after(Duration::from_secs(30));
    assert_eq!(at_once(&manager, later, &mut ids, times(&[("openai/gpt-4o", "env:LATE")])), 5);
    let after = BEGIN.after(Duration::from_secs(65));
    assert_eq!(at_once(&manager, after, &mut ids, times(&[("openai/gpt-4o", "env:LATER")])), 10);
}

#[test]
fn credentials_that_nobody_calls_with_any_more_are_not_kept_and_those_that_matter_are() {
    let manager = manager([most(MINUTE, QuotaRule::of_models(["openai/*"]))]);
    let refused = with(1, "openai/gpt-4o", "env:REFUSED");
    assert!(matches!(manager.admit(refused, BEGIN), Admission::Held { .. }));
    manager.throttled(CallId(1), Some(Duration::from_secs(3_600)), BEGIN);
    manager.settle(CallId(1), Usage::default(), BEGIN);

    let mut now = BEGIN;
    for nth in 0..20_000 {
        now = now.after(Duration::from_millis(150));
        let id = 10 + nth;
        let own = with(id, "openai/gpt-4o", &format!("env:KEY_{nth}"));
        assert!(matches!(manager.admit(own, now), Admission::Held { .. }));
        manager.settle(CallId(id), Usage { model_calls: 1, ..Usage::default() }, now);
    }

    let kept = manager.books().quotas.flows();
    assert!(kept <= 3_000, "{kept}");
    let again = manager.admit(with(5, "openai/gpt-4o", "env:REFUSED"), now);
    assert!(matches!(again, Admission::Waits(_)), "it is shut");
}

#[test]
fn a_quota_of_what_is_no_credential_or_of_nothing_and_one_that_would_never_hold_are_named() {
    for given in ["sk-secret", "env:", "TEAM_A_KEY", ""] {
        let error = most(1, QuotaRule::of_credential(given)).check().unwrap_err();
        assert_eq!(error, QuotaError::Credential);
        assert!(given.is_empty() || given == "env:" || !error.to_string().contains(given), "{error}");
    }
    assert_eq!(most(1, QuotaRule::default()).check(), Err(QuotaError::OfNothing));
    let empty = QuotaError::Empty { of: "env:TEAM".to_owned() };
    assert_eq!(QuotaRule::of_credential("env:TEAM").check(), Err(empty));
    assert_eq!(most(1, of_team(&["env:TEAM", "file:keys/a"], &["openai/*"])).check(), Ok(()));

    let team = |models: &[&str]| of_team(&["env:TEAM"], models);
    for (before, behind, of) in [
        (team(&[]), team(&[]), "* with env:TEAM"),
        (team(&[]), team(&["openai/x"]), "openai/x with env:TEAM"),
        (team(&["openai/*"]), team(&["anthropic/a", "openai/x"]), "openai/x with env:TEAM"),
        (of_team(&["env:A", "env:TEAM"], &["openai/*"]), team(&["openai/*"]), "openai/* with env:TEAM"),
        (QuotaRule::of_models(["openai/*"]), QuotaRule::of_models(["a/b", "openai/*"]), "openai/*"),
    ] {
        assert_eq!(behind.check_behind(&[before]), Err(QuotaError::Twice { of: of.to_owned() }));
    }
    for (before, behind) in [
        (team(&["openai/x"]), team(&[])),
        (team(&["openai/x"]), team(&["openai/y"])),
        (team(&[]), of_team(&["env:A"], &[])),
        (QuotaRule::of_models(["openai/*"]), team(&["openai/*"])),
        (team(&["openai/*"]), QuotaRule::of_models(["openai/*"])),
        (QuotaRule::of_models(["openai/*"]), QuotaRule::of_models(["openai/x"])),
    ] {
        assert_eq!(behind.check_behind(&[before]), Ok(()));
    }
}
