//! Catalog rows into entries: letters into enums, zero oids into `None`.

use std::sync::Arc;

use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::{Align, AttributeStorage, PhysicalType};

use crate::entries::*;
use crate::row::Array;
use crate::rows::*;

pub fn type_entry(row: PgType) -> Result<TypeEntry> {
    let bad = |what: &str| Error::data_corrupted(format!("type \"{}\" has an invalid {what}", row.typname));
    let align = Align::try_from(row.typalign).map_err(|()| bad("alignment"))?;
    let storage = AttributeStorage::try_from(row.typstorage).map_err(|()| bad("storage strategy"))?;
    Ok(TypeEntry {
        oid: row.oid,
        physical: physical_type(row.oid, row.typlen, row.typbyval).ok_or_else(|| bad("length"))?,
        kind: TypeKind::try_from(row.typtype)?,
        name: row.typname,
        namespace: row.typnamespace,
        owner: row.typowner,
        length: row.typlen,
        by_value: row.typbyval,
        category: row.typcategory,
        preferred: row.typispreferred,
        defined: row.typisdefined,
        delimiter: row.typdelim,
        relation: row.typrelid.valid(),
        subscript: row.typsubscript.valid(),
        element: row.typelem.valid(),
        array: row.typarray.valid(),
        input: row.typinput,
        output: row.typoutput,
        receive: row.typreceive.valid(),
        send: row.typsend.valid(),
        typmod_in: row.typmodin.valid(),
        typmod_out: row.typmodout.valid(),
        align,
        storage,
        not_null: row.typnotnull,
        base_type: row.typbasetype.valid(),
        typmod: row.typtypmod,
        collation: row.typcollation,
        default_bin: row.typdefaultbin.map(Into::into),
        default: row.typdefault.map(Into::into),
        acl: row.typacl,
    })
}

/// How values of a type travel: known for built-in types, and by length for those that users make.
pub fn physical_type(oid: Oid, length: i16, by_value: bool) -> Option<PhysicalType> {
    if let Some(info) = kokkiri_types::builtin::type_info(oid) {
        return Some(info.physical());
    }
    Some(match (length, by_value) {
        (-1, _) => PhysicalType::Varlena,
        (-2, _) => PhysicalType::CString,
        (1, true) => PhysicalType::Char,
        (2, true) => PhysicalType::Int16,
        (4, true) => PhysicalType::Int32,
        (8, true) => PhysicalType::Int64,
        (1..=16, false) => PhysicalType::Fixed16,
        (17.., false) => PhysicalType::FixedBytes,
        _ => return None,
    })
}

pub fn function_entry(row: PgProc) -> Result<FunctionEntry> {
    let inputs = row.proargtypes.0;
    let names = row.proargnames.map_or_else(Vec::new, |names| names.0);
    let name =
        |index: usize| names.get(index).filter(|name| !name.is_empty()).map(|name| Arc::from(name.as_str()));
    let modes = row.proargmodes.map_or_else(Vec::new, |modes| modes.0);
    let all = row.proallargtypes.map_or_else(|| inputs.clone(), |types| types.0);
    let declare = |(index, type_oid): (usize, &Oid)| {
        let mode = modes.get(index).map_or(Ok(ArgumentMode::In), |mode| ArgumentMode::try_from(*mode))?;
        Ok(Argument { type_oid: *type_oid, mode, name: name(index) })
    };
    Ok(FunctionEntry {
        oid: row.oid,
        declared: all.iter().enumerate().map(declare).collect::<Result<_>>()?,
        kind: FunctionKind::try_from(row.prokind)?,
        volatility: Volatility::try_from(row.provolatile)?,
        name: row.proname,
        namespace: row.pronamespace,
        owner: row.proowner,
        language: row.prolang,
        cost: row.procost,
        rows: row.prorows,
        variadic: row.provariadic.valid(),
        support: row.prosupport.valid(),
        security_definer: row.prosecdef,
        leakproof: row.proleakproof,
        strict: row.proisstrict,
        returns_set: row.proretset,
        parallel: row.proparallel,
        default_count: row.pronargdefaults as usize,
        defaults: row.proargdefaults.map(Into::into),
        returns: row.prorettype,
        arguments: inputs.into(),
        source: row.prosrc.into(),
        config: row.proconfig.map(|config| config.0.into_iter().map(Into::into).collect()),
        acl: row.proacl,
    })
}

pub fn aggregate_entry(row: PgAggregate) -> Result<AggregateEntry> {
    Ok(AggregateEntry {
        function: row.aggfnoid,
        kind: AggregateKind::try_from(row.aggkind)?,
        direct_arguments: row.aggnumdirectargs,
        transition: row.aggtransfn,
        finale: row.aggfinalfn.valid(),
        combine: row.aggcombinefn.valid(),
        final_extra: row.aggfinalextra,
        sort_operator: row.aggsortop.valid(),
        transition_type: row.aggtranstype,
        transition_space: row.aggtransspace,
        initial: row.agginitval.map(Into::into),
        moving_transition: row.aggmtransfn.valid(),
    })
}

pub fn operator_entry(row: PgOperator) -> Result<OperatorEntry> {
    Ok(OperatorEntry {
        oid: row.oid,
        name: row.oprname,
        namespace: row.oprnamespace,
        owner: row.oprowner,
        left: row.oprleft.valid(),
        right: row.oprright,
        result: row.oprresult,
        commutator: row.oprcom.valid(),
        negator: row.oprnegate.valid(),
        function: row.oprcode,
        restrict: row.oprrest.valid(),
        join: row.oprjoin.valid(),
        can_merge: row.oprcanmerge,
        can_hash: row.oprcanhash,
    })
}

