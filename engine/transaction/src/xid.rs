//! Handing out transaction ids and object ids.
//!
//! Realises: varsup.c: `GetNewTransactionId`, `SetTransactionIdLimit`, `GetNewObjectId`.
//!
//! Xids wrap, so the oldest one that any table may still contain limits the next one. On the way to the
//! limit vacuum is urged, then clients are warned, then xids are refused while there is still room for an
//! administrator.
//!
//! ```text
//!  oldest                      vacuum            warn (-40M)   stop (-3M)   wrap = oldest + 2^31
//!  --+---------------------------+-------------------+------------+----------+--->
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kokkiri_primitives::{Error, FullTransactionId, Oid, Result, Severity, SqlState, TransactionId, error};
use parking_lot::Mutex;

/// Object ids logged ahead: `VAR_OID_PREFETCH`.
pub const OID_PREFETCH: u32 = 8192;

const LIMIT_HINT: &str = "Execute a database-wide VACUUM in that database.\nYou might also need to commit or \
                          roll back old prepared transactions, or drop stale replication slots.";
const WARNING_HINT: &str = "To avoid XID assignment failures, execute a database-wide VACUUM in that \
                            database.\nYou might also need to commit or roll back old prepared \
                            transactions, or drop stale replication slots.";

/// How far xids may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XidLimits {
    /// Minimum of `datfrozenxid` of all databases, and which database has it.
    pub oldest: TransactionId,
    pub oldest_database: Oid,
    pub vacuum: TransactionId,
    pub warn: TransactionId,
    pub stop: TransactionId,
    pub wrap: TransactionId,
}

impl XidLimits {
    /// The limits that follow from the oldest xid. `freeze_max_age` is autovacuum's.
    pub fn new(oldest: TransactionId, oldest_database: Oid, freeze_max_age: u32) -> Self {
        let first = TransactionId::FIRST_NORMAL.0;
        let ahead = |distance: u32| {
            let xid = oldest.0.wrapping_add(distance);
            TransactionId(if xid < first { xid + first } else { xid })
        };
        let wrap = ahead(u32::MAX >> 1);
        let before_wrap = |distance: u32| {
            let xid = wrap.0.wrapping_sub(distance);
            TransactionId(if xid < first { xid.wrapping_sub(first) } else { xid })
        };
        Self {
            oldest,
            oldest_database,
            vacuum: ahead(freeze_max_age),
            warn: before_wrap(40_000_000),
            stop: before_wrap(3_000_000),
            wrap,
        }
    }
}

/// The xid counter. Its mutex is PostgreSQL's `XidGenLock`.
pub struct XidGenerator {
    state: Mutex<XidLimits>,
    /// Changed only under the mutex.
    next: AtomicU64,
    /// Vacuum is urgently needed somewhere.
    vacuum_wanted: AtomicBool,
}

impl XidGenerator {
    pub fn new(next: FullTransactionId, limits: XidLimits) -> Self {
        Self {
            state: Mutex::new(limits),
            next: AtomicU64::new(next.0),
            vacuum_wanted: AtomicBool::new(false),
        }
    }

    pub fn next(&self) -> FullTransactionId {
        FullTransactionId(self.next.load(Ordering::Acquire))
    }

    pub fn limits(&self) -> XidLimits {
        *self.state.lock()
    }

    /// Sets new limits; a warning if the next xid is near the wrap. `SetTransactionIdLimit`.
    pub fn set_limits(&self, limits: XidLimits) -> Option<Error> {
        let mut state = self.state.lock();
        *state = limits;
        let xid = self.next().xid();
        drop(state);
        if xid.follows_or_equals(limits.vacuum) {
            self.vacuum_wanted.store(true, Ordering::Relaxed);
        }
        xid.follows_or_equals(limits.warn).then(|| warning(&limits, xid))
    }

    /// True, once, if xids are running out and autovacuum should start at once.
    pub fn take_vacuum_wanted(&self) -> bool {
        self.vacuum_wanted.swap(false, Ordering::Relaxed)
    }

