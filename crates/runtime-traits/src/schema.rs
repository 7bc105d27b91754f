//! Schemas of what users define: JSON that says its name and version, and how older versions become newer ones.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::content::{Content, Media};
use crate::error::Cause;

/// Makes a value of one version from one of the version before. Pure: it is called whenever such a value is read.
pub type Migration = fn(Value) -> Result<Value, Cause>;

/// How such a value begins in the store. What does not begin so has no schema.
const BEGIN: &[u8] = b"{\"$schema\":\"";

/// The name and version of what a type writes as JSON, and the way from each older version to the next.
///
/// ```
/// use runtime_traits::schema::Schema;
/// use runtime_traits::{Cause, Content};
/// use serde_json::json;
///
/// let cart = Schema::new("cart", 2).migrates(1, |mut old| {
///     let items = old["item"].take();
///     Ok(json!({ "items": [items] }))
/// });
/// let old = Schema::new("cart", 1).wrap(&json!({ "item": "tea" }))?;
/// assert_eq!(old.to_string(), r#"{"$schema":"cart/1","value":{"item":"tea"}}"#);
/// assert_eq!(cart.load(&old)?, json!({ "items": ["tea"] }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Schema {
    name: Cow<'static, str>,
    version: u32,
    /// Of which version values are that were written before there was a schema.
    bare: u32,
    steps: Vec<(u32, Step)>,
}

/// A step of a schema. Two of them count as one if they begin at one version.
#[derive(Clone, Copy)]
struct Step(Migration);

/// A type whose JSON has a schema.
///
/// ```
/// use runtime_traits::schema::{HasSchema, Schema};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Cart {
///     items: Vec<String>,
/// }
///
/// impl HasSchema for Cart {
///     fn schema() -> Schema {
///         Schema::new("cart", 1)
///     }
/// }
/// ```
pub trait HasSchema: Serialize + DeserializeOwned {
    /// Its schema.
    fn schema() -> Schema;
}

/// Why a stored value cannot be loaded. It stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaError {
    /// A newer version of the code wrote it.
    #[error(
        "a value of schema `{schema}` has version {found}, and this code knows up to {known}: \
         run the newer code that wrote it"
    )]
    Newer {
        /// The schema.
        schema: String,
        /// The version of the value.
        found: u32,
        /// The version of the code.
        known: u32,
    },
    /// Nothing says how one of the versions becomes the next.
    #[error(
        "a value of schema `{schema}` has version {found}, this code has version {known}, and no migration leads from \
         {step} to {}: add `.migrates({step}, …)` to the schema", step + 1
    )]
    NoMigration {
        /// The schema.
        schema: String,
        /// The version of the value.
        found: u32,
        /// The version of the code.
        known: u32,
        /// The version from which no step leads on.
        step: u32,
    },
    /// A migration refused the value.
    #[error(
        "a value of schema `{schema}` cannot be brought from version {step} to {} (this code has version {known}): \
         {cause}. Mend the migration", step + 1
    )]
    Migration {
        /// The schema.
        schema: String,
        /// The version of the code.
        known: u32,
        /// The version from which the step leads.
        step: u32,
        /// What the migration said.
        cause: Cause,
    },
    /// It is another schema's.
    #[error(
        "a value has schema `{found}`, and this code reads `{wanted}`: read it with the code that knows `{found}`"
    )]
    Other {
        /// The schema of the value, with its version.
        found: String,
        /// The one that was asked for, with its version.
        wanted: String,
    },
    /// It has a schema, and was asked for as if it had none.
    #[error("a value has schema `{found}`: read and write it with a type of that schema")]
    Unasked {
        /// The schema of the value, with its version.
        found: String,
    },
    /// It is no JSON of this schema.
    #[error("a value of schema `{schema}` is not the JSON that it should be: {cause}")]
    Json {
        /// The schema, with its version.
        schema: String,
        /// What serde said.
        cause: Cause,
    },
}

/// As it is stored. The order of the fields is part of the form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "$schema", borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
}

impl Schema {
    /// A schema in this version, which counts from 1.
    pub fn new(name: impl Into<Cow<'static, str>>, version: u32) -> Self {
        Self { name: name.into(), version, bare: 1, steps: Vec::new() }
    }

