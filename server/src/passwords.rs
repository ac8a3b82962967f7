//! What is stored of passwords that statements set: SCRAM verifiers with random salts.

use kokkiri_engine::{Error, PasswordVerifiers, Result, SqlState};
use kokkiri_protocol::scram::{SALT_LENGTH, Verifier};

/// The protocol's verifiers, for the engine.
pub struct ScramVerifiers;

impl PasswordVerifiers for ScramVerifiers {
    fn make(&self, password: &str, iterations: u32) -> Result<String> {
        let mut salt = [0; SALT_LENGTH];
        getrandom::fill(&mut salt)
            .map_err(|_| Error::new(SqlState::INTERNAL_ERROR, "could not generate random salt"))?;
        Ok(Verifier::new(password, &salt, iterations).to_string())
    }

    fn matches(&self, verifier: &str, password: &str) -> Option<bool> {
        Verifier::parse(verifier).map(|verifier| verifier.matches(password))
    }
}