    /// Hands out the next xid. Under the mutex `prepare` first makes room for it in the SLRUs, and may
    /// fail; then `publish` puts it into the process array. A warning may come with the xid.
    ///
    /// # Errors
    /// 54000 once too few xids remain, and what `prepare` reports.
    pub fn allocate(
        &self,
        prepare: impl FnOnce(TransactionId) -> Result<()>,
        publish: impl FnOnce(TransactionId),
    ) -> Result<(FullTransactionId, Option<Error>)> {
        let state = self.state.lock();
        let full = self.next();
        let xid = full.xid();
        let mut warned = None;
        if xid.follows_or_equals(state.vacuum) {
            if xid.0.is_multiple_of(65536) {
                self.vacuum_wanted.store(true, Ordering::Relaxed);
            }
            if xid.follows_or_equals(state.stop) {
                self.vacuum_wanted.store(true, Ordering::Relaxed);
                return Err(error!(
                    PROGRAM_LIMIT_EXCEEDED,
                    "database is not accepting commands that assign new transaction IDs to avoid wraparound \
                     data loss in database with OID {}",
                    state.oldest_database
                )
                .hint(LIMIT_HINT));
            }
            warned = xid.follows_or_equals(state.warn).then(|| warning(&state, xid));
        }
        prepare(xid)?;
        // Published before the counter moves on: whoever sees a later xid ended sees this one running.
        publish(xid);
        self.next.store(full.next().0, Ordering::Release);
        Ok((full, warned))
    }

    /// Moves the counter past an xid met during replay. `AdvanceNextFullTransactionIdPastXid`.
    pub fn advance_past(&self, xid: TransactionId) {
        let _state = self.state.lock();
        let next = self.next();
        if xid.is_normal() && !xid.precedes(next.xid()) {
            let distance = u64::from(xid.0.wrapping_sub(next.xid().0));
            self.next.store(FullTransactionId(next.0 + distance).next().0, Ordering::Release);
        }
    }

    /// Sets the counter, as a checkpoint record met during replay says.
    pub fn set_next(&self, next: FullTransactionId) {
        let _state = self.state.lock();
        self.next.store(next.0, Ordering::Release);
    }

    /// Runs `look` while no xid is being handed out.
    pub(crate) fn frozen<T>(&self, look: impl FnOnce(FullTransactionId) -> T) -> T {
        let _state = self.state.lock();
        look(self.next())
    }
}

fn warning(limits: &XidLimits, xid: TransactionId) -> Error {
    let message = format!(
        "database with OID {} must be vacuumed within {} transactions",
        limits.oldest_database,
        limits.wrap.0.wrapping_sub(xid.0)
    );
    Error::report(Severity::Warning, SqlState::WARNING, message).hint(WARNING_HINT)
}

/// The oid counter. Its mutex is PostgreSQL's `OidGenLock`.
pub struct OidGenerator(Mutex<OidState>);

#[derive(Clone, Copy, Debug)]
struct OidState {
    next: Oid,
    /// How many may still be used before more must be logged.
    logged: u32,
    /// The initial catalogs are being made: oids below the first normal one are handed out.
    bootstrap: bool,
}

impl OidGenerator {
    pub fn new(next: Oid) -> Self {
        Self(Mutex::new(OidState { next, logged: 0, bootstrap: false }))
    }

    /// While the initial catalogs are being made.
    pub fn set_bootstrap(&self, bootstrap: bool) {
        self.0.lock().bootstrap = bootstrap;
    }

    /// The next oid. `log` writes to the WAL that all before the given one may be used.
    pub fn allocate(&self, log: impl FnOnce(Oid)) -> Oid {
        let mut state = self.0.lock();
        let lowest = if state.bootstrap { Oid::FIRST_UNPINNED } else { Oid::FIRST_NORMAL };
        if state.next < lowest {
            *state = OidState { next: Oid::FIRST_NORMAL.min(lowest), logged: 0, ..*state };
        }
        if state.logged == 0 {
            log(Oid(state.next.0.wrapping_add(OID_PREFETCH)));
            state.logged = OID_PREFETCH;
        }
        let oid = state.next;
        state.next.0 = state.next.0.wrapping_add(1);
        state.logged -= 1;
        oid
    }

