//! The byte form of rows: headers, forming, deforming.
//!
//! Realises: `heaptuple.c` and `htup_details.h`. A stored tuple is a [`header::TupleHeader`], a null
//! bitmap if some value is null, padding to a multiple of 8, and the values one after the other, each at
//! its type's alignment relative to the start of the data.
//!
//! ```text
//!   header (23) | null bitmap | padding | value | padding | value ...
//!                                        ^ t_hoff
//! ```
//!
//! Start at [`form::TupleFormer`] on the way down and [`deform::Deformer`] on the way up.

pub mod deform;
pub mod form;
pub mod header;
pub mod record;
pub mod varlena;

pub use deform::{Deferred, Deformer, stored_attributes};
pub use form::{FormValue, HeapTuple, form};
pub use header::{Infomask, TupleHeader};
