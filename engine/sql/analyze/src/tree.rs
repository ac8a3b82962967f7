//! The analyzed tree: PostgreSQL's `Query`, with every name resolved to an oid and every type settled.
//!
//! Node and field names are PostgreSQL's (parsenodes.h, primnodes.h) in Rust's idiom. Range table indexes
//! are 1-based as PostgreSQL's are. Equality ignores locations. The tree serialises with serde: that is what the
//! catalog's `pg_node_tree` columns (defaults, check constraints, index expressions, views) hold.
//!
//! Differs from PostgreSQL: there is no RTE_GROUP (grouping expressions stand in the target list as themselves);
//! variants only the planner makes ([`SubPlan`], executor parameters, placeholders) live here too because
//! expressions are one enum.

mod expression;
mod query;
mod relids;
mod walk;

pub use expression::*;
pub use query::*;
pub use relids::Relids;
