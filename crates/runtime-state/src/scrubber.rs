//! `Scrubber`: verifying a store while it is in use.

mod paced;

use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::scrub::{Finding, Heard, Pace, Scrub, ScrubCount};
use runtime_traits::store::{StateError, StateStore};

use crate::{Damage, DamageSort, Verified, verify_store};
use paced::PacedStore;

/// Looks for damage as [`verify_store`] does, at the pace of whoever works the store.
///
/// What a newer version wrote is not told: it is no damage.
#[derive(Clone, Debug)]
pub struct Scrubber {
    store: Arc<dyn StateStore>,
}

impl Scrubber {
    /// Looks at a store.
    pub fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Scrub for Scrubber {
    async fn pass(&self, pace: Arc<dyn Pace>, heard: Arc<dyn Heard>) -> Result<ScrubCount, StateError> {
        let store = PacedStore::new(Arc::clone(&self.store), pace);
        let mut told = 0;
        let mut tell = |so_far: &Verified| {
            for damage in so_far.damages.iter().skip(told).filter(|damage| is_damage(damage)) {
                heard.found(finding(damage));
            }
            told = so_far.damages.len();
            heard.read(count(so_far));
        };
        let verified = verify_store(&store, &mut tell).await?;
        tell(&verified);
        Ok(count(&verified))
    }
}

fn is_damage(damage: &Damage) -> bool {
    damage.damage != DamageSort::Newer
}

fn count(verified: &Verified) -> ScrubCount {
    let Verified { cells, entries, damaged, newer, .. } = *verified;
    ScrubCount { cells, entries, damaged: damaged - newer }
}

fn finding(damage: &Damage) -> Finding {
    Finding {
        tenant: damage.tenant.clone(),
        agent: damage.agent,
        session: damage.session.clone(),
        run: damage.run,
        place: format!("{} of partition {}", damage.place, damage.partition),
        what: damage.what.clone(),
    }
}
