//! Proving who a client is: the method that pg_hba.conf names, against the verifier in pg_authid.
//!
//! Realises: auth.c. A failure tells the client the same whatever its cause (no such role, no password,
//! wrong password, expired), and the log the cause.

use kokkiri_engine::{Credentials, Error, SqlState};
use kokkiri_protocol::backend::{AuthenticationRequest, Output as _};
use kokkiri_protocol::frame::{self, Framing, Phase};
use kokkiri_protocol::scram::{Exchange, ScramError, Verifier};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hba::{self, Method};
use crate::serve::Server;
use crate::startup::Client;

/// What a connection task does with a client that did not pass.
pub enum Failure {
    /// The error is sent, then the connection closed.
    Refused(Error),
    /// The client has gone.
    Gone,
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Failure::Gone
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Refused(error)
    }
}

/// Authenticates the client. `credentials` are those of the role it names, if there is one.
pub async fn authenticate(
    server: &Server,
    client: &mut Client,
    credentials: Option<&Credentials>,
) -> std::result::Result<(), Failure> {
    let (method, line) = method(server, client, credentials)?;
    let proven = match method {
        Method::Trust => Ok(()),
        Method::Reject => Err(no_entry(client, "pg_hba.conf rejects connection").into()),
        Method::Password => password(server, client, credentials).await,
        Method::ScramSha256 | Method::Md5 => scram(server, client, credentials).await,
    };
    if let Err(Failure::Refused(_)) = &proven {
        tracing::info!("Connection matched file \"pg_hba.conf\" line {line}.");
    }
    proven
}

/// The method that pg_hba.conf has for the client, and on which line.
fn method(
    server: &Server,
    client: &Client,
    credentials: Option<&Credentials>,
) -> kokkiri_engine::Result<(Method, u32)> {
    let records = server.hba();
    let is_member = |role: &str| {
        credentials.is_some_and(|credentials| credentials.member_of.iter().any(|name| name == role))
    };
    let request = hba::Request {
        address: client.peer.address().map(|address| address.ip()),
        tls: client.stream.is_tls(),
        database: &client.request.database,
        user: &client.request.user,
        physical_replication: client.replication.as_deref().is_some_and(|value| value != "database"),
        is_member: &is_member,
    };
    let record = hba::find(&records, &request).ok_or_else(|| no_entry(client, "no pg_hba.conf entry"))?;
    Ok((record.method, record.line))
}

fn no_entry(client: &Client, what: &str) -> Error {
    let encryption = if client.stream.is_tls() { "SSL encryption" } else { "no encryption" };
    let host = match client.peer.address() {
        Some(address) => address.ip().to_string(),
        None => "[local]".to_owned(),
    };
    let database = match client.replication.as_deref() {
        Some(value) if value != "database" => "replication connection ".to_owned(),
        _ => String::new(),
    };
    let target = match database.is_empty() {
        true => format!("user \"{}\", database \"{}\"", client.request.user, client.request.database),
        false => format!("user \"{}\"", client.request.user),
    };
    let subject = if database.is_empty() {
        what.to_owned()
    } else {
        what.replace("connection", "replication connection")
    };
    Error::fatal(
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        format!("{subject} for host \"{host}\", {target}, {encryption}"),
    )
}

