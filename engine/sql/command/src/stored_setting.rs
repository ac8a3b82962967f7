//! ALTER DATABASE SET and ALTER ROLE SET: parameters that sessions start with.
//!
//! Realises: pg_db_role_setting.c with guc.c's `GUCArrayAdd` and `GUCArrayDelete`.

use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::Array;
use kokkiri_catalog::rows::PgDbRoleSetting;
use kokkiri_parse::tree::{SetValue, VariableSetStmt};
use kokkiri_primitives::{Oid, Result};

use crate::context::CommandContext;
use crate::describe::key;
use crate::setting;

/// Changes what is stored for a database, a role or a role in a database; the other oid is zero.
pub fn alter(
    context: &CommandContext<'_>,
    database: Oid,
    role: Oid,
    statement: &VariableSetStmt,
) -> Result<()> {
    let settings = context.view.settings;
    let keys = [key(database), key(role)];
    let found =
        context.view.rows_to_change::<PgDbRoleSetting>(Lookup::SettingByDatabaseAndRole, &keys)?.pop();
    let mut words = found.as_ref().and_then(|found| found.row.setconfig.clone()).unwrap_or_default().0;
    if statement.value == SetValue::ResetAll {
        // What the role could not set it can't reset either.
        words
            .retain(|word| word.split_once('=').is_some_and(|(name, _)| settings.check(name, None).is_err()));
    } else {
        let value = setting::value_text(context, statement)?;
        let name = settings.check(&statement.name, value.as_deref())?;
        let place = words.iter().position(|word| {
            word.split_once('=').is_some_and(|(stored, _)| stored.eq_ignore_ascii_case(&name))
        });
        match (value, place) {
            (Some(value), Some(place)) => words[place] = format!("{name}={value}"),
            (Some(value), None) => words.push(format!("{name}={value}")),
            (None, Some(place)) => drop(words.remove(place)),
            (None, None) => {}
        }
    }
    let setconfig = (!words.is_empty()).then_some(Array(words));
    match (found, setconfig) {
        (Some(found), None) => found.delete(&context.view),
        (Some(mut found), setconfig) => {
            found.row.setconfig = setconfig;
            found.update(&context.view)
        }
        (None, None) => Ok(()),
        (None, setconfig) => {
            let row = PgDbRoleSetting { setdatabase: database, setrole: role, setconfig };
            context.view.insert_row(row).map(drop)
        }
    }
}
