//! Resource managers: who a record belongs to.
//!
//! Realises: `rmgrlist.h`. The number of a resource manager is on disk, in every record's header, so all
//! of PostgreSQL's are here whether or not their access method is built.

macro_rules! resource_managers {
    ($($variant:ident = $id:literal, $name:literal;)+) => {
        /// Owner of a record type, with PostgreSQL's number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RmgrId { $($variant = $id),+ }

        impl RmgrId {
            pub const ALL: &'static [RmgrId] = &[$(RmgrId::$variant),+];

            /// Name as pg_waldump and pg_get_wal_resource_managers print it.
            pub fn name(self) -> &'static str {
                match self { $(RmgrId::$variant => $name),+ }
            }
        }

        impl TryFrom<u8> for RmgrId {
            type Error = ();

            fn try_from(id: u8) -> Result<Self, ()> {
                match id { $($id => Ok(RmgrId::$variant),)+ _ => Err(()) }
            }
        }
    };
}

resource_managers! {
    Xlog = 0, "XLOG";
    Transaction = 1, "Transaction";
    Storage = 2, "Storage";
    Clog = 3, "CLOG";
    Database = 4, "Database";
    Tablespace = 5, "Tablespace";
    MultiXact = 6, "MultiXact";
    RelMap = 7, "RelMap";
    Standby = 8, "Standby";
    Heap2 = 9, "Heap2";
    Heap = 10, "Heap";
    Btree = 11, "Btree";
    Hash = 12, "Hash";
    Gin = 13, "Gin";
    Gist = 14, "Gist";
    Sequence = 15, "Sequence";
    SpGist = 16, "SPGist";
    Brin = 17, "BRIN";
    CommitTs = 18, "CommitTs";
    ReplicationOrigin = 19, "ReplicationOrigin";
    Generic = 20, "Generic";
    LogicalMessage = 21, "LogicalMessage";
}

impl RmgrId {
    /// Numbers that PostgreSQL leaves to extensions. Valid in a header, but nobody here can replay them.
    pub fn is_custom(id: u8) -> bool {
        id >= 128
    }
}
