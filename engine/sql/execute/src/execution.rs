//! Running a planned statement.
//!
//! Realises: `execMain.c`. An [`Execution`] is the tree of operators of one planned statement. It borrows
//! nothing: snapshot, transaction and parameters come with every call, so a prepared statement keeps its
//! execution and runs it again without building anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use kokkiri_analyze::tree::{CommandType, Expression};
use kokkiri_catalog::entries::{FunctionEntry, Volatility};
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_plan::plan::{Plan, PlannedStatement};
use kokkiri_primitives::{Oid, Result};
use kokkiri_types::Batch;

use crate::context::{Context, Environment, State};
use crate::expression::compile::FunctionNames;
use crate::node::build::Builder;
use crate::node::{EVERYTHING, Instrumentation, Node};
use crate::parameters::Outside;

pub struct Execution {
    statement: Arc<PlannedStatement>,
    root: Node,
    state: State,
    started: bool,
    ended: bool,
    batch: Batch,
}

/// Names and volatilities of the functions that a statement calls, read while it is built.
#[derive(Debug, Default)]
pub(crate) struct KnownFunctions(Vec<Arc<FunctionEntry>>);

/// What casts of CURRENT_DATE and its kin are compiled to, and nextval, whose names nobody needs.
const STABLE_WITHOUT_NAME: [Oid; 5] = [Oid(1299), Oid(745), Oid(746), Oid(861), Oid(1402)];

impl FunctionNames for KnownFunctions {
    fn function_name(&self, oid: Oid) -> String {
        match self.get(oid) {
            Some(entry) => entry.name.to_string(),
            None if STABLE_WITHOUT_NAME.contains(&oid) => String::new(),
            None => oid.to_string(),
        }
    }

    fn is_volatile(&self, oid: Oid) -> bool {
        match self.get(oid) {
            Some(entry) => entry.volatility == Volatility::Volatile,
            None => !STABLE_WITHOUT_NAME.contains(&oid),
        }
    }

    fn implementation(&self, oid: Oid) -> Oid {
        self.get(oid).map_or(oid, |entry| kokkiri_functions::extension::implementation(entry))
    }
}

impl KnownFunctions {
    fn get(&self, oid: Oid) -> Option<&Arc<FunctionEntry>> {
        self.0.iter().find(|entry| entry.oid == oid)
    }

    fn read(statement: &PlannedStatement, facts: &dyn CatalogFacts) -> Result<Self> {
        let mut found = BTreeSet::new();
        let mut note = |expr: &Expression| note_functions(expr, &mut found);
        visit_plan(&statement.plan, &mut note);
        statement.subplans.iter().for_each(|plan| visit_plan(plan, &mut note));
        Self::look_up(found, facts)
    }

    /// The functions that expressions outside of plans call.
    pub(crate) fn of_expressions<'e>(
        exprs: impl IntoIterator<Item = &'e Expression>,
        facts: &dyn CatalogFacts,
    ) -> Result<Self> {
        let mut found = BTreeSet::new();
        exprs.into_iter().for_each(|expr| note_functions(expr, &mut found));
        Self::look_up(found, facts)
    }

    fn look_up(found: BTreeSet<u32>, facts: &dyn CatalogFacts) -> Result<Self> {
        let known = found.into_iter().map(|oid| facts.function(Oid(oid)));
        Ok(Self(known.collect::<Result<_>>()?))
    }
}

fn note_functions(expr: &Expression, found: &mut BTreeSet<u32>) {
    expr.walk(&mut |node| {
        match node {
            Expression::FuncExpr(function) => found.insert(function.funcid.0),
            Expression::OpExpr(op) | Expression::DistinctExpr(op) | Expression::NullIfExpr(op) => {
                found.insert(op.opfuncid.0)
            }
            Expression::ScalarArrayOpExpr(test) => found.insert(test.opfuncid.0),
            Expression::Aggref(aggref) => found.insert(aggref.aggfnoid.0),
            _ => false,
        };
        true
    });
}

