//! How HTTPS is spoken: rustls with *ring*, and the certificates that the machine trusts.

use std::sync::Arc;

use runtime_traits::Cause;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;

/// The TLS of a client. HTTP/1.1 only: a dropped call closes its connection, and the other side notices.
///
/// # Errors
/// What kept the certificates of the machine from being read.
pub(crate) fn config() -> Result<ClientConfig, Cause> {
    let trusting = begun()?.with_platform_verifier().map_err(|error| Cause::of(&error))?;
    Ok(trusting.with_no_client_auth())
}

/// The TLS of a client that never speaks it: it trusts nobody, and needs no certificates.
///
/// # Errors
/// What kept it from being made.
#[cfg(feature = "llm")]
pub(crate) fn none() -> Result<ClientConfig, Cause> {
    Ok(begun()?.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn begun() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Cause> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Cause::of(&error))
}
