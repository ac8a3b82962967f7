//! The checkpointer: makes checkpoints when it is time, when enough WAL has been written, or on request.
//!
//! Realises: checkpointer.c. A request is noted and the checkpointer woken; whoever waits for one is
//! counted against checkpoints started after it asked, so that none that had begun before serves it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kokkiri_primitives::Lsn;
use kokkiri_primitives::activity::{Backend, WaitEvent, current, wait};
use kokkiri_primitives::error::{Error, Result, Severity};
use kokkiri_primitives::settings::{ServerSettings, parameters};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_recovery::checkpoint::{CheckpointRequest, CheckpointSettings};
use kokkiri_wal::xlog::WalLevel;

use crate::Context;
use crate::worker::{has_crashed, is_ending, report, sleep};

static CHECKPOINTER_MAIN: WaitEvent = WaitEvent::new("Activity", "CheckpointerMain");
static CHECKPOINT_WRITE_DELAY: WaitEvent = WaitEvent::new("Timeout", "CheckpointWriteDelay");
static CHECKPOINT_DONE: WaitEvent = WaitEvent::new("IPC", "CheckpointDone");

/// How long a paced checkpoint rests between looks at its progress.
const WRITE_DELAY: Duration = Duration::from_millis(100);

/// Requests and what became of them.
#[derive(Default)]
struct Requests {
    pending: Option<CheckpointRequest>,
    /// Checkpoints begun, finished, and failed: PostgreSQL's `ckpt_started` and its kin.
    started: u64,
    done: u64,
    failed: u64,
    waiting: Vec<Arc<Backend>>,
    worker: Option<Arc<Backend>>,
    /// How the shutdown checkpoint went.
    outcome: Option<Error>,
}

/// Where checkpoints are asked for.
#[derive(Default)]
pub struct Checkpointer(Mutex<Requests>);

/// The settings of checkpoints.
pub fn checkpoint_settings(settings: &ServerSettings) -> CheckpointSettings {
    CheckpointSettings {
        max_wal_size_mb: settings.get(parameters::MAX_WAL_SIZE) as u64,
        min_wal_size_mb: settings.get(parameters::MIN_WAL_SIZE) as u64,
        wal_keep_size_mb: settings.get(parameters::WAL_KEEP_SIZE) as u64,
        completion_target: settings.get(parameters::CHECKPOINT_COMPLETION_TARGET),
        log_checkpoints: settings.get(parameters::LOG_CHECKPOINTS),
        wal_level: match settings.get(parameters::WAL_LEVEL) {
            "minimal" => WalLevel::Minimal,
            "logical" => WalLevel::Logical,
            _ => WalLevel::Replica,
        },
    }
}

impl Checkpointer {
    /// Asks for a checkpoint, and waits for its end if the request says so: `RequestCheckpoint`.
    ///
    /// # Errors
    /// XX000 if the checkpoint that was waited for failed; interrupts.
    pub fn request(&self, request: CheckpointRequest) -> Result<()> {
        let (started, failed) = {
            let mut requests = self.lock();
            requests.pending = Some(requests.pending.map_or(request, |pending| pending.union(request)));
            if let Some(worker) = &requests.worker {
                worker.latch.set();
            }
            if let Some(backend) = current().filter(|_| request.wait) {
                requests.waiting.push(backend);
            }
            (requests.started, requests.failed)
        };
        if !request.wait {
            return Ok(());
        }
        wait(&CHECKPOINT_DONE, || {
            let requests = self.lock();
            // One that had begun before the request doesn't count, the next does.
            let over = requests.done > started;
            Ok(over.then_some(()))
        })?;
        if self.lock().failed != failed {
            return Err(Error::internal("checkpoint request failed")
                .hint("Consult recent messages in the server log for details."));
        }
        Ok(())
    }

