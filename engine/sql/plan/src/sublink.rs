//! Sublinks that stay sublinks: subplans and init plans.
//!
//! Realises: `subselect.c`. A sublink that does not look at the query around it and yields one value runs
//! once, as an init plan whose result is a parameter. Others become SubPlan expressions: the outer values
//! they look at are parameters that are set before each run.

use kokkiri_analyze::tree::{Expression, Param, ParamKind, Query, SubLink, SubLinkType, SubPlan, Var};
use kokkiri_parse::Location;
use kokkiri_primitives::{Oid, Result};

use crate::cost::relation_bytes;
use crate::expression::exec_param;
use crate::plan::InitPlan;
use crate::query::plan_query;
use crate::root::{Root, SubplanEntry};
use crate::tree::{visit_query_vars, visit_vars};

impl Root<'_, '_> {
    /// Replaces every sublink of an expression.
    pub fn plan_sublinks(&mut self, expression: Expression) -> Result<Expression> {
        if !crate::expression::has_sublinks(&expression) {
            return Ok(expression);
        }
        self.plan_sublinks_in(expression, true)
    }

    fn plan_sublinks_in(&mut self, expression: Expression, top: bool) -> Result<Expression> {
        if let Expression::SubLink(link) = expression {
            return self.plan_sublink(*link, top);
        }
        let stays_top = top
            && matches!(&expression, Expression::BoolExpr(and)
            if and.op != kokkiri_analyze::tree::BoolOp::Not);
        let mut failure = None;
        let planned = expression.map_children(&mut |child| {
            if failure.is_some() {
                return child;
            }
            match self.plan_sublinks_in(child, stays_top) {
                Ok(planned) => planned,
                Err(error) => {
                    failure = Some(error);
                    crate::expression::boolean(None)
                }
            }
        });
        failure.map_or(Ok(planned), Err)
    }

    fn plan_sublink(&mut self, link: SubLink, top: bool) -> Result<Expression> {
        let mut query = Box::new(link.subselect);
        if link.kind == SubLinkType::Exists {
            let _simplified = crate::pull_up::simplify_exists(&mut query);
        }
        let outer = self.outer_references(&mut query)?;
        let fraction = match link.kind {
            SubLinkType::Exists => 1.0,
            SubLinkType::All | SubLinkType::Any => 0.5,
            _ => 0.0,
        };
        let planned = plan_query(self.global, query, fraction)?;
        let plan = planned.plan;
        let columns: Vec<Expression> = plan
            .target_list
            .iter()
            .filter(|target| !target.resjunk)
            .map(|target| target.expr.clone())
            .collect();
        let first_column = columns.first().map_or((Oid(25), -1, Oid::INVALID), |first| {
            (first.result_type(), first.typmod(), first.collation())
        });
        let plan_id = self.global.subplans.len();
        let (cost, rows, width) = (plan.cost, plan.rows, plan.width);
        self.global.subplans.push(SubplanEntry { plan, cost, rows });

        let single = matches!(link.kind, SubLinkType::Exists | SubLinkType::Expr | SubLinkType::Array);
        if outer.is_empty() && single {
            let id = self.global.new_parameter();
            self.init_plans.push(InitPlan {
                plan_id,
                name: format!("InitPlan {}", plan_id + 1),
                exists: link.kind == SubLinkType::Exists,
                array_of: (link.kind == SubLinkType::Array).then_some(first_column.0),
                set_parameters: vec![id],
            });
            let type_oid = match link.kind {
                SubLinkType::Exists => crate::expression::BOOL,
                SubLinkType::Array => self.global.lookup.array_type(first_column.0)?,
                _ => first_column.0,
            };
            return Ok(Expression::Param(Param {
                kind: ParamKind::Exec,
                id,
                type_oid,
                typmod: first_column.1,
                collation: first_column.2,
                location: Location::UNKNOWN,
            }));
        }
        let param_ids: Vec<u32> = match &link.testexpr {
            Some(_) => columns.iter().map(|_| self.global.new_parameter()).collect(),
            None => Vec::new(),
        };
        let mut testexpr = match link.testexpr {
            Some(test) => Some(self.plan_sublinks_in(test, false)?),
            None => None,
        };
        if let Some(test) = &mut testexpr {
            test.walk_mut(&mut |node| {
                if let Expression::Param(param) = node
                    && param.kind == ParamKind::Sublink
                    && let Some(&id) = param_ids.get((param.id as usize).wrapping_sub(1))
                {
                    *node = exec_param(id, &Expression::Param(param.clone()));
                    return false;
                }
                true
            });
        }
        if link.kind == SubLinkType::RowCompare
            && outer.is_empty()
            && let Some(test) = testexpr.take()
        {
            // The only row's columns, found out once.
            self.init_plans.push(InitPlan {
                plan_id,
                name: format!("InitPlan {}", plan_id + 1),
                exists: false,
                array_of: None,
                set_parameters: param_ids,
            });
            return Ok(test);
        }
        let fits = relation_bytes(rows, width) <= self.global.cost.hash_memory();
        let use_hash_table = link.kind == SubLinkType::Any
            && outer.is_empty()
            && fits
            && testexpr.as_ref().is_some_and(|test| self.hashable_test(test));
        let (par_param, args): (Vec<u32>, Vec<Expression>) = outer.into_iter().unzip();
        Ok(Expression::SubPlan(Box::new(SubPlan {
            kind: link.kind,
            testexpr,
            param_ids,
            plan_id,
            plan_name: format!("SubPlan {}", plan_id + 1),
            first_column,
            use_hash_table,
            unknown_eq_false: top && link.kind == SubLinkType::Any,
            set_param: Vec::new(),
            par_param,
            args,
        })))
    }

