//! The prompt: a line with editing, completion, and what was typed before.

use std::borrow::Cow;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::orders::completions;
use crate::error::CliError;
use crate::render::Paint;
use crate::signals::Signals;

/// How many lines are remembered.
const REMEMBERED: usize = 1_000;

/// What came of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line.
    Typed(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    End,
    /// A signal asked this process to end.
    Signal(u8),
}

/// The prompt.
pub(crate) struct Keyboard {
    editor: Option<Editor<Manners, DefaultHistory>>,
    file: Option<PathBuf>,
    paint: Paint,
}

impl Keyboard {
    /// With the lines that were typed before, if their file can be read.
    ///
    /// # Errors
    /// [`CliError::Input`].
    pub(crate) fn new(paint: Paint) -> Result<Self, CliError> {
        let mut editor = editor(paint)?;
        let file = remembered_in().filter(|file| make(file).is_ok());
        if let Some(file) = &file {
            // A damaged file is no reason not to talk.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor: Some(editor), file, paint })
    }

    /// Asks for a line. With `keep` it is remembered for the next time; without, nothing that was typed before counts.
    ///
    /// # Errors
    /// [`CliError::Input`].
    pub(crate) async fn ask(
        &mut self,
        prompt: &str,
        keep: bool,
        signals: &mut Signals,
    ) -> Result<Line, CliError> {
        // An editor may have read ahead: what was typed for the agent must not answer a question.
        let editor = if keep { self.editor.take() } else { Some(editor(self.paint)?) };
        let Some(mut editor) = editor else { return Ok(Line::End) };
        let prompt = prompt.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let read = editor.readline(&prompt);
            (editor, read)
        });
        let (mut editor, read) = tokio::select! {
            done = reading => done.map_err(|error| CliError::Input(io::Error::other(error)))?,
            // The thread reads on; the process ends.
            signal = signals.next() => return Ok(Line::Signal(signal)),
        };
        let line = match read {
            Ok(line) => {
                let remembered = keep && editor.add_history_entry(line.as_str()).unwrap_or(false);
                if let Some(file) = self.file.as_ref().filter(|_| remembered) {
                    let _ = editor.append_history(file);
                }
                Line::Typed(line)
            }
            Err(ReadlineError::Interrupted) => Line::Interrupt,
            Err(ReadlineError::Eof) => Line::End,
            Err(error) => return Err(broken(error)),
        };
        if keep {
            self.editor = Some(editor);
        }
        Ok(line)
    }
}

fn editor(paint: Paint) -> Result<Editor<Manners, DefaultHistory>, CliError> {
    let config = Config::builder()
        .max_history_size(REMEMBERED)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(broken)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config).map_err(broken)?;
    editor.set_helper(Some(Manners { paint }));
    Ok(editor)
}

fn broken(error: ReadlineError) -> CliError {
    CliError::Input(match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    })
}

/// Where lines are remembered: below the folder for states of the XDG rules.
fn remembered_in() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).and_then(absolute);
    let state = named.or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).and_then(absolute)?;
        Some(home.join(".local/state"))
    })?;
    Some(state.join("agent-runtime").join("chat_history"))
}

/// Makes the file, for its owner only.
fn make(file: &Path) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    made.set_permissions(Permissions::from_mode(0o600))
}

/// How the prompt behaves.
struct Manners {
    paint: Paint,
}

impl Completer for Manners {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((0, completions(&line[..pos])))
    }
}

impl Validator for Manners {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        // A backslash at the end: more follows.
        let more = ctx.input().ends_with('\\');
        Ok(if more { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Highlighter for Manners {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(self.paint.place(prompt))
    }
}

impl Hinter for Manners {
    type Hint = String;
}

impl Helper for Manners {}
