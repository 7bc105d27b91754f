//! Agents that do good work, or kill the process that works them.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use runtime_traits::agent::{Agent, AgentKind, SpecError};
use runtime_traits::{AgentError, AgentSpec, Content, Ctx, Effect, Name};

use crate::chaos::dice::Dice;

/// The kind of these agents.
pub(super) const KIND: &str = "worker";

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Some steps, which take so many milliseconds each.
    Good(u64),
    /// Aborts before its first step.
    Aborts,
    /// Overflows the stack before its first step.
    Overflows,
    /// Aborts in the work of its second step.
    AbortsInAStep,
    /// Aborts between two steps.
    AbortsBetween,
}

impl Work {
    /// What the `nth` run of all does: as many of them are poison as there are to be, anywhere among the others.
    pub(super) fn of(seed: u64, nth: u32, good: u32, aborting: u32) -> Self {
        let all = u64::from(good + aborting);
        // Of each stretch of equal length one is poison.
        let stretch = u64::from(nth) * u64::from(aborting) / all;
        let begin = (stretch * all).div_ceil(u64::from(aborting));
        let end = ((stretch + 1) * all).div_ceil(u64::from(aborting));
        let poison = begin + Dice::of(seed, ("poison", stretch)).between(0, end - begin - 1);
        let mut dice = Dice::of(seed, ("work", nth));
        if u64::from(nth) != poison {
            return Self::Good(dice.between(0, 20));
        }
        match dice.between(0, 3) {
            0 => Self::Aborts,
            1 => Self::Overflows,
            2 => Self::AbortsInAStep,
            _ => Self::AbortsBetween,
        }
    }

    /// Whether a run with this input kills its process.
    pub(super) fn is_poison(input: &str) -> bool {
        !input.starts_with("good")
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(millis) => write!(f, "good {millis}"),
            Self::Aborts => f.write_str("aborts"),
            Self::Overflows => f.write_str("overflows"),
            Self::AbortsInAStep => f.write_str("aborts in a step"),
            Self::AbortsBetween => f.write_str("aborts between"),
        }
    }
}

/// Builds [`Worker`]s.
#[derive(Debug)]
pub(super) struct Workers;

#[derive(Debug)]
struct Worker(AgentSpec);

impl AgentKind for Workers {
    fn name(&self) -> Name {
        Name::new(KIND).expect("letters make a name")
    }

    fn check(&self, _: &AgentSpec) -> Result<(), SpecError> {
        Ok(())
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        Ok(Arc::new(Worker(spec.clone())))
    }
}

/// Uses up the stack of its thread.
fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 512]);
    if black_box(depth) == u64::MAX {
        return room[0];
    }
    overflow(black_box(depth + 1)) + room[(depth % 512) as usize]
}

#[async_trait]
impl Agent for Worker {
    fn spec(&self) -> AgentSpec {
        self.0.clone()
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let work = input.as_text()?;
        if work == "aborts" {
            std::process::abort();
        }
        if work == "overflows" {
            return Ok(Content::text(overflow(0).to_string()));
        }
        let millis: u64 = work.strip_prefix("good ").map_or(Ok(0), str::parse)?;
        for nth in 0..3_u32 {
            let step = ctx.step("work", Effect::Repeatable, &nth, |_| async move {
                if nth == 1 && work == "aborts in a step" {
                    std::process::abort();
                }
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(nth)
            });
            step.await?;
            if nth == 1 && work == "aborts between" {
                std::process::abort();
            }
        }
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use super::Work;

    #[test]
    fn as_many_are_poison_as_were_asked_for() {
        for (good, aborting) in [(1, 1), (60, 3), (97, 10), (1_000, 30), (3, 7)] {
            let all = (0..good + aborting).map(|nth| Work::of(5, nth, good, aborting).to_string());
            assert_eq!(all.filter(|work| Work::is_poison(work)).count(), aborting as usize);
        }
    }
}
