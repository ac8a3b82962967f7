//! The composite type of a relation's rows, and the array type over it.

use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgType;
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::ValueRef;

use super::NewRelation;
use crate::context::CommandContext;
use crate::describe::key;
use crate::name::object_name;

/// Functions of all composite types: input, output, receive, send.
const RECORD_FUNCTIONS: [Oid; 4] = [Oid(2290), Oid(2291), Oid(2402), Oid(2403)];
/// Functions of all array types, with those of ANALYZE and subscripting.
const ARRAY_FUNCTIONS: [Oid; 4] = [Oid(750), Oid(751), Oid(2400), Oid(2401)];
const ARRAY_ANALYZE: Oid = Oid(3816);
const ARRAY_SUBSCRIPT: Oid = Oid(6179);

/// # Errors
/// 42710 if the schema has a type of the relation's name.
pub fn check_name(context: &CommandContext<'_>, new: &NewRelation<'_>) -> Result<()> {
    if !type_exists(context, new.namespace, new.name)? {
        return Ok(());
    }
    Err(error!(DUPLICATE_OBJECT, "type \"{}\" already exists", new.name).hint(
        "A relation has an associated type of the same name, so you must use a name that doesn't conflict \
         with any existing type.",
    ))
}

fn type_exists(context: &CommandContext<'_>, namespace: Oid, name: &str) -> Result<bool> {
    let key = [ValueRef::Bytes(name.as_bytes()), key(namespace)];
    Ok(!context.view.rows::<PgType>(Lookup::TypeByName, &key)?.is_empty())
}

/// Makes both types; returns the row type's oid.
pub fn create(context: &CommandContext<'_>, new: &NewRelation<'_>, relation: Oid) -> Result<Oid> {
    let array = context.view.new_oid(Lookup::TypeByOid)?;
    let row = context.view.new_oid(Lookup::TypeByOid)?;
    let row_type = type_row(new, row, new.name.to_owned(), array, relation);
    context.view.insert_row(row_type)?;
    let row_address = ObjectAddress::new(class::TYPE, row);
    // The relation is what is dropped; its type goes with it.
    let relation = ObjectAddress::relation(relation);
    dependency::record(&context.view, row_address, [relation], DependencyKind::Internal)?;
    let array_type = PgType {
        typtype: b'b',
        typcategory: b'A',
        typelem: row,
        typarray: Oid::INVALID,
        typrelid: Oid::INVALID,
        typsubscript: ARRAY_SUBSCRIPT,
        typinput: ARRAY_FUNCTIONS[0],
        typoutput: ARRAY_FUNCTIONS[1],
        typreceive: ARRAY_FUNCTIONS[2],
        typsend: ARRAY_FUNCTIONS[3],
        typanalyze: ARRAY_ANALYZE,
        ..type_row(new, array, array_name(context, new)?, Oid::INVALID, Oid::INVALID)
    };
    context.view.insert_row(array_type)?;
    let array_address = ObjectAddress::new(class::TYPE, array);
    dependency::record(&context.view, array_address, [row_address], DependencyKind::Internal)?;
    Ok(row)
}

/// `_name`, or the first such name with a number that is free: `makeArrayTypeName`.
fn array_name(context: &CommandContext<'_>, new: &NewRelation<'_>) -> Result<String> {
    let mut attempt = 0;
    loop {
        let name = match attempt {
            0 => object_name("", Some(new.name), ""),
            _ => object_name("", Some(new.name), &attempt.to_string()),
        };
        if !type_exists(context, new.namespace, &name)? {
            return Ok(name);
        }
        attempt += 1;
    }
}

fn type_row(new: &NewRelation<'_>, oid: Oid, name: String, array: Oid, relation: Oid) -> PgType {
    PgType {
        oid,
        typname: name.into(),
        typnamespace: new.namespace,
        typowner: new.owner,
        typlen: -1,
        typbyval: false,
        typtype: b'c',
        typcategory: b'C',
        typispreferred: false,
        typisdefined: true,
        typdelim: b',',
        typrelid: relation,
        typsubscript: Oid::INVALID,
        typelem: Oid::INVALID,
        typarray: array,
        typinput: RECORD_FUNCTIONS[0],
        typoutput: RECORD_FUNCTIONS[1],
        typreceive: RECORD_FUNCTIONS[2],
        typsend: RECORD_FUNCTIONS[3],
        typmodin: Oid::INVALID,
        typmodout: Oid::INVALID,
        typanalyze: Oid::INVALID,
        typalign: b'd',
        typstorage: b'x',
        typnotnull: false,
        typbasetype: Oid::INVALID,
        typtypmod: -1,
        typndims: 0,
        typcollation: Oid::INVALID,
        typdefaultbin: None,
        typdefault: None,
        typacl: None,
    }
}
