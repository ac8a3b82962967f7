//! The system catalogs: initial contents, a shared versioned cache, name spaces and privileges.
//!
//! Catalogs are ordinary tables. [`facts`] holds what PostgreSQL 18 puts into them at init and thereby
//! also their shapes; [`rows`] are their rows as structs. Looking things up goes through
//! `CatalogView`, which reads the [`cache`] that all sessions share, or, for what the running
//! transaction has changed itself, the session's [`overlay`].
//!
//! Invariants:
//!  1. What a catalog holds is only ever changed through `write`, which keeps its indexes and notes
//!     which cached answers become stale.
//!  2. Nothing above this crate reads a catalog's pages.
#![forbid(unsafe_code)]

pub mod cache;
pub mod entries;
pub mod facts;
pub mod lookup;
pub mod overlay;
pub mod privilege;
pub mod relation_map;
pub mod row;
pub mod rows;
