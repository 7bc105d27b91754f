#![doc = include_str!("../README.md")]

mod budgets;
mod estimate;
mod fair;
mod gate;
mod heap;
mod ledger;
mod manager;
mod meter;
mod permits;
mod polls;
mod price;
mod sync;
mod window;

pub use budgets::Budgets;
pub use estimate::Estimator;
pub use fair::{FairQueue, Party, Waiting};
pub use gate::{Entry, Gate, Left, Refusal};
pub use heap::{Charged, Heap, HeapError, MeteredAlloc};
pub use ledger::{Answer, Claim, Ledger, Settled};
pub use manager::{QuotaRule, ResourceManager};
pub use meter::Span;
pub use permits::{Acquire, Permit, Permits, PermitsError};
pub use polls::{AgentMeter, Stopwatch, SystemStopwatch};
pub use price::{ModelPrice, PriceError, PriceTable};
pub use runtime_traits::resource::{
    Limit, LimitsError, Money, MoneyError, OnLimit, ResourceGovernor, ResourceLimits, ResourceUsage, Used,
};
pub use window::{Slot, Window};
