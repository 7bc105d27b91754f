//! Tools that fetch from and post to the web, and reach nothing else.
//!
//! A model chooses the addresses, and what it reads may tell it which. So [`WebRules`] decide what may be reached:
//! public addresses on the ports of the web, and what the operator lists beside them. [`WebPoster`] keeps to the same rules for a
//! program that posts by itself.
//!
//! ```
//! use runtime_agents::http::{HttpGet, WebRules};
//! use runtime_traits::Tool;
//!
//! # fn main() -> Result<(), runtime_agents::http::WebError> {
//! let get = HttpGet::new(WebRules::default().allow("api.example.com")?)?;
//! assert_eq!(get.spec().name, "http_get");
//! # Ok(())
//! # }
//! ```

mod address;
mod ask;
mod body;
mod client;
mod declared;
mod error;
mod get;
mod lookup;
mod network;
mod post;
mod poster;
mod rules;
mod spec;

pub use declared::with_web_tools;
pub use error::WebError;
pub use get::HttpGet;
pub use lookup::Lookup;
pub use post::HttpPost;
pub use poster::{Posted, WebPoster};
pub use rules::WebRules;
