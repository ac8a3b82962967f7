//! The system views of a new cluster.
//!
//! Realises: what PostgreSQL's initdb does with system_views.sql, and its grants. The statements run through
//! the parser, the analyzer and the commands as any client's would; only the permission to make something in
//! pg_catalog is special.

use kokkiri_catalog::facts;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{Acl, AclItem, ObjectKind, Privileges};
use kokkiri_catalog::rows::PgClass;
use kokkiri_catalog::view::CatalogView;
use kokkiri_command::{CommandContext, NoPasswords};
use kokkiri_functions::{CallContext, SessionInfo};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::ValueRef;
use kokkiri_types::io::IoSettings;

const PG_CATALOG: Oid = Oid(11);
const PG_READ_ALL_STATS: Oid = Oid(3375);

/// Views that only their owner reads: what they show is secret, or tells of files.
const PRIVATE: [&str; 6] = [
    "pg_config",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_replication_origin_status",
    "pg_shadow",
];

/// Views for the members of pg_read_all_stats.
const FOR_STATISTICS_READERS: [&str; 4] =
    ["pg_aios", "pg_backend_memory_contexts", "pg_shmem_allocations", "pg_shmem_allocations_numa"];

/// Makes the system views. The transaction is the caller's to commit.
pub fn create(view: &CatalogView<'_>) -> Result<()> {
    let io = IoSettings::from_settings(view.settings, TimestampTz(0))?;
    let info = SessionInfo::default();
    let mut context = CommandContext {
        view: *view,
        call: CallContext { catalog: Some(*view), ..CallContext::new(&io, &info) },
        io: &io,
        session_role: view.role,
        in_transaction_block: true,
        commits_at_once: false,
        passwords: &NoPasswords,
        checkpoint: &|| Ok(()),
        extension: None,
        notices: Vec::new(),
    };
    for statement in facts::system_views() {
        for raw in kokkiri_parse::parse(statement)? {
            kokkiri_command::execute(&mut context, &raw.statement)?;
        }
    }
    grant(&context)
}

/// Lets everybody read the views, but for those that are not for everybody.
fn grant(context: &CommandContext<'_>) -> Result<()> {
    let view = &context.view;
    for name in facts::system_views().filter_map(facts::system_view_name) {
        let key = [ValueRef::Bytes(name.as_bytes()), ValueRef::Int32(PG_CATALOG.0 as i32)];
        for mut found in view.rows_to_change::<PgClass>(Lookup::RelationByName, &key)? {
            let Acl(mut items) = Acl::default_for(ObjectKind::Table, found.row.relowner);
            let grantee = if FOR_STATISTICS_READERS.contains(&name) { Some(PG_READ_ALL_STATS) } else { None };
            let privileges = match name {
                // Changing a row of it is SET.
                "pg_settings" => Privileges::SELECT.union(Privileges::UPDATE),
                _ => Privileges::SELECT,
            };
            if !PRIVATE.contains(&name) {
                let grantor = found.row.relowner;
                items.push(AclItem { grantee, grantor, privileges, grantable: Privileges::NONE });
            }
            found.row.relacl = Some(Acl(items));
            found.update(view)?;
        }
    }
    Ok(())
}
