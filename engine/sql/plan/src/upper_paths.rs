//! What comes after joining and grouping: DISTINCT, ORDER BY, row locks and LIMIT.
//!
//! Realises: `create_distinct_paths`, `create_ordered_paths` and the end of `grouping_planner`.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, LimitOption, LockStrength, LockWait, SortGroupClause};
use kokkiri_primitives::Result;
use kokkiri_types::Value;

use crate::cost::{self, AggregateCost, AggregateInput, Grouping};
use crate::path::{GroupTarget, Path, PathKey, PathKind, add_path, cheapest_total, order_satisfies};
use crate::plan::{AggStrategy, LockWaitPolicy, PlanRowMark, RowMarkType};
use crate::query::reference_marks;
use crate::root::Root;

impl Root<'_, '_> {
    /// Estimates of OFFSET and LIMIT, and what they say about how many rows are wanted.
    pub fn preprocess_limit(&mut self) -> (Option<f64>, Option<f64>) {
        let estimate = |expr: &Option<Expression>| -> Option<f64> {
            match expr {
                None => None,
                Some(Expression::Const(constant)) => match constant.value {
                    Value::Int64(count) => Some(count.max(0) as f64),
                    _ => None,
                },
                Some(_) => Some(-1.0),
            }
        };
        let (offset, count) = (estimate(&self.query.limit_offset), estimate(&self.query.limit_count));
        if let Some(count) = count.filter(|count| *count >= 0.0) {
            let wanted = match offset {
                Some(offset) if offset < 0.0 => None,
                Some(offset) => Some(offset + count),
                None => Some(count),
            };
            if let Some(wanted) = wanted {
                self.limit_tuples = wanted;
                let wanted = wanted.max(1.0);
                self.tuple_fraction =
                    if self.tuple_fraction >= 1.0 { self.tuple_fraction.min(wanted) } else { wanted };
            }
        } else if count.is_some() && self.tuple_fraction == 0.0 {
            self.tuple_fraction = 0.1;
        }
        (offset, count)
    }

    /// A Sort above a path.
    pub fn sorted(&self, input: &Rc<Path>, order: &[PathKey], limit: Option<f64>) -> Rc<Path> {
        let p = &self.global.cost;
        let cost = cost::sort(p, input.cost, input.rows, input.target.width, limit);
        Rc::new(Path {
            kind: PathKind::Sort { input: Rc::clone(input) },
            cost,
            disabled_nodes: input.disabled_nodes + usize::from(!p.enable.sort),
            pathkeys: order.to_vec(),
            ..(**input).clone()
        })
    }

    pub fn order_paths(&self, inputs: Vec<Rc<Path>>, order: &[PathKey]) -> Result<Vec<Rc<Path>>> {
        let cheapest = cheapest_total(&inputs);
        let mut paths = Vec::new();
        for input in &inputs {
            if order_satisfies(&input.pathkeys, order) {
                add_path(&mut paths, (**input).clone());
            } else if cheapest.as_ref().is_some_and(|cheapest| Rc::ptr_eq(cheapest, input)) {
                let limit = (self.limit_tuples > 0.0).then_some(self.limit_tuples);
                add_path(&mut paths, (*self.sorted(input, order, limit)).clone());
            }
        }
        Ok(paths)
    }

