use super::*;

fn write(fs: &SimulatedFileSystem, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.open(path, OpenOptions::CREATE).expect("open");
    file.write_all_at(bytes, 0).expect("write");
    file
}

#[test]
fn what_was_synced_survives_every_crash() {
    let fs = SimulatedFileSystem::new(1);
    fs.create_directories("base/5").expect("mkdir");
    let file = write(&fs, "base/5/1", &[7; 20_000]);
    file.sync_data().expect("sync");
    for directory in ["base/5", "base", "."] {
        fs.sync_directory(directory).expect("sync");
    }
    file.write_all_at(&[9; 8192], 8192).expect("write");
    write(&fs, "base/5/2", b"unsynced");
    let (mut torn, mut lost, mut kept) = (0, 0, 0);
    for seed in 0..200 {
        let after = fs.crash(seed);
        let bytes = after.read("base/5/1").expect("durable");
        assert_eq!(bytes.len(), 20_000);
        assert!(bytes[..8192].iter().chain(&bytes[16384..]).all(|byte| *byte == 7));
        match bytes[8192..16384].iter().filter(|byte| **byte == 9).count() {
            0 => lost += 1,
            8192 => kept += 1,
            part => {
                assert_eq!(part % 512, 0, "sectors are whole");
                torn += 1;
            }
        }
    }
    assert!(torn > 20 && lost > 20 && kept > 20, "{torn} {lost} {kept}");
    let names = (0..100).filter(|seed| fs.crash(*seed).exists("base/5/2").expect("alive")).count();
    assert!((10..90).contains(&names), "{names}");
    assert!(fs.read("base/5/1").is_err(), "the old disk has stopped");
}

#[test]
fn a_crash_in_a_write_stops_everything() {
    let fs = SimulatedFileSystem::new(3);
    let file = write(&fs, "f", &[1; 8192]);
    file.sync_data().expect("sync");
    fs.sync_directory(".").expect("sync");
    let next = fs.operations() + 1;
    let same = fs.copy(4);
    fs.crash_at(next);
    assert!(file.write_at(&[2; 8192], 0).is_err());
    assert!(fs.has_stopped() && file.sync_data().is_err() && fs.list(".").is_err());
    let after = fs.crash(5).read("f").expect("durable");
    assert!(after.chunks(512).all(|sector| sector == [1; 512] || sector == [2; 512]));
    assert_eq!(same.read("f").expect("a copy lives on"), [1; 8192]);
}

#[test]
fn a_rename_needs_a_synced_directory() {
    let fs = SimulatedFileSystem::new(3);
    write(&fs, "a", b"old").sync_data().expect("sync");
    fs.sync_directory(".").expect("sync");
    write(&fs, "a.tmp", b"new");
    fs.rename_durably("a.tmp", "a").expect("rename");
    for seed in 0..50 {
        let after = fs.crash(seed);
        assert_eq!(after.read("a").expect("there"), b"new");
        assert!(!after.exists("a.tmp").expect("alive"));
    }
}

#[test]
fn a_failed_sync_loses_what_it_should_have_kept() {
    let fs = SimulatedFileSystem::new(3);
    let file = write(&fs, "f", b"one");
    file.sync_data().expect("sync");
    fs.sync_directory(".").expect("sync");
    file.write_all_at(b"two", 0).expect("write");
    fs.set_fault(Fault { sync_error_at: Some(fs.operations() + 1), ..Fault::default() });
    assert_eq!(file.sync_data().expect_err("injected").raw_os_error(), Some(5));
    file.sync_data().expect("the next one claims success");
    assert_eq!(fs.read("f").expect("cached"), b"two");
    assert_eq!(fs.crash(1).read("f").expect("there"), b"one");
}

#[test]
fn moments_are_kept_while_the_disk_goes_on() {
    let fs = SimulatedFileSystem::new(4);
    let file = write(&fs, "f", &[1; 8192]);
    file.sync_data().expect("sync");
    fs.sync_directory(".").expect("sync");
    let next = fs.operations() + 1;
    fs.keep_moments([next, next + 2]);
    file.write_all_at(&[2; 8192], 0).expect("the disk goes on");
    file.sync_data().expect("sync");
    file.write_all_at(&[3; 8192], 0).expect("the disk goes on");
    let moments = fs.take_moments();
    assert_eq!(moments.iter().map(|moment| moment.0).collect::<Vec<_>>(), [next, next + 2]);
    assert!(fs.take_moments().is_empty() && moments[0].1.has_stopped());
    for seed in 0..20 {
        let torn = moments[0].1.crash(seed).read("f").expect("durable");
        assert!(torn.chunks(512).all(|sector| sector == [1; 512] || sector == [2; 512]));
        let torn = moments[1].1.crash(seed).read("f").expect("durable");
        assert!(torn.chunks(512).all(|sector| sector == [2; 512] || sector == [3; 512]));
    }
    assert_eq!(fs.read("f").expect("alive"), [3; 8192]);
}

#[test]
fn the_disk_can_be_full_and_reads_short() {
    let fs = SimulatedFileSystem::new(8);
    let file = write(&fs, "f", &[5; 9000]);
    fs.set_fault(Fault { capacity_bytes: Some(10_000), short_reads: true, ..Fault::default() });
    let error = file.write_at(&[1; 4096], 9000).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let mut buffer = vec![0; 9000];
    assert_eq!(file.read_full_at(&mut buffer, 0).expect("read"), 9000);
    assert!(buffer.iter().all(|byte| *byte == 5));
}

#[test]
fn symbolic_links_lead_elsewhere() {
    let fs = SimulatedFileSystem::new(8);
    fs.create_directories("/mnt/fast").expect("mkdir");
    fs.create_directory("pg_tblspc").expect("mkdir");
    fs.create_symbolic_link("/mnt/fast", "pg_tblspc/16400").expect("link");
    write(&fs, "pg_tblspc/16400/x", b"there");
    assert_eq!(fs.read("/mnt/fast/x").expect("same file"), b"there");
    assert_eq!(fs.list("pg_tblspc").expect("list")[0].kind, FileKind::SymbolicLink);
}
