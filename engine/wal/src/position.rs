//! Where bytes of records are in the WAL: positions, pages and segments.
//!
//! Realises: `XLogBytePosToRecPtr` and its kin, and `XLogFileName`.
//!
//! Two ways of counting meet here. An [`Lsn`] counts every byte of the WAL, page headers included. A
//! *usable* position counts only the bytes records can use; reserving space is a plain addition there.

use kokkiri_primitives::ids::{Lsn, TimelineId};

/// Size of a WAL page, bytes: `XLOG_BLCKSZ`.
pub const WAL_PAGE_SIZE: u64 = 8192;
/// Header of an ordinary page, with padding: `SizeOfXLogShortPHD`.
pub const SHORT_HEADER_SIZE: u64 = 24;
/// Header of the first page of a segment: `SizeOfXLogLongPHD`.
pub const LONG_HEADER_SIZE: u64 = 40;
/// Size of segments that `init` chooses unless told otherwise.
pub const DEFAULT_SEGMENT_SIZE: u64 = 16 * 1024 * 1024;
/// Directory of segments, relative to the data directory.
pub const WAL_DIRECTORY: &str = "pg_wal";

const USABLE_IN_PAGE: u64 = WAL_PAGE_SIZE - SHORT_HEADER_SIZE;

/// Number of a segment: its place in the sequence of all segments of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

/// How the WAL is divided into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    segment_size: u64,
}

impl Geometry {
    /// `None` unless the size is one PostgreSQL accepts: a power of two from 1 MB to 1 GB.
    pub fn new(segment_size: u64) -> Option<Self> {
        let valid = segment_size.is_power_of_two() && (1 << 20..=1 << 30).contains(&segment_size);
        valid.then_some(Self { segment_size })
    }

    pub fn segment_size(self) -> u64 {
        self.segment_size
    }

    fn usable_in_segment(self) -> u64 {
        self.segment_size / WAL_PAGE_SIZE * USABLE_IN_PAGE - (LONG_HEADER_SIZE - SHORT_HEADER_SIZE)
    }

    /// The segment that holds the byte at `lsn`.
    pub fn segment_of(self, lsn: Lsn) -> SegmentNumber {
        SegmentNumber(lsn.0 / self.segment_size)
    }

    /// The segment that holds the byte before `lsn`: where a record ending there was written.
    pub fn segment_before(self, lsn: Lsn) -> SegmentNumber {
        SegmentNumber((lsn.0 - 1) / self.segment_size)
    }

    pub fn segment_start(self, segment: SegmentNumber) -> Lsn {
        Lsn(segment.0 * self.segment_size)
    }

    /// Distance from the start of the segment.
    pub fn segment_offset(self, lsn: Lsn) -> u64 {
        lsn.0 & (self.segment_size - 1)
    }

    /// Size of the header of the page at `page`.
    pub fn header_size(self, page: Lsn) -> u64 {
        if self.segment_offset(page) == 0 { LONG_HEADER_SIZE } else { SHORT_HEADER_SIZE }
    }

    /// Where the byte at usable position `usable` is. On a page boundary that is behind the header of the
    /// next page: where a record starts. PostgreSQL's `XLogBytePosToRecPtr`.
    pub fn start_lsn(self, usable: u64) -> Lsn {
        let segment = usable / self.usable_in_segment();
        let rest = usable % self.usable_in_segment();
        let first_page = WAL_PAGE_SIZE - LONG_HEADER_SIZE;
        let offset = if rest < first_page {
            rest + LONG_HEADER_SIZE
        } else {
            let rest = rest - first_page;
            WAL_PAGE_SIZE + rest / USABLE_IN_PAGE * WAL_PAGE_SIZE + rest % USABLE_IN_PAGE + SHORT_HEADER_SIZE
        };
        Lsn(segment * self.segment_size + offset)
    }

