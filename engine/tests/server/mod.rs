//! A server without sockets for tests: a new data directory, sessions, statements in, text out.

#![allow(dead_code)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use kokkiri_engine::output::{self, OutputSettings};
use kokkiri_engine::settings::ServerSettings;
use kokkiri_engine::{
    Batch, ConnectRequest, Engine, Error, Format, InitialiseOptions, Progress, ResultColumn, RowSink,
    Session, Severity, StopMode,
};

/// Writes what a client would receive as lines.
#[derive(Default)]
pub struct Lines(String);

impl RowSink for Lines {
    fn parameter_description(&mut self, types: &[u32]) {
        writeln!(self.0, "parameters {types:?}").expect("a string takes all");
    }

    fn row_description(&mut self, columns: &[ResultColumn], _: &[Format]) {
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        writeln!(self.0, "{}", names.join("|")).expect("a string takes all");
    }

    fn no_data(&mut self) {
        self.0.push_str("no data\n");
    }

    fn rows(
        &mut self,
        batch: &Batch,
        columns: &[ResultColumn],
        _: &[Format],
        settings: &OutputSettings,
    ) -> Result<(), Error> {
        for row in batch.selection.iter() {
            let mut fields = Vec::new();
            for (column, vector) in columns.iter().zip(&batch.columns) {
                let mut text = Vec::new();
                let value = vector.get(row);
                if !value.is_null() {
                    output::text(column, value, settings, &mut text)?;
                }
                fields.push(String::from_utf8_lossy(&text).into_owned());
            }
            writeln!(self.0, "{}", fields.join("|")).expect("a string takes all");
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }

    fn pending(&self) -> usize {
        self.0.len()
    }

    fn command_complete(&mut self, tag: &str) {
        writeln!(self.0, "{tag}").expect("a string takes all");
    }

    fn empty_query(&mut self) {
        self.0.push_str("empty\n");
    }

    fn portal_suspended(&mut self) {
        self.0.push_str("suspended\n");
    }

    fn notice(&mut self, notice: &Error, _: Option<&str>) {
        writeln!(self.0, "{}: {}", notice.severity().as_str(), notice.message()).expect("a string takes all");
    }

    fn notification(&mut self, _: i32, channel: &str, payload: &str) {
        writeln!(self.0, "{channel}: {payload}").expect("a string takes all");
    }

    fn copy_in(&mut self, _: bool, columns: usize) {
        writeln!(self.0, "copy in {columns}").expect("a string takes all");
    }

    fn copy_out(&mut self, _: bool, columns: usize) {
        writeln!(self.0, "copy out {columns}").expect("a string takes all");
    }

    fn copy_data(&mut self, data: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(data));
    }

    fn copy_done(&mut self) {
        self.0.push_str("copied\n");
    }
}

/// A data directory of its own; removed with the value.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kokkiri-{name}-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path).expect("a leftover of ours");
        }
        std::fs::create_dir(&path).expect("a temporary directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("ours");
    }
}

pub struct Server {
    pub engine: Arc<Engine>,
    directory: Option<Directory>,
}

impl Server {
    pub fn new(name: &str) -> Self {
        let directory = Directory::new(name);
        let options = InitialiseOptions {
            superuser: "postgres",
            superuser_password: None,
            data_checksums: true,
            authentication_nonce: [7; 32],
        };
        Engine::initialise(&directory.0, &options).expect("a new data directory");
        let mut settings = ServerSettings::new();
        kokkiri_engine::install_checks(&mut settings);
        let engine = Engine::new(directory.0.clone(), settings, Arc::new(kokkiri_engine::NoPasswords));
        engine.start().expect("a clean data directory");
        Self { engine, directory: Some(directory) }
    }

    pub fn connect(&self) -> Client {
        self.connect_as("postgres")
    }

    pub fn connect_as(&self, user: &str) -> Client {
        let slot = self.engine.reserve_backend().expect("there is room");
        let request = ConnectRequest {
            user: user.to_owned(),
            database: "postgres".to_owned(),
            ..ConnectRequest::default()
        };
        Client { engine: Arc::clone(&self.engine), session: slot.connect(request).expect("let in") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.engine.stop(StopMode::Fast).expect("a shutdown checkpoint");
        drop(self.directory.take());
    }
}

pub struct Client {
    engine: Arc<Engine>,
    pub session: Session,
}

impl Client {
    /// Sends a query string; what comes back, errors last.
    pub fn query(&mut self, text: &str) -> String {
        let (mut lines, outcome) = self.ask(text);
        if let Err(error) = outcome {
            writeln!(lines, "{} {}: {}", error.severity().as_str(), error.sqlstate(), error.message())
                .expect("a string takes all");
        }
        lines
    }

    /// Sends a query string; what comes back, and the error that ended it. The session does not live on
    /// behind one that is FATAL.
    pub fn ask(&mut self, text: &str) -> (String, Result<(), Error>) {
        let mut lines = Lines::default();
        let backend = Arc::clone(self.session.backend());
        let _entered = backend.enter();
        let outcome = self.run(&Arc::from(text), &mut lines).map_err(|error| {
            self.session.send_failed_notices(&mut lines, Some(text));
            match error.severity() >= Severity::Fatal {
                true => error,
                false => self.session.statement_failed().err().unwrap_or(error),
            }
        });
        (lines.0, outcome)
    }

    fn run(&mut self, text: &Arc<str>, lines: &mut Lines) -> Result<(), Error> {
        self.session.begin_query(text)?;
        loop {
            match self.session.run(lines)? {
                Progress::Done => return Ok(()),
                Progress::OutputFull => {}
                Progress::Flush(lsn) => {
                    let flushed = self.engine.instance()?.cluster.wal.flush(lsn);
                    self.session.flushed(flushed)?;
                }
                Progress::CopyIn => self.session.copy_fail("nobody has data")?,
            }
        }
    }
}
