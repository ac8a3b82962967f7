//! Who does what: sessions, locks, settings, buffers.

use std::sync::Arc;

use kokkiri_catalog::view::CatalogView;
use kokkiri_function_macros::builtin;
use kokkiri_primitives::activity::{Backend, BackendState, BackendType, Status};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::Value as Setting;
use kokkiri_primitives::settings::{Kind, Shown, parameters};
use kokkiri_primitives::{Oid, ProcNumber, Result};
use kokkiri_transaction::LockTag;
use kokkiri_transaction::lock::LockInfo;
use kokkiri_types::builtin::{oid, type_info};
use kokkiri_types::{Value, ValueRef, array};

use super::need;
use super::rows::{Record, listed, or_null};
use super::session::inet;
use crate::context::CallContext;
use crate::registry::{Builtin, list};
use crate::set_returning::{SetFunction, SetRows};

pub(crate) const LIST: &[&[Builtin]] = list![
    pg_blocking_pids,
    pg_safe_snapshot_blocking_pids,
    pg_stat_get_backend_pid,
    pg_stat_get_backend_dbid,
    pg_stat_get_backend_userid,
    pg_stat_get_backend_activity,
    pg_stat_get_backend_wait_event_type,
    pg_stat_get_backend_wait_event,
    pg_stat_get_backend_activity_start,
    pg_stat_get_backend_xact_start,
    pg_stat_get_backend_start,
    pg_stat_get_backend_client_addr,
    pg_stat_get_backend_client_port,
    pg_stat_get_db_numbackends,
];

pub(crate) const SETS: &[SetFunction] = &[
    SetFunction::new(2022, "pg_stat_get_activity", false, pg_stat_get_activity),
    SetFunction::new(1936, "pg_stat_get_backend_idset", true, pg_stat_get_backend_idset),
    SetFunction::new(1371, "pg_lock_status", true, pg_lock_status),
    SetFunction::new(2084, "show_all_settings", true, show_all_settings),
    SetFunction::new(2511, "pg_cursor", true, pg_cursor),
    SetFunction::new(2510, "pg_prepared_statement", true, pg_prepared_statement),
];

/// The role whose members may read all statistics.
const PG_READ_ALL_STATS: Oid = Oid(3375);
/// The role whose members may read all settings.
const PG_READ_ALL_SETTINGS: Oid = Oid(3374);
/// What others' queries show to those who may not see them.
const HIDDEN: &str = "<insufficient privilege>";

/// What may be seen of backends.
struct Watcher {
    all: bool,
    roles: std::collections::HashSet<Oid>,
    query_bytes: usize,
}

impl Watcher {
    fn new(view: &CatalogView<'_>) -> Result<Self> {
        let roles = view.roles_of(view.role)?;
        let query_size = view.settings.get(parameters::TRACK_ACTIVITY_QUERY_SIZE);
        Ok(Self {
            all: view.is_superuser(view.role)? || roles.contains(&PG_READ_ALL_STATS),
            roles,
            query_bytes: usize::try_from(query_size).unwrap_or(0).saturating_sub(1),
        })
    }

    fn may_see(&self, backend: &Backend) -> bool {
        self.all || backend.role().is_some_and(|role| self.roles.contains(&role))
    }

    /// The statement, cut as PostgreSQL's shared memory cuts it.
    fn query(&self, status: &Status) -> Value {
        let end = kokkiri_types::text::clip(status.query.as_bytes(), self.query_bytes).len();
        Value::from(&status.query[..end])
    }
}

fn instant(time: Option<TimestampTz>) -> Value {
    or_null(time.map(|time| time.0))
}

/// True for backends that run statements and so have a state.
fn runs_statements(kind: BackendType) -> bool {
    matches!(
        kind,
        BackendType::Client
            | BackendType::ParallelWorker
            | BackendType::WalSender
            | BackendType::AutovacuumWorker
            | BackendType::LogicalReplicationWorker
            | BackendType::Standalone
    )
}

