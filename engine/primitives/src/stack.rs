//! How deep the running thread's stack is: PostgreSQL's `check_stack_depth`.
//!
//! Whatever recurses along something a client wrote (a nested expression, a plan) calls [`check_depth`] at
//! each level and so answers 54001 where it would otherwise overflow the stack and take the process down.
//!
//! The stack grows downwards. Its base is taken to be the highest address a check has seen on this thread:
//! whoever starts a thread that runs statements calls [`check_depth`] or [`mark_base`] near its top, and a first
//! check from further down only makes the measure a little generous. The limit must leave room below it
//! for code that does not check.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;

/// Deepest stack allowed, bytes. Threads of the server have larger stacks than this.
static LIMIT: AtomicUsize = AtomicUsize::new(1024 * 1024);
/// The setting max_stack_depth as the hint prints it, kilobytes.
static SETTING_KB: AtomicUsize = AtomicUsize::new(2048);

/// The most that a session may set max_stack_depth to, kilobytes: its threads have stacks for that.
pub const SETTING_MAX_KB: usize = 7680;

thread_local! {
    static BASE: Cell<usize> = const { Cell::new(0) };
    /// The limit of the session that the thread serves, kilobytes; zero for the server's.
    static SESSION_KB: Cell<usize> = const { Cell::new(0) };
}

/// Sets the limit of the session that the thread serves from now on; zero ends that.
pub fn set_session_limit(setting_kb: usize) {
    SESSION_KB.set(setting_kb);
}

fn limit() -> usize {
    match SESSION_KB.get() {
        0 => LIMIT.load(Ordering::Relaxed),
        kilobytes => kilobytes * 1024,
    }
}

/// Address of something on the caller's stack frame, or next to it.
#[inline(never)]
fn stack_pointer() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(black_box(&marker)) as usize
}

/// Notes that the thread's stack starts about here.
pub fn mark_base() {
    BASE.set(stack_pointer());
}

/// Sets the limit in bytes, and what max_stack_depth says, in kilobytes.
pub fn set_limit(bytes: usize, setting_kb: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
    SETTING_KB.store(setting_kb, Ordering::Relaxed);
}

/// Fails with 54001 if the stack is deeper than allowed.
#[inline]
pub fn check_depth() -> Result<()> {
    let here = stack_pointer();
    let base = BASE.get();
    if here > base {
        BASE.set(here);
    } else if base - here > limit() {
        return Err(depth_exceeded());
    }
    Ok(())
}

/// The error of [`check_depth`], for limits that count something else than bytes.
#[cold]
pub fn depth_exceeded() -> crate::Error {
    let kilobytes = match SESSION_KB.get() {
        0 => SETTING_KB.load(Ordering::Relaxed),
        kilobytes => kilobytes,
    };
    crate::error!(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").hint(format!(
        "Increase the configuration parameter \"max_stack_depth\" (currently {kilobytes}kB), after ensuring \
         the platform's stack depth limit is adequate."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(unconditional_recursion)]
    fn descend(level: usize) -> Result<usize> {
        check_depth()?;
        Ok(descend(black_box(level + 1))? + 1)
    }

    #[test]
    fn endless_recursion_is_an_error() {
        let error = descend(0).expect_err("the recursion has no end");
        assert_eq!(error.sqlstate().as_str(), "54001");
        assert_eq!(error.message(), "stack depth limit exceeded");
    }
}
