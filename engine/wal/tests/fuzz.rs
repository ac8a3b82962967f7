//! The WAL reader on damaged segments. The log is a real one, of every shape of record; each input damages
//! it somewhere and reads it again.
//!
//! - Damage as a disk makes it: the reader returns the records before the first damaged byte, and nothing
//!   that wasn't written.
//! - Damage with the CRC made right again, as a fault of memory before insertion would be: the record's
//!   structure is refused or all of its parts can be used.
//! - Any start: the reader answers, whatever it is told to begin at.

use std::sync::Arc;

use kokkiri_fuzzing::{BOUNDARIES, Dice, Limits, mutate_in_place, run};
use kokkiri_primitives::activity::ProcessArray;
use kokkiri_primitives::ids::{
    BlockNumber, Fork, Lsn, Oid, RelFileLocator, RelFileNumber, TimelineId, TransactionId,
};
use kokkiri_storage::file::{FileSystem, OpenOptions, SimulatedFileSystem};
use kokkiri_storage::{CriticalSection, Poison};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{InsertStart, WalOptions};
use kokkiri_wal::position::{Geometry, SegmentNumber, WAL_PAGE_SIZE};
use kokkiri_wal::reader::{EndOfWal, ReadOutcome, WalReader};
use kokkiri_wal::record::{
    DecodedRecord, ImageCompression, RECORD_HEADER_SIZE, RecordBuilder, RegisterFlags, record_crc,
};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog;

const SYSTEM_IDENTIFIER: u64 = 7_300_000_000_000_000_001;
const LOCATOR: RelFileLocator =
    RelFileLocator { tablespace: Oid(1663), database: Oid(5), number: RelFileNumber(16384) };
const TIMELINE: TimelineId = TimelineId(1);
const PAGE: usize = WAL_PAGE_SIZE as usize;

fn geometry() -> Geometry {
    Geometry::new(1 << 20).expect("1 MB is valid")
}

/// A page with a hole, or without one.
fn page(dice: &mut Dice) -> [u8; 8192] {
    let mut page = [dice.number() as u8; 8192];
    let (lower, upper) = (24 + dice.below(4000), 4100 + dice.below(4000));
    page[..24].fill(0);
    page[12..14].copy_from_slice(&(lower as u16).to_le_bytes());
    page[14..16].copy_from_slice(&(upper as u16).to_le_bytes());
    page[lower..upper].fill(0);
    page
}

/// The log that inputs damage: its disk, its records in order, and where each of them lies.
struct Log {
    disk: SimulatedFileSystem,
    start: Lsn,
    end: Lsn,
    records: Vec<DecodedRecord>,
    segments: Vec<(String, Vec<u8>)>,
}

impl Log {
    /// A log of several segments.
    fn write() -> Self {
        let disk = SimulatedFileSystem::new(1);
        disk.create_directory("pg_wal").expect("the disk is empty");
        let start = geometry().segment_start(SegmentNumber(1));
        let options = WalOptions {
            system_identifier: SYSTEM_IDENTIFIER,
            segment_size: geometry().segment_size(),
            ..WalOptions::default()
        };
        let wal = Wal::new(Arc::new(disk.clone()), ProcessArray::new(1, 1), Poison::leak(), &options)
            .expect("valid options");
        wal.start_insertion(&InsertStart {
            timeline: TIMELINE,
            end_of_log: start,
            last_record: Lsn::INVALID,
            redo: start,
            last_page: None,
        });
        let mut dice = Dice::new(1);
        for number in 0..300 {
            wal.set_compression(*dice.pick(&[
                ImageCompression::Off,
                ImageCompression::Pglz,
                ImageCompression::Lz4,
            ]));
            insert(&wal, &mut dice);
            if number % 130 == 129 {
                wal.switch_segment(&CriticalSection::enter(), true);
            }
        }
        let end = wal.insert_lsn();
        wal.flush(end).expect("the disk works");
        let segments = (1..=geometry().segment_of(end).0)
            .map(|number| geometry().file_path(TIMELINE, SegmentNumber(number)))
            .map(|path| (path.clone(), disk.read(&path).expect("it was written")))
            .collect();
        let mut log = Self { disk, start, end, records: Vec::new(), segments };
        log.records = log.read_all(start).0;
        assert_eq!(log.records.len(), 302, "the log is whole");
        log
    }

    fn reader(&self, from: Lsn) -> WalReader {
        let fs: Arc<dyn FileSystem> = Arc::new(self.disk.clone());
        let mut reader = WalReader::new(fs, geometry(), TIMELINE, SYSTEM_IDENTIFIER);
        reader.seek(from);
        reader
    }

