//! The schema of a session's temporary objects.
//!
//! Realises: `InitTempTableNamespace`, `RemoveTempRelations` (namespace.c). The schema pg_temp_N belongs to
//! the backend slot N and is made when a session in that slot first needs it; it stays for later sessions,
//! its contents don't.

use kokkiri_catalog::bootstrap::BOOTSTRAP_SUPERUSER;
use kokkiri_catalog::dependency::{Behavior, Deletion, ObjectAddress, class, dependents_of};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::rows::PgNamespace;
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Error, Oid, Result, error};

use crate::context::CommandContext;
use crate::drop;

/// The session's schema for temporary objects, made if it has none yet.
pub fn namespace(context: &mut CommandContext<'_>) -> Result<Oid> {
    let view = context.view;
    let pages = view.settings.get(parameters::TEMP_BUFFERS) as usize;
    // Once there are local buffers their number stays.
    if !view.cluster().buffers.has_local(view.transaction.proc()) {
        view.cluster().buffers.set_local_frames(view.transaction.proc(), pages)?;
    }
    // A schema made by a transaction that was rolled back is gone.
    if let Some(own) = view.session.temp_namespace()
        && view.namespace(own)?.is_some()
    {
        return Ok(own);
    }
    let database = view
        .database(view.database_oid())?
        .ok_or_else(|| Error::internal("the session's database is not in pg_database"))?;
    let wanted = Privileges::CREATE_TEMP;
    let granted =
        view.privileges(context.role(), ObjectKind::Database, database.owner, database.acl.as_ref(), wanted)?;
    if !granted.contains(wanted) {
        return Err(error!(
            INSUFFICIENT_PRIVILEGE,
            "permission denied to create temporary tables in database \"{}\"", database.name
        ));
    }
    if view.transaction.is_read_only() && view.cluster().transactions.in_recovery() {
        return Err(error!(READ_ONLY_SQL_TRANSACTION, "cannot create temporary tables during recovery"));
    }
    let number = view.transaction.proc();
    let temp = match view.namespace_by_name(&format!("pg_temp_{number}"))? {
        Some(left_behind) => {
            remove_contents(context, left_behind.oid)?;
            left_behind.oid
        }
        None => create_namespace(context, &format!("pg_temp_{number}"))?,
    };
    let toast = match view.namespace_by_name(&format!("pg_toast_temp_{number}"))? {
        Some(namespace) => namespace.oid,
        None => create_namespace(context, &format!("pg_toast_temp_{number}"))?,
    };
    view.session.set_temp_namespace(Some((temp, toast)));
    Ok(temp)
}

fn create_namespace(context: &CommandContext<'_>, name: &str) -> Result<Oid> {
    let oid = context.view.new_oid(Lookup::NamespaceByOid)?;
    let row = PgNamespace { oid, nspname: name.into(), nspowner: BOOTSTRAP_SUPERUSER, nspacl: None };
    context.view.insert_row(row)?;
    context.advance()?;
    Ok(oid)
}

/// Drops all temporary objects of the session, as it does when it ends and DISCARD TEMP does.
pub fn remove_temporary_objects(context: &mut CommandContext<'_>) -> Result<()> {
    match context.view.session.temp_namespace() {
        Some(own) if context.view.namespace(own)?.is_some() => remove_contents(context, own),
        _ => Ok(()),
    }
}

fn remove_contents(context: &mut CommandContext<'_>, namespace: Oid) -> Result<()> {
    let rows = dependents_of(&context.view, ObjectAddress::new(class::NAMESPACE, namespace))?;
    let contents: Vec<ObjectAddress> = rows
        .iter()
        .map(|row| ObjectAddress { class: row.classid, object: row.objid, sub: row.objsubid })
        .collect();
    if contents.is_empty() {
        return Ok(());
    }
    let view = context.view;
    let describe = |object| context.describe(object);
    let deletion = Deletion::plan(&view, &contents, Behavior::Cascade, &describe)?;
    drop::carry_out(context, &deletion.objects)
}
