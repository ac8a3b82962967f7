//! SCRAM-SHA-256 with PostgreSQL's stored verifiers.
//!
//! The exchange and the cryptography are pgwire's; here stand the verifier's text form
//! (`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`), the checks that must come before
//! pgwire reads a client's message, and the mock verifier that hides which roles exist.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgwire::api::auth::sasl::scram::{
    ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal, gen_salted_password,
};
use pgwire::error::PgWireError;

use crate::reader::{Malformed, Reader};

/// Name of the mechanism, and of the one with channel binding that is offered under TLS.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Length of a new salt, bytes: `SCRAM_DEFAULT_SALT_LEN`.
pub const SALT_LENGTH: usize = 16;
/// Length of SHA-256's output, bytes.
const KEY_LENGTH: usize = 32;

/// What is stored of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub iterations: u32,
    pub salt: Vec<u8>,
    stored_key: [u8; KEY_LENGTH],
    server_key: [u8; KEY_LENGTH],
}

impl Verifier {
    /// Makes the verifier of a password.
    pub fn new(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = gen_salted_password(password, salt, iterations as usize);
        let secret = ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, iterations as usize);
        let ScramSecret::Verifier { stored_key, server_key, .. } = secret else {
            unreachable!("the constructor makes a verifier");
        };
        let key = |bytes: Vec<u8>| <[u8; KEY_LENGTH]>::try_from(bytes).expect("SHA-256 gives 32 bytes");
        Self { iterations, salt: salt.to_vec(), stored_key: key(stored_key), server_key: key(server_key) }
    }

    /// A verifier that no password meets, with the salt and iterations that `user` would have.
    pub fn mock(user: &str, secret: &[u8], iterations: u32) -> Self {
        let mut salt = gen_salted_password(user, secret, 1);
        salt.truncate(SALT_LENGTH);
        Self { iterations, salt, stored_key: [0; KEY_LENGTH], server_key: [0; KEY_LENGTH] }
    }

    /// Reads the text form; `None` if it is no verifier.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (parameters, keys) = rest.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
        Some(Self {
            iterations: iterations.parse().ok().filter(|n| *n > 0)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// True if this is the verifier of `password`.
    pub fn matches(&self, password: &str) -> bool {
        *self == Self::new(password, &self.salt, self.iterations)
    }

    fn secret(&self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt.clone(),
            iterations: self.iterations as usize,
            stored_key: self.stored_key.to_vec(),
            server_key: self.server_key.to_vec(),
        }
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        let (iterations, salt) = (self.iterations, encode(&self.salt));
        write!(
            f,
            "SCRAM-SHA-256${iterations}:{salt}${}:{}",
            encode(&self.stored_key),
            encode(&self.server_key)
        )
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier {{ iterations: {}, .. }}", self.iterations)
    }
}

/// Why an exchange ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ScramError {
    /// A message that is none: 08P01 with this detail.
    Malformed(String),
    /// The proof does not fit the verifier.
    WrongPassword,
}

impl From<PgWireError> for ScramError {
    fn from(error: PgWireError) -> Self {
        match error {
            PgWireError::InvalidPassword(_) => ScramError::WrongPassword,
            other => ScramError::Malformed(other.to_string()),
        }
    }
}

/// The server's side of one exchange.
pub struct Exchange {
    server: ScramServerAuth,
    tls: bool,
}

/// An exchange whose first half is done.
pub struct Pending(ScramServerAuthWaitingForClientFinal);

impl Exchange {
    /// `certificate` is the server's certificate chain in PEM when the connection is under TLS: then
    /// channel binding is on offer.
    pub fn new(certificate: Option<&[u8]>) -> Result<Self, ScramError> {
        let mut server = ScramServerAuth::new();
        if let Some(certificate) = certificate {
            server.configure_certificate(certificate)?;
        }
        Ok(Self { server, tls: certificate.is_some() })
    }

