//! Critical sections: where a page is changed and the change is logged.
//!
//! Realises: `START_CRIT_SECTION` / `END_CRIT_SECTION` and PANIC.
//!
//! Between the first change of a shared page and the insertion of its WAL record nothing may fail: a
//! page would be in memory that the log knows nothing of. [`CriticalSection`] marks that stretch. What is
//! done inside is infallible by construction (memory, WAL space and pins are taken before). If it unwinds
//! nevertheless, everything it touched is poisoned: the pool writes no page any more, the WAL accepts no
//! record, and the crash handler restarts the engine from the log.
//!
//! Only functions that take a `&CriticalSection` change shared pages, so a change outside one doesn't
//! compile.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use kokkiri_primitives::activity::{InterruptHoldoff, hold_interrupts};
use kokkiri_primitives::error::{Error, Result, Severity};
use kokkiri_primitives::sqlstate::SqlState;

/// Called once, with the reason, when an engine is poisoned.
type CrashHandler = Box<dyn Fn(&str) + Send + Sync>;

/// The state "shared memory can't be trusted any more" of one engine instance.
///
/// One small value per instance, never freed, so that whoever may be the first to notice (a critical
/// section on any thread) can name it without counting references on the hot path.
#[derive(Default)]
pub struct Poison {
    poisoned: AtomicBool,
    handler: OnceLock<CrashHandler>,
}

impl Poison {
    /// A new, healthy state that lives as long as the process.
    pub fn leak() -> &'static Self {
        Box::leak(Box::default())
    }

    /// Sets what happens when the engine is poisoned: the facade drops all sessions and replays the WAL.
    /// Only the first handler counts.
    pub fn set_handler(&self, handler: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.handler.set(Box::new(handler));
    }

    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Poisons the instance and calls the handler, once.
    pub fn trip(&self, reason: &str) {
        if !self.poisoned.swap(true, Ordering::AcqRel)
            && let Some(handler) = self.handler.get()
        {
            handler(reason);
        }
    }

    /// # Errors
    /// What PostgreSQL's sessions get after a PANIC elsewhere, if the instance is poisoned.
    pub fn check(&self) -> Result<()> {
        if self.is_poisoned() {
            return Err(Error::fatal(
                SqlState::CRASH_SHUTDOWN,
                "terminating connection because of crash of another server process",
            ));
        }
        Ok(())
    }

    /// Poisons the instance because of `error` (a failed fsync, a full disk under the WAL) and gives it
    /// back as a PANIC.
    pub fn panic_with(&self, error: Error) -> Error {
        self.trip(error.message());
        error.with_severity(Severity::Panic)
    }
}

impl fmt::Debug for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poison({})", self.is_poisoned())
    }
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, shared pages may be changed by this thread, and nothing may fail.
pub struct CriticalSection {
    /// Whom to poison on unwinding; nearly always one.
    involved: RefCell<[Option<&'static Poison>; 2]>,
    /// Entered while unwinding already (the abort of a transaction in a destructor): that panic is not ours.
    unwinding: bool,
    _interrupts: InterruptHoldoff,
    _not_send: PhantomData<*const ()>,
}

impl CriticalSection {
    /// Enters a section. Sections nest; interrupts are held off inside.
    pub fn enter() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self {
            involved: RefCell::new([None; 2]),
            unwinding: std::thread::panicking(),
            _interrupts: hold_interrupts(),
            _not_send: PhantomData,
        }
    }

    /// True inside a section of this thread.
    pub fn is_active() -> bool {
        DEPTH.get() > 0
    }

    /// Says that the section changes shared state of the instance that `poison` belongs to. Called by
    /// what takes a `&CriticalSection`: page guards, WAL insertion, commit-log pages.
    #[inline]
    pub fn involve(&self, poison: &'static Poison) {
        let mut involved = self.involved.borrow_mut();
        if !involved[0].is_some_and(|first| std::ptr::eq(first, poison)) {
            let slot = usize::from(involved[0].is_some());
            involved[slot] = Some(poison);
        }
    }
}

impl Drop for CriticalSection {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if std::thread::panicking() && !self.unwinding {
            for poison in self.involved.borrow().iter().flatten() {
                poison.trip("panic inside a critical section");
            }
        }
    }
}

impl fmt::Debug for CriticalSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CriticalSection")
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn only_a_panic_inside_poisons() {
        let poison = Poison::leak();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        poison.set_handler(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        {
            let critical = CriticalSection::enter();
            critical.involve(poison);
            assert!(CriticalSection::is_active());
        }
        assert!(!CriticalSection::is_active());
        assert!(poison.check().is_ok());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let critical = CriticalSection::enter();
            critical.involve(poison);
            panic!("injected");
        }));
        assert!(outcome.is_err());
        assert!(poison.is_poisoned());
        assert_eq!(poison.check().expect_err("poisoned").sqlstate(), SqlState::CRASH_SHUTDOWN);
        poison.trip("again");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
