//! What the cache hands out: catalog rows put together into the things that SQL names.
//!
//! An entry is immutable and shared. Names of fields follow the catalogs' columns without their
//! prefixes; letters are enums; zero oids are `None` where "none" is a case that code must handle.
//! Columns of type pg_node_tree hold the analyzed tree as serialised by the analyzer; the catalog does
//! not look into them.

use std::sync::Arc;

use kokkiri_access::relation::Relation;
use kokkiri_primitives::{Oid, TransactionId};
use kokkiri_types::{Align, AttributeStorage, PhysicalType, Value};

use crate::privilege::Acl;

macro_rules! letters {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $letter:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The catalog's letter.
            pub fn code(self) -> u8 {
                match self { $($name::$variant => $letter),+ }
            }
        }

        impl TryFrom<u8> for $name {
            type Error = kokkiri_primitives::Error;

            fn try_from(code: u8) -> Result<Self, Self::Error> {
                match code {
                    $($letter => Ok($name::$variant),)+
                    other => Err(kokkiri_primitives::Error::data_corrupted(format!(
                        concat!("invalid ", stringify!($name), " \"{}\" in a system catalog"),
                        other.escape_ascii()
                    ))),
                }
            }
        }
    };
}

letters!(
    /// pg_type.typtype.
    TypeKind { Base = b'b', Composite = b'c', Domain = b'd', Enum = b'e', Multirange = b'm', Pseudo = b'p', Range = b'r' }
);
letters!(
    /// pg_proc.prokind.
    FunctionKind { Function = b'f', Procedure = b'p', Aggregate = b'a', Window = b'w' }
);
letters!(
    /// pg_proc.provolatile.
    Volatility { Immutable = b'i', Stable = b's', Volatile = b'v' }
);
letters!(
    /// pg_proc.proargmodes' elements.
    ArgumentMode { In = b'i', Out = b'o', InOut = b'b', Variadic = b'v', Table = b't' }
);
letters!(
    /// pg_cast.castcontext.
    CastContext { Explicit = b'e', Assignment = b'a', Implicit = b'i' }
);
letters!(
    /// pg_cast.castmethod.
    CastMethod { Function = b'f', InOut = b'i', Binary = b'b' }
);
letters!(
    /// pg_aggregate.aggkind.
    AggregateKind { Normal = b'n', OrderedSet = b'o', Hypothetical = b'h' }
);
letters!(
    /// pg_constraint.contype.
    ConstraintKind { Check = b'c', Foreign = b'f', NotNull = b'n', Primary = b'p', Unique = b'u', Trigger = b't', Exclusion = b'x' }
);
letters!(
    /// pg_constraint.confupdtype and confdeltype.
    ForeignKeyAction { NoAction = b'a', Restrict = b'r', Cascade = b'c', SetNull = b'n', SetDefault = b'd' }
);
letters!(
    /// pg_constraint.confmatchtype.
    ForeignKeyMatch { Full = b'f', Partial = b'p', Simple = b's' }
);

/// A row of pg_type.
#[derive(Clone, Debug)]
pub struct TypeEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    pub owner: Oid,
    pub length: i16,
    pub by_value: bool,
    pub kind: TypeKind,
    /// `typcategory`: N, S, D, ... as PostgreSQL's resolution rules use it.
    pub category: u8,
    pub preferred: bool,
    pub defined: bool,
    pub delimiter: u8,
    /// The relation of a composite type.
    pub relation: Option<Oid>,
    /// Subscripting handler; the element type is that of a true array only if this is the array handler.
    pub subscript: Option<Oid>,
    pub element: Option<Oid>,
    pub array: Option<Oid>,
    pub input: Oid,
    pub output: Oid,
    pub receive: Option<Oid>,
    pub send: Option<Oid>,
    pub typmod_in: Option<Oid>,
    pub typmod_out: Option<Oid>,
    pub align: Align,
    pub storage: AttributeStorage,
    pub physical: PhysicalType,
    pub not_null: bool,
    /// What a domain is over.
    pub base_type: Option<Oid>,
    pub typmod: i32,
    pub collation: Oid,
    /// A domain's default: serialised expression and its text.
    pub default_bin: Option<Arc<str>>,
    pub default: Option<Arc<str>>,
    pub acl: Option<Acl>,
}

impl TypeEntry {
    /// The element type if this is an array in SQL's sense (not a fixed-length vector type).
    pub fn array_element(&self) -> Option<Oid> {
        /// `array_subscript_handler`.
        const ARRAY_SUBSCRIPT: Oid = Oid(6179);
        self.element.filter(|_| self.subscript == Some(ARRAY_SUBSCRIPT))
    }
}

/// One declared argument of a function, in declaration order, outputs included.
#[derive(Clone, Debug)]
pub struct Argument {
    pub type_oid: Oid,
    pub mode: ArgumentMode,
    pub name: Option<Arc<str>>,
}

