//! What comes over the standard input.

use std::io::{BufRead, Read};

use crate::error::CliError;

/// The most that is read from the standard input. The runtime takes less, and says how much.
const MOST: u64 = 64 * 1024 * 1024;

/// What was given, or with `-` the whole standard input.
///
/// # Errors
/// [`CliError::Input`].
pub(crate) fn text(given: &str) -> Result<String, CliError> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut input = String::new();
    std::io::stdin().take(MOST).read_to_string(&mut input).map_err(CliError::Input)?;
    Ok(input)
}

/// The next line of the standard input, without its end. `None`: there are no more.
///
/// # Errors
/// [`CliError::Input`].
pub(crate) fn line() -> Result<Option<String>, CliError> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(MOST).read_line(&mut line).map_err(CliError::Input)?;
    if line.ends_with('\n') {
        line.pop();
    }
    if line.ends_with('\r') {
        line.pop();
    }
    Ok((read > 0).then_some(line))
}