    /// How the shutdown checkpoint went.
    pub(crate) fn outcome(&self) -> Result<()> {
        self.lock().outcome.take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn run(&self, context: &Context, backend: &Arc<Backend>) {
        self.lock().worker = Some(Arc::clone(backend));
        context.cluster.wal.set_checkpointer(Some(Arc::clone(backend)));
        let mut last = Instant::now();
        while !is_ending(backend) {
            let settings = context.settings.load();
            context.maker.set_settings(checkpoint_settings(&settings));
            let timeout = Duration::from_secs(settings.get(parameters::CHECKPOINT_TIMEOUT) as u64);
            match self.next_request(context, last, timeout) {
                Some(request) => {
                    warn_if_frequent(request, last, &settings);
                    let begun = Instant::now();
                    if self.checkpoint(context, request, timeout) {
                        last = begun;
                    } else {
                        // Try again soon, not at once.
                        last = begun
                            .checked_sub(timeout.saturating_sub(Duration::from_secs(15)))
                            .unwrap_or(begun);
                    }
                }
                None => {
                    let rest = timeout.saturating_sub(last.elapsed()).max(Duration::from_millis(1));
                    sleep(&CHECKPOINTER_MAIN, rest, || {
                        self.lock().pending.is_some() || context.cluster.wal.checkpoint_is_wanted()
                    });
                }
            }
        }
        context.cluster.wal.set_checkpointer(None);
        self.lock().worker = None;
        if !has_crashed(backend) {
            self.shut_down(context);
        }
        self.finish(true);
    }

    /// What there is to do now.
    fn next_request(&self, context: &Context, last: Instant, timeout: Duration) -> Option<CheckpointRequest> {
        let pending = self.lock().pending.take();
        let by_wal = context.cluster.wal.take_checkpoint_wanted();
        let by_time = last.elapsed() >= timeout;
        if pending.is_none() && !by_wal && !by_time {
            return None;
        }
        let mut request = pending.unwrap_or_default();
        request.cause_wal |= by_wal;
        request.cause_time |= by_time;
        Some(request)
    }

    /// Makes one checkpoint; true if it went well.
    fn checkpoint(&self, context: &Context, request: CheckpointRequest, timeout: Duration) -> bool {
        self.lock().started += 1;
        let schedule = Schedule {
            begun: Instant::now(),
            start: context.cluster.wal.insert_lsn(),
            timeout,
            target: context.maker.settings().completion_target,
        };
        let mut pace = |progress: f64| {
            if !request.immediate {
                self.pace(context, &schedule, progress);
            }
            Ok(())
        };
        let made = context.maker.make(request, &mut pace);
        self.finish(made.is_err());
        match made {
            Ok(_) => true,
            Err(error) => {
                report(&error);
                false
            }
        }
    }

    /// Notes the end of a checkpoint and wakes who waits for it.
    fn finish(&self, failed: bool) {
        let mut requests = self.lock();
        requests.done = requests.started;
        requests.failed += u64::from(failed);
        let waiting = std::mem::take(&mut requests.waiting);
        // Who asked while this one was under way waits for the next.
        if requests.pending.is_some() {
            requests.waiting.clone_from(&waiting);
        }
        drop(requests);
        waiting.iter().for_each(|backend| backend.latch.set());
    }

    /// Rests if the work is ahead of its schedule: `CheckpointWriteDelay`.
    fn pace(&self, context: &Context, schedule: &Schedule, progress: f64) {
        let Some(backend) = current() else { return };
        let hurried = || self.lock().pending.is_some_and(|pending| pending.immediate);
        if is_ending(&backend) || hurried() || !schedule.is_ahead(context, progress) {
            return;
        }
        sleep(&CHECKPOINT_WRITE_DELAY, WRITE_DELAY, hurried);
    }

    fn shut_down(&self, context: &Context) {
        tracing::info!("shutting down");
        let made = context.maker.make(CheckpointRequest::SHUTDOWN, &mut |_| Ok(()));
        if let Err(error) = made {
            tracing::error!("{}", error.message());
            self.lock().outcome = Some(error.with_severity(Severity::Fatal));
        }
    }
}

/// How fast a checkpoint should be.
struct Schedule {
    begun: Instant,
    /// Where insertion stood then.
    start: Lsn,
    timeout: Duration,
    target: f64,
}

impl Schedule {
    /// True if more is done than time and WAL since the start ask for: `IsCheckpointOnSchedule`.
    fn is_ahead(&self, context: &Context, progress: f64) -> bool {
        let wal = &context.cluster.wal;
        let progress = progress * self.target;
        let segments = wal.checkpoint_segments().max(1) as f64;
        let written = wal.insert_lsn().0.saturating_sub(self.start.0) as f64;
        let by_wal = written / wal.geometry().segment_size() as f64 / segments;
        let by_time = self.begun.elapsed().as_secs_f64() / self.timeout.as_secs_f64().max(1.0);
        progress >= by_wal && progress >= by_time
    }
}

fn warn_if_frequent(request: CheckpointRequest, last: Instant, settings: &ServerSettings) {
    let warning = settings.get(parameters::CHECKPOINT_WARNING) as u64;
    let seconds = last.elapsed().as_secs();
    if !request.cause_wal || warning == 0 || seconds >= warning {
        return;
    }
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let report = Error::report(
        Severity::Log,
        SqlState::SUCCESSFUL_COMPLETION,
        format!("checkpoints are occurring too frequently ({seconds} {unit} apart)"),
    );
    tracing::info!("{}", report.message());
    tracing::info!("HINT:  Consider increasing the configuration parameter \"max_wal_size\".");
}
