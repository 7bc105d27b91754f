//! What a run asks of somebody, shown to the last character. Pure.

use crate::asks::{Asked, What};

use super::style::Paint;

/// The lines that show it.
pub(crate) fn lines(asked: &Asked, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    match &asked.what {
        What::Question(question) => {
            let mark = paint.warn("?");
            for (number, line) in question.lines().enumerate() {
                lines.push(if number == 0 {
                    format!("{mark} {}", paint.bold(line))
                } else {
                    format!("  {line}")
                });
            }
            if question.is_empty() {
                lines.push(format!("{mark} {}", paint.bold(format!("step `{}` asks", asked.step))));
            }
        }
        What::Consent(called) => {
            let mark = paint.warn("!");
            let what = match called {
                Some(called) => super::exact::exact(&called.name),
                None => "a call that is not shown".to_owned(),
            };
            let hash = paint.dim(format!("({}, {})", asked.step, asked.mark()));
            lines.push(format!("{mark} {} {hash}", paint.bold(format!("consent is asked for: {what}"))));
            let whole = called.as_ref().map(super::call::Called::whole).unwrap_or_default();
            lines.extend(whole.lines().map(|line| format!("    {line}")));
        }
    }
    lines
}
