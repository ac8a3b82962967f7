//! What a COPY's options say of its data: the format with its characters, and what to do with bad rows.
//!
//! Realises: `CopyFormatOptions` (copy.h). How options are read and judged is the command crate's.

use kokkiri_primitives::SqlState;
use kokkiri_types::encoding::Encoding;

/// FORMAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Text,
    Csv,
    Binary,
}

/// HEADER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    #[default]
    None,
    /// A line of names is written, or skipped.
    Line,
    /// The names read must be those of the columns.
    Match,
}

/// LOG_VERBOSITY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Silent,
    #[default]
    Default,
    Verbose,
}

/// How rows look outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyFormat {
    pub kind: Kind,
    pub delimiter: u8,
    /// What stands for null, before escapes are undone.
    pub null: String,
    /// What stands for the column's default.
    pub default: Option<String>,
    pub header: Header,
    pub quote: u8,
    pub escape: u8,
    /// What the bytes outside are encoded in.
    pub encoding: Encoding,
}

/// What to do with rows whose fields are no values of their columns' types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnError {
    /// Skip them, instead of stopping.
    pub ignore: bool,
    /// The most rows that may be skipped.
    pub reject_limit: Option<u64>,
    pub verbosity: Verbosity,
}

impl CopyFormat {
    /// A format with the characters that it has by itself.
    pub fn new(kind: Kind) -> Self {
        let (delimiter, null) = match kind {
            Kind::Csv => (b',', ""),
            Kind::Text | Kind::Binary => (b'\t', "\\N"),
        };
        Self { kind, delimiter, null: null.to_owned(), quote: b'"', escape: b'"', ..Self::default() }
    }
}

/// True for errors that say that a text is no value of its type: what ON_ERROR ignore skips.
pub fn is_bad_value(sqlstate: SqlState) -> bool {
    sqlstate.class() == SqlState::DATA_EXCEPTION
        || sqlstate.class() == SqlState::INTEGRITY_CONSTRAINT_VIOLATION
        || sqlstate == SqlState::NAME_TOO_LONG
        || sqlstate.class() == SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION
}
