//! One client connection: a task that owns the stream, both buffers and a session of the engine.
//!
//! The task decodes every frame that has arrived, lets the session work, appends the answers to the
//! output buffer and writes once when the input is exhausted (or on Flush, before COPY data, or when the
//! buffer is full). That awaited write is the back-pressure: a slow reader stops its own query and nobody
//! else. Engine calls are synchronous and run on this task's thread; only what waits at the top (a
//! commit's flush, the socket) is awaited.
//!
//! Invariants:
//!  1. Between two messages nothing is entered: the thread's current backend is set only inside a call.
//!  2. After an error in an extended-query message everything up to the next Sync is skipped.
//!  3. Whatever way the task ends, dropping the session rolls back and releases everything.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kokkiri_engine::activity::{Backend, Interrupt, WaitEvent, WaitEventGuard};
use kokkiri_engine::{
    BindRequest, Error, FunctionCallRequest, Instance, Lsn, Progress, Result, Session, Severity, SqlState,
    TransactionState,
};
use kokkiri_protocol::TransactionStatus;
use kokkiri_protocol::backend::{AuthenticationRequest, Output as _};
use kokkiri_protocol::frame::{self, Frame, Framing, Phase};
use kokkiri_protocol::frontend::{self, FunctionCall, Message, Target};
use kokkiri_protocol::reader::Malformed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::authentication::{self, Failure};
use crate::cancel::IssuedKey;
use crate::log;
use crate::serve::Server;
use crate::sink::Sink;
use crate::startup::{self, Client, Outcome, Peer};
use crate::stream::{ClientWatch, Stream};

/// Output is written when it has grown to this, bytes.
const OUTPUT_FULL: usize = 64 * 1024;
/// Room that is made for input at least, bytes: most messages come whole in one read.
const INPUT_ROOM: usize = 1024;
/// Room for input at first: taken from the front again when it runs out, as long as no message needs more.
const INPUT_BUFFER: usize = 4 * INPUT_ROOM;
/// Buffers of an idle connection are no larger than this, bytes.
const IDLE_BUFFER_MAX: usize = 8 * 1024;

static CLIENT_READ: WaitEvent = WaitEvent::new("Client", "ClientRead");
static CLIENT_WRITE: WaitEvent = WaitEvent::new("Client", "ClientWrite");

/// Why the loop ends without an error of its own.
#[derive(Debug)]
enum Ended {
    /// Terminate, or the client hung up.
    ByClient,
    /// A FATAL error, already sent.
    ByError,
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Ended::ByClient
    }
}

/// Serves one connection from its first byte to its last.
pub async fn run(server: Arc<Server>, stream: Stream, peer: Peer) {
    let limit = server.authentication_timeout();
    let connection = match tokio::time::timeout(limit, start(&server, stream, peer)).await {
        Ok(connection) => connection,
        Err(_) => {
            tracing::info!("canceling authentication due to timeout");
            return;
        }
    };
    if let Some(mut connection) = connection {
        let ended = connection.serve().await;
        tracing::debug!("connection ended: {ended:?}");
        connection.close().await;
    }
}

/// Negotiates, authenticates and opens the session.
async fn start(server: &Arc<Server>, stream: Stream, peer: Peer) -> Option<Connection> {
    let mut client = match startup::negotiate(server, stream, peer).await {
        Ok(Outcome::Client(client)) => client,
        Ok(Outcome::Nothing) => return None,
        Ok(Outcome::Refused(mut stream, error)) => {
            refuse(&mut stream, Vec::new(), &error).await;
            return None;
        }
        Ok(Outcome::RefusedOutdated(mut stream, error)) => {
            log::report(&error, None);
            let mut output = Vec::new();
            output.outdated_report(error.severity().as_str(), error.message());
            hang_up(&mut stream, &output).await;
            return None;
        }
        Err(cause) => {
            tracing::info!("could not receive startup packet: {cause}");
            return None;
        }
    };
    match open(server, &mut client).await {
        Ok(Opened { session, instance, cancel_key, greeting }) => {
            let backend = Arc::clone(session.backend());
            client.input.reserve(INPUT_BUFFER);
            Some(Connection {
                stream: client.stream,
                input: client.input,
                output: greeting,
                session,
                instance,
                backend,
                _cancel_key: cancel_key,
                skip_until_sync: false,
                statement: None,
            })
        }
        Err(Failure::Refused(error)) => {
            let greeting = std::mem::take(&mut client.negotiation);
            refuse(&mut client.stream, greeting, &error).await;
            None
        }
        Err(Failure::Gone) => None,
    }
}