    /// Values of version `from` become values of the next one like this.
    #[must_use]
    pub fn migrates(mut self, from: u32, step: Migration) -> Self {
        self.steps.retain(|(known, _)| *known != from);
        self.steps.push((from, Step(step)));
        self
    }

    /// Values that were written before there was a schema are of this version; unless said, of version 1.
    #[must_use]
    pub fn bare(mut self, version: u32) -> Self {
        self.bare = version;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The JSON of `value`, with name and version.
    ///
    /// # Errors
    /// What serde says of a value that JSON cannot hold.
    pub fn wrap<T: Serialize + ?Sized>(&self, value: &T) -> Result<Content, serde_json::Error> {
        let value = serde_json::value::to_raw_value(value)?;
        Content::json(&Envelope { schema: Cow::Owned(self.to_string()), value: &value })
    }

    /// The value in `content`, brought to this version.
    ///
    /// # Errors
    /// [`SchemaError`], which names the schema, both versions and the remedy.
    pub fn load(&self, content: &Content) -> Result<Value, SchemaError> {
        let (found, json) = self.find(content)?;
        let steps = self.steps_from(found)?;
        let mut value: Value = serde_json::from_str(json).map_err(|error| self.json(&error))?;
        for (step, migration) in steps {
            value = migration(value).map_err(|cause| SchemaError::Migration {
                schema: self.name.to_string(),
                known: self.version,
                step,
                cause,
            })?;
        }
        Ok(value)
    }

    /// Says whether [`Schema::load`] would find a way to this version; its steps are not taken.
    ///
    /// # Errors
    /// As [`Schema::load`], without what only the steps could say.
    pub fn check(&self, content: &Content) -> Result<(), SchemaError> {
        let (found, _) = self.find(content)?;
        self.steps_from(found).map(drop)
    }

    /// The version of a value, and its JSON.
    fn find<'a>(&self, content: &'a Content) -> Result<(u32, &'a str), SchemaError> {
        let text = std::str::from_utf8(&content.bytes).map_err(|error| self.json(&error))?;
        let Some(envelope) = Envelope::of(content) else { return Ok((self.bare, text)) };
        let other = |found: &str| SchemaError::Other { found: found.to_owned(), wanted: self.to_string() };
        let Envelope { schema, value } = envelope.map_err(|error| self.json(&error))?;
        let (name, version) = schema.rsplit_once('/').ok_or_else(|| other(&schema))?;
        let version = version.parse().map_err(|_| other(&schema))?;
        if name != self.name {
            return Err(other(&schema));
        }
        Ok((version, value.get()))
    }

    fn steps_from(&self, found: u32) -> Result<Vec<(u32, Migration)>, SchemaError> {
        let (schema, known) = (self.name.to_string(), self.version);
        if found > known {
            return Err(SchemaError::Newer { schema, found, known });
        }
        let step_of = |step: u32| {
            let known = self.steps.iter().find(|(from, _)| *from == step);
            known.map(|(_, Step(migration))| (step, *migration)).ok_or(step)
        };
        let steps: Result<_, u32> = (found..known).map(step_of).collect();
        steps.map_err(|step| SchemaError::NoMigration { schema, found, known, step })
    }

    fn json<E: std::error::Error + 'static>(&self, error: &E) -> SchemaError {
        SchemaError::Json { schema: self.to_string(), cause: Cause::of(error) }
    }
}

impl<'a> Envelope<'a> {
    /// The envelope that content begins with, if it does.
    fn of(content: &'a Content) -> Option<Result<Self, serde_json::Error>> {
        let begins = content.media == Media::Json && content.bytes.starts_with(BEGIN);
        begins.then(|| serde_json::from_slice(&content.bytes))
    }
}

/// The schema that a stored value names, as `NAME/VERSION`; `None` for one without.
pub fn schema_of(content: &Content) -> Option<String> {
    Some(match Envelope::of(content)? {
        Ok(envelope) => envelope.schema.into_owned(),
        Err(_) => "?".to_owned(),
    })
}

impl Content {
    /// The JSON of `value`, with the name and version of its schema.
    ///
    /// # Errors
    /// What serde says of a value that JSON cannot hold.
    pub fn of_schema<T: HasSchema>(value: &T) -> Result<Self, serde_json::Error> {
        T::schema().wrap(value)
    }

