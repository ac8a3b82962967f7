//! Whole sessions on bad input: SQL text that was damaged, functions called with the values at the edge of
//! their types, and tables whose pages are damaged.

mod pages;
mod sql;
mod values;

#[path = "../server/mod.rs"]
mod server;

use std::panic::resume_unwind;

use kokkiri_engine::{Error, Severity, TransactionState};
use server::Client;

/// max_stack_depth's default.
const STACK_DEPTH_KB: usize = 2048;

/// Runs a harness as the server runs statements: on a stack that max_stack_depth knows of, with a runtime
/// for timeouts.
fn as_the_server_does(work: impl FnOnce() + Send + 'static) {
    kokkiri_engine::limit_stack_depth(STACK_DEPTH_KB);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads can be started");
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().stack_size(STACK_DEPTH_KB * 1024 + (2 << 20)).spawn(move || {
        let _entered = handle.enter();
        work();
    });
    if let Err(cause) = thread.expect("threads can be started").join() {
        resume_unwind(cause);
    }
}

/// True if the session lives on. An error must be one that a client's statement can cause.
fn lives_on(statement: &str, outcome: &Result<(), Error>) -> bool {
    let Err(error) = outcome else { return true };
    let code = error.sqlstate().to_string();
    if error.severity() >= Severity::Fatal {
        // A statement may end its own session, by pg_terminate_backend or a timeout.
        assert!(code.starts_with("57P") || code.starts_with("25P"), "{code} {error}\n{statement}");
        return false;
    }
    true
}

/// The session answers a statement that can't be wrong.
fn is_usable(client: &mut Client, after: &str) -> bool {
    let failed = client.session.state() == TransactionState::Failed;
    let (answer, outcome) = client.ask("select 1");
    let code = outcome.as_ref().err().map(|error| error.sqlstate().to_string());
    match code.as_deref() {
        None => assert!(!failed && answer.ends_with("\n1\nSELECT 1\n"), "{answer:?} after {after}"),
        Some("25P02") => assert!(failed, "no failed transaction after {after}"),
        // A statement_timeout that the input has set.
        Some("57014") => {}
        Some(code) => {
            assert!(code.starts_with("57P") || code.starts_with("25P"), "{code} {outcome:?} after {after}");
            return false;
        }
    }
    true
}
