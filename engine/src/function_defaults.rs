//! The defaults of built-in functions' arguments in a new cluster.
//!
//! Realises: what PostgreSQL's initdb does with the CREATE OR REPLACE FUNCTION statements of
//! system_functions.sql, as far as they give defaults. The text of each is analyzed as any client's would be
//! and stored in pg_proc.

use kokkiri_analyze::{ExpressionUse, analyze_expression, stored};
use kokkiri_catalog::facts;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgProc;
use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::{Oid, Result, SqlState};
use kokkiri_types::ValueRef;
use kokkiri_types::io::IoSettings;

/// Stores the defaults. The transaction is the caller's to commit.
pub fn store(view: &CatalogView<'_>) -> Result<()> {
    let io = IoSettings::from_settings(view.settings, TimestampTz(0))?;
    for (oid, arguments) in facts::function_defaults() {
        let key = [ValueRef::Int32(oid.0 as i32)];
        for mut found in view.rows_to_change::<PgProc>(Lookup::FunctionByOid, &key)? {
            found.row.proargdefaults = match trees(view, &io, &found.row, arguments) {
                Ok(trees) => Some(trees),
                // The functions whose defaults are of a type that is not built are not built either.
                Err(error) if error.sqlstate() == SqlState::FEATURE_NOT_SUPPORTED => continue,
                Err(error) => return Err(error),
            };
            found.update(view)?;
        }
    }
    Ok(())
}

/// The defaults in `arguments`, as pg_proc stores them. None of them contains a comma.
fn trees(view: &CatalogView<'_>, io: &IoSettings, function: &PgProc, arguments: &str) -> Result<String> {
    let defaults: Vec<&str> = arguments
        .split(", ")
        .filter_map(|argument| argument.split_once(" DEFAULT "))
        .map(|(_, text)| text)
        .collect();
    let inputs: &[Oid] = &function.proargtypes.0;
    let first = inputs.len() - defaults.len();
    let trees = defaults.iter().zip(&inputs[first..]).map(|(text, type_oid)| {
        let usage =
            ExpressionUse::ColumnDefault { column: &function.proname, type_oid: *type_oid, typmod: -1 };
        analyze_expression(view, io, &kokkiri_parse::parse_expression(text)?, None, usage)
    });
    stored::write(&trees.collect::<Result<Vec<_>>>()?)
}
