//! TOAST tables: which relations need one, and making it.
//!
//! Realises: toasting.c, `heapam_relation_needs_toast_table`.

use kokkiri_access::relation::{RelationKind, RelationOptions};
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::row::Array;
use kokkiri_catalog::view::PG_TOAST;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::builtin::oid;
use kokkiri_types::{Attribute, AttributeStorage};

use super::{NewColumn, NewRelation, change_class, create as create_relation};
use crate::context::CommandContext;
use crate::index::{self, NewIndex, NewIndexColumn};
use crate::options;

/// A row longer than this is shortened by TOAST.
const TUPLE_THRESHOLD: i64 = 2032;
/// Longest UTF-8 character.
const CHARACTER_BYTES_MAX: i64 = 4;
const OID_OPS: Oid = Oid(1981);
const INT4_OPS: Oid = Oid(1978);

/// True if some row of the shape could be too long for a page's quarter.
fn is_needed(attributes: &[Attribute]) -> bool {
    let (mut length, mut unknown, mut toastable) = (0i64, false, false);
    const VIRTUAL: u8 = b'v';
    for attribute in attributes.iter().filter(|attribute| !attribute.dropped) {
        if attribute.generated == VIRTUAL {
            continue;
        }
        length = attribute.align.up(length as usize) as i64;
        if attribute.length > 0 {
            length += i64::from(attribute.length);
            continue;
        }
        match longest(attribute.type_oid, attribute.typmod) {
            Some(bytes) => length += bytes,
            None => unknown = true,
        }
        toastable |= attribute.storage != AttributeStorage::Plain;
    }
    let align = |bytes: i64| (bytes + 7) & !7;
    let header = align(23 + (attributes.len() as i64 + 7) / 8);
    toastable && (unknown || header + align(length) > TUPLE_THRESHOLD)
}

/// Longest value of a variable-length type, if its typmod bounds it: `type_maximum_size`.
fn longest(type_oid: Oid, typmod: i32) -> Option<i64> {
    let typmod = i64::from(typmod);
    if typmod < 0 {
        return None;
    }
    match type_oid {
        oid::BPCHAR | oid::VARCHAR => Some((typmod - 4) * CHARACTER_BYTES_MAX + 4),
        oid::NUMERIC => {
            let precision = (typmod - 4) >> 16 & 0xffff;
            Some(8 + (precision + 6) / 4 * 2)
        }
        oid::BIT | oid::VARBIT => Some((typmod + 7) / 8 + 8),
        _ => None,
    }
}

/// Gives a table that needs one and has none its TOAST table, with these `toast.` parameters.
pub fn create_if_needed(
    context: &mut CommandContext<'_>,
    table: &RelationEntry,
    parameters: Option<Array<String>>,
) -> Result<()> {
    RelationOptions::for_toast(options::pairs(parameters.as_ref()))?;
    if table.relation.toast.is_some() || !is_needed(&table.relation.tuple_desc) {
        return Ok(());
    }
    let session = context.view.session;
    let namespace = match table.relation.is_temporary() {
        true => session
            .temp_toast_namespace()
            .ok_or_else(|| Error::internal("the session has no temporary schema"))?,
        false => PG_TOAST,
    };
    let name = format!("pg_toast_{}", table.oid);
    let plain = |name, type_oid| NewColumn {
        storage: Some(AttributeStorage::Plain),
        ..NewColumn::plain(name, type_oid)
    };
    let columns =
        [plain("chunk_id", oid::OID), plain("chunk_seq", oid::INT4), plain("chunk_data", oid::BYTEA)];
    let toast = create_relation(
        context,
        &NewRelation {
            name: &name,
            namespace,
            owner: table.owner,
            kind: RelationKind::Toast,
            persistence: table.relation.persistence,
            columns: &columns,
            options: parameters,
        },
    )?;
    context.advance()?;
    let toast_entry = context.view.expect_relation(toast)?;
    let key =
        |number, opclass| NewIndexColumn { number, collation: Oid::INVALID, opclass, option: 0, key: true };
    let new_index = NewIndex {
        name: format!("{name}_index"),
        columns: vec![key(1, OID_OPS), key(2, INT4_OPS)],
        unique: true,
        primary: true,
        ..NewIndex::default()
    };
    index::create(context, &toast_entry, new_index)?;
    change_class(context, table.oid, |row| row.reltoastrelid = toast)?;
    let (base, toast) = (ObjectAddress::relation(table.oid), ObjectAddress::relation(toast));
    dependency::record(&context.view, toast, [base], DependencyKind::Internal)?;
    context.advance()
}
