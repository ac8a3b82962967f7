//! Heavyweight locks between threads: waiting, deadlocks, timeouts, fast path, waiting for rows.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kokkiri_primitives::activity::Interrupt;
use kokkiri_primitives::{Error, Oid, SqlState};
use kokkiri_transaction::lock::AdvisoryKey;
use kokkiri_transaction::testing::{Client, Directory};
use kokkiri_transaction::{
    Cluster, LockMode, LockOutcome, LockOwner, LockTag, Transaction, TransactionStatus, WaitPolicy,
};

fn table(n: u32) -> LockTag {
    LockTag::relation(Oid(5), Oid(16384 + n))
}

fn take(transaction: &Transaction, tag: LockTag, mode: LockMode) -> Result<LockOutcome, Error> {
    transaction.lock(tag, mode, WaitPolicy::Block)
}

/// Waits until the backend with that pid waits for a lock.
fn until_blocked(cluster: &Cluster, pid: i32) {
    while cluster.locks.blocking_pids(pid).is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// A session on its own thread that does what it is sent.
struct Session {
    pid: i32,
    steps: mpsc::Sender<(LockTag, LockMode)>,
    answers: mpsc::Receiver<Result<LockOutcome, Error>>,
    thread: thread::JoinHandle<()>,
}

impl Session {
    fn start(cluster: &Arc<Cluster>, deadlock_timeout_ms: u64) -> Self {
        let client = Client::new(cluster);
        cluster.locks.set_timeouts(client.registration.backend().number, deadlock_timeout_ms, 0);
        let pid = client.pid();
        let (steps, commands) = mpsc::channel::<(LockTag, LockMode)>();
        let (answer, answers) = mpsc::channel();
        let thread = thread::spawn(move || {
            let _entered = client.registration.backend().enter();
            let transaction = client.begin();
            for (tag, mode) in commands {
                let outcome = take(&transaction, tag, mode);
                let failed = outcome.is_err();
                answer.send(outcome).expect("the test listens");
                if failed {
                    break;
                }
            }
            transaction.abort();
        });
        Self { pid, steps, answers, thread }
    }

    fn ask(&self, tag: LockTag, mode: LockMode) {
        self.steps.send((tag, mode)).expect("the session lives");
    }

    fn answer(&self) -> Result<LockOutcome, Error> {
        self.answers.recv_timeout(Duration::from_secs(10)).expect("an answer in time")
    }

    fn has(&self, tag: LockTag, mode: LockMode) {
        self.ask(tag, mode);
        self.answer().expect("free");
    }

    fn end(self) {
        drop(self.steps);
        self.thread.join().expect("no panic");
    }
}

#[test]
fn a_cycle_ends_with_postgresqls_report() {
    let directory = Directory::new("deadlock");
    let cluster = directory.create();
    let (patient, victim) = (Session::start(&cluster, 60_000), Session::start(&cluster, 20));
    patient.has(table(1), LockMode::Exclusive);
    victim.has(table(2), LockMode::Exclusive);
    patient.ask(table(2), LockMode::Exclusive);
    until_blocked(&cluster, patient.pid);
    victim.ask(table(1), LockMode::Exclusive);
    let error = victim.answer().expect_err("a deadlock");
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    assert_eq!(error.message(), "deadlock detected");
    let (victim_pid, patient_pid) = (victim.pid, patient.pid);
    let expected = format!(
        "Process {victim_pid} waits for ExclusiveLock on relation 16385 of database 5; blocked by process {patient_pid}.\n\
         Process {patient_pid} waits for ExclusiveLock on relation 16386 of database 5; blocked by process {victim_pid}."
    );
    assert_eq!(error.fields().detail.as_deref(), Some(expected.as_str()));
    assert_eq!(error.fields().hint.as_deref(), Some("See server log for query details."));
    assert_eq!(patient.answer().expect("the victim has let go"), LockOutcome::Granted);
    victim.end();
    patient.end();
    assert!(cluster.locks.list().is_empty());
}

#[test]
fn a_soft_deadlock_is_undone_by_reordering() {
    let directory = Directory::new("soft");
    let cluster = directory.create();
    let (holder, exclusive, weak) =
        (Session::start(&cluster, 60_000), Session::start(&cluster, 60_000), Session::start(&cluster, 20));
    holder.has(table(1), LockMode::AccessShare);
    holder.has(table(3), LockMode::ShareUpdateExclusive);
    weak.has(table(2), LockMode::AccessExclusive);
    // Waits for `holder` on 1. `weak` will queue behind it there, though it conflicts with nobody who
    // holds 1; and `holder` will wait for `weak` on 2.
    exclusive.ask(table(1), LockMode::AccessExclusive);
    until_blocked(&cluster, exclusive.pid);
    holder.ask(table(2), LockMode::AccessShare);
    until_blocked(&cluster, holder.pid);
    weak.ask(table(1), LockMode::AccessShare);
    assert_eq!(weak.answer().expect("it goes first"), LockOutcome::Granted);
    weak.end();
    holder.answer().expect("free now");
    holder.end();
    exclusive.answer().expect("free now");
    exclusive.end();
}

#[test]
fn waiters_are_served_in_order() {
    let directory = Directory::new("order");
    let cluster = directory.create();
    let holder = Session::start(&cluster, 60_000);
    holder.has(table(1), LockMode::AccessShare);
    let writer = Session::start(&cluster, 60_000);
    writer.ask(table(1), LockMode::AccessExclusive);
    until_blocked(&cluster, writer.pid);
    let reader = Session::start(&cluster, 60_000);
    reader.ask(table(1), LockMode::AccessShare);
    until_blocked(&cluster, reader.pid);
    assert_eq!(cluster.locks.blocking_pids(reader.pid), [writer.pid]);
    assert_eq!(cluster.locks.blocking_pids(writer.pid), [holder.pid]);
    let waiting = cluster.locks.list().into_iter().filter(|lock| !lock.granted).count();
    assert_eq!(waiting, 2);
    holder.end();
    writer.answer().expect("its turn");
    assert!(reader.answers.recv_timeout(Duration::from_millis(50)).is_err(), "the writer holds it");
    writer.end();
    reader.answer().expect("its turn");
    reader.end();
}

#[test]
fn weak_locks_take_the_fast_path_until_a_strong_one_comes() {
    let directory = Directory::new("fastpath");
    let cluster = directory.create();
    let (reader, writer) = (Client::new(&cluster), Client::new(&cluster));
    let reading = reader.begin();
    take(&reading, table(1), LockMode::AccessShare).expect("free");
    let of_table = |fast: bool| {
        cluster.locks.list().iter().filter(|lock| lock.tag == table(1) && lock.fast_path == fast).count()
    };
    assert_eq!((of_table(true), of_table(false)), (1, 0));
    let writing = writer.begin();
    let not_now = writing.lock(table(1), LockMode::AccessExclusive, WaitPolicy::NoWait);
    assert_eq!(not_now.expect("no wait, no error"), LockOutcome::NotAvailable);
    assert_eq!((of_table(true), of_table(false)), (0, 1), "moved to the shared table");
    assert!(reading.unlock(table(1), LockMode::AccessShare));
    assert!(!reading.unlock(table(1), LockMode::AccessShare));
    let now = writing.lock(table(1), LockMode::AccessExclusive, WaitPolicy::NoWait);
    assert_eq!(now.expect("free"), LockOutcome::Granted);
    let blocked = reading.lock(table(1), LockMode::AccessShare, WaitPolicy::Skip);
    assert_eq!(blocked.expect("no wait, no error"), LockOutcome::NotAvailable);
    writing.abort();
    take(&reading, table(1), LockMode::AccessShare).expect("free");
    assert_eq!((of_table(true), of_table(false)), (1, 0), "the fast path is open again");
}

#[test]
fn waits_end_by_timeout_and_by_cancel() {
    let directory = Directory::new("timeout");
    let cluster = directory.create();
    let (holder, waiter) = (Client::new(&cluster), Client::new(&cluster));
    let holding = holder.begin();
    take(&holding, table(1), LockMode::Exclusive).expect("free");
    let number = waiter.registration.backend().number;
    cluster.locks.set_timeouts(number, 60_000, 20);
    let backend = Arc::clone(waiter.registration.backend());
    thread::scope(|scope| {
        scope.spawn(|| {
            let _entered = waiter.registration.backend().enter();
            let waiting = waiter.begin();
            let error = take(&waiting, table(1), LockMode::Share).expect_err("held");
            assert_eq!(error.sqlstate(), SqlState::LOCK_NOT_AVAILABLE);
            assert_eq!(error.message(), "canceling statement due to lock timeout");
            cluster.locks.set_timeouts(number, 60_000, 0);
            let error = take(&waiting, table(1), LockMode::Share).expect_err("cancelled");
            assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED);
            assert_eq!(cluster.locks.blocking_pids(waiter.pid()), [0; 0], "it has left the queue");
        });
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(60));
            until_blocked(&cluster, backend.pid);
            backend.interrupt(Interrupt::Cancel);
        });
    });
    holding.abort();
}