async fn scram(
    server: &Server,
    client: &mut Client,
    credentials: Option<&Credentials>,
) -> std::result::Result<(), Failure> {
    let stored =
        credentials.and_then(|credentials| credentials.password.as_deref()).and_then(Verifier::parse);
    let expired = credentials.is_some_and(Credentials::is_expired);
    let usable = stored.is_some() && !expired;
    // A role without a password gets an exchange like any other, against a verifier nobody can meet.
    let verifier = stored.unwrap_or_else(|| server.mock_verifier(&client.request.user));
    let tls = server.tls();
    let certificate = tls.as_ref().filter(|_| client.stream.is_tls()).map(|tls| &*tls.certificate_pem);
    let exchange = Exchange::new(certificate).map_err(malformed)?;
    send(client, &AuthenticationRequest::Sasl(exchange.mechanisms())).await?;
    let first = receive(client).await?;
    let (answer, pending) = exchange.first(&first, &verifier).map_err(malformed)?;
    send(client, &AuthenticationRequest::SaslContinue(answer)).await?;
    let last = receive(client).await?;
    match pending.last(&last) {
        Ok(answer) if usable => {
            send(client, &AuthenticationRequest::SaslFinal(answer)).await?;
            Ok(())
        }
        Ok(_) | Err(ScramError::WrongPassword) => {
            log_cause(client, credentials, expired);
            Err(failed(client).into())
        }
        Err(error) => Err(malformed(error).into()),
    }
}

async fn password(
    server: &Server,
    client: &mut Client,
    credentials: Option<&Credentials>,
) -> std::result::Result<(), Failure> {
    send(client, &AuthenticationRequest::CleartextPassword).await?;
    let body = receive(client).await?;
    let Some(text) = body.strip_suffix(b"\0").filter(|text| !text.contains(&0)) else {
        return Err(Error::fatal(SqlState::PROTOCOL_VIOLATION, "invalid password packet size").into());
    };
    if text.is_empty() {
        return Err(Error::fatal(SqlState::INVALID_PASSWORD, "empty password returned by client").into());
    }
    let expired = credentials.is_some_and(Credentials::is_expired);
    let stored =
        credentials.and_then(|credentials| credentials.password.as_deref()).and_then(Verifier::parse);
    let known = stored.is_some();
    let verifier = stored.unwrap_or_else(|| server.mock_verifier(&client.request.user));
    let matches = verifier.matches(&String::from_utf8_lossy(text));
    if known && matches && !expired {
        return Ok(());
    }
    log_cause(client, credentials, expired);
    Err(failed(client).into())
}

/// What the client is told, and no more.
fn failed(client: &Client) -> Error {
    Error::fatal(
        SqlState::INVALID_PASSWORD,
        format!("password authentication failed for user \"{}\"", client.request.user),
    )
}

/// The log is told why.
fn log_cause(client: &Client, credentials: Option<&Credentials>, expired: bool) {
    let user = &client.request.user;
    match credentials {
        None => tracing::info!("Role \"{user}\" does not exist."),
        Some(credentials) if credentials.password.is_none() => {
            tracing::info!("User \"{user}\" has no password assigned.")
        }
        Some(_) if expired => tracing::info!("User \"{user}\" has an expired password."),
        Some(_) => tracing::info!("Password does not match for user \"{user}\"."),
    }
}

fn malformed(error: ScramError) -> Error {
    match error {
        ScramError::Malformed(detail) => {
            Error::fatal(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message").detail(detail)
        }
        ScramError::WrongPassword => {
            Error::fatal(SqlState::INVALID_PASSWORD, "password authentication failed")
        }
    }
}

async fn send(client: &mut Client, request: &AuthenticationRequest) -> std::io::Result<()> {
    let mut output = std::mem::take(&mut client.negotiation);
    output.authentication(request);
    client.stream.write_all(&output).await?;
    client.stream.flush().await
}

/// The client's next authentication message.
async fn receive(client: &mut Client) -> std::result::Result<bytes::Bytes, Failure> {
    loop {
        match frame::next_frame(&mut client.input, Phase::Authentication) {
            Ok(Framing::Complete(frame)) => return Ok(frame.body),
            Ok(Framing::Needs(_)) => {}
            Err(malformed) => {
                let message = match malformed {
                    kokkiri_protocol::reader::Malformed::UnknownType(kind) => {
                        format!("expected password response, got message type {kind}")
                    }
                    other => other.to_string(),
                };
                return Err(Error::fatal(SqlState::PROTOCOL_VIOLATION, message).into());
            }
        }
        if client.stream.read_buf(&mut client.input).await? == 0 {
            return Err(Failure::Gone);
        }
    }
}
