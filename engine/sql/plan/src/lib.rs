//! Paths, costs and joins: Query to Plan.
//!
//! Realises: PostgreSQL's optimizer. A query level is preprocessed (simplified, subqueries and sublinks
//! pulled up, outer joins reduced), its conditions are handed to relations and equivalence classes, paths
//! are found for each relation and each join of relations, the steps above (grouping, distinct, order,
//! limit) are put on top, and the cheapest path becomes the plan.
//!
//! Start at [`planner::plan`], then [`query`]; [`plan`] is the result, [`cost`] the arithmetic.
//!
//! Differs: join orders are searched exhaustively up to twelve relations and greedily beyond, where
//! PostgreSQL uses its genetic search.
#![forbid(unsafe_code)]

mod bitmap_paths;
pub mod cache;
mod clause;
pub mod cost;
mod create;
mod create_join;
mod create_scan;
mod create_sort;
mod equivalence;
mod expression;
mod grouping;
mod join;
mod join_search;
pub mod lookup;
mod merge_join;
mod min_max;
mod path;
mod pattern;
pub mod plan;
pub mod planner;
mod presorted;
mod pull_up;
mod query;
mod relation;
mod root;
mod scan_paths;
mod selectivity;
mod self_join;
mod set_operation;
mod set_returning;
mod setup;
mod simplify;
mod stored_form;
mod sublink;
mod tree;
mod upper_paths;
mod whole_row;

pub use create::visit_node_expressions;
pub use expression::null_of;
