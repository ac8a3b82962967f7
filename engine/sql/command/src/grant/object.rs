//! GRANT on what is no relation: databases, schemas, functions, languages, types, tablespaces.
//!
//! Realises: `ExecGrant_common`.

use std::sync::Arc;

use kokkiri_catalog::entries::FunctionEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{Acl, ObjectKind};
use kokkiri_catalog::row::CatalogRow;
use kokkiri_catalog::rows::{PgDatabase, PgLanguage, PgNamespace, PgProc, PgTablespace, PgType};
use kokkiri_parse::tree::{ObjectType, ObjectWithArgs, TypeName};
use kokkiri_primitives::{Error, Oid, Result, error};

use super::{Grant, Target, address, changed_acl, class_of};
use crate::context::CommandContext;
use crate::describe::key;

/// A row with owner and ACL.
trait Owned: CatalogRow + Clone {
    const KIND: ObjectKind;
    const LOOKUP: Lookup;
    const NOUN: &'static str;
    fn owner(&self) -> Oid;
    fn acl(&mut self) -> &mut Option<Acl>;
}

macro_rules! owned {
    ($($row:ident: $kind:ident, $lookup:ident, $noun:literal, $owner:ident, $acl:ident;)+) => {$(
        impl Owned for $row {
            const KIND: ObjectKind = ObjectKind::$kind;
            const LOOKUP: Lookup = Lookup::$lookup;
            const NOUN: &'static str = $noun;
            fn owner(&self) -> Oid {
                self.$owner
            }
            fn acl(&mut self) -> &mut Option<Acl> {
                &mut self.$acl
            }
        }
    )+};
}

owned! {
    PgDatabase: Database, DatabaseByOid, "database", datdba, datacl;
    PgNamespace: Schema, NamespaceByOid, "schema", nspowner, nspacl;
    PgProc: Function, FunctionByOid, "function", proowner, proacl;
    PgLanguage: Language, LanguageByOid, "language", lanowner, lanacl;
    PgType: Type, TypeByOid, "type", typowner, typacl;
    PgTablespace: Tablespace, TablespaceByOid, "tablespace", spcowner, spcacl;
}

pub fn grant(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    object: ObjectType,
    names: &[String],
) -> Result<()> {
    let name = names.join(".");
    match object {
        ObjectType::Database => {
            let found = context.view.database_by_name(&name)?;
            let found =
                found.ok_or_else(|| error!(INVALID_CATALOG_NAME, "database \"{name}\" does not exist"))?;
            on_row::<PgDatabase>(context, grant, found.oid, &name)
        }
        ObjectType::Schema => {
            let found = context.view.namespace_by_name(&name)?;
            let found =
                found.ok_or_else(|| error!(INVALID_SCHEMA_NAME, "schema \"{name}\" does not exist"))?;
            on_row::<PgNamespace>(context, grant, found.oid, &name)
        }
        ObjectType::Tablespace => {
            let found = context.view.tablespace_by_name(&name)?;
            let found =
                found.ok_or_else(|| error!(UNDEFINED_OBJECT, "tablespace \"{name}\" does not exist"))?;
            on_row::<PgTablespace>(context, grant, found.oid, &name)
        }
        ObjectType::Language => {
            let language = language_called(context, &name)?;
            if !language.lanpltrusted {
                return Err(error!(WRONG_OBJECT_TYPE, "language \"{name}\" is not trusted").detail(
                    "GRANT and REVOKE are not allowed on untrusted languages, because only superusers can use untrusted languages.",
                ));
            }
            on_row::<PgLanguage>(context, grant, language.oid, &name)
        }
        ObjectType::Type | ObjectType::Domain => on_type(context, grant, object, names),
        _ => Err(Error::not_supported("GRANT on this kind of object")),
    }
}

fn language_called(context: &CommandContext<'_>, name: &str) -> Result<PgLanguage> {
    for (_, values) in context.view.scan_all(PgLanguage::CATALOG)? {
        let language = PgLanguage::from_values(&values)?;
        if *language.lanname == *name {
            return Ok(language);
        }
    }
    Err(error!(UNDEFINED_OBJECT, "language \"{name}\" does not exist"))
}

