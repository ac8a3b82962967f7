//! Transactions as a whole: what a commit, an abort, a savepoint leave in memory, on disk, in the WAL and
//! after its replay. PostgreSQL's pg_waldump reads the records too, if KOKKIRI_PG_BIN names the directory
//! of PostgreSQL's programs.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kokkiri_primitives::{
    BlockNumber, CommandId, Fork, MultiXactId, Oid, RelFileLocator, RelFileNumber, SqlState, TransactionId,
};
use kokkiri_storage::{RelationFile, free_space_map};
use kokkiri_transaction::proc_array::CheckpointStage;
use kokkiri_transaction::testing::{Client, Directory, FIRST_XID};
use kokkiri_transaction::transaction::records::DroppedStatistics;
use kokkiri_transaction::{
    BeginOptions, HorizonKind, Invalidation, IsolationLevel, LockMode, LockTag, MultiXactMember,
    MultiXactStatus, SynchronousCommit, TransactionStatus, WaitPolicy,
};

fn relation(number: u32) -> RelationFile {
    RelationFile::permanent(RelFileLocator {
        tablespace: Oid(1663),
        database: Oid(5),
        number: RelFileNumber(number),
    })
}

#[test]
fn a_commit_becomes_visible_at_once_and_to_later_snapshots_only() {
    let directory = Directory::new("visible");
    let cluster = directory.create();
    let (writer, reader) = (Client::new(&cluster), Client::new(&cluster));
    let system = &cluster.transactions;
    let transaction = writer.begin();
    assert_eq!(transaction.xid_if_assigned(), None);
    let xid = transaction.current_xid().expect("assigned");
    assert_eq!(xid, TransactionId(FIRST_XID));

    let reading = reader
        .begin_with(BeginOptions { isolation: IsolationLevel::RepeatableRead, ..BeginOptions::default() });
    let before = reading.snapshot();
    assert!(transaction.is_current(xid) && !reading.is_current(xid));
    assert_eq!(reading.status(xid).expect("known"), TransactionStatus::InProgress);
    assert!(!reading.is_removable(HorizonKind::Data, xid));

    let ticket = transaction.prepare_commit().expect("nothing fails");
    assert!(system.is_in_progress(xid).expect("known"), "decided, but not yet visible");
    assert_eq!(system.proc_array.delaying_checkpoint(CheckpointStage::Start).len(), 1);
    cluster.wal.flush(ticket.lsn_to_flush().expect("it wrote")).expect("the disk works");
    let committed = ticket.finish();
    assert!(committed.lsn.is_some());
    assert!(system.proc_array.delaying_checkpoint(CheckpointStage::Start).is_empty());
    assert_eq!(system.status(xid).expect("known"), TransactionStatus::Committed);
    assert!(before.xid_in_progress(&system.subtrans, xid).expect("no I/O"));
    let again = reading.snapshot();
    assert!(again.xid_in_progress(&system.subtrans, xid).expect("no I/O"), "one snapshot per transaction");
    let after = reading.latest_snapshot();
    assert!(!after.xid_in_progress(&system.subtrans, xid).expect("no I/O"));
    // The first snapshot still needs what `xid` deleted.
    assert_eq!(reading.oldest_nonremovable(HorizonKind::Data), xid);
    drop((before, again, after));
    assert!(reading.abort().is_empty());
    let pruning = reader.begin();
    let _snapshot = pruning.snapshot();
    assert!(pruning.is_removable(HorizonKind::Data, xid));
}

#[test]
fn read_only_transactions_write_nothing() {
    let directory = Directory::new("readonly");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let before = cluster.wal.insert_lsn();
    let transaction = client.begin();
    transaction
        .lock(LockTag::relation(Oid(5), Oid(1259)), LockMode::AccessShare, WaitPolicy::Block)
        .expect("free");
    drop(transaction.snapshot());
    let ticket = transaction.prepare_commit().expect("nothing fails");
    assert_eq!(ticket.lsn_to_flush(), None);
    assert_eq!(ticket.finish().lsn, None);
    assert_eq!(cluster.wal.insert_lsn(), before);
    assert!(cluster.locks.list().is_empty());
}

