//! Rows of values as the bytes of COPY TO.

use kokkiri_primitives::Result;

use super::format::{CopyFormat, Header, Kind};
use super::{binary, csv, text};

/// Makes the bytes of rows; each call appends.
#[derive(Clone, Debug)]
pub struct CopyWriter {
    pub format: CopyFormat,
    /// For each column: values are in quotes always (CSV).
    force_quote: Vec<bool>,
}

impl CopyWriter {
    /// `force_quote` has an entry for each column.
    pub fn new(format: CopyFormat, force_quote: Vec<bool>) -> Self {
        Self { format, force_quote }
    }

    pub fn is_binary(&self) -> bool {
        self.format.kind == Kind::Binary
    }

    /// What stands before the rows.
    ///
    /// # Errors
    /// 22P05 if a name has no form in the encoding.
    pub fn begin<'n>(&self, names: impl Iterator<Item = &'n str>, out: &mut Vec<u8>) -> Result<()> {
        if self.is_binary() {
            binary::write_header(out);
        } else if self.format.header != Header::None {
            let mut line = Vec::new();
            for (at, name) in names.enumerate() {
                if at > 0 {
                    line.push(self.format.delimiter);
                }
                match self.format.kind {
                    Kind::Csv => {
                        let alone = self.force_quote.len() == 1;
                        csv::write(&self.format, Some(name.as_bytes()), false, alone, &mut line);
                    }
                    Kind::Text | Kind::Binary => text::write(&self.format, Some(name.as_bytes()), &mut line),
                }
            }
            line.push(b'\n');
            out.extend_from_slice(&self.format.encoding.encode(&line)?);
        }
        Ok(())
    }

    /// Begins a row.
    pub fn begin_row(&self, row: &mut Vec<u8>) {
        row.clear();
        if self.is_binary() {
            binary::write_count(self.force_quote.len(), row);
        }
    }

    /// Appends the form of column `at` to its row: text, or binary in the binary format.
    pub fn field(&self, at: usize, form: Option<&[u8]>, row: &mut Vec<u8>) {
        if self.is_binary() {
            return binary::write_field(form, row);
        }
        if at > 0 {
            row.push(self.format.delimiter);
        }
        match self.format.kind {
            Kind::Csv => {
                let force = form.is_some() && self.force_quote[at];
                csv::write(&self.format, form, force, self.force_quote.len() == 1, row);
            }
            Kind::Text | Kind::Binary => text::write(&self.format, form, row),
        }
    }

    /// Ends a row, whose bytes are then as they are to be sent.
    ///
    /// # Errors
    /// 22P05 if the row has a character that the encoding has not.
    pub fn end_row(&self, row: &mut Vec<u8>) -> Result<()> {
        if !self.is_binary() {
            row.push(b'\n');
            if let std::borrow::Cow::Owned(encoded) = self.format.encoding.encode(row)? {
                *row = encoded;
            }
        }
        Ok(())
    }

    /// What stands behind the rows.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.is_binary() {
            binary::write_trailer(out);
        }
    }
}
