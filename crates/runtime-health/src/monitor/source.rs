//! What a runtime tells its callers of a monitor.

use std::cmp::Reverse;
use std::sync::Arc;

use runtime_traits::health::{Health, HealthOverview, HealthReport, HealthSource, VerdictCounts, Watched};

use super::watch::Watch;
use super::{HealthMonitor, lock};

impl HealthSource for HealthMonitor {
    fn report(&self, watched: &Watched) -> Option<HealthReport> {
        self.health(watched).ok()
    }

    fn overview(&self, see: &dyn Fn(&Watched) -> bool) -> HealthOverview {
        let mut seen: Vec<_> = self.watches();
        seen.retain(|watch| see(&watch.watched));
        let now = self.owner.shared.around.clock.now();
        let mut seen: Vec<_> = seen.into_iter().map(|watch| (watch.verdict(now), watch)).collect();
        let mut watched = VerdictCounts::default();
        seen.iter().for_each(|(verdict, _)| watched.count(*verdict));
        seen.sort_by_key(|(verdict, _)| Reverse(*verdict));
        let reports = seen.iter().take(HealthOverview::MOST).map(|(_, watch)| watch.report(now)).collect();
        HealthOverview { watched, ..HealthOverview::of(reports) }
    }

    fn worst(&self) -> Option<Health> {
        let now = self.owner.shared.around.clock.now();
        // Of equals the first.
        let worse = |worst: Arc<Watch>, next: Arc<Watch>| {
            if next.verdict(now) > worst.verdict(now) { next } else { worst }
        };
        self.watches().into_iter().reduce(worse).map(|watch| watch.report(now).named())
    }

    fn appeared(&self, watched: &Watched) {
        let newcomers = *lock(&self.owner.shared.newcomers);
        // What is watched already is watched as it was asked for; beyond the most nobody is.
        let _ = newcomers.map(|interval| self.monitor(watched.clone(), interval));
    }

    fn forget(&self, watched: &Watched) {
        self.stop_monitoring(watched);
    }
}

impl HealthMonitor {
    fn watches(&self) -> Vec<Arc<Watch>> {
        lock(&self.owner.shared.watches).values().cloned().collect()
    }
}
