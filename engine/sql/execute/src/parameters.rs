//! Which parameters of kind Exec a plan reads from outside, and what depends on one that changes.
//!
//! Realises: extParam, as `SS_finalize_plan` finds it, and what ExecReScan makes of it through chgParam. A
//! parameter is set by a nested loop from its outer row, by an expression for the subplan that it runs, or
//! by an init plan. When one of the first two has another value, the init plans that read it are to be run
//! again, so their parameters may have other values too; all of them together are the change's [`Effects`].

use std::collections::BTreeSet;

use kokkiri_analyze::tree::{Expression, ParamKind};
use kokkiri_plan::plan::{InitPlan, Plan, PlanNode};
use kokkiri_plan::visit_node_expressions;

/// The parameters that each of a statement's subplans reads from outside.
#[derive(Debug, Default)]
pub struct Outside(Vec<BTreeSet<u32>>);

/// Parameters that a plan and the subplans in it read, and those that are set in it.
#[derive(Default)]
struct Uses {
    read: BTreeSet<u32>,
    set: BTreeSet<u32>,
}

impl Outside {
    pub fn of_subplans(subplans: &[Plan]) -> Self {
        let mut known = vec![None; subplans.len()];
        (0..subplans.len()).for_each(|at| find(at, subplans, &mut known));
        Self(known.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The parameters that a plan reads from outside, rising.
    pub fn of_plan(&self, plan: &Plan) -> Vec<u32> {
        if self.0.is_empty() {
            return plan.parameters.clone();
        }
        let mut uses = Uses::default();
        uses.of(plan, &mut |at| self.0[at].clone());
        uses.read.difference(&uses.set).copied().collect()
    }
}

/// Finds what a subplan reads from outside, and what those in it do.
fn find(at: usize, subplans: &[Plan], known: &mut Vec<Option<BTreeSet<u32>>>) {
    if known[at].is_some() {
        return;
    }
    let mut uses = Uses::default();
    uses.of(&subplans[at], &mut |inner| {
        find(inner, subplans, known);
        known[inner].clone().unwrap_or_default()
    });
    known[at] = Some(uses.read.difference(&uses.set).copied().collect());
}

impl Uses {
    fn of(&mut self, plan: &Plan, outside: &mut dyn FnMut(usize) -> BTreeSet<u32>) {
        let mut visit = |expr: &Expression| {
            expr.walk(&mut |node| {
                match node {
                    Expression::Param(param) if param.kind == ParamKind::Exec => {
                        self.read.insert(param.id);
                    }
                    Expression::SubPlan(subplan) => {
                        self.set.extend(subplan.par_param.iter().chain(&subplan.param_ids));
                        self.read.extend(outside(subplan.plan_id));
                    }
                    _ => {}
                }
                true
            });
        };
        plan.target_list.iter().for_each(|target| visit(&target.expr));
        plan.qual.iter().for_each(&mut visit);
        visit_node_expressions(&plan.node, &mut visit);
        for init in &plan.init_plans {
            self.set.extend(&init.set_parameters);
            self.read.extend(outside(init.plan_id));
        }
        if let PlanNode::NestLoop(nest) = &plan.node {
            self.set.extend(nest.parameters.iter().map(|parameter| parameter.id));
        }
        plan.children().into_iter().for_each(|child| self.of(child, outside));
    }
}

/// What depends on a parameter.
#[derive(Debug, Default)]
pub struct Effects {
    /// The parameter itself and those of the init plans, rising.
    pub parameters: Vec<u32>,
    /// Init plans, by their place in the statement's list.
    pub init_plans: Vec<usize>,
    /// Subplans, those of the init plans among them.
    pub subplans: Vec<usize>,
}

impl Effects {
    /// Those of each parameter.
    pub fn of_parameters(count: usize, outside: &Outside, init_plans: &[InitPlan]) -> Vec<Self> {
        let mut readers = vec![Vec::new(); count];
        for (subplan, read) in outside.0.iter().enumerate() {
            read.iter().for_each(|id| readers[*id as usize].push(subplan));
        }
        (0..count as u32).map(|id| Self::of(id, &readers, init_plans)).collect()
    }

    fn of(id: u32, readers: &[Vec<usize>], init_plans: &[InitPlan]) -> Self {
        let (mut parameters, mut inits, mut subplans) = (vec![id], Vec::new(), BTreeSet::new());
        let mut next = 0;
        while let Some(&id) = parameters.get(next) {
            next += 1;
            for &subplan in &readers[id as usize] {
                if !subplans.insert(subplan) {
                    continue;
                }
                if let Some(at) = init_plans.iter().position(|init| init.plan_id == subplan) {
                    inits.push(at);
                    parameters.extend(&init_plans[at].set_parameters);
                }
            }
        }
        Self { parameters, init_plans: inits, subplans: subplans.into_iter().collect() }
    }
}