    /// Reads a value, of this version of its schema or of an older one.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn load<T: HasSchema>(&self) -> Result<T, SchemaError> {
        let schema = T::schema();
        let value = schema.load(self)?;
        serde_json::from_value(value).map_err(|error| schema.json(&error))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<u32> = self.steps.iter().map(|(from, _)| *from).collect();
        f.debug_struct("Schema")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("bare", &self.bare)
            .field("migrates", &steps)
            .finish()
    }
}

impl PartialEq for Step {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Step {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Cart {
        items: Vec<String>,
        paid: bool,
    }

    impl HasSchema for Cart {
        fn schema() -> Schema {
            Schema::new("cart", 3)
                .migrates(1, |old| match old.get("item") {
                    Some(item) => Ok(json!({ "items": [item] })),
                    None => Err(Cause::says("it has no item")),
                })
                .migrates(2, |mut old| {
                    old["paid"] = json!(false);
                    Ok(old)
                })
        }
    }

    fn content(text: &str) -> Content {
        Content { media: Media::Json, bytes: text.to_owned().into() }
    }

    /// What every version of this form wrote, for ever.
    const GOLDEN: &str = r#"{"$schema":"cart/3","value":{"items":["tea"],"paid":true}}"#;

    #[test]
    fn a_value_is_written_as_it_was_once_written_and_read_as_what_it_was() {
        let cart = Cart { items: vec!["tea".to_owned()], paid: true };
        assert_eq!(Content::of_schema(&cart).unwrap(), content(GOLDEN));
        assert_eq!(content(GOLDEN).load::<Cart>().unwrap(), cart);
        assert_eq!(schema_of(&content(GOLDEN)).as_deref(), Some("cart/3"));
    }

    #[test]
    fn a_value_of_an_older_version_takes_every_step() {
        let tea = Cart { items: vec!["tea".to_owned()], paid: false };
        let old = [
            r#"{"$schema":"cart/1","value":{"item":"tea"}}"#,
            r#"{"$schema":"cart/2","value":{"items":["tea"]}}"#,
            // Before there was a schema.
            r#"{"item":"tea"}"#,
        ];
        for old in old {
            assert_eq!(content(old).load::<Cart>().unwrap(), tea, "{old}");
        }
    }

    #[test]
    fn what_cannot_be_loaded_names_schema_versions_and_remedy() {
        let gap = Schema::new("cart", 3).migrates(1, Ok);
        let said = |schema: &Schema, text: &str| schema.load(&content(text)).unwrap_err().to_string();
        let newer = said(&Cart::schema(), r#"{"$schema":"cart/4","value":1}"#);
        assert!(newer.contains("`cart` has version 4") && newer.contains("up to 3"), "{newer}");
        let missing = said(&gap, r#"{"$schema":"cart/1","value":1}"#);
        assert!(missing.contains("from 2 to 3") && missing.contains(".migrates(2, …)"), "{missing}");
        assert_eq!(gap.check(&content(r#"{"$schema":"cart/3","value":1}"#)), Ok(()));
        assert!(gap.check(&content(r#"{"$schema":"cart/2","value":1}"#)).is_err());
        let other = said(&Cart::schema(), r#"{"$schema":"basket/1","value":1}"#);
        assert!(other.contains("`basket/1`") && other.contains("`cart/3`"), "{other}");
        let refused = said(&Cart::schema(), r#"{"$schema":"cart/1","value":{}}"#);
        assert!(refused.contains("from version 1 to 2") && refused.contains("it has no item"), "{refused}");
    }

    #[test]
    fn hostile_bytes_are_errors_and_no_panic() {
        for text in [
            r#"{"$schema":""#,
            r#"{"$schema":"cart/3"}"#,
            r#"{"$schema":"cart","value":1}"#,
            r#"{"$schema":"cart/-1","value":1}"#,
            r#"{"$schema":"cart/99999999999","value":1}"#,
            r#"{"$schema":"cart/3","value":1,"more":2}"#,
            r#"{"$schema":"cart/3","value":{"items":3}}"#,
        ] {
            assert!(content(text).load::<Cart>().is_err(), "{text}");
        }
        assert!(Content::bytes(vec![0xff]).load::<Cart>().is_err());
    }
}
