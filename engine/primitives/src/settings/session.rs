//! One session's view of the settings.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::bail;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

use super::overrides::{Name, Override, Overrides};
use super::parameter::{Bool, Context, Enum, Int, Parameter, Real, Text, find};
use super::parameters::PARAMETERS;
use super::server::{ServerSettings, Source, Stored};
use super::value::Value;

/// A typed constant of [`super::parameters`]: its index and how to take its value.
pub trait Key: Copy {
    type Value;
    fn index(self) -> u16;
    fn take(value: &Value) -> Self::Value;
}

macro_rules! key {
    ($key:ident, $type:ty, $pattern:pat => $taken:expr) => {
        impl Key for $key {
            type Value = $type;
            fn index(self) -> u16 {
                self.0
            }
            fn take(value: &Value) -> $type {
                match value {
                    $pattern => $taken,
                    other => unreachable!("the facts give this parameter another type: {other:?}"),
                }
            }
        }
    };
}

key!(Bool, bool, Value::Bool(value) => *value);
key!(Int, i64, Value::Int(value) => *value);
key!(Real, f64, Value::Real(value) => *value);
key!(Text, Arc<str>, Value::Text(value) => Arc::clone(value));
key!(Enum, &'static str, Value::Word(word) => word);

/// How long a SET holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetScope {
    /// Until the session ends or sets it again.
    Session,
    /// Until the transaction ends.
    Local,
}

/// Names of parameters that are not PostgreSQL's start with this.
const OWN_PREFIX: &str = "kokkiri.";
const DEBUG_PANIC_AT: &str = "kokkiri.debug_panic_at";

/// One session's view of the settings. Interior mutability: a `set_config` deep in a query changes it
/// while others hold a reference.
pub struct Settings {
    server: RefCell<Arc<ServerSettings>>,
    overrides: RefCell<Overrides>,
    /// Earlier states of overrides changed in the running transaction, with its nesting level.
    undo: RefCell<Vec<(u32, Name, Option<Override>)>>,
    /// Parameters that the session has set, in the order in which that happened first.
    order: RefCell<Vec<u16>>,
    /// Nesting level of the running (sub)transaction; zero outside one.
    level: Cell<u32>,
    superuser: Cell<bool>,
    /// The connection is established: `backend` parameters are fixed.
    started: Cell<bool>,
    /// Reported parameters that have changed since the client was last told.
    reports: RefCell<Vec<u16>>,
    /// Counts changes of values, so that what is derived from them can be kept.
    generation: Cell<u64>,
}

/// A row of SHOW ALL and pg_settings.
pub struct Shown {
    pub parameter: &'static Parameter,
    pub value: Value,
    pub source: Source,
    pub reset: Value,
    pub boot: Value,
    pub file: Option<(Arc<str>, u32)>,
    pub pending_restart: bool,
}

impl Settings {
    pub fn new(server: Arc<ServerSettings>) -> Self {
        Self {
            server: RefCell::new(server),
            overrides: RefCell::default(),
            undo: RefCell::default(),
            order: RefCell::default(),
            level: Cell::new(0),
            superuser: Cell::new(false),
            started: Cell::new(false),
            reports: RefCell::default(),
            generation: Cell::new(0),
        }
    }

    /// A number that is another one after any value may have changed.
    pub fn generation(&self) -> u64 {
        self.generation.get()
    }

    fn changed(&self) {
        self.generation.set(self.generation.get() + 1);
    }

    /// The parameter's present value.
    #[inline]
    pub fn get<K: Key>(&self, key: K) -> K::Value {
        if let Some(value) = self.overrides.borrow().known(key.index()).and_then(Override::value) {
            return K::take(value);
        }
        K::take(&self.server.borrow().stored(key.index()).value)
    }

    /// The server's values, as of the last reload this session has seen.
    pub fn server(&self) -> Arc<ServerSettings> {
        Arc::clone(&self.server.borrow())
    }

