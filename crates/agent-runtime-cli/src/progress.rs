//! The spinner that is shown while a command waits: on the standard error, where somebody sees it.

use std::fmt;
use std::io::{self, Stderr, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use rustix::termios::tcgetwinsize;

use crate::screen::Screen;

/// How many columns the spinner leaves free at the end of its line: the terminal writes `^C` there, which would else begin
/// another line, and leave the spinner's behind.
const FREE: u16 = 4;

/// The spinner. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    name: String,
}

impl Progress {
    /// Begins to turn, with the name of what is waited for.
    pub(crate) fn begin(screen: &Screen, name: &str) -> Self {
        let target = if screen.terminal.err && screen.terminal.foreground && !screen.json {
            ProgressDrawTarget::term_like(Box::new(Margin { out: io::stderr(), columns }))
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = if screen.terminal.colour { "{spinner:.cyan} {msg:.dim}" } else { "{spinner} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(80));
        Self { bar, name: name.to_owned() }
    }

    /// Says what is being done.
    pub(crate) fn note(&self, doing: &str) {
        let message = if doing.is_empty() { self.name.clone() } else { format!("{} · {doing}", self.name) };
        self.bar.set_message(message);
    }

    /// Takes the spinner away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// A terminal whose last columns are left free.
struct Margin<W> {
    out: W,
    columns: fn() -> u16,
}

/// How many columns the terminal has now.
fn columns() -> u16 {
    tcgetwinsize(io::stderr()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(80)
}

impl<W> fmt::Debug for Margin<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Margin").field("columns", &(self.columns)()).finish_non_exhaustive()
    }
}

/// What can be written to by many, as the standard error can.
trait Shared: Send + Sync {
    fn put(&self, text: &str) -> io::Result<()>;
}

impl Shared for Stderr {
    fn put(&self, text: &str) -> io::Result<()> {
        self.lock().write_all(text.as_bytes())
    }
}

impl<W: Shared> Margin<W> {
    fn go(&self, steps: usize, to: char) -> io::Result<()> {
        if steps == 0 { Ok(()) } else { self.out.put(&format!("\u{1b}[{steps}{to}")) }
    }
}

impl<W: Shared> TermLike for Margin<W> {
    fn width(&self) -> u16 {
        (self.columns)().saturating_sub(FREE).max(1)
    }

    fn move_cursor_up(&self, steps: usize) -> io::Result<()> {
        self.go(steps, 'A')
    }

    fn move_cursor_down(&self, steps: usize) -> io::Result<()> {
        self.go(steps, 'B')
    }

    fn move_cursor_right(&self, steps: usize) -> io::Result<()> {
        self.go(steps, 'C')
    }

    fn move_cursor_left(&self, steps: usize) -> io::Result<()> {
        self.go(steps, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.out.put(text).and_then(|()| self.out.put("\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.out.put(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.out.put("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressBar, ProgressDrawTarget};
    use unicode_width::UnicodeWidthStr;

    use super::{Margin, Shared};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Shared for Paper {
        fn put(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
    }

    #[test]
    fn what_the_terminal_writes_of_ctrl_c_fits_behind_the_spinner_which_is_then_gone() {
        let paper = Paper::default();
        let margin = Margin { out: paper.clone(), columns: || 40 };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(margin)));

        bar.set_message("a message that is far longer than the terminal is wide");
        bar.tick();
        bar.finish_and_clear();

        let written = paper.0.lock().unwrap().clone();
        assert!(written.ends_with("\r\u{1b}[2K"), "{written:?}");
        let lines: Vec<usize> =
            written.replace("\u{1b}[2K", "\r").split(['\r', '\n']).map(UnicodeWidthStr::width).collect();
        assert!(lines.iter().any(|width| *width > 0), "{written:?}");
        assert!(lines.iter().all(|width| *width <= 40 - "^C".len()), "{written:?}");
    }
}
