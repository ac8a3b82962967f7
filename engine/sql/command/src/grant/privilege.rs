//! Names of privileges.

use kokkiri_catalog::privilege::Privileges;
use kokkiri_primitives::{Error, Result, error};

const NAMES: [(&str, Privileges); 15] = [
    ("insert", Privileges::INSERT),
    ("select", Privileges::SELECT),
    ("update", Privileges::UPDATE),
    ("delete", Privileges::DELETE),
    ("truncate", Privileges::TRUNCATE),
    ("references", Privileges::REFERENCES),
    ("trigger", Privileges::TRIGGER),
    ("execute", Privileges::EXECUTE),
    ("usage", Privileges::USAGE),
    ("create", Privileges::CREATE),
    ("temporary", Privileges::CREATE_TEMP),
    ("connect", Privileges::CONNECT),
    ("set", Privileges::SET),
    ("alter system", Privileges::ALTER_SYSTEM),
    ("maintain", Privileges::MAINTAIN),
];

/// `string_to_privilege`.
pub fn named(name: &str) -> Result<Privileges> {
    let name = if name == "temp" { "temporary" } else { name };
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, privilege)) => Ok(*privilege),
        None => Err(error!(SYNTAX_ERROR, "unrecognized privilege type \"{name}\"")),
    }
}

/// "invalid privilege type USAGE for table".
pub fn invalid(privilege: Privileges, noun: &str) -> Error {
    let name = NAMES.iter().find(|(_, known)| *known == privilege).map_or("", |(name, _)| name);
    error!(INVALID_GRANT_OPERATION, "invalid privilege type {} for {noun}", name.to_ascii_uppercase())
}
