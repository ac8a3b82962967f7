//! An engine on a simulated disk, and its clients: statements in, rows of text out.

use std::sync::{Arc, OnceLock};

use kokkiri_engine::output::{self, OutputSettings};
use kokkiri_engine::settings::{ServerSettings, Source, Stored, find};
use kokkiri_engine::{
    Batch, ConnectRequest, Engine, Error, Format, InitialiseOptions, NoPasswords, Progress, ResultColumn,
    RowSink, Session, Severity,
};
use kokkiri_fuzzing::Check;
use kokkiri_storage::file::FileSystem;
use kokkiri_storage::{Poison, SimulatedFileSystem};

/// What is set so that one seed makes one run: workers do nothing of their own accord, and a statement
/// that would have to wait for another session, which can't go on meanwhile, gives up at once.
const SETTINGS: [(&str, &str); 12] = [
    ("autovacuum", "off"),
    ("bgwriter_delay", "10000"),
    ("bgwriter_lru_maxpages", "0"),
    ("checkpoint_timeout", "86400"),
    ("lock_timeout", "1"),
    ("log_checkpoints", "off"),
    ("max_connections", "10"),
    ("restart_after_crash", "off"),
    ("wal_init_zero", "off"),
    ("wal_recycle", "off"),
    ("wal_writer_delay", "10000"),
    ("max_wal_size", "1024"),
];

/// A data directory as initialised, durable as a whole.
pub fn new_directory(seed: u64) -> SimulatedFileSystem {
    static INITIALISED: OnceLock<SimulatedFileSystem> = OnceLock::new();
    INITIALISED
        .get_or_init(|| {
            let disk = SimulatedFileSystem::new(1);
            let fs: Arc<dyn FileSystem> = Arc::new(disk.clone());
            let options = InitialiseOptions {
                superuser: "postgres",
                superuser_password: None,
                data_checksums: true,
                authentication_nonce: [7; 32],
            };
            Engine::initialise_on(&fs, &options).expect("the disk works");
            disk.sync_everything();
            disk
        })
        .copy(seed)
}

fn settings(frames: u32) -> ServerSettings {
    let mut settings = Engine::default_settings();
    let frames = frames.to_string();
    for (name, text) in SETTINGS.into_iter().chain([("shared_buffers", frames.as_str())]) {
        let (index, parameter) = find(name).unwrap_or_else(|| panic!("no setting {name}"));
        let value = parameter.parse(text).unwrap_or_else(|_| panic!("{name} = {text}"));
        settings.store(index, Stored { value, source: Source::CommandLine, file: None });
    }
    settings
}

/// An engine that runs on a simulated disk.
pub struct Server {
    pub disk: SimulatedFileSystem,
    engine: Arc<Engine>,
    poison: &'static Poison,
}

impl Server {
    /// Starts the engine: replays what is to be replayed. `frames` is the size of its buffer pool.
    pub fn start(disk: SimulatedFileSystem, frames: u32) -> Check<Self> {
        let engine = Engine::on_file_system(Arc::new(disk.clone()), settings(frames), Arc::new(NoPasswords));
        engine.start()?;
        let poison = engine.instance()?.cluster.poison;
        Ok(Self { disk, engine, poison })
    }

    pub fn connect(&self, database: &str) -> Check<Client> {
        let request = ConnectRequest {
            user: "postgres".to_owned(),
            database: database.to_owned(),
            ..ConnectRequest::default()
        };
        let session = self.engine.reserve_backend()?.connect(request)?;
        Ok(Client { engine: Arc::clone(&self.engine), session, disk: self.disk.clone() })
    }
}

impl Drop for Server {
    /// Power fails: what is in memory is given up.
    fn drop(&mut self) {
        self.poison.trip("power has failed");
        self.engine.wait_for_end();
    }
}