fn visit_plan(plan: &Plan, visit: &mut dyn FnMut(&Expression)) {
    plan.target_list.iter().for_each(|target| visit(&target.expr));
    plan.qual.iter().for_each(&mut *visit);
    kokkiri_plan::visit_node_expressions(&plan.node, visit);
    for child in plan.children() {
        visit_plan(child, visit);
    }
}

fn collect_init_plans(plan: &Plan, found: &mut Vec<kokkiri_plan::plan::InitPlan>) {
    found.extend(plan.init_plans.iter().cloned());
    for child in plan.children() {
        collect_init_plans(child, found);
    }
}

impl Execution {
    /// Builds the operators of a statement.
    pub fn new(statement: Arc<PlannedStatement>, facts: &dyn CatalogFacts) -> Result<Self> {
        let names: Arc<dyn FunctionNames> = Arc::new(KnownFunctions::read(&statement, facts)?);
        let outside = Outside::of_subplans(&statement.subplans);
        let builder = Builder { facts, statement: &statement, names, outside: &outside, recheck: &[] };
        let root = builder.build(&statement.plan)?;
        let mut subplans = Vec::new();
        let mut init_plans = Vec::new();
        collect_init_plans(&statement.plan, &mut init_plans);
        for plan in &statement.subplans {
            subplans.push(Box::new(builder.build(plan)?));
            collect_init_plans(plan, &mut init_plans);
        }
        let state = State::new(statement.parameter_count, subplans, &outside, init_plans);
        drop(builder);
        Ok(Self { root, state, started: false, ended: false, batch: Batch::default(), statement })
    }

    pub fn statement(&self) -> &Arc<PlannedStatement> {
        &self.statement
    }

    /// Notes rows, time and buffers of every node from now on.
    pub fn instrument(&mut self, timing: bool) {
        fn visit(node: &mut Node, timing: bool) {
            node.instrumentation = Some(Box::new(Instrumentation::new(timing)));
            node.for_each_child_mut(&mut |child| visit(child, timing));
        }
        visit(&mut self.root, timing);
        self.state.for_each_subplan_mut(&mut |plan| visit(plan, timing));
    }

    /// Makes the execution ready to run from the start, if it has run before.
    pub fn restart(&mut self, environment: &Environment<'_>) -> Result<()> {
        if !self.started {
            return Ok(());
        }
        self.state.reset();
        self.ended = false;
        let state = std::mem::take(&mut self.state);
        let mut context = Context::new(environment, state);
        let result = self.root.rescan(&mut context, &[EVERYTHING]);
        self.state = context.state;
        result
    }

    /// The next rows, at most `demand`; `None` at the end. After an error the execution must be dropped.
    pub fn next(&mut self, environment: &Environment<'_>, demand: usize) -> Result<Option<&Batch>> {
        if self.ended {
            return Ok(None);
        }
        self.started = true;
        let mut context = Context::new(environment, std::mem::take(&mut self.state));
        let result = self.root.next(&mut context, demand, &mut self.batch);
        self.state = context.state;
        result?;
        if self.batch.is_empty() {
            self.ended = true;
            return Ok(None);
        }
        Ok(Some(&self.batch))
    }

    /// The execution is over: what its nodes have noted of their last loops is complete.
    pub fn end_loops(&mut self) {
        fn visit(node: &mut Node) {
            if let Some(instrumentation) = &mut node.instrumentation {
                instrumentation.end_loop();
            }
            node.for_each_child_mut(&mut |child| visit(child));
        }
        visit(&mut self.root);
        self.state.for_each_subplan_mut(&mut |plan| visit(plan));
    }

    /// Rows inserted, updated or deleted so far.
    pub fn processed(&self) -> u64 {
        self.state.processed
    }

    /// Columns of the batches that are the statement's result: the first of them, junk behind.
    pub fn result_columns(&self) -> usize {
        self.statement.result_columns
    }

    /// The command tag without rows: INSERT 0, UPDATE, ...
    pub fn command(&self) -> CommandType {
        self.statement.command_type
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    pub(crate) fn subplan(&self, plan_id: usize) -> Option<&Node> {
        self.state.subplan(plan_id)
    }
}