    pub fn distinct_paths(
        &mut self,
        inputs: Vec<Rc<Path>>,
        distinct: &[SortGroupClause],
        order: Option<Vec<PathKey>>,
        sort_order: &[PathKey],
    ) -> Result<Vec<Rc<Path>>> {
        let Some(cheapest) = cheapest_total(&inputs) else { return Ok(Vec::new()) };
        let columns = self.group_targets(distinct);
        let exprs: Vec<Expression> = columns.iter().map(|column| column.expr.clone()).collect();
        let is_grouped = !self.query.group_clause.is_empty() || self.query.has_aggs;
        let rows = if is_grouped { cheapest.rows } else { self.group_count(&exprs, cheapest.rows)? };
        let p = self.global.cost.clone();
        let mut paths = Vec::new();
        if let Some(order) = &order {
            // Sort by what ORDER BY wants first, where that covers the distinct columns.
            let wanted: Vec<PathKey> = if sort_order.len() > order.len() && self.query.has_distinct_on {
                sort_order.to_vec()
            } else {
                order.clone()
            };
            for input in &inputs {
                let sorted = order_satisfies(&input.pathkeys, &wanted);
                if !sorted && !Rc::ptr_eq(input, &cheapest) {
                    continue;
                }
                let input = if sorted { Rc::clone(input) } else { self.sorted(input, &wanted, None) };
                let cost = cost::unique(&p, input.cost, input.rows, columns.len());
                add_path(
                    &mut paths,
                    Path {
                        kind: PathKind::Unique { input: Rc::clone(&input), columns: columns.clone() },
                        cost,
                        rows,
                        ..(*input).clone()
                    },
                );
            }
        }
        if distinct.iter().all(|clause| clause.hashable) && !self.query.has_distinct_on {
            let none = AggregateCost::default();
            let read =
                AggregateInput { cost: cheapest.cost, rows: cheapest.rows, width: cheapest.target.width };
            let cost = cost::aggregate(&p, Grouping::Hashed, &none, columns.len(), rows, read);
            add_path(
                &mut paths,
                Path {
                    kind: PathKind::Agg {
                        input: Rc::clone(&cheapest),
                        strategy: AggStrategy::Hashed,
                        columns,
                        groups: rows,
                        having: Vec::new(),
                        is_group: true,
                    },
                    cost,
                    rows,
                    disabled_nodes: cheapest.disabled_nodes + usize::from(!p.enable.hashagg),
                    pathkeys: Vec::new(),
                    ..(*cheapest).clone()
                },
            );
        }
        Ok(paths)
    }

    pub fn lock_paths(&self, inputs: Vec<Rc<Path>>) -> Result<Vec<Rc<Path>>> {
        let mut row_marks = Vec::new();
        for mark in &self.query.row_marks {
            let ctid_column = self.query.target_list.iter().position(|target| {
                matches!(&target.expr, Expression::Var(var) if var.varno == mark.rti && var.varattno == -1)
            });
            row_marks.push(PlanRowMark {
                relid: mark.rti,
                mark_type: match mark.strength {
                    LockStrength::ForKeyShare => RowMarkType::KeyShare,
                    LockStrength::ForShare => RowMarkType::Share,
                    LockStrength::ForNoKeyUpdate => RowMarkType::NoKeyExclusive,
                    LockStrength::ForUpdate => RowMarkType::Exclusive,
                },
                wait_policy: match mark.wait {
                    LockWait::Block => LockWaitPolicy::Block,
                    LockWait::Skip => LockWaitPolicy::Skip,
                    LockWait::Error => LockWaitPolicy::Error,
                },
                ctid_column: ctid_column.map(|at| at + 1),
            });
        }
        row_marks.extend(reference_marks(&self.query.target_list, |relid| {
            self.query.row_marks.iter().any(|mark| mark.rti == relid)
        }));
        let per_row = self.global.cost.cpu_tuple_cost;
        Ok(inputs
            .into_iter()
            .map(|input| {
                let mut cost = input.cost;
                cost.total += per_row * input.rows;
                let kind = PathKind::LockRows { input: Rc::clone(&input), row_marks: row_marks.clone() };
                Rc::new(Path { kind, cost, pathkeys: Vec::new(), ..(*input).clone() })
            })
            .collect())
    }

    /// The columns whose equality makes a tie with the last row, if ties count.
    fn tie_columns(&self) -> Vec<GroupTarget> {
        match self.query.limit_option {
            LimitOption::WithTies => self.group_targets(&self.query.sort_clause),
            _ => Vec::new(),
        }
    }

    pub fn limit_paths(
        &self,
        inputs: Vec<Rc<Path>>,
        offset: Option<f64>,
        count: Option<f64>,
    ) -> Vec<Rc<Path>> {
        let ties = self.tie_columns();
        inputs
            .into_iter()
            .map(|input| {
                let (rows, cost) = cost::limit(input.cost, input.rows, offset, count);
                let kind = PathKind::Limit {
                    input: Rc::clone(&input),
                    offset: self.query.limit_offset.clone(),
                    count: self.query.limit_count.clone(),
                    ties: ties.clone(),
                };
                Rc::new(Path { kind, rows, cost, ..(*input).clone() })
            })
            .collect()
    }
}