#[test]
fn savepoints_nest_and_undo() {
    let directory = Directory::new("savepoints");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let system = &cluster.transactions;
    let transaction = client.begin();
    let tag = LockTag::relation(Oid(5), Oid(16400));
    transaction.define_savepoint("a").expect("room");
    let xid_a = transaction.current_xid().expect("assigned");
    let top = transaction.xid_if_assigned().expect("assigned before its child");
    assert!(top.precedes(xid_a));
    assert_eq!(system.subtrans.parent(xid_a).expect("known"), Some(top));
    transaction.define_savepoint("b").expect("room");
    let xid_b = transaction.current_xid().expect("assigned");
    transaction.lock(tag, LockMode::Exclusive, WaitPolicy::Block).expect("free");
    assert_eq!(transaction.rollback_to_savepoint("b").expect("it is there").0, 1);
    assert!(!transaction.is_current(xid_b) && transaction.is_current(xid_a));
    assert!(!cluster.locks.holds(client.registration.backend().number, tag, LockMode::Exclusive));
    assert!(system.did_abort(xid_b).expect("known"));
    let error = transaction.release_savepoint("c").expect_err("there is none");
    assert_eq!(error.sqlstate(), SqlState::INVALID_SAVEPOINT_SPECIFICATION);
    assert_eq!(error.message(), "savepoint \"c\" does not exist");
    assert_eq!(transaction.release_savepoint("a").expect("it is there"), 2);
    assert!(transaction.is_current(xid_a), "released is still running");
    assert!(system.is_in_progress(xid_a).expect("known"));
    transaction.commit().expect("the disk works");
    for (xid, committed) in [(top, true), (xid_a, true), (xid_b, false)] {
        assert_eq!(system.did_commit(xid).expect("known"), committed, "{xid}");
    }
}

#[test]
fn more_subtransactions_than_are_listed_are_still_known() {
    let directory = Directory::new("overflow");
    let cluster = directory.create();
    let (client, other) = (Client::new(&cluster), Client::new(&cluster));
    let transaction = client.begin();
    let mut xids = Vec::new();
    for _ in 0..100 {
        transaction.begin_sub(None).expect("room");
        xids.push(transaction.current_xid().expect("assigned"));
        transaction.commit_sub();
    }
    let system = &cluster.transactions;
    // Somebody else ends a later transaction, so that the snapshot's xmax is past all of these.
    let later = other.begin();
    later.assign_xid().expect("assigned");
    later.commit().expect("the disk works");
    let reading = other.begin();
    let snapshot = reading.latest_snapshot();
    assert!(snapshot.running.overflowed);
    for xid in &xids {
        assert!(snapshot.xid_in_progress(&system.subtrans, *xid).expect("known"), "{xid}");
        assert!(system.is_in_progress(*xid).expect("known"), "{xid}");
    }
    transaction.commit().expect("the disk works");
    assert!(xids.iter().all(|xid| system.did_commit(*xid).expect("known")));
}

#[test]
fn commands_are_counted_only_if_they_change_something() {
    let directory = Directory::new("commands");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let transaction = client.begin();
    assert!(!transaction.advance_command().expect("room"));
    assert_eq!(transaction.use_command_id(), CommandId(0));
    assert!(transaction.advance_command().expect("room"));
    assert_eq!(transaction.snapshot().command_id, CommandId(1));
    let combo = transaction.combo_command_id(CommandId(0), CommandId(1));
    assert_eq!(transaction.combo_command_id(CommandId(0), CommandId(1)), combo);
    assert_eq!(transaction.resolve_combo(combo).expect("made here"), (CommandId(0), CommandId(1)));
    assert!(transaction.resolve_combo(CommandId(9)).is_err());
}

