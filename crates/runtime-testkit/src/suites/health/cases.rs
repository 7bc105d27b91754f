//! The cases of the suite of checks.

use futures_util::FutureExt;
use runtime_traits::health::{Health, Verdict};

use super::{HealthFixture, Opened};

/// How often it is looked, or begun to look.
const OFTEN: usize = 5;

impl Opened {
    async fn look(&self) -> Health {
        self.check.check(&self.of).await
    }
}

/// `tells-the-truth`: what does not work is not called healthy, and what works is not called unhealthy.
pub async fn tells_the_truth(fixture: &dyn HealthFixture) {
    let opened = fixture.open().await;
    for _ in 0..2 {
        let well = opened.look().await;
        assert!(well.verdict < Verdict::Unhealthy, "it works, and is said to be {well}");
        opened.thing.breaks().await;
        let broken = opened.look().await;
        assert!(broken.verdict > Verdict::Healthy, "it is broken, and is said to be {broken}");
        opened.thing.mends().await;
    }
    let well = opened.look().await;
    assert!(well.verdict < Verdict::Unhealthy, "it works again, and is said to be {well}");
}

/// `says-why`: whatever is not healthy comes with a reason for people.
pub async fn says_why(fixture: &dyn HealthFixture) {
    let opened = fixture.open().await;
    let well = opened.look().await;
    opened.thing.breaks().await;
    let broken = opened.look().await;
    for health in [well, broken] {
        let says = !health.reason.trim().is_empty();
        assert!(says || health.verdict == Verdict::Healthy, "it is {} and does not say why", health.verdict);
    }
}

/// `only-looks`: it changes nothing of what it looks at, however often it looks.
pub async fn only_looks(fixture: &dyn HealthFixture) {
    let opened = fixture.open().await;
    for is_broken in [false, true] {
        if is_broken {
            opened.thing.breaks().await;
        }
        let before = opened.thing.state().await;
        for _ in 0..OFTEN {
            opened.look().await;
        }
        assert_eq!(opened.thing.state().await, before, "looking has changed it; broken: {is_broken}");
    }
}

/// `may-be-dropped`: who waits for it may give up at any time; the next look is not worse for it.
pub async fn may_be_dropped(fixture: &dyn HealthFixture) {
    let opened = fixture.open().await;
    let (well, broken) = undisturbed(fixture).await;
    let give_up = || {
        for _ in 0..OFTEN {
            // Begun, and left if it does not answer at once.
            let _ = opened.look().now_or_never();
        }
    };
    give_up();
    assert_eq!(opened.look().await.verdict, well, "after looks that were left it is called something else");
    opened.thing.breaks().await;
    give_up();
    assert_eq!(opened.look().await.verdict, broken, "after looks that were left it is called something else");
}

/// What is found where nobody gives up, of a thing that works and of one that is broken.
async fn undisturbed(fixture: &dyn HealthFixture) -> (Verdict, Verdict) {
    let opened = fixture.open().await;
    let well = opened.look().await.verdict;
    opened.thing.breaks().await;
    (well, opened.look().await.verdict)
}
