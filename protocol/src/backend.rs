//! Messages that the server sends, appended to the connection's output buffer.
//!
//! pgwire's message types give the layout. The few messages that every statement sends are written as bytes,
//! without a message being made first.

use bytes::{BufMut, BytesMut};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::Message;
use pgwire::messages::copy::{CopyBothResponse, CopyInResponse, CopyOutResponse};
use pgwire::messages::data::ParameterDescription;
use pgwire::messages::response::{ErrorResponse, NoticeResponse, NotificationResponse, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};

/// What an authentication request asks for.
#[derive(Clone, Debug)]
pub enum AuthenticationRequest {
    Ok,
    CleartextPassword,
    /// The mechanisms on offer.
    Sasl(Vec<String>),
    SaslContinue(String),
    SaslFinal(String),
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a str,
    /// Oid and attribute number of the column it shows as it is; zero otherwise.
    pub table: u32,
    pub column: i16,
    pub type_oid: u32,
    pub type_length: i16,
    pub typmod: i32,
    pub format: i16,
}

/// Kinds of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    Error,
    Notice,
}

/// The fields of an ErrorResponse or NoticeResponse; position is a 1-based character.
#[derive(Clone, Debug, Default)]
pub struct ReportFields<'a> {
    pub severity: &'a str,
    pub code: &'a str,
    pub message: &'a str,
    pub detail: Option<&'a str>,
    pub hint: Option<&'a str>,
    pub position: Option<usize>,
    pub internal_position: Option<usize>,
    pub internal_query: Option<&'a str>,
    pub context: Option<&'a str>,
    pub schema: Option<&'a str>,
    pub table: Option<&'a str>,
    pub column: Option<&'a str>,
    pub data_type: Option<&'a str>,
    pub constraint: Option<&'a str>,
    /// Where in the server's source it was made.
    pub file: &'a str,
    pub line: u32,
    pub routine: &'a str,
}

/// The connection's output buffer, seen as a place for messages.
pub trait Output {
    fn authentication(&mut self, request: &AuthenticationRequest);
    fn parameter_status(&mut self, name: &str, value: &str);
    fn backend_key_data(&mut self, pid: i32, key: &SecretKey);
    fn negotiate_protocol_version(&mut self, newest: i32, unsupported: &[String]);
    fn ready_for_query(&mut self, status: TransactionStatus);
    fn report(&mut self, kind: ReportKind, fields: &ReportFields<'_>);
    /// An error in the form of protocol 2, for a client that asks for it: text, with no length before it.
    fn outdated_report(&mut self, severity: &str, message: &str);
    fn notification(&mut self, pid: i32, channel: &str, payload: &str);
    fn row_description<'a>(&mut self, fields: impl Iterator<Item = Field<'a>>);
    fn parameter_description(&mut self, types: &[u32]);
    fn command_complete(&mut self, tag: &str);
    fn empty_query_response(&mut self);
    fn parse_complete(&mut self);
    fn bind_complete(&mut self);
    fn close_complete(&mut self);
    fn no_data(&mut self);
    fn portal_suspended(&mut self);
    /// `binary` is the overall format; each column has its own as well.
    fn copy_in_response(&mut self, binary: bool, columns: usize);
    fn copy_out_response(&mut self, binary: bool, columns: usize);
    fn copy_both_response(&mut self);
    fn copy_data(&mut self, data: &[u8]);
    fn copy_done(&mut self);
    /// Answers a function call; `None` is NULL.
    fn function_call_response(&mut self, result: Option<&[u8]>);
}

impl Output for Vec<u8> {
    fn authentication(&mut self, request: &AuthenticationRequest) {
        let message = match request {
            AuthenticationRequest::Ok => Authentication::Ok,
            AuthenticationRequest::CleartextPassword => Authentication::CleartextPassword,
            AuthenticationRequest::Sasl(mechanisms) => Authentication::SASL(mechanisms.clone()),
            AuthenticationRequest::SaslContinue(data) => Authentication::SASLContinue(data.clone().into()),
            AuthenticationRequest::SaslFinal(data) => Authentication::SASLFinal(data.clone().into()),
        };
        put(self, &message);
    }

    fn parameter_status(&mut self, name: &str, value: &str) {
        put(self, &ParameterStatus::new(name.to_owned(), value.to_owned()));
    }

    fn backend_key_data(&mut self, pid: i32, key: &SecretKey) {
        put(self, &BackendKeyData::new(pid, key.clone()));
    }

    fn negotiate_protocol_version(&mut self, newest: i32, unsupported: &[String]) {
        put(self, &NegotiateProtocolVersion::new(newest, unsupported.to_vec()));
    }

    fn ready_for_query(&mut self, status: TransactionStatus) {
        self.put_slice(&[b'Z', 0, 0, 0, 5, status as u8]);
    }

    fn report(&mut self, kind: ReportKind, fields: &ReportFields<'_>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let mut info =
            ErrorInfo::new(fields.severity.to_owned(), fields.code.to_owned(), fields.message.to_owned());
        info.severity_nonlocalized = Some(fields.severity.to_owned());
        info.detail = owned(fields.detail);
        info.hint = owned(fields.hint);
        info.position = fields.position.map(|position| position.to_string());
        info.internal_position = fields.internal_position.map(|position| position.to_string());
        info.internal_query = owned(fields.internal_query);
        info.where_context = owned(fields.context);
        info.schema = owned(fields.schema);
        info.table = owned(fields.table);
        info.column = owned(fields.column);
        info.datatype = owned(fields.data_type);
        info.constraint = owned(fields.constraint);
        info.file_name = Some(fields.file.to_owned());
        info.line = Some(fields.line as usize);
        info.routine = Some(fields.routine.to_owned());
        match kind {
            ReportKind::Error => put(self, &ErrorResponse::from(info)),
            ReportKind::Notice => put(self, &NoticeResponse::from(info)),
        }
    }

