//! Reading the WAL back.
//!
//! Realises: `xlogreader.c`.
//!
//! The bytes may be anything: the end of the WAL is nothing but the first place that doesn't hold a valid
//! record. The reader never panics on them and never allocates more than it has read; a record's length
//! is believed only page by page, as far as the pages' headers agree with it.

use std::sync::Arc;

use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::ids::{Lsn, TimelineId};
use kokkiri_storage::file::{File, FileSystem, OpenOptions};

use crate::page::{ALL_FLAGS, FIRST_IS_CONTRECORD, FIRST_IS_OVERWRITE_CONTRECORD, PAGE_MAGIC, PageHeader};
use crate::position::{Geometry, LONG_HEADER_SIZE, SegmentNumber, WAL_PAGE_SIZE, page_start};
use crate::record::{
    DecodedRecord, RECORD_HEADER_SIZE, RECORD_SIZE_MAX, RecordHeader, max_align, record_crc,
};
use crate::rmgr::RmgrId;
use crate::xlog;

const PAGE_SIZE: usize = WAL_PAGE_SIZE as usize;

/// What reading the next record gave.
#[derive(Debug)]
pub enum ReadOutcome {
    Record(DecodedRecord),
    /// No valid record here: the end of the WAL, with PostgreSQL's words for why.
    End(EndOfWal),
}

/// Why there is no further record, and what was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndOfWal {
    /// Where the record was looked for.
    pub at: Lsn,
    /// PostgreSQL's message; `None` if the segment's file just isn't there.
    pub reason: Option<String>,
    /// Set if a record began here but its continuation is missing: the page that should have had it.
    pub missing_continuation: Option<Lsn>,
}

/// Reads records one after another.
pub struct WalReader {
    fs: Arc<dyn FileSystem>,
    geometry: Geometry,
    timeline: TimelineId,
    /// Checked against long page headers unless zero.
    system_identifier: u64,
    segment: Option<(SegmentNumber, Arc<dyn File>)>,
    page: Box<[u8; PAGE_SIZE]>,
    page_at: Option<Lsn>,
    latest_page: (Lsn, TimelineId),
    next: Lsn,
    /// Start of the record read last; `None` right after a seek, when previous links can't be checked.
    previous: Option<Lsn>,
    /// Start of a record whose rest was overwritten, and that was skipped.
    overwritten: Option<Lsn>,
}

/// Ends the search for a record: either the WAL ends or its files can't be read.
enum Stop {
    Invalid(Option<String>),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

fn invalid(message: String) -> Stop {
    Stop::Invalid(Some(message))
}

impl WalReader {
    pub fn new(
        fs: Arc<dyn FileSystem>,
        geometry: Geometry,
        timeline: TimelineId,
        system_identifier: u64,
    ) -> Self {
        Self {
            fs,
            geometry,
            timeline,
            system_identifier,
            segment: None,
            page: Box::new([0; PAGE_SIZE]),
            page_at: None,
            latest_page: (Lsn::INVALID, TimelineId(0)),
            next: Lsn::INVALID,
            previous: None,
            overwritten: None,
        }
    }

    /// Goes to `lsn`: the start of a record, or of a page.
    pub fn seek(&mut self, lsn: Lsn) {
        self.next = lsn;
        self.previous = None;
    }

    /// End of the last record read: where the next one is looked for.
    pub fn position(&self) -> Lsn {
        self.next
    }

    /// Start of the last record read.
    pub fn last_record(&self) -> Option<Lsn> {
        self.previous
    }

    /// Start of the aborted record that the record read last says it replaces, if the reader has just
    /// skipped one: what an OVERWRITE_CONTRECORD record must name.
    pub fn take_overwritten(&mut self) -> Option<Lsn> {
        self.overwritten.take()
    }

    /// The page that holds the last position, as it is on disk, up to that position: what insertion goes
    /// on with.
    ///
    /// # Errors
    /// If the page can't be read again.
    pub fn last_page(&mut self) -> Result<Option<Box<[u8; PAGE_SIZE]>>> {
        let (page, used) = (page_start(self.next), (self.next.0 % WAL_PAGE_SIZE) as usize);
        if used == 0 {
            return Ok(None);
        }
        self.page_at = None;
        match self.read_page(page) {
            Ok(_) => {
                let mut copy = self.page.clone();
                copy[used..].fill(0);
                Ok(Some(copy))
            }
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Invalid(reason)) => Err(Error::data_corrupted(
                reason.unwrap_or_else(|| format!("could not read WAL page at {page} again")),
            )),
        }
    }

    /// Reads the next record.
    ///
    /// # Errors
    /// Only if a file can't be read. Whatever its bytes are, that is an outcome.
    pub fn read(&mut self) -> Result<ReadOutcome> {
        let mut at = self.next;
        loop {
            match self.read_at(at) {
                Ok(Found::Record(record)) => return Ok(ReadOutcome::Record(record)),
                Ok(Found::Overwritten { record, page }) => {
                    self.overwritten = Some(record);
                    at = page;
                }
                Err((Stop::Failed(error), _)) => return Err(error),
                Err((Stop::Invalid(reason), missing_continuation)) => {
                    // The page may be completed later; look at the file again then.
                    self.page_at = None;
                    return Ok(ReadOutcome::End(EndOfWal { at, reason, missing_continuation }));
                }
            }
        }
    }

