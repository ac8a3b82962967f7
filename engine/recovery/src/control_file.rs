//! The control file `global/pg_control`: what is known about the cluster before anything else is read.
//!
//! Realises: `pg_control.h`, `ReadControlFile`, `UpdateControlFile`.
//!
//! ```text
//!    0 system identifier u64      8 format version u32      12 catalog version u32
//!   16 state u32                 24 time i64                32 latest checkpoint's record u64
//!   40 copy of that checkpoint, 88 bytes                   128 unlogged lsn u64
//!  136 minimum recovery point u64, timeline u32 at 144     152 backup start u64, end u64, end required u8
//!  172 parameters that a standby must match                204 build properties: alignment, block sizes ...
//!  252 checksum version u32     256 signedness of char u8  257 nonce, 32 bytes      292 CRC-32C u32
//! ```
//!
//! The file is 8192 bytes, the rest zeros; what is used fits in one sector, so an update is atomic. It is
//! overwritten in place and synced. A failed update is a PANIC.

use std::sync::Arc;

use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::error::{Error, Result};
use kokkiri_primitives::ids::{BLOCK_SIZE, Lsn, TimelineId};
use kokkiri_primitives::sqlstate::SqlState;
use kokkiri_storage::file::{FileSystem, OpenOptions};
use kokkiri_wal::position::{DEFAULT_SEGMENT_SIZE, WAL_PAGE_SIZE};
use kokkiri_wal::xlog::{CheckPoint, Fields, LoggedParameters, WalLevel};
use parking_lot::Mutex;

/// Where the file is, relative to the data directory.
pub const CONTROL_FILE_PATH: &str = "global/pg_control";
/// Format of the file: `PG_CONTROL_VERSION` of PostgreSQL 18.
pub const CONTROL_VERSION: u32 = 1800;
/// Format of the system catalogs: `CATALOG_VERSION_NO` of PostgreSQL 18.
pub const CATALOG_VERSION: u32 = 202_506_291;

const FILE_SIZE: usize = 8192;
const USED_SIZE: usize = 296;
const CRC_AT: usize = 292;
const FLOAT_FORMAT: f64 = 1_234_567.0;

/// `DBState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum ClusterState {
    #[default]
    Startup = 0,
    ShutDown = 1,
    ShutDownInRecovery = 2,
    ShuttingDown = 3,
    InCrashRecovery = 4,
    InArchiveRecovery = 5,
    InProduction = 6,
}

impl ClusterState {
    /// As pg_controldata prints it.
    pub fn description(self) -> &'static str {
        match self {
            ClusterState::Startup => "starting up",
            ClusterState::ShutDown => "shut down",
            ClusterState::ShutDownInRecovery => "shut down in recovery",
            ClusterState::ShuttingDown => "shutting down",
            ClusterState::InCrashRecovery => "in crash recovery",
            ClusterState::InArchiveRecovery => "in archive recovery",
            ClusterState::InProduction => "in production",
        }
    }
}

impl TryFrom<u32> for ClusterState {
    type Error = ();

