//! Building a record: what is registered, and how it becomes bytes.
//!
//! Realises: `XLogBeginInsert`, `XLogRegisterData`, `XLogRegisterBuffer`, `XLogRegisterBufData` and
//! `XLogRecordAssemble`.
//!
//! A builder borrows the guards of the pages it registers, so the pages are changed first (under the
//! critical section) and registered afterwards; `Wal::insert` sets their LSNs. Its buffers belong to
//! the thread and are handed from builder to builder: building a record allocates nothing once they
//! have grown.

use std::cell::RefCell;
use std::ops::BitOr;

use kokkiri_primitives::ids::{BLOCK_SIZE, BlockNumber, Fork, Lsn, RelFileLocator, TransactionId};

use kokkiri_storage::buffer::BufferTag;
use kokkiri_storage::{CriticalSection, PageWriteGuard};

use crate::rmgr::RmgrId;

use super::image::{self, ImageCompression};
use super::*;

/// How a page is registered: PostgreSQL's `REGBUF_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterFlags(u8);

impl RegisterFlags {
    /// Log an image if the page is new to this checkpoint cycle; the page has no known layout.
    pub const NONE: Self = Self(0);
    /// Always log an image.
    pub const FORCE_IMAGE: Self = Self(0x01);
    /// Never log an image.
    pub const NO_IMAGE: Self = Self(0x02);
    /// Redo makes the page from nothing; implies `NO_IMAGE`.
    pub const WILL_INIT: Self = Self(0x04 | 0x02);
    /// The page has the standard layout: the hole between lower and upper isn't logged.
    pub const STANDARD: Self = Self(0x08);
    /// Log the page's data even beside an image.
    pub const KEEP_DATA: Self = Self(0x10);
    /// The page is only named, not changed.
    pub const NO_CHANGE: Self = Self(0x20);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for RegisterFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Buffers that outlive the builder.
#[derive(Default)]
struct Scratch {
    main_data: Vec<u8>,
    block_data: Vec<Vec<u8>>,
    assembled: Vec<u8>,
    payload: Vec<u8>,
}

thread_local! {
    static SPARE_SCRATCH: RefCell<Vec<Scratch>> = const { RefCell::new(Vec::new()) };
}

/// A builder's buffers beyond this size are given back to the allocator.
const SCRATCH_KEPT_BYTES: usize = 256 * 1024;
/// Blocks that a builder registers without allocating: more than any frequent record has.
const BLOCKS_INLINE: usize = 5;

enum PageSource<'a> {
    Buffer(&'a mut PageWriteGuard),
    /// The page as it is to be logged; the caller sets its LSN.
    Copy(&'a [u8; BLOCK_SIZE]),
}

impl PageSource<'_> {
    fn bytes(&self) -> &[u8; BLOCK_SIZE] {
        match self {
            PageSource::Buffer(guard) => guard.bytes(),
            PageSource::Copy(page) => page,
        }
    }

    fn lsn(&self) -> Lsn {
        let [h0, h1, h2, h3, l0, l1, l2, l3, ..] = *self.bytes();
        let (high, low) = (u32::from_le_bytes([h0, h1, h2, h3]), u32::from_le_bytes([l0, l1, l2, l3]));
        Lsn(u64::from(high) << 32 | u64::from(low))
    }
}

struct RegisteredBlock<'a> {
    id: u8,
    flags: RegisterFlags,
    locator: RelFileLocator,
    fork: Fork,
    block: BlockNumber,
    page: PageSource<'a>,
}

/// A record on its way into the WAL.
pub struct RecordBuilder<'a> {
    rmgr: RmgrId,
    info: u8,
    xid: TransactionId,
    origin: Option<u16>,
    toplevel_xid: Option<TransactionId>,
    important: bool,
    blocks: [Option<RegisteredBlock<'a>>; BLOCKS_INLINE],
    more_blocks: Vec<RegisteredBlock<'a>>,
    block_count: usize,
    scratch: Scratch,
}

/// What the decision about images depends on; it may change until the record has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImagePolicy {
    /// Start of the current checkpoint's redo: a page not changed since needs an image.
    pub redo: Lsn,
    /// Setting `full_page_writes`, or a base backup is running.
    pub full_page_writes: bool,
    pub compression: ImageCompression,
}

/// An assembled record lacks only its previous link and its CRC.
pub(crate) struct Assembled {
    /// CRC of everything behind the header.
    pub body_crc: u32,
    /// Lowest LSN of the pages that were not imaged: if the redo pointer has passed it when the record
    /// gets its place, the record must be assembled anew.
    pub lowest_unimaged: Option<Lsn>,
    pub images: u64,
}

impl<'a> RecordBuilder<'a> {
    /// A record of `rmgr`. `info` is the kind of record, with [`SPECIAL_REL_UPDATE`] where it applies.
    pub fn new(rmgr: RmgrId, info: u8) -> Self {
        debug_assert_eq!(info & !(RMGR_INFO_MASK | SPECIAL_REL_UPDATE | CHECK_CONSISTENCY), 0);
        let scratch = SPARE_SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
        Self {
            rmgr,
            info,
            xid: TransactionId::INVALID,
            origin: None,
            toplevel_xid: None,
            important: true,
            blocks: [const { None }; BLOCKS_INLINE],
            more_blocks: Vec::new(),
            block_count: 0,
            scratch,
        }
    }