    /// Reads to the end; the reader must say the same about it when asked again.
    fn read_all(&self, from: Lsn) -> (Vec<DecodedRecord>, EndOfWal) {
        let mut reader = self.reader(from);
        let mut records = Vec::new();
        loop {
            match reader.read().expect("the disk works") {
                ReadOutcome::Record(record) => {
                    assert_eq!(record_crc(record.bytes()), crc_of(record.bytes()));
                    assert!(record.end_lsn > record.lsn);
                    assert_eq!((reader.position(), reader.last_record()), (record.end_lsn, Some(record.lsn)));
                    records.push(record);
                }
                ReadOutcome::End(end) => {
                    // What insertion would go on with: the page, or why there is none.
                    if reader.last_record().is_some() && end.missing_continuation.is_none() {
                        let _ = reader.last_page();
                    }
                    let ReadOutcome::End(again) = reader.read().expect("the disk works") else {
                        panic!("the log went on behind its end at {}", end.at)
                    };
                    assert_eq!(again, end);
                    return (records, end);
                }
            }
        }
    }

    /// Bytes of a segment that are in use.
    fn used(&self, segment: usize) -> usize {
        let next = geometry().segment_start(SegmentNumber(segment as u64 + 2));
        if next <= self.end {
            self.segments[segment].1.len()
        } else {
            geometry().segment_offset(self.end) as usize
        }
    }

    fn write_at(&self, segment: usize, bytes: &[u8], offset: usize) {
        let file =
            self.disk.open(&self.segments[segment].0, OpenOptions::EXISTING).expect("the segment is there");
        file.write_all_at(bytes, offset as u64).expect("the disk works");
    }

    /// Puts a segment back as it was.
    fn restore(&self, segment: usize) {
        self.write_at(segment, &self.segments[segment].1, 0);
    }

    /// Where a record's bytes lie: segment, offset and length, page by page.
    fn places(&self, record: &DecodedRecord) -> Vec<(usize, usize, usize)> {
        let (mut at, mut left) = (record.lsn, record.total_length as usize);
        let mut places = Vec::new();
        while left > 0 {
            let segment = geometry().segment_of(at).0 as usize - 1;
            let offset = geometry().segment_offset(at) as usize;
            let here = left.min(PAGE - offset % PAGE);
            places.push((segment, offset, here));
            left -= here;
            at = at + here as u64;
            at = at + geometry().header_size(at);
        }
        places
    }
}

fn crc_of(record: &[u8]) -> u32 {
    u32::from_le_bytes([record[20], record[21], record[22], record[23]])
}

/// Inserts a record of a random shape: no data to several pages of it, images or none, up to five blocks.
fn insert(wal: &Wal, dice: &mut Dice) {
    let rmgrs = [RmgrId::Xlog, RmgrId::Heap, RmgrId::Heap2, RmgrId::Btree, RmgrId::Transaction];
    let rmgr = *dice.pick(&rmgrs);
    let info = if rmgr == RmgrId::Xlog { xlog::NOOP } else { (dice.below(8) as u8) << 4 };
    let pages: Vec<_> = (0..dice.below(5)).map(|_| page(dice)).collect();
    let mut record = RecordBuilder::new(rmgr, info);
    record.xid(Some(TransactionId(700 + dice.below(1000) as u32)));
    if dice.once_in(5) {
        record.origin(dice.number() as u16);
    }
    if dice.once_in(5) {
        record.toplevel_xid(TransactionId(701));
    }
    for (id, page) in pages.iter().enumerate() {
        let (id, block) = (id as u8, BlockNumber(dice.below(100) as u32));
        let flags = *dice.pick(&[RegisterFlags::STANDARD, RegisterFlags::NONE]);
        let flags = if dice.once_in(3) { flags | RegisterFlags::FORCE_IMAGE } else { flags };
        let mut locator = LOCATOR;
        locator.number.0 += dice.below(2) as u32;
        record.register_block(id, (locator, Fork::Main, block), page, flags);
        if dice.once_in(2) {
            record.buffer_data(id, &vec![dice.number() as u8; 1 + dice.below(400)]);
        }
    }
    let length = match dice.below(20) {
        0 => 20_000,
        1 => 9_000,
        2 => 0,
        _ => dice.below(500),
    };
    record.data(&vec![dice.number() as u8; length]);
    wal.insert(&CriticalSection::enter(), record);
}

/// Uses every part of a record, as replay and pg_waldump do.
fn use_all(record: &DecodedRecord) {
    assert!(record.main_data().len() <= record.bytes().len());
    assert!(record.image_bytes() <= record.bytes().len());
    for block in &record.blocks {
        let found = record.block(block.id).expect("it is listed");
        assert_eq!(found.image_length(), block.image_length());
        let _ = record.block_data(block.id);
        // An image that can't be restored says so.
        let _ = record.restore_image(block, &mut [0xEE; 8192]);
    }
}

/// Reads the damaged log from shortly before the damage, which leaves the first `intact` records alone. What is
/// read must be the log's own records, in order and without a gap, at least those.
fn assert_prefix(log: &Log, intact: usize) {
    let from = intact.saturating_sub(5);
    let (records, _) = log.read_all(log.records[from].lsn);
    let written = &log.records[from..];
    assert!(records.len() >= intact - from, "{} records, {} are intact", records.len(), intact - from);
    assert!(records.len() <= written.len(), "the log became longer");
    for (record, written) in records.iter().zip(written) {
        assert_eq!((record.lsn, record.end_lsn), (written.lsn, written.end_lsn));
        assert!(record.bytes() == written.bytes(), "the record at {} is not as it was written", record.lsn);
    }
}

