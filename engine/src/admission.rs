//! Letting a client in: a slot, the role's credentials, the checks of role and database, the settings.
//!
//! Realises: `InitPostgres` with `InitializeSessionUserId`, `CheckMyDatabase` and `process_settings`. The
//! order of the checks is PostgreSQL's, since it decides which message a client gets.

use std::sync::{Arc, PoisonError};

use kokkiri_catalog::entries::{DatabaseEntry, RoleEntry};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_catalog::rows::PgDbRoleSetting;
use kokkiri_catalog::view::{CatalogSession, CatalogView};
use kokkiri_primitives::activity::{BackendState, BackendType, Registration};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::{Settings, Source, parameters};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState};
use kokkiri_transaction::{BeginOptions, LockMode, LockTag, Transaction, WaitPolicy};
use kokkiri_types::ValueRef;

use crate::client::{ConnectRequest, Credentials};
use crate::engine::{Engine, SessionStart};
use crate::instance::Instance;
use crate::session::Session;

/// Oid of the role pg_use_reserved_connections.
const USE_RESERVED_CONNECTIONS: Oid = Oid(4550);
/// Oid of the catalog pg_database.
const DATABASE_CATALOG: Oid = Oid(1262);
/// pg_database.datconnlimit of a database that an interrupted DROP left behind.
const INVALID_DATABASE: i32 = -2;

/// A place for a client that has not said yet, or not proven, who it is.
pub struct BackendSlot {
    instance: Arc<Instance>,
    registration: Registration,
}

impl Engine {
    /// Takes a slot for a client.
    ///
    /// # Errors
    /// FATAL 57P03 while no client is let in, 53300 when all slots are taken.
    pub fn reserve_backend(&self) -> Result<BackendSlot> {
        let instance = self.instance()?;
        let full = || Error::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already");
        let registration = {
            let _counting = instance.reserving.lock().unwrap_or_else(PoisonError::into_inner);
            if instance.free_client_slots() == 0 {
                return Err(full());
            }
            instance.cluster.processes.register(BackendType::Client).ok_or_else(full)?
        };
        Ok(BackendSlot { instance, registration })
    }
}

impl Instance {
    fn free_client_slots(&self) -> usize {
        let all = self.settings().get(parameters::MAX_CONNECTIONS) as usize;
        all.saturating_sub(self.cluster.processes.count(BackendType::Client))
    }
}

impl BackendSlot {
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// What authentication needs to know of a role; `None` if there is none of that name.
    ///
    /// # Errors
    /// If the catalogs can't be read.
    pub fn credentials(&self, role: &str) -> Result<Option<Credentials>> {
        self.look(|view| {
            let Some(role) = view.role_by_name(role)? else { return Ok(None) };
            let mut member_of = Vec::new();
            for oid in view.is_member_of(role.oid)? {
                member_of.extend(view.role(oid)?.map(|role| role.name.to_string()));
            }
            Ok(Some(Credentials {
                password: role.password.as_deref().map(str::to_owned),
                valid_until: role.valid_until.map(TimestampTz),
                member_of,
            }))
        })
    }

    /// Opens the session of a client that has been authenticated.
    ///
    /// # Errors
    /// FATAL in PostgreSQL's words: no such role or database, not permitted, too many connections.
    pub fn connect(self, request: ConnectRequest) -> Result<Session> {
        let settings = Settings::new(self.instance.settings());
        let admitted = self
            .look(|view| self.admit(view, &request, &settings))
            .map_err(|error| error.with_severity(Severity::Fatal))?;
        let (role, database) = admitted;
        self.show_client(&request, &settings);
        let Self { instance, registration } = self;
        let _entered = registration.backend().enter();
        Session::open(SessionStart {
            instance,
            request,
            settings,
            role: role.oid,
            database: database.oid,
            tablespace: database.tablespace,
            registration,
        })
        .map_err(|error| error.with_severity(Severity::Fatal))
    }

    /// Reads shared catalogs in a short transaction, which knows no database of its own yet.
    fn look<T>(&self, look: impl FnOnce(&CatalogView<'_>) -> Result<T>) -> Result<T> {
        let instance = &self.instance;
        let backend = self.registration.backend();
        let _entered = backend.enter();
        let session = CatalogSession::new(Arc::clone(&instance.catalog), instance.catalog.no_database());
        let settings = Settings::new(instance.settings());
        let transaction = Transaction::begin(&instance.cluster, backend, BeginOptions::default());
        let view = CatalogView {
            session: &session,
            transaction: &transaction,
            settings: &settings,
            role: kokkiri_catalog::bootstrap::BOOTSTRAP_SUPERUSER,
        };
        match look(&view) {
            Ok(seen) => {
                transaction.commit()?;
                Ok(seen)
            }
            Err(error) => {
                transaction.abort();
                Err(error)
            }
        }
    }

    /// Checks role and database, and gives the session its settings.
    fn admit(
        &self,
        view: &CatalogView<'_>,
        request: &ConnectRequest,
        settings: &Settings,
    ) -> Result<(Arc<RoleEntry>, Arc<DatabaseEntry>)> {
        let role = view.role_by_name(&request.user)?.ok_or_else(|| {
            let message = format!("role \"{}\" does not exist", request.user);
            Error::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
        })?;
        self.check_role(&role)?;
        if !role.superuser {
            self.check_reserved_slots(view, &role)?;
        }
        let no_database = || {
            let message = format!("database \"{}\" does not exist", request.database);
            Error::new(SqlState::INVALID_CATALOG_NAME, message)
        };
        let database = view.database_by_name(&request.database)?.ok_or_else(no_database)?;
        // Whoever drops or renames it waits until this session shows that it is connected.
        let tag = LockTag::Object {
            database: Oid::INVALID,
            class: DATABASE_CATALOG,
            object: database.oid,
            sub_object: 0,
        };
        view.transaction.lock(tag, LockMode::RowExclusive, WaitPolicy::Block)?;
        let database = view
            .database(database.oid)?
            .filter(|database| *database.name == *request.database)
            .ok_or_else(no_database)?;
        let backend = self.registration.backend();
        backend.set_database(database.oid);
        backend.set_role(role.oid);
        self.check_database(view, &role, &database)?;
        apply_settings(view, settings, request, &role, &database)?;
        Ok((role, database))
    }

    fn check_role(&self, role: &RoleEntry) -> Result<()> {
        let name = &role.name;
        if !role.can_login {
            return Err(Error::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("role \"{name}\" is not permitted to log in"),
            ));
        }
        let connected = |oid| {
            let backends = self.instance.cluster.processes.all();
            backends.iter().filter(|backend| backend.role() == Some(oid)).count()
        };
        if role.connection_limit >= 0
            && !role.superuser
            && connected(role.oid) + 1 > role.connection_limit as usize
        {
            return Err(Error::new(
                SqlState::TOO_MANY_CONNECTIONS,
                format!("too many connections for role \"{name}\""),
            ));
        }
        Ok(())
    }

