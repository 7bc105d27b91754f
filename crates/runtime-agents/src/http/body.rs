//! From an answer to a text for a model.

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use crate::http::client::failure;
use crate::http::error::WebError;

/// How much of a refusal is told.
const REFUSAL: usize = 500;

/// The text of an answer, of at most `most` bytes; what is more is said to be cut off.
pub(crate) async fn text(mut response: Response, most: usize) -> Result<String, WebError> {
    let status = response.status();
    let media = response
        .headers()
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if status.is_success() && media.as_deref().is_some_and(|media| !is_text(media)) {
        return Err(WebError::NoText { media: media.unwrap_or_default() });
    }
    let most = if status.is_success() { most } else { REFUSAL.min(most) };
    let url = response.url().clone();
    let mut bytes = Vec::new();
    let mut is_cut = false;
    while let Some(piece) = response.chunk().await.map_err(|error| failure(&url, &error))? {
        let room = most - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            is_cut = true;
            break;
        }
    }
    if media.is_none() && bytes.contains(&0) {
        return Err(WebError::NoText { media: "bytes".to_owned() });
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if is_cut {
        text.push_str(&format!("\n[cut off after {most} bytes]"));
    }
    if status.is_success() {
        return Ok(text);
    }
    Err(WebError::Status {
        status: status.as_u16(),
        said: text.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// Whether a media type is one of text.
fn is_text(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((main, sub)) = essence.split_once('/') else { return false };
    let known =
        ["json", "xml", "javascript", "ecmascript", "yaml", "toml", "x-ndjson", "x-www-form-urlencoded"];
    main == "text"
        || (main == "application"
            && (known.contains(&sub) || sub.ends_with("+json") || sub.ends_with("+xml")))
}
