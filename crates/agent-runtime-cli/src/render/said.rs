//! What was said in a conversation, for people: texts, and a line for each call with what came of it. Pure.

use agent_runtime::RunId;
use agent_runtime::log::Author;
use agent_runtime::model::{ModelReply, ToolResult};
use agent_runtime::runtime::Said;

use unicode_width::UnicodeWidthStr;

use super::answer::visible;
use super::call::Called;
use super::style::Paint;
use super::words::cut;

/// How a line of a call begins.
const INDENT: usize = 4;

/// The messages, a blank line before each turn.
pub(crate) fn lines(messages: &[Said], width: usize, paint: Paint) -> Vec<String> {
    let mut page = Page { width, paint, lines: Vec::new(), open: Vec::new(), last: None };
    for said in messages {
        page.take(said);
    }
    page.close();
    page.lines
}

/// What somebody typed, as the prompt shows it.
pub(crate) fn typed(text: &str, paint: Paint) -> Vec<String> {
    let begin = |number: usize| if number == 0 { paint.place("›") } else { " ".to_owned() };
    let lines = visible(text);
    lines
        .lines()
        .enumerate()
        .map(|(number, line)| format!("{} {}", begin(number), paint.bold(line)))
        .collect()
}

/// A call with what came of it: `✓ search  query: "leases"  1.2 s`, or why it failed.
pub(crate) fn call(
    called: &Called,
    end: Option<Result<(), &str>>,
    took: &str,
    width: usize,
    paint: Paint,
) -> String {
    let mark = match end {
        None => paint.dim("·"),
        Some(Ok(())) => paint.good("✓"),
        Some(Err(_)) => paint.bad("✗"),
    };
    let room = width.saturating_sub(INDENT + took.len() + 2);
    let more = match end {
        Some(Err(why)) => {
            // Its mark says that it is an error.
            let why = why.strip_prefix("Error: ").unwrap_or(why);
            let why = visible(why).replace(['\n', '\t'], " ");
            let short = called.short(room.saturating_sub(2 + why.width().min(room / 2)));
            cut(&format!("{short}  {why}"), room)
        }
        _ => called.short(room),
    };
    let took = if took.is_empty() { String::new() } else { format!("  {took}") };
    format!("  {mark} {}", paint.dim(format!("{more}{took}")))
}

struct Page {
    width: usize,
    paint: Paint,
    lines: Vec<String>,
    /// Calls whose results come later, with their ids.
    open: Vec<(String, Called)>,
    /// What a model said last, and in which run: its outcome says the same again.
    last: Option<(RunId, String)>,
}

impl Page {
    fn take(&mut self, said: &Said) {
        match said.author {
            Author::Caller => {
                self.close();
                self.blank();
                self.lines.extend(typed(&said.content.to_string(), self.paint));
            }
            Author::Model => match said.content.parse::<ModelReply>() {
                Ok(reply) => self.reply(said.run, reply),
                Err(_) => self.text(&said.content.to_string()),
            },
            Author::Tool => self.result(said),
            Author::Agent => {
                self.close();
                let text = said.content.to_string();
                if self.last.take() != Some((said.run, text.clone())) {
                    self.text(&text);
                }
            }
        }
    }

    fn reply(&mut self, run: RunId, reply: ModelReply) {
        self.close();
        if !reply.text.is_empty() {
            self.text(&reply.text);
            self.last = Some((run, reply.text));
        }
        let called = reply.calls.into_iter().map(|call| (call.id, Called::tool(&call.name, &call.arguments)));
        self.open.extend(called);
    }

    fn result(&mut self, said: &Said) {
        let Ok(result) = said.content.parse::<ToolResult>() else {
            return self.text(&said.content.to_string());
        };
        let at = self.open.iter().position(|(id, _)| *id == result.call);
        let called = match at {
            Some(at) => self.open.remove(at).1,
            None => Called::tool("a tool", "{}"),
        };
        let end = if result.failed { Err(result.text.as_str()) } else { Ok(()) };
        self.lines.push(call(&called, Some(end), "", self.width, self.paint));
    }

    /// Calls that nobody answered.
    fn close(&mut self) {
        for (_, called) in std::mem::take(&mut self.open) {
            self.lines.push(call(&called, None, "", self.width, self.paint));
        }
    }

    fn text(&mut self, text: &str) {
        self.lines.extend(visible(text).trim_end().lines().map(str::to_owned));
    }

    fn blank(&mut self) {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
        }
    }
}