/// A row of pg_proc.
#[derive(Clone, Debug)]
pub struct FunctionEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    pub owner: Oid,
    pub language: Oid,
    pub cost: f32,
    pub rows: f32,
    /// Element type of a trailing VARIADIC argument.
    pub variadic: Option<Oid>,
    pub support: Option<Oid>,
    pub kind: FunctionKind,
    pub security_definer: bool,
    pub leakproof: bool,
    pub strict: bool,
    pub returns_set: bool,
    pub volatility: Volatility,
    /// `s`, `r` or `u`.
    pub parallel: u8,
    /// How many trailing input arguments have defaults.
    pub default_count: usize,
    /// Serialised default expressions, one text for all.
    pub defaults: Option<Arc<str>>,
    pub returns: Oid,
    /// Types of the input arguments.
    pub arguments: Box<[Oid]>,
    /// All arguments with modes and names; the inputs alone where nothing more was declared.
    pub declared: Box<[Argument]>,
    pub source: Arc<str>,
    pub config: Option<Box<[Arc<str>]>>,
    pub acl: Option<Acl>,
}

/// A row of pg_operator.
#[derive(Clone, Debug)]
pub struct OperatorEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    pub owner: Oid,
    /// `None` for a prefix operator.
    pub left: Option<Oid>,
    pub right: Oid,
    pub result: Oid,
    pub commutator: Option<Oid>,
    pub negator: Option<Oid>,
    /// The function that computes it.
    pub function: Oid,
    /// Selectivity estimators.
    pub restrict: Option<Oid>,
    pub join: Option<Oid>,
    pub can_merge: bool,
    pub can_hash: bool,
}

/// A row of pg_cast.
#[derive(Clone, Copy, Debug)]
pub struct CastEntry {
    pub oid: Oid,
    pub source: Oid,
    pub target: Oid,
    pub function: Option<Oid>,
    pub context: CastContext,
    pub method: CastMethod,
}

/// A row of pg_aggregate.
#[derive(Clone, Debug)]
pub struct AggregateEntry {
    pub function: Oid,
    pub kind: AggregateKind,
    pub direct_arguments: i16,
    pub transition: Oid,
    pub finale: Option<Oid>,
    pub combine: Option<Oid>,
    pub final_extra: bool,
    /// The operator whose sort order makes the aggregate the first row (min, max).
    pub sort_operator: Option<Oid>,
    pub transition_type: Oid,
    pub transition_space: i32,
    pub initial: Option<Arc<str>>,
    pub moving_transition: Option<Oid>,
}

/// A row of pg_opclass.
#[derive(Clone, Debug)]
pub struct OpclassEntry {
    pub oid: Oid,
    pub method: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    pub family: Oid,
    pub input_type: Oid,
    pub is_default: bool,
    pub key_type: Option<Oid>,
}

/// A row of pg_amop.
#[derive(Clone, Copy, Debug)]
pub struct AmopEntry {
    pub family: Oid,
    pub left: Oid,
    pub right: Oid,
    pub strategy: i16,
    /// `s` search or `o` ordering.
    pub purpose: u8,
    pub operator: Oid,
    pub method: Oid,
}

/// A constraint of a relation: a row of pg_constraint.
#[derive(Clone, Debug)]
pub struct ConstraintEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    pub kind: ConstraintKind,
    pub deferrable: bool,
    pub deferred: bool,
    pub enforced: bool,
    pub validated: bool,
    pub relation: Oid,
    pub index: Option<Oid>,
    /// Constrained attributes.
    pub key: Box<[i16]>,
    /// The other side of a foreign key.
    pub foreign: Option<ForeignKey>,
    /// Serialised expression of a check constraint.
    pub check: Option<Arc<str>>,
    pub is_local: bool,
    pub inherit_count: i16,
    pub no_inherit: bool,
}

/// The other side of a foreign key and what it does.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    pub relation: Oid,
    pub key: Box<[i16]>,
    /// Equality operators: referenced = referencing, referenced = referenced, referencing = referencing.
    pub pf_equal: Box<[Oid]>,
    pub pp_equal: Box<[Oid]>,
    pub ff_equal: Box<[Oid]>,
    pub on_update: ForeignKeyAction,
    pub on_delete: ForeignKeyAction,
    pub match_kind: ForeignKeyMatch,
    /// Columns that ON DELETE SET NULL/DEFAULT sets, if not all.
    pub set_columns: Box<[i16]>,
}

