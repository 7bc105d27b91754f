//! What a run shows of steps under way, before it is recorded.

use runtime_traits::clock::UnixMillis;
use runtime_traits::log::StepKey;
use runtime_traits::runtime::StreamItem;
use tokio::sync::broadcast;

/// The most previews that a slow reader may be behind; then it is shown anew what is kept.
const BEHIND: usize = 256;
/// The most bytes that are kept for whoever comes late, of all steps of a run together.
pub(super) const KEPT: usize = 8 * 1024;

/// Something that is shown, and its place among the entries.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// How many entries were committed then: it comes after them, and before all others.
    pub(super) after: u64,
    pub(super) item: StreamItem,
}

/// What a run shows of steps under way: to those who watch, and for those who come late.
#[derive(Debug, Default)]
pub(super) struct Previews {
    watched: Option<broadcast::Sender<Shown>>,
    /// No more than there are steps under way; the one that showed something last is the last.
    kept: Vec<Kept>,
    bytes: usize,
    shown_at: Option<UnixMillis>,
}

/// What was shown of one step so far.
#[derive(Debug)]
struct Kept {
    /// `None` is the output itself.
    step: Option<StepKey>,
    text: String,
    /// Its beginning was let go.
    gap: bool,
}

impl Previews {
    /// Shows a piece to those who watch, and keeps it for those who do not yet.
    pub(super) fn show(&mut self, after: u64, step: Option<StepKey>, text: &str, now: UnixMillis) {
        self.shown_at = Some(now);
        if let Some(watched) = self.watched() {
            let item = StreamItem::Preview { step: step.clone(), text: text.to_owned(), gap: false };
            // Nobody listening is no failure: whoever comes is shown what is kept.
            let _ = watched.send(Shown { after, item });
        }
        self.keep(step, text);
    }

    /// When a piece was shown last.
    pub(super) fn shown_at(&self) -> Option<UnixMillis> {
        self.shown_at
    }

    /// Takes back what was shown of a step.
    pub(super) fn retract(&mut self, after: u64, step: &StepKey) {
        if let Some(watched) = self.watched() {
            let _ = watched.send(Shown { after, item: StreamItem::Retracted { step: Some(step.clone()) } });
        }
        self.forget(step);
    }

    /// What is kept of a step is let go: its value is recorded, or never will be.
    pub(super) fn forget(&mut self, step: &StepKey) {
        if let Some(at) = self.kept.iter().position(|kept| kept.step.as_ref() == Some(step)) {
            self.bytes -= self.kept.remove(at).text.len();
        }
    }

    /// All that is kept is let go: the attempt that showed it is over.
    pub(super) fn forget_all(&mut self) {
        (self.kept, self.bytes) = (Vec::new(), 0);
    }

    /// What was shown so far, one piece for each step, and whatever is shown from now on.
    pub(super) fn watch(&mut self, after: u64) -> (Vec<Shown>, broadcast::Receiver<Shown>) {
        let watched = self.watched.get_or_insert_with(|| broadcast::channel(BEHIND).0).subscribe();
        let kept = self.kept.iter().map(|Kept { step, text, gap }| Shown {
            after,
            item: StreamItem::Preview { step: step.clone(), text: text.clone(), gap: *gap },
        });
        (kept.collect(), watched)
    }

    fn watched(&self) -> Option<&broadcast::Sender<Shown>> {
        self.watched.as_ref().filter(|watched| watched.receiver_count() > 0)
    }

    fn keep(&mut self, step: Option<StepKey>, text: &str) {
        let known = self.kept.iter().position(|kept| kept.step == step).map(|at| self.kept.remove(at));
        let mut kept = known.unwrap_or(Kept { step, text: String::new(), gap: false });
        let end = &text[text.ceil_char_boundary(text.len().saturating_sub(KEPT))..];
        if end.len() < text.len() {
            self.bytes -= kept.text.len();
            kept.text.clear();
            kept.gap = true;
        }
        kept.text.push_str(end);
        self.bytes += end.len();
        self.kept.push(kept);
        for kept in &mut self.kept {
            let excess = self.bytes.saturating_sub(KEPT).min(kept.text.len());
            if excess > 0 {
                let gone = kept.text.ceil_char_boundary(excess);
                kept.text.drain(..gone);
                kept.gap = true;
                self.bytes -= gone;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime_traits::clock::UnixMillis;
    use runtime_traits::log::StepKey;
    use runtime_traits::runtime::StreamItem;

    use super::{KEPT, Previews};

    fn key(name: &str) -> StepKey {
        name.parse().unwrap()
    }

    /// What somebody is shown who comes now.
    fn late(previews: &mut Previews) -> Vec<(String, String, bool)> {
        let (shown, _) = previews.watch(0);
        let piece = |item| match item {
            StreamItem::Preview { step, text, gap } => {
                (step.map(|step| step.to_string()).unwrap_or_default(), text, gap)
            }
            item => unreachable!("{item:?}"),
        };
        shown.into_iter().map(|shown| piece(shown.item)).collect()
    }

    fn piece(step: &str, text: impl Into<String>, gap: bool) -> (String, String, bool) {
        (step.to_owned(), text.into(), gap)
    }

    #[test]
    fn what_was_shown_is_one_piece_for_each_step() {
        let mut previews = Previews::default();
        for (step, text) in [("a", "one "), ("b", "uno "), ("a", "two"), ("b", "due")] {
            previews.show(1, Some(key(step)), text, UnixMillis(7));
        }
        assert_eq!(late(&mut previews), [piece("a", "one two", false), piece("b", "uno due", false)]);
        previews.show(1, None, "out", UnixMillis(7));
        previews.show(1, Some(key("a")), " three", UnixMillis(7));
        let all = [piece("b", "uno due", false), piece("", "out", false), piece("a", "one two three", false)];
        assert_eq!(late(&mut previews), all, "who spoke last comes last");

        previews.retract(1, &key("a"));
        previews.show(1, Some(key("a")), "anew", UnixMillis(7));
        previews.forget(&key("b"));
        assert_eq!(late(&mut previews), [piece("", "out", false), piece("a", "anew", false)]);
        previews.forget_all();
        assert_eq!(late(&mut previews), []);
    }

    #[test]
    fn the_oldest_part_is_let_go_and_that_is_said() {
        let mut previews = Previews::default();
        previews.show(1, Some(key("a")), "ä-", UnixMillis(7));
        previews.show(1, Some(key("b")), &"b".repeat(KEPT - 1), UnixMillis(7));
        assert_eq!(
            late(&mut previews),
            [piece("a", "-", true), piece("b", "b".repeat(KEPT - 1), false)],
            "no character is cut"
        );

        previews.show(1, Some(key("b")), "bbb", UnixMillis(7));
        assert_eq!(late(&mut previews), [piece("a", "", true), piece("b", "b".repeat(KEPT), true)]);
        previews.show(1, Some(key("a")), "+", UnixMillis(7));
        assert_eq!(late(&mut previews), [piece("b", "b".repeat(KEPT - 1), true), piece("a", "+", true)]);

        previews.retract(1, &key("b"));
        previews.show(1, Some(key("c")), "before", UnixMillis(7));
        previews.show(1, Some(key("c")), &format!("{}end", "c".repeat(KEPT)), UnixMillis(7));
        let end = format!("{}end", "c".repeat(KEPT - 3));
        assert_eq!(late(&mut previews), [piece("a", "", true), piece("c", end, true)]);
    }
}
