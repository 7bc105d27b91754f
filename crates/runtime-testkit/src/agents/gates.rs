//! Gates: where agents wait until a test lets them go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

/// Gates by name. Whoever passes one is written down, and waits there until it is open. A copy is the same gates.
///
/// # Examples
/// ```
/// # runtime_testkit::block_on(async {
/// let gates = runtime_testkit::agents::Gates::new();
/// gates.open("a");
/// gates.pass("a").await;
/// gates.arrived("a").await;
/// assert_eq!(gates.arrivals(), ["a"]);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Gates {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    open: BTreeSet<String>,
    arrivals: Vec<String>,
}

impl Gates {
    /// Gates that are all closed.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Arc::new(watch::Sender::default()) }
    }

    /// Opens a gate, for good.
    pub fn open(&self, name: &str) {
        self.state.send_modify(|state| {
            state.open.insert(name.to_owned());
        });
    }

    /// Writes down that somebody is there, and goes on once the gate is open.
    pub async fn pass(&self, name: &str) {
        self.arrive(name);
        self.until(|state| state.open.contains(name)).await;
    }

    /// Writes down that somebody is there.
    pub fn arrive(&self, name: &str) {
        self.state.send_modify(|state| state.arrivals.push(name.to_owned()));
    }

    /// Waits until somebody has come to a gate.
    pub async fn arrived(&self, name: &str) {
        self.until(|state| state.arrivals.iter().any(|arrival| arrival == name)).await;
    }

    /// Waits until somebody has come to a gate for the `times`-th time.
    pub async fn arrived_times(&self, name: &str, times: usize) {
        let here = |state: &State| state.arrivals.iter().filter(|arrival| *arrival == name).count();
        self.until(|state| here(state) >= times).await;
    }

    /// Who has come where, in order.
    pub fn arrivals(&self) -> Vec<String> {
        self.state.borrow().arrivals.clone()
    }

    /// How often somebody has come to a gate.
    pub fn times(&self, name: &str) -> usize {
        self.state.borrow().arrivals.iter().filter(|arrival| *arrival == name).count()
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        let mut states = self.state.subscribe();
        states.wait_for(|state| holds(state)).await.expect("the gates hold the sender");
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self::new()
    }
}
