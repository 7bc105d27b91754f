//! [`Librarian`]: the agent that answers questions about a folder of documents.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use runtime_traits::{
    Agent, AgentError, AgentKind, AgentSpec, Cause, Content, Ctx, Effect, HasSchema, Media, Name, NameError,
    Schema, SpecError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::documents::{Answer, Documents, DocumentsError, Topic, check};

/// The kind that specs of librarians name, and the name of a librarian that was given none.
const LIBRARIAN: &str = "librarian";
const DESCRIPTION: &str = "Answers questions with passages of a folder's documents.";

/// An agent that answers questions about a folder of text and Markdown with quoted passages, each with its file and line.
///
/// It needs no model, no key and no network. What the last question was about is the session's state: "tell me more"
/// brings further passages, also after a restart and in a restored agent. The folder is looked at before each answer, and
/// what has changed is read again.
///
/// # Examples
///
/// ```
/// use runtime_agents::Librarian;
/// use runtime_traits::Agent;
///
/// let librarian = Librarian::new("docs").described("Knows the manual.");
/// assert_eq!(librarian.spec().name.to_string(), "librarian");
/// ```
pub struct Librarian {
    folder: PathBuf,
    name: Name,
    description: String,
    /// Nothing until the first question: registering an agent reads no files.
    documents: Arc<Mutex<Option<Documents>>>,
}

/// Builds librarians from specs of the kind `librarian`, whose config is `{"documents": "<folder>"}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LibrarianKind;

/// What the log keeps of a search.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    pieces: Vec<String>,
    topic: Option<Topic>,
}

impl Librarian {
    /// A librarian for the documents below `folder`, named `librarian`.
    ///
    /// The folder is not touched before the first question.
    pub fn new(folder: impl AsRef<Path>) -> Librarian {
        Librarian {
            folder: folder.as_ref().to_owned(),
            name: Name::new(LIBRARIAN).expect("`librarian` is a name"),
            description: DESCRIPTION.to_owned(),
            documents: Arc::new(Mutex::new(None)),
        }
    }

    /// Gives it another name.
    ///
    /// # Errors
    ///
    /// `name` does not follow the rule for names.
    pub fn named(mut self, name: impl AsRef<str>) -> Result<Librarian, NameError> {
        self.name = Name::new(name)?;
        Ok(self)
    }

    /// Says, for people, what it knows.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Librarian {
        self.description = description.into();
        self
    }
}

impl fmt::Debug for Librarian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the documents: whoever prints an agent must not wait for a search.
        let mut debug = f.debug_struct("Librarian");
        debug.field("name", &self.name).field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[async_trait]
impl Agent for Librarian {
    fn spec(&self) -> AgentSpec {
        let folder = Value::from(self.folder.to_string_lossy());
        let config = serde_json::json!({ "documents": folder });
        let spec = AgentSpec::new(LIBRARIAN, self.name.as_str()).expect("both were names before");
        let spec = spec.described(&self.description);
        spec.configured(&config).expect("an object of one string is JSON")
    }

    async fn run(&self, ctx: Ctx, input: Content) -> Result<Content, AgentError> {
        let question = question(&input)?;
        let topic: Option<Topic> = ctx.load_state()?;
        let said: Said = ctx
            .step("search", Effect::Pure, &question, |_| {
                search(self.folder.clone(), self.documents.clone(), question.clone(), topic)
            })
            .await?;
        for piece in &said.pieces {
            ctx.preview(piece);
        }
        if let Some(topic) = &said.topic {
            ctx.keep_state(topic)?;
        }
        Ok(Content::text(said.pieces.concat()))
    }
}

impl AgentKind for LibrarianKind {
    fn name(&self) -> Name {
        Name::new(LIBRARIAN).expect("`librarian` is a name")
    }

    fn schemas(&self) -> Vec<Schema> {
        vec![Topic::schema()]
    }

    fn check(&self, spec: &AgentSpec) -> Result<(), SpecError> {
        folder_of(spec).map(drop)
    }

    fn build(&self, spec: &AgentSpec) -> Result<Arc<dyn Agent>, SpecError> {
        let librarian = Librarian::new(folder_of(spec)?).described(&spec.description);
        Ok(Arc::new(Librarian { name: spec.name.clone(), ..librarian }))
    }
}

/// The question in an input: text, or a string of JSON.
fn question(input: &Content) -> Result<String, AgentError> {
    let text = input.as_text()?;
    let string = (input.media == Media::Json).then(|| input.parse::<String>().ok()).flatten();
    Ok(string.unwrap_or_else(|| text.to_owned()))
}

/// Files are read and an index is searched: that is no work for the threads of the executor.
async fn search(
    folder: PathBuf,
    documents: Arc<Mutex<Option<Documents>>>,
    question: String,
    topic: Option<Topic>,
) -> Result<Said, AgentError> {
    // One search at a time, and those that wait hold no thread.
    let mut documents = documents.lock_owned().await;
    let searched = tokio::task::spawn_blocking(move || -> Result<Answer, DocumentsError> {
        // A search that panics leaves nothing behind, so that the next one reads the documents anew.
        let mut open = match documents.take() {
            Some(open) => open,
            None => Documents::open(&folder)?,
        };
        let answer = open.answer(&question, topic.as_ref());
        *documents = Some(open);
        answer
    });
    let Answer { pieces, topic, .. } = searched.await??;
    Ok(Said { pieces, topic })
}

/// The documents folder of a declaration, if it can be searched.
fn folder_of(spec: &AgentSpec) -> Result<PathBuf, SpecError> {
    let refused =
        |cause: String| SpecError::Config { agent: spec.name.to_string(), cause: Cause::says(cause) };
    let remedy = "set `documents` to the folder that holds the documents";
    let config: Value = serde_json::from_str(spec.config.get())
        .map_err(|error| refused(format!("its settings are no JSON ({error}): {remedy}")))?;
    let Some(settings) = config.as_object() else {
        return Err(refused(format!("its settings are no table: {remedy}")));
    };
    if let Some(unknown) = settings.keys().find(|key| *key != "documents") {
        return Err(refused(format!(
            "unknown setting `{unknown}`: a librarian has one, `documents`, the folder that holds the documents"
        )));
    }
    let folder = match settings.get("documents") {
        Some(Value::String(folder)) if !folder.trim().is_empty() => PathBuf::from(folder),
        Some(_) => return Err(refused(format!("setting `documents` is no path: {remedy}"))),
        None => return Err(refused(format!("setting `documents` is missing: {remedy}"))),
    };
    check(&folder).map_err(|error| SpecError::Needs {
        agent: spec.name.to_string(),
        what: "its documents".to_owned(),
        cause: Cause::of(&error),
    })?;
    Ok(folder)
}
