//! What operators and expressions work with while a statement runs.
//!
//! Realises: `EState` and `ExprContext`. A [`Context`] is made for each call of the execution; what must
//! live from one call to the next (parameters of kind Exec, plans of subqueries) is its [`State`].

use kokkiri_catalog::entries::ConstraintEntry;
use kokkiri_functions::CallContext;
use kokkiri_plan::plan::InitPlan;
use kokkiri_primitives::settings::{Settings, parameters};
use kokkiri_primitives::{Error, ItemPointer, Oid, Result, SqlState};
use kokkiri_transaction::{Snapshot, Transaction};
use kokkiri_types::{BATCH_ROWS, Batch, Value, ValueRef, array};

use crate::foreign_key::deferred::DeferredCheck;
use crate::node::{EVERYTHING, Node};
use crate::parameters::{Effects, Outside};

/// What a statement that changes rows asks of the session: constraints that lead to other statements, or
/// that wait.
pub trait StatementHost {
    /// Runs a statement of the server's own making, with a new snapshot, as `role`. Gives the number of
    /// rows that it returned or changed.
    ///
    /// # Errors
    /// Those of the statement.
    fn run(&self, text: &str, parameters: &[(Oid, Value)], role: Oid) -> Result<u64>;

    /// Whether the constraint's checks wait now.
    fn is_deferred(&self, constraint: &ConstraintEntry) -> bool;

    /// Has a check wait.
    fn defer(&self, check: DeferredCheck);
}

/// What the session lends to a running statement.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    pub call: CallContext<'a>,
    pub settings: &'a Settings,
    pub transaction: &'a Transaction,
    pub snapshot: &'a Snapshot,
    /// Values of `$1`, `$2`, ...
    pub parameters: &'a [Value],
    /// `None` where statements don't change rows.
    pub host: Option<&'a dyn StatementHost>,
}

/// What lives as long as the execution.
#[derive(Default)]
pub struct State {
    parameters: Vec<ExecParameter>,
    subplans: Vec<Subplan>,
    init_plans: Vec<InitPlan>,
    /// Rows inserted, updated or deleted.
    pub(crate) processed: u64,
    /// The row versions that a plan is evaluated for again: of each table by its range table index; none
    /// where an outer join had null-extended.
    pub(crate) recheck: Vec<(u32, Option<ItemPointer>)>,
}

#[derive(Default)]
struct ExecParameter {
    value: Value,
    /// The init plan that sets it, if that hasn't been run yet, or since something it reads has changed.
    pending: Option<usize>,
    effects: Effects,
}

/// The plan of a subquery, an init plan's too.
struct Subplan {
    /// Away while it runs.
    plan: Option<Box<Node>>,
    /// Parameters that have changed since it ran.
    changed: Vec<u32>,
    /// Rises whenever what it reads changes.
    version: u64,
}

pub struct Context<'a> {
    pub call: CallContext<'a>,
    pub settings: &'a Settings,
    pub transaction: &'a Transaction,
    pub snapshot: &'a Snapshot,
    pub external: &'a [Value],
    pub host: Option<&'a dyn StatementHost>,
    pub state: State,
}

impl State {
    pub fn new(
        parameters: usize,
        subplans: Vec<Box<Node>>,
        outside: &Outside,
        init_plans: Vec<InitPlan>,
    ) -> Self {
        let parameters = Effects::of_parameters(parameters, outside, &init_plans)
            .into_iter()
            .map(|effects| ExecParameter { effects, ..ExecParameter::default() })
            .collect();
        let subplans = subplans
            .into_iter()
            .map(|plan| Subplan { plan: Some(plan), changed: Vec::new(), version: 0 })
            .collect();
        let mut state = Self { parameters, subplans, init_plans, ..Self::default() };
        state.reset();
        state
    }

    /// Nothing that subplans have computed is of use any more.
    pub fn reset(&mut self) {
        self.processed = 0;
        for subplan in &mut self.subplans {
            subplan.changed = vec![EVERYTHING];
            subplan.version += 1;
        }
        (0..self.init_plans.len()).for_each(|at| self.run_again(at));
    }

    fn run_again(&mut self, init_plan: usize) {
        for id in &self.init_plans[init_plan].set_parameters {
            self.parameters[*id as usize].pending = Some(init_plan);
        }
    }

    /// The plan of a subquery, which is not running.
    pub fn subplan(&self, plan_id: usize) -> Option<&Node> {
        self.subplans.get(plan_id)?.plan.as_deref()
    }

    pub fn for_each_subplan_mut(&mut self, visit: &mut dyn FnMut(&mut Node)) {
        self.subplans.iter_mut().filter_map(|subplan| subplan.plan.as_deref_mut()).for_each(visit);
    }
}

impl<'a> Context<'a> {
    pub fn new(environment: &Environment<'a>, state: State) -> Self {
        Self {
            call: environment.call,
            settings: environment.settings,
            transaction: environment.transaction,
            snapshot: environment.snapshot,
            external: environment.parameters,
            host: environment.host,
            state,
        }
    }

    /// Bytes an operator may hold before it spills.
    pub fn work_mem(&self) -> usize {
        self.settings.get(parameters::WORK_MEM) as usize * 1024
    }