    /// The counter as a checkpoint records it: at a shutdown what is really next, otherwise with what has
    /// been logged ahead.
    pub fn for_checkpoint(&self, shutdown: bool) -> Oid {
        let state = self.0.lock();
        if shutdown { state.next } else { Oid(state.next.0.wrapping_add(state.logged)) }
    }

    /// Sets the counter, as a record met during replay says.
    pub fn set_next(&self, next: Oid) {
        let mut state = self.0.lock();
        *state = OidState { next, logged: 0, ..*state };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: u32 = 200_000_000;

    #[test]
    fn limits_are_postgresqls() {
        let limits = XidLimits::new(TransactionId(731), Oid(1), AGE);
        assert_eq!(limits.wrap, TransactionId(2_147_484_378));
        assert_eq!(limits.stop, TransactionId(2_144_484_378));
        assert_eq!(limits.warn, TransactionId(2_107_484_378));
        assert_eq!(limits.vacuum, TransactionId(200_000_731));
        let wrapped = XidLimits::new(TransactionId(0x8000_0001), Oid(1), AGE);
        assert_eq!(wrapped.wrap, TransactionId(3), "the permanent ids are skipped");
    }

    #[test]
    fn xids_wrap_warn_and_stop() {
        let limits = XidLimits::new(TransactionId(u32::MAX - 10), Oid(5), AGE);
        let xids = XidGenerator::new(FullTransactionId(0xFFFF_FFFF), limits);
        let (last, _) = xids.allocate(|_| Ok(()), |_| ()).expect("there is room");
        assert_eq!(last.0, 0xFFFF_FFFF);
        let (first, _) = xids.allocate(|_| Ok(()), |_| ()).expect("there is room");
        assert_eq!((first.epoch(), first.xid()), (1, TransactionId::FIRST_NORMAL));

        let warns = XidGenerator::new(FullTransactionId::new(1, limits.warn), limits);
        let (_, warned) = warns.allocate(|_| Ok(()), |_| ()).expect("only a warning");
        let text = warned.expect("near the wrap").message().to_owned();
        assert_eq!(text, "database with OID 5 must be vacuumed within 40000000 transactions");
        let stops = XidGenerator::new(FullTransactionId::new(1, limits.stop), limits);
        let error = stops.allocate(|_| Ok(()), |_| ()).expect_err("too late");
        assert_eq!(error.sqlstate(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        assert!(stops.take_vacuum_wanted() && !stops.take_vacuum_wanted());
    }

    #[test]
    fn replay_moves_the_counter_forward_only() {
        let xids = XidGenerator::new(FullTransactionId(800), XidLimits::new(TransactionId(731), Oid(1), AGE));
        xids.advance_past(TransactionId(799));
        assert_eq!(xids.next(), FullTransactionId(800));
        xids.advance_past(TransactionId(900));
        assert_eq!(xids.next(), FullTransactionId(901));
    }

    #[test]
    fn oids_are_logged_ahead() {
        let oids = OidGenerator::new(Oid(16384));
        let mut logged = Vec::new();
        for n in 0..=OID_PREFETCH {
            assert_eq!(oids.allocate(|oid| logged.push(oid)), Oid(16384 + n));
        }
        assert_eq!(logged, [Oid(24576), Oid(32768)]);
        assert_eq!(oids.for_checkpoint(true), Oid(24577));
        assert_eq!(oids.for_checkpoint(false), Oid(32768));
        let wrapped = OidGenerator::new(Oid(u32::MAX));
        assert_eq!(wrapped.allocate(|_| ()), Oid(u32::MAX));
        assert_eq!(wrapped.allocate(|_| ()), Oid::FIRST_NORMAL);
    }
}
