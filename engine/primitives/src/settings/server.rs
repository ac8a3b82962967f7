//! What the server as a whole runs with.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Result;

use super::parameter::{Parameter, find};
use super::parameters::PARAMETERS;
use super::session::Key;
use super::value::Value;

/// Where a value came from: pg_settings' `source`, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Default,
    EnvironmentVariable,
    ConfigurationFile,
    CommandLine,
    Global,
    Database,
    User,
    DatabaseUser,
    Client,
    Override,
    Session,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Default => "default",
            Source::EnvironmentVariable => "environment variable",
            Source::ConfigurationFile => "configuration file",
            Source::CommandLine => "command line",
            Source::Global => "global",
            Source::Database => "database",
            Source::User => "user",
            Source::DatabaseUser => "database user",
            Source::Client => "client",
            Source::Override => "override",
            Source::Session => "session",
        }
    }
}

/// A value with its source, and the file and line if a configuration file set it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub value: Value,
    pub source: Source,
    pub file: Option<(Arc<str>, u32)>,
}

/// Checks a value beyond its type and bounds and may rewrite it into its canonical form: PostgreSQL's
/// check hooks. Layers above install one where only they know what is valid (a time zone, an encoding).
pub type Check = fn(&Value, &Value) -> Result<Value>;

/// The server's values. Immutable once shared; a reload builds the next one.
#[derive(Clone)]
pub struct ServerSettings {
    values: Vec<Stored>,
    /// Parameters of extensions (`prefix.name`) that nobody has defined yet.
    custom: BTreeMap<String, Stored>,
    checks: HashMap<u16, Check>,
    /// Parameters that something has set, in the order in which that happened first.
    set: Vec<u16>,
    /// Parameters whose new value in the configuration waits for a restart.
    pending_restart: Vec<u16>,
}

impl ServerSettings {
    /// Every parameter at its built-in default.
    pub fn new() -> Self {
        let default = |parameter: &Parameter| Stored {
            value: parameter.parse(parameter.boot).unwrap_or_else(|_| Value::Text(parameter.boot.into())),
            source: Source::Default,
            file: None,
        };
        Self {
            values: PARAMETERS.iter().map(default).collect(),
            custom: BTreeMap::new(),
            checks: HashMap::new(),
            set: Vec::new(),
            pending_restart: Vec::new(),
        }
    }

    /// Installs a check for the parameter called `name`.
    pub fn install_check(&mut self, name: &str, check: Check) {
        let (index, _) = find(name).expect("checks are installed for parameters that exist");
        self.checks.insert(index, check);
    }

    /// Reads `text` as a value of parameter `index`, through bounds and check.
    pub fn parse(&self, index: u16, text: &str) -> Result<Value> {
        self.parse_over(index, text, &self.stored(index).value)
    }

    /// As [`ServerSettings::parse`], where the new value may say only part of what `present` does.
    pub fn parse_over(&self, index: u16, text: &str, present: &Value) -> Result<Value> {
        let value = PARAMETERS[usize::from(index)].parse(text)?;
        match self.checks.get(&index) {
            Some(check) => check(&value, present),
            None => Ok(value),
        }
    }

    /// The parameter's value.
    #[inline]
    pub fn get<K: Key>(&self, key: K) -> K::Value {
        K::take(&self.stored(key.index()).value)
    }

    pub fn stored(&self, index: u16) -> &Stored {
        &self.values[usize::from(index)]
    }

    /// Sets a value unless a stronger source has set the parameter already; tells whether it did.
    pub fn store(&mut self, index: u16, stored: Stored) -> bool {
        let present = &mut self.values[usize::from(index)];
        let takes = stored.source >= present.source;
        if takes {
            if stored.source != Source::Default && !self.set.contains(&index) {
                self.set.push(index);
            }
            *present = stored;
        }
        takes
    }

    /// Parameters that something has set, first come first.
    pub(super) fn set(&self) -> &[u16] {
        &self.set
    }

    pub fn custom(&self, name: &str) -> Option<&Stored> {
        self.custom.get(&name.to_ascii_lowercase())
    }

    pub fn store_custom(&mut self, name: &str, stored: Stored) {
        self.custom.insert(name.to_ascii_lowercase(), stored);
    }

    pub fn pending_restart(&self, index: u16) -> bool {
        self.pending_restart.contains(&index)
    }

    pub fn set_pending_restart(&mut self, indexes: Vec<u16>) {
        self.pending_restart = indexes;
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self::new()
    }
}

/// The server's values as of the last reload, for whoever runs beside the sessions.
pub struct SharedSettings(RwLock<Arc<ServerSettings>>);

impl SharedSettings {
    pub fn new(settings: Arc<ServerSettings>) -> Self {
        Self(RwLock::new(settings))
    }

    pub fn load(&self) -> Arc<ServerSettings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn store(&self, settings: Arc<ServerSettings>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}