/// The state to show: a background process is in none.
fn state(backend: &Backend, status: &Status) -> Value {
    let background = !runs_statements(backend.kind) && status.state == BackendState::Starting;
    if background { Value::Null } else { or_null(status.state.as_str()) }
}

/// Port of the client: -1 on a Unix socket, null for what has no client.
fn client_port(status: &Status) -> Value {
    match status.client_address {
        Some(address) => Value::Int32(i32::from(address.port())),
        None if status.client_is_local => Value::Int32(-1),
        None => Value::Null,
    }
}

fn activity_row(watcher: &Watcher, backend: &Backend) -> Record {
    let mut row = vec![
        or_null(backend.database()),
        Value::Int32(backend.pid),
        or_null(backend.role()),
        Value::from(&*backend.status().application_name),
    ];
    if !watcher.may_see(backend) {
        row.extend([Value::Null, Value::from(HIDDEN)]);
        row.resize(ACTIVITY_COLUMNS, Value::Null);
        return row;
    }
    let status = backend.status().clone();
    let event = backend.wait_event();
    row.extend([
        state(backend, &status),
        watcher.query(&status),
        or_null(event.map(|event| event.kind)),
        or_null(event.map(|event| event.name)),
        instant(status.transaction_start),
        instant(status.query_start),
        Value::Int64(status.backend_start.0),
        instant(status.state_change),
        or_null(status.client_address.map(|address| inet(address.ip()))),
        or_null(status.client_hostname.as_deref()),
        client_port(&status),
        or_null(backend.xid().map(|xid| xid.0 as i32)),
        or_null(backend.xmin().map(|xid| xid.0 as i32)),
        Value::from(backend.kind.as_str()),
        Value::Bool(status.tls.is_some()),
    ]);
    row.extend(match status.tls {
        Some(tls) => [Value::from(tls.version), Value::from(tls.cipher), Value::Int32(tls.bits)],
        None => [Value::Null, Value::Null, Value::Null],
    });
    // Client certificates and GSSAPI are not taken.
    row.extend([Value::Null, Value::Null, Value::Null]);
    row.extend([Value::Bool(false), Value::Null, Value::Bool(false), Value::Bool(false)]);
    row.extend([Value::Null, or_null(status.query_id.filter(|id| *id != 0))]);
    row
}

const ACTIVITY_COLUMNS: usize = 31;

/// `pg_stat_get_activity(pid)`: that backend, or with a null all of them.
fn pg_stat_get_activity(
    context: &mut CallContext<'_>,
    arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let view = need::catalog(context)?;
    let watcher = Watcher::new(&view)?;
    let processes = &view.cluster().processes;
    let backends = match arguments.first() {
        Some(pid) if !pid.is_null() => processes.by_pid(pid.int32()).into_iter().collect(),
        _ => processes.all(),
    };
    Ok(listed(backends.iter().map(|backend| activity_row(&watcher, backend)).collect()))
}

fn pg_stat_get_backend_idset(
    context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let backends = need::catalog(context)?.cluster().processes.all();
    Ok(listed(backends.iter().map(|backend| vec![Value::Int32(backend.number.0 as i32)]).collect()))
}

/// The backend with a number that `pg_stat_get_backend_idset` gave.
fn backend(context: &CallContext<'_>, number: i32) -> Result<Option<Arc<Backend>>> {
    let Ok(number) = u32::try_from(number) else { return Ok(None) };
    Ok(need::catalog(context)?.cluster().processes.by_number(ProcNumber(number)))
}

/// As [`backend`], if the caller may see what it does.
fn visible_backend(context: &CallContext<'_>, number: i32) -> Result<Option<Arc<Backend>>> {
    let watcher = Watcher::new(&need::catalog(context)?)?;
    Ok(backend(context, number)?.filter(|backend| watcher.may_see(backend)))
}

