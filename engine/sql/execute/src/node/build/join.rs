//! Joins.

use kokkiri_plan::plan::*;
use kokkiri_primitives::Result;
use kokkiri_types::Batch;
use kokkiri_types::compare::comparator;

use super::{Builder, types_of};
use crate::cross_type::cross_type;
use crate::expression::compile::physical_of;
use crate::expression::{Compiler, Filter, Scope};
use crate::node::Operator;
use crate::node::hash_join::{HashJoin as HashJoinOperator, Key as HashKey};
use crate::node::join_output::JoinOutput;
use crate::node::merge_join::{Key as MergeKey, MergeJoin as MergeJoinOperator};
use crate::node::nest_loop::NestLoop as NestLoopOperator;
use crate::node::output::Output;

impl Builder<'_> {
    pub(super) fn nest_loop(&self, plan: &Plan, nest: &NestLoop) -> Result<Box<dyn Operator>> {
        let join = &nest.join;
        let (outer_types, inner_types) = (types_of(&join.outer), types_of(&join.inner));
        let scope = Scope::of_join(outer_types.len(), &self.names);
        let width = outer_types.len() + inner_types.len();
        Ok(Box::new(NestLoopOperator {
            join_type: join.join_type,
            outer: self.build(&join.outer)?,
            inner: self.build(&join.inner)?,
            single_match: join.inner_unique || join.join_type == JoinType::Semi,
            parameters: nest
                .parameters
                .iter()
                .map(|parameter| Ok((parameter.id, Compiler::compile(&scope, &parameter.value)?)))
                .collect::<Result<_>>()?,
            join_filter: Filter::compile(&scope, &join.join_qual)?,
            output: Output::compile(&scope, &plan.qual, &plan.target_list, width)?,
            outer_types,
            inner_types,
            source: Default::default(),
            inner_batch: Batch::default(),
            pairs: Batch::default(),
            in_row: false,
            matched: false,
            removed_by_join: 0,
        }))
    }

    fn join_output(&self, plan: &Plan, join: &Join) -> Result<JoinOutput> {
        let (outer_types, inner_types) = (types_of(&join.outer), types_of(&join.inner));
        let scope = Scope::of_join(outer_types.len(), &self.names);
        let width = outer_types.len() + inner_types.len();
        let join_filter = Filter::compile(&scope, &join.join_qual)?;
        let output = Output::compile(&scope, &plan.qual, &plan.target_list, width)?;
        let single = join.join_type == JoinType::Semi
            || (join.inner_unique && matches!(join.join_type, JoinType::Inner | JoinType::Left));
        Ok(JoinOutput::new(join.join_type, single, join_filter, output, outer_types, inner_types))
    }

    pub(super) fn hash_join(&self, plan: &Plan, hash: &HashJoin) -> Result<Box<dyn Operator>> {
        let scope = self.input_scope();
        let keys = hash
            .keys
            .iter()
            .map(|key| {
                let (outer_type, inner_type) = (key.outer.result_type(), key.inner.result_type());
                let compare = match cross_type(outer_type, inner_type)? {
                    Some(cross) => cross.column,
                    None => comparator(outer_type, key.collation)?,
                };
                Ok(HashKey {
                    outer: Compiler::compile(&scope, &key.outer)?,
                    inner: Compiler::compile(&scope, &key.inner)?,
                    outer_type,
                    inner_type,
                    compare,
                    physical: physical_of(inner_type),
                })
            })
            .collect::<Result<_>>()?;
        let output = self.join_output(plan, &hash.join)?;
        let (outer, inner) = (self.build(&hash.join.outer)?, self.build(&hash.join.inner)?);
        Ok(Box::new(HashJoinOperator::new(outer, inner, keys, output)))
    }

    pub(super) fn merge_join(&self, plan: &Plan, merge: &MergeJoin) -> Result<Box<dyn Operator>> {
        let scope = self.input_scope();
        let mut keys = Vec::new();
        for (at, key) in merge.keys.iter().enumerate() {
            let (outer_type, inner_type) = (key.outer.result_type(), key.inner.result_type());
            let compare = match cross_type(outer_type, inner_type)? {
                Some(cross) => cross.column,
                None => comparator(outer_type, key.collation)?,
            };
            keys.push(MergeKey {
                outer: Compiler::compile(&scope, &key.outer)?,
                inner: Compiler::compile(&scope, &key.inner)?,
                compare,
                compare_inner: comparator(inner_type, key.collation)?,
                physical: physical_of(inner_type),
                descending: merge.descending[at],
                nulls_first: merge.nulls_first[at],
            });
        }
        let output = self.join_output(plan, &merge.join)?;
        let (outer, inner) = (self.build(&merge.join.outer)?, self.build(&merge.join.inner)?);
        Ok(Box::new(MergeJoinOperator::new(outer, inner, keys, output)))
    }
}
