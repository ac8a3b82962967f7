//! Storage parameters of tables and indexes: `pg_class.reloptions`, decoded.
//!
//! Realises: `reloptions.c`. Text arrives as `name=value` pairs; names are checked against what the kind
//! of relation takes, values against their bounds, with PostgreSQL's messages.

use kokkiri_primitives::{Error, Result, SqlState, bail};

/// `vacuum_index_cleanup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexCleanup {
    #[default]
    Auto,
    On,
    Off,
}

/// Per-table overrides of autovacuum's settings; `None` follows the setting.
#[derive(Clone, Debug, PartialEq)]
pub struct AutovacuumOptions {
    pub enabled: bool,
    pub vacuum_threshold: Option<i64>,
    pub vacuum_max_threshold: Option<i64>,
    pub vacuum_insert_threshold: Option<i64>,
    pub analyze_threshold: Option<i64>,
    pub vacuum_scale_factor: Option<f64>,
    pub vacuum_insert_scale_factor: Option<f64>,
    pub analyze_scale_factor: Option<f64>,
    pub vacuum_cost_limit: Option<i64>,
    pub vacuum_cost_delay_ms: Option<f64>,
    pub freeze_min_age: Option<i64>,
    pub freeze_max_age: Option<i64>,
    pub freeze_table_age: Option<i64>,
    pub multixact_freeze_min_age: Option<i64>,
    pub multixact_freeze_max_age: Option<i64>,
    pub multixact_freeze_table_age: Option<i64>,
    pub log_min_duration_ms: Option<i64>,
}

impl Default for AutovacuumOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            vacuum_threshold: None,
            vacuum_max_threshold: None,
            vacuum_insert_threshold: None,
            analyze_threshold: None,
            vacuum_scale_factor: None,
            vacuum_insert_scale_factor: None,
            analyze_scale_factor: None,
            vacuum_cost_limit: None,
            vacuum_cost_delay_ms: None,
            freeze_min_age: None,
            freeze_max_age: None,
            freeze_table_age: None,
            multixact_freeze_min_age: None,
            multixact_freeze_max_age: None,
            multixact_freeze_table_age: None,
            log_min_duration_ms: None,
        }
    }
}

/// Storage parameters of a table or TOAST table.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationOptions {
    /// Percentage of a page that insertions fill.
    pub fillfactor: u8,
    /// Rows longer than this get wide values moved out until they are not, bytes.
    pub toast_tuple_target: usize,
    pub parallel_workers: Option<u16>,
    pub user_catalog_table: bool,
    pub vacuum_index_cleanup: IndexCleanup,
    pub vacuum_truncate: Option<bool>,
    pub vacuum_max_eager_freeze_failure_rate: Option<f64>,
    pub autovacuum: AutovacuumOptions,
}

impl Default for RelationOptions {
    fn default() -> Self {
        Self {
            fillfactor: 100,
            toast_tuple_target: crate::toast::TUPLE_TARGET,
            parallel_workers: None,
            user_catalog_table: false,
            vacuum_index_cleanup: IndexCleanup::Auto,
            vacuum_truncate: None,
            vacuum_max_eager_freeze_failure_rate: None,
            autovacuum: AutovacuumOptions::default(),
        }
    }
}

impl RelationOptions {
    /// Bytes of a page that insertions leave free: `RelationGetTargetPageFreeSpace`.
    pub fn reserved_space(&self) -> usize {
        kokkiri_primitives::BLOCK_SIZE * (100 - usize::from(self.fillfactor)) / 100
    }