/// A session that has begun, with what the client is told first.
struct Opened {
    session: Session,
    instance: Arc<Instance>,
    cancel_key: IssuedKey,
    greeting: Vec<u8>,
}

/// Everything between the startup packet and the first ReadyForQuery.
async fn open(server: &Arc<Server>, client: &mut Client) -> std::result::Result<Opened, Failure> {
    if client.request.user.is_empty() {
        return Err(Error::fatal(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        )
        .into());
    }
    if client.replication.is_some() {
        return Err(Error::not_supported("streaming replication").with_severity(Severity::Fatal).into());
    }
    let slot = server.engine().reserve_backend()?;
    let instance = Arc::clone(slot.instance());
    let credentials = slot.credentials(&client.request.user)?;
    authentication::authenticate(server, client, credentials.as_ref()).await?;
    client.negotiation.authentication(&AuthenticationRequest::Ok);
    let mut request = std::mem::take(&mut client.request);
    request.options = startup::split_options(&client.options)?;
    request.client_address = client.peer.address();
    request.tls = client.stream_tls_status();
    let session = slot.connect(request)?;
    let cancel_key = server.cancel_keys.issue(session.backend().pid, client.version.minor >= 2)?;
    let mut output = std::mem::take(&mut client.negotiation);
    for (name, value) in session.initial_reports() {
        output.parameter_status(name, &value);
    }
    output.backend_key_data(session.backend().pid, &cancel_key.key);
    output.ready_for_query(TransactionStatus::Idle);
    Ok(Opened { session, instance, cancel_key, greeting: output })
}

impl Client {
    fn stream_tls_status(&self) -> Option<kokkiri_engine::activity::TlsStatus> {
        match &self.stream {
            Stream::TlsTcp(stream) => Some(crate::tls::status(stream.get_ref().1)),
            Stream::TlsUnix(stream) => Some(crate::tls::status(stream.get_ref().1)),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }
}

/// Sends an error and hangs up. `output` is what the client is told before it.
async fn refuse(stream: &mut Stream, mut output: Vec<u8>, error: &Error) {
    log::report(error, None);
    Sink::new(&mut output).error(error, None);
    hang_up(stream, &output).await;
}

/// Writes a last message. The client may be gone already; what it says is in the log.
async fn hang_up(stream: &mut Stream, output: &[u8]) {
    if stream.write_all(output).await.is_ok() {
        let _closing = stream.shutdown().await;
    }
}

struct Connection {
    stream: Stream,
    input: BytesMut,
    output: Vec<u8>,
    session: Session,
    instance: Arc<Instance>,
    backend: Arc<Backend>,
    _cancel_key: IssuedKey,
    skip_until_sync: bool,
    /// Text of the statement that is running, for positions and the log.
    statement: Option<Arc<str>>,
}

impl Connection {
    async fn serve(&mut self) -> std::result::Result<(), Ended> {
        loop {
            match frame::next_frame(&mut self.input, Phase::Queries) {
                Ok(Framing::Complete(frame)) => self.message(&frame).await?,
                Ok(Framing::Needs(more)) => {
                    self.flush().await?;
                    self.await_input(more).await?;
                }
                // The log's business alone: who sends such a length doesn't speak the protocol.
                Err(malformed @ Malformed::InvalidLength) => {
                    tracing::info!("{malformed}");
                    self.flush().await?;
                    return Err(Ended::ByError);
                }
                Err(malformed) => {
                    let error = Error::fatal(SqlState::PROTOCOL_VIOLATION, malformed.to_string());
                    return self.fatal(&error).await;
                }
            }
        }
    }

    /// Waits for bytes from the client, for news from the engine, or for an idle timeout.
    async fn await_input(&mut self, more: usize) -> std::result::Result<(), Ended> {
        if self.input.is_empty() && self.input.capacity() > IDLE_BUFFER_MAX {
            self.input = BytesMut::new();
        }
        self.input.reserve(more.clamp(INPUT_ROOM, OUTPUT_FULL));
        loop {
            if let Some(error) = self.session.idle_interrupt() {
                return self.fatal(&error).await;
            }
            let _shown = WaitEventGuard::of(Arc::clone(&self.backend), &CLIENT_READ);
            let idle = self.session.idle_timeout();
            let backend = Arc::clone(&self.backend);
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => {
                    return if read? == 0 { Err(Ended::ByClient) } else { Ok(()) };
                }
                () = backend.latch.notified() => {
                    backend.latch.reset();
                    self.session.idle_news(&mut Sink::new(&mut self.output));
                    self.flush().await?;
                }
                () = sleep(idle.map(|(duration, _)| duration)) => {
                    let (_, interrupt) = idle.expect("slept for it");
                    self.backend.interrupt(interrupt);
                }
            }
        }
    }

