//! The one error type: what PostgreSQL's `ereport` carries.
//!
//! An [`Error`] has a SQLSTATE, a primary message in PostgreSQL's wording and, where they apply, detail,
//! hint, position and the names of the objects concerned. It is boxed, so that a `Result` on the hot
//! path is one word larger than its value. Whoever handles an error logs it; whoever passes it on does
//! not. Expected alternatives (a row that was updated concurrently, a lock not available at once) are
//! return values, not errors.

use std::fmt;
use std::panic::Location;

use crate::sqlstate::SqlState;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How grave a report is, in PostgreSQL's words and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    /// The statement ends; the session goes on.
    Error,
    /// The session ends.
    Fatal,
    /// All sessions end and the WAL is replayed.
    Panic,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Debug => "DEBUG",
            Severity::Log => "LOG",
            Severity::Info => "INFO",
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Panic => "PANIC",
        }
    }
}

/// A report: an error on its way to whoever handles it, or a notice on its way to the client.
#[derive(Clone)]
pub struct Error(Box<Report>);

/// The fields of a report. Everything a client sees of it in ErrorResponse or NoticeResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub severity: Severity,
    pub sqlstate: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Byte offset into the statement's text; the session turns it into PostgreSQL's 1-based character.
    pub position: Option<usize>,
    /// Text of a query the server generated itself, with the byte offset of the error in it.
    pub internal: Option<(String, usize)>,
    /// What was going on, innermost first, lines separated by newlines.
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub data_type: Option<String>,
    pub constraint: Option<String>,
    /// Where in the source it was made.
    pub origin: &'static Location<'static>,
}

impl Error {
    #[track_caller]
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self::report(Severity::Error, sqlstate, message)
    }

    #[track_caller]
    pub fn fatal(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self::report(Severity::Fatal, sqlstate, message)
    }

    #[track_caller]
    pub fn notice(message: impl Into<String>) -> Self {
        Self::report(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
    }

    #[track_caller]
    pub fn warning(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self::report(Severity::Warning, sqlstate, message)
    }

    #[track_caller]
    pub fn report(severity: Severity, sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Report {
            severity,
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            internal: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            data_type: None,
            constraint: None,
            origin: Location::caller(),
        }))
    }

    /// A broken invariant that ends the statement: PostgreSQL's `elog(ERROR)`, code XX000.
    #[track_caller]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, message)
    }

    /// What is not built yet: 0A000 with a message that names it.
    #[track_caller]
    pub fn not_supported(what: impl fmt::Display) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported yet"))
    }

    /// A page, record or file whose bytes can't be what was written there: XX001.
    #[track_caller]
    pub fn data_corrupted(message: impl Into<String>) -> Self {
        Self::new(SqlState::DATA_CORRUPTED, message)
    }

    /// A failed system call on `path`, worded as PostgreSQL does: `could not <action> "<path>": <cause>`,
    /// where `action` is for instance `open file`. The code follows PostgreSQL's `errcode_for_file_access`.
    #[track_caller]
    pub fn file_access(action: &str, path: impl fmt::Display, cause: &std::io::Error) -> Self {
        use std::io::ErrorKind::*;
        let sqlstate = match cause.kind() {
            PermissionDenied | ReadOnlyFilesystem => SqlState::INSUFFICIENT_PRIVILEGE,
            NotFound => SqlState::UNDEFINED_FILE,
            AlreadyExists => SqlState::DUPLICATE_FILE,
            StorageFull | QuotaExceeded => SqlState::DISK_FULL,
            IsADirectory | NotADirectory | DirectoryNotEmpty => SqlState::WRONG_OBJECT_TYPE,
            OutOfMemory => SqlState::OUT_OF_MEMORY,
            _ if matches!(cause.raw_os_error(), Some(ENFILE | EMFILE)) => SqlState::INSUFFICIENT_RESOURCES,
            _ if cause.raw_os_error() == Some(EIO) => SqlState::IO_ERROR,
            _ => SqlState::INTERNAL_ERROR,
        };
        Self::new(sqlstate, format!("could not {action} \"{path}\": {}", os_message(cause)))
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the position, as a byte offset into the statement, unless a deeper layer has set one.
    pub fn at(mut self, offset: usize) -> Self {
        self.0.position.get_or_insert(offset);
        self
    }

    /// Adds an outer line of context.
    pub fn context(mut self, line: impl AsRef<str>) -> Self {
        match &mut self.0.context {
            Some(context) => {
                context.push('\n');
                context.push_str(line.as_ref());
            }
            none => *none = Some(line.as_ref().to_owned()),
        }
        self
    }

    /// Names the table (and its schema) that the report is about, for clients that look at fields.
    pub fn table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.0.schema = Some(schema.into());
        self.0.table = Some(table.into());
        self
    }

    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(column.into());
        self
    }

    pub fn data_type(mut self, schema: impl Into<String>, data_type: impl Into<String>) -> Self {
        self.0.schema = Some(schema.into());
        self.0.data_type = Some(data_type.into());
        self
    }

    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.0.constraint = Some(constraint.into());
        self
    }

    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.0.severity = severity;
        self
    }

    pub fn sqlstate(&self) -> SqlState {
        self.0.sqlstate
    }

    pub fn severity(&self) -> Severity {
        self.0.severity
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The module that made the report, which stands for PostgreSQL's name of a C function.
    pub fn routine(&self) -> String {
        let path = self.0.origin.file();
        path.strip_suffix(".rs").unwrap_or(path).replace("/src/", "/").replace('/', "::")
    }

    pub fn fields(&self) -> &Report {
        &self.0
    }

    pub fn fields_mut(&mut self) -> &mut Report {
        &mut self.0
    }
}

const EIO: i32 = 5;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// The system's text for an I/O error without Rust's `(os error n)` suffix.
fn os_message(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (SQLSTATE {})", self.0.severity.as_str(), self.0.message, self.0.sqlstate)?;
        if let Some(detail) = &self.0.detail {
            write!(f, " DETAIL: {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Builds an [`Error`] from the name of a SQLSTATE condition and a format string:
/// `error!(UNDEFINED_TABLE, "relation \"{name}\" does not exist")`.
#[macro_export]
macro_rules! error {
    ($condition:ident, $($message:tt)+) => {
        $crate::error::Error::new($crate::sqlstate::SqlState::$condition, format!($($message)+))
    };
}

/// Returns early with [`error!`].
#[macro_export]
macro_rules! bail {
    ($condition:ident, $($message:tt)+) => {
        return Err($crate::error!($condition, $($message)+))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_position_wins() {
        let error = error!(SYNTAX_ERROR, "syntax error at or near \"{}\"", "x").at(4).at(9);
        assert_eq!(error.fields().position, Some(4));
        assert_eq!(error.sqlstate().as_str(), "42601");
    }

    #[test]
    fn a_report_tells_where_it_was_made() {
        let line = line!() + 1;
        let error = Error::not_supported("this");
        assert_eq!(error.fields().origin.line(), line);
        assert!(error.routine().ends_with("primitives::error"), "{}", error.routine());
    }

    #[test]
    fn file_errors_read_like_postgresql() {
        let cause = std::io::Error::from_raw_os_error(28);
        let error = Error::file_access("write to file", "base/5/1", &cause);
        assert_eq!(error.message(), "could not write to file \"base/5/1\": No space left on device");
        assert_eq!(error.sqlstate(), SqlState::DISK_FULL);
    }
}
