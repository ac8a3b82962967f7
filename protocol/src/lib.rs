//! The frontend/backend protocol, versions 3.0 and 3.2: bytes to messages and back. No sockets, no SQL.
//!
//! What the server sends is encoded by pgwire's message types ([`backend`]), but for the hot path:
//! data rows are written value by value into the connection's buffer ([`row`]). What the client sends is
//! framed and decoded here ([`frame`], [`startup`], [`frontend`]), because every length must be checked
//! before anything is buffered and every byte of a message accounted for.
//!
//! Invariants:
//!  1. A frame is buffered only after its length has passed the limit of its type in the present state.
//!  2. Decoding never panics and never allocates more than the frame's own length.
//!  3. A message is decoded only if all of its bytes are consumed.
//!
//! Errors are those of PostgreSQL's pqformat.c and postgres.c: 08P01 `protocol_violation` in its words.
#![forbid(unsafe_code)]

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod reader;
pub mod row;
pub mod scram;
pub mod startup;

pub use pgwire::messages::response::TransactionStatus;
pub use pgwire::messages::startup::SecretKey;
