//! The modes of a transaction: isolation level, read only, deferrable.
//!
//! Realises: the check hooks of transaction_isolation, transaction_read_only and transaction_deferrable
//! (variable.c). The transaction has the modes; the settings of these names show them.

use kokkiri_parse::tree::{TransactionIsolation, TransactionMode};
use kokkiri_primitives::settings::{SetScope, Settings, parse_bool};
use kokkiri_primitives::{Error, Result, error};
use kokkiri_transaction::{IsolationLevel, Transaction};

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

pub fn isolation(level: TransactionIsolation) -> IsolationLevel {
    match level {
        TransactionIsolation::ReadUncommitted => IsolationLevel::ReadUncommitted,
        TransactionIsolation::ReadCommitted => IsolationLevel::ReadCommitted,
        TransactionIsolation::RepeatableRead => IsolationLevel::RepeatableRead,
        TransactionIsolation::Serializable => IsolationLevel::Serializable,
    }
}

/// The setting that SET SESSION CHARACTERISTICS changes for a mode, and its value.
pub fn default_of(mode: TransactionMode) -> (&'static str, &'static str) {
    match mode {
        TransactionMode::Isolation(level) => ("default_transaction_isolation", isolation(level).as_str()),
        TransactionMode::ReadOnly(on) => ("default_transaction_read_only", word(on)),
        TransactionMode::Deferrable(on) => ("default_transaction_deferrable", word(on)),
    }
}

/// The mode that a setting and its value mean; `None` for other settings.
///
/// # Errors
/// 22023 for a word that is no value.
pub fn of_setting(name: &str, value: &str) -> Result<Option<TransactionMode>> {
    let invalid = || error!(INVALID_PARAMETER_VALUE, "invalid value for parameter \"{name}\": \"{value}\"");
    let switch = || {
        parse_bool(value)
            .ok_or_else(|| error!(INVALID_PARAMETER_VALUE, "parameter \"{name}\" requires a Boolean value"))
    };
    Ok(Some(match name.to_ascii_lowercase().as_str() {
        "transaction_isolation" => TransactionMode::Isolation(match value.to_ascii_lowercase().as_str() {
            "read uncommitted" => TransactionIsolation::ReadUncommitted,
            "read committed" => TransactionIsolation::ReadCommitted,
            "repeatable read" => TransactionIsolation::RepeatableRead,
            "serializable" => TransactionIsolation::Serializable,
            _ => {
                return Err(invalid().hint(
                    "Available values: serializable, repeatable read, read committed, read uncommitted.",
                ));
            }
        }),
        "transaction_read_only" => TransactionMode::ReadOnly(switch()?),
        "transaction_deferrable" => TransactionMode::Deferrable(switch()?),
        _ => return Ok(None),
    }))
}

/// Gives a running transaction a mode.
///
/// # Errors
/// 25001 where it comes too late, 0A000 for serializable.
pub fn set(transaction: &Transaction, settings: &Settings, mode: TransactionMode) -> Result<()> {
    let nested = transaction.nesting_level() > 1;
    match mode {
        TransactionMode::Isolation(TransactionIsolation::Serializable) => {
            return Err(not_serializable());
        }
        TransactionMode::Isolation(level) => transaction.set_isolation(isolation(level))?,
        TransactionMode::ReadOnly(read_only) => {
            if !read_only && transaction.is_read_only() {
                if nested {
                    return Err(error!(
                        ACTIVE_SQL_TRANSACTION,
                        "cannot set transaction read-write mode inside a read-only transaction"
                    ));
                }
                if transaction.has_taken_snapshot() {
                    return Err(error!(
                        ACTIVE_SQL_TRANSACTION,
                        "transaction read-write mode must be set before any query"
                    ));
                }
            }
            transaction.set_read_only(read_only);
        }
        TransactionMode::Deferrable(deferrable) => {
            if nested {
                return Err(error!(
                    ACTIVE_SQL_TRANSACTION,
                    "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction"
                ));
            }
            if transaction.has_taken_snapshot() {
                return Err(error!(
                    ACTIVE_SQL_TRANSACTION,
                    "SET TRANSACTION [NOT] DEFERRABLE must be called before any query"
                ));
            }
            transaction.set_deferrable(deferrable);
        }
    }
    show(transaction, settings)
}

/// Repeatable read would let through what serializable must not.
pub fn not_serializable() -> Error {
    Error::not_supported("isolation level SERIALIZABLE")
}

/// Makes the settings show the modes that a transaction has.
pub fn show(transaction: &Transaction, settings: &Settings) -> Result<()> {
    let modes = [
        ("transaction_isolation", transaction.isolation().as_str()),
        ("transaction_read_only", word(transaction.is_read_only())),
        ("transaction_deferrable", word(transaction.is_deferrable())),
    ];
    for (name, value) in modes {
        if settings.show(name)? != value {
            settings.set(name, Some(value), SetScope::Local)?;
        }
    }
    Ok(())
}
