//! The log as a whole: what is inserted, by however many threads, is read back in order; PostgreSQL's
//! pg_waldump reads it too, if KOKKIRI_PG_BIN names the directory of PostgreSQL's programs.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use kokkiri_primitives::activity::ProcessArray;
use kokkiri_primitives::ids::{
    BlockNumber, Fork, Lsn, Oid, RelFileLocator, RelFileNumber, TimelineId, TransactionId,
};
use kokkiri_storage::file::{FileSystem, RealFileSystem};
use kokkiri_storage::{CriticalSection, Poison};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{InsertStart, WalOptions};
use kokkiri_wal::position::{Geometry, SegmentNumber};
use kokkiri_wal::reader::{ReadOutcome, WalReader};
use kokkiri_wal::record::{DecodedRecord, ImageCompression, RecordBuilder, RegisterFlags};
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog;

const SYSTEM_IDENTIFIER: u64 = 7_300_000_000_000_000_001;
const LOCATOR: RelFileLocator =
    RelFileLocator { tablespace: Oid(1663), database: Oid(5), number: RelFileNumber(16384) };

/// A data directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kokkiri-wal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("pg_wal")).expect("the temporary directory is writable");
        Self(path)
    }

    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::new(RealFileSystem::new(&self.0).expect("the directory is there"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn geometry() -> Geometry {
    Geometry::new(1 << 20).expect("1 MB is valid")
}

fn start() -> InsertStart {
    let lsn = geometry().segment_start(SegmentNumber(1));
    InsertStart {
        timeline: TimelineId(1),
        end_of_log: lsn,
        last_record: Lsn::INVALID,
        redo: lsn,
        last_page: None,
    }
}

fn open(directory: &Directory, buffer_pages: usize, start: &InsertStart) -> Arc<Wal> {
    let options = WalOptions {
        system_identifier: SYSTEM_IDENTIFIER,
        segment_size: geometry().segment_size(),
        buffer_pages,
        ..WalOptions::default()
    };
    let wal = Wal::new(directory.file_system(), ProcessArray::new(8, 1), Poison::leak(), &options)
        .expect("the options are valid");
    wal.start_insertion(start);
    wal
}

fn reader(directory: &Directory, system_identifier: u64) -> WalReader {
    let mut reader = WalReader::new(directory.file_system(), geometry(), TimelineId(1), system_identifier);
    reader.seek(start().end_of_log);
    reader
}

fn read_all(reader: &mut WalReader) -> (Vec<DecodedRecord>, Option<String>) {
    let mut records = Vec::new();
    loop {
        match reader.read().expect("the files are readable") {
            ReadOutcome::Record(record) => records.push(record),
            ReadOutcome::End(end) => return (records, end.reason),
        }
    }
}

fn noop(data: &[u8]) -> RecordBuilder<'static> {
    let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::NOOP);
    record.data(data);
    record
}

struct Parker(Thread);

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Parker(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// A page with a hole from 100 to 8000, carrying `lsn`.
fn page(lsn: Lsn, fill: u8) -> [u8; 8192] {
    let mut page = [0; 8192];
    page[0..4].copy_from_slice(&((lsn.0 >> 32) as u32).to_le_bytes());
    page[4..8].copy_from_slice(&(lsn.0 as u32).to_le_bytes());
    page[12..14].copy_from_slice(&100_u16.to_le_bytes());
    page[14..16].copy_from_slice(&8000_u16.to_le_bytes());
    page[24..100].fill(fill);
    page[8000..].fill(fill);
    page
}

#[test]
fn many_inserters_are_read_back_in_order() {
    let directory = Directory::new("parallel");
    let wal = open(&directory, 8, &start());
    let threads = 4;
    let each = 400;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let wal = &wal;
            scope.spawn(move || {
                for number in 0..each {
                    // Now and then a record longer than a page, or than all of the buffers.
                    let length = match number % 50 {
                        7 => 20_000,
                        33 => 100_000,
                        _ => 10 + (number * 37) % 400,
                    };
                    let mut data = vec![thread as u8; length];
                    data[..4].copy_from_slice(&(number as u32).to_le_bytes());
                    let end = wal.insert(&CriticalSection::enter(), noop(&data));
                    if number % 10 == 0 {
                        block_on(wal.wait_flushed(end)).expect("the disk works");
                        assert!(wal.flushed_lsn() >= end);
                    }
                }
            });
        }
    });
    wal.flush(wal.insert_lsn()).expect("the disk works");
    assert_eq!(wal.waiting_for_flush(), 0);
    let (records, reason) = read_all(&mut reader(&directory, SYSTEM_IDENTIFIER));
    assert_eq!(records.len(), threads * each);
    assert!(reason.expect("there is a reason").starts_with("invalid record length at "));
    let mut next: HashMap<u8, u32> = HashMap::new();
    for record in &records {
        let data = record.main_data();
        let number = u32::from_le_bytes([data[0], data[1], data[2], data[3]]);
        assert!(data[4..].iter().all(|byte| *byte == data[4]));
        let expected = next.entry(data[4]).or_default();
        assert_eq!(number, *expected);
        *expected += 1;
    }
    let (others, reason) = read_all(&mut reader(&directory, 1));
    assert!(others.is_empty());
    assert!(reason.expect("there is a reason").starts_with("WAL file is from different database system"));
}