    /// The transaction (or subtransaction) that makes the change; none by default.
    pub fn xid(&mut self, xid: Option<TransactionId>) -> &mut Self {
        self.xid = xid.unwrap_or(TransactionId::INVALID);
        self
    }

    /// The replication origin the change came from.
    pub fn origin(&mut self, origin: u16) -> &mut Self {
        self.origin = Some(origin);
        self
    }

    /// The top-level transaction of a subtransaction's first record, for logical decoding.
    pub fn toplevel_xid(&mut self, xid: TransactionId) -> &mut Self {
        self.toplevel_xid = Some(xid);
        self
    }

    /// The record alone is no reason for a checkpoint: PostgreSQL's `XLOG_MARK_UNIMPORTANT`.
    pub fn unimportant(&mut self) -> &mut Self {
        self.important = false;
        self
    }

    /// Appends to the main data, which is there on replay whether or not pages were imaged.
    pub fn data(&mut self, bytes: &[u8]) -> &mut Self {
        self.scratch.main_data.extend_from_slice(bytes);
        self
    }

    /// Registers a page of the buffer pool, changed before under the same lock.
    pub fn register(&mut self, id: u8, page: &'a mut PageWriteGuard, flags: RegisterFlags) -> &mut Self {
        let BufferTag { locator, fork, block } = page.tag();
        self.push(RegisteredBlock { id, flags, locator, fork, block, page: PageSource::Buffer(page) })
    }

    /// Registers a page that is in no buffer, by its contents. Its LSN is the caller's to set.
    pub fn register_block(
        &mut self,
        id: u8,
        (locator, fork, block): (RelFileLocator, Fork, BlockNumber),
        page: &'a [u8; BLOCK_SIZE],
        flags: RegisterFlags,
    ) -> &mut Self {
        self.push(RegisteredBlock { id, flags, locator, fork, block, page: PageSource::Copy(page) })
    }

    /// Appends to the data of a registered block, which an image of the page replaces unless it was
    /// registered with `KEEP_DATA`.
    pub fn buffer_data(&mut self, id: u8, bytes: &[u8]) -> &mut Self {
        let slot = (0..self.block_count)
            .find(|&slot| self.block_at(slot).id == id)
            .expect("data is added to a block after it is registered");
        self.scratch.block_data[slot].extend_from_slice(bytes);
        self
    }

    fn push(&mut self, block: RegisteredBlock<'a>) -> &mut Self {
        assert!(block.id <= BLOCK_ID_MAX, "block id {} is out of range", block.id);
        if let Some(last) = self.block_count.checked_sub(1) {
            assert!(self.block_at(last).id < block.id, "blocks are registered in the order of their ids");
        }
        let slot = self.block_count;
        match self.blocks.get_mut(slot) {
            Some(place) => *place = Some(block),
            None => self.more_blocks.push(block),
        }
        self.block_count += 1;
        match self.scratch.block_data.get_mut(slot) {
            Some(data) => data.clear(),
            None => self.scratch.block_data.push(Vec::new()),
        }
        self
    }