    /// Takes over reloaded server values, reporting what changes for the client.
    pub fn reload(&self, server: Arc<ServerSettings>) {
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            let index = index as u16;
            let hidden = self.overrides.borrow().known(index).is_some_and(|o| o.value().is_some());
            let changed = self.server.borrow().stored(index).value != server.stored(index).value;
            if parameter.reported && changed && !hidden {
                self.reports.borrow_mut().push(index);
            }
        }
        *self.server.borrow_mut() = server;
        self.changed();
    }

    pub fn is_superuser(&self) -> bool {
        self.superuser.get()
    }

    pub fn set_superuser(&self, superuser: bool) {
        self.superuser.set(superuser);
    }

    /// From here on parameters of context `backend` are fixed.
    pub fn connection_started(&self) {
        self.started.set(true);
    }

    /// The value as SHOW prints it.
    ///
    /// # Errors
    /// 42704 for a name that is no parameter.
    pub fn show(&self, name: &str) -> Result<String> {
        match find(name) {
            Some((index, parameter)) => Ok(parameter.show(&self.value(index))),
            None => match self.custom(name) {
                Some(value) => Ok(value.plain()),
                None => Err(unrecognized(name)),
            },
        }
    }

    /// A custom parameter's value (`prefix.name`).
    fn custom(&self, name: &str) -> Option<Value> {
        let folded = name.to_ascii_lowercase();
        let own = self.overrides.borrow().get(&Name::Custom(folded)).and_then(|o| o.value().cloned());
        own.or_else(|| self.server.borrow().custom(name).map(|stored| stored.value.clone()))
    }

    fn value(&self, index: u16) -> Value {
        let own = self.overrides.borrow().known(index).and_then(|o| o.value().cloned());
        own.unwrap_or_else(|| self.server.borrow().stored(index).value.clone())
    }

    /// What RESET would make it.
    fn reset_value(&self, index: u16) -> Value {
        let base = self.overrides.borrow().known(index).and_then(|o| o.base.clone());
        base.map_or_else(|| self.server.borrow().stored(index).value.clone(), |stored| stored.value)
    }

    /// The description and state of every parameter, in name order.
    pub fn all(&self) -> Vec<Shown> {
        let server = self.server();
        let overrides = self.overrides.borrow();
        let row = |(index, parameter): (usize, &'static Parameter)| {
            let index = index as u16;
            let stored = server.stored(index);
            let own = overrides.known(index);
            Shown {
                parameter,
                value: self.value(index),
                source: own.and_then(Override::source).unwrap_or(stored.source),
                reset: self.reset_value(index),
                boot: ServerSettings::default_of(index),
                file: if own.is_some_and(|o| o.value().is_some()) { None } else { stored.file.clone() },
                pending_restart: server.pending_restart(index),
            }
        };
        PARAMETERS.iter().enumerate().map(row).collect()
    }

    /// Parameters that are not as built in and that plans may depend on, in the order in which they were set:
    /// what EXPLAIN (SETTINGS) shows.
    pub fn explained(&self) -> Vec<(&'static str, String)> {
        let server = self.server();
        let mut indexes = server.set().to_vec();
        indexes.extend(self.order.borrow().iter().filter(|index| !server.set().contains(index)));
        indexes.retain(|index| PARAMETERS[usize::from(*index)].explain);
        let shown = |index: u16| {
            let parameter = &PARAMETERS[usize::from(index)];
            let value = self.value(index);
            (value != ServerSettings::default_of(index)).then(|| (parameter.name, parameter.show(&value)))
        };
        indexes.into_iter().filter_map(shown).collect()
    }

    /// SET: gives the parameter a value, or with `None` its default.
    ///
    /// # Errors
    /// 42704, 55P02, 42501 or 22023 in PostgreSQL's words; nothing has changed then.
    pub fn set(&self, name: &str, text: Option<&str>, scope: SetScope) -> Result<()> {
        let Some((index, parameter)) = find(name) else { return self.set_custom(name, text, scope) };
        self.check_may_set(parameter)?;
        if text.is_none() && !parameter.resettable {
            bail!(FEATURE_NOT_SUPPORTED, "parameter \"{}\" cannot be reset", parameter.name);
        }
        let value = match text {
            Some(text) => Some(self.server.borrow().parse_over(index, text, &self.value(index))?),
            None => None,
        };
        self.change(Name::Known(index), |entry, reset| match (scope, value) {
            (SetScope::Session, value) => {
                entry.session = value;
                entry.local = None;
            }
            (SetScope::Local, Some(value)) => entry.local = Some(value),
            (SetScope::Local, None) => entry.local = Some(reset),
        });
        self.report(index, parameter);
        Ok(())
    }

    /// What [`Settings::set`] would say to this value, or to a reset, without changing anything. Gives
    /// the parameter's name in its own spelling.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn check(&self, name: &str, text: Option<&str>) -> Result<String> {
        let Some((index, parameter)) = find(name) else {
            return if is_custom_name(name) { Ok(name.to_owned()) } else { Err(unrecognized(name)) };
        };
        self.check_may_set(parameter)?;
        text.map(|text| self.server.borrow().parse(index, text)).transpose()?;
        Ok(parameter.name.to_owned())
    }

    fn set_custom(&self, name: &str, text: Option<&str>, scope: SetScope) -> Result<()> {
        if !is_custom_name(name) {
            return Err(unrecognized(name));
        }
        self.check_own(name)?;
        let value = text.map(|text| Value::Text(text.into()));
        self.change(Name::Custom(name.to_ascii_lowercase()), |entry, _| match scope {
            SetScope::Session => {
                entry.session = value.or_else(|| entry.base.is_none().then(|| Value::Text("".into())));
                entry.local = None;
            }
            SetScope::Local => entry.local = Some(value.unwrap_or_else(|| Value::Text("".into()))),
        });
        Ok(())
    }

    /// The one parameter that is not PostgreSQL's is for superusers.
    fn check_own(&self, name: &str) -> Result<()> {
        let folded = name.to_ascii_lowercase();
        if !folded.starts_with(OWN_PREFIX) {
            return Ok(());
        }
        if folded != DEBUG_PANIC_AT {
            let message = format!("invalid configuration parameter name \"{name}\"");
            return Err(
                Error::new(SqlState::INVALID_NAME, message).detail("\"kokkiri\" is a reserved prefix.")
            );
        }
        if !self.superuser.get() {
            bail!(INSUFFICIENT_PRIVILEGE, "permission denied to set parameter \"{name}\"");
        }
        Ok(())
    }

    /// The point at which the session is to panic, for tests of what that does to the others: see
    /// [`crate::fault`].
    pub fn debug_panic_at(&self) -> Option<String> {
        self.custom(DEBUG_PANIC_AT).map(|value| value.plain()).filter(|point| !point.is_empty())
    }

    /// Sets what RESET goes back to: values from pg_db_role_setting, the startup packet or the server
    /// itself (an internal parameter like `is_superuser`). Not undone by transactions.
    ///
    /// # Errors
    /// As [`Settings::set`], but that parameters fixed for a running session may be set.
    pub fn set_base(&self, name: &str, text: &str, source: Source) -> Result<()> {
        let (key, value) = match find(name) {
            Some((index, parameter)) => {
                if source == Source::Client {
                    self.check_may_set(parameter)?;
                }
                (Name::Known(index), self.server.borrow().parse(index, text)?)
            }
            None if is_custom_name(name) => {
                self.check_own(name)?;
                (Name::Custom(name.to_ascii_lowercase()), Value::Text(text.into()))
            }
            None => return Err(unrecognized(name)),
        };
        let mut overrides = self.overrides.borrow_mut();
        let entry = overrides.entry(&key);
        if entry.base.as_ref().is_none_or(|base| base.source <= source) {
            entry.base = Some(Stored { value, source, file: None });
        }
        drop(overrides);
        self.changed();
        if let Name::Known(index) = key {
            self.report(index, &PARAMETERS[usize::from(index)]);
        }
        Ok(())
    }

    /// RESET ALL.
    pub fn reset_all(&self) {
        let names: Vec<Name> = self.overrides.borrow().names();
        for name in names {
            if let Name::Known(index) = name
                && (!PARAMETERS[usize::from(index)].reset_all || !PARAMETERS[usize::from(index)].resettable)
            {
                continue;
            }
            let known = if let Name::Known(index) = name { Some(index) } else { None };
            self.change(name, |entry, _| {
                entry.session = None;
                entry.local = None;
            });
            if let Some(index) = known {
                self.report(index, &PARAMETERS[usize::from(index)]);
            }
        }
    }

    fn check_may_set(&self, parameter: &Parameter) -> Result<()> {
        let name = parameter.name;
        match parameter.context {
            Context::Internal => bail!(CANT_CHANGE_RUNTIME_PARAM, "parameter \"{name}\" cannot be changed"),
            Context::Postmaster => bail!(
                CANT_CHANGE_RUNTIME_PARAM,
                "parameter \"{name}\" cannot be changed without restarting the server"
            ),
            Context::Sighup => {
                bail!(CANT_CHANGE_RUNTIME_PARAM, "parameter \"{name}\" cannot be changed now")
            }
            Context::Backend | Context::SuperuserBackend if self.started.get() => {
                bail!(CANT_CHANGE_RUNTIME_PARAM, "parameter \"{name}\" cannot be set after connection start")
            }
            Context::Superuser | Context::SuperuserBackend if !self.superuser.get() => {
                bail!(INSUFFICIENT_PRIVILEGE, "permission denied to set parameter \"{name}\"")
            }
            _ => Ok(()),
        }
    }

    /// Changes one override, remembering its earlier state if a transaction is running.
    fn change(&self, name: Name, change: impl FnOnce(&mut Override, Value)) {
        self.changed();
        let reset = match &name {
            Name::Known(index) => self.reset_value(*index),
            Name::Custom(_) => Value::Text("".into()),
        };
        let mut overrides = self.overrides.borrow_mut();
        if self.level.get() > 0 {
            self.undo.borrow_mut().push((self.level.get(), name.clone(), overrides.get(&name).cloned()));
        }
        let entry = overrides.entry(&name);
        change(entry, reset);
        let is_set = entry.value().is_some();
        if !is_set {
            overrides.remove(&name);
        }
        drop(overrides);
        if let Name::Known(index) = name {
            let mut order = self.order.borrow_mut();
            match (is_set, order.iter().position(|known| *known == index)) {
                (true, None) => order.push(index),
                (false, Some(at)) => drop(order.remove(at)),
                _ => {}
            }
        }
    }

    fn report(&self, index: u16, parameter: &Parameter) {
        if parameter.reported {
            self.reports.borrow_mut().push(index);
        }
    }

    /// Reported parameters that have changed since the last call, with their values.
    pub fn take_reports(&self) -> Vec<(&'static str, String)> {
        if self.reports.borrow().is_empty() {
            return Vec::new();
        }
        let mut indexes = std::mem::take(&mut *self.reports.borrow_mut());
        indexes.sort_unstable();
        indexes.dedup();
        let shown = |index: u16| {
            let parameter = &PARAMETERS[usize::from(index)];
            (parameter.name, parameter.show(&self.value(index)))
        };
        indexes.into_iter().map(shown).collect()
    }

    /// A transaction (level 1) or subtransaction (deeper) begins.
    pub fn begin(&self, level: u32) {
        self.level.set(level);
    }

    /// The (sub)transaction of `level` commits: its changes become its parent's.
    pub fn commit(&self, level: u32) {
        self.level.set(level - 1);
        if level > 1 {
            for (at, _, _) in self.undo.borrow_mut().iter_mut() {
                *at = (*at).min(level - 1);
            }
            return;
        }
        if self.undo.borrow().is_empty() {
            return;
        }
        let changed: Vec<Name> = self.undo.borrow_mut().drain(..).map(|(_, name, _)| name).collect();
        for name in changed {
            self.change(name.clone(), |entry, _| entry.local = None);
            self.report_name(&name);
        }
    }

    /// The (sub)transaction of `level` aborts: everything it changed is as before.
    pub fn abort(&self, level: u32) {
        self.level.set(level - 1);
        self.changed();
        loop {
            let last = self.undo.borrow_mut().pop_if(|(at, _, _)| *at >= level);
            let Some((_, name, before)) = last else { break };
            match before {
                Some(before) => *self.overrides.borrow_mut().entry(&name) = before,
                None => self.overrides.borrow_mut().remove(&name),
            }
            self.report_name(&name);
        }
    }

    fn report_name(&self, name: &Name) {
        if let Name::Known(index) = name {
            self.report(*index, &PARAMETERS[usize::from(*index)]);
        }
    }
}