    /// Where a record that ends at usable position `usable` ends. On a page boundary that is the boundary
    /// itself. PostgreSQL's `XLogBytePosToEndRecPtr`.
    pub fn end_lsn(self, usable: u64) -> Lsn {
        let segment = usable / self.usable_in_segment();
        let rest = usable % self.usable_in_segment();
        let first_page = WAL_PAGE_SIZE - LONG_HEADER_SIZE;
        let offset = if rest == 0 {
            0
        } else if rest < first_page {
            rest + LONG_HEADER_SIZE
        } else {
            let rest = rest - first_page;
            let (pages, rest) = (rest / USABLE_IN_PAGE, rest % USABLE_IN_PAGE);
            WAL_PAGE_SIZE + pages * WAL_PAGE_SIZE + if rest == 0 { 0 } else { rest + SHORT_HEADER_SIZE }
        };
        Lsn(segment * self.segment_size + offset)
    }

    /// The inverse of both: PostgreSQL's `XLogRecPtrToBytePos`.
    pub fn usable_position(self, lsn: Lsn) -> u64 {
        let segment = self.segment_of(lsn).0 * self.usable_in_segment();
        let offset = self.segment_offset(lsn);
        let (pages, rest) = (offset / WAL_PAGE_SIZE, offset % WAL_PAGE_SIZE);
        if pages == 0 {
            return segment + rest.saturating_sub(LONG_HEADER_SIZE);
        }
        let before = WAL_PAGE_SIZE - LONG_HEADER_SIZE + (pages - 1) * USABLE_IN_PAGE;
        segment + before + rest.saturating_sub(SHORT_HEADER_SIZE)
    }

    /// The page boundary, if `lsn` is just behind a page's header: nothing of a record lies between.
    pub fn without_header(self, lsn: Lsn) -> Lsn {
        let page = page_start(lsn);
        if lsn == page + self.header_size(page) { page } else { lsn }
    }

    /// Name of the segment's file: timeline and number, 24 hexadecimal digits.
    pub fn file_name(self, timeline: TimelineId, segment: SegmentNumber) -> String {
        let per_id = 0x1_0000_0000 / self.segment_size;
        format!("{:08X}{:08X}{:08X}", timeline.0, segment.0 / per_id, segment.0 % per_id)
    }

    /// Path of the segment's file, relative to the data directory.
    pub fn file_path(self, timeline: TimelineId, segment: SegmentNumber) -> String {
        format!("{WAL_DIRECTORY}/{}", self.file_name(timeline, segment))
    }

    /// Timeline and number of the segment with this file name; `None` if it isn't a segment's name.
    pub fn parse_file_name(self, name: &str) -> Option<(TimelineId, SegmentNumber)> {
        let digits = name.len() == 24 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
        if !digits {
            return None;
        }
        let part = |i: usize| u64::from_str_radix(&name[i * 8..i * 8 + 8], 16).ok();
        let per_id = 0x1_0000_0000 / self.segment_size;
        let (timeline, id, number) = (part(0)?, part(1)?, part(2)?);
        (number < per_id).then(|| (TimelineId(timeline as u32), SegmentNumber(id * per_id + number)))
    }
}

impl SegmentNumber {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Start of the page that holds the byte at `lsn`.
pub(crate) fn page_start(lsn: Lsn) -> Lsn {
    Lsn(lsn.0 - lsn.0 % WAL_PAGE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_convert_both_ways() {
        let geometry = Geometry::new(1 << 20).expect("1 MB is a valid size");
        for usable in (0..3 * geometry.usable_in_segment()).step_by(8) {
            let (start, end) = (geometry.start_lsn(usable), geometry.end_lsn(usable));
            assert_eq!(geometry.usable_position(start), usable);
            assert_eq!(geometry.usable_position(end), usable);
            assert!(start == end || end.0 % WAL_PAGE_SIZE == 0);
            assert!(start.0 % WAL_PAGE_SIZE >= geometry.header_size(page_start(start)));
        }
    }

    #[test]
    fn file_names_are_postgresqls() {
        let geometry = Geometry::new(DEFAULT_SEGMENT_SIZE).expect("the default is valid");
        let segment = geometry.segment_of(Lsn(0x1_2345_6789));
        let name = geometry.file_name(TimelineId(1), segment);
        // pg_walfile_name('1/23456789')
        assert_eq!(name, "000000010000000100000023");
        assert_eq!(geometry.parse_file_name(&name), Some((TimelineId(1), segment)));
        assert_eq!(geometry.parse_file_name("000000010000000100000100"), None);
        assert_eq!(geometry.parse_file_name("00000001.history"), None);
        assert!(Geometry::new(3 << 20).is_none());
    }
}
