//! Prepared statements and their plans.
//!
//! Realises: plancache.c. A prepared statement keeps its raw tree, its analyzed tree and a plan that is
//! good for all parameter values (the generic one). The analyzed tree is made again whenever the catalogs,
//! the search path or the role have changed since; its relations are locked before it is trusted. Whether
//! the generic plan is run or one made for the values at hand is decided as PostgreSQL does: five times
//! for the values, then whichever has been cheaper, planning included.

use std::sync::Arc;

use kokkiri_analyze::Parameters;
use kokkiri_analyze::tree::{Expression, Query, RangeTblEntry, RteKind};
use kokkiri_catalog::cache::CacheVersion;
use kokkiri_catalog::view::CatalogView;
use kokkiri_execute::catalog::ViewFacts;
use kokkiri_execute::execution::Execution;
use kokkiri_parse::tree::RawStatement;
use kokkiri_plan::plan::PlannedStatement;
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::{Settings, parameters};
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::Value;

use super::prepared::query_columns;
use super::statement::{self, Prepared};
use crate::client::ResultColumn;

/// So many plans are made for particular values before they are compared with the generic one.
const CUSTOM_PLANS_FIRST: u32 = 5;

/// A prepared statement.
pub struct Source {
    pub text: Arc<str>,
    /// `None` for an empty statement.
    pub raw: Option<Arc<RawStatement>>,
    pub parameter_types: Vec<Oid>,
    /// Columns of its result, if it has one. They stay the same for its whole life.
    pub columns: Option<Arc<[ResultColumn]>>,
    pub prepared: TimestampTz,
    /// By PREPARE, not by the protocol.
    pub from_sql: bool,
    /// How often the generic plan was chosen.
    pub generic_plans: u32,
    analyzed: Option<Analyzed>,
    generic: Option<GenericPlan>,
    /// Cost of the generic plan when it was last made.
    generic_cost: Option<f64>,
    pub custom_plans: u32,
    custom_cost: f64,
}

/// An analyzed tree with what it depends on.
pub struct Analyzed {
    query: Box<Query>,
    locks: Vec<(Oid, LockMode)>,
    /// `None` if the transaction that analyzed had changed the catalogs: it holds for one use.
    made_under: Option<Circumstances>,
}

struct GenericPlan {
    plan: Arc<PlannedStatement>,
    /// An execution of the plan that nobody uses at the moment.
    spare: Option<Box<Execution>>,
}

/// What makes an analysis of yesterday wrong today.
#[derive(Clone, PartialEq)]
struct Circumstances {
    shared: CacheVersion,
    own: CacheVersion,
    search_path: Arc<str>,
    role: Oid,
}

impl Circumstances {
    /// The present ones; `None` while the transaction has catalog changes of its own.
    fn now(view: &CatalogView<'_>) -> Option<Self> {
        (!view.session.has_changes()).then(|| Self {
            shared: view.session.catalog.shared_cache().version(),
            own: view.session.database.cache().version(),
            search_path: view.settings.get(parameters::SEARCH_PATH),
            role: view.role,
        })
    }
}

/// A plan to run, with an execution of it if one lies ready.
pub type ChosenPlan = (Arc<PlannedStatement>, Option<Box<Execution>>);

impl Source {
    /// DISCARD PLANS: the next use analyzes and plans anew.
    pub fn forget_plan(&mut self) {
        self.analyzed = None;
        self.generic = None;
    }

    /// A statement whose text is `raw`, empty if that is `None`.
    pub fn new(text: Arc<str>, raw: Option<Arc<RawStatement>>, parameter_types: Vec<Oid>) -> Self {
        Self {
            text,
            raw,
            parameter_types,
            columns: None,
            prepared: TimestampTz::now(),
            from_sql: false,
            generic_plans: 0,
            analyzed: None,
            generic: None,
            generic_cost: None,
            custom_plans: 0,
            custom_cost: 0.0,
        }
    }

    /// The plan to run for these values.
    ///
    /// # Errors
    /// 0A000 if the statement's result has other columns by now than its client was told; what analysis
    /// and planning find wrong, constants included.
    pub fn plan(&mut self, facts: &ViewFacts<'_>, values: &[Value]) -> Result<ChosenPlan> {
        self.revalidate(facts)?;
        if !self.wants_custom(facts.view.settings, values) {
            if let Some(generic) = &mut self.generic {
                self.generic_plans += 1;
                return Ok((Arc::clone(&generic.plan), generic.spare.take()));
            }
            let plan = self.plan_for(facts, &[])?;
            self.generic_cost = Some(plan.plan.cost.total);
            let lasts = self.analyzed.as_ref().is_some_and(|analyzed| analyzed.made_under.is_some());
            if lasts && !plan.transient {
                self.generic = Some(GenericPlan { plan: Arc::clone(&plan), spare: None });
            }
            // Now that its cost is known it may turn out to be the dearer one.
            if !self.wants_custom(facts.view.settings, values) {
                self.generic_plans += 1;
                return Ok((plan, None));
            }
        }
        let plan = self.plan_for(facts, values)?;
        self.custom_plans += 1;
        self.custom_cost += plan.plan.cost.total + planning_cost(&plan, facts.view.settings);
        Ok((plan, None))
    }