#[builtin(oid = 1937)]
fn pg_stat_get_backend_pid(context: &mut CallContext<'_>, number: i32) -> Result<Option<i32>> {
    Ok(backend(context, number)?.map(|backend| backend.pid))
}

#[builtin(oid = 1938)]
fn pg_stat_get_backend_dbid(context: &mut CallContext<'_>, number: i32) -> Result<Option<Oid>> {
    Ok(backend(context, number)?.map(|backend| backend.database().unwrap_or(Oid::INVALID)))
}

#[builtin(oid = 1939)]
fn pg_stat_get_backend_userid(context: &mut CallContext<'_>, number: i32) -> Result<Option<Oid>> {
    Ok(backend(context, number)?.map(|backend| backend.role().unwrap_or(Oid::INVALID)))
}

#[builtin(oid = 1940)]
fn pg_stat_get_backend_activity(context: &mut CallContext<'_>, number: i32) -> Result<Value> {
    let watcher = Watcher::new(&need::catalog(context)?)?;
    Ok(match backend(context, number)? {
        None => Value::from("<backend information not available>"),
        Some(backend) if !watcher.may_see(&backend) => Value::from(HIDDEN),
        Some(backend) if backend.status().query.is_empty() => Value::from("<command string not enabled>"),
        Some(backend) => watcher.query(&backend.status()),
    })
}

#[builtin(oid = 2788)]
fn pg_stat_get_backend_wait_event_type(context: &mut CallContext<'_>, number: i32) -> Result<Value> {
    wait_event(context, number, |event| event.kind)
}

#[builtin(oid = 2853)]
fn pg_stat_get_backend_wait_event(context: &mut CallContext<'_>, number: i32) -> Result<Value> {
    wait_event(context, number, |event| event.name)
}

fn wait_event(
    context: &CallContext<'_>,
    number: i32,
    part: fn(&kokkiri_primitives::activity::WaitEvent) -> &'static str,
) -> Result<Value> {
    let watcher = Watcher::new(&need::catalog(context)?)?;
    Ok(match backend(context, number)? {
        None => Value::from("<backend information not available>"),
        Some(backend) if !watcher.may_see(&backend) => Value::from(HIDDEN),
        Some(backend) => or_null(backend.wait_event().map(part)),
    })
}

#[builtin(oid = 2094)]
fn pg_stat_get_backend_activity_start(context: &mut CallContext<'_>, number: i32) -> Result<Option<i64>> {
    let backend = visible_backend(context, number)?;
    Ok(backend.and_then(|backend| backend.status().query_start).map(|time| time.0))
}

#[builtin(oid = 2857)]
fn pg_stat_get_backend_xact_start(context: &mut CallContext<'_>, number: i32) -> Result<Option<i64>> {
    let backend = visible_backend(context, number)?;
    Ok(backend.and_then(|backend| backend.status().transaction_start).map(|time| time.0))
}

#[builtin(oid = 1391)]
fn pg_stat_get_backend_start(context: &mut CallContext<'_>, number: i32) -> Result<Option<i64>> {
    Ok(visible_backend(context, number)?.map(|backend| backend.status().backend_start.0))
}

#[builtin(oid = 1392)]
fn pg_stat_get_backend_client_addr(context: &mut CallContext<'_>, number: i32) -> Result<Option<Vec<u8>>> {
    let backend = visible_backend(context, number)?;
    Ok(backend.and_then(|backend| backend.status().client_address).map(|address| inet(address.ip())))
}

#[builtin(oid = 1393)]
fn pg_stat_get_backend_client_port(context: &mut CallContext<'_>, number: i32) -> Result<Value> {
    let backend = visible_backend(context, number)?;
    Ok(backend.map_or(Value::Null, |backend| client_port(&backend.status())))
}