    async fn message(&mut self, frame: &Frame) -> std::result::Result<(), Ended> {
        if self.skip_until_sync && !matches!(frame.kind, b'S' | b'X') {
            return Ok(());
        }
        // COPY data that comes after COPY has failed is forgotten unread.
        if matches!(frame.kind, b'd' | b'c' | b'f') {
            return Ok(());
        }
        if frame.kind == b'X' {
            self.flush().await?;
            return Err(Ended::ByClient);
        }
        let message = match frontend::decode(frame) {
            Ok(message) => message,
            Err(malformed) => {
                let error = Error::new(SqlState::PROTOCOL_VIOLATION, malformed.to_string());
                let extended = matches!(frame.kind, b'P' | b'B' | b'D' | b'E' | b'C' | b'H');
                if frame.kind == b'S' {
                    self.skip_until_sync = false;
                }
                return self.failed(error, extended).await;
            }
        };
        if self.backend.take_worker_given_away() {
            tokio::task::yield_now().await;
        }
        match message {
            Message::Query(text) => self.simple_query(text).await,
            Message::Terminate => Err(Ended::ByClient),
            Message::Flush => self.flush().await,
            Message::Sync => self.sync().await,
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::FunctionCall(call) => self.function_call(&call).await,
            extended => match self.extended(extended).await {
                Ok(()) => Ok(()),
                Err(Failure::Refused(error)) => self.failed(error, true).await,
                Err(Failure::Gone) => Err(Ended::ByClient),
            },
        }
    }

    async fn simple_query(&mut self, text: &[u8]) -> std::result::Result<(), Ended> {
        let text: Arc<str> = match std::str::from_utf8(text) {
            Ok(text) => text.into(),
            Err(invalid) => {
                let error = kokkiri_engine::invalid_encoding(text, invalid.valid_up_to());
                return self.failed(error, false).await;
            }
        };
        self.statement = Some(Arc::clone(&text));
        let begun = self.call(|session, _| session.begin_query(&text));
        let outcome = match begun {
            Ok(()) => self.drive().await,
            Err(error) => Err(Failure::Refused(error)),
        };
        match outcome {
            Ok(()) => {
                self.statement = None;
                self.ready();
                Ok(())
            }
            Err(Failure::Refused(error)) => self.failed(error, false).await,
            Err(Failure::Gone) => Err(Ended::ByClient),
        }
    }

    async fn extended(&mut self, message: Message<'_>) -> std::result::Result<(), Failure> {
        match message {
            Message::Parse { name, query, parameter_types } => {
                let text: Arc<str> = utf8(query)?.into();
                let name = utf8(name)?;
                self.statement = Some(Arc::clone(&text));
                self.call(|session, _| session.parse(name, &text, &parameter_types))?;
                self.output.parse_complete();
            }
            Message::Bind { portal, statement, parameter_formats, parameters, result_formats } => {
                let request = BindRequest {
                    portal: utf8(portal)?,
                    statement: utf8(statement)?,
                    parameter_formats: parameter_formats.iter().collect(),
                    parameters: parameters.iter().collect(),
                    result_formats: result_formats.iter().collect(),
                };
                self.statement = self.session.statement_text(request.statement);
                self.call(|session, _| session.bind(&request))?;
                self.output.bind_complete();
            }
            Message::Describe { target, name } => {
                let name = utf8(name)?;
                self.call(|session, sink| match target {
                    Target::Statement => session.describe_statement(name, sink),
                    Target::Portal => session.describe_portal(name, sink),
                })?;
            }
            Message::Execute { portal, rows_max } => {
                let portal = utf8(portal)?;
                self.statement = self.session.portal_text(portal);
                let limit = u64::try_from(rows_max).ok().filter(|rows| *rows > 0);
                self.call(|session, _| session.begin_execute(portal, limit))?;
                self.drive().await?;
            }
            Message::Close { target, name } => {
                let name = utf8(name)?;
                self.call(|session, _| match target {
                    Target::Statement => session.close_statement(name),
                    Target::Portal => session.close_portal(name),
                })?;
                self.output.close_complete();
            }
            other => unreachable!("not an extended-query message: {other:?}"),
        }
        if self.output.len() >= OUTPUT_FULL {
            self.write_output().await?;
        }
        Ok(())
    }