#[test]
fn a_row_wait_lasts_until_the_other_transaction_ends() {
    let directory = Directory::new("rowwait");
    let cluster = directory.create();
    let (writer, waiter) = (Client::new(&cluster), Client::new(&cluster));
    let writing = writer.begin();
    let top = writing.assign_xid().expect("assigned");
    writing.begin_sub(None).expect("room");
    let sub = writing.current_xid().expect("assigned");
    writing.commit_sub();
    let waiter_pid = waiter.pid();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let _entered = waiter.registration.backend().enter();
            let waiting = waiter.begin();
            let not_now = waiting.wait_for_transaction(sub, WaitPolicy::NoWait);
            assert_eq!(not_now.expect("no wait"), LockOutcome::NotAvailable);
            waiting.wait_for_transaction(sub, WaitPolicy::Block).expect("it ends");
            (waiting.status(sub).expect("known"), waiting.status(top).expect("known"))
        });
        until_blocked(&cluster, waiter_pid);
        let row = cluster.locks.list().into_iter().find(|lock| !lock.granted).expect("it waits");
        assert_eq!((row.tag, row.mode), (LockTag::Transaction(sub), LockMode::Share));
        writing.commit().expect("the disk works");
        let committed = TransactionStatus::Committed;
        assert_eq!(waits.join().expect("no panic"), (committed, committed));
    });
    assert!(cluster.locks.list().is_empty());
}

