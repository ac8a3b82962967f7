//! The system catalogs: initial contents, a shared versioned cache, name spaces and privileges.
//!
//! Catalogs are ordinary tables. [`facts`] holds what PostgreSQL 18 puts into them at init and thereby
//! also their [`shapes`]; [`rows`] are their rows as structs. Looking things up goes through
//! [`view::CatalogView`], which reads the [`cache`] that all sessions share, or, for what the running
//! transaction has changed itself, the session's [`overlay`].
//!
//! Invariants:
//!  1. What a catalog holds is only ever changed through [`write`], which keeps its indexes and notes
//!     which cached answers become stale.
//!  2. Nothing above this crate reads a catalog's pages, but as SQL asks for it.
#![forbid(unsafe_code)]

pub mod access_check;
pub mod bootstrap;
pub mod cache;
pub mod convert;
pub mod database;
pub mod dependency;
mod descriptor;
pub mod entries;
pub mod facts;
mod load;
pub mod lookup;
mod node_tree;
pub mod overlay;
pub mod privilege;
pub mod relation_map;
pub mod row;
pub mod rows;
mod scan;
mod search_path;
pub mod shapes;
#[cfg(feature = "testing")]
pub mod testing;
pub mod view;
pub mod write;