    async fn function_call(&mut self, call: &FunctionCall<'_>) -> std::result::Result<(), Ended> {
        self.statement = None;
        let request = FunctionCallRequest {
            function: call.function,
            argument_formats: call.argument_formats.iter().collect(),
            arguments: call.arguments.iter().collect(),
            result_format: call.result_format,
        };
        match self.call(|session, _| session.call_function(&request)) {
            Ok(result) => {
                self.output.function_call_response(result.as_deref());
                if let Err(error) = self.call(|session, _| session.begin_call_end()) {
                    return self.failed(error, false).await;
                }
                self.finish().await
            }
            Err(error) => self.failed(error, false).await,
        }
    }

    async fn sync(&mut self) -> std::result::Result<(), Ended> {
        self.skip_until_sync = false;
        self.session.begin_sync();
        self.finish().await
    }

    /// Lets what was begun come to its end, then is ready.
    async fn finish(&mut self) -> std::result::Result<(), Ended> {
        match self.drive().await {
            Ok(()) => {
                self.statement = None;
                self.ready();
                Ok(())
            }
            Err(Failure::Refused(error)) => self.failed(error, false).await,
            Err(Failure::Gone) => Err(Ended::ByClient),
        }
    }

    /// Lets the session work until what was begun is done, awaiting what must be awaited.
    async fn drive(&mut self) -> std::result::Result<(), Failure> {
        let _watch = match self.session.client_check_interval() {
            Some(interval) => {
                let backend = Arc::clone(&self.backend);
                let gone = move || backend.interrupt(Interrupt::ConnectionLost);
                Some(ClientWatch::start(&self.stream, interval, gone)?)
            }
            None => None,
        };
        loop {
            match self.call(|session, sink| session.run(sink))? {
                Progress::Done => return Ok(()),
                Progress::OutputFull => self.write_output().await?,
                Progress::Flush(lsn) => {
                    let flushed = flushed(&self.instance, &self.backend, lsn).await;
                    self.call(|session, _| session.flushed(flushed))?;
                }
                Progress::CopyIn => {
                    self.write_output().await?;
                    self.copy_in().await?;
                }
            }
        }
    }

    /// Takes COPY data from the client until it ends or the session has enough to work on.
    async fn copy_in(&mut self) -> std::result::Result<(), Failure> {
        loop {
            match frame::next_frame(&mut self.input, Phase::Copy) {
                Ok(Framing::Complete(frame)) if matches!(frame.kind, b'H' | b'S') => {}
                Ok(Framing::Complete(frame)) => {
                    let message = frontend::decode(&frame).map_err(|malformed| {
                        Error::new(SqlState::PROTOCOL_VIOLATION, malformed.to_string())
                    })?;
                    match message {
                        Message::CopyData(data) => {
                            self.call(|session, _| session.copy_data(data))?;
                            if !self.has_whole_frame() {
                                return Ok(());
                            }
                        }
                        Message::CopyDone => return Ok(self.call(|session, _| session.copy_done())?),
                        Message::CopyFail(reason) => {
                            let reason = String::from_utf8_lossy(reason).into_owned();
                            return Ok(self.call(|session, _| session.copy_fail(&reason))?);
                        }
                        _ => unreachable!("other types do not get through the framing"),
                    }
                }
                Ok(Framing::Needs(_)) => self.await_copy_data().await?,
                Err(Malformed::UnknownType(kind)) => {
                    let unexpected = format!("unexpected message type 0x{kind:02X} during COPY from stdin");
                    return Err(self.lost_in_copy(SqlState::PROTOCOL_VIOLATION, &unexpected));
                }
                Err(malformed) => {
                    tracing::info!("{malformed}");
                    return Err(self.gone_in_copy());
                }
            }
        }
    }

    /// The client hung up in the middle of a COPY; it may have closed its sending side alone.
    fn gone_in_copy(&mut self) -> Failure {
        let gone = "unexpected EOF on client connection with an open transaction";
        self.lost_in_copy(SqlState::CONNECTION_FAILURE, gone)
    }

    /// Reports an error in the middle of a COPY behind which nobody knows where the next message starts.
    fn lost_in_copy(&mut self, code: SqlState, message: &str) -> Failure {
        self.report(&Error::new(code, message.to_owned()));
        let lost = "terminating connection because protocol synchronization was lost";
        Error::fatal(SqlState::PROTOCOL_VIOLATION, lost).into()
    }

