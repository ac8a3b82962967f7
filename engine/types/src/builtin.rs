//! PostgreSQL's own types, as `pg_type` lists them.
//!
//! The layers below the catalog (access, the I/O of arrays) look types up here; types that users create
//! are known to the catalog alone, which builds a [`TypeInfo`] of each.

use kokkiri_primitives::Oid;

use crate::attribute::{Align, AttributeStorage};
use crate::value::PhysicalType;

/// What `pg_type` says of a type's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    pub oid: Oid,
    pub name: &'static str,
    /// Bytes; -1 for varlena, -2 for zero-terminated.
    pub length: i16,
    pub by_value: bool,
    pub align: Align,
    pub storage: AttributeStorage,
    pub collation: Oid,
    /// `b`ase, `c`omposite, `p`seudo, `r`ange, `m`ultirange.
    pub kind: u8,
    pub category: u8,
    pub preferred: bool,
    /// Separates the elements of this type's arrays.
    pub delimiter: u8,
    /// Type of the elements, for arrays and types that can be subscripted; 0 for others.
    pub element: Oid,
    /// The array type over this one, or 0.
    pub array: Oid,
    /// True for what is stored as an array with PostgreSQL's array header.
    pub is_array: bool,
}

impl TypeInfo {
    /// How values of the type travel.
    pub fn physical(&self) -> PhysicalType {
        physical_type(self.oid, self.length, self.by_value)
    }
}

/// How values travel of a type with this oid, length and passing.
pub fn physical_type(oid: Oid, length: i16, by_value: bool) -> PhysicalType {
    match (oid.0, length, by_value) {
        (16, ..) => PhysicalType::Bool,
        (19, ..) => PhysicalType::Name,
        (27, ..) => PhysicalType::Tid,
        // A pointer in PostgreSQL: here the bytes that it would lead to.
        (2281, ..) => PhysicalType::Varlena,
        (700, ..) => PhysicalType::Float32,
        (701, ..) => PhysicalType::Float64,
        (_, 1, true) => PhysicalType::Char,
        (_, 2, true) => PhysicalType::Int16,
        (_, 4, true) => PhysicalType::Int32,
        (_, 8, true) => PhysicalType::Int64,
        (_, -2, _) => PhysicalType::CString,
        (_, 1..=16, false) => PhysicalType::Fixed16,
        (_, 17.., _) => PhysicalType::FixedBytes,
        _ => PhysicalType::Varlena,
    }
}

/// The entry of a built-in type.
pub fn type_info(oid: Oid) -> Option<&'static TypeInfo> {
    TYPES.binary_search_by_key(&oid, |info| info.oid).ok().map(|index| &TYPES[index])
}

/// Oids of the types that code names, in PostgreSQL's spelling.
pub mod oid {
    use kokkiri_primitives::Oid;