    /// The last slots are kept for superusers, and some before them for who may use reserved ones.
    fn check_reserved_slots(&self, view: &CatalogView<'_>, role: &RoleEntry) -> Result<()> {
        let settings = self.instance.settings();
        let for_superusers = settings.get(parameters::SUPERUSER_RESERVED_CONNECTIONS) as usize;
        let reserved = settings.get(parameters::RESERVED_CONNECTIONS) as usize;
        let free = self.instance.free_client_slots();
        if free >= for_superusers + reserved {
            return Ok(());
        }
        let kept = |whom: &str| {
            let message = format!("remaining connection slots are reserved for roles with {whom}");
            Err(Error::new(SqlState::TOO_MANY_CONNECTIONS, message))
        };
        if free < for_superusers {
            return kept("the SUPERUSER attribute");
        }
        if !view.roles_of(role.oid)?.contains(&USE_RESERVED_CONNECTIONS) {
            return kept("privileges of the \"pg_use_reserved_connections\" role");
        }
        Ok(())
    }

    fn check_database(
        &self,
        view: &CatalogView<'_>,
        role: &RoleEntry,
        database: &DatabaseEntry,
    ) -> Result<()> {
        let name = &database.name;
        if database.connection_limit == INVALID_DATABASE {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("cannot connect to invalid database \"{name}\""),
            )
            .hint("Use DROP DATABASE to drop invalid databases."));
        }
        if !database.allow_connections {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("database \"{name}\" is not currently accepting connections"),
            ));
        }
        let acl = database.acl.as_ref();
        let granted =
            view.privileges(role.oid, ObjectKind::Database, database.owner, acl, Privileges::CONNECT)?;
        if !granted.contains(Privileges::CONNECT) {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied for database \"{name}\""),
            )
            .detail("User does not have CONNECT privilege."));
        }
        let connected = || {
            let backends = self.instance.cluster.processes.all();
            backends.iter().filter(|backend| backend.database() == Some(database.oid)).count()
        };
        if database.connection_limit >= 0
            && !role.superuser
            && connected() > database.connection_limit as usize
        {
            return Err(Error::new(
                SqlState::TOO_MANY_CONNECTIONS,
                format!("too many connections for database \"{name}\""),
            ));
        }
        Ok(())
    }

    /// What pg_stat_activity shows of the client.
    fn show_client(&self, request: &ConnectRequest, settings: &Settings) {
        let mut status = self.registration.backend().status();
        status.state = BackendState::Starting;
        status.application_name = settings.get(parameters::APPLICATION_NAME);
        status.client_address = request.client_address;
        status.client_is_local = request.client_address.is_none();
        status.tls.clone_from(&request.tls);
    }
}

/// Settings of the connection, then those of database and role. Which wins is decided by their source,
/// not by this order.
fn apply_settings(
    view: &CatalogView<'_>,
    settings: &Settings,
    request: &ConnectRequest,
    role: &RoleEntry,
    database: &DatabaseEntry,
) -> Result<()> {
    view.session.set_authenticated_role(role.oid);
    settings.set_superuser(role.superuser);
    let superuser = if role.superuser { "on" } else { "off" };
    settings.set_base("is_superuser", superuser, Source::Override)?;
    settings.set_base("session_authorization", &role.name, Source::Override)?;
    settings.set_base("server_encoding", "UTF8", Source::Override)?;
    settings.set_base("client_encoding", "UTF8", Source::Default)?;
    for (name, value) in request.options.iter().chain(&request.settings) {
        view.check_identity(name, value)?;
        settings.set_base(name, value, Source::Client)?;
    }
    let stored = [
        (database.oid, role.oid, Source::DatabaseUser),
        (Oid::INVALID, role.oid, Source::User),
        (database.oid, Oid::INVALID, Source::Database),
        (Oid::INVALID, Oid::INVALID, Source::Global),
    ];
    for (database, role, source) in stored {
        let key = [ValueRef::Int32(database.0 as i32), ValueRef::Int32(role.0 as i32)];
        let rows = view.rows::<PgDbRoleSetting>(Lookup::SettingByDatabaseAndRole, &key)?;
        let words = rows.iter().filter_map(|row| row.setconfig.as_ref()).flat_map(|words| &words.0);
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            // A stored value that is wrong by now must not lock the role out.
            let set = view.check_identity(name, value).and_then(|()| settings.set_base(name, value, source));
            if let Err(error) = set {
                tracing::warn!("{}", error.message());
            }
        }
    }
    Ok(())
}
