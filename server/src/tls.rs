//! TLS by rustls, when certificates are configured.

use std::path::Path;
use std::sync::Arc;

use kokkiri_engine::activity::TlsStatus;
use kokkiri_engine::settings::{ServerSettings, parameters};
use kokkiri_engine::{Error, Result, SqlState};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection};

/// What a TLS handshake needs, and the certificate for SCRAM's channel binding.
#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    pub certificate_pem: Arc<[u8]>,
}

/// Reads certificate and key if `ssl` is on.
///
/// # Errors
/// F0000 naming the file that can't be read or is none.
pub fn load(settings: &ServerSettings, data_directory: &Path) -> Result<Option<Tls>> {
    if settings.stored(parameters::SSL.0).value.plain() != "on" {
        return Ok(None);
    }
    let path = |index: u16| data_directory.join(settings.stored(index).value.plain());
    let certificate_path = path(parameters::SSL_CERT_FILE.0);
    let key_path = path(parameters::SSL_KEY_FILE.0);
    let wrong = |what: &str, path: &Path, cause: &dyn std::fmt::Display| {
        Error::fatal(
            SqlState::CONFIG_FILE_ERROR,
            format!("could not load {what} file \"{}\": {cause}", path.display()),
        )
    };
    let pem = std::fs::read(&certificate_path)
        .map_err(|cause| wrong("server certificate", &certificate_path, &cause))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|cause| wrong("server certificate", &certificate_path, &cause))?;
    let key =
        PrivateKeyDer::from_pem_file(&key_path).map_err(|cause| wrong("private key", &key_path, &cause))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|cause| wrong("server certificate", &certificate_path, &cause))?;
    // What a client of direct TLS must name.
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Some(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), certificate_pem: pem.into() }))
}

/// The protocol's name in ALPN.
pub const ALPN: &[u8] = b"postgresql";

/// pg_stat_ssl's columns of a connection.
pub fn status(connection: &ServerConnection) -> TlsStatus {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    let cipher = connection
        .negotiated_cipher_suite()
        .map_or_else(String::new, |suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"));
    let bits = if cipher.contains("128") { 128 } else { 256 };
    TlsStatus { version, cipher, bits }
}
