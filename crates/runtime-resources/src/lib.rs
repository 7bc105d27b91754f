#![doc = include_str!("../README.md")]

mod budgets;
mod claim;
mod estimate;
mod fair;
mod gate;
mod grants;
mod heap;
mod ledger;
mod manager;
mod meter;
mod permits;
mod polls;
mod price;
mod quota;
mod sync;
#[cfg(test)]
mod tried;
mod window;

pub use budgets::Budgets;
pub use claim::Claim;
pub use estimate::Estimator;
pub use fair::{FairQueue, Party, Waiting};
pub use gate::{Entry, Gate, Left, Refusal};
pub use grants::{Admission, Ask, Borrower, Grant, Lender, Lent};
pub use heap::{Charged, Heap, HeapError, MeteredAlloc};
pub use ledger::{Answer, Ledger, Settled};
pub use manager::{QuotaError, QuotaRule, ResourceManager};
pub use meter::Span;
pub use permits::{Acquire, Permit, Permits, PermitsError};
pub use polls::{AgentMeter, Stopwatch, SystemStopwatch};
pub use price::{ModelPrice, PriceError, PriceTable};
pub use quota::{Asked, Call, Place, Quota, Rates, Turn};
pub use runtime_traits::resource::{
    Limit, LimitsError, Money, MoneyError, OnLimit, ResourceGovernor, ResourceLimits, ResourceUsage, Used,
};
pub use window::{Slot, Window};
