//! What goes into a run and comes out of it, and how the log refers to it.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::agent::AgentError;
use crate::name::NameError;

/// How bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// UTF-8 text: `text/plain`.
    Text,
    /// JSON: `application/json`.
    Json,
    /// Anything: `application/octet-stream`.
    Bytes,
}

/// Bytes with their meaning: an input, an output, a message, the result of a step.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Content {
    /// How to read them.
    pub media: Media,
    /// The bytes.
    pub bytes: Bytes,
}

/// The BLAKE3 hash of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// How the log refers to content: in place while it is small, by its hash otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// At most [`Payload::INLINE_LIMIT`] bytes.
    Inline(Content),
    /// Kept beside the log under its hash, in chunks, written before the batch that names it.
    Blob {
        /// The hash of the bytes.
        hash: Digest,
        /// How many bytes.
        len: u64,
        /// How to read them.
        media: Media,
    },
}

impl Content {
    /// UTF-8 text.
    ///
    /// ```
    /// # use runtime_traits::Content;
    /// assert_eq!(Content::text("hello").to_string(), "hello");
    /// ```
    pub fn text(text: impl Into<String>) -> Self {
        Self { media: Media::Text, bytes: Bytes::from(text.into()) }
    }

    /// The JSON of `value`.
    ///
    /// # Errors
    /// What serde says of a value that JSON cannot hold.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { media: Media::Json, bytes: serde_json::to_vec(value)?.into() })
    }

    /// Any bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { media: Media::Bytes, bytes: bytes.into() }
    }

    /// The text, if this is text or JSON.
    ///
    /// # Errors
    /// [`AgentError`] when the bytes are not UTF-8.
    pub fn as_text(&self) -> Result<&str, AgentError> {
        std::str::from_utf8(&self.bytes).map_err(|_| AgentError::says("the content is not UTF-8 text"))
    }

    /// Reads the JSON as `T`.
    ///
    /// # Errors
    /// What serde says of bytes that are not the JSON of a `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }

    /// The hash of media and bytes: two contents with one digest are the same content.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[self.media as u8]);
        hasher.update(&self.bytes);
        Digest(*hasher.finalize().as_bytes())
    }
}

impl Digest {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl Payload {
    /// The most bytes that the log holds in place.
    pub const INLINE_LIMIT: usize = 8 * 1024;

    /// Refers to `content`: in place if it is small.
    pub fn of(content: &Content) -> Self {
        if content.bytes.len() <= Self::INLINE_LIMIT {
            Self::Inline(content.clone())
        } else {
            Self::Blob { hash: content.digest(), len: content.bytes.len() as u64, media: content.media }
        }
    }

    /// How many bytes the content has.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(content) => content.bytes.len() as u64,
            Self::Blob { len, .. } => *len,
        }
    }

    /// Whether the content has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.to_string().chars().take(60).collect();
        write!(f, "{:?}({} B, {shown:?})", self.media, self.bytes.len())
    }
}

/// People and programs read `{"text": …}`, `{"json": …}` or `{"hex": …}`; the store reads media and bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Readable {
    Text(String),
    Json(Box<RawValue>),
    Hex(String),
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return (self.media, &self.bytes).serialize(serializer);
        }
        let readable = match self.media {
            Media::Text => std::str::from_utf8(&self.bytes).ok().map(|t| Readable::Text(t.to_owned())),
            Media::Json => serde_json::from_slice(&self.bytes).ok().map(Readable::Json),
            Media::Bytes => None,
        };
        readable.unwrap_or_else(|| Readable::Hex(hex(&self.bytes))).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            let (media, bytes) = Deserialize::deserialize(deserializer)?;
            return Ok(Self { media, bytes });
        }
        match Readable::deserialize(deserializer)? {
            Readable::Text(text) => Ok(Self::text(text)),
            // The very bytes: another spelling would be another content.
            Readable::Json(value) => {
                Ok(Self { media: Media::Json, bytes: String::from(Box::<str>::from(value)).into() })
            }
            Readable::Hex(text) => {
                unhex(&text).map(Self::bytes).ok_or_else(|| de::Error::custom("not hexadecimal"))
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", &hex(&self.0[..6]))
    }
}

impl std::str::FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| NameError::new("digest", text, "64 hexadecimal digits"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Deserialize::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = unhex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| de::Error::custom("a digest is 64 hexadecimal digits"))
    }
}