#[builtin(oid = 1941)]
fn pg_stat_get_db_numbackends(context: &mut CallContext<'_>, database: Oid) -> Result<i32> {
    let backends = need::catalog(context)?.cluster().processes.all();
    Ok(backends.iter().filter(|backend| backend.database() == database.valid()).count() as i32)
}

fn pids(pids: Vec<i32>) -> Result<Vec<u8>> {
    let values: Vec<Value> = pids.into_iter().map(Value::Int32).collect();
    array::build_vector(type_info(oid::INT4).expect("int4 is built in"), &values)
}

#[builtin(oid = 2561, volatile)]
fn pg_blocking_pids(context: &mut CallContext<'_>, pid: i32) -> Result<Vec<u8>> {
    pids(need::catalog(context)?.cluster().locks.blocking_pids(pid))
}

/// Nobody waits for a safe snapshot: SERIALIZABLE READ ONLY DEFERRABLE is not built.
#[builtin(oid = 3376, volatile)]
fn pg_safe_snapshot_blocking_pids(_pid: i32) -> Result<Vec<u8>> {
    pids(Vec::new())
}

/// Places of pg_locks' first columns.
mod column {
    pub const KIND: usize = 0;
    pub const DATABASE: usize = 1;
    pub const RELATION: usize = 2;
    pub const PAGE: usize = 3;
    pub const TUPLE: usize = 4;
    pub const VIRTUAL_XID: usize = 5;
    pub const XID: usize = 6;
    pub const CLASS: usize = 7;
    pub const OBJECT: usize = 8;
    pub const SUB_OBJECT: usize = 9;
}

/// The ten columns of pg_locks that say what is locked, from `locktype` to `objsubid`.
fn lock_target(tag: LockTag) -> [Value; 10] {
    let mut columns: [Value; 10] = std::array::from_fn(|_| Value::Null);
    columns[column::KIND] = Value::from(tag.wait_event().name);
    let fields = tag.fields();
    let (first, second) = (Value::oid(Oid(fields.field1)), Value::oid(Oid(fields.field2)));
    match tag {
        LockTag::Relation { .. } | LockTag::RelationExtend { .. } => {
            (columns[column::DATABASE], columns[column::RELATION]) = (first, second);
        }
        LockTag::DatabaseFrozenIds { .. } => columns[column::DATABASE] = first,
        LockTag::Page { .. } | LockTag::Tuple { .. } => {
            (columns[column::DATABASE], columns[column::RELATION]) = (first, second);
            columns[column::PAGE] = Value::Int32(fields.field3 as i32);
            if matches!(tag, LockTag::Tuple { .. }) {
                columns[column::TUPLE] = Value::Int16(fields.field4 as i16);
            }
        }
        LockTag::Transaction(xid) => columns[column::XID] = Value::Int32(xid.0 as i32),
        LockTag::VirtualTransaction(vxid) => columns[column::VIRTUAL_XID] = Value::from(vxid.to_string()),
        LockTag::SpeculativeToken { xid, token } => {
            (columns[column::XID], columns[column::OBJECT]) =
                (Value::Int32(xid.0 as i32), Value::oid(Oid(token)));
        }
        LockTag::Object { .. } | LockTag::Advisory { .. } => {
            (columns[column::DATABASE], columns[column::CLASS]) = (first, second);
            columns[column::OBJECT] = Value::oid(Oid(fields.field3));
            columns[column::SUB_OBJECT] = Value::Int16(fields.field4 as i16);
        }
    }
    columns
}

fn lock_row(lock: &LockInfo) -> Record {
    let mut row = Record::from(lock_target(lock.tag));
    row.extend([
        Value::from(match lock.virtual_transaction {
            Some(owner) => owner.to_string(),
            None => format!("{}/0", lock.holder),
        }),
        or_null(lock.pid),
        Value::from(lock.mode.name()),
        Value::Bool(lock.granted),
        Value::Bool(lock.fast_path),
        instant(lock.wait_start),
    ]);
    row
}