pub fn cast_entry(row: PgCast) -> Result<CastEntry> {
    Ok(CastEntry {
        oid: row.oid,
        source: row.castsource,
        target: row.casttarget,
        function: row.castfunc.valid(),
        context: CastContext::try_from(row.castcontext)?,
        method: CastMethod::try_from(row.castmethod)?,
    })
}

pub fn opclass_entry(row: PgOpclass) -> Result<OpclassEntry> {
    Ok(OpclassEntry {
        oid: row.oid,
        method: row.opcmethod,
        name: row.opcname,
        namespace: row.opcnamespace,
        family: row.opcfamily,
        input_type: row.opcintype,
        is_default: row.opcdefault,
        key_type: row.opckeytype.valid(),
    })
}

pub fn collation_entry(row: PgCollation) -> Result<CollationEntry> {
    Ok(CollationEntry {
        oid: row.oid,
        name: row.collname,
        namespace: row.collnamespace,
        provider: row.collprovider,
        deterministic: row.collisdeterministic,
        encoding: row.collencoding,
    })
}

pub fn namespace_entry(row: PgNamespace) -> Result<NamespaceEntry> {
    Ok(NamespaceEntry { oid: row.oid, name: row.nspname, owner: row.nspowner, acl: row.nspacl })
}

pub fn role_entry(row: PgAuthid) -> Result<RoleEntry> {
    Ok(RoleEntry {
        oid: row.oid,
        name: row.rolname,
        superuser: row.rolsuper,
        inherit: row.rolinherit,
        create_role: row.rolcreaterole,
        create_database: row.rolcreatedb,
        can_login: row.rolcanlogin,
        replication: row.rolreplication,
        bypass_row_security: row.rolbypassrls,
        connection_limit: row.rolconnlimit,
        password: row.rolpassword.map(Into::into),
        valid_until: row.rolvaliduntil.map(|until| until.0),
    })
}

pub fn database_entry(row: PgDatabase) -> Result<DatabaseEntry> {
    Ok(DatabaseEntry {
        oid: row.oid,
        name: row.datname,
        owner: row.datdba,
        encoding: row.encoding,
        is_template: row.datistemplate,
        allow_connections: row.datallowconn,
        connection_limit: row.datconnlimit,
        frozen_xid: row.datfrozenxid,
        tablespace: row.dattablespace,
        collate: row.datcollate.into(),
        ctype: row.datctype.into(),
        acl: row.datacl,
    })
}

pub fn constraint_entry(row: PgConstraint) -> Result<ConstraintEntry> {
    let kind = ConstraintKind::try_from(row.contype)?;
    let numbers =
        |array: Option<Array<i16>>| array.map_or_else(Box::default, |array| array.0.into_boxed_slice());
    let oids =
        |array: Option<Array<Oid>>| array.map_or_else(Box::default, |array| array.0.into_boxed_slice());
    let foreign = match kind {
        ConstraintKind::Foreign => Some(ForeignKey {
            relation: row.confrelid,
            key: numbers(row.confkey),
            pf_equal: oids(row.conpfeqop),
            pp_equal: oids(row.conppeqop),
            ff_equal: oids(row.conffeqop),
            on_update: ForeignKeyAction::try_from(row.confupdtype)?,
            on_delete: ForeignKeyAction::try_from(row.confdeltype)?,
            match_kind: ForeignKeyMatch::try_from(row.confmatchtype)?,
            set_columns: numbers(row.confdelsetcols),
        }),
        _ => None,
    };
    Ok(ConstraintEntry {
        oid: row.oid,
        name: row.conname,
        namespace: row.connamespace,
        kind,
        deferrable: row.condeferrable,
        deferred: row.condeferred,
        enforced: row.conenforced,
        validated: row.convalidated,
        relation: row.conrelid,
        index: row.conindid.valid(),
        key: numbers(row.conkey),
        foreign,
        check: row.conbin.map(Into::into),
        is_local: row.conislocal,
        inherit_count: row.coninhcount,
        no_inherit: row.connoinherit,
    })
}

pub fn trigger_entry(row: PgTrigger) -> Result<TriggerEntry> {
    Ok(TriggerEntry {
        oid: row.oid,
        name: row.tgname,
        function: row.tgfoid,
        kind: row.tgtype,
        enabled: row.tgenabled,
        is_internal: row.tgisinternal,
        constraint: row.tgconstraint.valid(),
    })
}

pub fn statistic_entry(row: PgStatistic) -> Result<StatisticEntry> {
    let kinds = [row.stakind1, row.stakind2, row.stakind3, row.stakind4, row.stakind5];
    let operators = [row.staop1, row.staop2, row.staop3, row.staop4, row.staop5];
    let collations = [row.stacoll1, row.stacoll2, row.stacoll3, row.stacoll4, row.stacoll5];
    let numbers = [row.stanumbers1, row.stanumbers2, row.stanumbers3, row.stanumbers4, row.stanumbers5];
    let values = [row.stavalues1, row.stavalues2, row.stavalues3, row.stavalues4, row.stavalues5];
    let mut slots = Vec::new();
    for (index, (numbers, values)) in numbers.into_iter().zip(values).enumerate() {
        if kinds[index] == 0 {
            continue;
        }
        let values = match values {
            Some(array) => crate::row::any_array_elements(&array)?,
            None => Vec::new(),
        };
        slots.push(StatisticSlot {
            kind: kinds[index],
            operator: operators[index].valid(),
            collation: collations[index].valid(),
            numbers: numbers.map_or_else(Box::default, |numbers| numbers.0.into_boxed_slice()),
            values: values.into(),
        });
    }
    Ok(StatisticEntry {
        null_fraction: row.stanullfrac,
        width: row.stawidth,
        distinct: row.stadistinct,
        slots: slots.into(),
    })
}