    fn try_from(state: u32) -> Result<Self, ()> {
        Ok(match state {
            0 => ClusterState::Startup,
            1 => ClusterState::ShutDown,
            2 => ClusterState::ShutDownInRecovery,
            3 => ClusterState::ShuttingDown,
            4 => ClusterState::InCrashRecovery,
            5 => ClusterState::InArchiveRecovery,
            6 => ClusterState::InProduction,
            _ => return Err(()),
        })
    }
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFile {
    pub system_identifier: u64,
    pub state: ClusterState,
    /// Seconds since the Unix epoch of the last update.
    pub time: i64,
    /// Where the latest checkpoint's record is.
    pub checkpoint: Lsn,
    pub checkpoint_copy: CheckPoint,
    /// Counter that stands in for LSNs on pages of unlogged relations.
    pub unlogged_lsn: Lsn,
    /// How far archive recovery must go before the cluster is consistent.
    pub minimum_recovery_point: Lsn,
    pub minimum_recovery_timeline: TimelineId,
    pub backup_start: Lsn,
    pub backup_end: Lsn,
    pub backup_end_required: bool,
    pub parameters: LoggedParameters,
    pub segment_size: u32,
    /// Zero if pages have no checksums.
    pub checksum_version: u32,
    pub char_is_signed: bool,
    /// Answers authentication requests of users that don't exist.
    pub authentication_nonce: [u8; 32],
}

/// Properties of the build that a data directory is tied to, with PostgreSQL's name, place and our value.
const BUILD_PROPERTIES: [(&str, usize, u32); 9] = [
    ("MAXALIGN", 204, 8),
    ("BLCKSZ", 216, BLOCK_SIZE as u32),
    ("RELSEG_SIZE", 220, 131_072),
    ("XLOG_BLCKSZ", 224, WAL_PAGE_SIZE as u32),
    ("NAMEDATALEN", 232, 64),
    ("INDEX_MAX_KEYS", 236, 32),
    ("TOAST_MAX_CHUNK_SIZE", 240, 1996),
    ("LOBLKSIZE", 244, 2048),
    ("USE_FLOAT8_BYVAL", 248, 1),
];

impl ControlFile {
    /// The control file of a cluster that `init` is about to make. The checkpoint is filled in once its
    /// record is written.
    pub fn new(system_identifier: u64, checksums: bool, authentication_nonce: [u8; 32]) -> Self {
        Self {
            system_identifier,
            state: ClusterState::Startup,
            time: 0,
            checkpoint: Lsn::INVALID,
            checkpoint_copy: CheckPoint::default(),
            unlogged_lsn: FIRST_NORMAL_UNLOGGED_LSN,
            minimum_recovery_point: Lsn::INVALID,
            minimum_recovery_timeline: TimelineId(0),
            backup_start: Lsn::INVALID,
            backup_end: Lsn::INVALID,
            backup_end_required: false,
            parameters: LoggedParameters {
                max_connections: 100,
                max_worker_processes: 8,
                max_wal_senders: 10,
                max_prepared_transactions: 0,
                max_locks_per_transaction: 64,
                wal_level: WalLevel::Replica,
                wal_log_hints: false,
                track_commit_timestamp: false,
            },
            segment_size: DEFAULT_SEGMENT_SIZE as u32,
            checksum_version: u32::from(checksums),
            char_is_signed: true,
            authentication_nonce,
        }
    }