fn pg_lock_status(context: &mut CallContext<'_>, _arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let locks = need::catalog(context)?.cluster().locks.list();
    Ok(listed(locks.iter().map(lock_row).collect()))
}

/// Settings that only superusers and pg_read_all_settings see: they tell of files and of other servers.
const PRIVATE_SETTINGS: [&str; 23] = [
    "config_file",
    "data_directory",
    "dynamic_library_path",
    "extension_control_path",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "jit_provider",
    "krb_server_keyfile",
    "log_directory",
    "log_filename",
    "oauth_validator_libraries",
    "primary_conninfo",
    "session_preload_libraries",
    "shared_preload_libraries",
    "ssl_ciphers",
    "ssl_dh_params_file",
    "ssl_groups",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "ssl_passphrase_command",
    "ssl_tls13_ciphers",
    "unix_socket_directories",
];

/// True if the role may read this setting.
pub(crate) fn may_read_setting(view: &CatalogView<'_>, name: &str) -> Result<bool> {
    Ok(PRIVATE_SETTINGS.binary_search(&name).is_err() || reads_all_settings(view)?)
}

fn reads_all_settings(view: &CatalogView<'_>) -> Result<bool> {
    Ok(view.is_superuser(view.role)? || view.roles_of(view.role)?.contains(&PG_READ_ALL_SETTINGS))
}

fn setting_row(shown: &Shown, with_file: bool) -> Result<Record> {
    let parameter = shown.parameter;
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    let (least, most) = match parameter.kind {
        Kind::Int { min, max } => (Value::from(min.to_string()), Value::from(max.to_string())),
        Kind::Real { min, max } => {
            (Value::from(Setting::Real(min).plain()), Value::from(Setting::Real(max).plain()))
        }
        Kind::Bool | Kind::Text | Kind::Enum { .. } => (Value::Null, Value::Null),
    };
    let words = match parameter.kind {
        Kind::Enum { values } => {
            let words: Vec<Value> = values.iter().map(|word| Value::from(*word)).collect();
            Value::from(array::build_vector(type_info(oid::TEXT).expect("text is built in"), &words)?)
        }
        _ => Value::Null,
    };
    let (file, line) = match &shown.file {
        Some((file, line)) if with_file => (Value::from(&**file), Value::Int32(*line as i32)),
        _ => (Value::Null, Value::Null),
    };
    Ok(vec![
        Value::from(parameter.name),
        Value::from(shown.value.plain()),
        or_null(parameter.unit.as_str()),
        Value::from(parameter.category),
        Value::from(parameter.description),
        text(parameter.extra),
        Value::from(parameter.context.as_str()),
        Value::from(parameter.vartype()),
        Value::from(shown.source.as_str()),
        least,
        most,
        words,
        Value::from(shown.boot.plain()),
        Value::from(shown.reset.plain()),
        file,
        line,
        Value::Bool(shown.pending_restart),
    ])
}

fn show_all_settings(context: &mut CallContext<'_>, _arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let view = need::catalog(context)?;
    let all = reads_all_settings(&view)?;
    let mut rows = Vec::new();
    for shown in view.settings.all() {
        let readable = all || PRIVATE_SETTINGS.binary_search(&shown.parameter.name).is_err();
        if shown.parameter.listed && readable {
            rows.push(setting_row(&shown, all)?);
        }
    }
    Ok(listed(rows))
}

fn pg_cursor(context: &mut CallContext<'_>, _arguments: &[ValueRef<'_>]) -> Result<Box<dyn SetRows>> {
    let cursors = need::session_state(context)?.cursors();
    let row = |cursor: super::CursorInfo| {
        vec![
            Value::from(cursor.name),
            Value::from(cursor.statement),
            Value::Bool(cursor.is_holdable),
            Value::Bool(cursor.is_binary),
            Value::Bool(cursor.is_scrollable),
            Value::Int64(cursor.created.0),
        ]
    };
    Ok(listed(cursors.into_iter().map(row).collect()))
}