    fn outdated_report(&mut self, severity: &str, message: &str) {
        self.put_slice(format!("E{severity}:  {message}\n\0").as_bytes());
    }

    fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        put(self, &NotificationResponse::new(pid, channel.to_owned(), payload.to_owned()));
    }

    fn row_description<'a>(&mut self, fields: impl Iterator<Item = Field<'a>>) {
        let start = self.len();
        self.put_slice(b"T\0\0\0\0\0\0");
        let mut count = 0_u16;
        for field in fields {
            count += 1;
            self.put_slice(field.name.as_bytes());
            self.put_u8(0);
            self.put_u32(field.table);
            self.put_i16(field.column);
            self.put_u32(field.type_oid);
            self.put_i16(field.type_length);
            self.put_i32(field.typmod);
            self.put_i16(field.format);
        }
        let length = (self.len() - start - 1) as u32;
        self[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
        self[start + 5..start + 7].copy_from_slice(&count.to_be_bytes());
    }

    fn parameter_description(&mut self, types: &[u32]) {
        put(self, &ParameterDescription::new(types.to_vec()));
    }

    fn command_complete(&mut self, tag: &str) {
        self.put_u8(b'C');
        self.put_u32(4 + tag.len() as u32 + 1);
        self.put_slice(tag.as_bytes());
        self.put_u8(0);
    }

    fn empty_query_response(&mut self) {
        self.put_slice(b"I\0\0\0\x04");
    }

    fn parse_complete(&mut self) {
        self.put_slice(b"1\0\0\0\x04");
    }

    fn bind_complete(&mut self) {
        self.put_slice(b"2\0\0\0\x04");
    }

    fn close_complete(&mut self) {
        self.put_slice(b"3\0\0\0\x04");
    }

    fn no_data(&mut self) {
        self.put_slice(b"n\0\0\0\x04");
    }

    fn portal_suspended(&mut self) {
        self.put_slice(b"s\0\0\0\x04");
    }

    fn copy_in_response(&mut self, binary: bool, columns: usize) {
        let format = i8::from(binary);
        put(self, &CopyInResponse::new(format, columns as i16, vec![i16::from(format); columns]));
    }

    fn copy_out_response(&mut self, binary: bool, columns: usize) {
        let format = i8::from(binary);
        put(self, &CopyOutResponse::new(format, columns as i16, vec![i16::from(format); columns]));
    }

    fn copy_both_response(&mut self) {
        put(self, &CopyBothResponse::new(0, 0, Vec::new()));
    }

    fn copy_data(&mut self, data: &[u8]) {
        self.put_u8(b'd');
        self.put_u32(4 + data.len() as u32);
        self.put_slice(data);
    }

    fn copy_done(&mut self) {
        self.put_slice(b"c\0\0\0\x04");
    }

    fn function_call_response(&mut self, result: Option<&[u8]>) {
        self.put_u8(b'V');
        self.put_u32(8 + result.map_or(0, <[u8]>::len) as u32);
        self.put_i32(result.map_or(-1, |result| result.len() as i32));
        self.put_slice(result.unwrap_or_default());
    }
}

/// Appends a message. One that is too long for its type (an error message of megabytes) is replaced by
/// an error that says so: the stream stays in step.
fn put(output: &mut Vec<u8>, message: &impl Message) {
    let mut encoded = BytesMut::new();
    if let Err(error) = message.encode(&mut encoded) {
        encoded.clear();
        let reason = match error {
            PgWireError::MessageTooLarge(limit, length) => {
                format!("message of {length} bytes is over the limit of {limit} bytes")
            }
            other => other.to_string(),
        };
        let info = ErrorInfo::new("ERROR".to_owned(), "54000".to_owned(), reason);
        ErrorResponse::from(info).encode(&mut encoded).expect("a short error response is within the limits");
    }
    output.extend_from_slice(&encoded);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_have_postgresqls_bytes() {
        let mut output = Vec::new();
        output.authentication(&AuthenticationRequest::Ok);
        output.parameter_status("a", "b");
        output.command_complete("SELECT 1");
        output.ready_for_query(TransactionStatus::Idle);
        assert_eq!(&output[..], b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I");
    }

    #[test]
    fn a_row_description_counts_itself_and_its_fields() {
        let mut output = vec![b'x'];
        let field =
            Field { name: "a", table: 1, column: 2, type_oid: 23, type_length: 4, typmod: -1, format: 1 };
        output.row_description([field].into_iter());
        let expected = b"xT\0\0\0\x1a\0\x01a\0\0\0\0\x01\0\x02\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01";
        assert_eq!(&output[..], expected);
    }

    #[test]
    fn a_report_carries_its_fields_in_postgresqls_order() {
        let mut output = Vec::new();
        let fields = ReportFields {
            severity: "ERROR",
            code: "42601",
            message: "m",
            hint: Some("h"),
            position: Some(7),
            file: "f.rs",
            line: 3,
            routine: "r",
            ..ReportFields::default()
        };
        output.report(ReportKind::Error, &fields);
        assert_eq!(&output[5..], b"SERROR\0VERROR\0C42601\0Mm\0Hh\0P7\0Ff.rs\0L3\0Rr\0\0");
    }
}
