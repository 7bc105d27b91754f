//! What functions may give a model.

use serde::Serialize;

use runtime_traits::AgentError;

/// What the function of a tool may give: it becomes the text that the model reads.
pub trait ToolOutput {
    /// The text.
    ///
    /// # Errors
    /// [`AgentError`] when there is none, as for a value that JSON cannot hold.
    fn into_text(self) -> Result<String, AgentError>;
}

/// Gives a model the JSON of a value.
///
/// ```
/// use runtime_agents::tools::{Json, ToolOutput};
///
/// assert_eq!(Json([1, 2]).into_text()?, "[1,2]");
/// # Ok::<(), runtime_traits::AgentError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> ToolOutput for Json<T> {
    fn into_text(self) -> Result<String, AgentError> {
        Ok(serde_json::to_string(&self.0)?)
    }
}

macro_rules! as_text {
    ($($type:ty),+) => {
        $(impl ToolOutput for $type {
            fn into_text(self) -> Result<String, AgentError> {
                Ok(self.to_string())
            }
        })+
    };
}

as_text!(&str, bool, i32, i64, u32, u64, usize, f64, serde_json::Value);

impl ToolOutput for String {
    fn into_text(self) -> Result<String, AgentError> {
        Ok(self)
    }
}

impl ToolOutput for () {
    fn into_text(self) -> Result<String, AgentError> {
        Ok("done".to_owned())
    }
}