fn pg_prepared_statement(
    context: &mut CallContext<'_>,
    _arguments: &[ValueRef<'_>],
) -> Result<Box<dyn SetRows>> {
    let regtypes = |types: Vec<Oid>| -> Result<Value> {
        let values: Vec<Value> = types.into_iter().map(Value::oid).collect();
        array::build_vector(type_info(oid::REGTYPE).expect("regtype is built in"), &values).map(Value::from)
    };
    let mut rows = Vec::new();
    for statement in need::session_state(context)?.prepared_statements() {
        rows.push(vec![
            Value::from(statement.name),
            Value::from(statement.statement),
            Value::Int64(statement.prepared.0),
            regtypes(statement.parameter_types)?,
            statement.result_types.map_or(Ok(Value::Null), regtypes)?,
            Value::Bool(statement.from_sql),
            Value::Int64(statement.generic_plans),
            Value::Int64(statement.custom_plans),
        ]);
    }
    Ok(listed(rows))
}

#[cfg(test)]
mod tests {
    use kokkiri_primitives::activity::{ProcessArray, WaitEvent};
    use kokkiri_primitives::{BlockNumber, ItemPointer, OffsetNumber};

    use super::*;

    #[test]
    fn a_session_shows_itself_to_those_who_may_see_it() {
        static READ: WaitEvent = WaitEvent::new("Client", "ClientRead");
        let array = ProcessArray::new(4, 100);
        let registration = array.register(BackendType::Client).expect("there is room");
        let backend = registration.backend();
        backend.set_role(Oid(20));
        backend.show_wait(Some(&READ));
        {
            let mut status = backend.status();
            status.query = "select 'añ'".into();
            status.state = BackendState::Idle;
            status.client_is_local = true;
        }
        let mut watcher = Watcher { all: false, roles: [Oid(20)].into(), query_bytes: 10 };
        let row = activity_row(&watcher, backend);
        assert_eq!(row.len(), ACTIVITY_COLUMNS);
        assert_eq!(row[4], Value::from("idle"));
        assert_eq!(row[5], Value::from("select 'a"), "cut before a character, not within");
        assert_eq!((&row[6], &row[7]), (&Value::from("Client"), &Value::from("ClientRead")));
        assert_eq!(row[14], Value::Int32(-1));
        watcher.roles.clear();
        let row = activity_row(&watcher, backend);
        assert_eq!((row.len(), &row[5], &row[17]), (ACTIVITY_COLUMNS, &Value::from(HIDDEN), &Value::Null));
    }

    #[test]
    fn locks_fill_the_columns_of_their_kind() {
        let tid = ItemPointer::new(BlockNumber(7), OffsetNumber(3));
        let tuple = lock_target(LockTag::Tuple { database: Oid(5), relation: Oid(16384), tid });
        let shown: Vec<usize> = (0..10).filter(|at| !tuple[*at].is_null()).collect();
        assert_eq!(shown, [0, 1, 2, 3, 4]);
        assert_eq!((&tuple[3], &tuple[4]), (&Value::Int32(7), &Value::Int16(3)));
        let key = kokkiri_transaction::lock::AdvisoryKey::Single(1 << 32 | 2);
        let advisory = lock_target(LockTag::Advisory { database: Oid(5), key });
        assert_eq!(advisory[0], Value::from("advisory"));
        assert_eq!(
            (&advisory[7], &advisory[8], &advisory[9]),
            (&Value::Int32(1), &Value::Int32(2), &Value::Int16(1))
        );
    }

    #[test]
    fn private_settings_can_be_searched() {
        assert!(PRIVATE_SETTINGS.is_sorted());
        assert!(PRIVATE_SETTINGS.iter().all(|name| kokkiri_primitives::settings::find(name).is_some()));
    }
}
