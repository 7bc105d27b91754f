//! What a provider lets through, and what it has counted.

use std::collections::VecDeque;
use std::time::Duration;

use runtime_traits::UnixMillis;

const MINUTE: Duration = Duration::from_secs(60);

/// Lets so many requests and tokens through in any 60 seconds, wherever they are laid, and refuses the others.
#[derive(Debug)]
pub(super) struct Counting {
    requests: u64,
    tokens: u64,
    /// What was let through within the last minute: when, and how many tokens.
    within: VecDeque<(UnixMillis, u64)>,
    used: u64,
    score: Score,
}

/// What reached a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    /// Requests, those among them that were refused.
    pub(super) reached: u64,
    /// Requests that were answered with 429.
    pub(super) refused: u64,
    /// Tokens, read and written, that were billed.
    pub(super) billed: u64,
    /// What each agent got: of its requests' parts of the quota the larger ones, as tokens.
    pub(super) got: Vec<u64>,
}

impl Counting {
    pub(super) fn new(requests: u64, tokens: u64, agents: usize) -> Self {
        let score = Score { got: vec![0; agents], ..Score::default() };
        Self { requests, tokens, within: VecDeque::new(), used: 0, score }
    }

    /// Lets a request of an agent through and bills its tokens, or says how long to stay away.
    pub(super) fn take(&mut self, at: UnixMillis, agent: usize, tokens: u64) -> Result<(), Duration> {
        while let Some((taken, of)) = self.within.front().copied()
            && taken.after(MINUTE) <= at
        {
            self.within.pop_front();
            self.used -= of;
        }
        self.score.reached += 1;
        if let Some(fits) = self.fits_at(tokens) {
            self.score.refused += 1;
            return Err(fits.since(at));
        }
        self.within.push_back((at, tokens));
        self.used += tokens;
        self.score.billed += tokens;
        if let Some(got) = self.score.got.get_mut(agent) {
            *got += tokens.max(self.tokens / self.requests);
        }
        Ok(())
    }

    /// When so many tokens fit that do not fit now.
    fn fits_at(&self, tokens: u64) -> Option<UnixMillis> {
        let (mut requests, mut used, mut at) = (self.within.len() as u64, self.used, None);
        let mut oldest = self.within.iter();
        while requests >= self.requests || used + tokens > self.tokens {
            let (taken, of) = oldest.next()?;
            (requests, used, at) = (requests - 1, used - of, Some(taken.after(MINUTE)));
        }
        at
    }

    pub(super) fn score(&self) -> &Score {
        &self.score
    }
}

impl Score {
    /// The part of what reached it that was refused.
    pub(super) fn refused(&self) -> f64 {
        self.refused as f64 / self.reached.max(1) as f64
    }

    /// The part that was used of what a quota holds over so much time: of requests or tokens, of which more was.
    pub(super) fn used(&self, requests: u64, tokens: u64, over: Duration) -> f64 {
        let minutes = over.as_secs_f64() / MINUTE.as_secs_f64();
        let answered = (self.reached - self.refused) as f64 / requests as f64;
        answered.max(self.billed as f64 / tokens as f64) / minutes
    }

    /// What the agent got that got least, as a part of what each would have got of an equal one.
    pub(super) fn poorest(&self) -> f64 {
        let fair = self.got.iter().sum::<u64>() as f64 / self.got.len() as f64;
        self.got.iter().min().map_or(0.0, |least| *least as f64 / fair.max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_quota_is_let_through_in_any_minute_and_the_refused_are_told_when_it_fits() {
        let mut counting = Counting::new(3, 100, 2);
        let at = |seconds: u64| UnixMillis(1_000_000 + seconds * 1_000);
        let wait = |seconds| Err(Duration::from_secs(seconds));
        assert_eq!(counting.take(at(0), 0, 60), Ok(()));
        assert_eq!(counting.take(at(10), 1, 30), Ok(()));
        assert_eq!(counting.take(at(20), 0, 20), wait(40), "the first one goes out of the minute then");
        assert_eq!(counting.take(at(20), 1, 10), Ok(()));
        assert_eq!(counting.take(at(30), 1, 0), wait(30), "three requests");
        assert_eq!(counting.take(at(60), 0, 60), Ok(()));

        let score = counting.score();
        assert_eq!((score.reached, score.refused, score.billed), (6, 2, 160));
        assert_eq!(score.got, [120, 33 + 33], "a small one counts as a third of the quota");
        let used = score.used(3, 100, MINUTE);
        assert!((used - 1.6).abs() < 1e-9, "{used}");
        assert!((score.poorest() - 66.0 / 93.0).abs() < 1e-9, "{}", score.poorest());
    }
}
