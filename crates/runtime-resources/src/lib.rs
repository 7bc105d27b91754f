#![doc = include_str!("../README.md")]

mod budgets;
mod estimate;
mod fair;
mod gate;
mod heap;
mod ledger;
mod limits;
mod meter;
mod money;
mod polls;
mod price;
mod window;

pub use budgets::Budgets;
pub use estimate::Estimator;
pub use fair::{FairQueue, Party, Waiting};
pub use gate::{Entry, Gate, Left, Refusal};
pub use heap::{Charged, Heap, HeapError, MeteredAlloc};
pub use ledger::{Answer, Claim, Ledger, Settled, Used};
pub use limits::{Limit, LimitsError, OnLimit, ResourceLimits};
pub use meter::Span;
pub use money::{Money, MoneyError};
pub use polls::{AgentMeter, Stopwatch, SystemStopwatch};
pub use price::{ModelPrice, PriceError, PriceTable};
pub use window::{Slot, Window};
