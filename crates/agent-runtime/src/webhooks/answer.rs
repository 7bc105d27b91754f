//! What came of a try. Pure.

use std::time::{Duration, SystemTime};

use runtime_agents::http::{Posted, WebError};
use runtime_traits::{Cause, UnixMillis};

/// How long an endpoint is left alone at most because it asks for it.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was taken.
    Taken,
    /// The endpoint is there no more, and says so.
    Gone,
    /// It was not taken.
    Failed {
        /// Why not.
        cause: String,
        /// How long the endpoint wants to be left alone, an hour at most.
        wait: Option<Duration>,
        /// Whether the endpoint has to do with it, or perhaps only what was delivered.
        of_endpoint: bool,
    },
}

impl Answer {
    pub(super) fn of(posted: Result<Posted, WebError>, now: UnixMillis) -> Self {
        let Posted { status, retry_after, said } = match posted {
            Ok(posted) => posted,
            Err(error) => {
                let cause = Cause::of(&error).to_string();
                return Self::Failed { cause, wait: None, of_endpoint: true };
            }
        };
        let mut cause = format!("it answers with status {status}");
        if !said.is_empty() {
            cause.extend([": ", &said]);
        }
        match status {
            200..=299 => Self::Taken,
            410 => Self::Gone,
            _ => Self::Failed {
                cause,
                wait: retry_after.and_then(|said| wait(&said, now)),
                of_endpoint: matches!(status, 408 | 425 | 429 | 500..),
            },
        }
    }
}

/// How long `Retry-After` asks to wait, as far as it is believed: seconds, or until a date.
fn wait(said: &str, now: UnixMillis) -> Option<Duration> {
    let asked = match said.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(said.trim()).ok()?;
            let date = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            UnixMillis(0).after(date).since(now)
        }
    };
    Some(asked.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, retry_after: Option<&str>) -> Answer {
        let posted = Posted { status, retry_after: retry_after.map(str::to_owned), said: "no".to_owned() };
        Answer::of(Ok(posted), UnixMillis(784_111_777_000 - 60_000))
    }

    #[test]
    fn what_is_not_2xx_was_not_taken_and_redirects_are_not_followed() {
        for taken in [200, 201, 202, 204, 299] {
            assert_eq!(of(taken, None), Answer::Taken);
        }
        assert_eq!(of(410, None), Answer::Gone);
        for (status, blamed) in [
            (301, false),
            (307, false),
            (400, false),
            (401, false),
            (404, false),
            (422, false),
            (408, true),
            (425, true),
            (429, true),
            (500, true),
            (503, true),
            (599, true),
        ] {
            let cause = format!("it answers with status {status}: no");
            assert_eq!(of(status, None), Answer::Failed { cause, wait: None, of_endpoint: blamed });
        }
    }

    #[test]
    fn how_long_to_wait_is_said_in_seconds_or_by_a_date() {
        let wait = |said| match of(503, Some(said)) {
            Answer::Failed { wait, .. } => wait,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn no_more_than_an_hour_is_believed() {
        for said in ["3600", "3601", "31536000", "18446744073709551615", "Sun, 06 Nov 2044 08:49:37 GMT"] {
            let Answer::Failed { wait, .. } = of(503, Some(said)) else { panic!("{said}") };
            assert_eq!(wait, Some(Duration::from_secs(3_600)), "{said}");
        }
    }
}
