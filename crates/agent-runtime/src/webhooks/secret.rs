//! Secrets, and signing with them.

use std::fmt;
use std::{env, fs};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use runtime_traits::Cause;
use thiserror::Error;

/// What secrets begin with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret has, by the specification.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret with which deliveries are signed: `whsec_` and the base64 of 24 to 64 bytes. It cannot be printed.
///
/// # Examples
/// ```
/// use agent_runtime::webhooks::WebhookSecret;
///
/// let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// assert_eq!(
///     secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}"),
///     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
/// );
/// # Ok::<(), agent_runtime::webhooks::SecretError>(())
/// ```
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

/// Why a text is no secret. It says nothing of the secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SecretError {
    /// It is no reference.
    #[error("a secret is named as `env:NAME` or `file:PATH`, and never written down itself")]
    Reference,
    /// What is referred to cannot be read.
    #[error("the secret `{reference}` cannot be read: {cause}")]
    Unreadable {
        /// The reference.
        reference: String,
        /// What the system said.
        #[source]
        cause: Cause,
    },
    /// It is no secret.
    #[error(
        "a secret is `{PREFIX}` and the base64 of 24 to 64 random bytes: make one with `echo whsec_$(head -c 32 /dev/urandom | base64)`"
    )]
    Form,
}

impl WebhookSecret {
    /// The secret that a text is. White space around it is no part of it.
    ///
    /// # Errors
    /// [`SecretError::Form`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let letters = text.trim().strip_prefix(PREFIX).ok_or(SecretError::Form)?;
        let bytes = STANDARD.decode(letters).map_err(|_| SecretError::Form)?;
        if !BYTES.contains(&bytes.len()) {
            return Err(SecretError::Form);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Reads the secret that `reference` names: `env:NAME` or `file:PATH`.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(reference: &str) -> Result<Self, SecretError> {
        let read = match reference.split_once(':') {
            Some(("env", name)) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => Cause::says("there is no such variable"),
                // What it holds may be a secret with a typing error.
                env::VarError::NotUnicode(_) => Cause::says("it is no text"),
            }),
            Some(("file", path)) => fs::read_to_string(path).map_err(|error| Cause::of(&error)),
            _ => return Err(SecretError::Reference),
        };
        let read =
            read.map_err(|cause| SecretError::Unreadable { reference: reference.to_owned(), cause })?;
        Self::parse(&read)
    }

    /// The signature of a delivery: `v1,` and the base64 of the HMAC-SHA256 of id, time in seconds since 1970 and body.
    pub fn sign(&self, id: &str, seconds: u64, body: &str) -> String {
        let signed = format!("{id}.{seconds}.{body}");
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, signed.as_bytes())))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for wrong in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9!", &short, &long] {
            assert_eq!(WebhookSecret::parse(wrong).unwrap_err(), SecretError::Form, "{wrong}");
        }
        for good in [24, 64] {
            WebhookSecret::parse(&format!("whsec_{}", STANDARD.encode(vec![7; good]))).unwrap();
        }
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(WebhookSecret::read(key).unwrap_err(), SecretError::Reference);
        assert!(!SecretError::Reference.to_string().contains(key));
        assert_eq!(format!("{:?}", WebhookSecret::parse(key)), "Ok(WebhookSecret)");
    }

    #[test]
    fn a_secret_in_a_file_is_read_and_one_that_is_not_there_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let secret = WebhookSecret::read(&format!("file:{}", file.path().display())).unwrap();
        assert!(secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1, "").starts_with("v1,"));

        let told = WebhookSecret::read("env:NOBODY_HAS_SET_THIS").unwrap_err().to_string();
        assert!(told.contains("`env:NOBODY_HAS_SET_THIS`") && told.contains("no such variable"), "{told}");
    }
}
