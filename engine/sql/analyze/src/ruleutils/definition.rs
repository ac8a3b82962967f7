//! Definitions of indexes and constraints: `pg_get_indexdef` and `pg_get_constraintdef`.

use kokkiri_catalog::entries::{
    ConstraintEntry, ConstraintKind, ForeignKey, ForeignKeyAction, ForeignKeyMatch, IndexEntry, RelationEntry,
};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::rows::PgConstraint;
use kokkiri_catalog::view::CatalogView;
use kokkiri_parse::quote_identifier;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::ValueRef;
use kokkiri_types::io::IoSettings;

use super::{expression_text, looks_like_call};
use crate::catalog::{BTREE, Catalog};
use crate::tree::*;

/// Bits of pg_index.indoption.
const DESCENDING: i16 = 1;
const NULLS_FIRST: i16 = 2;

/// Prints definitions.
pub(crate) struct Definitions<'a> {
    pub view: &'a CatalogView<'a>,
    pub io: &'a IoSettings,
    pub pretty: bool,
}

impl Definitions<'_> {
    /// The statement that makes an index or, with a column's number, that column alone; `None` for what is no
    /// index.
    pub fn index(&self, oid: Oid, column: i32) -> Result<Option<String>> {
        let rows = self.view.rows::<kokkiri_catalog::rows::PgIndex>(Lookup::IndexByOid, &[key(oid)])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(table) = self.view.relation(row.indrelid)? else { return Ok(None) };
        let Some(index) = table.indexes.iter().find(|index| index.oid == oid) else { return Ok(None) };
        let expressions: Vec<Expression> = match &index.expressions {
            Some(tree) => crate::stored::read(tree)?,
            None => Vec::new(),
        };
        let mut expressions = expressions.iter();
        let mut columns = Vec::new();
        for (at, number) in index.columns.iter().enumerate() {
            let expression = if *number == 0 { expressions.next() } else { None };
            let name = self.index_column(&table, *number, expression)?;
            let decoration = match at < index.key_count {
                true => self.decoration(&table, index, at, expression)?,
                false => String::new(),
            };
            columns.push((name, decoration));
        }
        if column != 0 {
            let found = usize::try_from(column - 1).ok().and_then(|at| columns.get(at));
            return Ok(Some(found.map(|(name, _)| name.clone()).unwrap_or_default()));
        }
        let written: Vec<String> =
            columns.iter().map(|(name, decoration)| format!("{name}{decoration}")).collect();
        let (keys, included) = written.split_at(index.key_count);
        let unique = if index.is_unique { "UNIQUE " } else { "" };
        let mut text = format!(
            "CREATE {unique}INDEX {} ON {} USING {} ({})",
            quote_identifier(&index.name),
            self.table_name(&table)?,
            quote_identifier(&self.method_name(index.method)?),
            keys.join(", ")
        );
        if !included.is_empty() {
            text += &format!(" INCLUDE ({})", included.join(", "));
        }
        if index.nulls_not_distinct {
            text += " NULLS NOT DISTINCT";
        }
        if let Some(own) = self.view.relation(oid)?
            && !own.options.is_empty()
        {
            text += &format!(" WITH ({})", options_text(&own.options));
        }
        if let Some(predicate) = &index.predicate {
            text += &format!(" WHERE {}", self.stored(predicate, Some(table.oid))?);
        }
        Ok(Some(text))
    }

    fn index_column(
        &self,
        table: &RelationEntry,
        number: i16,
        expression: Option<&Expression>,
    ) -> Result<String> {
        let Some(expression) = expression else { return Ok(column_name(table, number)) };
        let text = self.expression(expression, Some(table.oid))?;
        Ok(if looks_like_call(expression) { text } else { format!("({text})") })
    }

    /// Collation, operator class and order of a key column where they are not what they would be anyway.
    fn decoration(
        &self,
        table: &RelationEntry,
        index: &IndexEntry,
        at: usize,
        expression: Option<&Expression>,
    ) -> Result<String> {
        let number = index.columns[at];
        let attribute = usize::try_from(number - 1).ok().and_then(|at| table.relation.tuple_desc.get(at));
        let (type_oid, collation) = match (expression, attribute) {
            (Some(expression), _) => (expression.result_type(), expression.collation()),
            (None, Some(attribute)) => (attribute.type_oid, attribute.collation),
            (None, None) => return Ok(String::new()),
        };
        let mut text = String::new();
        let own = index.collations[at];
        if own.is_valid() && own != collation {
            let name = self.view.collation(own)?.map(|entry| entry.name.to_string()).unwrap_or_default();
            text += &format!(" COLLATE {}", quote_identifier(&name));
        }
        if Catalog::View(self.view).default_opclass_of(index.method, type_oid)? != Some(index.opclasses[at])
            && let Some(class) = self.view.opclass(index.opclasses[at])?
        {
            text += &format!(" {}", quote_identifier(&class.name));
        }
        if index.method == BTREE {
            let option = index.options.get(at).copied().unwrap_or(0);
            text += match (option & DESCENDING != 0, option & NULLS_FIRST != 0) {
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
                (false, true) => " NULLS FIRST",
                (false, false) => "",
            };
        }
        Ok(text)
    }

    fn method_name(&self, method: Oid) -> Result<String> {
        /// pg_am with its index on the oid.
        const PG_AM: (Oid, Oid) = (Oid(2601), Oid(2652));
        let rows = self.view.scan(PG_AM.0, PG_AM.1, &[1], &[key(method)])?;
        match rows.first().and_then(|(_, values)| values.get(1)) {
            Some(name) => Ok(name.as_ref().text().into_owned()),
            None => Err(Error::internal(format!("cache lookup failed for access method {method}"))),
        }
    }

    /// A table's name: with its schema always, unless pretty, when it has one where it needs one.
    fn table_name(&self, table: &RelationEntry) -> Result<String> {
        if self.pretty {
            return self.visible_name(table.oid);
        }
        let schema = Catalog::View(self.view).namespace_name(table.namespace).unwrap_or_default();
        Ok(format!("{}.{}", quote_identifier(&schema), quote_identifier(&table.name)))
    }

    fn visible_name(&self, relation: Oid) -> Result<String> {
        let layout = super::Layout { pretty: self.pretty, indented: true, wrap: 0 };
        super::Printer::new(Catalog::View(self.view), self.io, layout, None).relation_name(relation)
    }

    fn expression(&self, expression: &Expression, relation: Option<Oid>) -> Result<String> {
        let one = std::slice::from_ref(expression);
        expression_text(Catalog::View(self.view), self.io, one, relation, self.pretty)
    }

    fn stored(&self, tree: &str, relation: Option<Oid>) -> Result<String> {
        let expression: Expression = crate::stored::read(tree)?;
        self.expression(&expression, relation)
    }

    /// A constraint as a table's definition has it; `None` if there is no such constraint.
    pub fn constraint(&self, oid: Oid) -> Result<Option<String>> {
        let rows = self.view.rows::<PgConstraint>(Lookup::ConstraintByOid, &[key(oid)])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(relation) = row.conrelid.valid() else {
            // A domain's.
            return Ok(Some(match &row.conbin {
                Some(tree) => format!("CHECK ({})", self.stored(tree, None)?),
                None => "NOT NULL".to_owned(),
            }));
        };
        let Some(table) = self.view.relation(relation)? else { return Ok(None) };
        let Some(constraint) = table.constraints.iter().find(|known| known.oid == oid) else {
            return Ok(None);
        };
        let mut text = self.constraint_body(&table, constraint)?;
        if constraint.deferrable {
            text += " DEFERRABLE";
        }
        if constraint.deferred {
            text += " INITIALLY DEFERRED";
        }
        if !constraint.enforced {
            text += " NOT ENFORCED";
        } else if !constraint.validated {
            text += " NOT VALID";
        }
        Ok(Some(text))
    }

    fn constraint_body(&self, table: &RelationEntry, constraint: &ConstraintEntry) -> Result<String> {
        let no_inherit = if constraint.no_inherit { " NO INHERIT" } else { "" };
        Ok(match constraint.kind {
            ConstraintKind::Check => {
                let tree = constraint.check.as_deref().unwrap_or_default();
                format!("CHECK ({}){no_inherit}", self.stored(tree, Some(table.oid))?)
            }
            ConstraintKind::NotNull => {
                let column = constraint.key.first().map(|number| column_name(table, *number));
                format!("NOT NULL {}{no_inherit}", column.unwrap_or_default())
            }
            ConstraintKind::Primary | ConstraintKind::Unique => {
                let index = table.indexes.iter().find(|index| Some(index.oid) == constraint.index);
                let mut text = match constraint.kind {
                    ConstraintKind::Primary => "PRIMARY KEY ".to_owned(),
                    _ if index.is_some_and(|index| index.nulls_not_distinct) => {
                        "UNIQUE NULLS NOT DISTINCT ".to_owned()
                    }
                    _ => "UNIQUE ".to_owned(),
                };
                text += &format!("({})", column_names(table, &constraint.key));
                let included = index.map_or(&[][..], |index| &index.columns[index.key_count..]);
                if !included.is_empty() {
                    text += &format!(" INCLUDE ({})", column_names(table, included));
                }
                text
            }
            ConstraintKind::Foreign => match &constraint.foreign {
                Some(foreign) => self.foreign_key(table, constraint, foreign)?,
                None => return Err(Error::internal("a foreign key without its other side")),
            },
            ConstraintKind::Trigger => "TRIGGER".to_owned(),
            ConstraintKind::Exclusion => {
                return Err(Error::not_supported("printing an exclusion constraint"));
            }
        })
    }

    fn foreign_key(
        &self,
        table: &RelationEntry,
        constraint: &ConstraintEntry,
        foreign: &ForeignKey,
    ) -> Result<String> {
        let Some(other) = self.view.relation(foreign.relation)? else {
            return Err(Error::internal(format!("cache lookup failed for relation {}", foreign.relation)));
        };
        let mut text = format!(
            "FOREIGN KEY ({}) REFERENCES {}({})",
            column_names(table, &constraint.key),
            self.visible_name(other.oid)?,
            column_names(&other, &foreign.key)
        );
        text += match foreign.match_kind {
            ForeignKeyMatch::Full => " MATCH FULL",
            ForeignKeyMatch::Partial => " MATCH PARTIAL",
            ForeignKeyMatch::Simple => "",
        };
        if let Some(words) = action(foreign.on_update) {
            text += &format!(" ON UPDATE {words}");
        }
        if let Some(words) = action(foreign.on_delete) {
            text += &format!(" ON DELETE {words}");
        }
        if !foreign.set_columns.is_empty() {
            text += &format!(" ({})", column_names(table, &foreign.set_columns));
        }
        Ok(text)
    }
}