/// An index of a relation: its rows of pg_class and pg_index.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub heap: Oid,
    /// Access method: pg_am's oid.
    pub method: Oid,
    pub descriptor: Arc<kokkiri_access::relation::IndexDescriptor>,
    pub is_unique: bool,
    pub is_primary: bool,
    pub is_exclusion: bool,
    pub is_immediate: bool,
    pub is_clustered: bool,
    pub is_valid: bool,
    pub is_ready: bool,
    pub is_live: bool,
    pub check_xmin: bool,
    pub nulls_not_distinct: bool,
    /// Attribute numbers of key and included columns; zero for an expression.
    pub columns: Box<[i16]>,
    pub key_count: usize,
    /// One per key column.
    pub opclasses: Box<[Oid]>,
    pub collations: Box<[Oid]>,
    pub families: Box<[Oid]>,
    /// Types the operator classes index, one per key column.
    pub opclass_types: Box<[Oid]>,
    /// Bit 0: descending, bit 1: nulls first.
    pub options: Box<[i16]>,
    /// Serialised expressions and predicate.
    pub expressions: Option<Arc<str>>,
    pub predicate: Option<Arc<str>>,
    pub pages: i32,
    pub tuples: f32,
}

/// A trigger of a relation that is not a foreign key's.
#[derive(Clone, Debug)]
pub struct TriggerEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub function: Oid,
    pub kind: i16,
    pub enabled: u8,
    pub is_internal: bool,
    pub constraint: Option<Oid>,
}

/// A relation: its pg_class row with everything that hangs on it.
#[derive(Clone, Debug)]
pub struct RelationEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    pub row_type: Option<Oid>,
    pub owner: Oid,
    pub access_method: Option<Oid>,
    pub tablespace: Option<Oid>,
    pub is_shared: bool,
    /// What the access layer works on: file, kind, persistence, shape, TOAST relation.
    pub relation: Arc<Relation>,
    pub pages: i32,
    /// -1 before the first VACUUM or ANALYZE.
    pub tuples: f32,
    pub all_visible: i32,
    pub all_frozen: i32,
    pub has_rules: bool,
    pub has_triggers: bool,
    pub has_subclass: bool,
    pub is_partition: bool,
    pub is_populated: bool,
    pub row_security: bool,
    pub replica_identity: u8,
    pub frozen_xid: TransactionId,
    pub acl: Option<Acl>,
    pub options: Box<[Arc<str>]>,
    /// In the order of their oids, as PostgreSQL inserts into them.
    pub indexes: Box<[Arc<IndexEntry>]>,
    pub constraints: Box<[Arc<ConstraintEntry>]>,
    /// Foreign keys of other relations that refer to this one.
    pub referenced_by: Box<[Arc<ConstraintEntry>]>,
    pub triggers: Box<[Arc<TriggerEntry>]>,
    /// Serialised default or generation expression by attribute index.
    pub defaults: Box<[Option<Arc<str>>]>,
    /// A view's serialised query.
    pub view: Option<Arc<str>>,
}

/// A row of pg_namespace.
#[derive(Clone, Debug)]
pub struct NamespaceEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub owner: Oid,
    pub acl: Option<Acl>,
}

/// A row of pg_authid.
#[derive(Clone, Debug)]
pub struct RoleEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub can_login: bool,
    pub replication: bool,
    pub bypass_row_security: bool,
    pub connection_limit: i32,
    /// SCRAM verifier or MD5 hash.
    pub password: Option<Arc<str>>,
    /// Microseconds since 2000, UTC.
    pub valid_until: Option<i64>,
}

/// A row of pg_database.
#[derive(Clone, Debug)]
pub struct DatabaseEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub owner: Oid,
    pub encoding: i32,
    pub is_template: bool,
    pub allow_connections: bool,
    /// -1 for none; -2 marks a database that an interrupted DROP left unusable.
    pub connection_limit: i32,
    pub frozen_xid: TransactionId,
    pub tablespace: Oid,
    pub collate: Arc<str>,
    pub ctype: Arc<str>,
    pub acl: Option<Acl>,
}

/// A row of pg_collation.
#[derive(Clone, Debug)]
pub struct CollationEntry {
    pub oid: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    /// `d`, `b`, `c` or `i`.
    pub provider: u8,
    pub deterministic: bool,
    pub encoding: i32,
}

/// One of a row of pg_statistic's five slots.
#[derive(Clone, Debug)]
pub struct StatisticSlot {
    pub kind: i16,
    pub operator: Option<Oid>,
    pub collation: Option<Oid>,
    pub numbers: Box<[f32]>,
    pub values: Box<[Value]>,
}

/// A row of pg_statistic.
#[derive(Clone, Debug)]
pub struct StatisticEntry {
    pub null_fraction: f32,
    /// Average stored width of non-null values, bytes.
    pub width: i32,
    /// Positive: how many; negative: the fraction of rows; zero: unknown.
    pub distinct: f32,
    pub slots: Box<[StatisticSlot]>,
}