    /// The mechanisms to offer, best first.
    pub fn mechanisms(&self) -> Vec<String> {
        let plus = self.tls.then(|| SCRAM_SHA_256_PLUS.to_owned());
        plus.into_iter().chain([SCRAM_SHA_256.to_owned()]).collect()
    }

    /// Takes the SASLInitialResponse and gives the data of the AuthenticationSASLContinue.
    ///
    /// # Errors
    /// [`ScramError::Malformed`], also for a mechanism that was not offered.
    pub fn first(&self, body: &[u8], verifier: &Verifier) -> Result<(String, Pending), ScramError> {
        let malformed = |error: Malformed| ScramError::Malformed(error.to_string());
        let mut reader = Reader::new(body);
        let mechanism = reader.string().map_err(malformed)?;
        if !self.mechanisms().iter().any(|offered| offered.as_bytes() == mechanism) {
            return Err(ScramError::Malformed(
                "client selected an invalid SASL authentication mechanism".to_owned(),
            ));
        }
        let length = reader.i32().map_err(malformed)?;
        let length = usize::try_from(length).map_err(|_| malformed(Malformed::InsufficientData))?;
        let data = reader.bytes(length).map_err(malformed)?;
        reader.end().map_err(malformed)?;
        check_message(data)?;
        let (answer, pending) = self.server.on_client_first_message_with_secret(data, verifier.secret())?;
        Ok((answer, Pending(pending)))
    }
}

impl Pending {
    /// Takes the SASLResponse with the client's proof and gives the data of the AuthenticationSASLFinal.
    ///
    /// # Errors
    /// [`ScramError::WrongPassword`] if the proof is wrong.
    pub fn last(self, body: &[u8]) -> Result<String, ScramError> {
        check_message(body)?;
        Ok(self.0.on_client_final_message(body)?)
    }
}

/// What PostgreSQL refuses before it looks at attributes.
fn check_message(data: &[u8]) -> Result<(), ScramError> {
    if data.is_empty() {
        return Err(ScramError::Malformed("The message is empty.".to_owned()));
    }
    if data.contains(&0) {
        return Err(ScramError::Malformed("Message length does not match input length.".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by PostgreSQL 18: `set password_encryption = 'scram-sha-256'; create role r password 'secret'`.
    const STORED: &str = "SCRAM-SHA-256$4096:TBNfpHG0/v3Wl6vQHKvkRw==$YAyS6I5i/U/cRChHqvuGpLsbVhcmdY5dY2hlxe+PWSQ=:CE2kwNKV1kuGbIZfIyvn3hY/Kj0hNYUnen9KvyHDTiw=";

    #[test]
    fn a_verifier_of_postgresqls_is_read_written_and_made_alike() {
        let verifier = Verifier::parse(STORED).expect("PostgreSQL wrote it");
        assert_eq!(verifier.to_string(), STORED);
        assert!(verifier.matches("secret"));
        assert!(!verifier.matches("Secret"));
        for bad in ["", "md5abc", "SCRAM-SHA-256$0:AA==$AA==:AA==", "SCRAM-SHA-256$4096:AA==$AA==:AA=="] {
            assert!(Verifier::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn odd_first_messages_are_refused() {
        let exchange = Exchange::new(None).expect("no certificate");
        let verifier = Verifier::new("x", b"0123456789abcdef", 4096);
        for body in [
            &b""[..],
            b"SCRAM-SHA-256",
            b"SCRAM-SHA-256\0\0\0\0\0",
            b"SCRAM-SHA-256\0\xff\xff\xff\xff",
            b"SCRAM-SHA-256-PLUS\0\0\0\0\x01x",
            b"SCRAM-SHA-256\0\0\0\0\x02n,",
            b"PLAIN\0\0\0\0\x01x",
        ] {
            assert!(matches!(exchange.first(body, &verifier), Err(ScramError::Malformed(_))), "{body:?}");
        }
    }
}