    /// Every comparison of the test is a hashable equality of an outer expression with a column.
    fn hashable_test(&self, test: &Expression) -> bool {
        crate::expression::conjuncts(test.clone()).iter().all(|part| match part {
            Expression::OpExpr(operator) => {
                operator.args.len() == 2
                    && matches!(operator.args[1], Expression::Param(_))
                    && self.global.lookup.operator(operator.opno).is_ok_and(|entry| entry.can_hash)
            }
            _ => false,
        })
    }

    /// Turns references from a subquery to this level into parameters; answers which is which.
    pub fn outer_references(&mut self, query: &mut Query) -> Result<Vec<(u32, Expression)>> {
        let mut aggregates: Vec<(u32, Expression)> = Vec::new();
        take_outer_aggregates(query, 1, &mut |aggregate| {
            if let Some((id, _)) = aggregates.iter().find(|(_, known)| *known == aggregate) {
                return *id;
            }
            let id = self.global.new_parameter();
            aggregates.push((id, aggregate));
            id
        });
        let mut outer: Vec<(u32, Var)> = Vec::new();
        let mut found: Vec<Var> = Vec::new();
        visit_query_vars(query, 1, &mut |var, depth| {
            if var.varlevelsup == depth {
                let mut plain = var.clone();
                plain.varlevelsup = 0;
                if !found.contains(&plain) {
                    found.push(plain);
                }
            }
        });
        for var in found {
            outer.push((self.global.new_parameter(), var));
        }
        if !outer.is_empty() {
            replace_in_query(query, 1, &outer);
        }
        let columns = outer.into_iter().map(|(id, var)| (id, Expression::Var(var)));
        Ok(aggregates.into_iter().chain(columns).collect())
    }
}

/// Replaces aggregates that belong to the query `depth` levels up by parameters; `parameter` names the one
/// for an aggregate as that query sees it.
fn take_outer_aggregates(query: &mut Query, depth: u32, parameter: &mut dyn FnMut(Expression) -> u32) {
    query.for_each_expression_mut(&mut |expression| {
        expression.walk_mut(&mut |node| {
            match node {
                Expression::Aggref(aggregate) if aggregate.agglevelsup == depth => {
                    let mut plain = aggregate.clone();
                    plain.agglevelsup = 0;
                    let mut plain = Expression::Aggref(plain);
                    visit_vars(&mut plain, 0, &mut |var, inner| {
                        if var.varlevelsup >= inner + depth {
                            var.varlevelsup -= depth;
                        }
                    });
                    *node = exec_param(parameter(plain), node);
                    return false;
                }
                Expression::SubLink(link) => {
                    take_outer_aggregates(&mut link.subselect, depth + 1, parameter);
                }
                _ => {}
            }
            true
        });
    });
    query.for_each_subquery_mut(&mut |inner| take_outer_aggregates(inner, depth + 1, parameter));
}

fn replace_in_query(query: &mut Query, depth: u32, outer: &[(u32, Var)]) {
    query.for_each_expression_mut(&mut |expression| {
        expression.walk_mut(&mut |node| {
            match node {
                Expression::Var(var) if var.varlevelsup == depth => {
                    let known = outer.iter().find(|(_, other)| {
                        crate::expression::same_column(&Var { varlevelsup: 0, ..var.clone() }, other)
                            && other.varnullingrels == var.varnullingrels
                    });
                    if let Some((id, _)) = known {
                        *node = exec_param(*id, &Expression::Var(var.clone()));
                        return false;
                    }
                }
                Expression::SubLink(link) => replace_in_query(&mut link.subselect, depth + 1, outer),
                _ => {}
            }
            true
        });
    });
    query.for_each_subquery_mut(&mut |inner| replace_in_query(inner, depth + 1, outer));
}