    /// Decodes the parameters of a table or materialized view.
    pub fn for_table<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        Self::parse(pairs, true)
    }

    /// Decodes the parameters of a TOAST table, written `toast.name` in SQL.
    pub fn for_toast<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        Self::parse(pairs, false)
    }

    fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, is_table: bool) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in pairs {
            let known = (is_table && options.set_table_only(name, value)?)
                || options.set_vacuum(name, value)?
                || options.autovacuum.set(name, value, is_table)?;
            if !known {
                return Err(unrecognized(name));
            }
        }
        Ok(options)
    }

    fn set_table_only(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "fillfactor" => self.fillfactor = integer(name, value, 10, 100)? as u8,
            "toast_tuple_target" => self.toast_tuple_target = integer(name, value, 128, 8160)? as usize,
            "parallel_workers" => self.parallel_workers = Some(integer(name, value, 0, 1024)? as u16),
            "user_catalog_table" => self.user_catalog_table = boolean(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_vacuum(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "vacuum_index_cleanup" => self.vacuum_index_cleanup = index_cleanup(name, value)?,
            "vacuum_truncate" => self.vacuum_truncate = Some(boolean(name, value)?),
            "vacuum_max_eager_freeze_failure_rate" => {
                self.vacuum_max_eager_freeze_failure_rate = Some(real(name, value, 0.0, 1.0)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl AutovacuumOptions {
    fn set(&mut self, name: &str, value: &str, is_table: bool) -> Result<bool> {
        let count_max = i64::from(i32::MAX);
        match name {
            "autovacuum_enabled" => self.enabled = boolean(name, value)?,
            "autovacuum_vacuum_threshold" => {
                self.vacuum_threshold = Some(integer(name, value, 0, count_max)?)
            }
            "autovacuum_vacuum_max_threshold" => {
                self.vacuum_max_threshold = Some(integer(name, value, -1, count_max)?);
            }
            "autovacuum_vacuum_insert_threshold" => {
                self.vacuum_insert_threshold = Some(integer(name, value, -1, count_max)?);
            }
            "autovacuum_analyze_threshold" if is_table => {
                self.analyze_threshold = Some(integer(name, value, 0, count_max)?);
            }
            "autovacuum_vacuum_scale_factor" => {
                self.vacuum_scale_factor = Some(real(name, value, 0.0, 100.0)?)
            }
            "autovacuum_vacuum_insert_scale_factor" => {
                self.vacuum_insert_scale_factor = Some(real(name, value, 0.0, 100.0)?);
            }
            "autovacuum_analyze_scale_factor" if is_table => {
                self.analyze_scale_factor = Some(real(name, value, 0.0, 100.0)?);
            }
            "autovacuum_vacuum_cost_limit" => self.vacuum_cost_limit = Some(integer(name, value, 1, 10_000)?),
            "autovacuum_vacuum_cost_delay" => {
                self.vacuum_cost_delay_ms = Some(real(name, value, 0.0, 100.0)?)
            }
            "autovacuum_freeze_min_age" => {
                self.freeze_min_age = Some(integer(name, value, 0, 1_000_000_000)?)
            }
            "autovacuum_freeze_max_age" => {
                self.freeze_max_age = Some(integer(name, value, 100_000, 2_000_000_000)?);
            }
            "autovacuum_freeze_table_age" => {
                self.freeze_table_age = Some(integer(name, value, 0, 2_000_000_000)?);
            }
            "autovacuum_multixact_freeze_min_age" => {
                self.multixact_freeze_min_age = Some(integer(name, value, 0, 1_000_000_000)?);
            }
            "autovacuum_multixact_freeze_max_age" => {
                self.multixact_freeze_max_age = Some(integer(name, value, 10_000, 2_000_000_000)?);
            }
            "autovacuum_multixact_freeze_table_age" => {
                self.multixact_freeze_table_age = Some(integer(name, value, 0, 2_000_000_000)?);
            }
            "log_autovacuum_min_duration" => {
                self.log_min_duration_ms = Some(integer(name, value, -1, count_max)?)
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Storage parameters of a B-tree index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexOptions {
    /// Percentage to which leaf pages are filled when built or split at the right edge.
    pub fillfactor: u8,
    pub deduplicate_items: bool,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self { fillfactor: 90, deduplicate_items: true }
    }
}

impl IndexOptions {
    pub fn for_btree<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in pairs {
            match name {
                "fillfactor" => options.fillfactor = integer(name, value, 10, 100)? as u8,
                "deduplicate_items" => options.deduplicate_items = boolean(name, value)?,
                // Accepted and ignored since PostgreSQL 14.
                "vacuum_cleanup_index_scale_factor" => {
                    real(name, value, 0.0, 1e10)?;
                }
                _ => return Err(unrecognized(name)),
            }
        }
        Ok(options)
    }
}

/// WITH CHECK OPTION of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOption {
    Local,
    Cascaded,
}

/// Parameters of a view: `view_reloptions`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewOptions {
    /// Conditions from outside are not tried before the view's own.
    pub security_barrier: bool,
    /// What the view reads is checked with the privileges of who uses it, not of its owner.
    pub security_invoker: bool,
    pub check_option: Option<CheckOption>,
}

impl ViewOptions {
    /// Decodes the parameters of a view.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in pairs {
            match name {
                "security_barrier" => options.security_barrier = boolean(name, value)?,
                "security_invoker" => options.security_invoker = boolean(name, value)?,
                "check_option" => {
                    options.check_option = Some(match value.to_ascii_lowercase().as_str() {
                        "local" => CheckOption::Local,
                        "cascaded" => CheckOption::Cascaded,
                        _ => {
                            return Err(Error::new(
                                SqlState::INVALID_PARAMETER_VALUE,
                                format!("invalid value for enum option \"{name}\": {value}"),
                            )
                            .detail("Valid values are \"local\" and \"cascaded\"."));
                        }
                    });
                }
                _ => return Err(unrecognized(name)),
            }
        }
        Ok(options)
    }
}

fn unrecognized(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized parameter \"{name}\""))
}

fn out_of_bounds(
    name: &str,
    value: &str,
    low: impl std::fmt::Display,
    high: impl std::fmt::Display,
) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("value {value} out of bounds for option \"{name}\""),
    )
    .detail(format!("Valid values are between \"{low}\" and \"{high}\"."))
}

