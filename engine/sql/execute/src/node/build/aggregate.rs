//! Aggregation.

use kokkiri_analyze::tree::{Expression, TargetEntry};
use kokkiri_functions::{aggregate as find_aggregate, not_built};
use kokkiri_plan::plan::*;
use kokkiri_primitives::{Error, Result};
use kokkiri_types::compare::comparator;
use kokkiri_types::{Batch, PhysicalType};

use super::{Builder, types_of};
use crate::expression::compile::physical_of;
use crate::expression::{Compiler, Scope};
use crate::node::Operator;
use crate::node::aggregate::{Aggregate, Call, GroupKey, OrderedInput};
use crate::node::output::Output;
use crate::node::sort::Key as SortKeyOf;
use crate::row_store::RowStore;

impl Builder<'_> {
    pub(super) fn aggregate(&self, plan: &Plan, agg: &Agg) -> Result<Box<dyn Operator>> {
        let input_types = types_of(&agg.input);
        let mut aggregates: Vec<Expression> = Vec::new();
        for expr in plan.target_list.iter().map(|target| &target.expr).chain(&plan.qual) {
            expr.walk(&mut |node| {
                if let Expression::Aggref(_) = node {
                    if !aggregates.contains(node) {
                        aggregates.push(node.clone());
                    }
                    return false;
                }
                true
            });
        }
        let calls = aggregates.iter().map(|aggregate| self.call(aggregate)).collect::<Result<Vec<_>>>()?;
        let keys = agg
            .group_columns
            .iter()
            .map(|column| {
                let type_oid = agg.input.target_list[column.column - 1].expr.result_type();
                Ok(GroupKey {
                    column: column.column - 1,
                    type_oid,
                    compare: comparator(type_oid, column.collation)?,
                    physical: physical_of(type_oid),
                })
            })
            .collect::<Result<_>>()?;
        let width = input_types.len() + calls.len();
        let scope = Scope { aggregates, aggregates_at: input_types.len(), ..self.input_scope() };
        Ok(Box::new(Aggregate {
            input: self.build(&agg.input)?,
            strategy: agg.strategy,
            keys,
            calls,
            output: Output::compile(&scope, &plan.qual, &plan.target_list, width)?,
            groups: RowStore::new(input_types.iter().copied()),
            input_types,
            table: Default::default(),
            input_batch: Batch::default(),
            position: 0,
            batch: Batch::default(),
            next_group: 0,
            aggregated: false,
            ended: false,
            partitions: Vec::new(),
            pending: Vec::new(),
            hashes: Vec::new(),
            numbers: Vec::new(),
            peak: 0,
            batches: 0,
            disk: 0,
        }))
    }

    fn call(&self, aggregate: &Expression) -> Result<Call> {
        let Expression::Aggref(aggref) = aggregate else {
            return Err(Error::internal("an aggregate was expected"));
        };
        if aggref.aggkind != b'n' {
            return Err(Error::not_supported("an ordered-set aggregate"));
        }
        let found = find_aggregate(aggref.aggfnoid)
            .ok_or_else(|| not_built(&self.names.function_name(aggref.aggfnoid)))?;
        let scope = self.input_scope();
        let plain: Vec<&TargetEntry> = aggref.args.iter().filter(|target| !target.resjunk).collect();
        let junk: Vec<&TargetEntry> = aggref.args.iter().filter(|target| target.resjunk).collect();
        let args =
            plain.iter().map(|target| Compiler::compile(&scope, &target.expr)).collect::<Result<_>>()?;
        let clauses = if aggref.aggorder.is_empty() { &aggref.aggdistinct } else { &aggref.aggorder };
        let ordered = if clauses.is_empty() {
            None
        } else {
            let all: Vec<&TargetEntry> = plain.iter().chain(&junk).copied().collect();
            let mut keys = Vec::new();
            for clause in clauses {
                let column = all
                    .iter()
                    .position(|target| target.ressortgroupref == clause.tle_sort_group_ref)
                    .ok_or_else(|| Error::internal("an aggregate's sort column is missing"))?;
                let expr = &all[column].expr;
                keys.push(SortKeyOf {
                    column,
                    type_oid: expr.result_type(),
                    compare: comparator(expr.result_type(), expr.collation())?,
                    descending: clause.reverse_sort,
                    nulls_first: clause.nulls_first,
                });
            }
            let types: Vec<PhysicalType> =
                all.iter().map(|target| physical_of(target.expr.result_type())).collect();
            Some(OrderedInput {
                keys,
                extra: junk
                    .iter()
                    .map(|target| Compiler::compile(&scope, &target.expr))
                    .collect::<Result<_>>()?,
                distinct: !aggref.aggdistinct.is_empty(),
                argument_types: types[..plain.len()].to_vec(),
                store: RowStore::new(types),
            })
        };
        Ok(Call {
            states: found.states(),
            args,
            filter: aggref.aggfilter.as_ref().map(|filter| Compiler::compile(&scope, filter)).transpose()?,
            collation: aggref.inputcollid,
            argument_types: aggref.aggargtypes.clone(),
            result_type: aggref.aggtype,
            physical: physical_of(aggref.aggtype),
            ordered,
        })
    }
}
