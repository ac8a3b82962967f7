//! State of planning: of the whole statement ([`Global`]) and of one query level ([`Root`]).
//!
//! Realises: `PlannerGlobal` and `PlannerInfo`.

use std::collections::{BTreeMap, HashMap};

use kokkiri_analyze::tree::{Expression, Query, RangeTblEntry, Relids};
use kokkiri_primitives::Oid;

use crate::cost::{Cost, CostParameters};
use crate::equivalence::EquivalenceClass;
use crate::lookup::Lookup;
use crate::path::PathKey;
use crate::plan::{InitPlan, Plan};
use crate::relation::{BaseRelation, Rel, SpecialJoin};
use crate::tree::JoinTree;

pub struct Global<'a> {
    pub lookup: Lookup<'a>,
    pub cost: CostParameters,
    pub range_table: Vec<RangeTblEntry>,
    pub subplans: Vec<SubplanEntry>,
    pub parameter_count: u32,
    /// The query level planned next is asked how many distinct rows it has.
    pub count_groups: bool,
    pub relations: Vec<Oid>,
    /// The query level planned next goes into a table.
    pub keeps_compression: bool,
}

/// A planned sublink, with what one run of it costs.
pub struct SubplanEntry {
    pub plan: Plan,
    pub cost: Cost,
    pub rows: f64,
}

pub struct Root<'g, 'a> {
    pub global: &'g mut Global<'a>,
    pub query: Box<Query>,
    pub tree: JoinTree,
    pub base: BTreeMap<u32, BaseRelation>,
    pub rels: HashMap<Vec<u32>, Rel>,
    pub special_joins: Vec<SpecialJoin>,
    pub classes: Vec<EquivalenceClass>,
    /// Classes of outer joins' own conditions: an order by them is of use to a merge join.
    pub outer_join_classes: Vec<usize>,
    /// The order that the next step above scans and joins wants.
    pub query_order: Vec<PathKey>,
    pub init_plans: Vec<InitPlan>,
    /// Init plans whose cost some path has counted.
    pub paid_init_plans: Vec<usize>,
    /// The query as it came, if `min` and `max` may be found by other queries.
    pub min_max_source: Option<Box<Query>>,
    /// How many entries the range table had before this level's were appended.
    pub first_relation: u32,
    /// [`Global::count_groups`], for this level.
    pub count_groups: bool,
    /// [`Global::keeps_compression`], for this level.
    pub keeps_compression: bool,
    /// Conditions on no relation at all.
    pub constant_quals: Vec<std::rc::Rc<crate::clause::Clause>>,
    pub total_table_pages: f64,
    /// HAVING was written, even if it was found to be always true.
    pub has_having: bool,
    /// Rows wanted, if a LIMIT says so; -1 for all.
    pub limit_tuples: f64,
    /// Up to 1 the fraction of rows wanted, beyond the number; 0 for all.
    pub tuple_fraction: f64,
    pub all_base: Relids,
    /// Outer columns of nested loops turned into parameters while the plan is made.
    pub loop_parameters: Vec<(Expression, u32)>,
    /// Columns of subqueries that were pulled up, by range table index.
    pub substitutions: Vec<(u32, Vec<Expression>)>,
}

impl<'a> Global<'a> {
    pub fn new_parameter(&mut self) -> u32 {
        self.parameter_count += 1;
        self.parameter_count - 1
    }

    pub fn rte(&self, index: u32) -> &RangeTblEntry {
        &self.range_table[index as usize - 1]
    }
}

/// A set of relations as a hash key.
pub fn key(relids: &Relids) -> Vec<u32> {
    relids.iter().collect()
}
