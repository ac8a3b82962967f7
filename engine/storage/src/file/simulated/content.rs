//! The bytes of a simulated file: as they are, and as they certainly are after a crash.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Random;

/// What a disk writes wholly or not at all.
pub(super) const SECTOR: usize = 512;
const CHUNK: usize = 8192;

type Chunk = [u8; CHUNK];

/// A length and the chunks that are not all zeros.
#[derive(Clone, Debug, Default)]
struct Content {
    chunks: Arc<Vec<Option<Arc<Chunk>>>>,
    len: u64,
}

impl Content {
    fn chunk(&self, index: usize) -> Option<&Arc<Chunk>> {
        self.chunks.get(index)?.as_ref()
    }

    fn set_chunk(&mut self, index: usize, chunk: Option<Arc<Chunk>>) {
        let chunks = Arc::make_mut(&mut self.chunks);
        if index >= chunks.len() {
            if chunk.is_none() {
                return;
            }
            chunks.resize(index + 1, None);
        }
        chunks[index] = chunk;
    }

    fn chunk_mut(&mut self, index: usize) -> &mut Chunk {
        let chunks = Arc::make_mut(&mut self.chunks);
        if index >= chunks.len() {
            chunks.resize(index + 1, None);
        }
        Arc::make_mut(chunks[index].get_or_insert_with(|| Arc::new([0; CHUNK])))
    }

    /// Cuts or lengthens; what lies beyond the end is zero, should the file grow again.
    fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (whole, within) = ((len / CHUNK as u64) as usize, (len % CHUNK as u64) as usize);
            let keep = whole + usize::from(within > 0);
            if self.chunks.len() > keep {
                Arc::make_mut(&mut self.chunks).truncate(keep);
            }
            if within > 0 && self.chunk(whole).is_some() {
                self.chunk_mut(whole)[within..].fill(0);
            }
        }
        self.len = len;
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    current: Content,
    durable: Content,
    /// Chunks in which the two may differ.
    unsynced: BTreeSet<usize>,
}

impl Inode {
    pub fn len(&self) -> u64 {
        self.current.len
    }

    pub fn allocated_bytes(&self) -> u64 {
        self.current.len
    }

    pub fn read(&self, buffer: &mut [u8], offset: u64) {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (index, within) = ((at / CHUNK as u64) as usize, (at % CHUNK as u64) as usize);
            let now = (CHUNK - within).min(buffer.len() - done);
            match self.current.chunk(index) {
                Some(chunk) => buffer[done..done + now].copy_from_slice(&chunk[within..within + now]),
                None => buffer[done..done + now].fill(0),
            }
            done += now;
        }
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (index, within) = ((at / CHUNK as u64) as usize, (at % CHUNK as u64) as usize);
            let now = (CHUNK - within).min(bytes.len() - done);
            let piece = &bytes[done..done + now];
            // Holes written with zeros stay holes: new WAL segments are mostly that.
            if self.current.chunk(index).is_some() || piece.iter().any(|byte| *byte != 0) {
                self.current.chunk_mut(index)[within..within + now].copy_from_slice(piece);
                self.unsynced.insert(index);
            }
            done += now;
        }
        if !bytes.is_empty() {
            self.current.len = self.current.len.max(offset + bytes.len() as u64);
        }
    }

    pub fn truncate(&mut self, len: u64) {
        if len < self.current.len {
            let first = (len / CHUNK as u64) as usize;
            self.unsynced.extend(first..self.current.chunks.len().max(self.durable.chunks.len()));
        }
        self.current.set_len(len);
    }

    pub fn sync(&mut self) {
        for index in std::mem::take(&mut self.unsynced) {
            self.durable.set_chunk(index, self.current.chunk(index).cloned());
        }
        self.durable.set_len(self.current.len);
    }

    /// The system drops what it could not write and believes it clean.
    pub fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    /// What a crash leaves of the file.
    pub fn survivor(&self, random: &mut Random) -> Self {
        let mut content = self.durable.clone();
        let choice = random.below(4);
        if choice > 0 {
            let all = choice == 1;
            for index in &self.unsynced {
                let Some(current) = self.current.chunk(*index) else { continue };
                for sector in 0..CHUNK / SECTOR {
                    let range = sector * SECTOR..(sector + 1) * SECTOR;
                    if all || random.below(2) == 0 {
                        content.chunk_mut(*index)[range.clone()].copy_from_slice(&current[range]);
                    }
                }
            }
            content.len = content.len.max(self.current.len);
            let len = if all || random.below(2) == 0 { self.current.len } else { self.durable.len };
            content.set_len(len);
        }
        Self { current: content.clone(), durable: content, unsynced: BTreeSet::new() }
    }
}
