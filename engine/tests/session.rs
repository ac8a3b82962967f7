//! A session from the outside, without a socket: a new data directory, statements in, text out.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use kokkiri_engine::output::{self, OutputSettings};
use kokkiri_engine::settings::ServerSettings;
use kokkiri_engine::{
    Batch, ConnectRequest, Engine, Error, Format, InitialiseOptions, Progress, ResultColumn, RowSink,
    Session, StopMode,
};

/// Writes what a client would receive as lines.
#[derive(Default)]
struct Lines(String);

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
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kokkiri-{name}-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path).expect("a leftover of ours");
        }
        for part in [
            "base/1",
            "base/pgsql_tmp",
            "global",
            "pg_commit_ts",
            "pg_dynshmem",
            "pg_logical/mappings",
            "pg_logical/snapshots",
            "pg_multixact/members",
            "pg_multixact/offsets",
            "pg_notify",
            "pg_replslot",
            "pg_serial",
            "pg_snapshots",
            "pg_stat",
            "pg_stat_tmp",
            "pg_subtrans",
            "pg_tblspc",
            "pg_twophase",
            "pg_wal/archive_status",
            "pg_wal/summaries",
            "pg_xact",
        ] {
            std::fs::create_dir_all(path.join(part)).expect("a temporary directory");
        }
        std::fs::write(path.join("PG_VERSION"), "18\n").expect("writable");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("ours");
    }
}

struct Server {
    engine: Arc<Engine>,
    directory: Option<Directory>,
}

impl Server {
    fn new(name: &str) -> Self {
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

    fn connect(&self) -> Client {
        let slot = self.engine.reserve_backend().expect("there is room");
        let request = ConnectRequest {
            user: "postgres".to_owned(),
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

struct Client {
    engine: Arc<Engine>,
    session: Session,
}

impl Client {
    /// Sends a query string; what comes back, errors last.
    fn query(&mut self, text: &str) -> String {
        let mut lines = Lines::default();
        let backend = Arc::clone(self.session.backend());
        let _entered = backend.enter();
        if let Err(error) = self.run(&Arc::from(text), &mut lines) {
            writeln!(lines.0, "{} {}: {}", error.severity().as_str(), error.sqlstate(), error.message())
                .expect("a string takes all");
            self.session.statement_failed().expect("the session goes on");
        }
        lines.0
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

#[test]
fn queries_are_answered() {
    let server = Server::new("queries");
    let mut client = server.connect();
    for (text, expected) in [
        ("select 1 as one, 'a' || 'b'", "one|?column?\n1|ab\nSELECT 1\n"),
        ("", "empty\n"),
        ("select count(*) > 3000 from pg_proc", "?column?\nt\nSELECT 1\n"),
        ("select relname from pg_class where oid = 1259", "relname\npg_class\nSELECT 1\n"),
        (
            "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid \
             where c.relname = 'pg_am' and attnum > 0 order by attnum",
            "relname|attname\npg_am|oid\npg_am|amname\npg_am|amhandler\npg_am|amtype\nSELECT 4\n",
        ),
        ("select g, g * g from generate_series(1, 3) g", "g|?column?\n1|1\n2|4\n3|9\nSELECT 3\n"),
        ("select 1/0", "ERROR 22012: division by zero\n"),
        ("selec 1", "ERROR 42601: syntax error at or near \"selec\"\n"),
        ("select * from nothing", "ERROR 42P01: relation \"nothing\" does not exist\n"),
    ] {
        assert_eq!(client.query(text), expected, "{text}");
    }
}

#[test]
fn a_failed_block_waits_for_its_end() {
    let server = Server::new("block");
    let mut client = server.connect();
    for (text, expected) in [
        ("begin", "BEGIN\n"),
        ("select 1/0", "ERROR 22012: division by zero\n"),
        (
            "select 1",
            "ERROR 25P02: current transaction is aborted, commands ignored until end of transaction block\n",
        ),
        ("commit", "ROLLBACK\n"),
        ("commit", "WARNING: there is no transaction in progress\nCOMMIT\n"),
        ("begin; savepoint a", "BEGIN\nSAVEPOINT\n"),
        ("select 1/0", "ERROR 22012: division by zero\n"),
        ("rollback to a; select 2", "ROLLBACK\n?column?\n2\nSELECT 1\n"),
        ("rollback to a; select 3", "ROLLBACK\n?column?\n3\nSELECT 1\n"),
        ("release a; commit", "RELEASE\nCOMMIT\n"),
    ] {
        assert_eq!(client.query(text), expected, "{text}");
    }
}