    fn read_at(&mut self, at: Lsn) -> std::result::Result<Found, (Stop, Option<Lsn>)> {
        let start = self.record_start(at).map_err(|stop| (stop, None))?;
        let rest = &self.page[(start.0 % WAL_PAGE_SIZE) as usize..];
        // Records start at multiples of eight, so the length is on this page even if the header isn't.
        let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let first = rest[..length.min(rest.len())].to_vec();
        if rest.len() >= RECORD_HEADER_SIZE {
            let header =
                rest.first_chunk().map(RecordHeader::decode).ok_or((short_record(start, 0), None))?;
            self.check_header(start, &header).map_err(|stop| (stop, None))?;
        } else if length < RECORD_HEADER_SIZE {
            return Err((short_record(start, length), None));
        }
        if first.len() == length {
            let end = start + max_align(length as u64);
            return self.finish(start, end, first).map_err(|stop| (stop, None));
        }
        self.reassemble(start, first, length)
    }

    /// Reads the page with the position and steps over its header.
    fn record_start(&mut self, at: Lsn) -> std::result::Result<Lsn, Stop> {
        let page = page_start(at);
        let header = self.read_page(page)?;
        let offset = at.0 - page.0;
        let start = if offset == 0 { page + header.size() } else { at };
        let offset = start.0 - page.0;
        if offset < header.size() {
            let expected = header.size();
            return Err(invalid(format!(
                "invalid record offset at {start}: expected at least {expected}, got {offset}"
            )));
        }
        if header.info & FIRST_IS_CONTRECORD != 0 && offset == header.size() {
            return Err(invalid(format!("contrecord is requested by {start}")));
        }
        // A seek may lead anywhere; records don't start just before the end of a page.
        if offset + 4 > WAL_PAGE_SIZE || !offset.is_multiple_of(8) {
            return Err(invalid(format!("invalid record offset at {start}")));
        }
        Ok(start)
    }

    /// Collects a record that goes on over the following pages.
    fn reassemble(
        &mut self,
        start: Lsn,
        mut bytes: Vec<u8>,
        length: usize,
    ) -> std::result::Result<Found, (Stop, Option<Lsn>)> {
        let mut page = page_start(start);
        let mut header_checked = bytes.len() >= RECORD_HEADER_SIZE;
        loop {
            page = page + WAL_PAGE_SIZE;
            let aborted = |stop: Stop| (stop, Some(page));
            let header = self.read_page(page).map_err(aborted)?;
            if header.info & FIRST_IS_OVERWRITE_CONTRECORD != 0 {
                return Ok(Found::Overwritten { record: start, page });
            }
            if header.info & FIRST_IS_CONTRECORD == 0 {
                return Err(aborted(invalid(format!("there is no contrecord flag at {start}"))));
            }
            let remaining = header.remaining as usize;
            if remaining == 0 || length != remaining + bytes.len() {
                let expected = length - bytes.len();
                return Err(aborted(invalid(format!(
                    "invalid contrecord length {remaining} (expected {expected}) at {start}"
                ))));
            }
            let body = &self.page[header.size() as usize..];
            let here = remaining.min(body.len());
            bytes.extend_from_slice(&body[..here]);
            if !header_checked && let Some(fixed) = bytes.first_chunk() {
                self.check_header(start, &RecordHeader::decode(fixed)).map_err(aborted)?;
                header_checked = true;
            }
            if bytes.len() == length {
                let end = page + header.size() + max_align(here as u64);
                return self.finish(start, end, bytes).map_err(aborted);
            }
        }
    }

    fn check_header(&self, at: Lsn, header: &RecordHeader) -> std::result::Result<(), Stop> {
        let length = header.total_length as usize;
        if length < RECORD_HEADER_SIZE {
            return Err(short_record(at, length));
        }
        if length > RECORD_SIZE_MAX {
            return Err(invalid(format!("record length {length} at {at} too long")));
        }
        if RmgrId::try_from(header.rmgr).is_err() && !RmgrId::is_custom(header.rmgr) {
            return Err(invalid(format!("invalid resource manager ID {} at {at}", header.rmgr)));
        }
        // After a seek the link can't be checked exactly. In sequence it guards against the old contents
        // of a recycled segment.
        let plausible = match self.previous {
            None => header.prev < at,
            Some(previous) => header.prev == previous,
        };
        if !plausible {
            return Err(invalid(format!("record with incorrect prev-link {} at {at}", header.prev)));
        }
        Ok(())
    }

