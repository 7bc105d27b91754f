//! The faults of a fleet file, each with its line.

use std::path::Path;

use agent_runtime::fleet::Faults;

use super::answer::visible;
use super::style::Paint;

/// The faults, each with its place, its line, and what to do about it.
pub(crate) fn faults(path: &Path, faults: &Faults, paint: Paint) -> String {
    let mut text = String::new();
    for fault in faults {
        let place = format!("{}:{}:{}", visible(&path.to_string_lossy()), fault.line, fault.column);
        let number = fault.line.to_string();
        let gutter = " ".repeat(number.len());
        let before: String = fault.text.chars().take(fault.column as usize - 1).collect();
        // Tabs stay tabs, so that the mark stands below what it marks.
        let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mark = "^".repeat(fault.width as usize);
        text.push_str(&format!("{}: {}\n", paint.place(place), paint.bold(visible(&fault.what))));
        text.push_str(&paint.dim(format!(" {number} | ")));
        text.push_str(&format!("{}\n", in_place(&fault.text)));
        text.push_str(&paint.dim(format!(" {gutter} | ")));
        text.push_str(&format!("{indent}{} {}\n\n", paint.bad(mark), visible(&fault.remedy)));
    }
    text
}

/// A line as it is in the file, but for control characters: each gives way to one that takes its place, so that the mark
/// below stands where it should.
fn in_place(line: &str) -> String {
    let harmless = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    line.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agent_runtime::fleet::Fleet;

    use super::{Paint, faults};

    #[test]
    fn a_fleet_file_cannot_steer_the_terminal() {
        let written =
            ["\"\\u001b[2Jfoo\" = 1\n", "x = \"\u{1b}[2J\"\n", "durability = \"\\u001b]0;t\\u0007\"\n"];
        for text in written {
            let found = Fleet::parse(text).unwrap_err();

            let shown = faults(Path::new("\u{1b}[2Jfleet.toml"), &found, Paint::new(false));

            let steering = shown.chars().any(|c| c.is_control() && c != '\n');
            assert!(!steering, "{shown:?}");
        }
    }
}
