//! SQL text to raw tree: PostgreSQL-exact lexer and grammar; no catalog.
#![forbid(unsafe_code)]
