//! What leaves a partition arrives, and nothing of it is left behind.

use std::collections::BTreeMap;

use super::Case;
use crate::chaos::evidence::Mailbox;
use crate::chaos::violation::Law;

impl Case<'_> {
    pub(super) fn check_mail(&mut self) {
        let evidence = self.evidence;
        let sent: BTreeMap<String, u64> = evidence
            .boxes
            .iter()
            .map(|(partition, boxes)| (partition.to_string(), boxes.outbox.written))
            .collect();
        for (partition, boxes) in &evidence.boxes {
            for (which, mailbox) in [("inbox", boxes.inbox), ("outbox", boxes.outbox)] {
                let Mailbox { written, left, done } = mailbox;
                self.hold(Law::Mail, left == 0 && done == written, || {
                    format!(
                        "the {which} of {partition} had {written} mails, {done} are done, {left} are left"
                    )
                });
            }
            for (from, taken) in &boxes.taken_from {
                let sent = sent.get(from).copied().unwrap_or(0);
                self.hold(Law::Mail, *taken <= sent, || {
                    format!("{partition} has taken mail {taken} of {from}, which has sent {sent}")
                });
            }
        }
    }
}
