//! Circuit breakers, as people read them.

use agent_runtime::UnixMillis;
use agent_runtime::runtime::{BreakerPhase, BreakerStatus};

use super::time;

/// How all of them stand, in a word.
pub(crate) fn all(breakers: &[BreakerStatus]) -> String {
    match (breakers.len(), breakers.iter().filter(|breaker| breaker.state != BreakerPhase::Closed).count()) {
        (0, _) => "none was called yet".to_owned(),
        (1, 0) => "the one that was called works".to_owned(),
        (all, 0) => format!("all {all} that were called work"),
        (all, held_off) => format!("{held_off} of {all} held off"),
    }
}

/// One that holds calls off.
pub(crate) fn held_off(breaker: &BreakerStatus, now: UnixMillis) -> String {
    let BreakerStatus { name, at, since, until, .. } = breaker;
    let at = at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    let since = since.map(|since| format!(" since {} ({})", time::moment(since), time::ago(now, since)));
    let next = match until {
        Some(until) if *until > now => format!("tried again in {}", time::duration(until.since(now))),
        Some(_) => "tried again by the next call".to_owned(),
        None => "being tried now".to_owned(),
    };
    format!("{name}{at}{}; {next}", since.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use agent_runtime::runtime::{BreakerPhase, BreakerStatus};
    use agent_runtime::{StepSort, UnixMillis};

    use super::{all, held_off};

    const NOW: UnixMillis = UnixMillis(1_800_000_060_000);

    fn breaker(state: BreakerPhase, until: Option<u64>) -> BreakerStatus {
        BreakerStatus {
            sort: StepSort::Model,
            name: "openai/gpt-4o".to_owned(),
            at: Some("http://localhost:1/v1".to_owned()),
            state,
            since: Some(UnixMillis(NOW.0 - 30_000)),
            until: until.map(|after| UnixMillis(NOW.0 + after)),
        }
    }

    #[test]
    fn how_all_stand_is_said_in_a_word() {
        let (closed, open) = (breaker(BreakerPhase::Closed, None), breaker(BreakerPhase::Open, Some(1)));
        assert_eq!(all(&[]), "none was called yet");
        assert_eq!(all(std::slice::from_ref(&closed)), "the one that was called works");
        assert_eq!(all(&[closed.clone(), closed.clone()]), "all 2 that were called work");
        assert_eq!(all(&[closed, open]), "1 of 2 held off");
    }

    #[test]
    fn what_is_held_off_is_said_with_its_place_since_when_and_until_when() {
        let told = |state, until| held_off(&breaker(state, until), NOW);
        let begin = "openai/gpt-4o at http://localhost:1/v1 since ";
        let open = told(BreakerPhase::Open, Some(12_000));
        assert!(open.starts_with(begin) && open.ends_with("; tried again in 12 s"), "{open}");
        assert!(told(BreakerPhase::Open, Some(0)).ends_with("; tried again by the next call"));
        assert!(told(BreakerPhase::HalfOpen, None).ends_with("; being tried now"));
    }
}