    /// Waits for bytes from the client in the middle of a COPY, or for somebody to end it.
    async fn await_copy_data(&mut self) -> std::result::Result<(), Failure> {
        let backend = Arc::clone(&self.backend);
        let _shown = WaitEventGuard::of(Arc::clone(&backend), &CLIENT_READ);
        loop {
            backend.latch.reset();
            self.call(|session, _| session.check_for_interrupts())?;
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => {
                    return if read? == 0 { Err(self.gone_in_copy()) } else { Ok(()) };
                }
                () = backend.latch.notified() => {}
            }
        }
    }

    /// Sends an error and writes it to the log.
    fn report(&mut self, error: &Error) {
        log::report(error, self.statement.as_deref());
        Sink::new(&mut self.output).error(error, self.statement.as_deref());
    }

    fn has_whole_frame(&self) -> bool {
        let Some(header) = self.input.get(1..5) else { return false };
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        self.input.len() > length
    }

    /// One call into the engine, with the backend entered. A panic in it ends this session alone.
    fn call<T>(&mut self, work: impl FnOnce(&mut Session, &mut Sink<'_>) -> Result<T>) -> Result<T> {
        let _entered = self.backend.enter();
        let session = &mut self.session;
        let mut sink = Sink::new(&mut self.output);
        match std::panic::catch_unwind(AssertUnwindSafe(|| work(session, &mut sink))) {
            Ok(result) => result,
            Err(panic) => {
                let message = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "unknown cause".to_owned());
                Err(Error::fatal(SqlState::INTERNAL_ERROR, format!("backend panicked: {message}")))
            }
        }
    }

    /// Reports an error of a message and gets the session ready for the next.
    async fn failed(&mut self, error: Error, extended: bool) -> std::result::Result<(), Ended> {
        if error.severity() >= Severity::Fatal {
            return self.fatal(&error).await;
        }
        let statement = self.statement.take();
        self.session.send_failed_notices(&mut Sink::new(&mut self.output), statement.as_deref());
        self.statement = statement;
        self.report(&error);
        self.statement = None;
        if let Err(worse) = self.call(|session, _| session.statement_failed()) {
            return self.fatal(&worse).await;
        }
        if extended {
            self.skip_until_sync = true;
        } else {
            self.ready();
        }
        Ok(())
    }

    async fn fatal(&mut self, error: &Error) -> std::result::Result<(), Ended> {
        let error = error.clone().with_severity(error.severity().max(Severity::Fatal));
        self.report(&error);
        self.flush().await?;
        Err(Ended::ByError)
    }

    /// Changed parameters, then ReadyForQuery.
    fn ready(&mut self) {
        for (name, value) in self.session.take_reports() {
            self.output.parameter_status(name, &value);
        }
        let status = match self.session.state() {
            TransactionState::Idle => TransactionStatus::Idle,
            TransactionState::InBlock => TransactionStatus::Transaction,
            TransactionState::Failed => TransactionStatus::Error,
        };
        self.output.ready_for_query(status);
    }

    async fn flush(&mut self) -> std::result::Result<(), Ended> {
        self.write_output().await?;
        if self.output.capacity() > IDLE_BUFFER_MAX {
            self.output = Vec::new();
        }
        Ok(())
    }

    /// Writes the whole output buffer, unless the session is terminated while the client does not read.
    async fn write_output(&mut self) -> std::io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let backend = Arc::clone(&self.backend);
        let _shown = WaitEventGuard::of(Arc::clone(&backend), &CLIENT_WRITE);
        let terminated = async {
            loop {
                let ends = [Interrupt::Terminate, Interrupt::CrashRestart];
                if ends.iter().any(|interrupt| backend.interrupts.is_pending(*interrupt)) {
                    // Leave a willing reader the time to take the last message.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return;
                }
                backend.latch.notified().await;
            }
        };
        tokio::select! {
            biased;
            written = self.stream.write_all(&self.output) => written?,
            () = terminated => return Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
        self.stream.flush().await?;
        self.output.clear();
        Ok(())
    }

    async fn close(mut self) {
        let entered = self.backend.enter();
        drop(self.session);
        drop(entered);
        let _already_closed = self.stream.shutdown().await;
    }
}

/// Waits until the WAL is durable up to `lsn`. The backend is entered whenever its task leads the flush,
/// so that what it does is counted as its own.
async fn flushed(instance: &Instance, backend: &Arc<Backend>, lsn: Lsn) -> Result<()> {
    let mut flush = std::pin::pin!(instance.cluster.wal.wait_flushed(lsn));
    std::future::poll_fn(|context| {
        let _entered = backend.enter();
        flush.as_mut().poll(context)
    })
    .await
}

/// Sleeps, or waits for ever.
async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

fn utf8(text: &[u8]) -> Result<&str> {
    std::str::from_utf8(text).map_err(|invalid| kokkiri_engine::invalid_encoding(text, invalid.valid_up_to()))
}