impl ServerSettings {
    /// The built-in default of a parameter.
    fn default_of(index: u16) -> Value {
        let parameter = &PARAMETERS[usize::from(index)];
        parameter.parse(parameter.boot).unwrap_or_else(|_| Value::Text(parameter.boot.into()))
    }
}

fn unrecognized(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

/// Two or more identifiers joined by dots: what an extension may define.
fn is_custom_name(name: &str) -> bool {
    let identifier = |part: &str| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b >= 0x80)
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80)
    };
    name.contains('.') && name.split('.').all(identifier)
}

#[cfg(test)]
mod tests {
    use super::super::parameters;
    use super::*;

    fn session() -> Settings {
        Settings::new(Arc::new(ServerSettings::new()))
    }

    /// (parameter, text, what SHOW prints or SQLSTATE with message and hint), as PostgreSQL 18 answers.
    const ANSWERS: &[(&str, &str, &str)] = &[
        ("work_mem", "1.5MB", "1536kB"),
        ("work_mem", "64", "64kB"),
        ("work_mem", "1GB", "1GB"),
        ("deadlock_timeout", "90s", "90s"),
        ("statement_timeout", "1500", "1500ms"),
        ("random_page_cost", "1.1", "1.1"),
        ("enable_seqscan", "OF", "off"),
        ("wal_compression", "true", "on"),
        (
            "work_mem",
            "1",
            "22023 1 kB is outside the valid range for parameter \"work_mem\" (64 kB .. 2147483647 kB)",
        ),
        (
            "work_mem",
            "1xx",
            "22023 invalid value for parameter \"work_mem\": \"1xx\" Valid units for this parameter are \
             \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".",
        ),
        ("work_mem", "abc", "22023 invalid value for parameter \"work_mem\": \"abc\""),
        (
            "work_mem",
            "999999999GB",
            "22023 invalid value for parameter \"work_mem\": \"999999999GB\" Value exceeds integer range.",
        ),
        ("enable_seqscan", "maybe", "22023 parameter \"enable_seqscan\" requires a Boolean value"),
        (
            "random_page_cost",
            "-1",
            "22023 -1 is outside the valid range for parameter \"random_page_cost\" (0 .. 1.79769e+308)",
        ),
        ("server_version", "1", "55P02 parameter \"server_version\" cannot be changed"),
        ("checkpoint_timeout", "30", "55P02 parameter \"checkpoint_timeout\" cannot be changed now"),
        (
            "shared_buffers",
            "1",
            "55P02 parameter \"shared_buffers\" cannot be changed without restarting the server",
        ),
        ("foo", "1", "42704 unrecognized configuration parameter \"foo\""),
        ("foo.bar", "1", "1"),
    ];

