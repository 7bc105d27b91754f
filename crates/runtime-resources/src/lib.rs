#![doc = include_str!("../README.md")]

mod budgets;
mod claim;
mod estimate;
mod fair;
mod gate;
mod grants;
mod heap;
mod ledger;
mod limits;
mod meter;
mod money;
mod permits;
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
pub use ledger::{Answer, Ledger, Settled, Used};
pub use limits::{Limit, LimitsError, OnLimit, ResourceLimits};
pub use meter::Span;
pub use money::{Money, MoneyError};
pub use permits::{Acquire, Permit, Permits, PermitsError};
pub use price::{ModelPrice, PriceError, PriceTable};
pub use quota::{Asked, Call, Place, Quota, Rates, Turn};
pub use window::{Slot, Window};
