//! Ids that are minted: they carry the partition that holds what they name, so that any node routes by id alone.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::clock::{Clock, Entropy, UnixMillis};
use crate::name::NameError;
use crate::partition::Partition;

/// The id of a process that hosts agents: drawn at its start, so that a restarted node is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

/// A UUID of version 7 from the workspace's clock and entropy (RFC 9562, section 5.7).
pub fn mint_uuid(clock: &dyn Clock, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    uuid::Builder::from_unix_timestamp_millis(clock.now().0, &random).into_uuid()
}

impl NodeId {
    /// Draws a new id.
    pub fn mint(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        Self(mint_uuid(clock, entropy))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $type {
            partition: Partition,
            unique: Uuid,
        }

        impl $type {
            /// Mints an id in `partition`; it is never minted again.
            pub fn mint(partition: Partition, clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
                Self { partition, unique: mint_uuid(clock, entropy) }
            }

            /// Puts an id together from its parts.
            pub const fn from_parts(partition: Partition, unique: Uuid) -> Self {
                Self { partition, unique }
            }

            /// Where everything under this id is kept.
            pub const fn partition(&self) -> Partition {
                self.partition
            }

            /// When it was minted; `None` for an id that was put together from other parts.
            pub fn minted_at(&self) -> Option<UnixMillis> {
                // The first 48 bits of a UUID of version 7.
                (self.unique.get_version_num() == 7)
                    .then(|| UnixMillis(u64::try_from(self.unique.as_u128() >> 80).unwrap_or_default()))
            }

            /// The part that tells it from all others.
            pub const fn unique(&self) -> Uuid {
                self.unique
            }
        }

        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                // No two ids share it, so it tells them apart alone.
                state.write_u128(self.unique.as_u128());
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, ":{}.{}"), self.partition, self.unique.simple())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(s: &str) -> Result<Self, NameError> {
                let wrong = || NameError::new($prefix, s, concat!("an id like `", $prefix, ":main.17.0193571c8a2f7c3e9d1a5b6c7d8e9f00`"));
                let rest = s.strip_prefix(concat!($prefix, ":")).ok_or_else(wrong)?;
                let (partition, unique) = rest.rsplit_once('.').ok_or_else(wrong)?;
                let unique = Some(unique).filter(|u| u.len() == 32).and_then(|u| Uuid::try_parse(u).ok());
                Ok(Self { partition: partition.parse()?, unique: unique.ok_or_else(wrong)? })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    (self.partition, self.unique).serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    let (partition, unique) = Deserialize::deserialize(deserializer)?;
                    Ok(Self { partition, unique })
                }
            }
        }
    };
}

id! {
    /// The id of an agent: minted once, never reused. Its name is an alias.
    AgentId, "agent"
}
id! {
    /// The id of a run.
    RunId, "run"
}
id! {
    /// The id of a snapshot.
    StateId, "state"
}
