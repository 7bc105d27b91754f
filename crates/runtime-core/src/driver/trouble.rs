//! How often what did not work is tried again, and said.

use std::time::Duration;

use runtime_traits::clock::UnixMillis;

/// How long to wait before it is tried again: at first, and at most.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// How often it is said that it still does not work.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What keeps somebody from going on, until it is over.
#[derive(Debug)]
pub(super) struct Trouble {
    pause: Duration,
    said: Option<UnixMillis>,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { pause: PAUSES.0, said: None }
    }
}

impl Trouble {
    /// It did not work: how long to wait, and whether this is to be said.
    pub(super) fn met(&mut self, now: UnixMillis) -> (Duration, bool) {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSES.1);
        let is_to_be_said = self.said.is_none_or(|said| now.since(said) >= SAID_EVERY);
        if is_to_be_said {
            self.said = Some(now);
        }
        (pause, is_to_be_said)
    }

    /// It worked: whatever comes is a new trouble. Whether the old one was said.
    pub(super) fn is_over(&mut self) -> bool {
        std::mem::take(self).said.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_tried_ever_more_rarely_and_said_once_a_minute() {
        let mut trouble = Trouble::default();
        let met: Vec<_> = (0..9).map(|_| trouble.met(UnixMillis(7))).collect();
        let millis: Vec<_> = met.iter().map(|(pause, _)| pause.as_millis()).collect();
        assert_eq!(millis, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(met.iter().filter(|(_, is_said)| *is_said).count(), 1);
        assert!(!trouble.met(UnixMillis(60_006)).1);
        assert!(trouble.met(UnixMillis(60_007)).1);
    }

    #[test]
    fn a_trouble_that_comes_after_one_that_is_over_begins_anew_and_is_said() {
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over(), "there was none");
        trouble.met(UnixMillis(7));
        trouble.met(UnixMillis(7));
        assert!(trouble.is_over());
        assert!(!trouble.is_over(), "that is said once");
        assert_eq!(trouble.met(UnixMillis(7)), (PAUSES.0, true));
    }
}