    pub const BOOL: Oid = Oid(16);
    pub const BYTEA: Oid = Oid(17);
    pub const CHAR: Oid = Oid(18);
    pub const NAME: Oid = Oid(19);
    pub const INT8: Oid = Oid(20);
    pub const INT2: Oid = Oid(21);
    pub const INT2VECTOR: Oid = Oid(22);
    pub const INT4: Oid = Oid(23);
    pub const REGPROC: Oid = Oid(24);
    pub const TEXT: Oid = Oid(25);
    pub const OID: Oid = Oid(26);
    pub const TID: Oid = Oid(27);
    pub const XID: Oid = Oid(28);
    pub const CID: Oid = Oid(29);
    pub const OIDVECTOR: Oid = Oid(30);
    pub const JSON: Oid = Oid(114);
    pub const XML: Oid = Oid(142);
    pub const XML_ARRAY: Oid = Oid(143);
    pub const PG_NODE_TREE: Oid = Oid(194);
    pub const JSON_ARRAY: Oid = Oid(199);
    pub const TABLE_AM_HANDLER: Oid = Oid(269);
    pub const XID8_ARRAY: Oid = Oid(271);
    pub const INDEX_AM_HANDLER: Oid = Oid(325);
    pub const POINT: Oid = Oid(600);
    pub const LSEG: Oid = Oid(601);
    pub const PATH: Oid = Oid(602);
    pub const BOX: Oid = Oid(603);
    pub const POLYGON: Oid = Oid(604);
    pub const LINE: Oid = Oid(628);
    pub const LINE_ARRAY: Oid = Oid(629);
    pub const CIDR: Oid = Oid(650);
    pub const CIDR_ARRAY: Oid = Oid(651);
    pub const FLOAT4: Oid = Oid(700);
    pub const FLOAT8: Oid = Oid(701);
    pub const UNKNOWN: Oid = Oid(705);
    pub const CIRCLE: Oid = Oid(718);
    pub const CIRCLE_ARRAY: Oid = Oid(719);
    pub const MACADDR8: Oid = Oid(774);
    pub const MACADDR8_ARRAY: Oid = Oid(775);
    pub const MONEY: Oid = Oid(790);
    pub const MONEY_ARRAY: Oid = Oid(791);
    pub const MACADDR: Oid = Oid(829);
    pub const INET: Oid = Oid(869);
    pub const BOOL_ARRAY: Oid = Oid(1000);
    pub const BYTEA_ARRAY: Oid = Oid(1001);
    pub const CHAR_ARRAY: Oid = Oid(1002);
    pub const NAME_ARRAY: Oid = Oid(1003);
    pub const INT2_ARRAY: Oid = Oid(1005);
    pub const INT2VECTOR_ARRAY: Oid = Oid(1006);
    pub const INT4_ARRAY: Oid = Oid(1007);
    pub const REGPROC_ARRAY: Oid = Oid(1008);
    pub const TEXT_ARRAY: Oid = Oid(1009);
    pub const TID_ARRAY: Oid = Oid(1010);
    pub const XID_ARRAY: Oid = Oid(1011);
    pub const CID_ARRAY: Oid = Oid(1012);
    pub const OIDVECTOR_ARRAY: Oid = Oid(1013);
    pub const BPCHAR_ARRAY: Oid = Oid(1014);
    pub const VARCHAR_ARRAY: Oid = Oid(1015);
    pub const INT8_ARRAY: Oid = Oid(1016);
    pub const POINT_ARRAY: Oid = Oid(1017);
    pub const LSEG_ARRAY: Oid = Oid(1018);
    pub const PATH_ARRAY: Oid = Oid(1019);
    pub const BOX_ARRAY: Oid = Oid(1020);
    pub const FLOAT4_ARRAY: Oid = Oid(1021);
    pub const FLOAT8_ARRAY: Oid = Oid(1022);
    pub const POLYGON_ARRAY: Oid = Oid(1027);
    pub const OID_ARRAY: Oid = Oid(1028);
    pub const ACLITEM: Oid = Oid(1033);
    pub const ACLITEM_ARRAY: Oid = Oid(1034);
    pub const MACADDR_ARRAY: Oid = Oid(1040);
    pub const INET_ARRAY: Oid = Oid(1041);
    pub const BPCHAR: Oid = Oid(1042);
    pub const VARCHAR: Oid = Oid(1043);
    pub const DATE: Oid = Oid(1082);
    pub const TIME: Oid = Oid(1083);
    pub const TIMESTAMP: Oid = Oid(1114);
    pub const TIMESTAMP_ARRAY: Oid = Oid(1115);
    pub const DATE_ARRAY: Oid = Oid(1182);
    pub const TIME_ARRAY: Oid = Oid(1183);
    pub const TIMESTAMPTZ: Oid = Oid(1184);
    pub const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);
    pub const INTERVAL: Oid = Oid(1186);
    pub const INTERVAL_ARRAY: Oid = Oid(1187);
    pub const NUMERIC_ARRAY: Oid = Oid(1231);
    pub const CSTRING_ARRAY: Oid = Oid(1263);
    pub const TIMETZ: Oid = Oid(1266);
    pub const TIMETZ_ARRAY: Oid = Oid(1270);
    pub const BIT: Oid = Oid(1560);
    pub const BIT_ARRAY: Oid = Oid(1561);
    pub const VARBIT: Oid = Oid(1562);
    pub const VARBIT_ARRAY: Oid = Oid(1563);
    pub const NUMERIC: Oid = Oid(1700);
    pub const REFCURSOR: Oid = Oid(1790);
    pub const REFCURSOR_ARRAY: Oid = Oid(2201);
    pub const REGPROCEDURE: Oid = Oid(2202);
    pub const REGOPER: Oid = Oid(2203);
    pub const REGOPERATOR: Oid = Oid(2204);
    pub const REGCLASS: Oid = Oid(2205);
    pub const REGTYPE: Oid = Oid(2206);
    pub const REGPROCEDURE_ARRAY: Oid = Oid(2207);
    pub const REGOPER_ARRAY: Oid = Oid(2208);
    pub const REGOPERATOR_ARRAY: Oid = Oid(2209);
    pub const REGCLASS_ARRAY: Oid = Oid(2210);
    pub const REGTYPE_ARRAY: Oid = Oid(2211);
    pub const RECORD: Oid = Oid(2249);
    pub const CSTRING: Oid = Oid(2275);
    pub const ANY: Oid = Oid(2276);
    pub const ANYARRAY: Oid = Oid(2277);
    pub const VOID: Oid = Oid(2278);
    pub const TRIGGER: Oid = Oid(2279);
    pub const LANGUAGE_HANDLER: Oid = Oid(2280);
    pub const INTERNAL: Oid = Oid(2281);
    pub const ANYELEMENT: Oid = Oid(2283);
    pub const RECORD_ARRAY: Oid = Oid(2287);
    pub const ANYNONARRAY: Oid = Oid(2776);
    pub const TXID_SNAPSHOT_ARRAY: Oid = Oid(2949);
    pub const UUID: Oid = Oid(2950);
    pub const UUID_ARRAY: Oid = Oid(2951);
    pub const TXID_SNAPSHOT: Oid = Oid(2970);
    pub const FDW_HANDLER: Oid = Oid(3115);
    pub const PG_LSN: Oid = Oid(3220);
    pub const TSM_HANDLER: Oid = Oid(3310);
    pub const PG_NDISTINCT: Oid = Oid(3361);
    pub const PG_DEPENDENCIES: Oid = Oid(3402);
    pub const ANYENUM: Oid = Oid(3500);
    pub const TSVECTOR: Oid = Oid(3614);
    pub const TSQUERY: Oid = Oid(3615);
    pub const GTSVECTOR: Oid = Oid(3642);
    pub const TSVECTOR_ARRAY: Oid = Oid(3643);
    pub const GTSVECTOR_ARRAY: Oid = Oid(3644);
    pub const TSQUERY_ARRAY: Oid = Oid(3645);
    pub const REGCONFIG: Oid = Oid(3734);
    pub const REGCONFIG_ARRAY: Oid = Oid(3735);
    pub const REGDICTIONARY: Oid = Oid(3769);
    pub const REGDICTIONARY_ARRAY: Oid = Oid(3770);
    pub const JSONB: Oid = Oid(3802);
    pub const JSONB_ARRAY: Oid = Oid(3807);
    pub const ANYRANGE: Oid = Oid(3831);
    pub const EVENT_TRIGGER: Oid = Oid(3838);
    pub const INT4RANGE: Oid = Oid(3904);
    pub const INT4RANGE_ARRAY: Oid = Oid(3905);
    pub const NUMRANGE: Oid = Oid(3906);
    pub const NUMRANGE_ARRAY: Oid = Oid(3907);
    pub const TSRANGE: Oid = Oid(3908);
    pub const TSRANGE_ARRAY: Oid = Oid(3909);
    pub const TSTZRANGE: Oid = Oid(3910);
    pub const TSTZRANGE_ARRAY: Oid = Oid(3911);
    pub const DATERANGE: Oid = Oid(3912);
    pub const DATERANGE_ARRAY: Oid = Oid(3913);
    pub const INT8RANGE: Oid = Oid(3926);
    pub const INT8RANGE_ARRAY: Oid = Oid(3927);
    pub const JSONPATH: Oid = Oid(4072);
    pub const JSONPATH_ARRAY: Oid = Oid(4073);
    pub const REGNAMESPACE: Oid = Oid(4089);
    pub const REGNAMESPACE_ARRAY: Oid = Oid(4090);
    pub const REGROLE: Oid = Oid(4096);
    pub const REGROLE_ARRAY: Oid = Oid(4097);
    pub const REGCOLLATION: Oid = Oid(4191);
    pub const REGCOLLATION_ARRAY: Oid = Oid(4192);
    pub const INT4MULTIRANGE: Oid = Oid(4451);
    pub const NUMMULTIRANGE: Oid = Oid(4532);
    pub const TSMULTIRANGE: Oid = Oid(4533);
    pub const TSTZMULTIRANGE: Oid = Oid(4534);
    pub const DATEMULTIRANGE: Oid = Oid(4535);
    pub const INT8MULTIRANGE: Oid = Oid(4536);
    pub const ANYMULTIRANGE: Oid = Oid(4537);
    pub const ANYCOMPATIBLEMULTIRANGE: Oid = Oid(4538);
    pub const PG_BRIN_BLOOM_SUMMARY: Oid = Oid(4600);
    pub const PG_BRIN_MINMAX_MULTI_SUMMARY: Oid = Oid(4601);
    pub const PG_MCV_LIST: Oid = Oid(5017);
    pub const PG_SNAPSHOT: Oid = Oid(5038);
    pub const XID8: Oid = Oid(5069);
    pub const ANYCOMPATIBLE: Oid = Oid(5077);
    pub const ANYCOMPATIBLEARRAY: Oid = Oid(5078);
    pub const ANYCOMPATIBLENONARRAY: Oid = Oid(5079);
    pub const ANYCOMPATIBLERANGE: Oid = Oid(5080);
    pub const INT4MULTIRANGE_ARRAY: Oid = Oid(6150);
    pub const NUMMULTIRANGE_ARRAY: Oid = Oid(6151);
    pub const TSMULTIRANGE_ARRAY: Oid = Oid(6152);
    pub const TSTZMULTIRANGE_ARRAY: Oid = Oid(6153);
    pub const DATEMULTIRANGE_ARRAY: Oid = Oid(6155);
    pub const INT8MULTIRANGE_ARRAY: Oid = Oid(6157);
}

