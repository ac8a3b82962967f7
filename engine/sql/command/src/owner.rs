//! ALTER ... OWNER TO of what is no relation.
//!
//! Realises: `ExecAlterOwnerStmt` (alter.c).

use kokkiri_parse::tree::{AlterOwnerStmt, ObjectName, ObjectType};
use kokkiri_primitives::{Error, Result};

use crate::context::{CommandContext, CommandOutcome};
use crate::database;

pub fn execute(context: &mut CommandContext<'_>, statement: &AlterOwnerStmt) -> Result<CommandOutcome> {
    match (statement.object, &statement.name) {
        (ObjectType::Database, ObjectName::Name(names)) if names.len() == 1 => {
            database::alter::set_owner(context, &names[0], &statement.new_owner)
        }
        _ => Err(Error::not_supported("ALTER ... OWNER TO of this kind of object")),
    }
}
