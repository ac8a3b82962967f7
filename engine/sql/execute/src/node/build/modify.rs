//! LockRows and ModifyTable, with the plans that they evaluate again for newer versions of rows.

use std::sync::Arc;

use kokkiri_access::heap::RowLockMode;
use kokkiri_analyze::tree::CommandType;
use kokkiri_plan::plan::*;
use kokkiri_primitives::{Error, Result};
use kokkiri_types::{Batch, PhysicalType};

use super::{Builder, types_of};
use crate::expression::{Projection, Scope};
use crate::node::Operator;
use crate::node::lock_rows::{LockRows, Mark};
use crate::node::modify_table::ModifyTable as ModifyOperator;
use crate::node::target::{checks, foreign_keys, target_indexes};
use crate::row_store::RowStore;

impl Builder<'_> {
    pub(super) fn lock_rows(&self, input: &Plan, row_marks: &[PlanRowMark]) -> Result<Box<dyn Operator>> {
        let mut marks = Vec::new();
        for mark in row_marks {
            let mode = match mark.mark_type {
                RowMarkType::Exclusive => Some(RowLockMode::Exclusive),
                RowMarkType::NoKeyExclusive => Some(RowLockMode::NoKeyExclusive),
                RowMarkType::Share => Some(RowLockMode::Share),
                RowMarkType::KeyShare => Some(RowLockMode::KeyShare),
                RowMarkType::Reference | RowMarkType::Copy => None,
            };
            marks.push(Mark {
                relid: mark.relid,
                relation: Arc::clone(&self.table(mark.relid)?.relation),
                mode,
                policy: mark.wait_policy,
                ctid_column: mark.ctid_column.ok_or_else(|| Error::internal("a row mark has no ctid"))? - 1,
            });
        }
        let pinned: Vec<u32> = row_marks.iter().map(|mark| mark.relid).collect();
        let recheck = self.for_recheck(&pinned).build(input)?;
        Ok(Box::new(LockRows { input: self.build(input)?, marks, recheck }))
    }

    pub(super) fn modify_table(&self, plan: &Plan, modify: &ModifyTable) -> Result<Box<dyn Operator>> {
        if modify.on_conflict.is_some() {
            return Err(Error::not_supported("ON CONFLICT"));
        }
        let entry = self.facts.relation(modify.relation)?;
        let relation = Arc::clone(&entry.relation);
        if !relation.kind.has_heap() {
            return Err(Error::not_supported(format!("modifying \"{}\"", relation.name)));
        }
        if entry.triggers.iter().any(|trigger| !trigger.is_internal && trigger.enabled != b'D') {
            return Err(Error::not_supported("a trigger"));
        }
        let table_types: Vec<PhysicalType> =
            relation.tuple_desc.iter().map(|attribute| attribute.physical).collect();
        let all: Vec<i16> = (1..=table_types.len() as i16).collect();
        let row_scope = Scope::of_scan(1, all.clone(), &self.names);
        let input_types = types_of(&modify.input);
        let returning = if modify.returning.is_empty() {
            None
        } else {
            let mut attributes = all;
            attributes.extend([-1, -6]);
            let mut scope = Scope::of_scan(modify.result_relation, attributes, &self.names);
            scope.scan_at = input_types.len();
            let width = input_types.len() + table_types.len() + 2;
            Some(Projection::compile(&scope, &plan.target_list, width)?)
        };
        let recheck = match modify.operation {
            CommandType::Insert => None,
            _ => {
                let others = modify.row_marks.iter().map(|mark| mark.relid);
                let pinned: Vec<u32> = others.chain([modify.result_relation]).collect();
                let builder = self.for_recheck(&pinned);
                Some(builder.build(&modify.input)?)
            }
        };
        let mut partners = Vec::new();
        for mark in &modify.row_marks {
            let column = mark.ctid_column.ok_or_else(|| Error::internal("a row mark has no ctid"))?;
            partners.push((mark.relid, column - 1));
        }
        Ok(Box::new(ModifyOperator {
            operation: modify.operation,
            input: self.build(&modify.input)?,
            recheck,
            new_columns: modify.new_columns.clone(),
            compressed_columns: modify.compressed_columns.clone(),
            ctid_column: modify.ctid_column,
            indexes: target_indexes(&entry, &row_scope)?,
            checks: checks(&entry, &row_scope, &table_types)?,
            foreign_keys: foreign_keys(self.facts, &entry, modify.operation)?,
            relation,
            relid: modify.result_relation,
            partners,
            returning,
            input_types,
            table_types,
            batch: Batch::default(),
            position: 0,
            returned: RowStore::new(types_of(plan)),
            returned_position: 0,
            done: false,
            row: Vec::new(),
            compressed: Vec::new(),
            scratch: Batch::default(),
        }))
    }
}
