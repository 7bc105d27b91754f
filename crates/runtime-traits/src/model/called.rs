//! Which model is called.

/// A model that is called, and what the call is counted under at its provider.
///
/// ```
/// use runtime_traits::model::CalledModel;
///
/// let called = CalledModel::from("openai/gpt-4o").with_credential("env:TEAM_A_KEY");
/// assert_eq!((called.name.as_str(), called.credential.as_deref()), ("openai/gpt-4o", Some("env:TEAM_A_KEY")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CalledModel {
    /// Provider and name: `openai/gpt-4o`.
    pub name: String,
    /// Where the key is that the call carries, as in `env:NAME` or `file:PATH`: a name, never the key itself. `None`: it carries
    /// none.
    pub credential: Option<String>,
}

impl CalledModel {
    /// Says where the key is that the call carries.
    #[must_use]
    pub fn with_credential(mut self, credential: impl Into<String>) -> Self {
        self.credential = Some(credential.into());
        self
    }
}

impl From<&str> for CalledModel {
    /// Without a credential.
    fn from(name: &str) -> Self {
        Self::from(name.to_owned())
    }
}

impl From<String> for CalledModel {
    /// Without a credential.
    fn from(name: String) -> Self {
        Self { name, credential: None }
    }
}
