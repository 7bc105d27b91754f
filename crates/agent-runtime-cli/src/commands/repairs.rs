//! `state repair` and `state export`: what can still be read of a store.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use agent_runtime::fleet::StoreUri;
use agent_runtime::stores::{
    Change, ChangeSort, ExportLine, Quarantined, RepairError, RepairStep, Repaired, export_store,
    repair_store,
};
use agent_runtime::{Clock, SystemClock};
use serde_json::json;

use super::stores::{amount, left_of, not_copied, opened};
use crate::args::{Global, RepairArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::open;
use crate::progress::Progress;
use crate::render::{Row, Tone, counted, table};
use crate::screen::Screen;

/// Repairs a store into a new one. The damaged one is left as it is.
pub(super) async fn repair(screen: &Screen, global: &Global, args: &RepairArgs) -> Result<Exit, CliError> {
    let RepairArgs { store: uri, into, quarantine } = args;
    let aside = match (quarantine, into.path()) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => beside(path),
        (None, None) => return Err(CliError::NoQuarantine { store: into.to_string() }),
    };
    open::may_take(&[uri, into], global.nobody_serves)?;
    let from = left_of(screen, uri).await?;
    let made = into.path().filter(|path| !path.exists()).map(Path::to_owned);
    let to = opened(screen, into).await?;
    let mut lines = Lines::create(&aside)?;
    let bar = Progress::begin(screen, &format!("repairing {uri}"));
    // Written at once: the new store does not count as whole before all that it lacks is kept.
    let mut keep = |value: Quarantined| lines.write(&value).and_then(|()| lines.flush());
    let mut note = |step: RepairStep, cells: u64| bar.note(&doing(step, cells));
    let done = repair_store(&*from, &*to, SystemClock::default().now(), &mut keep, &mut note).await;
    bar.end();
    let written = lines.end();
    let repaired = match done {
        Ok(repaired) => repaired,
        Err(error) => {
            drop(to);
            if matches!(error, RepairError::Whole | RepairError::Newer { .. }) {
                // Nothing was written: what was made for it goes. That it cannot be removed adds nothing.
                made.into_iter().chain([aside.clone()]).for_each(|file| drop(fs::remove_file(file)));
            }
            if let RepairError::Whole = error {
                return whole(screen, uri);
            }
            return Err(match error {
                RepairError::Copy(error) => not_copied(error, uri, into),
                RepairError::Quarantine(source) => CliError::Unwritable { path: aside, source },
                error => error.into(),
            });
        }
    };
    written.map_err(|source| CliError::Unwritable { path: aside.clone(), source })?;
    tell(screen, args, &aside, &repaired)?;
    Ok(Exit::Done)
}

fn whole(screen: &Screen, uri: &StoreUri) -> Result<Exit, CliError> {
    if screen.lists_as_json() {
        screen.json(&json!({ "store": uri.to_string(), "repaired": null }))?;
    } else {
        screen.line(format!("{uri} {}: there is nothing to repair", screen.paint().good("is whole")))?;
    }
    Ok(Exit::Done)
}

fn tell(screen: &Screen, args: &RepairArgs, aside: &Path, repaired: &Repaired) -> Result<(), CliError> {
    let RepairArgs { store, into, .. } = args;
    if screen.lists_as_json() {
        let (store, into) = (store.to_string(), into.to_string());
        return screen.json(&json!({
            "store": store, "into": into, "quarantine": aside, "repaired": repaired,
        }));
    }
    let paint = screen.paint();
    let rows = repaired.changes.iter().map(row).collect();
    let head = ["CHANGE", "WHERE", "WHAT", "AGENT", "SESSION", "RUN"];
    screen.line(table(&head, rows, screen.terminal.width, paint.is_on()))?;
    let more = repaired.changed.saturating_sub(repaired.changes.len() as u64);
    if more > 0 {
        screen.line(format!("and {}", counted(more, "more change")))?;
    }
    screen.line(format!("{into} {}: {}", paint.good("is whole"), amount(&repaired.kept)))?;
    let values = counted(repaired.quarantined, "value");
    screen.line(format!("{} has {values} that are not in it, or not as they were", aside.display()))?;
    screen.line(format!("{store} is as it was"))?;
    screen.hint(&[format!("state verify {into}"), format!("--store {into} runs")]);
    Ok(())
}

