//! What people do about runs that look like poison, because they were killed from outside too often.

use std::time::Duration;

use runtime_traits::{RunId, Runtime, RuntimeError};

use super::Operator;
use crate::chaos::book::Cancel;
use crate::chaos::lives::{Up, is_away};
use crate::chaos::violation::Law;

/// Why one is dropped.
const REASON: &str = "its conversation went on without it";

impl Operator {
    /// Requeues a run, or drops one whose conversation went on without it.
    pub(super) async fn let_out(&self, up: &Up, run: RunId) {
        match up.runtime.requeue(&run).await {
            Ok(()) | Err(RuntimeError::RunOver { .. }) => {}
            Err(RuntimeError::CannotRequeue { .. }) => {
                let view = up.runtime.run_status(&run).await;
                // It may have landed before.
                if view.is_ok_and(|view| view.is_quarantined()) {
                    self.give_up(up, run).await;
                }
            }
            Err(error) if is_away(&error) => {}
            Err(error) => self.book.violation(Law::Served, format!("requeueing {run} was answered: {error}")),
        }
    }

    async fn give_up(&self, up: &Up, run: RunId) {
        let nth = {
            let mut pages = self.book.open();
            pages.cancels.push(Cancel { run, answer: None });
            pages.cancels.len() - 1
        };
        match up.runtime.cancel(&run, REASON, Duration::ZERO).await {
            Ok(receipt) => {
                self.book.open().cancels[nth].answer = Some((receipt, self.clock.now(), up.life));
            }
            Err(error) if is_away(&error) => {}
            Err(error) => self.book.violation(Law::Served, format!("dropping {run} was answered: {error}")),
        }
    }
}
