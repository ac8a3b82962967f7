//! Rows of the system catalogs as structs, a struct a catalog, field names those of the columns.
//!
//! The order of the fields is that of the columns; a test holds it against the catalogs' own description.

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Oid, TransactionId};

use crate::privilege::Acl;
use crate::row::{AnyArray, Array, Int2Vector, Name, OidVector, catalog_rows};

catalog_rows! {
    /// A relation: table, index, sequence, view, TOAST table, composite type.
    PgClass = 1259 {
        oid: Oid,
        relname: Name,
        relnamespace: Oid,
        reltype: Oid,
        reloftype: Oid,
        relowner: Oid,
        relam: Oid,
        relfilenode: Oid,
        reltablespace: Oid,
        relpages: i32,
        reltuples: f32,
        relallvisible: i32,
        relallfrozen: i32,
        reltoastrelid: Oid,
        relhasindex: bool,
        relisshared: bool,
        relpersistence: u8,
        relkind: u8,
        relnatts: i16,
        relchecks: i16,
        relhasrules: bool,
        relhastriggers: bool,
        relhassubclass: bool,
        relrowsecurity: bool,
        relforcerowsecurity: bool,
        relispopulated: bool,
        relreplident: u8,
        relispartition: bool,
        relrewrite: Oid,
        relfrozenxid: TransactionId,
        relminmxid: TransactionId,
        relacl: Option<Acl>,
        reloptions: Option<Array<String>>,
        relpartbound: Option<String>,
    }
    /// A column of a relation.
    PgAttribute = 1249 {
        attrelid: Oid,
        attname: Name,
        atttypid: Oid,
        attlen: i16,
        attnum: i16,
        atttypmod: i32,
        attndims: i16,
        attbyval: bool,
        attalign: u8,
        attstorage: u8,
        attcompression: u8,
        attnotnull: bool,
        atthasdef: bool,
        atthasmissing: bool,
        attidentity: u8,
        attgenerated: u8,
        attisdropped: bool,
        attislocal: bool,
        attinhcount: i16,
        attcollation: Oid,
        attstattarget: Option<i16>,
        attacl: Option<Acl>,
        attoptions: Option<Array<String>>,
        attfdwoptions: Option<Array<String>>,
        attmissingval: Option<AnyArray>,
    }
    /// A data type.
    PgType = 1247 {
        oid: Oid,
        typname: Name,
        typnamespace: Oid,
        typowner: Oid,
        typlen: i16,
        typbyval: bool,
        typtype: u8,
        typcategory: u8,
        typispreferred: bool,
        typisdefined: bool,
        typdelim: u8,
        typrelid: Oid,
        typsubscript: Oid,
        typelem: Oid,
        typarray: Oid,
        typinput: Oid,
        typoutput: Oid,
        typreceive: Oid,
        typsend: Oid,
        typmodin: Oid,
        typmodout: Oid,
        typanalyze: Oid,
        typalign: u8,
        typstorage: u8,
        typnotnull: bool,
        typbasetype: Oid,
        typtypmod: i32,
        typndims: i32,
        typcollation: Oid,
        typdefaultbin: Option<String>,
        typdefault: Option<String>,
        typacl: Option<Acl>,
    }
    /// A function, procedure, aggregate or window function.
    PgProc = 1255 {
        oid: Oid,
        proname: Name,
        pronamespace: Oid,
        proowner: Oid,
        prolang: Oid,
        procost: f32,
        prorows: f32,
        provariadic: Oid,
        prosupport: Oid,
        prokind: u8,
        prosecdef: bool,
        proleakproof: bool,
        proisstrict: bool,
        proretset: bool,
        provolatile: u8,
        proparallel: u8,
        pronargs: i16,
        pronargdefaults: i16,
        prorettype: Oid,
        proargtypes: OidVector,
        proallargtypes: Option<Array<Oid>>,
        proargmodes: Option<Array<u8>>,
        proargnames: Option<Array<String>>,
        proargdefaults: Option<String>,
        protrftypes: Option<Array<Oid>>,
        prosrc: String,
        probin: Option<String>,
        prosqlbody: Option<String>,
        proconfig: Option<Array<String>>,
        proacl: Option<Acl>,
    }
    /// What pg_class does not say of an index.
    PgIndex = 2610 {
        indexrelid: Oid,
        indrelid: Oid,
        indnatts: i16,
        indnkeyatts: i16,
        indisunique: bool,
        indnullsnotdistinct: bool,
        indisprimary: bool,
        indisexclusion: bool,
        indimmediate: bool,
        indisclustered: bool,
        indisvalid: bool,
        indcheckxmin: bool,
        indisready: bool,
        indislive: bool,
        indisreplident: bool,
        indkey: Int2Vector,
        indcollation: OidVector,
        indclass: OidVector,
        indoption: Int2Vector,
        indexprs: Option<String>,
        indpred: Option<String>,
    }
    /// A constraint of a table or domain.
    PgConstraint = 2606 {
        oid: Oid,
        conname: Name,
        connamespace: Oid,
        contype: u8,
        condeferrable: bool,
        condeferred: bool,
        conenforced: bool,
        convalidated: bool,
        conrelid: Oid,
        contypid: Oid,
        conindid: Oid,
        conparentid: Oid,
        confrelid: Oid,
        confupdtype: u8,
        confdeltype: u8,
        confmatchtype: u8,
        conislocal: bool,
        coninhcount: i16,
        connoinherit: bool,
        conperiod: bool,
        conkey: Option<Array<i16>>,
        confkey: Option<Array<i16>>,
        conpfeqop: Option<Array<Oid>>,
        conppeqop: Option<Array<Oid>>,
        conffeqop: Option<Array<Oid>>,
        confdelsetcols: Option<Array<i16>>,
        conexclop: Option<Array<Oid>>,
        conbin: Option<String>,
    }
    /// The default or generation expression of a column.
    PgAttrdef = 2604 {
        oid: Oid,
        adrelid: Oid,
        adnum: i16,
        adbin: String,
    }
    /// A schema.
    PgNamespace = 2615 {
        oid: Oid,
        nspname: Name,
        nspowner: Oid,
        nspacl: Option<Acl>,
    }
    /// A role. Shared.
    PgAuthid = 1260 {
        oid: Oid,
        rolname: Name,
        rolsuper: bool,
        rolinherit: bool,
        rolcreaterole: bool,
        rolcreatedb: bool,
        rolcanlogin: bool,
        rolreplication: bool,
        rolbypassrls: bool,
        rolconnlimit: i32,
        rolpassword: Option<String>,
        rolvaliduntil: Option<TimestampTz>,
    }
    /// Membership of a role in another. Shared.
    PgAuthMembers = 1261 {
        oid: Oid,
        roleid: Oid,
        member: Oid,
        grantor: Oid,
        admin_option: bool,
        inherit_option: bool,
        set_option: bool,
    }
    /// A database. Shared.
    PgDatabase = 1262 {
        oid: Oid,
        datname: Name,
        datdba: Oid,
        encoding: i32,
        datlocprovider: u8,
        datistemplate: bool,
        datallowconn: bool,
        dathasloginevt: bool,
        datconnlimit: i32,
        datfrozenxid: TransactionId,
        datminmxid: TransactionId,
        dattablespace: Oid,
        datcollate: String,
        datctype: String,
        datlocale: Option<String>,
        daticurules: Option<String>,
        datcollversion: Option<String>,
        datacl: Option<Acl>,
    }
    /// A dependency between objects of one database.
    PgDepend = 2608 {
        classid: Oid,
        objid: Oid,
        objsubid: i32,
        refclassid: Oid,
        refobjid: Oid,
        refobjsubid: i32,
        deptype: u8,
    }
    /// A dependency on a shared object. Shared.
    PgShdepend = 1214 {
        dbid: Oid,
        classid: Oid,
        objid: Oid,
        objsubid: i32,
        refclassid: Oid,
        refobjid: Oid,
        deptype: u8,
    }
    /// A comment.
    PgDescription = 2609 {
        objoid: Oid,
        classoid: Oid,
        objsubid: i32,
        description: String,
    }
    /// A comment on an object of no database. Shared.
    PgShdescription = 2396 {
        objoid: Oid,
        classoid: Oid,
        description: String,
    }
    /// Parameters of a sequence.
    PgSequence = 2224 {
        seqrelid: Oid,
        seqtypid: Oid,
        seqstart: i64,
        seqincrement: i64,
        seqmax: i64,
        seqmin: i64,
        seqcache: i64,
        seqcycle: bool,
    }
    /// What ANALYZE found out about a column.
    PgStatistic = 2619 {
        starelid: Oid,
        staattnum: i16,
        stainherit: bool,
        stanullfrac: f32,
        stawidth: i32,
        stadistinct: f32,
        stakind1: i16,
        stakind2: i16,
        stakind3: i16,
        stakind4: i16,
        stakind5: i16,
        staop1: Oid,
        staop2: Oid,
        staop3: Oid,
        staop4: Oid,
        staop5: Oid,
        stacoll1: Oid,
        stacoll2: Oid,
        stacoll3: Oid,
        stacoll4: Oid,
        stacoll5: Oid,
        stanumbers1: Option<Array<f32>>,
        stanumbers2: Option<Array<f32>>,
        stanumbers3: Option<Array<f32>>,
        stanumbers4: Option<Array<f32>>,
        stanumbers5: Option<Array<f32>>,
        stavalues1: Option<AnyArray>,
        stavalues2: Option<AnyArray>,
        stavalues3: Option<AnyArray>,
        stavalues4: Option<AnyArray>,
        stavalues5: Option<AnyArray>,
    }
    /// A trigger.
    PgTrigger = 2620 {
        oid: Oid,
        tgrelid: Oid,
        tgparentid: Oid,
        tgname: Name,
        tgfoid: Oid,
        tgtype: i16,
        tgenabled: u8,
        tgisinternal: bool,
        tgconstrrelid: Oid,
        tgconstrindid: Oid,
        tgconstraint: Oid,
        tgdeferrable: bool,
        tginitdeferred: bool,
        tgnargs: i16,
        tgattr: Int2Vector,
        tgargs: Vec<u8>,
        tgqual: Option<String>,
        tgoldtable: Option<Name>,
        tgnewtable: Option<Name>,
    }
    /// A rewrite rule: a view's query.
    PgRewrite = 2618 {
        oid: Oid,
        rulename: Name,
        ev_class: Oid,
        ev_type: u8,
        ev_enabled: u8,
        is_instead: bool,
        ev_qual: String,
        ev_action: String,
    }
    /// An operator.
    PgOperator = 2617 {
        oid: Oid,
        oprname: Name,
        oprnamespace: Oid,
        oprowner: Oid,
        oprkind: u8,
        oprcanmerge: bool,
        oprcanhash: bool,
        oprleft: Oid,
        oprright: Oid,
        oprresult: Oid,
        oprcom: Oid,
        oprnegate: Oid,
        oprcode: Oid,
        oprrest: Oid,
        oprjoin: Oid,
    }
    /// A conversion between types.
    PgCast = 2605 {
        oid: Oid,
        castsource: Oid,
        casttarget: Oid,
        castfunc: Oid,
        castcontext: u8,
        castmethod: u8,
    }
    /// What pg_proc does not say of an aggregate.
    PgAggregate = 2600 {
        aggfnoid: Oid,
        aggkind: u8,
        aggnumdirectargs: i16,
        aggtransfn: Oid,
        aggfinalfn: Oid,
        aggcombinefn: Oid,
        aggserialfn: Oid,
        aggdeserialfn: Oid,
        aggmtransfn: Oid,
        aggminvtransfn: Oid,
        aggmfinalfn: Oid,
        aggfinalextra: bool,
        aggmfinalextra: bool,
        aggfinalmodify: u8,
        aggmfinalmodify: u8,
        aggsortop: Oid,
        aggtranstype: Oid,
        aggtransspace: i32,
        aggmtranstype: Oid,
        aggmtransspace: i32,
        agginitval: Option<String>,
        aggminitval: Option<String>,
    }
    /// An operator class of an index method.
    PgOpclass = 2616 {
        oid: Oid,
        opcmethod: Oid,
        opcname: Name,
        opcnamespace: Oid,
        opcowner: Oid,
        opcfamily: Oid,
        opcintype: Oid,
        opcdefault: bool,
        opckeytype: Oid,
    }
    /// An operator family.
    PgOpfamily = 2753 {
        oid: Oid,
        opfmethod: Oid,
        opfname: Name,
        opfnamespace: Oid,
        opfowner: Oid,
    }
    /// An operator of an operator family.
    PgAmop = 2602 {
        oid: Oid,
        amopfamily: Oid,
        amoplefttype: Oid,
        amoprighttype: Oid,
        amopstrategy: i16,
        amoppurpose: u8,
        amopopr: Oid,
        amopmethod: Oid,
        amopsortfamily: Oid,
    }
    /// A support function of an operator family.
    PgAmproc = 2603 {
        oid: Oid,
        amprocfamily: Oid,
        amproclefttype: Oid,
        amprocrighttype: Oid,
        amprocnum: i16,
        amproc: Oid,
    }
    /// A collation.
    PgCollation = 3456 {
        oid: Oid,
        collname: Name,
        collnamespace: Oid,
        collowner: Oid,
        collprovider: u8,
        collisdeterministic: bool,
        collencoding: i32,
        collcollate: Option<String>,
        collctype: Option<String>,
        colllocale: Option<String>,
        collicurules: Option<String>,
        collversion: Option<String>,
    }
    /// A tablespace. Shared.
    PgTablespace = 1213 {
        oid: Oid,
        spcname: Name,
        spcowner: Oid,
        spcacl: Option<Acl>,
        spcoptions: Option<Array<String>>,
    }
    /// Settings of a role or database. Shared.
    PgDbRoleSetting = 2964 {
        setdatabase: Oid,
        setrole: Oid,
        setconfig: Option<Array<String>>,
    }
    /// A parent of a table.
    PgInherits = 2611 {
        inhrelid: Oid,
        inhparent: Oid,
        inhseqno: i32,
        inhdetachpending: bool,
    }
    /// An access method.
    PgAm = 2601 {
        oid: Oid,
        amname: Name,
        amhandler: Oid,
        amtype: u8,
    }
    /// An extension that has been created in the database.
    PgExtension = 3079 {
        oid: Oid,
        extname: Name,
        extowner: Oid,
        extnamespace: Oid,
        extrelocatable: bool,
        extversion: String,
        extconfig: Option<Array<Oid>>,
        extcondition: Option<Array<String>>,
    }
    /// A language of functions.
    PgLanguage = 2612 {
        oid: Oid,
        lanname: Name,
        lanowner: Oid,
        lanispl: bool,
        lanpltrusted: bool,
        lanplcallfoid: Oid,
        laninline: Oid,
        lanvalidator: Oid,
        lanacl: Option<Acl>,
    }
}
