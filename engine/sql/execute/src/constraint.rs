//! Constraints on rows: NOT NULL and CHECK, with PostgreSQL's messages.
//!
//! Realises: `ExecConstraints`. They look at each new row before it is written.

use kokkiri_access::relation::{IndexDescriptor, Relation};
use kokkiri_primitives::{Error, Oid, Result, SqlState};
use kokkiri_types::{Batch, PhysicalType, Selection, Value, io};

use crate::context::Context;
use crate::expression::Program;
use crate::row_store::prepare;

/// CHECK constraints by name, and which columns must not be null.
#[derive(Default)]
pub struct Checks {
    pub not_null: Vec<usize>,
    pub checks: Vec<(String, Program)>,
    pub types: Vec<PhysicalType>,
}

impl Checks {
    /// CHECKs look at columns that an UPDATE does not set.
    pub fn needs_whole_row(&self) -> bool {
        !self.checks.is_empty()
    }

    /// Checks a new row. For an UPDATE `set` says which columns are new.
    pub fn check(
        &mut self,
        context: &mut Context<'_>,
        relation: &Relation,
        row: &[Value],
        set: Option<&[usize]>,
    ) -> Result<()> {
        for &at in &self.not_null {
            if row[at].is_null() && set.is_none_or(|set| set.contains(&at)) {
                let column = &relation.tuple_desc[at].name;
                return Err(Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
                        relation.name
                    ),
                )
                .detail(format!("Failing row contains {}.", row_text(context, relation, row)?))
                .table(relation.namespace_name.clone(), relation.name.clone())
                .column(column.to_string()));
            }
        }
        if self.checks.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        prepare(&mut batch, &self.types);
        for (column, value) in batch.columns.iter_mut().zip(row) {
            column.push(value.as_ref());
        }
        let all = Selection::all(1);
        for (name, program) in &mut self.checks {
            let value = program.evaluate(context, &batch.columns, &all)?.get(0).to_value();
            if value == Value::Bool(false) {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{}\" violates check constraint \"{name}\"",
                        relation.name
                    ),
                )
                .detail(format!("Failing row contains {}.", row_text(context, relation, row)?))
                .table(relation.namespace_name.clone(), relation.name.clone())
                .constraint(name.clone()));
            }
        }
        Ok(())
    }
}

/// Longest value shown in a report, bytes.
const MAX_FIELD: usize = 64;

/// A row as reports show it: `(1, abc, null)`.
pub fn row_text(context: &Context<'_>, relation: &Relation, row: &[Value]) -> Result<String> {
    let mut text = String::from("(");
    let mut first = true;
    for (attribute, value) in relation.tuple_desc.iter().zip(row) {
        if attribute.dropped {
            continue;
        }
        if !std::mem::take(&mut first) {
            text.push_str(", ");
        }
        let shown = value_text(context, attribute.type_oid, value)?;
        if shown.len() > MAX_FIELD {
            let mut end = MAX_FIELD;
            while !shown.is_char_boundary(end) {
                end -= 1;
            }
            text.push_str(&shown[..end]);
            text.push_str("...");
        } else {
            text.push_str(&shown);
        }
    }
    text.push(')');
    Ok(text)
}

pub(crate) fn value_text(context: &Context<'_>, type_oid: Oid, value: &Value) -> Result<String> {
    if value.is_null() {
        return Ok("null".into());
    }
    let mut out = Vec::new();
    io::output_text(type_oid, value.as_ref(), context.call.io, &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Names and values of an index key, for "Key (a, b)=(1, 2)".
pub fn describe_key(
    context: &Context<'_>,
    index: &IndexDescriptor,
    values: &[kokkiri_types::ValueRef<'_>],
) -> Result<(String, String)> {
    let mut names = Vec::new();
    let mut texts = Vec::new();
    for (attribute, value) in index.tuple_desc.iter().zip(values).take(index.key_count) {
        names.push(attribute.name.to_string());
        texts.push(value_text(context, attribute.type_oid, &value.to_value())?);
    }
    Ok((names.join(", "), texts.join(", ")))
}