fn on_type(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    object: ObjectType,
    names: &[String],
) -> Result<()> {
    let written = names.join(".");
    let (schema, bare) = match names {
        [bare] => (None, bare),
        [schema, bare] => (Some(schema.as_str()), bare),
        _ => return Err(error!(SYNTAX_ERROR, "improper qualified name (too many dotted names): {written}")),
    };
    let found = context.view.type_by_name(schema, bare)?;
    let found = found.ok_or_else(|| error!(UNDEFINED_OBJECT, "type \"{written}\" does not exist"))?;
    if object == ObjectType::Domain && found.base_type.is_none() {
        return Err(error!(WRONG_OBJECT_TYPE, "\"{bare}\" is not a domain"));
    }
    on_row::<PgType>(context, grant, found.oid, bare)
}

pub fn grant_on_function(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    function: &ObjectWithArgs,
) -> Result<()> {
    let found = function_meant(context, function)?;
    on_row::<PgProc>(context, grant, found.oid, &found.name.clone())
}

pub fn grant_on_functions_of(
    context: &mut CommandContext<'_>,
    grant: &Grant<'_>,
    namespace: Oid,
    object: ObjectType,
) -> Result<()> {
    let mut functions = Vec::new();
    for (_, values) in context.view.scan_all(PgProc::CATALOG)? {
        let function = PgProc::from_values(&values)?;
        let wanted = match object {
            ObjectType::Procedure => function.prokind == b'p',
            ObjectType::Function => function.prokind != b'p',
            _ => true,
        };
        if wanted && function.pronamespace == namespace {
            functions.push((function.oid, function.proname));
        }
    }
    for (oid, name) in functions {
        on_row::<PgProc>(context, grant, oid, &name)?;
        context.advance()?;
    }
    Ok(())
}

/// `LookupFuncWithArgs`.
fn function_meant(context: &CommandContext<'_>, function: &ObjectWithArgs) -> Result<Arc<FunctionEntry>> {
    let (schema, bare) = match function.name.as_slice() {
        [bare] => (None, bare),
        [schema, bare] => (Some(schema.as_str()), bare),
        _ => return Err(error!(SYNTAX_ERROR, "improper function name")),
    };
    let written = function.name.join(".");
    let mut candidates = context.view.functions_by_name(schema, bare)?;
    let Some(arguments) = &function.args else {
        return match candidates.len() {
            0 => Err(error!(UNDEFINED_FUNCTION, "could not find a function named \"{written}\"")),
            1 => Ok(candidates.remove(0).1),
            _ => Err(error!(AMBIGUOUS_FUNCTION, "function name \"{written}\" is not unique")
                .hint("Specify the argument list to select the function unambiguously.")),
        };
    };
    let resolve = |name: &Option<TypeName>| match name {
        Some(name) => context.resolve_type(name).map(|(oid, _)| oid),
        None => Ok(Oid::INVALID),
    };
    let types = arguments.iter().map(resolve).collect::<Result<Vec<_>>>()?;
    match candidates.into_iter().find(|(_, candidate)| candidate.arguments[..] == types[..]) {
        Some((_, found)) => Ok(found),
        None => {
            let shown: Vec<String> = types.iter().map(|oid| context.type_name(*oid)).collect();
            Err(error!(UNDEFINED_FUNCTION, "function {written}({}) does not exist", shown.join(", ")))
        }
    }
}

fn on_row<R: Owned>(context: &mut CommandContext<'_>, grant: &Grant<'_>, oid: Oid, name: &str) -> Result<()> {
    let wanted = grant.wanted(R::KIND, R::NOUN)?;
    let found = context.view.rows_to_change::<R>(R::LOOKUP, &[key(oid)])?;
    let Some(mut found) = found.into_iter().next() else {
        return Err(Error::internal(format!("cache lookup failed for {} {oid}", R::NOUN)));
    };
    let target = Target {
        address: address(class_of(R::KIND), oid),
        kind: R::KIND,
        owner: found.row.owner(),
        noun: R::NOUN,
        name,
        column: None,
        table_acl: None,
    };
    let old = found.row.acl().clone();
    if let Some(acl) = changed_acl(context, grant, &target, old, wanted, grant.is_all())? {
        *found.row.acl() = Some(acl);
        found.update(&context.view)?;
    }
    Ok(())
}