/// True if every statement is to be shown, with the disk's operations.
fn is_traced() -> bool {
    static TRACED: OnceLock<bool> = OnceLock::new();
    *TRACED.get_or_init(|| std::env::var_os("KOKKIRI_CRASH_TRACE").is_some())
}

/// What a statement has answered.
#[derive(Debug, Default)]
pub struct Answer {
    pub rows: Vec<Vec<Option<Arc<str>>>>,
    pub tag: String,
}

impl Answer {
    /// The only value of the only row.
    pub fn value(&self) -> &str {
        match self.rows.as_slice() {
            [row] => match row.as_slice() {
                [Some(value)] => value,
                other => panic!("not one value: {other:?}"),
            },
            rows => panic!("not one row but {}", rows.len()),
        }
    }
}

pub struct Client {
    engine: Arc<Engine>,
    session: Session,
    disk: SimulatedFileSystem,
}

impl Client {
    pub fn query(&mut self, text: &str) -> Result<Answer, Error> {
        self.copy(text, "")
    }

    /// Sends a statement, and `data` if it is a COPY FROM STDIN that asks for it. After an error the
    /// session is ready for the next one.
    pub fn copy(&mut self, text: &str, data: &str) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let backend = Arc::clone(self.session.backend());
        let _entered = backend.enter();
        let before = self.disk.operations();
        let outcome = self.run(&Arc::from(text), data, &mut answer);
        if is_traced() {
            let answered = outcome.as_ref().map_or_else(Error::message, |_| answer.tag.as_str());
            let after = self.disk.operations();
            println!("{} {before}-{after}: {text:.200}: {answered}", backend.number);
        }
        match outcome {
            Ok(()) => Ok(answer),
            Err(error) => {
                if error.severity() < Severity::Fatal {
                    self.session.statement_failed()?;
                }
                Err(error)
            }
        }
    }

    fn run(&mut self, text: &Arc<str>, data: &str, answer: &mut Answer) -> Result<(), Error> {
        self.session.begin_query(text)?;
        let mut sent = false;
        loop {
            match self.session.run(answer)? {
                Progress::Done => return Ok(()),
                Progress::OutputFull => {}
                Progress::Flush(lsn) => {
                    let flushed = self.engine.instance()?.cluster.wal.flush(lsn);
                    self.session.flushed(flushed)?;
                }
                Progress::CopyIn if sent => self.session.copy_done()?,
                Progress::CopyIn => {
                    self.session.copy_data(data.as_bytes())?;
                    sent = true;
                }
            }
        }
    }
}

impl RowSink for Answer {
    fn parameter_description(&mut self, _: &[u32]) {}
    fn row_description(&mut self, _: &[ResultColumn], _: &[Format]) {}
    fn no_data(&mut self) {}

    fn rows(
        &mut self,
        batch: &Batch,
        columns: &[ResultColumn],
        _: &[Format],
        settings: &OutputSettings,
    ) -> Result<(), Error> {
        for row in batch.selection.iter() {
            let mut fields = Vec::with_capacity(columns.len());
            for (column, vector) in columns.iter().zip(&batch.columns) {
                let value = vector.get(row);
                if value.is_null() {
                    fields.push(None);
                    continue;
                }
                let mut text = Vec::new();
                output::text(column, value, settings, &mut text)?;
                fields.push(Some(Arc::from(String::from_utf8_lossy(&text))));
            }
            self.rows.push(fields);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }

    fn pending(&self) -> usize {
        0
    }

    fn command_complete(&mut self, tag: &str) {
        tag.clone_into(&mut self.tag);
    }

    fn empty_query(&mut self) {}
    fn portal_suspended(&mut self) {}
    fn notice(&mut self, _: &Error, _: Option<&str>) {}
    fn notification(&mut self, _: i32, _: &str, _: &str) {}
    fn copy_in(&mut self, _: bool, _: usize) {}
    fn copy_out(&mut self, _: bool, _: usize) {}
    fn copy_data(&mut self, _: &[u8]) {}
    fn copy_done(&mut self) {}
}
