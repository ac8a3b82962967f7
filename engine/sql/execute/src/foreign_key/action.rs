//! CASCADE, SET NULL, SET DEFAULT: statements on the table that refers, as PostgreSQL's triggers run them.
//!
//! They run as the owner of that table, whoever has changed the referenced one, and with all that follows
//! from changes of rows there.

use kokkiri_access::relation::Relation;
use kokkiri_catalog::entries::ForeignKeyAction;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::Value;

use super::ForeignKeyCheck;
use crate::context::{Context, StatementHost};

impl ForeignKeyCheck {
    /// Changes the rows that refer to the key of `old`.
    pub(super) fn act(
        &self,
        context: &Context<'_>,
        relation: &Relation,
        action: ForeignKeyAction,
        old: &[Value],
        new: Option<&[Value]>,
    ) -> Result<()> {
        let table = only(&self.other);
        let condition = |first: usize| self.condition(&self.other, &self.others, first);
        let old_key = self.parameters(relation, old);
        let (text, parameters) = match (action, new) {
            (ForeignKeyAction::Cascade, None) => {
                (format!("DELETE FROM {table} WHERE {}", condition(1)), old_key)
            }
            (ForeignKeyAction::Cascade, Some(new)) => {
                let set: Vec<String> = self
                    .others
                    .iter()
                    .enumerate()
                    .map(|(at, column)| format!("{} = ${}", self.column(*column), at + 1))
                    .collect();
                let mut parameters = self.parameters(relation, new);
                parameters.extend(old_key);
                let condition = condition(self.others.len() + 1);
                (format!("UPDATE {table} SET {} WHERE {condition}", set.join(", ")), parameters)
            }
            (action, new) => {
                let value = if action == ForeignKeyAction::SetNull { "NULL" } else { "DEFAULT" };
                let all = new.is_some() || self.set_columns.is_empty();
                let columns = if all { &self.others } else { &self.set_columns };
                let set: Vec<String> =
                    columns.iter().map(|column| format!("{} = {value}", self.column(*column))).collect();
                (format!("UPDATE {table} SET {} WHERE {}", set.join(", "), condition(1)), old_key)
            }
        };
        host(context)?.run(&text, &parameters, self.other_owner).map(drop)
    }

    /// Whether the referenced table has the key of `row` again: `ri_Check_Pk_Match`.
    pub(super) fn key_is_back(
        &self,
        context: &Context<'_>,
        relation: &Relation,
        row: &[Value],
    ) -> Result<bool> {
        let condition = self.condition(relation, &self.own, 1);
        let text = format!("SELECT 1 FROM {} x WHERE {condition} FOR KEY SHARE OF x", only(relation));
        Ok(host(context)?.run(&text, &self.parameters(relation, row), self.own_owner)? > 0)
    }

    /// Whether a row of `relation` still refers to the key of `row`.
    pub(super) fn is_still_referring(
        &self,
        context: &Context<'_>,
        relation: &Relation,
        row: &[Value],
    ) -> Result<bool> {
        let condition = self.condition(relation, &self.own, 1);
        let text = format!("SELECT 1 FROM {} x WHERE {condition} LIMIT 1", only(relation));
        Ok(host(context)?.run(&text, &self.parameters(relation, row), self.own_owner)? > 0)
    }

    fn column(&self, at: usize) -> String {
        quoted(&self.other.tuple_desc[at].name)
    }

    /// `$first = a AND ...` over columns of a table.
    fn condition(&self, table: &Relation, columns: &[usize], first: usize) -> String {
        let equal = |(at, column): (usize, &usize)| {
            let name = quoted(&table.tuple_desc[*column].name);
            format!("${} OPERATOR(pg_catalog.=) {name}", first + at)
        };
        columns.iter().enumerate().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// The key of a row of this side, with its types.
    fn parameters(&self, relation: &Relation, row: &[Value]) -> Vec<(Oid, Value)> {
        self.own.iter().map(|at| (relation.tuple_desc[*at].type_oid, row[*at].clone())).collect()
    }
}

fn only(table: &Relation) -> String {
    format!("ONLY {}.{}", quoted(&table.namespace_name), quoted(&table.name))
}

/// Quoted whether it must be or not, as these statements are shown: `quoteOneName`.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn host<'a>(context: &Context<'a>) -> Result<&'a dyn StatementHost> {
    context.host.ok_or_else(|| Error::not_supported("a referential action in this context"))
}