#[test]
fn files_follow_their_transaction() {
    let directory = Directory::new("files");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let exists = |number| cluster.storage.exists(relation(number), Fork::Main).expect("readable");
    let transaction = client.begin();
    transaction.create_storage(relation(20001), true).expect("created");
    transaction.begin_sub(None).expect("room");
    transaction.create_storage(relation(20002), true).expect("created");
    transaction.abort_sub();
    assert!(exists(20001) && !directory.path().join("base/5/20002_fsm").exists());
    transaction.commit().expect("the disk works");
    let dropping = client.begin();
    dropping.assign_xid().expect("assigned");
    dropping.drop_storage(relation(20001));
    drop(dropping);
    assert!(exists(20001), "an abort keeps it");
    let creating = client.begin();
    creating.create_storage(relation(20003), true).expect("created");
    creating.abort();
    let size = |number: u32| std::fs::metadata(directory.path().join(format!("base/5/{number}")));
    assert!(size(20003).map_or(true, |file| file.len() == 0));
}

#[test]
fn a_truncation_cuts_the_maps_too() {
    let directory = Directory::new("truncate");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let rel = relation(20001);
    let transaction = client.begin();
    transaction.create_storage(rel, true).expect("created");
    cluster.buffers.extend(rel, Fork::Main, 10, None).expect("room");
    let record_free = |block, space| {
        free_space_map::record_free_space(&cluster.buffers, rel, BlockNumber(block), space).expect("recorded")
    };
    record_free(2, 4000);
    record_free(8, 6000);
    let free_at = |block| {
        free_space_map::recorded_free_space(&cluster.buffers, rel, BlockNumber(block)).expect("readable")
    };
    assert!(free_at(2) > 0 && free_at(8) > 0);
    transaction.truncate_storage(rel, BlockNumber(5), true).expect("cut");
    assert_eq!(cluster.storage.blocks(rel, Fork::Main).expect("there"), 5);
    assert!(free_at(2) > 0 && free_at(8) == 0);
    transaction.commit().expect("the disk works");
}

#[test]
fn a_crash_replays_to_the_same_answers() {
    let directory = Directory::new("replay");
    let (mut committed, mut others) = (Vec::new(), Vec::new());
    let multi;
    {
        let cluster = directory.create();
        let client = Client::new(&cluster);
        for n in 0..200u32 {
            let transaction = client.begin();
            let xid = transaction.current_xid().expect("assigned");
            transaction.begin_sub(None).expect("room");
            let sub = transaction.current_xid().expect("assigned");
            if n % 3 == 0 {
                transaction.abort_sub();
                others.push(sub);
            } else {
                transaction.commit_sub();
            }
            if n % 5 == 0 {
                transaction.abort();
                others.extend([xid, sub]);
            } else {
                transaction.commit().expect("the disk works");
                committed.push(xid);
                committed.extend((n % 3 != 0).then_some(sub));
            }
        }
        let members = [
            MultiXactMember { xid: committed[0], status: MultiXactStatus::ForShare },
            MultiXactMember { xid: committed[1], status: MultiXactStatus::Update },
        ];
        let multixacts = &cluster.transactions.multixacts;
        multi = multixacts.create(Some(committed[0]), members[0], members[1]).expect("created");
        // Runs when the server dies.
        let running = client.begin();
        running.create_storage(relation(20009), true).expect("created");
        others.extend(running.xid_if_assigned());
        cluster.log_standby_snapshot();
        cluster.wal.flush(cluster.wal.insert_lsn()).expect("the disk works");
        // Nothing but the WAL has been written since the data directory was made.
        std::mem::forget(running);
    }
    let cluster = directory.replay(&[]);
    let system = &cluster.transactions;
    for xid in &committed {
        assert_eq!(system.status(*xid).expect("known"), TransactionStatus::Committed, "{xid}");
    }
    for xid in &others {
        assert_eq!(system.status(*xid).expect("known"), TransactionStatus::Aborted, "{xid}");
    }
    let client = Client::new(&cluster);
    let proc = client.registration.backend().number;
    let members = system.multixacts.members(proc, multi, false).expect("replayed");
    assert_eq!(members.len(), 2);
    assert_eq!(members[1], MultiXactMember { xid: committed[1], status: MultiXactStatus::Update });
    assert!(system.xids.next().xid().follows(*others.last().expect("some")));
}