/// True for the types whose values are oids of catalog rows, shown by the rows' names.
pub fn is_reg_type(type_oid: Oid) -> bool {
    matches!(
        type_oid,
        oid::REGPROC
            | oid::REGPROCEDURE
            | oid::REGOPER
            | oid::REGOPERATOR
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGCONFIG
            | oid::REGDICTIONARY
            | oid::REGNAMESPACE
            | oid::REGROLE
            | oid::REGCOLLATION
    )
}

#[expect(clippy::too_many_arguments, reason = "one line of the table below")]
const fn entry(
    oid: u32,
    name: &'static str,
    length: i16,
    by_value: bool,
    align: Align,
    storage: AttributeStorage,
    collation: u32,
    codes: &[u8; 3],
    preferred: bool,
    element: u32,
    array: u32,
    is_array: bool,
) -> TypeInfo {
    TypeInfo {
        oid: Oid(oid),
        name,
        length,
        by_value,
        align,
        storage,
        collation: Oid(collation),
        kind: codes[0],
        category: codes[1],
        preferred,
        delimiter: codes[2],
        element: Oid(element),
        array: Oid(array),
        is_array,
    }
}

use Align::{Char, Double, Int, Short};
use AttributeStorage::{Extended, Main, Plain};

#[rustfmt::skip]
static TYPES: &[TypeInfo] = &[
    entry(16, "bool", 1, true, Char, Plain, 0, b"bB,", true, 0, 1000, false),
    entry(17, "bytea", -1, false, Int, Extended, 0, b"bU,", false, 0, 1001, false),
    entry(18, "char", 1, true, Char, Plain, 0, b"bZ,", false, 0, 1002, false),
    entry(19, "name", 64, false, Char, Plain, 950, b"bS,", false, 18, 1003, false),
    entry(20, "int8", 8, true, Double, Plain, 0, b"bN,", false, 0, 1016, false),
    entry(21, "int2", 2, true, Short, Plain, 0, b"bN,", false, 0, 1005, false),
    entry(22, "int2vector", -1, false, Int, Plain, 0, b"bA,", false, 21, 1006, true),
    entry(23, "int4", 4, true, Int, Plain, 0, b"bN,", false, 0, 1007, false),
    entry(24, "regproc", 4, true, Int, Plain, 0, b"bN,", false, 0, 1008, false),
    entry(25, "text", -1, false, Int, Extended, 100, b"bS,", true, 0, 1009, false),
    entry(26, "oid", 4, true, Int, Plain, 0, b"bN,", true, 0, 1028, false),
    entry(27, "tid", 6, false, Short, Plain, 0, b"bU,", false, 0, 1010, false),
    entry(28, "xid", 4, true, Int, Plain, 0, b"bU,", false, 0, 1011, false),
    entry(29, "cid", 4, true, Int, Plain, 0, b"bU,", false, 0, 1012, false),
    entry(30, "oidvector", -1, false, Int, Plain, 0, b"bA,", false, 26, 1013, true),
    entry(32, "pg_ddl_command", 8, true, Double, Plain, 0, b"pP,", false, 0, 0, false),
    entry(71, "pg_type", -1, false, Double, Extended, 0, b"cC,", false, 0, 210, false),
    entry(75, "pg_attribute", -1, false, Double, Extended, 0, b"cC,", false, 0, 270, false),
    entry(81, "pg_proc", -1, false, Double, Extended, 0, b"cC,", false, 0, 272, false),
    entry(83, "pg_class", -1, false, Double, Extended, 0, b"cC,", false, 0, 273, false),
    entry(114, "json", -1, false, Int, Extended, 0, b"bU,", false, 0, 199, false),
    entry(142, "xml", -1, false, Int, Extended, 0, b"bU,", false, 0, 143, false),
    entry(143, "_xml", -1, false, Int, Extended, 0, b"bA,", false, 142, 0, true),
    entry(194, "pg_node_tree", -1, false, Int, Extended, 100, b"bZ,", false, 0, 0, false),
    entry(199, "_json", -1, false, Int, Extended, 0, b"bA,", false, 114, 0, true),
    entry(210, "_pg_type", -1, false, Double, Extended, 0, b"bA,", false, 71, 0, true),
    entry(269, "table_am_handler", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(270, "_pg_attribute", -1, false, Double, Extended, 0, b"bA,", false, 75, 0, true),
    entry(271, "_xid8", -1, false, Double, Extended, 0, b"bA,", false, 5069, 0, true),
    entry(272, "_pg_proc", -1, false, Double, Extended, 0, b"bA,", false, 81, 0, true),
    entry(273, "_pg_class", -1, false, Double, Extended, 0, b"bA,", false, 83, 0, true),
    entry(325, "index_am_handler", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(600, "point", 16, false, Double, Plain, 0, b"bG,", false, 701, 1017, false),
    entry(601, "lseg", 32, false, Double, Plain, 0, b"bG,", false, 600, 1018, false),
    entry(602, "path", -1, false, Double, Extended, 0, b"bG,", false, 0, 1019, false),
    entry(603, "box", 32, false, Double, Plain, 0, b"bG;", false, 600, 1020, false),
    entry(604, "polygon", -1, false, Double, Extended, 0, b"bG,", false, 0, 1027, false),
    entry(628, "line", 24, false, Double, Plain, 0, b"bG,", false, 701, 629, false),
    entry(629, "_line", -1, false, Double, Extended, 0, b"bA,", false, 628, 0, true),
    entry(650, "cidr", -1, false, Int, Main, 0, b"bI,", false, 0, 651, false),
    entry(651, "_cidr", -1, false, Int, Extended, 0, b"bA,", false, 650, 0, true),
    entry(700, "float4", 4, true, Int, Plain, 0, b"bN,", false, 0, 1021, false),
    entry(701, "float8", 8, true, Double, Plain, 0, b"bN,", true, 0, 1022, false),
    entry(705, "unknown", -2, false, Char, Plain, 0, b"pX,", false, 0, 0, false),
    entry(718, "circle", 24, false, Double, Plain, 0, b"bG,", false, 0, 719, false),
    entry(719, "_circle", -1, false, Double, Extended, 0, b"bA,", false, 718, 0, true),
    entry(774, "macaddr8", 8, false, Int, Plain, 0, b"bU,", false, 0, 775, false),
    entry(775, "_macaddr8", -1, false, Int, Extended, 0, b"bA,", false, 774, 0, true),
    entry(790, "money", 8, true, Double, Plain, 0, b"bN,", false, 0, 791, false),
    entry(791, "_money", -1, false, Double, Extended, 0, b"bA,", false, 790, 0, true),
    entry(829, "macaddr", 6, false, Int, Plain, 0, b"bU,", false, 0, 1040, false),
    entry(869, "inet", -1, false, Int, Main, 0, b"bI,", true, 0, 1041, false),
    entry(1000, "_bool", -1, false, Int, Extended, 0, b"bA,", false, 16, 0, true),
    entry(1001, "_bytea", -1, false, Int, Extended, 0, b"bA,", false, 17, 0, true),
    entry(1002, "_char", -1, false, Int, Extended, 0, b"bA,", false, 18, 0, true),
    entry(1003, "_name", -1, false, Int, Extended, 950, b"bA,", false, 19, 0, true),
    entry(1005, "_int2", -1, false, Int, Extended, 0, b"bA,", false, 21, 0, true),
    entry(1006, "_int2vector", -1, false, Int, Extended, 0, b"bA,", false, 22, 0, true),
    entry(1007, "_int4", -1, false, Int, Extended, 0, b"bA,", false, 23, 0, true),
    entry(1008, "_regproc", -1, false, Int, Extended, 0, b"bA,", false, 24, 0, true),
    entry(1009, "_text", -1, false, Int, Extended, 100, b"bA,", false, 25, 0, true),
    entry(1010, "_tid", -1, false, Int, Extended, 0, b"bA,", false, 27, 0, true),
    entry(1011, "_xid", -1, false, Int, Extended, 0, b"bA,", false, 28, 0, true),
    entry(1012, "_cid", -1, false, Int, Extended, 0, b"bA,", false, 29, 0, true),
    entry(1013, "_oidvector", -1, false, Int, Extended, 0, b"bA,", false, 30, 0, true),
    entry(1014, "_bpchar", -1, false, Int, Extended, 100, b"bA,", false, 1042, 0, true),
    entry(1015, "_varchar", -1, false, Int, Extended, 100, b"bA,", false, 1043, 0, true),
    entry(1016, "_int8", -1, false, Double, Extended, 0, b"bA,", false, 20, 0, true),
    entry(1017, "_point", -1, false, Double, Extended, 0, b"bA,", false, 600, 0, true),
    entry(1018, "_lseg", -1, false, Double, Extended, 0, b"bA,", false, 601, 0, true),
    entry(1019, "_path", -1, false, Double, Extended, 0, b"bA,", false, 602, 0, true),
    entry(1020, "_box", -1, false, Double, Extended, 0, b"bA;", false, 603, 0, true),
    entry(1021, "_float4", -1, false, Int, Extended, 0, b"bA,", false, 700, 0, true),
    entry(1022, "_float8", -1, false, Double, Extended, 0, b"bA,", false, 701, 0, true),
    entry(1027, "_polygon", -1, false, Double, Extended, 0, b"bA,", false, 604, 0, true),
    entry(1028, "_oid", -1, false, Int, Extended, 0, b"bA,", false, 26, 0, true),
    entry(1033, "aclitem", 16, false, Double, Plain, 0, b"bU,", false, 0, 1034, false),
    entry(1034, "_aclitem", -1, false, Double, Extended, 0, b"bA,", false, 1033, 0, true),
    entry(1040, "_macaddr", -1, false, Int, Extended, 0, b"bA,", false, 829, 0, true),
    entry(1041, "_inet", -1, false, Int, Extended, 0, b"bA,", false, 869, 0, true),
    entry(1042, "bpchar", -1, false, Int, Extended, 100, b"bS,", false, 0, 1014, false),
    entry(1043, "varchar", -1, false, Int, Extended, 100, b"bS,", false, 0, 1015, false),
    entry(1082, "date", 4, true, Int, Plain, 0, b"bD,", false, 0, 1182, false),
    entry(1083, "time", 8, true, Double, Plain, 0, b"bD,", false, 0, 1183, false),
    entry(1114, "timestamp", 8, true, Double, Plain, 0, b"bD,", false, 0, 1115, false),
    entry(1115, "_timestamp", -1, false, Double, Extended, 0, b"bA,", false, 1114, 0, true),
    entry(1182, "_date", -1, false, Int, Extended, 0, b"bA,", false, 1082, 0, true),
    entry(1183, "_time", -1, false, Double, Extended, 0, b"bA,", false, 1083, 0, true),
    entry(1184, "timestamptz", 8, true, Double, Plain, 0, b"bD,", true, 0, 1185, false),
    entry(1185, "_timestamptz", -1, false, Double, Extended, 0, b"bA,", false, 1184, 0, true),
    entry(1186, "interval", 16, false, Double, Plain, 0, b"bT,", true, 0, 1187, false),
    entry(1187, "_interval", -1, false, Double, Extended, 0, b"bA,", false, 1186, 0, true),
    entry(1231, "_numeric", -1, false, Int, Extended, 0, b"bA,", false, 1700, 0, true),
    entry(1248, "pg_database", -1, false, Double, Extended, 0, b"cC,", false, 0, 10052, false),
    entry(1263, "_cstring", -1, false, Int, Extended, 0, b"bA,", false, 2275, 0, true),
    entry(1266, "timetz", 12, false, Double, Plain, 0, b"bD,", false, 0, 1270, false),
    entry(1270, "_timetz", -1, false, Double, Extended, 0, b"bA,", false, 1266, 0, true),
    entry(1560, "bit", -1, false, Int, Extended, 0, b"bV,", false, 0, 1561, false),
    entry(1561, "_bit", -1, false, Int, Extended, 0, b"bA,", false, 1560, 0, true),
    entry(1562, "varbit", -1, false, Int, Extended, 0, b"bV,", true, 0, 1563, false),
    entry(1563, "_varbit", -1, false, Int, Extended, 0, b"bA,", false, 1562, 0, true),
    entry(1700, "numeric", -1, false, Int, Main, 0, b"bN,", false, 0, 1231, false),
    entry(1790, "refcursor", -1, false, Int, Extended, 0, b"bU,", false, 0, 2201, false),
    entry(2201, "_refcursor", -1, false, Int, Extended, 0, b"bA,", false, 1790, 0, true),
    entry(2202, "regprocedure", 4, true, Int, Plain, 0, b"bN,", false, 0, 2207, false),
    entry(2203, "regoper", 4, true, Int, Plain, 0, b"bN,", false, 0, 2208, false),
    entry(2204, "regoperator", 4, true, Int, Plain, 0, b"bN,", false, 0, 2209, false),
    entry(2205, "regclass", 4, true, Int, Plain, 0, b"bN,", false, 0, 2210, false),
    entry(2206, "regtype", 4, true, Int, Plain, 0, b"bN,", false, 0, 2211, false),
    entry(2207, "_regprocedure", -1, false, Int, Extended, 0, b"bA,", false, 2202, 0, true),
    entry(2208, "_regoper", -1, false, Int, Extended, 0, b"bA,", false, 2203, 0, true),
    entry(2209, "_regoperator", -1, false, Int, Extended, 0, b"bA,", false, 2204, 0, true),
    entry(2210, "_regclass", -1, false, Int, Extended, 0, b"bA,", false, 2205, 0, true),
    entry(2211, "_regtype", -1, false, Int, Extended, 0, b"bA,", false, 2206, 0, true),
    entry(2249, "record", -1, false, Double, Extended, 0, b"pP,", false, 0, 2287, false),
    entry(2275, "cstring", -2, false, Char, Plain, 0, b"pP,", false, 0, 1263, false),
    entry(2276, "any", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(2277, "anyarray", -1, false, Double, Extended, 0, b"pP,", false, 0, 0, false),
    entry(2278, "void", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(2279, "trigger", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(2280, "language_handler", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(2281, "internal", 8, true, Double, Plain, 0, b"pP,", false, 0, 0, false),
    entry(2283, "anyelement", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(2287, "_record", -1, false, Double, Extended, 0, b"pP,", false, 2249, 0, true),
    entry(2776, "anynonarray", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(2842, "pg_authid", -1, false, Double, Extended, 0, b"cC,", false, 0, 10057, false),
    entry(2843, "pg_auth_members", -1, false, Double, Extended, 0, b"cC,", false, 0, 10058, false),
    entry(2949, "_txid_snapshot", -1, false, Double, Extended, 0, b"bA,", false, 2970, 0, true),
    entry(2950, "uuid", 16, false, Char, Plain, 0, b"bU,", false, 0, 2951, false),
    entry(2951, "_uuid", -1, false, Int, Extended, 0, b"bA,", false, 2950, 0, true),
    entry(2970, "txid_snapshot", -1, false, Double, Extended, 0, b"bU,", false, 0, 2949, false),
    entry(3115, "fdw_handler", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(3220, "pg_lsn", 8, true, Double, Plain, 0, b"bU,", false, 0, 3221, false),
    entry(3221, "_pg_lsn", -1, false, Double, Extended, 0, b"bA,", false, 3220, 0, true),
    entry(3310, "tsm_handler", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(3361, "pg_ndistinct", -1, false, Int, Extended, 100, b"bZ,", false, 0, 0, false),
    entry(3402, "pg_dependencies", -1, false, Int, Extended, 100, b"bZ,", false, 0, 0, false),
    entry(3500, "anyenum", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(3614, "tsvector", -1, false, Int, Extended, 0, b"bU,", false, 0, 3643, false),
    entry(3615, "tsquery", -1, false, Int, Plain, 0, b"bU,", false, 0, 3645, false),
    entry(3642, "gtsvector", -1, false, Int, Plain, 0, b"bU,", false, 0, 3644, false),
    entry(3643, "_tsvector", -1, false, Int, Extended, 0, b"bA,", false, 3614, 0, true),
    entry(3644, "_gtsvector", -1, false, Int, Extended, 0, b"bA,", false, 3642, 0, true),
    entry(3645, "_tsquery", -1, false, Int, Extended, 0, b"bA,", false, 3615, 0, true),
    entry(3734, "regconfig", 4, true, Int, Plain, 0, b"bN,", false, 0, 3735, false),
    entry(3735, "_regconfig", -1, false, Int, Extended, 0, b"bA,", false, 3734, 0, true),
    entry(3769, "regdictionary", 4, true, Int, Plain, 0, b"bN,", false, 0, 3770, false),
    entry(3770, "_regdictionary", -1, false, Int, Extended, 0, b"bA,", false, 3769, 0, true),
    entry(3802, "jsonb", -1, false, Int, Extended, 0, b"bU,", false, 0, 3807, false),
    entry(3807, "_jsonb", -1, false, Int, Extended, 0, b"bA,", false, 3802, 0, true),
    entry(3831, "anyrange", -1, false, Double, Extended, 0, b"pP,", false, 0, 0, false),
    entry(3838, "event_trigger", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(3904, "int4range", -1, false, Int, Extended, 0, b"rR,", false, 0, 3905, false),
    entry(3905, "_int4range", -1, false, Int, Extended, 0, b"bA,", false, 3904, 0, true),
    entry(3906, "numrange", -1, false, Int, Extended, 0, b"rR,", false, 0, 3907, false),
    entry(3907, "_numrange", -1, false, Int, Extended, 0, b"bA,", false, 3906, 0, true),
    entry(3908, "tsrange", -1, false, Double, Extended, 0, b"rR,", false, 0, 3909, false),
    entry(3909, "_tsrange", -1, false, Double, Extended, 0, b"bA,", false, 3908, 0, true),
    entry(3910, "tstzrange", -1, false, Double, Extended, 0, b"rR,", false, 0, 3911, false),
    entry(3911, "_tstzrange", -1, false, Double, Extended, 0, b"bA,", false, 3910, 0, true),
    entry(3912, "daterange", -1, false, Int, Extended, 0, b"rR,", false, 0, 3913, false),
    entry(3913, "_daterange", -1, false, Int, Extended, 0, b"bA,", false, 3912, 0, true),
    entry(3926, "int8range", -1, false, Double, Extended, 0, b"rR,", false, 0, 3927, false),
    entry(3927, "_int8range", -1, false, Double, Extended, 0, b"bA,", false, 3926, 0, true),
    entry(4066, "pg_shseclabel", -1, false, Double, Extended, 0, b"cC,", false, 0, 10093, false),
    entry(4072, "jsonpath", -1, false, Int, Extended, 0, b"bU,", false, 0, 4073, false),
    entry(4073, "_jsonpath", -1, false, Int, Extended, 0, b"bA,", false, 4072, 0, true),
    entry(4089, "regnamespace", 4, true, Int, Plain, 0, b"bN,", false, 0, 4090, false),
    entry(4090, "_regnamespace", -1, false, Int, Extended, 0, b"bA,", false, 4089, 0, true),
    entry(4096, "regrole", 4, true, Int, Plain, 0, b"bN,", false, 0, 4097, false),
    entry(4097, "_regrole", -1, false, Int, Extended, 0, b"bA,", false, 4096, 0, true),
    entry(4191, "regcollation", 4, true, Int, Plain, 0, b"bN,", false, 0, 4192, false),
    entry(4192, "_regcollation", -1, false, Int, Extended, 0, b"bA,", false, 4191, 0, true),
    entry(4451, "int4multirange", -1, false, Int, Extended, 0, b"mR,", false, 0, 6150, false),
    entry(4532, "nummultirange", -1, false, Int, Extended, 0, b"mR,", false, 0, 6151, false),
    entry(4533, "tsmultirange", -1, false, Double, Extended, 0, b"mR,", false, 0, 6152, false),
    entry(4534, "tstzmultirange", -1, false, Double, Extended, 0, b"mR,", false, 0, 6153, false),
    entry(4535, "datemultirange", -1, false, Int, Extended, 0, b"mR,", false, 0, 6155, false),
    entry(4536, "int8multirange", -1, false, Double, Extended, 0, b"mR,", false, 0, 6157, false),
    entry(4537, "anymultirange", -1, false, Double, Extended, 0, b"pP,", false, 0, 0, false),
    entry(4538, "anycompatiblemultirange", -1, false, Double, Extended, 0, b"pP,", false, 0, 0, false),
    entry(4600, "pg_brin_bloom_summary", -1, false, Int, Extended, 100, b"bZ,", false, 0, 0, false),
    entry(4601, "pg_brin_minmax_multi_summary", -1, false, Int, Extended, 100, b"bZ,", false, 0, 0, false),
    entry(5017, "pg_mcv_list", -1, false, Int, Extended, 100, b"bZ,", false, 0, 0, false),
    entry(5038, "pg_snapshot", -1, false, Double, Extended, 0, b"bU,", false, 0, 5039, false),
    entry(5039, "_pg_snapshot", -1, false, Double, Extended, 0, b"bA,", false, 5038, 0, true),
    entry(5069, "xid8", 8, true, Double, Plain, 0, b"bU,", false, 0, 271, false),
    entry(5077, "anycompatible", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(5078, "anycompatiblearray", -1, false, Double, Extended, 0, b"pP,", false, 0, 0, false),
    entry(5079, "anycompatiblenonarray", 4, true, Int, Plain, 0, b"pP,", false, 0, 0, false),
    entry(5080, "anycompatiblerange", -1, false, Double, Extended, 0, b"pP,", false, 0, 0, false),
    entry(6101, "pg_subscription", -1, false, Double, Extended, 0, b"cC,", false, 0, 10112, false),
    entry(6150, "_int4multirange", -1, false, Int, Extended, 0, b"bA,", false, 4451, 0, true),
    entry(6151, "_nummultirange", -1, false, Int, Extended, 0, b"bA,", false, 4532, 0, true),
    entry(6152, "_tsmultirange", -1, false, Double, Extended, 0, b"bA,", false, 4533, 0, true),
    entry(6153, "_tstzmultirange", -1, false, Double, Extended, 0, b"bA,", false, 4534, 0, true),
    entry(6155, "_datemultirange", -1, false, Int, Extended, 0, b"bA,", false, 4535, 0, true),
    entry(6157, "_int8multirange", -1, false, Double, Extended, 0, b"bA,", false, 4536, 0, true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_consistent() {
        assert!(TYPES.is_sorted_by_key(|info| info.oid));
        for info in TYPES {
            if let Some(array) = type_info(info.array) {
                assert_eq!(array.element, info.oid, "{}", info.name);
            }
        }
        assert_eq!(type_info(oid::INTERVAL).map(TypeInfo::physical), Some(PhysicalType::Fixed16));
        assert_eq!(type_info(oid::TIMETZ).map(TypeInfo::physical), Some(PhysicalType::Fixed16));
        assert_eq!(type_info(oid::INT4_ARRAY).map(TypeInfo::physical), Some(PhysicalType::Varlena));
        assert_eq!(type_info(oid::REGCLASS).map(TypeInfo::physical), Some(PhysicalType::Int32));
    }
}
