//! The ways in which catalogs are looked up, and the keys of cached answers.
//!
//! Realises: the table of syscaches (syscache.c). A [`Lookup`] names a catalog, the index that serves it
//! and the columns of its key. Because the columns are known, whoever changes a row can tell which
//! cached answers it makes stale: for every lookup of that catalog, the key in the old row and in the new.

use kokkiri_primitives::Oid;
use kokkiri_types::{Value, ValueRef};
use smallvec::SmallVec;

macro_rules! lookups {
    ($($(#[$doc:meta])* $name:ident = $catalog:literal, $index:literal, [$($column:literal),+];)+) => {
        /// One way of looking a catalog up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Lookup { $($(#[$doc])* $name),+ }

        impl Lookup {
            pub const ALL: &'static [Lookup] = &[$(Lookup::$name),+];

            /// Number in invalidation messages.
            pub fn number(self) -> i8 {
                self as i8
            }

            pub fn from_number(number: i8) -> Option<Self> {
                Self::ALL.get(usize::try_from(number).ok()?).copied()
            }

            pub fn catalog(self) -> Oid {
                match self { $(Lookup::$name => Oid($catalog)),+ }
            }

            /// The index of the catalog whose leading columns are the key's.
            pub fn index(self) -> Oid {
                match self { $(Lookup::$name => Oid($index)),+ }
            }

            /// Attribute numbers of the key.
            pub fn columns(self) -> &'static [i16] {
                match self { $(Lookup::$name => &[$($column),+]),+ }
            }
        }
    };
}

lookups! {
    AggregateByFunction = 2600, 2650, [1];
    AccessMethodByOid = 2601, 2652, [1];
    AmopByFamily = 2602, 2653, [2];
    AmopByOperator = 2602, 2654, [7];
    AmprocByFamily = 2603, 2655, [2];
    AttrdefByRelation = 2604, 2656, [2];
    AttributeByRelation = 1249, 2659, [1];
    RoleByOid = 1260, 2677, [1];
    RoleByName = 1260, 2676, [2];
    MembershipByMember = 1261, 2695, [3];
    CastByTypes = 2605, 2661, [2, 3];
    RelationByOid = 1259, 2662, [1];
    RelationByName = 1259, 2663, [2, 3];
    CollationByOid = 3456, 3085, [1];
    CollationByName = 3456, 3164, [2];
    ConstraintByOid = 2606, 2667, [1];
    ConstraintByRelation = 2606, 2665, [9];
    ConstraintByType = 2606, 2666, [10];
    DatabaseByOid = 1262, 2672, [1];
    DatabaseByName = 1262, 2671, [2];
    EnumByType = 3501, 3503, [2];
    IndexByHeap = 2610, 2678, [2];
    IndexByOid = 2610, 2679, [1];
    InheritsByChild = 2611, 2680, [1];
    InheritsByParent = 2611, 2187, [2];
    LanguageByOid = 2612, 2682, [1];
    NamespaceByOid = 2615, 2685, [1];
    NamespaceByName = 2615, 2684, [2];
    OpclassByMethod = 2616, 2686, [2];
    OpclassByOid = 2616, 2687, [1];
    OpfamilyByOid = 2753, 2755, [1];
    OperatorByOid = 2617, 2688, [1];
    OperatorByName = 2617, 2689, [2];
    FunctionByOid = 1255, 2690, [1];
    FunctionByName = 1255, 2691, [2];
    RewriteByRelation = 2618, 2693, [3];
    SequenceByRelation = 2224, 5002, [1];
    SettingByDatabaseAndRole = 2964, 2965, [1, 2];
    StatisticByColumn = 2619, 2696, [1, 2];
    TablespaceByOid = 1213, 2697, [1];
    TablespaceByName = 1213, 2698, [2];
    TriggerByRelation = 2620, 2701, [2];
    TypeByOid = 1247, 2703, [1];
    TypeByName = 1247, 2704, [2, 3];
}

impl Lookup {
    /// The key that a row of the catalog has for this lookup.
    pub fn key_of(self, row: &[Value]) -> Key {
        Key::new(self.columns().iter().map(|column| row[*column as usize - 1].as_ref()))
    }
}

/// The key columns' values, encoded: equal values have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(SmallVec<[u8; KEY_INLINE]>);

/// Keys up to this length need no allocation: oids, and most names.
const KEY_INLINE: usize = 24;

impl Key {
    pub fn new<'a>(values: impl IntoIterator<Item = ValueRef<'a>>) -> Self {
        let mut bytes = SmallVec::new();
        for value in values {
            match value {
                ValueRef::Int32(value) => bytes.extend_from_slice(&value.to_le_bytes()),
                ValueRef::Int16(value) => bytes.extend_from_slice(&value.to_le_bytes()),
                ValueRef::Bool(value) => bytes.push(u8::from(value)),
                ValueRef::Char(value) => bytes.push(value),
                // Names hold no zero byte, so a terminated name is a prefix code.
                ValueRef::Bytes(value) => {
                    bytes.extend_from_slice(value);
                    bytes.push(0);
                }
                other => panic!("catalogs are not looked up by {other:?}"),
            }
        }
        Self(bytes)
    }

    /// A hash for invalidation messages; equal in every process that runs this code.
    pub fn hash(&self) -> u32 {
        // FNV-1a: short keys, no adversary.
        self.0.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts;

    #[test]
    fn every_lookup_is_served_by_its_index() {
        let indexes = facts::table("pg_index").expect("pg_index has rows");
        let at = |name| indexes.column(name);
        for lookup in Lookup::ALL {
            let row = indexes
                .rows
                .iter()
                .find(|row| row[at("indexrelid")] == lookup.index().to_string())
                .unwrap_or_else(|| panic!("{lookup:?}: no index {}", lookup.index()));
            assert_eq!(row[at("indrelid")], lookup.catalog().to_string(), "{lookup:?}");
            let indexed: Vec<i16> =
                row[at("indkey")].split(' ').map(|n| n.parse().expect("a number")).collect();
            assert!(indexed.starts_with(lookup.columns()), "{lookup:?}: index is on {indexed:?}");
        }
    }

    #[test]
    fn keys_differ_when_their_values_do() {
        let key =
            |name: &'static str, oid: i32| Key::new([ValueRef::Bytes(name.as_bytes()), ValueRef::Int32(oid)]);
        assert_eq!(key("t", 5), key("t", 5));
        assert_ne!(key("t", 5), key("t", 6));
        assert_ne!(key("t", 5).hash(), key("u", 5).hash());
    }
}
