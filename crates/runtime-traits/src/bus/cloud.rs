//! Events as CloudEvents 1.0 in JSON, for the outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, Value};
use thiserror::Error;

use super::{Event, EventId, HeaderError, Headers, Topic, TopicError, base64, time_text};
use crate::clock::UnixMillis;
use crate::name::{NameError, Tenant};

/// Why a text is no CloudEvent that a bus takes.
#[derive(Debug, Error)]
pub enum CloudError {
    /// It is no JSON of a CloudEvent.
    #[error("it is no CloudEvent in JSON")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("it is a CloudEvent of version `{found}`, and 1.0 is understood")]
    Version {
        /// The version.
        found: String,
    },
    /// Its type is no topic.
    #[error("its `type` is no topic")]
    Type(#[from] TopicError),
    /// An attribute is none.
    #[error("its `{name}` cannot be read: {rule}")]
    Attribute {
        /// Which.
        name: &'static str,
        /// What it has to be.
        rule: &'static str,
    },
    /// An id or a name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An extension is no header.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A CloudEvent as JSON has it. Attributes that are none of these are headers.
#[derive(Serialize, Deserialize)]
struct Cloud {
    specversion: String,
    id: String,
    source: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hops: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replyto: Option<String>,
    #[serde(flatten)]
    headers: BTreeMap<String, Value>,
}

/// What `flatten` cannot give as it was written.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Event {
    /// The event as a CloudEvent 1.0 in JSON.
    ///
    /// Data whose content type is JSON stands there as it is, other data as base64. Headers are extensions.
    pub fn to_cloud_json(&self) -> String {
        let headers = self.headers.iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        let cloud = Cloud {
            specversion: "1.0".to_owned(),
            id: self.id.to_string(),
            source: self.source.to_string(),
            r#type: self.topic.to_string(),
            time: Some(time_text::write(self.time)),
            datacontenttype: Some(self.content_type.to_string()),
            tenant: Some(self.tenant.to_string()),
            run: self.run.map(|run| run.to_string()),
            causationid: self.causation.map(|id| id.to_string()),
            correlationid: self.correlation.map(|id| id.to_string()),
            hops: (self.hops > 0).then_some(self.hops),
            replyto: self.reply_to.as_ref().map(Topic::to_string),
            headers: headers.collect(),
        };
        let mut text = serde_json::to_string(&cloud).expect("names and texts have JSON");
        text.pop();
        let json = std::str::from_utf8(&self.data).ok().filter(|_| self.is_json());
        match json.filter(|json| serde_json::from_str::<&RawValue>(json).is_ok()) {
            Some(json) => text.extend([",\"data\":", json]),
            None => text.extend([",\"data_base64\":\"", &base64::encode(&self.data), "\""]),
        }
        text.push('}');
        text
    }

    /// Reads a CloudEvent 1.0 in JSON. Its type is the topic, its extensions are headers.
    ///
    /// An id that is no UUID is hashed to one, so that the same event gets the same id again.
    ///
    /// # Errors
    /// [`CloudError`], which says what is wrong with it.
    pub fn from_cloud_json(json: &str) -> Result<Self, CloudError> {
        let mut cloud: Cloud = serde_json::from_str(json)?;
        let said: Said<'_> = serde_json::from_str(json)?;
        if cloud.specversion != "1.0" {
            return Err(CloudError::Version { found: super::topic::cut(&cloud.specversion) });
        }
        let wrong = |name, rule| CloudError::Attribute { name, rule };
        let mut event = Self {
            id: cloud.id.parse().unwrap_or_else(|_| hashed(&cloud.source, &cloud.id)),
            topic: cloud.r#type.parse()?,
            tenant: cloud.tenant.map_or_else(|| Ok(Tenant::default()), Tenant::new)?,
            source: cloud.source.as_str().into(),
            run: cloud.run.map(|run| run.parse()).transpose()?,
            causation: cloud.causationid.map(|id| id.parse()).transpose()?,
            correlation: cloud.correlationid.map(|id| id.parse()).transpose()?,
            time: UnixMillis(0),
            hops: cloud.hops.unwrap_or(0),
            reply_to: cloud.replyto.map(|topic| topic.parse()).transpose()?,
            content_type: cloud.datacontenttype.as_deref().unwrap_or(Self::JSON).into(),
            headers: Headers::default(),
            data: bytes::Bytes::new(),
        };
        if let Some(time) = cloud.time {
            event.time =
                time_text::read(&time).ok_or_else(|| wrong("time", "a moment by RFC 3339, 1970 or later"))?;
        }
        cloud.headers.remove("data");
        event.data = match (said.data, cloud.headers.remove("data_base64")) {
            (Some(json), None) if event.is_json() => json.get().to_owned().into(),
            (Some(text), None) => match serde_json::from_str(text.get())? {
                Value::String(text) => text.into(),
                other => other.to_string().into(),
            },
            (None, Some(Value::String(text))) => {
                base64::decode(&text).ok_or_else(|| wrong("data_base64", "base64 with padding"))?.into()
            }
            (None, None) => bytes::Bytes::new(),
            _ => return Err(wrong("data", "one of `data` and `data_base64`")),
        };
        for (name, value) in cloud.headers {
            match value {
                Value::Null => {}
                Value::String(text) => event.headers.set(&name, text)?,
                Value::Bool(_) | Value::Number(_) => event.headers.set(&name, value.to_string())?,
                Value::Array(_) | Value::Object(_) => {
                    return Err(wrong("extensions", "texts, numbers, true or false"));
                }
            }
        }
        Ok(event)
    }
}

/// CloudEvents are told apart by source and id.
fn hashed(source: &str, id: &str) -> EventId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(source.len() as u64).to_le_bytes()).update(source.as_bytes()).update(id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    EventId::from_bytes(bytes)
}