    #[test]
    fn set_and_show_answer_as_postgresql_does() {
        for (name, text, expected) in ANSWERS {
            let settings = session();
            settings.set_superuser(true);
            let answer = match settings.set(name, Some(text), SetScope::Session) {
                Ok(()) => settings.show(name).expect("it was just set"),
                Err(error) => {
                    let hint = error.fields().hint.as_ref().map_or(String::new(), |hint| format!(" {hint}"));
                    format!("{} {}{hint}", error.sqlstate(), error.message())
                }
            };
            assert_eq!(&answer, expected, "SET {name} = '{text}'");
        }
    }

    #[test]
    fn changes_follow_their_transaction() {
        let settings = session();
        let set = |text, scope| settings.set("work_mem", Some(text), scope).expect("valid");
        set("1MB", SetScope::Session);
        settings.begin(1);
        set("2MB", SetScope::Session);
        settings.begin(2);
        set("3MB", SetScope::Local);
        assert_eq!(settings.get(parameters::WORK_MEM), 3072);
        settings.abort(2);
        assert_eq!(settings.get(parameters::WORK_MEM), 2048);
        set("5MB", SetScope::Local);
        settings.commit(1);
        assert_eq!(settings.get(parameters::WORK_MEM), 2048);
        settings.begin(1);
        set("7MB", SetScope::Session);
        settings.abort(1);
        assert_eq!(settings.get(parameters::WORK_MEM), 2048);
        settings.reset_all();
        assert_eq!(settings.get(parameters::WORK_MEM), 4096);
    }

    #[test]
    fn reported_changes_are_handed_out_once() {
        let settings = session();
        settings.set("application_name", Some("psql"), SetScope::Session).expect("valid");
        settings.set("work_mem", Some("1MB"), SetScope::Session).expect("valid");
        assert_eq!(settings.take_reports(), [("application_name", "psql".to_owned())]);
        assert!(settings.take_reports().is_empty());
    }

    #[test]
    fn every_default_is_valid_and_the_table_is_sorted() {
        for parameter in PARAMETERS {
            parameter.parse(parameter.boot).expect(parameter.name);
        }
        assert!(PARAMETERS.is_sorted_by_key(|parameter| parameter.name.to_ascii_lowercase()));
    }
}