fn action(action: ForeignKeyAction) -> Option<&'static str> {
    match action {
        ForeignKeyAction::NoAction => None,
        ForeignKeyAction::Restrict => Some("RESTRICT"),
        ForeignKeyAction::Cascade => Some("CASCADE"),
        ForeignKeyAction::SetNull => Some("SET NULL"),
        ForeignKeyAction::SetDefault => Some("SET DEFAULT"),
    }
}

fn key(oid: Oid) -> ValueRef<'static> {
    ValueRef::Int32(oid.0 as i32)
}

fn column_name(table: &RelationEntry, number: i16) -> String {
    let attribute = usize::try_from(number - 1).ok().and_then(|at| table.relation.tuple_desc.get(at));
    attribute.map(|attribute| quote_identifier(&attribute.name).into_owned()).unwrap_or_default()
}

fn column_names(table: &RelationEntry, numbers: &[i16]) -> String {
    let names: Vec<String> = numbers.iter().map(|number| column_name(table, *number)).collect();
    names.join(", ")
}

/// Options as WITH has them: `flatten_reloptions`. A value that is no plain word stands in quotes.
fn options_text(options: &[std::sync::Arc<str>]) -> String {
    let pairs = options.iter().map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let plain = !value.is_empty() && quote_identifier(value) == value;
        let shown = if plain { value.to_owned() } else { super::quote_literal(value) };
        format!("{}={shown}", quote_identifier(name))
    });
    pairs.collect::<Vec<_>>().join(", ")
}
