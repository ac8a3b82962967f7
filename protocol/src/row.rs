//! Data rows, written value by value into the output buffer.

use bytes::BufMut;

/// Writes one DataRow: lengths are filled in behind the values, so nothing is measured twice.
pub struct RowWriter<'a> {
    output: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> RowWriter<'a> {
    /// Starts a row of `columns` values.
    pub fn begin(output: &'a mut Vec<u8>, columns: usize) -> Self {
        let start = output.len();
        output.put_slice(b"D\0\0\0\0");
        output.put_i16(columns as i16);
        Self { output, start }
    }

    pub fn null(&mut self) {
        self.output.put_i32(-1);
    }

    /// A value that is already there as bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.output.put_i32(value.len() as i32);
        self.output.put_slice(value);
    }

    /// A value that `write` appends. What it returns is handed through; on an error the row must be
    /// given up with [`RowWriter::abandon`].
    pub fn value<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let length_at = self.output.len();
        self.output.put_i32(0);
        write(self.output)?;
        let length = (self.output.len() - length_at - 4) as i32;
        self.output[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Ends the row.
    pub fn finish(self) {
        let length = (self.output.len() - self.start - 1) as u32;
        self.output[self.start + 1..self.start + 5].copy_from_slice(&length.to_be_bytes());
    }

    /// Takes back what was written of the row.
    pub fn abandon(self) {
        self.output.truncate(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_itself() {
        let mut output = Vec::new();
        let mut row = RowWriter::begin(&mut output, 3);
        row.null();
        row.bytes(b"ab");
        row.value(|buffer| {
            buffer.put_slice(b"7");
            Ok::<(), ()>(())
        })
        .expect("infallible");
        row.finish();
        assert_eq!(&output[..], b"D\0\0\0\x15\0\x03\xff\xff\xff\xff\0\0\0\x02ab\0\0\0\x017");
        RowWriter::begin(&mut output, 1).abandon();
        assert_eq!(output.len(), 22);
    }
}
