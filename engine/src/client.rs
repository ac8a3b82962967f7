//! What a client connection and the engine say to each other.
//!
//! The connection hands in requests ([`ConnectRequest`], [`BindRequest`]) and gets rows and messages
//! through a [`RowSink`], which writes them wherever it wants: the engine never sees a socket. Between two
//! calls of [`crate::Session::run`] the connection does what [`Progress`] asks for.

use std::net::SocketAddr;
use std::sync::Arc;

use kokkiri_primitives::activity::{Interrupt, TlsStatus};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Error, Lsn, Oid, Result, SqlState};
use kokkiri_types::Batch;
use kokkiri_types::io::IoSettings;

/// What a client asks for when it connects: the startup packet, and where it comes from.
#[derive(Clone, Debug, Default)]
pub struct ConnectRequest {
    pub user: String,
    pub database: String,
    /// Parameters from the packet's `options`, in order.
    pub options: Vec<(String, String)>,
    /// Parameters that are fields of the packet.
    pub settings: Vec<(String, String)>,
    /// `None` on a Unix socket.
    pub client_address: Option<SocketAddr>,
    pub tls: Option<TlsStatus>,
}

/// What authentication needs to know of a role.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// pg_authid.rolpassword: a verifier.
    pub password: Option<String>,
    pub valid_until: Option<TimestampTz>,
    /// Names of the roles it is a member of, directly or not, itself among them.
    pub member_of: Vec<String>,
}

impl Credentials {
    /// True if the password's time is over.
    pub fn is_expired(&self) -> bool {
        self.valid_until.is_some_and(|until| until < TimestampTz::now())
    }
}

/// A Bind message: parameter values for a prepared statement.
#[derive(Clone, Debug)]
pub struct BindRequest<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    /// None: all text; one: for all; else one for each parameter.
    pub parameter_formats: Vec<i16>,
    /// `None` is NULL.
    pub parameters: Vec<Option<&'a [u8]>>,
    /// As `parameter_formats`, for the result's columns.
    pub result_formats: Vec<i16>,
}

/// A FunctionCall message.
#[derive(Clone, Debug)]
pub struct FunctionCallRequest<'a> {
    pub function: u32,
    /// As in [`BindRequest`].
    pub argument_formats: Vec<i16>,
    /// `None` is NULL.
    pub arguments: Vec<Option<&'a [u8]>>,
    pub result_format: i16,
}

/// Why [`crate::Session::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// What was begun is done.
    Done,
    /// The sink is full: write it out, then call again.
    OutputFull,
    /// Await the WAL's flush up to here, tell [`crate::Session::flushed`], then call again.
    Flush(Lsn),
    /// Feed COPY data, then call again.
    CopyIn,
}

/// ReadyForQuery's transaction status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionState {
    #[default]
    Idle,
    InBlock,
    Failed,
}

/// How a value is sent: the code on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i16)]
pub enum Format {
    #[default]
    Text = 0,
    Binary = 1,
}

impl Format {
    /// # Errors
    /// 22023 for a code that is none.
    pub fn from_code(code: i16) -> Result<Self> {
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            )),
        }
    }
}

/// One column of a result, as RowDescription describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: Arc<str>,
    /// Table and column it shows as they are; [`Oid::INVALID`] and zero otherwise.
    pub table: Oid,
    pub attribute: i16,
    pub type_oid: Oid,
    pub type_length: i16,
    pub typmod: i32,
    /// The values come as their text form already: it took the catalog to make it (regclass, enums).
    pub rendered: bool,
}

/// Where a session's answers go.
///
/// Every method appends to what the client will receive; nothing waits. The session stops pulling rows
/// when [`RowSink::is_full`].
pub trait RowSink {
    /// Types of a prepared statement's parameters.
    fn parameter_description(&mut self, types: &[u32]);
    fn row_description(&mut self, columns: &[ResultColumn], formats: &[Format]);
    fn no_data(&mut self);
    /// The selected rows of a batch, whose columns are those described.
    ///
    /// # Errors
    /// If a value has no such form. Rows before that one have been sent.
    fn rows(
        &mut self,
        batch: &Batch,
        columns: &[ResultColumn],
        formats: &[Format],
        settings: &IoSettings,
    ) -> Result<()>;
    /// More output should be written before more is made.
    fn is_full(&self) -> bool;
    /// Output that is not written yet, bytes.
    fn pending(&self) -> usize;
    fn command_complete(&mut self, tag: &str);
    fn empty_query(&mut self);
    fn portal_suspended(&mut self);
    /// A notice or warning; `statement` is the text that its position counts in. The sink sends what
    /// client_min_messages has let through.
    fn notice(&mut self, notice: &Error, statement: Option<&str>);
    fn notification(&mut self, pid: i32, channel: &str, payload: &str);
    /// COPY FROM STDIN begins.
    fn copy_in(&mut self, binary: bool, columns: usize);
    /// COPY TO STDOUT begins.
    fn copy_out(&mut self, binary: bool, columns: usize);
    fn copy_data(&mut self, data: &[u8]);
    fn copy_done(&mut self);
}