#[test]
fn images_are_decided_by_the_redo_pointer_and_restored() {
    let directory = Directory::new("images");
    let wal = open(&directory, 16, &start());
    let critical = CriticalSection::enter();
    let old = page(Lsn(wal.redo_lsn().0 - 8), 7);
    let new = page(wal.redo_lsn() + 8, 9);
    for compression in [ImageCompression::Off, ImageCompression::Pglz, ImageCompression::Lz4] {
        wal.set_compression(compression);
        let mut record = RecordBuilder::new(RmgrId::Heap, 0);
        record
            .xid(Some(TransactionId(750)))
            .register_block(0, (LOCATOR, Fork::Main, BlockNumber(3)), &old, RegisterFlags::STANDARD)
            .buffer_data(0, b"replaced")
            .register_block(1, (LOCATOR, Fork::Main, BlockNumber(4)), &new, RegisterFlags::STANDARD)
            .buffer_data(1, b"kept")
            .register_block(2, (LOCATOR, Fork::VisibilityMap, BlockNumber(0)), &old, RegisterFlags::NONE)
            .data(&[1; 300]);
        wal.insert(&critical, record);
    }
    wal.flush(wal.insert_lsn()).expect("the disk works");
    let (records, _) = read_all(&mut reader(&directory, SYSTEM_IDENTIFIER));
    assert_eq!(records.len(), 3);
    for record in &records {
        assert_eq!((record.xid, record.main_data()), (TransactionId(750), &[1; 300][..]));
        assert_eq!((record.block_data(0), record.block_data(1)), (None, Some(&b"kept"[..])));
        let restored: Vec<_> =
            record.blocks.iter().map(|block| (block.apply_image, block.has_image())).collect();
        assert_eq!(restored, [(true, true), (false, false), (true, true)]);
        for id in [0, 2] {
            let mut target = [0xEE; 8192];
            let block = record.block(id).expect("it was registered");
            record.restore_image(block, &mut target).expect("the image is whole");
            assert_eq!(target, old);
        }
    }
    let sizes: Vec<_> = records.iter().map(DecodedRecord::image_bytes).collect();
    assert_eq!(sizes[0], 8192 - 7900 + 8192);
    assert!(sizes[1] < 600 && sizes[2] < 600, "{sizes:?}");
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let directory = Directory::new("restart");
    let first = open(&directory, 8, &start());
    first.insert(&CriticalSection::enter(), noop(&[1; 3000]));
    let switched = first.switch_segment(&CriticalSection::enter(), true);
    let last = first.insert_record(&CriticalSection::enter(), noop(&[2; 500]));
    assert_eq!(geometry().segment_of(last.start), geometry().segment_of(switched).next());
    first.flush(last.end).expect("the disk works");

    let mut found = reader(&directory, SYSTEM_IDENTIFIER);
    let (records, _) = read_all(&mut found);
    assert_eq!(
        records.iter().map(|record| record.operation()).collect::<Vec<_>>(),
        [xlog::NOOP, xlog::SWITCH, xlog::NOOP]
    );
    assert_eq!((found.position(), found.last_record()), (last.end, Some(last.start)));
    let second = open(
        &directory,
        8,
        &InsertStart {
            end_of_log: found.position(),
            last_record: last.start,
            last_page: found.last_page().expect("the page is readable"),
            ..start()
        },
    );
    let added = second.insert_record(&CriticalSection::enter(), noop(&[3; 12_000]));
    assert_eq!(added.start, last.end);
    second.flush(added.end).expect("the disk works");
    let (records, _) = read_all(&mut reader(&directory, SYSTEM_IDENTIFIER));
    assert_eq!(records.len(), 4);
    assert_eq!(records[3].main_data(), [3; 12_000]);
    assert_eq!(records[3].prev, last.start);
    pg_waldump(&directory.0);
}