    /// The whole file, with its CRC.
    pub fn encode(&self) -> Box<[u8; FILE_SIZE]> {
        let mut bytes = Box::new([0; FILE_SIZE]);
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.system_identifier.to_le_bytes());
        put(8, &CONTROL_VERSION.to_le_bytes());
        put(12, &CATALOG_VERSION.to_le_bytes());
        put(16, &(self.state as u32).to_le_bytes());
        put(24, &self.time.to_le_bytes());
        put(32, &self.checkpoint.0.to_le_bytes());
        put(40, &self.checkpoint_copy.encode());
        put(128, &self.unlogged_lsn.0.to_le_bytes());
        put(136, &self.minimum_recovery_point.0.to_le_bytes());
        put(144, &self.minimum_recovery_timeline.0.to_le_bytes());
        put(152, &self.backup_start.0.to_le_bytes());
        put(160, &self.backup_end.0.to_le_bytes());
        put(168, &[u8::from(self.backup_end_required)]);
        let parameters = &self.parameters;
        put(172, &(parameters.wal_level as u32).to_le_bytes());
        put(176, &[u8::from(parameters.wal_log_hints)]);
        put(180, &parameters.max_connections.to_le_bytes());
        put(184, &parameters.max_worker_processes.to_le_bytes());
        put(188, &parameters.max_wal_senders.to_le_bytes());
        put(192, &parameters.max_prepared_transactions.to_le_bytes());
        put(196, &parameters.max_locks_per_transaction.to_le_bytes());
        put(200, &[u8::from(parameters.track_commit_timestamp)]);
        put(208, &FLOAT_FORMAT.to_le_bytes());
        for (_, at, value) in BUILD_PROPERTIES {
            put(at, &value.to_le_bytes());
        }
        put(228, &self.segment_size.to_le_bytes());
        put(252, &self.checksum_version.to_le_bytes());
        put(256, &[u8::from(self.char_is_signed)]);
        put(257, &self.authentication_nonce);
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..USED_SIZE].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// # Errors
    /// FATAL, in PostgreSQL's words, if the file was made by another version or build, or is damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let incompatible = |detail: String| {
            Error::fatal(SqlState::INVALID_PARAMETER_VALUE, "database files are incompatible with server")
                .detail(detail)
                .hint("It looks like you need to initdb.")
        };
        if bytes.len() < USED_SIZE {
            return Err(Error::fatal(
                SqlState::DATA_CORRUPTED,
                format!("could not read file \"{CONTROL_FILE_PATH}\": read {} of {USED_SIZE}", bytes.len()),
            ));
        }
        let fields = Fields(bytes);
        let version = fields.u32(8);
        if version != CONTROL_VERSION {
            return Err(incompatible(format!(
                "The database cluster was initialized with PG_CONTROL_VERSION {version}, but the server was compiled with PG_CONTROL_VERSION {CONTROL_VERSION}."
            )));
        }
        if fields.u32(CRC_AT) != crc32c::crc32c(&bytes[..CRC_AT]) {
            return Err(Error::fatal(
                SqlState::INVALID_PARAMETER_VALUE,
                "incorrect checksum in control file",
            ));
        }
        let catalog = fields.u32(12);
        if catalog != CATALOG_VERSION {
            return Err(incompatible(format!(
                "The database cluster was initialized with CATALOG_VERSION_NO {catalog}, but the server was compiled with CATALOG_VERSION_NO {CATALOG_VERSION}."
            )));
        }
        for (name, at, value) in BUILD_PROPERTIES {
            // Single bytes are followed by padding, which PostgreSQL leaves zero.
            let found = fields.u32(at);
            if found != value {
                return Err(incompatible(format!(
                    "The database cluster was initialized with {name} {found}, but the server was compiled with {name} {value}."
                )));
            }
        }
        if f64::from_bits(fields.u64(208)) != FLOAT_FORMAT {
            return Err(incompatible(
                "The database cluster appears to use a different floating-point number format than the server executable.".into(),
            ));
        }
        let corrupt = |what: &str| {
            Error::fatal(SqlState::DATA_CORRUPTED, format!("control file contains invalid {what}"))
        };
        let mut authentication_nonce = [0; 32];
        authentication_nonce.copy_from_slice(&bytes[257..289]);
        Ok(Self {
            system_identifier: fields.u64(0),
            state: ClusterState::try_from(fields.u32(16)).map_err(|()| corrupt("database cluster state"))?,
            time: fields.u64(24) as i64,
            checkpoint: Lsn(fields.u64(32)),
            checkpoint_copy: CheckPoint::decode(&bytes[40..128]).ok_or_else(|| corrupt("checkpoint"))?,
            unlogged_lsn: Lsn(fields.u64(128)),
            minimum_recovery_point: Lsn(fields.u64(136)),
            minimum_recovery_timeline: TimelineId(fields.u32(144)),
            backup_start: Lsn(fields.u64(152)),
            backup_end: Lsn(fields.u64(160)),
            backup_end_required: fields.u8(168) != 0,
            parameters: LoggedParameters {
                max_connections: fields.u32(180) as i32,
                max_worker_processes: fields.u32(184) as i32,
                max_wal_senders: fields.u32(188) as i32,
                max_prepared_transactions: fields.u32(192) as i32,
                max_locks_per_transaction: fields.u32(196) as i32,
                wal_level: WalLevel::try_from(fields.u32(172)).map_err(|()| corrupt("wal_level"))?,
                wal_log_hints: fields.u8(176) != 0,
                track_commit_timestamp: fields.u8(200) != 0,
            },
            segment_size: fields.u32(228),
            checksum_version: fields.u32(252),
            char_is_signed: fields.u8(256) != 0,
            authentication_nonce,
        })
    }

    pub fn has_checksums(&self) -> bool {
        self.checksum_version != 0
    }
}

/// First LSN that pages of unlogged relations carry: `FirstNormalUnloggedLSN`.
pub const FIRST_NORMAL_UNLOGGED_LSN: Lsn = Lsn(1000);

/// The control file of a running cluster. Every change is written and synced before anybody sees it.
pub struct ControlFileStore {
    fs: Arc<dyn FileSystem>,
    contents: Mutex<ControlFile>,
}

impl ControlFileStore {
    /// Reads the file.
    ///
    /// # Errors
    /// FATAL, if it isn't there, can't be read or isn't ours.
    pub fn open(fs: Arc<dyn FileSystem>) -> Result<Self> {
        let bytes = fs.read(CONTROL_FILE_PATH).map_err(|cause| {
            let error = Error::file_access("open file", CONTROL_FILE_PATH, &cause);
            error.with_severity(kokkiri_primitives::error::Severity::Fatal)
        })?;
        let contents = ControlFile::decode(&bytes)?;
        Ok(Self { fs, contents: Mutex::new(contents) })
    }