    /// Checks the CRC of a complete record and decodes it.
    fn finish(&mut self, start: Lsn, end: Lsn, bytes: Vec<u8>) -> std::result::Result<Found, Stop> {
        let header =
            bytes.first_chunk().map(RecordHeader::decode).ok_or_else(|| short_record(start, bytes.len()))?;
        if record_crc(&bytes) != header.crc {
            return Err(invalid(format!("incorrect resource manager data checksum in record at {start}")));
        }
        let switches =
            header.rmgr == RmgrId::Xlog as u8 && header.info & crate::record::RMGR_INFO_MASK == xlog::SWITCH;
        let end = if switches { Lsn(end.0.next_multiple_of(self.geometry.segment_size())) } else { end };
        let record = DecodedRecord::decode(bytes, start, end).map_err(invalid)?;
        self.previous = Some(start);
        self.next = end;
        Ok(Found::Record(record))
    }

    /// Reads and validates the page at `at`, and returns its header.
    fn read_page(&mut self, at: Lsn) -> std::result::Result<PageHeader, Stop> {
        if self.page_at != Some(at) {
            self.page_at = None;
            let segment = self.geometry.segment_of(at);
            let offset = self.geometry.segment_offset(at);
            // The first page of a segment identifies it: a wrong file is noticed before it is used.
            if offset != 0 && self.segment.as_ref().is_none_or(|(open, _)| *open != segment) {
                let first = self.geometry.segment_start(segment);
                self.load_page(first, segment)?;
                self.validate(first)?;
            }
            self.load_page(at, segment)?;
        }
        let header = self.validate(at)?;
        self.page_at = Some(at);
        Ok(header)
    }

    fn load_page(&mut self, at: Lsn, segment: SegmentNumber) -> std::result::Result<(), Stop> {
        let file = self.open(segment)?;
        let offset = self.geometry.segment_offset(at);
        let name = self.geometry.file_name(self.timeline, segment);
        let read = file
            .read_full_at(&mut self.page[..], offset)
            .map_err(|cause| Error::file_access("read from WAL segment", &name, &cause))?;
        if read < PAGE_SIZE {
            return Err(invalid(format!(
                "could not read from WAL segment {name}, LSN {at}, offset {offset}: read {read} of {PAGE_SIZE}"
            )));
        }
        Ok(())
    }

    fn open(&mut self, segment: SegmentNumber) -> std::result::Result<Arc<dyn File>, Stop> {
        if let Some((open, file)) = &self.segment
            && *open == segment
        {
            return Ok(Arc::clone(file));
        }
        self.segment = None;
        let path = self.geometry.file_path(self.timeline, segment);
        match self.fs.open(&path, OpenOptions::READ_ONLY) {
            Ok(file) => {
                self.segment = Some((segment, Arc::clone(&file)));
                Ok(file)
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Err(Stop::Invalid(None)),
            Err(cause) => Err(Error::file_access("open file", &path, &cause).into()),
        }
    }

    /// Checks the header of the page that was loaded, which should be the one at `at`.
    fn validate(&mut self, at: Lsn) -> std::result::Result<PageHeader, Stop> {
        let header = self
            .page
            .first_chunk::<{ LONG_HEADER_SIZE as usize }>()
            .map(PageHeader::decode)
            .ok_or_else(|| invalid(format!("invalid page size at {at}")))?;
        let offset = self.geometry.segment_offset(at);
        let place = || {
            let name = self.geometry.file_name(self.timeline, self.geometry.segment_of(at));
            format!("in WAL segment {name}, LSN {at}, offset {offset}")
        };
        if header.magic != PAGE_MAGIC {
            return Err(invalid(format!("invalid magic number {:04X} {}", header.magic, place())));
        }
        if header.info & !ALL_FLAGS != 0 || (offset == 0 && header.long.is_none()) {
            return Err(invalid(format!("invalid info bits {:04X} {}", header.info, place())));
        }
        if let Some(long) = header.long {
            let expected = self.system_identifier;
            if expected != 0 && long.system_identifier != expected {
                let found = long.system_identifier;
                return Err(invalid(format!(
                    "WAL file is from different database system: WAL file database system identifier is {found}, pg_control database system identifier is {expected}"
                )));
            }
            if u64::from(long.segment_size) != self.geometry.segment_size() {
                return Err(invalid(
                    "WAL file is from different database system: incorrect segment size in page header"
                        .into(),
                ));
            }
            if u64::from(long.page_size) != WAL_PAGE_SIZE {
                return Err(invalid(
                    "WAL file is from different database system: incorrect XLOG_BLCKSZ in page header".into(),
                ));
            }
        }
        if header.address != at {
            return Err(invalid(format!("unexpected pageaddr {} {}", header.address, place())));
        }
        let (latest, latest_timeline) = self.latest_page;
        if at > latest && header.timeline < latest_timeline {
            return Err(invalid(format!(
                "out-of-sequence timeline ID {} (after {latest_timeline}) {}",
                header.timeline,
                place()
            )));
        }
        self.latest_page = (at, header.timeline);
        Ok(header)
    }
}

enum Found {
    Record(DecodedRecord),
    /// A record was cut off by a crash, and the WAL goes on at `page`.
    Overwritten {
        record: Lsn,
        page: Lsn,
    },
}

fn short_record(at: Lsn, length: usize) -> Stop {
    invalid(format!("invalid record length at {at}: expected at least {RECORD_HEADER_SIZE}, got {length}"))
}