#[test]
fn advisory_locks_outlive_transactions_and_are_counted() {
    let directory = Directory::new("advisory");
    let cluster = directory.create();
    let client = Client::new(&cluster);
    let proc = client.registration.backend().number;
    let tag = LockTag::Advisory { database: Oid(5), key: AdvisoryKey::Single(0x1_0000_0002) };
    let (session, mode) = (LockOwner::Session, LockMode::Exclusive);
    let fields = tag.fields();
    assert_eq!((fields.field2, fields.field3, fields.field4), (1, 2, 1));
    let acquire = || cluster.locks.acquire(proc, session, tag, mode, WaitPolicy::Block).expect("free");
    assert_eq!(acquire(), LockOutcome::Granted);
    assert_eq!(acquire(), LockOutcome::AlreadyHeld);
    let transaction = client.begin();
    assert_eq!(take(&transaction, tag, mode).expect("own"), LockOutcome::AlreadyHeld);
    transaction.commit().expect("nothing to do");
    assert!(cluster.locks.release(proc, session, tag, mode));
    assert!(cluster.locks.holds(proc, tag, mode));
    assert!(cluster.locks.release(proc, session, tag, mode));
    assert!(!cluster.locks.release(proc, session, tag, mode), "not held any more");
    acquire();
    cluster.locks.release_session_advisory(proc);
    assert!(cluster.locks.list().is_empty());
}

#[test]
fn many_threads_keep_locks_exclusive() {
    let directory = Directory::new("stress");
    let cluster = directory.create();
    let counter = std::sync::Mutex::new(0u32);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let client = Client::new(&cluster);
                let _entered = client.registration.backend().enter();
                for round in 0..60 {
                    let transaction = client.begin();
                    let weak = if round % 2 == 0 { LockMode::AccessShare } else { LockMode::RowExclusive };
                    take(&transaction, table(9), weak).expect("granted in turn");
                    transaction.abort();
                    let transaction = client.begin();
                    take(&transaction, table(9), LockMode::AccessExclusive).expect("granted in turn");
                    let mut held = counter.try_lock().expect("nobody else is inside");
                    *held += 1;
                    drop(held);
                    transaction.assign_xid().expect("assigned");
                    transaction.commit().expect("the disk works");
                }
            });
        }
    });
    assert_eq!(counter.into_inner().expect("no panic"), 360);
    assert!(cluster.locks.list().is_empty());
}