fn row(change: &Change) -> Row {
    let (word, tone) = match change.change {
        ChangeSort::Mended => ("mended", Tone::Good),
        ChangeSort::Cut => ("cut", Tone::Warn),
        ChangeSort::Ended => ("ended", Tone::Warn),
        ChangeSort::LeftOut => ("left out", Tone::Bad),
    };
    let or_none = |text: Option<String>| (text.unwrap_or_default(), Tone::Plain);
    vec![
        (word.to_owned(), tone),
        (change.place.to_string(), Tone::Plain),
        (change.what.clone(), Tone::Plain),
        or_none(change.whose.agent.map(|agent| agent.to_string())),
        or_none(change.whose.session.as_ref().map(ToString::to_string)),
        or_none(change.whose.run.map(|run| run.to_string())),
    ]
}

fn doing(step: RepairStep, cells: u64) -> String {
    let step = match step {
        RepairStep::Looking => "read",
        RepairStep::Writing => "written",
        RepairStep::Checking => "checked",
    };
    format!("{step}: {}", counted(cells, "cell"))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".quarantine");
    name.into()
}

/// Writes what can be read of a store as lines of JSON.
pub(super) async fn export(
    screen: &Screen,
    global: &Global,
    uri: &StoreUri,
    to: &Path,
) -> Result<Exit, CliError> {
    open::may_take(&[uri], global.nobody_serves)?;
    let store = left_of(screen, uri).await?;
    let mut out = Out::create(to)?;
    let bar = Progress::begin(screen, &format!("exporting {uri}"));
    let done = export_store(&*store, &mut |line| out.write(&line)).await;
    bar.end();
    let done = done?;
    out.end().map_err(|source| CliError::Unwritable { path: to.to_owned(), source })?;
    if to != Path::new("-") {
        if screen.json {
            screen.json(&json!({ "store": uri.to_string(), "to": to, "exported": done }))?;
        } else {
            let amount = format!(
                "{}, {} with {}, {}",
                counted(done.agents, "agent"),
                counted(done.sessions, "session"),
                counted(done.messages, "message"),
                counted(done.runs, "run"),
            );
            screen.line(format!("{} has {amount}", to.display()))?;
        }
    }
    if done.missing == 0 {
        return Ok(Exit::Done);
    }
    let missing = counted(done.missing, "thing");
    screen.say(screen.paint_err().warn(format!("{missing} cannot be read: the lines `missing` say which")));
    Ok(Exit::Store)
}

/// A new file of lines, for its owner only.
struct Lines(BufWriter<File>);

impl Lines {
    fn create(path: &Path) -> Result<Self, CliError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => CliError::FileThere { path: path.to_owned() },
            _ => CliError::Unwritable { path: path.to_owned(), source },
        })?;
        Ok(Self(BufWriter::new(file)))
    }

    fn write<T: serde::Serialize>(&mut self, line: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn end(self) -> io::Result<()> {
        self.0.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// Where an export goes.
enum Out {
    Standard(BufWriter<io::Stdout>),
    File(Lines),
    Folder(HashMap<&'static str, Lines>),
}

impl Out {
    /// The files of a folder are made at once, so that nothing is found to be in the way later.
    fn create(to: &Path) -> Result<Self, CliError> {
        if to == Path::new("-") {
            return Ok(Self::Standard(BufWriter::new(io::stdout())));
        }
        if !to.is_dir() {
            return Lines::create(to).map(Self::File);
        }
        let files = ["agents", "sessions", "messages", "runs", "contents", "snapshots", "missing", "about"];
        let file = |name| Ok((name, Lines::create(&to.join(format!("{name}.jsonl")))?));
        files.into_iter().map(file).collect::<Result<_, CliError>>().map(Self::Folder)
    }

    fn write(&mut self, line: &ExportLine) -> io::Result<()> {
        match self {
            Self::Standard(out) => {
                serde_json::to_writer(&mut *out, line)?;
                out.write_all(b"\n")
            }
            Self::File(lines) => lines.write(line),
            Self::Folder(files) => match files.get_mut(file_of(line)) {
                Some(lines) => lines.write(line),
                None => Ok(()),
            },
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Standard(mut out) => out.flush(),
            Self::File(lines) => lines.end(),
            Self::Folder(files) => files.into_values().try_for_each(Lines::end),
        }
    }
}

fn file_of(line: &ExportLine) -> &'static str {
    match line {
        ExportLine::Agent { .. } | ExportLine::Want { .. } | ExportLine::Limits { .. } => "agents",
        ExportLine::Session { .. } | ExportLine::State { .. } => "sessions",
        ExportLine::Message { .. } => "messages",
        ExportLine::Open { .. } | ExportLine::Run { .. } => "runs",
        ExportLine::Content { .. } | ExportLine::Piece { .. } => "contents",
        ExportLine::Snapshot { .. } => "snapshots",
        ExportLine::Missing(_) => "missing",
        ExportLine::Store { .. } | ExportLine::End(_) => "about",
    }
}
