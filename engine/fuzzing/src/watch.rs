//! Watches an input from another thread: its time, the process's memory, panics anywhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Limits;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// What the watching thread looks at.
struct State {
    seed: AtomicU64,
    /// Milliseconds since the watch began at which the input did; zero between inputs.
    since: AtomicU64,
    over: AtomicBool,
    began: Instant,
}

pub struct Watch {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn start(name: &str, limits: Limits) -> Self {
        count_panics();
        let state = Arc::new(State {
            seed: AtomicU64::new(0),
            since: AtomicU64::new(0),
            over: AtomicBool::new(false),
            began: Instant::now(),
        });
        let (watched, name) = (Arc::clone(&state), name.to_owned());
        let allowed = peak_memory().saturating_add(limits.memory);
        let thread = std::thread::spawn(move || {
            while !watched.over.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(50));
                let since = watched.since.load(Ordering::Relaxed);
                let now = watched.began.elapsed().as_millis() as u64;
                if since != 0 && now.saturating_sub(since) > limits.input.as_millis() as u64 {
                    give_up(&name, &watched, "hangs");
                }
                if peak_memory() > allowed {
                    give_up(&name, &watched, "takes too much memory");
                }
            }
        });
        Self { state, thread: Some(thread) }
    }

    /// Notes that the input of `seed` begins; returns how many panics there have been.
    pub fn begin(&self, seed: u64) -> u64 {
        self.state.seed.store(seed, Ordering::Relaxed);
        self.state.since.store(self.state.began.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        self.panics()
    }

    pub fn end(&self) {
        self.state.since.store(0, Ordering::Relaxed);
    }

    pub fn panics(&self) -> u64 {
        PANICS.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// A thread that hangs can't be made to panic: the whole process ends.
fn give_up(name: &str, state: &State, what: &str) {
    let seed = state.seed.load(Ordering::Relaxed);
    eprintln!("fuzz {name}: the input {what}; repeat it with {}", crate::repetition(name, seed));
    std::process::exit(101);
}

fn count_panics() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            before(info);
        }));
    });
}

/// The most address space the process has had, bytes. Zero where the system doesn't say.
fn peak_memory() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
