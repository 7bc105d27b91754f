//! Checks that each break one clause of the contract: what shows that the suite can fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use runtime_traits::Name;
use runtime_traits::health::{Health, HealthCheck, Verdict, Watched};

use super::{HealthFixture, Opened, Thing};

/// What a check does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It calls what is broken healthy.
    SaysFine,
    /// It gives no reason.
    KeepsItToItself,
    /// It leaves a trace in what it looks at.
    LeavesTraces,
    /// A look that was left keeps the next ones from looking.
    KeepsTheDoorShut,
}

impl Flaw {
    /// Every flaw, with the clause that it breaks.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::SaysFine, "tells-the-truth"),
        (Self::KeepsItToItself, "says-why"),
        (Self::LeavesTraces, "only-looks"),
        (Self::KeepsTheDoorShut, "may-be-dropped"),
    ];
}

/// A switch, and a check that looks whether it is on: right but for its flaw.
#[derive(Clone, Copy, Debug)]
pub struct WrongCheck(pub Flaw);

#[derive(Debug, Default)]
struct Switch {
    is_off: AtomicBool,
    traces: AtomicUsize,
}

#[derive(Debug)]
struct Looking {
    flaw: Flaw,
    switch: Arc<Switch>,
    is_looking: AtomicBool,
}

#[async_trait]
impl HealthFixture for WrongCheck {
    async fn open(&self) -> Opened {
        let switch = Arc::new(Switch::default());
        let looking =
            Looking { flaw: self.0, switch: Arc::clone(&switch), is_looking: AtomicBool::new(false) };
        let of = Watched::Other(Name::new("switch").expect("it is a name"));
        Opened { check: Arc::new(looking), of, thing: Box::new(switch) }
    }
}

#[async_trait]
impl Thing for Arc<Switch> {
    async fn breaks(&self) {
        self.is_off.store(true, SeqCst);
    }

    async fn mends(&self) {
        self.is_off.store(false, SeqCst);
    }

    async fn state(&self) -> String {
        format!("{} {}", self.is_off.load(SeqCst), self.traces.load(SeqCst))
    }
}

#[async_trait]
impl HealthCheck for Looking {
    async fn check(&self, _: &Watched) -> Health {
        if self.flaw == Flaw::KeepsTheDoorShut && self.is_looking.swap(true, SeqCst) {
            return Health::new(Verdict::Unknown, "somebody is looking");
        }
        // Here it may be left.
        tokio::task::yield_now().await;
        self.is_looking.store(false, SeqCst);
        if self.flaw == Flaw::LeavesTraces {
            self.switch.traces.fetch_add(1, SeqCst);
        }
        if !self.switch.is_off.load(SeqCst) {
            return Health::HEALTHY;
        }
        match self.flaw {
            Flaw::SaysFine => Health::new(Verdict::Healthy, "the switch is off, and who cares"),
            Flaw::KeepsItToItself => Health::new(Verdict::Unhealthy, ""),
            _ => Health::new(Verdict::Unhealthy, "the switch is off"),
        }
    }
}