    fn block_at(&self, slot: usize) -> &RegisteredBlock<'a> {
        match self.blocks.get(slot) {
            Some(block) => block.as_ref().expect("slots below the count are taken"),
            None => &self.more_blocks[slot - BLOCKS_INLINE],
        }
    }

    pub(crate) fn is_important(&self) -> bool {
        self.important
    }

    pub(crate) fn kind(&self) -> (RmgrId, u8) {
        (self.rmgr, self.info)
    }

    /// Makes the bytes of the record, which [`RecordBuilder::bytes`] then gives, deciding for each page
    /// whether it needs an image.
    pub(crate) fn assemble(&mut self, policy: &ImagePolicy) -> Assembled {
        let mut scratch = std::mem::take(&mut self.scratch);
        let headers = &mut scratch.assembled;
        headers.clear();
        headers.extend_from_slice(&[0; RECORD_HEADER_SIZE]);
        scratch.payload.clear();
        let mut images = 0;
        let mut lowest_unimaged: Option<Lsn> = None;
        let mut previous = None;
        for slot in 0..self.block_count {
            let block = self.block_at(slot);
            let needs_image = if block.flags.contains(RegisterFlags::FORCE_IMAGE) {
                true
            } else if block.flags.contains(RegisterFlags::NO_IMAGE) || !policy.full_page_writes {
                false
            } else {
                let lsn = block.page.lsn();
                if lsn > policy.redo {
                    lowest_unimaged = Some(lowest_unimaged.map_or(lsn, |lowest| lowest.min(lsn)));
                }
                lsn <= policy.redo
            };
            let image = (needs_image || self.info & CHECK_CONSISTENCY != 0).then(|| {
                let standard = block.flags.contains(RegisterFlags::STANDARD);
                let mut image =
                    image::encode(block.page.bytes(), standard, policy.compression, &mut scratch.payload);
                if needs_image {
                    image.bits |= IMAGE_APPLY;
                }
                images += 1;
                image
            });
            let data = &scratch.block_data[slot];
            let keeps_data = !needs_image || block.flags.contains(RegisterFlags::KEEP_DATA);
            let data: &[u8] = if keeps_data { data } else { &[] };
            scratch.payload.extend_from_slice(data);
            block.encode_header(headers, image, data.len(), previous == Some(block.locator));
            previous = Some(block.locator);
        }
        self.encode_main_header(headers, scratch.main_data.len());
        headers.extend_from_slice(&scratch.payload);
        headers.extend_from_slice(&scratch.main_data);
        assert!(headers.len() <= RECORD_SIZE_MAX, "a WAL record of {} bytes is too long", headers.len());
        let header = RecordHeader {
            total_length: headers.len() as u32,
            xid: self.xid,
            prev: Lsn::INVALID,
            info: self.info,
            rmgr: self.rmgr as u8,
            crc: 0,
        };
        headers[..RECORD_HEADER_SIZE].copy_from_slice(&header.encode());
        let body_crc = crc32c::crc32c(&headers[RECORD_HEADER_SIZE..]);
        self.scratch = scratch;
        Assembled { body_crc, lowest_unimaged, images }
    }

    fn encode_main_header(&self, headers: &mut Vec<u8>, length: usize) {
        if let Some(origin) = self.origin {
            headers.push(ID_ORIGIN);
            headers.extend_from_slice(&origin.to_le_bytes());
        }
        if let Some(xid) = self.toplevel_xid {
            headers.push(ID_TOPLEVEL_XID);
            headers.extend_from_slice(&xid.0.to_le_bytes());
        }
        match length {
            0 => {}
            1..=255 => headers.extend_from_slice(&[ID_DATA_SHORT, length as u8]),
            _ => {
                headers.push(ID_DATA_LONG);
                headers.extend_from_slice(&(length as u32).to_le_bytes());
            }
        }
    }

    /// Completes the record with its previous link and CRC, and lends it.
    pub(crate) fn seal(&mut self, prev: Lsn, assembled: &Assembled) -> &[u8] {
        let bytes = &mut self.scratch.assembled;
        bytes[8..16].copy_from_slice(&prev.0.to_le_bytes());
        let crc = crc32c::crc32c_append(assembled.body_crc, &bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Gives the registered pages their LSN, but not those that are only named.
    pub(crate) fn set_page_lsns(&mut self, critical: &CriticalSection, lsn: Lsn) {
        for block in self.blocks.iter_mut().flatten().chain(&mut self.more_blocks) {
            if let PageSource::Buffer(guard) = &mut block.page
                && !block.flags.contains(RegisterFlags::NO_CHANGE)
            {
                guard.page_mut(critical).set_lsn(lsn);
            }
        }
    }

    /// Length of the assembled record.
    pub(crate) fn length(&self) -> usize {
        self.scratch.assembled.len()
    }
}

impl RegisteredBlock<'_> {
    fn encode_header(
        &self,
        headers: &mut Vec<u8>,
        image: Option<image::EncodedImage>,
        data_length: usize,
        same_relation: bool,
    ) {
        let data_length = u16::try_from(data_length).expect("a page's data is shorter than 64 KB");
        let mut flags = self.fork as u8;
        if self.flags.contains(RegisterFlags::WILL_INIT) {
            flags |= BLOCK_WILL_INIT;
        }
        if image.is_some() {
            flags |= BLOCK_HAS_IMAGE;
        }
        if data_length > 0 {
            flags |= BLOCK_HAS_DATA;
        }
        if same_relation {
            flags |= BLOCK_SAME_RELATION;
        }
        headers.extend_from_slice(&[self.id, flags]);
        headers.extend_from_slice(&data_length.to_le_bytes());
        if let Some(image) = image {
            headers.extend_from_slice(&image.length.to_le_bytes());
            headers.extend_from_slice(&image.hole_offset.to_le_bytes());
            headers.push(image.bits);
            if image.bits & IMAGE_HAS_HOLE != 0 && image.bits & IMAGE_COMPRESSED != 0 {
                headers.extend_from_slice(&image.hole_length.to_le_bytes());
            }
        }
        if !same_relation {
            headers.extend_from_slice(&self.locator.tablespace.0.to_le_bytes());
            headers.extend_from_slice(&self.locator.database.0.to_le_bytes());
            headers.extend_from_slice(&self.locator.number.0.to_le_bytes());
        }
        headers.extend_from_slice(&self.block.0.to_le_bytes());
    }
}

impl Drop for RecordBuilder<'_> {
    fn drop(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        for buffer in [&mut scratch.main_data, &mut scratch.payload, &mut scratch.assembled] {
            buffer.clear();
            buffer.shrink_to(SCRATCH_KEPT_BYTES);
        }
        // A thread that is ending has no spare buffers any more.
        let _ = SPARE_SCRATCH.try_with(|spare| spare.borrow_mut().push(scratch));
    }
}
