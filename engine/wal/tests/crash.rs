//! The log on a disk that stops at any moment: what was flushed is read back after every crash, what was
//! not is there as a prefix or not at all, and the log goes on from there. A failing run prints its seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kokkiri_primitives::activity::ProcessArray;
use kokkiri_primitives::ids::{Lsn, TimelineId};
use kokkiri_storage::file::{FileSystem, SimulatedFileSystem};
use kokkiri_storage::{CriticalSection, Poison};
use kokkiri_wal::Wal;
use kokkiri_wal::log::{InsertStart, WalOptions};
use kokkiri_wal::position::{Geometry, SegmentNumber};
use kokkiri_wal::reader::{ReadOutcome, WalReader};
use kokkiri_wal::record::RecordBuilder;
use kokkiri_wal::rmgr::RmgrId;
use kokkiri_wal::xlog;

const LIVES: u64 = 5;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn geometry() -> Geometry {
    Geometry::new(1 << 20).expect("1 MB is valid")
}

/// The contents of record `number`: mostly short, sometimes longer than a page or than all buffers.
fn contents(number: u64) -> Vec<u8> {
    let length = match number % 17 {
        3 => 9_000,
        11 => 70_000,
        rest => 8 + rest as usize * 60,
    };
    let mut data = vec![number as u8; length];
    data[..8].copy_from_slice(&number.to_le_bytes());
    data
}

/// Reads the log, checks that it has records 0, 1, 2... and opens it behind the last.
fn recover(fs: &SimulatedFileSystem, options: &WalOptions) -> (Arc<Wal>, u64) {
    let fs: Arc<dyn FileSystem> = Arc::new(fs.clone());
    let start = geometry().segment_start(SegmentNumber(1));
    let mut reader = WalReader::new(Arc::clone(&fs), geometry(), TimelineId(1), options.system_identifier);
    reader.seek(start);
    let mut found = 0;
    let end = loop {
        match reader.read().expect("the disk is readable") {
            ReadOutcome::Record(record) if record.operation() == xlog::OVERWRITE_CONTRECORD => {
                assert!(reader.take_overwritten().is_some());
            }
            ReadOutcome::Record(record) => {
                assert_eq!(record.main_data(), contents(found));
                found += 1;
            }
            ReadOutcome::End(end) => break end,
        }
    };
    let wal = Wal::new(fs, ProcessArray::new(1, 1), Poison::leak(), options).expect("valid options");
    wal.start_insertion(&InsertStart {
        timeline: TimelineId(1),
        end_of_log: end.missing_continuation.unwrap_or_else(|| reader.position()),
        last_record: reader.last_record().unwrap_or(Lsn::INVALID),
        redo: start,
        last_page: match end.missing_continuation {
            Some(_) => None,
            None => reader.last_page().expect("the disk is readable"),
        },
    });
    if end.missing_continuation.is_some() {
        let record = xlog::overwrite_contrecord_record(end.at);
        wal.insert_overwrite_contrecord(&CriticalSection::enter(), record);
    }
    (wal, found)
}

/// Inserts until the disk stops; returns how many records are known to be durable.
fn live(wal: &Wal, random: &mut Random, mut next: u64) -> u64 {
    let mut durable = next;
    for _ in 0..60 {
        let inserted = catch_unwind(AssertUnwindSafe(|| {
            let mut record = RecordBuilder::new(RmgrId::Xlog, xlog::NOOP);
            record.data(&contents(next));
            wal.insert(&CriticalSection::enter(), record)
        }));
        let Ok(end) = inserted else { return durable };
        next += 1;
        if random.below(3) == 0 {
            match wal.flush(end) {
                Ok(()) => durable = next,
                Err(_) => return durable,
            }
        }
    }
    durable
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let mut disk = SimulatedFileSystem::new(seed);
    disk.create_directory("pg_wal").expect("no faults yet");
    disk.sync_directory(".").expect("no faults yet");
    let options = WalOptions {
        system_identifier: 42,
        segment_size: geometry().segment_size(),
        buffer_pages: 4 + random.below(12) as usize,
        init_zero: seed.is_multiple_of(2),
        ..WalOptions::default()
    };
    let mut durable = 0;
    for life in 0..LIVES {
        let (wal, found) = recover(&disk, &options);
        assert!(found >= durable, "life {life}: {durable} records were durable, {found} are there");
        disk.crash_at(disk.operations() + 1 + random.below(60));
        durable = live(&wal, &mut random, found);
        disk = disk.crash(seed.wrapping_add(life));
    }
    let (_, found) = recover(&disk, &options);
    assert!(found >= durable, "at the end: {durable} records were durable, {found} are there");
}

#[test]
fn what_was_flushed_survives_any_crash() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(60);
    // Panics of inserters on a stopped disk are expected; a seed's own panic says which seed it is.
    std::panic::set_hook(Box::new(|_| {}));
    for seed in 0..seeds {
        let outcome = catch_unwind(|| run(seed));
        if let Err(panic) = outcome {
            let _ = std::panic::take_hook();
            let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed}: {message}");
        }
    }
    let _ = std::panic::take_hook();
}
