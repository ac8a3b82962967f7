//! Vectors of byte strings as 16-byte views.
//!
//! A view is a length and twelve bytes: the string itself if it fits, else its first four bytes, the
//! number of a buffer and an offset in it. Buffer 0 is the vector's own arena; the others are shared
//! buffers (a pinned page, a decompressed value) that live as long as the vector keeps them.

use std::fmt;
use std::sync::Arc;

/// A buffer that views may point into without copying.
pub type SharedBuffer = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Length and place of one byte string.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    length: u32,
    data: [u8; View::INLINE],
}

const _: () = assert!(std::mem::size_of::<View>() == 16);

impl View {
    /// Longest string held in the view itself.
    pub const INLINE: usize = 12;

    fn inline(bytes: &[u8]) -> Self {
        let mut data = [0; Self::INLINE];
        data[..bytes.len()].copy_from_slice(bytes);
        Self { length: bytes.len() as u32, data }
    }

    fn long(bytes: &[u8], buffer: u32, offset: u32) -> Self {
        let mut data = [0; Self::INLINE];
        data[..4].copy_from_slice(&bytes[..4]);
        data[4..8].copy_from_slice(&buffer.to_le_bytes());
        data[8..].copy_from_slice(&offset.to_le_bytes());
        Self { length: bytes.len() as u32, data }
    }

    pub fn len(&self) -> usize {
        self.length as usize
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The string, if the view holds it.
    pub fn as_inline(&self) -> Option<&[u8]> {
        self.data.get(..self.len())
    }

    fn buffer(&self) -> usize {
        u32::from_le_bytes([self.data[4], self.data[5], self.data[6], self.data[7]]) as usize
    }

    fn offset(&self) -> usize {
        u32::from_le_bytes([self.data[8], self.data[9], self.data[10], self.data[11]]) as usize
    }
}

/// A vector of byte strings.
#[derive(Clone, Default)]
pub struct ByteVector {
    views: Vec<View>,
    arena: Vec<u8>,
    buffers: Vec<SharedBuffer>,
}

impl ByteVector {
    pub fn len(&self) -> usize {
        self.views.len()
    }

    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// Forgets all strings and shared buffers; keeps the memory.
    pub fn clear(&mut self) {
        self.views.clear();
        self.arena.clear();
        self.buffers.clear();
    }

    /// Empties the vector and gives it `rows` empty strings.
    pub fn reset(&mut self, rows: usize) {
        self.clear();
        self.views.resize(rows, View::default());
    }

    /// Grows by empty strings, or drops the last ones.
    pub fn resize(&mut self, rows: usize) {
        self.views.resize(rows, View::default());
    }

    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        let view = &self.views[row];
        if let Some(bytes) = view.as_inline() {
            return bytes;
        }
        let buffer = match view.buffer() {
            0 => self.arena.as_slice(),
            shared => (*self.buffers[shared - 1]).as_ref(),
        };
        &buffer[view.offset()..view.offset() + view.len()]
    }

    pub fn set(&mut self, row: usize, bytes: &[u8]) {
        self.views[row] = self.store(bytes);
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let view = self.store(bytes);
        self.views.push(view);
    }

    fn store(&mut self, bytes: &[u8]) -> View {
        if bytes.len() <= View::INLINE {
            return View::inline(bytes);
        }
        let offset = self.arena.len();
        self.arena.extend_from_slice(bytes);
        View::long(bytes, 0, u32::try_from(offset).expect("the arena of a batch stays below 4 GB"))
    }

    /// Sets a string to what `write` appends to the buffer it is given: output goes straight to the arena.
    ///
    /// # Errors
    /// Whatever `write` returns; the string is then unchanged.
    pub fn set_with<E>(
        &mut self,
        row: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.arena.len();
        if let Err(error) = write(&mut self.arena) {
            self.arena.truncate(start);
            return Err(error);
        }
        let written = &self.arena[start..];
        self.views[row] = if written.len() <= View::INLINE {
            let view = View::inline(written);
            self.arena.truncate(start);
            view
        } else {
            View::long(written, 0, u32::try_from(start).expect("the arena of a batch stays below 4 GB"))
        };
        Ok(())
    }

    /// Keeps `buffer` alive with the vector; the number is for [`Self::set_shared`].
    pub fn add_buffer(&mut self, buffer: SharedBuffer) -> u32 {
        self.buffers.push(buffer);
        self.buffers.len() as u32
    }

    /// Points a string at bytes of a shared buffer; short ones are copied into the view.
    pub fn set_shared(&mut self, row: usize, buffer: u32, offset: usize, length: usize) {
        let bytes = &(*self.buffers[buffer as usize - 1]).as_ref()[offset..offset + length];
        self.views[row] = if length <= View::INLINE {
            View::inline(bytes)
        } else {
            View::long(bytes, buffer, u32::try_from(offset).expect("a shared buffer is below 4 GB"))
        };
    }

    pub fn push_shared(&mut self, buffer: u32, offset: usize, length: usize) {
        self.views.push(View::default());
        self.set_shared(self.views.len() - 1, buffer, offset, length);
    }

    /// Copies one string of `other`, whose buffers may live shorter than ours.
    pub fn set_from(&mut self, row: usize, other: &ByteVector, other_row: usize) {
        let view = other.views[other_row];
        self.views[row] = if view.len() <= View::INLINE { view } else { self.store(other.get(other_row)) };
    }

    /// Keeps only these strings, moved together; rows rise.
    pub fn compact(&mut self, rows: &[u16]) {
        crate::column::compact(&mut self.views, rows);
    }

    /// True if the two strings are equal; decided by the views alone when they differ early or are short.
    #[inline]
    pub fn equal(&self, row: usize, other: &ByteVector, other_row: usize) -> bool {
        let (a, b) = (&self.views[row], &other.views[other_row]);
        if a.length != b.length || a.data[..4] != b.data[..4] {
            return false;
        }
        if a.len() <= View::INLINE { a.data == b.data } else { self.get(row) == other.get(other_row) }
    }

    /// Bytes held in the arena and the views, for memory accounting.
    pub fn memory(&self) -> usize {
        self.arena.capacity() + self.views.capacity() * std::mem::size_of::<View>()
    }
}

impl fmt::Debug for ByteVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strings = (0..self.len()).map(|row| self.get(row).escape_ascii().to_string());
        f.debug_list().entries(strings).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_all_lengths_come_back() {
        let mut vector = ByteVector::default();
        let strings: Vec<Vec<u8>> = [0, 1, 4, 12, 13, 100].iter().map(|&n| vec![b'x'; n]).collect();
        strings.iter().for_each(|s| vector.push(s));
        let page = vector.add_buffer(Arc::new(b"0123456789abcdefghij".to_vec()));
        vector.push_shared(page, 2, 15);
        vector.push_shared(page, 2, 3);
        for (row, string) in strings.iter().enumerate() {
            assert_eq!(vector.get(row), string);
            assert!(vector.equal(row, &vector.clone(), row));
        }
        assert_eq!(vector.get(6), b"23456789abcdefg");
        assert_eq!(vector.get(7), b"234");
        vector
            .set_with(0, |out| {
                out.extend_from_slice(b"written in place, long");
                Ok::<_, ()>(())
            })
            .expect("no error");
        assert_eq!(vector.get(0), b"written in place, long");
        assert!(!vector.equal(0, &vector.clone(), 1));
    }
}
