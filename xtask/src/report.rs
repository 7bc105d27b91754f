//! What is printed at the end: a line for each stage, and the sum.

/// One line of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) passed: bool,
    /// Tests that passed in this stage; 0 where none are counted.
    pub(crate) tests: u64,
}

/// The table of the stages that ran, with their sum.
pub(crate) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("stage".len());
    let mut lines = vec![format!("{:width$}  {:>8}", "stage", "seconds")];
    for row in rows {
        let note = match row {
            Row { passed: false, .. } => "  failed".to_owned(),
            Row { tests: 0, .. } => String::new(),
            Row { tests, .. } => format!("  {tests} tests passed"),
        };
        lines.push(format!("{:width$}  {:>8.1}{note}", row.name, row.seconds));
    }
    let sum: f64 = rows.iter().map(|row| row.seconds).sum();
    lines.push(format!("{:width$}  {sum:>8.1}", "all"));
    lines.join("\n")
}

/// The number of passed tests in the output of `cargo test`.
pub(crate) fn passed_tests(output: &str) -> u64 {
    let passed = |line: &str| {
        let count = line.strip_prefix("test result: ok. ")?.split_once(" passed")?.0;
        count.parse::<u64>().ok()
    };
    output.lines().filter_map(passed).sum()
}

#[cfg(test)]
mod tests {
    use super::{Row, passed_tests, table};

    #[test]
    fn passed_tests_of_all_binaries_are_summed() {
        let output = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n\
            test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured\n\
            test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured\n";

        assert_eq!(passed_tests(output), 42);
    }

    #[test]
    fn the_table_names_the_failed_stage_and_sums_the_seconds() {
        let row = |name: &str, seconds, passed, tests| Row { name: name.to_owned(), seconds, passed, tests };

        let table = table(&[row("test", 1.25, true, 42), row("example a", 0.5, false, 0)]);

        assert_eq!(
            table,
            "stage       seconds\n\
             test            1.2  42 tests passed\n\
             example a       0.5  failed\n\
             all             1.8"
        );
    }
}
