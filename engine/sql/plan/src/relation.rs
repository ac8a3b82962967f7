//! What the planner knows of each relation: PostgreSQL's `RelOptInfo` and `IndexOptInfo`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use kokkiri_analyze::tree::{Expression, Relids};
use kokkiri_catalog::entries::{IndexEntry, RelationEntry};
use kokkiri_primitives::Oid;

use crate::clause::Clause;
use crate::path::{Path, Target, cheapest_total};
use crate::plan::{JoinType, Plan};

/// A base relation of the query level being planned.
#[derive(Debug)]
pub struct BaseRelation {
    pub kind: BaseKind,
    pub tuples: f64,
    pub pages: f64,
    pub all_visible_fraction: f64,
    /// After the relation's own conditions.
    pub rows: f64,
    pub restrictions: Vec<Rc<Clause>>,
    /// Conditions that mention this and other relations.
    pub join_clauses: Vec<Rc<Clause>>,
    /// Columns needed, and where: relations that must be joined for the use; 0 for the final output.
    pub needed: BTreeMap<i16, (Expression, Relids)>,
    pub indexes: Vec<Rc<IndexInfo>>,
    /// Relations that a LATERAL reference needs.
    pub lateral: Relids,
    pub lateral_references: Vec<Expression>,
}

#[derive(Debug)]
pub enum BaseKind {
    Table(Arc<RelationEntry>),
    Subquery(Rc<PlannedSubquery>),
    Function,
    Values,
    Result,
}

/// A subquery of FROM, planned on its own.
#[derive(Debug)]
pub struct PlannedSubquery {
    pub plan: Plan,
    /// Expressions of its target list as they were before the plan was made.
    pub rows: f64,
    /// Distinct rows, if they were asked for.
    pub groups: Option<f64>,
    pub distinct_columns: Vec<i16>,
    /// For each column the order it comes in: column, operator family, descending, nulls first.
    pub order: Vec<(i16, Oid, bool, bool)>,
}

#[derive(Debug)]
pub struct IndexInfo {
    pub entry: Arc<IndexEntry>,
    pub relid: u32,
    pub pages: f64,
    pub tuples: f64,
    pub tree_height: f64,
    /// Key and included columns as expressions over the relation.
    pub columns: Vec<Expression>,
    pub key_count: usize,
    pub families: Vec<Oid>,
    pub collations: Vec<Oid>,
    pub descending: Vec<bool>,
    pub nulls_first: Vec<bool>,
    /// The query implies a partial index's predicate; always true of others.
    pub predicate_holds: bool,
    pub predicate: Vec<Expression>,
    pub unique: bool,
    pub immediate: bool,
}

/// A relation or join of relations, and the ways to get its rows.
#[derive(Debug, Default)]
pub struct Rel {
    pub rows: f64,
    pub target: Rc<Target>,
    pub paths: Vec<Rc<Path>>,
}

impl Rel {
    pub fn cheapest(&self) -> Option<Rc<Path>> {
        cheapest_total(&self.paths)
    }
}

/// A join whose sides can't be exchanged or reordered freely (`SpecialJoinInfo`).
#[derive(Clone, Debug)]
pub struct SpecialJoin {
    /// What must be on each side for the join to be made.
    pub min_left: Relids,
    pub min_right: Relids,
    /// All that was written on each side.
    pub syntactic_left: Relids,
    pub syntactic_right: Relids,
    /// Left, Full, Semi or Anti.
    pub join_type: JoinType,
    /// Range table index of the outer join; 0 for semi joins made of sublinks.
    pub relid: u32,
    /// The join's condition rejects null-extended rows of the left.
    pub strict_left: bool,
}
