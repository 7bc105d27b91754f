//! What agents may use, and who sees to it that they use no more.

mod call;
mod change;
mod governor;
mod history;
mod limits;
mod money;
mod together;
mod usage;

pub use call::{Admission, Call, CallId, NoRoom, Refused, Turn, Waiting};
pub use change::{LimitsChange, LimitsChangeError};
pub use governor::{Hour, Inside, Known, Minute, OpenUse, Past, ResourceGovernor};
pub use history::{UsageHistory, UsedIn};
pub use limits::{Limit, LimitsError, OnLimit, ResourceLimits, Whose};
pub use money::{Money, MoneyError};
pub use together::{LimitsBy, TenantLimits};
pub use usage::{ResourceUsage, Used};
