//! Headers of WAL pages.
//!
//! Realises: `XLogPageHeaderData` and `XLogLongPageHeaderData`.
//!
//! ```text
//!  0       2      4          8             16            20       24             32             36
//!  +-------+------+----------+-------------+-------------+--------+--------------+--------------+-----------+
//!  | magic | info | timeline | address u64 | bytes of    | zero   | system       | segment size | page size |
//!  | D118  | u16  | u32      |             | contrecord  |        | identifier   | u32          | u32       |
//!  +-------+------+----------+-------------+-------------+--------+--------------+--------------+-----------+
//!                                                                  only with LONG_HEADER
//! ```

use kokkiri_primitives::ids::{Lsn, TimelineId};

use crate::position::{LONG_HEADER_SIZE, SHORT_HEADER_SIZE, WAL_PAGE_SIZE};

/// Marks a page of PostgreSQL 18's WAL: `XLOG_PAGE_MAGIC`.
pub const PAGE_MAGIC: u16 = 0xD118;

/// The page starts with the rest of a record: `XLP_FIRST_IS_CONTRECORD`.
pub const FIRST_IS_CONTRECORD: u16 = 0x0001;
pub const LONG_HEADER: u16 = 0x0002;
/// Images on the page may be left out of an archive: no backup was running.
pub const BACKUP_REMOVABLE: u16 = 0x0004;
/// The rest of a record that was to start this page was lost in a crash.
pub const FIRST_IS_OVERWRITE_CONTRECORD: u16 = 0x0008;
pub const ALL_FLAGS: u16 = 0x000F;

/// A page header, decoded but not yet believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    pub magic: u16,
    pub info: u16,
    pub timeline: TimelineId,
    pub address: Lsn,
    /// Bytes of the record from earlier pages that are still to come, this page's included.
    pub remaining: u32,
    pub long: Option<LongHeader>,
}

/// What identifies the segment, in the header of its first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongHeader {
    pub system_identifier: u64,
    pub segment_size: u32,
    pub page_size: u32,
}

impl PageHeader {
    /// Decodes the header of a page of which at least [`LONG_HEADER_SIZE`] bytes are there.
    pub fn decode(bytes: &[u8; LONG_HEADER_SIZE as usize]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let info = (word(0) >> 16) as u16;
        Self {
            magic: word(0) as u16,
            info,
            timeline: TimelineId((word(0) >> 32) as u32),
            address: Lsn(word(8)),
            remaining: word(16) as u32,
            long: (info & LONG_HEADER != 0).then(|| LongHeader {
                system_identifier: word(24),
                segment_size: word(32) as u32,
                page_size: (word(32) >> 32) as u32,
            }),
        }
    }

    /// The header as the five words that WAL buffers hold; the last two are meant only if there is a long
    /// header.
    pub fn to_words(self) -> [u64; 5] {
        let long = self.long.unwrap_or(LongHeader { system_identifier: 0, segment_size: 0, page_size: 0 });
        [
            u64::from(self.magic) | u64::from(self.info) << 16 | u64::from(self.timeline.0) << 32,
            self.address.0,
            u64::from(self.remaining),
            long.system_identifier,
            u64::from(long.segment_size) | u64::from(long.page_size) << 32,
        ]
    }

    pub fn size(&self) -> u64 {
        if self.info & LONG_HEADER != 0 { LONG_HEADER_SIZE } else { SHORT_HEADER_SIZE }
    }

    /// The header of a fresh page at `address`.
    pub fn fresh(
        address: Lsn,
        timeline: TimelineId,
        removable: bool,
        first_of_segment: Option<(u64, u64)>,
    ) -> Self {
        let long = first_of_segment.map(|(system_identifier, segment_size)| LongHeader {
            system_identifier,
            segment_size: segment_size as u32,
            page_size: WAL_PAGE_SIZE as u32,
        });
        let mut info = if long.is_some() { LONG_HEADER } else { 0 };
        if removable {
            info |= BACKUP_REMOVABLE;
        }
        Self { magic: PAGE_MAGIC, info, timeline, address, remaining: 0, long }
    }
}