    /// Writes the first control file of a cluster.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn create(fs: Arc<dyn FileSystem>, mut contents: ControlFile) -> Result<Self> {
        contents.time = TimestampTz::now().unix_seconds();
        write(&*fs, &contents, OpenOptions::OVERWRITE)?;
        fs.sync_directory("global").map_err(|cause| Error::file_access("fsync file", "global", &cause))?;
        Ok(Self { fs, contents: Mutex::new(contents) })
    }

    /// A copy of the present contents.
    pub fn read(&self) -> ControlFile {
        self.contents.lock().clone()
    }

    /// Changes the contents and makes the change durable.
    ///
    /// # Errors
    /// If it can't be written; the contents in memory are as before.
    pub fn update(&self, change: impl FnOnce(&mut ControlFile)) -> Result<()> {
        let mut contents = self.contents.lock();
        let mut changed = contents.clone();
        change(&mut changed);
        changed.time = TimestampTz::now().unix_seconds();
        write(&*self.fs, &changed, OpenOptions::EXISTING)?;
        *contents = changed;
        Ok(())
    }
}

fn write(fs: &dyn FileSystem, contents: &ControlFile, options: OpenOptions) -> Result<()> {
    let failed = |action: &'static str| {
        move |cause: std::io::Error| Error::file_access(action, CONTROL_FILE_PATH, &cause)
    };
    let file = fs.open(CONTROL_FILE_PATH, options).map_err(failed("open file"))?;
    file.write_all_at(&contents.encode()[..], 0).map_err(failed("write to file"))?;
    file.sync_data().map_err(failed("fsync file"))
}

#[cfg(test)]
mod tests {
    use kokkiri_primitives::ids::{FullTransactionId, MultiXactId, Oid, TransactionId};

    use super::*;

    /// The used part of the control file of a PostgreSQL 18.4 cluster in production.
    const CAPTURED: &[&str] = &[
        "8268112a3229006b080700003300120c06000000000000009b30006b0000000000dab5010000000070d9b50100000000",
        "01000000010000000100000001000000ff02000000000000006000000100000000000000e80200000100000001000000",
        "01000000000000003b30006b000000000000000000000000ff02000000000000e8030000000000000000000000000000",
        "00000000000000000000000000000000000000000000000000000000010000000000000064000000080000000a000000",
        "000000004000000000000000080000000000000087d63241002000000000020000200000000000014000000020000000",
        "cc07000000080000010000000100000001a587acc276ef9c34df9b424a0f2386373d566162cd1a28f3c59b05f9989cc0",
        "6c000000095502f2",
    ];

    fn captured() -> Vec<u8> {
        let digits: Vec<u8> = CAPTURED.concat().bytes().collect();
        let digit = |byte: u8| (byte as char).to_digit(16).expect("hexadecimal") as u8;
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn reads_and_writes_what_postgresql_writes() {
        let bytes = captured();
        let control = ControlFile::decode(&bytes).expect("PostgreSQL wrote it");
        // What pg_controldata says about it.
        assert_eq!(control.system_identifier, 7_710_207_857_489_176_706);
        assert_eq!(control.state, ClusterState::InProduction);
        assert_eq!(control.checkpoint, Lsn(0x01B5_DA00));
        let checkpoint = control.checkpoint_copy;
        assert_eq!(checkpoint.redo, Lsn(0x01B5_D970));
        assert_eq!(checkpoint.next_xid, FullTransactionId(767));
        assert_eq!((checkpoint.next_oid, checkpoint.next_multixact), (Oid(24576), MultiXactId(1)));
        assert_eq!((checkpoint.oldest_xid, checkpoint.oldest_xid_database), (TransactionId(744), Oid(1)));
        assert_eq!(checkpoint.oldest_active_xid, TransactionId(767));
        assert_eq!(control.unlogged_lsn, FIRST_NORMAL_UNLOGGED_LSN);
        assert_eq!(control.parameters, ControlFile::new(0, true, [0; 32]).parameters);
        assert!(control.has_checksums() && control.char_is_signed);
        assert_eq!(control.authentication_nonce[..2], [0xA5, 0x87]);
        assert_eq!(control.encode()[..USED_SIZE], bytes[..]);
    }

    #[test]
    fn refuses_what_is_not_ours() {
        let mut damaged = captured();
        damaged[33] ^= 1;
        let error = ControlFile::decode(&damaged).expect_err("the checksum is wrong");
        assert_eq!(error.message(), "incorrect checksum in control file");
        let mut older = captured();
        older[8..12].copy_from_slice(&1300_u32.to_le_bytes());
        let error = ControlFile::decode(&older).expect_err("another version");
        assert_eq!(error.message(), "database files are incompatible with server");
        assert!(ControlFile::decode(&damaged[..100]).is_err());
    }
}
