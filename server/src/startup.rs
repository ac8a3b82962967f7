//! From the first byte to a session: negotiation, startup packet, authentication.
//!
//! Realises: `ProcessStartupPacket` and `InitPostgres`' order of checks. Everything here happens within
//! authentication_timeout, before a backend slot's worth of work is spent on the client.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kokkiri_engine::{ConnectRequest, Error, Result, SqlState};
use kokkiri_protocol::backend::Output as _;
use kokkiri_protocol::frame::{self, Framing};
use kokkiri_protocol::reader::Malformed;
use kokkiri_protocol::startup::{self, NEWEST_PROTOCOL, ProtocolVersion, Startup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::serve::Server;
use crate::stream::Stream;
use crate::tls;

/// First byte of a TLS handshake: a client that does not ask first.
const TLS_HANDSHAKE: u8 = 0x16;

/// Where a client comes from.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl Peer {
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Peer::Tcp(address) => Some(address),
            Peer::Unix => None,
        }
    }
}

/// A client that has said who it is.
pub struct Client {
    pub stream: Stream,
    /// Bytes that came behind the startup packet.
    pub input: BytesMut,
    pub peer: Peer,
    pub version: ProtocolVersion,
    pub request: ConnectRequest,
    /// The `options` field; what is wrong in it is told behind the authentication.
    pub options: String,
    /// `replication` was asked for.
    pub replication: Option<String>,
    /// What the client is told with the next message.
    pub negotiation: Vec<u8>,
}

/// How a connection's first phase ended.
pub enum Outcome {
    Client(Box<Client>),
    /// A cancel request, already handled; or the client left without a word.
    Nothing,
    /// Refused: the error is sent and the connection closed.
    Refused(Stream, Error),
    /// Refused as well, for a protocol so old that errors had another form.
    RefusedOutdated(Stream, Error),
}

/// Talks to the client until it has sent a startup packet.
pub async fn negotiate(server: &Arc<Server>, stream: Stream, peer: Peer) -> std::io::Result<Outcome> {
    let Some(mut stream) = direct_tls(server, stream).await? else { return Ok(Outcome::Nothing) };
    let mut input = BytesMut::with_capacity(256);
    let mut asked_ssl = false;
    let mut asked_gss = false;
    loop {
        let packet = match read_packet(&mut stream, &mut input).await? {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(Outcome::Nothing),
            Err(Malformed::InvalidLength) => {
                tracing::info!("invalid length of startup packet");
                return Ok(Outcome::Nothing);
            }
            Err(malformed) => return Ok(Outcome::Refused(stream, violation(&malformed))),
        };
        match startup::decode(&packet) {
            Ok(Startup::Ssl) if !asked_ssl && !stream.is_tls() => {
                asked_ssl = true;
                let tls = server.tls().filter(|_| peer.address().is_some());
                if tls.is_none() {
                    stream.write_all(b"N").await?;
                }
                // Bytes sent before the answer would be taken for bytes under TLS.
                if !input.is_empty() {
                    return Ok(Outcome::Refused(stream, unencrypted("SSL")));
                }
                if let Some(tls) = tls {
                    stream.write_all(b"S").await?;
                    stream = handshake(&tls, stream).await?;
                }
            }
            Ok(Startup::GssEncryption) if !asked_gss => {
                asked_gss = true;
                stream.write_all(b"N").await?;
                if !input.is_empty() {
                    return Ok(Outcome::Refused(stream, unencrypted("GSSAPI encryption")));
                }
            }
            Ok(Startup::Ssl | Startup::GssEncryption) => {
                // Asked for twice, it is a protocol version like any other.
                let asked = ProtocolVersion { major: 1234, minor: 5679 };
                return Ok(Outcome::Refused(stream, unsupported(asked)));
            }
            Ok(Startup::Cancel { pid, key }) => {
                server.cancel(pid, key);
                return Ok(Outcome::Nothing);
            }
            // Zero is no old protocol: the error has today's form.
            Ok(Startup::Session { version, .. }) if version.major < 3 && version.number() != 0 => {
                return Ok(Outcome::RefusedOutdated(stream, unsupported(version)));
            }
            Ok(Startup::Session { version, options }) => {
                return Ok(match session(version, &options) {
                    Ok(Asked { request, options, replication, negotiation }) => {
                        let version = version.min(NEWEST_PROTOCOL);
                        Outcome::Client(Box::new(Client {
                            stream,
                            input,
                            peer,
                            version,
                            request,
                            options,
                            replication,
                            negotiation,
                        }))
                    }
                    Err(error) => Outcome::Refused(stream, error),
                });
            }
            Err(malformed) => return Ok(Outcome::Refused(stream, violation(&malformed))),
        }
    }
}

