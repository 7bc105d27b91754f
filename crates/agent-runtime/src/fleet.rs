//! The fleet file: which agents there shall be, where their store is, and where the service listens.
//!
//! A fleet file is the desired state of the agents that it names. [`Fleet::parse`] is pure and lists all faults at
//! once; [`Fleet::check`] also asks the kinds; [`Fleet::apply`] makes a runtime be what the file says.
//!
//! ```
//! use agent_runtime::fleet::Fleet;
//!
//! let fleet = Fleet::parse(
//!     r#"
//!     store = "redb:agents.redb"
//!
//!     [agents.librarian]
//!     kind = "librarian"
//!     documents = "docs"
//!     "#,
//! )?;
//! assert_eq!(fleet.agents[0].spec.name.as_str(), "librarian");
//!
//! let faults = Fleet::parse("stor = \"memory:\"\ndurability = 3\n").expect_err("two faults");
//! let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
//! assert_eq!(told[0], "line 1, column 1: there is no setting `stor`; did you mean `store`?");
//! assert_eq!(told.len(), 2);
//! # Ok::<(), agent_runtime::fleet::Faults>(())
//! ```

mod address;
mod apply;
mod bus;
mod check;
mod fault;
mod health;
mod measure;
mod read;
mod read_bus;
mod read_health;
mod read_limits;
mod read_quotas;
mod read_recovery;
mod read_schedules;
#[cfg(feature = "http")]
mod read_webhooks;
mod schedules;
mod scrub;
mod store_uri;
mod suggest;
#[cfg(feature = "http")]
mod webhooks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime_core::ScrubRate;
use runtime_resources::{Budgets, PriceTable, QuotaRule, ResourceManager};
use runtime_traits::schedule::Schedule;
use runtime_traits::store::Durability;
use runtime_traits::{AgentSpec, ResourceLimits, Tenant};

use crate::kinds::placed_key;

pub use address::{AddressError, loopback};
pub use apply::{Applied, AppliedAgent, Change};
pub use bus::{BusOpenError, BusPlace, FleetBus};
pub use fault::{Fault, Faults};
pub use health::{AgentHealth, FleetHealth};
pub use measure::{size, span};
pub use store_uri::{KeysUri, RedisUri, StoreUri, StoreUriError};
#[cfg(feature = "http")]
pub use webhooks::FleetWebhook;

/// What a fleet file declares.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The store, its path as written: relative to the file.
    pub store: StoreUri,
    /// What a commit has to survive before a run counts as accepted; `None`: all that the store's commits can.
    pub durability: Option<Durability>,
    /// How long the logs of runs are kept after their outcomes; `None`: as long as the runtime does by itself.
    pub keep_runs: Option<KeepRuns>,
    /// Where the service listens for HTTP; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// How the store is looked over for damage while somebody serves it; `None`: not at all.
    pub scrub: Option<ScrubRate>,
    /// How all is watched while somebody serves it; `None`: not at all.
    pub health: Option<FleetHealth>,
    /// The bus.
    pub bus: FleetBus,
    /// What all agents may use together.
    pub limits: ResourceLimits,
    /// What models cost.
    pub prices: PriceTable,
    /// What providers let through.
    pub quotas: Vec<QuotaRule>,
    /// Whom to tell how runs end.
    #[cfg(feature = "http")]
    pub webhooks: Vec<FleetWebhook>,
    /// The agents, in the order of the file.
    pub agents: Vec<FleetAgent>,
}

/// How long the logs of runs are kept after their outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepRuns {
    /// So long.
    For(Duration),
    /// They are not let go.
    Forever,
}

/// An agent of a fleet file.
#[derive(Clone, Debug)]
pub struct FleetAgent {
    /// Its declaration.
    pub spec: AgentSpec,
    /// Whether it shall take runs.
    pub start: bool,
    /// By what clock it is run, in the order of their names.
    pub schedules: Vec<Schedule>,
    /// How it is watched, where that differs from the others.
    pub health: AgentHealth,
    /// Where its table begins.
    at: Range<usize>,
    /// Where its settings are: key and value.
    settings: BTreeMap<String, (Range<usize>, Range<usize>)>,
}

impl Fleet {
    /// Takes the keys in files that quotas and webhooks name from `folder`, that of the fleet file: as [`kinds`](crate::kinds) does with those of the
    /// agents.
    #[must_use]
    pub fn placed(mut self, folder: impl AsRef<Path>) -> Self {
        for credential in self.quotas.iter_mut().flat_map(|rule| &mut rule.credentials) {
            *credential = placed_key(folder.as_ref(), credential);
        }
        #[cfg(feature = "http")]
        self.webhooks.iter_mut().for_each(|webhook| webhook.place(folder.as_ref()));
        self
    }

    /// Who holds the agents of this file to their limits.
    pub fn resources(&self, tenant: &Tenant) -> ResourceManager {
        let manager = ResourceManager::new(self.prices.clone());
        if !self.limits.is_none() {
            manager.limit_tenant(tenant, Budgets::of_agent(&self.limits));
        }
        for rule in &self.quotas {
            manager.declare_quota(rule.clone());
        }
        manager
    }

    /// Reads the text of a fleet file.
    ///
    /// # Errors
    /// [`Faults`]: everything that is wrong, each with its line and its remedy.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let read = read::read(text);
        Faults::of(read.faults).map_or(Ok(read.fleet), Err)
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            store: StoreUri::Redb(PathBuf::from(".agent-runtime/store.redb")),
            durability: None,
            keep_runs: None,
            http: None,
            scrub: Some(ScrubRate::default()),
            health: Some(FleetHealth::default()),
            bus: FleetBus::default(),
            limits: ResourceLimits::default(),
            prices: PriceTable::default(),
            quotas: Vec::new(),
            #[cfg(feature = "http")]
            webhooks: Vec::new(),
            agents: Vec::new(),
        }
    }
}

/// What somebody wrote, as it can be shown: control characters escaped, and not too long.
fn shown(given: &str) -> String {
    let mut shown: String = given.chars().take(48).flat_map(char::escape_debug).collect();
    if given.chars().nth(48).is_some() {
        shown.push('…');
    }
    shown
}
