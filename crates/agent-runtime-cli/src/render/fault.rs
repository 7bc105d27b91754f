//! The faults of a fleet file, each with its line.

use std::path::Path;

use agent_runtime::fleet::Faults;

use super::style::Paint;

/// The faults, each with its place, its line, and what to do about it.
pub(crate) fn faults(path: &Path, faults: &Faults, paint: Paint) -> String {
    let mut text = String::new();
    for fault in faults {
        let place = format!("{}:{}:{}", path.display(), fault.line, fault.column);
        let number = fault.line.to_string();
        let gutter = " ".repeat(number.len());
        let before: String = fault.text.chars().take(fault.column as usize - 1).collect();
        // Tabs stay tabs, so that the mark stands below what it marks.
        let indent: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mark = "^".repeat(fault.width as usize);
        text.push_str(&format!("{}: {}\n", paint.place(place), paint.bold(&fault.what)));
        text.push_str(&paint.dim(format!(" {number} | ")));
        text.push_str(&format!("{}\n", fault.text));
        text.push_str(&paint.dim(format!(" {gutter} | ")));
        text.push_str(&format!("{indent}{} {}\n\n", paint.bad(mark), fault.remedy));
    }
    text
}
