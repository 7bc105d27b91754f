//! The spinner that is shown while a command waits: on the standard error, where somebody sees it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::screen::Screen;

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
            ProgressDrawTarget::stderr()
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