fn integer(name: &str, value: &str, low: i64, high: i64) -> Result<i64> {
    let Ok(number) = value.trim().parse::<i64>() else {
        bail!(INVALID_PARAMETER_VALUE, "invalid value for integer option \"{name}\": {value}")
    };
    if number < low || number > high {
        return Err(out_of_bounds(name, value, low, high));
    }
    Ok(number)
}

fn real(name: &str, value: &str, low: f64, high: f64) -> Result<f64> {
    let Ok(number) = value.trim().parse::<f64>() else {
        bail!(INVALID_PARAMETER_VALUE, "invalid value for floating point option \"{name}\": {value}")
    };
    if !(low..=high).contains(&number) {
        return Err(out_of_bounds(name, value, format!("{low:.6}"), format!("{high:.6}")));
    }
    Ok(number)
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    match parse_boolean(value) {
        Some(answer) => Ok(answer),
        None => bail!(INVALID_PARAMETER_VALUE, "invalid value for boolean option \"{name}\": {value}"),
    }
}

/// Unambiguous prefixes of true, false, yes, no, and on, off, 1, 0: PostgreSQL's `parse_bool`.
fn parse_boolean(value: &str) -> Option<bool> {
    let word = value.to_ascii_lowercase();
    let begins = |full: &str| !word.is_empty() && full.starts_with(&word);
    match word.as_str() {
        "on" | "1" => Some(true),
        "of" | "off" | "0" => Some(false),
        _ if begins("true") || begins("yes") => Some(true),
        _ if begins("false") || begins("no") => Some(false),
        _ => None,
    }
}

fn index_cleanup(name: &str, value: &str) -> Result<IndexCleanup> {
    match (value.to_ascii_lowercase().as_str(), parse_boolean(value)) {
        ("auto", _) => Ok(IndexCleanup::Auto),
        (_, Some(true)) => Ok(IndexCleanup::On),
        (_, Some(false)) => Ok(IndexCleanup::Off),
        (_, None) => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for enum option \"{name}\": {value}"),
        )
        .detail("Valid values are \"on\", \"off\", and \"auto\".")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_as_postgresql_checks_them() {
        let options =
            RelationOptions::for_table([("fillfactor", "70"), ("autovacuum_enabled", "off")]).unwrap();
        assert_eq!(options.fillfactor, 70);
        assert_eq!(options.reserved_space(), 2457);
        assert!(!options.autovacuum.enabled);

        let message = |result: Result<RelationOptions>| result.unwrap_err().message().to_owned();
        assert_eq!(message(RelationOptions::for_table([("fill", "1")])), "unrecognized parameter \"fill\"");
        assert_eq!(
            message(RelationOptions::for_toast([("fillfactor", "50")])),
            "unrecognized parameter \"fillfactor\""
        );
        assert_eq!(
            message(RelationOptions::for_table([("fillfactor", "ten")])),
            "invalid value for integer option \"fillfactor\": ten"
        );
        let error = RelationOptions::for_table([("fillfactor", "5")]).unwrap_err();
        assert_eq!(error.message(), "value 5 out of bounds for option \"fillfactor\"");
        assert_eq!(error.fields().detail.as_deref(), Some("Valid values are between \"10\" and \"100\"."));
    }
}