/// An idle session's next timeout: how long from now, and what it raises then.
pub type IdleTimeout = (std::time::Duration, Interrupt);

/// Text and binary forms of single values, for sinks.
pub mod output {
    use kokkiri_primitives::Result;
    pub use kokkiri_types::io::IoSettings as OutputSettings;
    use kokkiri_types::{ValueRef, io};

    use super::ResultColumn;

    /// Appends the text form of a value that is not null.
    ///
    /// # Errors
    /// 0A000 for a type without one.
    #[inline]
    pub fn text(
        column: &ResultColumn,
        value: ValueRef<'_>,
        settings: &OutputSettings,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        match value {
            ValueRef::Bytes(text) if column.rendered => {
                buffer.extend_from_slice(text);
                Ok(())
            }
            value => io::output_text(column.type_oid, value, settings, buffer),
        }
    }

    /// Appends the binary form of a value that is not null.
    ///
    /// # Errors
    /// 0A000 for a type without one.
    #[inline]
    pub fn binary(
        column: &ResultColumn,
        value: ValueRef<'_>,
        settings: &OutputSettings,
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        match value {
            ValueRef::Bytes(bytes) if column.rendered => {
                buffer.extend_from_slice(bytes);
                Ok(())
            }
            value => io::output_binary(column.type_oid, value, settings, buffer),
        }
    }
}

/// The error for text that is not UTF-8: 22021 with the offending bytes, as many as the first one
/// announces.
pub fn invalid_encoding(text: &[u8], valid_up_to: usize) -> Error {
    let rest = text.get(valid_up_to..).unwrap_or_default();
    let announced = match rest.first() {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf7) => 4,
        _ => 1,
    };
    let shown: Vec<String> = rest.iter().take(announced).map(|byte| format!("0x{byte:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
    )
}

/// A time as `%m` in log_line_prefix prints it, in UTC: `2026-11-20 11:35:55.123 UTC`.
pub fn format_log_time(time: TimestampTz) -> String {
    let mut text = Vec::with_capacity(32);
    // Whole milliseconds always have their three digits here, unlike in a timestamp's text form.
    let seconds = time.0.div_euclid(1_000_000) * 1_000_000;
    kokkiri_types::datetime::format::write_timestamp(seconds, &IoSettings::default(), &mut text);
    let millis = time.0.rem_euclid(1_000_000) / 1000;
    format!("{}.{millis:03} UTC", String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bytes_are_shown_as_postgresql_shows_them() {
        let message = |text: &[u8]| {
            let invalid = std::str::from_utf8(text).expect_err("not UTF-8");
            invalid_encoding(text, invalid.valid_up_to()).message().to_owned()
        };
        assert_eq!(message(b"ab\xff"), "invalid byte sequence for encoding \"UTF8\": 0xff");
        assert_eq!(message(b"\xc3("), "invalid byte sequence for encoding \"UTF8\": 0xc3 0x28");
        assert_eq!(message(b"x\xe2\x82"), "invalid byte sequence for encoding \"UTF8\": 0xe2 0x82");
    }

    #[test]
    fn log_times_have_milliseconds() {
        let time = TimestampTz::from_unix_seconds(1_795_174_555);
        assert_eq!(format_log_time(time), "2026-11-20 11:35:55.000 UTC");
        assert_eq!(format_log_time(TimestampTz(time.0 + 45_678)), "2026-11-20 11:35:55.045 UTC");
    }

    #[test]
    fn a_password_expires() {
        let until = |valid_until| Credentials { valid_until, ..Credentials::default() };
        assert!(!until(None).is_expired());
        assert!(until(Some(TimestampTz(0))).is_expired());
        assert!(!until(Some(TimestampTz(i64::MAX))).is_expired());
    }
}
