//! What the engine and the driver promise.

mod conformance;
mod driver;
mod engine;
