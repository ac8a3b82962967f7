//! What a heavyweight lock is on.
//!
//! Realises: `LOCKTAG`. The text of [`LockTag`] is what PostgreSQL's deadlock report and lock wait
//! context print; [`LockTag::wait_event`] is pg_stat_activity's wait event of type Lock.

use std::fmt;

use kokkiri_primitives::activity::WaitEvent;
use kokkiri_primitives::{BlockNumber, ItemPointer, Oid, ProcNumber, TransactionId};

/// Identity of a transaction that may have no xid: the backend's slot and its count of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualTransactionId {
    pub proc: ProcNumber,
    pub local: u32,
}

impl fmt::Display for VirtualTransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.proc, self.local)
    }
}

/// The three forms of an advisory lock's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdvisoryKey {
    /// One bigint.
    Single(i64),
    /// Two integers.
    Pair(i32, i32),
}

/// An object that can be locked. The database is zero for shared objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockTag {
    Relation {
        database: Oid,
        relation: Oid,
    },
    /// The right to extend a relation.
    RelationExtend {
        database: Oid,
        relation: Oid,
    },
    /// The right to update `pg_database.datfrozenxid`.
    DatabaseFrozenIds {
        database: Oid,
    },
    Page {
        database: Oid,
        relation: Oid,
        block: BlockNumber,
    },
    Tuple {
        database: Oid,
        relation: Oid,
        tid: ItemPointer,
    },
    /// A running transaction; held until it ends.
    Transaction(TransactionId),
    VirtualTransaction(VirtualTransactionId),
    /// A speculative insertion (ON CONFLICT).
    SpeculativeToken {
        xid: TransactionId,
        token: u32,
    },
    Object {
        database: Oid,
        class: Oid,
        object: Oid,
        sub_object: u16,
    },
    Advisory {
        database: Oid,
        key: AdvisoryKey,
    },
}

macro_rules! events {
    ($($static:ident = $name:literal),+ $(,)?) => {
        $(static $static: WaitEvent = WaitEvent::new("Lock", $name);)+
    };
}

events! {
    RELATION = "relation",
    EXTEND = "extend",
    FROZEN_IDS = "frozenid",
    PAGE = "page",
    TUPLE = "tuple",
    TRANSACTION_ID = "transactionid",
    VIRTUAL_XID = "virtualxid",
    SPECULATIVE_TOKEN = "spectoken",
    OBJECT = "object",
    ADVISORY = "advisory",
}

/// A tag as pg_locks' columns show it: PostgreSQL's four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockTagFields {
    pub field1: u32,
    pub field2: u32,
    pub field3: u32,
    pub field4: u16,
}

impl LockTag {
    pub fn relation(database: Oid, relation: Oid) -> Self {
        Self::Relation { database, relation }
    }

    /// The wait event shown while waiting for a lock on this; its name is pg_locks' `locktype`.
    pub fn wait_event(&self) -> &'static WaitEvent {
        match self {
            Self::Relation { .. } => &RELATION,
            Self::RelationExtend { .. } => &EXTEND,
            Self::DatabaseFrozenIds { .. } => &FROZEN_IDS,
            Self::Page { .. } => &PAGE,
            Self::Tuple { .. } => &TUPLE,
            Self::Transaction(_) => &TRANSACTION_ID,
            Self::VirtualTransaction(_) => &VIRTUAL_XID,
            Self::SpeculativeToken { .. } => &SPECULATIVE_TOKEN,
            Self::Object { .. } => &OBJECT,
            Self::Advisory { .. } => &ADVISORY,
        }
    }

    /// PostgreSQL's four fields of the tag.
    pub fn fields(&self) -> LockTagFields {
        let (field1, field2, field3, field4) = match *self {
            Self::Relation { database, relation } | Self::RelationExtend { database, relation } => {
                (database.0, relation.0, 0, 0)
            }
            Self::DatabaseFrozenIds { database } => (database.0, 0, 0, 0),
            Self::Page { database, relation, block } => (database.0, relation.0, block.0, 0),
            Self::Tuple { database, relation, tid } => (database.0, relation.0, tid.block.0, tid.offset.0),
            Self::Transaction(xid) => (xid.0, 0, 0, 0),
            Self::VirtualTransaction(vxid) => (vxid.proc.0, vxid.local, 0, 0),
            Self::SpeculativeToken { xid, token } => (xid.0, token, 0, 0),
            Self::Object { database, class, object, sub_object } => {
                (database.0, class.0, object.0, sub_object)
            }
            Self::Advisory { database, key: AdvisoryKey::Single(key) } => {
                (database.0, (key >> 32) as u32, key as u32, 1)
            }
            Self::Advisory { database, key: AdvisoryKey::Pair(first, second) } => {
                (database.0, first as u32, second as u32, 2)
            }
        };
        LockTagFields { field1, field2, field3, field4 }
    }

    /// The database of a relation lock in one: what the fast path can hold.
    pub(super) fn fast_path_relation(&self) -> Option<(Oid, Oid)> {
        match *self {
            Self::Relation { database, relation } if database.is_valid() => Some((database, relation)),
            _ => None,
        }
    }
}

impl fmt::Display for LockTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Relation { database, relation } => {
                write!(f, "relation {relation} of database {database}")
            }
            Self::RelationExtend { database, relation } => {
                write!(f, "extension of relation {relation} of database {database}")
            }
            Self::DatabaseFrozenIds { database } => {
                write!(f, "pg_database.datfrozenxid of database {database}")
            }
            Self::Page { database, relation, block } => {
                write!(f, "page {block} of relation {relation} of database {database}")
            }
            Self::Tuple { database, relation, tid } => {
                write!(f, "tuple {tid} of relation {relation} of database {database}")
            }
            Self::Transaction(xid) => write!(f, "transaction {xid}"),
            Self::VirtualTransaction(vxid) => write!(f, "virtual transaction {vxid}"),
            Self::SpeculativeToken { xid, token } => {
                write!(f, "speculative token {token} of transaction {xid}")
            }
            Self::Object { database, class, object, .. } => {
                write!(f, "object {object} of class {class} of database {database}")
            }
            Self::Advisory { .. } => {
                let fields = self.fields();
                write!(
                    f,
                    "advisory lock [{},{},{},{}]",
                    fields.field1, fields.field2, fields.field3, fields.field4
                )
            }
        }
    }
}