#[test]
fn a_cut_off_record_is_skipped() {
    let directory = Directory::new("contrecord");
    let wal = open(&directory, 8, &start());
    let kept = wal.insert_record(&CriticalSection::enter(), noop(&[1; 100]));
    let cut = wal.insert_record(&CriticalSection::enter(), noop(&[2; 20_000]));
    wal.flush(cut.end).expect("the disk works");
    // The second and third page of the record never reached the disk.
    let path = directory.0.join(geometry().file_path(TimelineId(1), SegmentNumber(1)));
    let mut bytes = std::fs::read(&path).expect("the segment is there");
    bytes[8192..].fill(0);
    std::fs::write(&path, bytes).expect("the segment is writable");

    let mut found = reader(&directory, SYSTEM_IDENTIFIER);
    let first = found.read().expect("readable");
    assert!(matches!(first, ReadOutcome::Record(ref record) if record.lsn == kept.start));
    let ReadOutcome::End(end) = found.read().expect("readable") else { panic!("the record is cut off") };
    let missing = end.missing_continuation.expect("it began before the cut");
    assert_eq!((end.at, missing), (cut.start, start().end_of_log + 8192));

    let second =
        open(&directory, 8, &InsertStart { end_of_log: missing, last_record: kept.start, ..start() });
    let record = xlog::overwrite_contrecord_record(cut.start);
    second.insert_overwrite_contrecord(&CriticalSection::enter(), record);
    let end = second.insert(&CriticalSection::enter(), noop(&[3; 10]));
    second.flush(end).expect("the disk works");
    let mut found = reader(&directory, SYSTEM_IDENTIFIER);
    let (records, _) = read_all(&mut found);
    assert_eq!(records.len(), 3);
    assert_eq!(records[1].operation(), xlog::OVERWRITE_CONTRECORD);
    assert_eq!(found.take_overwritten(), Some(cut.start));
    pg_waldump(&directory.0);
}

#[test]
fn old_segments_are_recycled_and_removed() {
    let directory = Directory::new("recycle");
    let wal = open(&directory, 8, &start());
    for _ in 0..6 {
        wal.insert(&CriticalSection::enter(), noop(&[1; 10]));
        wal.switch_segment(&CriticalSection::enter(), true);
    }
    let end = wal.insert(&CriticalSection::enter(), noop(&[2; 10]));
    wal.flush(end).expect("the disk works");
    let current = geometry().segment_of(end);
    assert_eq!(current, SegmentNumber(7));
    let done = wal.files().remove_old(TimelineId(1), current, SegmentNumber(9), end).expect("the disk works");
    assert_eq!((done.recycled, done.removed), (2, 4));
    let left: Vec<_> = wal.files().list().expect("readable").iter().map(|(_, segment)| segment.0).collect();
    assert_eq!(left, [7, 8, 9]);
    assert_eq!(wal.files().last_removed(), Some(SegmentNumber(6)));
    // The recycled segment is used again, and its old contents end the log.
    wal.switch_segment(&CriticalSection::enter(), true);
    let end = wal.insert(&CriticalSection::enter(), noop(&[3; 10]));
    wal.flush(end).expect("the disk works");
    let mut reader = reader(&directory, SYSTEM_IDENTIFIER);
    reader.seek(geometry().segment_start(SegmentNumber(7)));
    assert_eq!(read_all(&mut reader).0.len(), 3);
}

#[test]
fn whatever_is_on_disk_the_reader_survives() {
    let directory = Directory::new("garbage");
    let wal = open(&directory, 8, &start());
    let image = page(Lsn(0), 5);
    for number in 0..40_u8 {
        let mut record = noop(&vec![number; usize::from(number) * 50]);
        let at = (LOCATOR, Fork::Main, BlockNumber(1));
        record.register_block(0, at, &image, RegisterFlags::STANDARD | RegisterFlags::FORCE_IMAGE);
        wal.insert(&CriticalSection::enter(), record);
    }
    wal.flush(wal.insert_lsn()).expect("the disk works");
    let path = directory.0.join(geometry().file_path(TimelineId(1), SegmentNumber(1)));
    let good = std::fs::read(&path).expect("the segment is there");
    let used = geometry().segment_offset(wal.insert_lsn()) as usize;
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..200 {
        let mut bytes = good[..used.next_multiple_of(8192)].to_vec();
        for _ in 0..1 + random(4) {
            let at = random(used);
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(1 + random(bytes.len()));
        std::fs::write(&path, &bytes).expect("the segment is writable");
        let (records, _) = read_all(&mut reader(&directory, SYSTEM_IDENTIFIER));
        assert!(records.len() <= 40);
    }
    // A record's inner structure, with a CRC that would hide nothing.
    for _ in 0..2000 {
        let mut bytes = vec![0_u8; 24 + random(200)];
        bytes.iter_mut().for_each(|byte| *byte = random(256) as u8);
        bytes[17] = 10;
        for at in (24..bytes.len()).step_by(40) {
            bytes[at] = [0, 1, 252, 253, 254, 255][random(6)];
        }
        if let Ok(record) = DecodedRecord::decode(bytes, Lsn(64), Lsn(128)) {
            for block in &record.blocks {
                let _ = record.restore_image(block, &mut [0; 8192]);
                let _ = record.block_data(block.id);
            }
        }
    }
}

fn pg_waldump(directory: &Path) {
    let Some(programs) = std::env::var_os("KOKKIRI_PG_BIN") else { return };
    let output = Command::new(Path::new(&programs).join("pg_waldump"))
        .arg("-p")
        .arg(directory.join("pg_wal"))
        .args(["-s", "0/100028"])
        .output()
        .expect("pg_waldump can be run");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}\n{errors}");
    assert!(text.contains("rmgr: XLOG"), "{text}\n{errors}");
    assert!(errors.contains("invalid record length"), "{errors}");
}