type ReadPacket = std::result::Result<Option<Bytes>, Malformed>;

/// Reads one startup packet; `None` if the client hangs up before its first byte.
async fn read_packet(stream: &mut Stream, input: &mut BytesMut) -> std::io::Result<ReadPacket> {
    loop {
        match frame::next_startup(input) {
            Ok(Framing::Complete(packet)) => return Ok(Ok(Some(packet))),
            Ok(Framing::Needs(_)) => {}
            Err(malformed) => return Ok(Err(malformed)),
        }
        if stream.read_buf(input).await? == 0 {
            if !input.is_empty() {
                tracing::info!("incomplete startup packet");
            }
            return Ok(Ok(None));
        }
    }
}

/// Takes a client that starts with a TLS handshake, without asking first. Only over TCP, and only if it
/// names the protocol: another protocol's client must not be talked to by mistake.
async fn direct_tls(server: &Server, stream: Stream) -> std::io::Result<Option<Stream>> {
    let (Stream::Tcp(tcp), Some(tls)) = (&stream, server.tls()) else { return Ok(Some(stream)) };
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 || first[0] != TLS_HANDSHAKE {
        return Ok(Some(stream));
    }
    let secured = handshake(&tls, stream).await?;
    let protocol = match &secured {
        Stream::TlsTcp(stream) => stream.get_ref().1.alpn_protocol(),
        _ => None,
    };
    if protocol != Some(tls::ALPN) {
        tracing::info!("received direct SSL connection request without ALPN protocol negotiation extension");
        return Ok(None);
    }
    Ok(Some(secured))
}

async fn handshake(tls: &tls::Tls, stream: Stream) -> std::io::Result<Stream> {
    match stream {
        Stream::Tcp(tcp) => Ok(Stream::TlsTcp(Box::new(tls.acceptor.accept(tcp).await?))),
        Stream::Unix(unix) => Ok(Stream::TlsUnix(Box::new(tls.acceptor.accept(unix).await?))),
        secured => Ok(secured),
    }
}

/// The options of a startup packet; the fields as in [`Client`].
#[derive(Default)]
struct Asked {
    request: ConnectRequest,
    options: String,
    replication: Option<String>,
    negotiation: Vec<u8>,
}

/// Reads the options of a startup packet.
fn session(version: ProtocolVersion, options: &[(&[u8], &[u8])]) -> Result<Asked> {
    if version.major != 3 {
        return Err(unsupported(version));
    }
    let mut asked = Asked::default();
    let request = &mut asked.request;
    let mut unsupported = Vec::new();
    for (name, value) in options {
        let name = String::from_utf8_lossy(name).into_owned();
        let value = String::from_utf8_lossy(value).into_owned();
        match name.as_str() {
            "user" => request.user = value,
            "database" => request.database = value,
            "options" => asked.options = value,
            "replication" => {
                asked.replication = wants_replication(&value)?.then_some(value);
            }
            _ if name.starts_with("_pq_.") => unsupported.push(name),
            _ => request.settings.push((name, value)),
        }
    }
    if request.database.is_empty() {
        request.database = request.user.clone();
    }
    for name in [&mut request.user, &mut request.database] {
        truncate_identifier(name);
    }
    if version > NEWEST_PROTOCOL || !unsupported.is_empty() {
        asked.negotiation.negotiate_protocol_version(version.min(NEWEST_PROTOCOL).number(), &unsupported);
    }
    Ok(asked)
}