    /// Bytes a hash table may hold.
    pub fn hash_mem(&self) -> usize {
        (self.work_mem() as f64 * self.settings.get(parameters::HASH_MEM_MULTIPLIER)) as usize
    }

    pub fn external(&self, id: u32) -> Result<ValueRef<'a>> {
        self.external.get((id as usize).wrapping_sub(1)).map(Value::as_ref).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_OBJECT, format!("no value found for parameter {id}"))
        })
    }

    pub fn parameter(&self, id: u32) -> ValueRef<'_> {
        self.state.parameters[id as usize].value.as_ref()
    }

    /// Sets a parameter on which nothing depends that is computed already.
    pub fn set_parameter(&mut self, id: u32, value: Value) {
        let parameter = &mut self.state.parameters[id as usize];
        parameter.value = value;
        parameter.pending = None;
    }

    /// Gives a parameter another value: what subplans and init plans have computed from it is stale. Returns
    /// all parameters that may have other values now.
    pub fn change_parameter(&mut self, id: u32, value: Value) -> &[u32] {
        self.set_parameter(id, value);
        let effects = std::mem::take(&mut self.state.parameters[id as usize].effects);
        for &at in &effects.subplans {
            let subplan = &mut self.state.subplans[at];
            subplan.version += 1;
            let new = effects.parameters.iter().filter(|id| !subplan.changed.contains(id));
            let new: Vec<u32> = new.copied().collect();
            subplan.changed.extend(new);
        }
        effects.init_plans.iter().for_each(|at| self.state.run_again(*at));
        self.state.parameters[id as usize].effects = effects;
        &self.state.parameters[id as usize].effects.parameters
    }

    /// Another one than before if rows that the subplan returned then are stale.
    pub fn subplan_version(&self, plan_id: usize) -> u64 {
        self.state.subplans[plan_id].version
    }

    /// Init plans that set a parameter run when it is first read.
    pub fn evaluate_parameter(&mut self, id: u32) -> Result<()> {
        let Some(at) = self.state.parameters[id as usize].pending else { return Ok(()) };
        let init = self.state.init_plans[at].clone();
        let value = if init.exists {
            let found = self.with_subplan(init.plan_id, |context, plan| {
                let mut batch = Batch::default();
                plan.next(context, 1, &mut batch)?;
                Ok(!batch.is_empty())
            })?;
            Value::Bool(found)
        } else if let Some(element) = init.array_of {
            let rows = self.subplan_rows(init.plan_id)?;
            let values: Vec<Value> = rows.into_iter().filter_map(|row| row.into_iter().next()).collect();
            Value::from(array::build_vector(array::element_info(element)?, &values)?)
        } else {
            let row = self.only_row(init.plan_id)?.unwrap_or_default();
            let values = row.into_iter().chain(std::iter::repeat(Value::Null));
            for (id, value) in init.set_parameters.into_iter().zip(values) {
                self.set_parameter(id, value);
            }
            return Ok(());
        };
        for id in init.set_parameters {
            self.set_parameter(id, value.clone());
        }
        Ok(())
    }

    /// Runs a subplan from its start with `run`.
    pub fn with_subplan<T>(
        &mut self,
        plan_id: usize,
        run: impl FnOnce(&mut Self, &mut Node) -> Result<T>,
    ) -> Result<T> {
        let subplan = &mut self.state.subplans[plan_id];
        let plan = subplan.plan.take();
        let mut plan = plan.ok_or_else(|| Error::internal("a subplan runs within itself"))?;
        let changed = std::mem::take(&mut subplan.changed);
        let result = plan.rescan(self, &changed).and_then(|()| run(self, &mut plan));
        self.state.subplans[plan_id].plan = Some(plan);
        result
    }

    /// The only column of the only row; null if there is none.
    pub fn scalar_subplan(&mut self, plan_id: usize) -> Result<Value> {
        let row = self.only_row(plan_id)?;
        Ok(row.and_then(|row| row.into_iter().next()).unwrap_or_default())
    }

    /// The only row, if there is one.
    pub fn only_row(&mut self, plan_id: usize) -> Result<Option<Vec<Value>>> {
        self.with_subplan(plan_id, |context, plan| {
            let mut batch = Batch::default();
            let mut found = None;
            loop {
                plan.next(context, 2, &mut batch)?;
                if batch.is_empty() {
                    break;
                }
                if found.is_some() || batch.len() > 1 {
                    return Err(Error::new(
                        SqlState::CARDINALITY_VIOLATION,
                        "more than one row returned by a subquery used as an expression",
                    ));
                }
                let row = batch.selection.nth(0);
                found = Some(batch.columns.iter().map(|column| column.get(row).to_value()).collect());
            }
            Ok(found)
        })
    }

    /// All rows of a subplan.
    pub fn subplan_rows(&mut self, plan_id: usize) -> Result<Vec<Vec<Value>>> {
        self.with_subplan(plan_id, |context, plan| {
            let mut batch = Batch::default();
            let mut rows = Vec::new();
            loop {
                plan.next(context, BATCH_ROWS, &mut batch)?;
                if batch.is_empty() {
                    return Ok(rows);
                }
                batch.selection.for_each(|row| {
                    rows.push(batch.columns.iter().map(|column| column.get(row).to_value()).collect());
                });
            }
        })
    }
}