    /// Takes back an execution of the generic plan.
    pub fn give_back(&mut self, execution: Box<Execution>) {
        if let Some(generic) = &mut self.generic
            && Arc::ptr_eq(&generic.plan, execution.statement())
        {
            generic.spare = Some(execution);
        }
    }

    /// Keeps what analysis has found.
    pub fn keep(&mut self, analyzed: Analyzed) {
        self.generic = None;
        self.analyzed = Some(analyzed);
    }

    /// Makes sure that the analyzed tree is right, with its relations locked. A statement that is not
    /// planned has none.
    ///
    /// # Errors
    /// 0A000 if the statement's result has other columns by now than its client was told.
    pub fn revalidate(&mut self, facts: &ViewFacts<'_>) -> Result<()> {
        let view = facts.view;
        let Some(raw) = self.raw.as_ref().filter(|raw| statement::is_query(&raw.statement)) else {
            return Ok(());
        };
        if let Some(analyzed) = &self.analyzed {
            for (relation, mode) in &analyzed.locks {
                view.lock_relation_oid(*relation, *mode, WaitPolicy::Block)?;
            }
            if analyzed.made_under.is_some() && analyzed.made_under == Circumstances::now(view) {
                return Ok(());
            }
            self.analyzed = None;
            self.generic = None;
        }
        let made_under = Circumstances::now(view);
        let parameters = Parameters::fixed(self.parameter_types.clone());
        let (Prepared::Query(query), _) = statement::prepare(facts, raw, parameters)? else {
            unreachable!("only queries are planned");
        };
        let columns = query_columns(view, &query)?;
        if !same_result(self.columns.as_deref(), columns.as_deref()) {
            return Err(error!(FEATURE_NOT_SUPPORTED, "cached plan must not change result type"));
        }
        self.keep(Analyzed::new(query, made_under));
        Ok(())
    }

    fn plan_for(&self, facts: &ViewFacts<'_>, values: &[Value]) -> Result<Arc<PlannedStatement>> {
        let analyzed = self.analyzed.as_ref().expect("it has been revalidated");
        statement::plan(facts, analyzed.query.clone(), values)
    }

    /// `choose_custom_plan`.
    fn wants_custom(&self, settings: &Settings, values: &[Value]) -> bool {
        if values.is_empty() {
            return false;
        }
        match settings.get(parameters::PLAN_CACHE_MODE) {
            "force_generic_plan" => false,
            "force_custom_plan" => true,
            _ if self.custom_plans < CUSTOM_PLANS_FIRST => true,
            _ => {
                let average = self.custom_cost / f64::from(self.custom_plans);
                self.generic_cost.is_some_and(|cost| cost >= average)
            }
        }
    }
}

impl Analyzed {
    /// A tree that analysis has made under the view's present circumstances.
    pub fn now(query: Box<Query>, view: &CatalogView<'_>) -> Self {
        Self::new(query, Circumstances::now(view))
    }

    fn new(query: Box<Query>, made_under: Option<Circumstances>) -> Self {
        let mut locks = Vec::new();
        collect_locks(&query, &mut locks);
        Self { query, locks, made_under }
    }
}

/// What planning a statement again costs, in the planner's units: `cached_plan_cost`.
fn planning_cost(plan: &PlannedStatement, settings: &Settings) -> f64 {
    1000.0 * settings.get(parameters::CPU_OPERATOR_COST) * (plan.range_table.len() + 1) as f64
}

/// True if a client that was told of the one columns can take rows of the others: `equalRowTypes`.
fn same_result(told: Option<&[ResultColumn]>, now: Option<&[ResultColumn]>) -> bool {
    let same = |a: &ResultColumn, b: &ResultColumn| {
        a.name == b.name && a.type_oid == b.type_oid && a.typmod == b.typmod
    };
    match (told, now) {
        (None, None) => true,
        (Some(told), Some(now)) => {
            told.len() == now.len() && told.iter().zip(now).all(|(told, now)| same(told, now))
        }
        _ => false,
    }
}

/// The table locks that a query and those within it need: the target's for writing, row-locked tables'
/// and the others' for reading.
fn collect_locks(query: &Query, locks: &mut Vec<(Oid, LockMode)>) {
    for (number, entry) in (1u32..).zip(&query.rtable) {
        let Some(relation) = relation_of(entry) else { continue };
        let mode = if number == query.result_relation {
            LockMode::RowExclusive
        } else if query.row_marks.iter().any(|mark| mark.rti == number) {
            LockMode::RowShare
        } else {
            LockMode::AccessShare
        };
        if !locks.contains(&(relation, mode)) {
            locks.push((relation, mode));
        }
    }
    query.for_each_subquery(&mut |subquery| collect_locks(subquery, locks));
    query.for_each_expression(&mut |expression| {
        expression.walk(&mut |node| {
            if let Expression::SubLink(link) = node {
                collect_locks(&link.subselect, locks);
            }
            true
        });
    });
}

fn relation_of(entry: &RangeTblEntry) -> Option<Oid> {
    match entry.kind {
        RteKind::Relation { relid, .. } => Some(relid),
        RteKind::Subquery { view, .. } => view,
        _ => None,
    }
}