/// The value of `replication`: a boolean, which may be shortened, or `database`.
fn wants_replication(value: &str) -> Result<bool> {
    let word = value.to_ascii_lowercase();
    let is = |name: &str, at_least: usize| word.len() >= at_least && name.starts_with(&word);
    if value == "database" || is("true", 1) || is("yes", 1) || is("on", 2) || word == "1" {
        return Ok(true);
    }
    if is("false", 1) || is("no", 1) || is("off", 2) || word == "0" {
        return Ok(false);
    }
    Err(Error::fatal(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"replication\": \"{value}\""),
    )
    .hint("Valid values are: \"false\", 0, \"true\", 1, \"database\"."))
}

/// Names are at most 63 bytes.
fn truncate_identifier(name: &mut String) {
    const NAME_LENGTH_MAX: usize = 63;
    if name.len() > NAME_LENGTH_MAX {
        let end = (0..=NAME_LENGTH_MAX).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(end);
    }
}

/// `-c name=value` and `--name=value` words of the `options` field; a backslash quotes the next
/// character.
pub fn split_options(text: &str) -> Result<Vec<(String, String)>> {
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--") {
            Some(assignment) => assignment.to_owned(),
            None if word == "-c" => words.next().unwrap_or_default(),
            None => match word.strip_prefix("-c") {
                Some(assignment) => assignment.to_owned(),
                None => {
                    return Err(Error::fatal(
                        SqlState::SYNTAX_ERROR,
                        format!("invalid command-line argument for server process: {word}"),
                    ));
                }
            },
        };
        let (name, value) = assignment.split_once('=').ok_or_else(|| {
            Error::fatal(SqlState::SYNTAX_ERROR, format!("-c {assignment} requires a value"))
        })?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn unsupported(version: ProtocolVersion) -> Error {
    let ProtocolVersion { major, minor } = version;
    Error::fatal(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"),
    )
}

fn violation(malformed: &Malformed) -> Error {
    Error::fatal(SqlState::PROTOCOL_VIOLATION, malformed.to_string())
}

fn unencrypted(kind: &str) -> Error {
    Error::fatal(
        SqlState::PROTOCOL_VIOLATION,
        format!("received unencrypted data after {kind} request"),
    )
    .detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_as_postgresql_splits_them() {
        let split = |text| split_options(text).expect("valid");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            split("-c geqo=off -cwork_mem=1MB --search-path=a\\ b"),
            [pair("geqo", "off"), pair("work_mem", "1MB"), pair("search_path", "a b")]
        );
        assert!(split_options("-x").is_err() && split_options("-c geqo").is_err());
    }

    #[test]
    fn a_startup_packet_names_its_user() {
        let version = ProtocolVersion { major: 3, minor: 2 };
        let asked = session(version, &[(b"user", b"ann"), (b"TimeZone", b"UTC")]).expect("valid");
        assert_eq!((asked.request.user.as_str(), asked.request.database.as_str()), ("ann", "ann"));
        assert!(asked.replication.is_none() && asked.negotiation.is_empty());
        assert!(session(version, &[(b"replication", b"o")]).is_err());
        assert!(session(version, &[(b"replication", b"TR")]).expect("valid").replication.is_some());
        let newer = ProtocolVersion { major: 3, minor: 9 };
        let asked = session(newer, &[(b"user", b"a"), (b"_pq_.x", b"1")]).expect("negotiable");
        assert_eq!(asked.negotiation[0], b'v');
    }
}
