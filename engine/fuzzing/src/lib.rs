//! What the tests share that try seed after seed: dice, and the seed that repeats a failure. For fuzz
//! harnesses, mutations of bytes and a time budget; for crash sweeps, [`sweep()`].
//!
//! A fuzz harness is an ordinary test that calls [`run`] with a closure over one input. Every input has a seed of
//! its own and depends on nothing else, so `KOKKIRI_FUZZ_SEED=n` repeats exactly one, and the test's message
//! says which. An input fails by a panic, in whatever thread; by taking longer than [`Limits::input`]; or
//! by making the process take more than [`Limits::memory`].
//!
//! `KOKKIRI_FUZZ_SECONDS` is the time each harness gets. Without it that is half a second from seed 1 on, the
//! same in every run of the unit tests; with it the first seed comes from the clock.

mod dice;
mod mutate;
mod sweep;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use dice::Dice;
pub use mutate::{BOUNDARIES, mutate, mutate_in_place};
pub use sweep::{Broken, Check, CrashPoints, CrashRun, Report, crash_points, sweep};
use watch::Watch;

/// What one input may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time until the input counts as hanging. Generous: the machine has other things to do.
    pub input: Duration,
    /// What the whole process may grow by, bytes of address space that was ever in use at once.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { input: Duration::from_secs(10), memory: 1 << 30 }
    }
}

/// One harness at a time: what an input does to the process is laid at its door.
static RUNNING: Mutex<()> = Mutex::new(());

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// The command that runs one input again.
fn repetition(name: &str, seed: u64) -> String {
    format!("KOKKIRI_FUZZ_SEED={seed} cargo test --test fuzz {name}")
}

/// Runs `input` with one seed after another until the time is over; returns how many there were. `name` is
/// the test's own.
///
/// # Panics
/// As the first input that fails does, after the seed that repeats it was printed.
pub fn run(name: &str, limits: Limits, mut input: impl FnMut(&mut Dice)) -> u64 {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let budget = number("KOKKIRI_FUZZ_SECONDS");
    let only = number("KOKKIRI_FUZZ_SEED");
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_micros() as u64);
    let first = only.unwrap_or_else(|| if budget.is_some() { clock() } else { 1 });
    let time = Duration::from_millis(budget.map_or(500, |seconds| seconds * 1000));
    println!("fuzz {name}: from seed {first}");
    let watch = Watch::start(name, limits);
    let (started, mut seed) = (Instant::now(), first);
    let mut slowest = (Duration::ZERO, first);
    loop {
        let panics = watch.begin(seed);
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| input(&mut Dice::new(seed))));
        watch.end();
        slowest = slowest.max((begun.elapsed(), seed));
        if let Err(cause) = outcome {
            eprintln!("fuzz {name}: repeat it with {}", repetition(name, seed));
            resume_unwind(cause);
        }
        // A panic that somebody caught, or that ended another thread, is one all the same.
        assert!(
            watch.panics() == panics,
            "fuzz {name}: a panic was caught; repeat it with {}",
            repetition(name, seed)
        );
        seed += 1;
        if started.elapsed() >= time || (only.is_some() && budget.is_none()) {
            break;
        }
    }
    let (count, took) = (seed - first, started.elapsed().as_secs_f64());
    let (longest, seed) = slowest;
    println!(
        "fuzz {name}: {count} inputs in {took:.1} s; the slowest took {longest:.1?}, its seed is {seed}"
    );
    count
}