#[test]
fn the_commit_log_on_disk_is_postgresqls() {
    let directory = Directory::new("clogfile");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    for commits in [true, false, true, true] {
        let transaction = client.begin();
        transaction.assign_xid().expect("assigned");
        if commits {
            transaction.commit().expect("the disk works");
        } else {
            transaction.abort();
        }
    }
    cluster.transactions.checkpoint().expect("the disk works");
    let bytes = std::fs::read(directory.path().join("pg_xact/0000")).expect("written");
    assert_eq!(bytes.len(), 8192);
    // 731 = 4 * 182 + 3: the highest bits of byte 182, then 183 from the lowest.
    assert_eq!(bytes[182..185], [0b0100_0000, 0b0001_0110, 0]);
    assert!(bytes[..182].iter().all(|byte| *byte == 0));
}

#[test]
fn multixacts_grow_and_forget() {
    let directory = Directory::new("multixact");
    let cluster = directory.create();
    let clients: Vec<Client> = (0..4).map(|_| Client::new(&cluster)).collect();
    let system = &cluster.transactions;
    let mut running: Vec<_> = clients.iter().map(Client::begin).collect();
    let xids: Vec<TransactionId> = running.iter().map(|t| t.assign_xid().expect("assigned")).collect();
    for transaction in &running {
        system.multixacts.set_oldest_member(transaction.proc());
    }
    let member = |n: usize, status| MultiXactMember { xid: xids[n], status };
    let share = MultiXactStatus::ForShare;
    let first = system.multixacts.create(None, member(0, share), member(1, share)).expect("created");
    assert_eq!(first, MultiXactId(1));
    let same = system.multixacts.create(None, member(1, share), member(0, share)).expect("found");
    assert_eq!(same, first, "the order of the members does not matter");
    let proc = running[2].proc();
    let expand = |multi, n, status| {
        system.multixacts.expand(system, proc, None, multi, member(n, status)).expect("created")
    };
    let second = expand(first, 2, share);
    assert_eq!(expand(second, 2, share), second, "a member already");
    running.remove(0).commit().expect("the disk works");
    let third = expand(second, 3, MultiXactStatus::NoKeyUpdate);
    let members = system.multixacts.members(proc, third, false).expect("readable");
    let left: Vec<TransactionId> = members.iter().map(|member| member.xid).collect();
    assert_eq!(left, [xids[1], xids[2], xids[3]], "a locker that has ended is left out");
    assert!(system.multixacts.is_running(system, proc, first, true).expect("readable"));
    let twice = vec![member(1, MultiXactStatus::Update), member(2, MultiXactStatus::NoKeyUpdate)];
    assert!(system.multixacts.create_from_members(None, twice).is_err(), "two updaters");
    assert_eq!(system.multixacts.oldest(), first);
    running.into_iter().for_each(|transaction| drop(transaction.abort()));
    assert_eq!(system.multixacts.oldest(), MultiXactId(4));
    system.checkpoint().expect("the disk works");
    let offsets = std::fs::read(directory.path().join("pg_multixact/offsets/0000")).expect("written");
    let words: Vec<u32> =
        offsets[..24].chunks(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    assert_eq!(words, [0, 1, 3, 6, 9, 0]);
    let members = std::fs::read(directory.path().join("pg_multixact/members/0000")).expect("written");
    assert_eq!(members[..8], [0, 1, 1, 1, 0, 0, 0, 0]);
    let error = system.multixacts.members(proc, MultiXactId(9), false).expect_err("not made");
    assert_eq!(error.message(), "MultiXactId 9 has not been created yet -- apparent wraparound");
}

#[test]
fn many_pages_pass_through_few_buffers() {
    let directory = Directory::new("eviction");
    let cluster = directory.create();
    let system = &cluster.transactions;
    // 2048 xids a page of pg_subtrans: a sparse walk over far more pages than there are buffers.
    let xids = || (0..100u32).map(|n| TransactionId(FIRST_XID + 5 + n * 2048 * 17));
    for xid in xids() {
        let page = u64::from(xid.0 / 2048);
        drop(system.subtrans.slru().zero_page(page).expect("room"));
        system.subtrans.set_parent(xid, xid.previous()).expect("written");
    }
    for xid in xids() {
        assert_eq!(system.subtrans.parent(xid).expect("read back"), Some(xid.previous()));
    }
    let counters = &system.subtrans.slru().counters;
    assert!(counters.blocks_written.load(Ordering::Relaxed) > 50);
    assert!(counters.blocks_read.load(Ordering::Relaxed) > 50);
    let missing = system.clog.status(TransactionId(5_000_000)).expect_err("no such file");
    assert_eq!(missing.message(), "could not access status of transaction 5000000");
    assert_eq!(
        missing.fields().detail.as_deref(),
        Some("Could not open file \"pg_xact/0004\": No such file or directory.")
    );
}

#[test]
fn invalidations_are_delivered_at_commit_only() {
    let directory = Directory::new("invalidations");
    let cluster = directory.create();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    cluster.install_invalidation_delivery(move |messages| {
        sink.lock().expect("no panic").extend_from_slice(messages);
    });
    let client = Client::new(&cluster);
    let message = |oid| Invalidation::Relation { database: Oid(5), relation: Oid(oid) };
    let done = Arc::new(AtomicUsize::new(0));
    let transaction = client.begin();
    transaction.assign_xid().expect("assigned");
    transaction.add_invalidation(message(1));
    transaction.begin_sub(None).expect("room");
    transaction.add_invalidation(message(2));
    assert_eq!(transaction.abort_sub(), [message(2)]);
    let counter = Arc::clone(&done);
    transaction.on_commit(move || counter.store(1, Ordering::SeqCst));
    assert!(seen.lock().expect("no panic").is_empty());
    transaction.commit().expect("the disk works");
    assert_eq!(*seen.lock().expect("no panic"), [message(1)]);
    assert_eq!(done.load(Ordering::SeqCst), 1);
}

#[test]
fn a_ticket_that_is_dropped_commits_all_the_same() {
    let directory = Directory::new("ticket");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let transaction = client.begin();
    let xid = transaction.assign_xid().expect("assigned");
    drop(transaction.prepare_commit().expect("nothing fails"));
    assert_eq!(cluster.transactions.status(xid).expect("known"), TransactionStatus::Committed);
    let lazy = client.begin();
    lazy.set_synchronous_commit(SynchronousCommit::Off);
    let xid = lazy.assign_xid().expect("assigned");
    let ticket = lazy.prepare_commit().expect("nothing fails");
    assert_eq!(ticket.lsn_to_flush(), None);
    let lsn = ticket.finish().lsn.expect("it wrote");
    assert_eq!(cluster.transactions.commit_lsn(xid).expect("known"), lsn, "hint bits must wait");
    cluster.wal.flush(lsn).expect("the disk works");
    assert!(!cluster.transactions.commit_lsn(xid).expect("known").is_valid());
}

#[test]
fn pg_waldump_reads_our_records() {
    let Ok(bin) = std::env::var("KOKKIRI_PG_BIN") else { return };
    let directory = Directory::new("waldump");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let transaction = client.begin();
    transaction.create_storage(relation(20001), true).expect("created");
    transaction.begin_sub(None).expect("room");
    transaction.current_xid().expect("assigned");
    transaction.commit_sub();
    transaction.drop_storage(relation(16385));
    transaction.add_invalidation(Invalidation::CatalogCache { cache: 54, database: Oid(5), hash: 7 });
    transaction.add_invalidation(Invalidation::Relation { database: Oid(5), relation: Oid(20001) });
    let item = DroppedStatistics { kind: 2, database: Oid(5), object: 16385 };
    transaction.drop_statistics_at_commit(item);
    cluster.log_standby_snapshot();
    cluster.transactions.new_oid();
    transaction.commit().expect("the disk works");
    client.begin().assign_xid().expect("assigned");
    let member = |xid, status| MultiXactMember { xid: TransactionId(xid), status };
    let (a, b) = (member(731, MultiXactStatus::ForShare), member(732, MultiXactStatus::Update));
    cluster.transactions.multixacts.create(Some(TransactionId(731)), a, b).expect("created");
    cluster.wal.flush(cluster.wal.insert_lsn()).expect("the disk works");
    let output = Command::new(format!("{bin}/pg_waldump"))
        .arg(directory.path().join("pg_wal/000000010000000000000001"))
        .output()
        .expect("pg_waldump runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for expected in [
        "desc: CREATE base/5/20001",
        "desc: RUNNING_XACTS nextXid 733 latestCompletedXid 730 oldestRunningXid 731; 1 xacts: 731; 1 subxacts: 732",
        "desc: NEXTOID 24576",
        "rels: base/5/16385; subxacts: 732; dropped stats: 2/5/16385; inval msgs: catcache 54 relcache 20001",
        "desc: ABORT",
        "desc: CREATE_ID 1 offset 1 nmembers 2: 731 (sh) 732 (upd)",
    ] {
        assert!(text.contains(expected), "missing {expected:?} in\n{text}\n{errors}");
    }
}

/// What sessions hand between tasks must be able to change threads.
#[test]
fn transactions_and_tickets_change_threads() {
    fn movable<T: Send + Sync>() {}
    fn sendable<T: Send>() {}
    movable::<kokkiri_transaction::Transaction>();
    movable::<kokkiri_transaction::SnapshotGuard>();
    movable::<kokkiri_transaction::Cluster>();
    sendable::<kokkiri_transaction::CommitTicket>();
}

/// Sessions transfer between two accounts, versioned by xid; every snapshot must see the same sum.
#[test]
fn snapshots_see_whole_transactions() {
    let directory = Directory::new("model");
    let cluster = directory.create();
    // One entry a transfer: its xid, and what it (and its subtransaction) added to which account.
    let history = Mutex::new(Vec::<(TransactionId, usize, i64)>::new());
    let finished = AtomicUsize::new(0);
    const WRITERS: usize = 4;
    std::thread::scope(|scope| {
        for seed in 0..WRITERS {
            let (cluster, history, finished) = (&cluster, &history, &finished);
            scope.spawn(move || {
                let client = Client::new(cluster);
                let _entered = client.registration.backend().enter();
                for n in 0..80 {
                    let transaction = client.begin();
                    let amount = (seed * 100 + n) as i64;
                    let xid = transaction.current_xid().expect("assigned");
                    history.lock().expect("no panic").push((xid, 0, -amount));
                    transaction.begin_sub(None).expect("room");
                    let sub = transaction.current_xid().expect("assigned");
                    history.lock().expect("no panic").push((sub, 1, amount));
                    transaction.commit_sub();
                    if n % 7 == seed {
                        transaction.abort();
                    } else {
                        transaction.commit().expect("the disk works");
                    }
                }
                finished.fetch_add(1, Ordering::SeqCst);
            });
        }
        let (cluster, history, finished) = (&cluster, &history, &finished);
        scope.spawn(move || {
            let client = Client::new(cluster);
            let system = &cluster.transactions;
            let mut looks = 0;
            while finished.load(Ordering::SeqCst) < WRITERS || looks == 0 {
                let transaction = client.begin();
                let snapshot = transaction.snapshot();
                let versions = history.lock().expect("no panic").clone();
                let mut sum = 0;
                for (xid, _, amount) in versions {
                    let running = snapshot.xid_in_progress(&system.subtrans, xid).expect("known");
                    if !running && system.did_commit(xid).expect("known") {
                        sum += amount;
                    }
                }
                assert_eq!(sum, 0, "half a transfer is visible");
                looks += 1;
            }
        });
    });
    assert_eq!(
        cluster.transactions.proc_array.oldest_considered_running(),
        cluster.transactions.xids.next().xid()
    );
}

/// Not a benchmark to compare with, but a bound: an idle crowd must not make snapshots expensive.
#[test]
fn a_short_transaction_is_cheap() {
    let directory = Directory::new("cheap");
    let cluster = directory.create();
    let idle: Vec<Client> = (0..60).map(|_| Client::new(&cluster)).collect();
    let client = &idle[59];
    let started = std::time::Instant::now();
    let rounds = 20_000;
    for _ in 0..rounds {
        let transaction = client.begin();
        transaction
            .lock(LockTag::relation(Oid(5), Oid(16400)), LockMode::AccessShare, WaitPolicy::Block)
            .expect("free");
        drop(transaction.snapshot());
        let ticket = transaction.prepare_commit().expect("nothing fails");
        ticket.finish();
    }
    let each = started.elapsed() / rounds;
    assert!(each < std::time::Duration::from_micros(50), "{each:?} for an empty transaction");
    println!("{each:?} for an empty transaction");
}
