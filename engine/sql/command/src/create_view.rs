//! CREATE VIEW.
//!
//! Realises: `DefineView` (view.c) and, for a view's rule, `DefineQueryRewrite` (rewriteDefine.c). A view is
//! a relation without a file and a row of pg_rewrite, which keeps the analyzed query with views unexpanded.

use kokkiri_access::relation::{Persistence, RelationKind, ViewOptions};
use kokkiri_analyze::tree::Query;
use kokkiri_analyze::{Parameters, analyze_without_rewrite, references_of_query, stored};
use kokkiri_catalog::dependency::{self, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::entries::RelationEntry;
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::{PgDepend, PgRewrite};
use kokkiri_parse::Location;
use kokkiri_parse::tree::{
    self as raw, DefArg, DefElem, RangeVar, RawStatement, Statement, ViewCheckOption, ViewStmt,
};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::{LockMode, WaitPolicy};

use crate::context::{CommandContext, CommandOutcome};
use crate::describe::key;
use crate::name;
use crate::options;
use crate::relation::{self, NewColumn, NewRelation, change_class};

const TAG: &str = "CREATE VIEW";
/// The rule that makes a relation a view.
const SELECT_RULE: &str = "_RETURN";
const ON_SELECT: u8 = b'1';
/// Fires but on replicas.
const ENABLED: u8 = b'O';
/// What pg_rewrite has for no condition.
const NO_QUALIFICATION: &str = "<>";

pub fn create(context: &mut CommandContext<'_>, statement: &ViewStmt) -> Result<CommandOutcome> {
    let mut query = analyze_definition(context, statement)?;
    let option_list = with_check_option(statement);
    let mut wanted = match statement.view.persistence {
        raw::Persistence::Permanent => Persistence::Permanent,
        raw::Persistence::Temporary => Persistence::Temporary,
        raw::Persistence::Unlogged => {
            return Err(error!(SYNTAX_ERROR, "views cannot be unlogged because they do not have storage"));
        }
    };
    check_options(&option_list)?;
    name_columns(&mut query, &statement.columns)?;
    if wanted == Persistence::Permanent && reads_temporary(context, &query)? {
        context.notice(Error::notice(format!("view \"{}\" will be a temporary view", statement.view.name)));
        wanted = Persistence::Temporary;
    }
    let columns = view_columns(&query)?;
    let options = options::reloptions(&[], &option_list, None, false)?;
    // What is wrong with a view's name is told without a place.
    let unplaced = RangeVar { location: Location::UNKNOWN, ..statement.view.clone() };
    let (namespace, persistence) = name::creation_namespace(context, &unplaced, wanted)?;
    let found = context.view.relation_oid(namespace, &statement.view.name)?;
    let view = match found {
        Some(oid) if statement.replace => {
            context.view.lock_relation_oid(oid, LockMode::AccessExclusive, WaitPolicy::Block)?;
            let old = context.view.expect_relation(oid)?;
            check_replaceable(context, &old, &columns)?;
            add_columns(context, &old, &columns)?;
            change_class(context, oid, |row| row.reloptions = options)?;
            oid
        }
        _ => {
            let new = NewRelation {
                name: &statement.view.name,
                namespace,
                owner: context.role(),
                kind: RelationKind::View,
                persistence,
                columns: &columns,
                options,
            };
            let oid = relation::create(context, &new)?;
            context.view.lock_relation_oid(oid, LockMode::AccessExclusive, WaitPolicy::Block)?;
            oid
        }
    };
    context.advance()?;
    store_rule(context, view, &query)?;
    context.advance()?;
    Ok(CommandOutcome::done(TAG))
}

/// The view's query, analyzed, with what no view may contain refused.
fn analyze_definition(context: &CommandContext<'_>, statement: &ViewStmt) -> Result<Box<Query>> {
    let raw = RawStatement {
        statement: Statement::Select(Box::new(statement.query.clone())),
        location: 0,
        length: 0,
    };
    if statement.query.into.is_some() {
        return Err(error!(FEATURE_NOT_SUPPORTED, "views must not contain SELECT INTO"));
    }
    let analyzed = analyze_without_rewrite(&context.view, context.io, &raw, Parameters::none())?;
    if analyzed.query.has_modifying_cte {
        return Err(error!(
            FEATURE_NOT_SUPPORTED,
            "views must not contain data-modifying statements in WITH"
        ));
    }
    Ok(analyzed.query)
}

/// The options with WITH CHECK OPTION as one of them.
fn with_check_option(statement: &ViewStmt) -> Vec<DefElem> {
    let mut list = statement.options.clone();
    if let Some(option) = statement.check_option {
        let word = match option {
            ViewCheckOption::Local => "local",
            ViewCheckOption::Cascaded => "cascaded",
        };
        list.push(DefElem {
            namespace: None,
            name: "check_option".to_owned(),
            arg: Some(DefArg::String(word.to_owned())),
            location: kokkiri_parse::Location::UNKNOWN,
        });
    }
    list
}

/// Rows can't be changed through views, so there is nothing that a check option could check.
fn check_options(list: &[DefElem]) -> Result<()> {
    let given = options::reloptions(&[], list, None, false)?;
    let parsed = ViewOptions::parse(options::pairs(given.as_ref()))?;
    if parsed.check_option.is_some() {
        return Err(Error::not_supported("CREATE VIEW ... WITH CHECK OPTION"));
    }
    Ok(())
}

/// Gives the result columns the names that were written after the view's.
fn name_columns(query: &mut Query, names: &[String]) -> Result<()> {
    let mut targets = query.target_list.iter_mut().filter(|target| !target.resjunk);
    for name in names {
        let Some(target) = targets.next() else {
            return Err(error!(SYNTAX_ERROR, "CREATE VIEW specifies more column names than columns"));
        };
        target.resname = Some(name.clone());
    }
    Ok(())
}

/// The columns of the view: `DefineVirtualRelation`.
fn view_columns(query: &Query) -> Result<Vec<NewColumn>> {
    let mut columns = Vec::new();
    for target in query.result_columns() {
        let name = target.resname.clone().unwrap_or_default();
        let expr = &target.expr;
        columns.push(NewColumn {
            typmod: expr.typmod(),
            collation: expr.collation(),
            ..NewColumn::plain(&name, expr.result_type())
        });
    }
    Ok(columns)
}

/// True if the query, or one within it, reads a temporary relation: `isQueryUsingTempRelation`.
fn reads_temporary(context: &CommandContext<'_>, query: &Query) -> Result<bool> {
    for address in references_of_query(&context.view, query)? {
        if address.class == class::RELATION
            && let Some(entry) = context.view.relation(address.object)?
            && entry.relation.persistence == Persistence::Temporary
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What CREATE OR REPLACE may replace: a view with the same columns, to which new ones may be added.
/// `checkViewColumns`.
fn check_replaceable(context: &CommandContext<'_>, old: &RelationEntry, new: &[NewColumn]) -> Result<()> {
    if old.relation.kind != RelationKind::View {
        return Err(error!(WRONG_OBJECT_TYPE, "\"{}\" is not a view", old.name));
    }
    name::check_owner(context, old)?;
    let old_columns = old.relation.tuple_desc.attributes();
    if new.len() < old_columns.len() {
        return Err(error!(INVALID_TABLE_DEFINITION, "cannot drop columns from view"));
    }
    for (before, after) in old_columns.iter().zip(new) {
        if *before.name != *after.name {
            return Err(error!(
                INVALID_TABLE_DEFINITION,
                "cannot change name of view column \"{}\" to \"{}\"", before.name, after.name
            )
            .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
        }
        if (before.type_oid, before.typmod) != (after.type_oid, after.typmod) {
            let shown = |oid, typmod| kokkiri_analyze::format_type(&context.view, oid, Some(typmod));
            return Err(error!(
                INVALID_TABLE_DEFINITION,
                "cannot change data type of view column \"{}\" from {} to {}",
                before.name,
                shown(before.type_oid, before.typmod),
                shown(after.type_oid, after.typmod)
            ));
        }
        if before.collation != after.collation {
            let shown = |oid: Oid| -> Result<String> {
                Ok(context.view.collation(oid)?.map_or_else(String::new, |entry| entry.name.to_string()))
            };
            return Err(error!(
                INVALID_TABLE_DEFINITION,
                "cannot change collation of view column \"{}\" from \"{}\" to \"{}\"",
                before.name,
                shown(before.collation)?,
                shown(after.collation)?
            ));
        }
    }
    Ok(())
}

/// Adds the columns that a replaced view gets at its end.
fn add_columns(context: &mut CommandContext<'_>, old: &RelationEntry, columns: &[NewColumn]) -> Result<()> {
    relation::check_columns(context, columns)?;
    let known = old.relation.tuple_desc.len();
    if columns.len() == known {
        return Ok(());
    }
    for (column, number) in columns.iter().zip(1i16..).skip(known) {
        let row = relation::attribute_row(context, old.oid, number, column)?;
        relation::record_column(context, &row)?;
        context.view.insert_row(row)?;
    }
    change_class(context, old.oid, |row| row.relnatts = columns.len() as i16)?;
    context.advance()
}

/// Stores the query as the view's rule, in place of the one it had: `InsertRule`.
fn store_rule(context: &mut CommandContext<'_>, view: Oid, query: &Query) -> Result<()> {
    let tree = stored::write(query)?;
    let old = context.view.rows_to_change::<PgRewrite>(Lookup::RewriteByRelation, &[key(view)])?;
    let rule = match old.into_iter().find(|found| found.row.ev_type == ON_SELECT) {
        Some(mut found) => {
            let rule = found.row.oid;
            found.row.ev_action = tree;
            found.update(&context.view)?;
            forget_references(context, rule)?;
            rule
        }
        None => {
            let rule = new_rule_oid(context)?;
            context.view.insert_row(PgRewrite {
                oid: rule,
                rulename: SELECT_RULE.into(),
                ev_class: view,
                ev_type: ON_SELECT,
                ev_enabled: ENABLED,
                is_instead: true,
                ev_qual: NO_QUALIFICATION.to_owned(),
                ev_action: tree,
            })?;
            change_class(context, view, |row| row.relhasrules = true)?;
            rule
        }
    };
    let myself = ObjectAddress::new(class::REWRITE, rule);
    // The rule is the view's implementation: it comes and goes with it.
    dependency::record(&context.view, myself, [ObjectAddress::relation(view)], DependencyKind::Internal)?;
    let needed = references_of_query(&context.view, query)?;
    dependency::record(&context.view, myself, needed, DependencyKind::Normal)
}

/// Index of pg_rewrite on its oid.
const REWRITE_BY_OID: Oid = Oid(2692);

fn new_rule_oid(context: &CommandContext<'_>) -> Result<Oid> {
    loop {
        let oid = context.cluster().transactions.new_oid();
        if context.row_by_oid::<PgRewrite>(REWRITE_BY_OID, oid)?.is_none() {
            return Ok(oid);
        }
    }
}

/// Removes what is recorded about the rule's needs: `deleteDependencyRecordsFor`.
fn forget_references(context: &CommandContext<'_>, rule: Oid) -> Result<()> {
    /// Index of pg_depend on the depender.
    const DEPENDER: Oid = Oid(2673);
    let keys = [key(class::REWRITE), key(rule)];
    for found in context.view.scan_rows::<PgDepend>(DEPENDER, &[1, 2], &keys)? {
        found.delete(&context.view)?;
    }
    Ok(())
}