#[test]
fn a_damaged_log_ends_before_the_damage() {
    let log = Log::write();
    run("a_damaged_log_ends_before_the_damage", Limits::default(), |dice| {
        let segment = dice.below(log.segments.len());
        let used = log.used(segment);
        let good = &log.segments[segment].1;
        let damaged = match dice.below(10) {
            // The file ends early.
            0 => {
                let cut = dice.below(used);
                let path = &log.segments[segment].0;
                let file = log.disk.open(path, OpenOptions::EXISTING).expect("the segment is there");
                file.truncate(cut as u64).expect("the disk works");
                // A page that isn't whole is not read at all.
                cut / PAGE * PAGE
            }
            // Headers of pages, which lead from one to the next.
            1 | 2 => {
                let at = dice.below(used) / PAGE * PAGE;
                let mut header = good[at..at + 40].to_vec();
                let first = mutate_in_place(dice, &mut header[..if at == 0 { 40 } else { 24 }]);
                log.write_at(segment, &header, at);
                at + first
            }
            // A page is another one: an old version, or misdirected.
            3 => {
                let (from, to) = (dice.below(used) / PAGE * PAGE, dice.below(used) / PAGE * PAGE);
                log.write_at(segment, &good[from..from + PAGE], to);
                to
            }
            // The start of a record: its length, its link.
            4 | 5 => {
                let record = dice.pick(&log.records);
                let (of, offset, here) = log.places(record)[0];
                let mut bytes = log.segments[of].1[offset..offset + here.min(32)].to_vec();
                mutate_in_place(dice, &mut bytes);
                log.write_at(of, &bytes, offset);
                assert_prefix(&log, log.records.iter().take_while(|other| other.lsn < record.lsn).count());
                log.restore(of);
                return;
            }
            _ => {
                let at = dice.below(used);
                let end = (at + 1 + dice.below(2000)).min(good.len());
                let mut bytes = good[at..end].to_vec();
                let first = mutate_in_place(dice, &mut bytes);
                log.write_at(segment, &bytes, at);
                at + first
            }
        };
        // Nothing is believed of a page whose header is damaged.
        let segment_start = geometry().segment_start(SegmentNumber(segment as u64 + 1));
        let page = segment_start + (damaged / PAGE * PAGE) as u64;
        assert_prefix(&log, log.records.iter().take_while(|record| record.end_lsn <= page).count());
        log.restore(segment);
    });
}

#[test]
fn a_record_with_a_right_crc_is_whole_or_refused() {
    let log = Log::write();
    run("a_record_with_a_right_crc_is_whole_or_refused", Limits::default(), |dice| {
        let record = dice.pick(&log.records);
        let mut bytes = record.bytes().to_vec();
        // The block headers are where lengths and offsets are.
        let reach = if dice.once_in(3) { bytes.len() } else { bytes.len().min(80) };
        mutate_in_place(dice, &mut bytes[RECORD_HEADER_SIZE..reach.max(RECORD_HEADER_SIZE)]);
        if dice.once_in(4) {
            bytes[16] = dice.number() as u8;
            bytes[17] = dice.below(24) as u8;
        }
        let crc = record_crc(&bytes);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        if let Ok(decoded) = DecodedRecord::decode(bytes.clone(), record.lsn, record.end_lsn) {
            use_all(&decoded);
        }
        let mut at = 0;
        let places = log.places(record);
        for (segment, offset, len) in &places {
            log.write_at(*segment, &bytes[at..at + len], *offset);
            at += len;
        }
        let before = log.records.iter().take_while(|other| other.lsn < record.lsn).count();
        let mut reader = log.reader(log.records[before.saturating_sub(1)].lsn);
        // The record before it is untouched; then comes the changed one, or the log ends with it.
        for _ in 0..3 {
            match reader.read().expect("the disk works") {
                ReadOutcome::Record(read) => use_all(&read),
                ReadOutcome::End(end) => {
                    // A record at the front of a page is looked for at the page's start.
                    let front = geometry().header_size(end.at);
                    assert!(end.at + front >= record.lsn, "before {}: {end:?}", record.lsn);
                    break;
                }
            }
        }
        for (segment, _, _) in places {
            log.restore(segment);
        }
    });
}

#[test]
fn the_reader_can_begin_anywhere() {
    let log = Log::write();
    run("the_reader_can_begin_anywhere", Limits::default(), |dice| {
        let from = match dice.below(4) {
            0 => Lsn(*dice.pick(&BOUNDARIES)),
            1 => Lsn(dice.number()),
            2 => Lsn(dice.pick(&log.records).lsn.0.wrapping_add(dice.below(17) as u64).wrapping_sub(8)),
            _ => log.start + dice.below((log.end.0 - log.start.0) as usize) as u64,
        };
        let (records, _) = log.read_all(from);
        for record in &records {
            let written = log.records.iter().find(|written| written.lsn == record.lsn);
            let written = written.unwrap_or_else(|| panic!("nothing was written at {}", record.lsn));
            assert!(record.bytes() == written.bytes());
        }
    });
}
