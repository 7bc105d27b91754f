//! Tools: what a model can have done, and how plain functions become that.

mod approval;
mod calculator;
#[cfg(feature = "documents")]
mod documents;
mod expression;
mod function;
mod names;
mod output;
mod schema;

pub use approval::{Approval, WithApproval};
pub use calculator::Calculator;
#[cfg(feature = "documents")]
pub use documents::DocumentSearch;
pub use function::FnTool;
pub use output::{Json, ToolOutput};
pub use schema::{SchemaFault, schema_of};

pub(crate) use names::twice;
pub(crate) use schema::{Fit, check_name, normalised};
