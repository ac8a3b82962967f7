//! OWNER TO of relations.
//!
//! Realises: `ATExecChangeOwner` (tablecmds.c). Row type, indexes, TOAST table and the sequences of its
//! columns go with a table.

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::dependency::{self, ObjectAddress, class};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{Acl, ObjectKind, Privileges};
use kokkiri_catalog::rows::PgType;
use kokkiri_parse::tree::RoleSpec;
use kokkiri_primitives::{Error, Oid, Result, error};

use crate::context::CommandContext;
use crate::describe::key;
use crate::relation::change_class;
use crate::{name, sequence};

pub fn change(context: &mut CommandContext<'_>, relation: &RelationEntry, role: &RoleSpec) -> Result<()> {
    let new = context.role_meant(role)?;
    if relation.relation.kind == RelationKind::Index {
        if relation.owner != new {
            context.notice(
                Error::warning(
                    kokkiri_primitives::SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot change owner of index \"{}\"", relation.name),
                )
                .hint("Change the ownership of the index's table instead."),
            );
        }
        return Ok(());
    }
    if relation.relation.kind == RelationKind::Sequence
        && let Some(owner) = sequence::owner_of(context, relation.oid)?
    {
        let table = context.view.expect_relation(owner.table)?;
        return Err(error!(FEATURE_NOT_SUPPORTED, "cannot change owner of sequence \"{}\"", relation.name)
            .detail(format!("Sequence \"{}\" is linked to table \"{}\".", relation.name, table.name)));
    }
    if relation.owner == new {
        return Ok(());
    }
    check_may_give(context, relation, new)?;
    give(context, relation, new)
}

/// # Errors
/// 42501 unless the role may act as the new owner, who may create in the schema.
fn check_may_give(context: &CommandContext<'_>, relation: &RelationEntry, new: Oid) -> Result<()> {
    if context.view.is_superuser(context.role())? {
        return Ok(());
    }
    name::check_owner(context, relation)?;
    context.check_can_set_role(new)?;
    let namespace = context.view.namespace(relation.namespace)?;
    let namespace = namespace.ok_or_else(|| Error::internal("the relation's schema has vanished"))?;
    let wanted = Privileges::CREATE;
    let granted =
        context.view.privileges(new, ObjectKind::Schema, namespace.owner, namespace.acl.as_ref(), wanted)?;
    if !granted.contains(wanted) {
        return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for schema {}", namespace.name));
    }
    Ok(())
}

/// Makes a role the owner of a relation and of what belongs to it.
fn give(context: &mut CommandContext<'_>, relation: &RelationEntry, new: Oid) -> Result<()> {
    let old = relation.owner;
    change_class(context, relation.oid, |row| {
        row.relowner = new;
        row.relacl = row.relacl.take().map(|acl| with_new_owner(acl, old, new));
    })?;
    let myself = ObjectAddress::relation(relation.oid);
    if relation.relation.kind != RelationKind::Toast && relation.relation.kind != RelationKind::Index {
        dependency::forget_roles(&context.view, myself, b'o')?;
        dependency::record_owner(&context.view, myself, new)?;
    }
    if let Some(row_type) = relation.row_type {
        give_type(context, row_type, new)?;
    }
    for index in &relation.indexes {
        change_class(context, index.oid, |row| row.relowner = new)?;
    }
    context.advance()?;
    if let Some(toast) = &relation.relation.toast {
        let toast = context.view.expect_relation(toast.oid)?;
        give(context, &toast, new)?;
    }
    for sequence in sequence::owned(context, relation.oid, None)? {
        let sequence = context.view.expect_relation(sequence)?;
        give(context, &sequence, new)?;
    }
    Ok(())
}

/// A row type's owner is its table's; its array type's too.
fn give_type(context: &CommandContext<'_>, type_oid: Oid, new: Oid) -> Result<()> {
    for mut found in context.view.rows_to_change::<PgType>(Lookup::TypeByOid, &[key(type_oid)])? {
        let array = found.row.typarray;
        found.row.typowner = new;
        found.update(&context.view)?;
        let myself = ObjectAddress::new(class::TYPE, type_oid);
        dependency::forget_roles(&context.view, myself, b'o')?;
        if let Some(array) = array.valid() {
            give_type(context, array, new)?;
        }
    }
    Ok(())
}

/// Grants by and to the old owner become the new one's: `aclnewowner`.
fn with_new_owner(mut acl: Acl, old: Oid, new: Oid) -> Acl {
    for item in &mut acl.0 {
        if item.grantor == old {
            item.grantor = new;
        }
        if item.grantee == Some(old) {
            item.grantee = Some(new);
        }
    }
    acl
}
