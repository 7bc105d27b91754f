//! Search in a folder of documents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime_traits::model::ToolSpec;
use runtime_traits::{AgentError, Effect, StepCall, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::function::FnTool;
use crate::documents::{Answer, Documents, DocumentsError};

/// The tool `search_documents`: passages of a folder of text and Markdown, each with its file and line.
///
/// ```
/// use runtime_agents::tools::DocumentSearch;
/// use runtime_traits::Tool;
///
/// let manual = DocumentSearch::new("docs").named("search_manual");
/// assert_eq!(manual.spec().name, "search_manual");
/// ```
#[derive(Debug)]
pub struct DocumentSearch {
    folder: PathBuf,
    tool: FnTool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// What to look for: a question or words that the documents would have.
    query: String,
}

impl DocumentSearch {
    /// The name under which models see it, unless it has another.
    pub const NAME: &'static str = "search_documents";

    /// Searches the documents below `folder`, which is not touched before the first search.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        let description = "Searches the documents, and quotes the best passages with file and line.";
        Self::with(folder.as_ref().to_owned(), Self::NAME, description)
    }

    /// Gives it another name: for agents that have several folders.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        let description = self.tool.spec().description.clone();
        Self::with(self.folder, name, &description)
    }

    /// Says, for models, what the documents are.
    #[must_use]
    pub fn described(self, description: &str) -> Self {
        let name = self.tool.spec().name.clone();
        Self::with(self.folder, &name, description)
    }

    fn with(folder: PathBuf, name: &str, description: &str) -> Self {
        let (below, documents) = (folder.clone(), Arc::<Mutex<Option<Documents>>>::default());
        let tool = FnTool::new(name, description, move |search: Search| {
            look(below.clone(), Arc::clone(&documents), search.query)
        });
        Self { folder, tool: tool.effect(Effect::Pure) }
    }
}

/// Files are read and an index is searched: that is no work for the threads of the executor.
async fn look(
    folder: PathBuf,
    documents: Arc<Mutex<Option<Documents>>>,
    query: String,
) -> Result<String, AgentError> {
    let mut documents = documents.lock_owned().await;
    let searched = tokio::task::spawn_blocking(move || -> Result<Answer, DocumentsError> {
        let mut open = match documents.take() {
            Some(open) => open,
            None => Documents::open(&folder)?,
        };
        let answer = open.answer(&query, None);
        *documents = Some(open);
        answer
    });
    Ok(searched.await??.text())
}

#[async_trait::async_trait]
impl Tool for DocumentSearch {
    fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    fn effect(&self) -> Effect {
        Tool::effect(&self.tool)
    }

    async fn call(&self, call: &StepCall, arguments: &str) -> Result<String, AgentError> {
        self.tool.call(call, arguments).await
    }
}
