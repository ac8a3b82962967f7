//! Extensions that come with the server, and the symbols that SQL's CREATE FUNCTION can name.
//!
//! An extension is a script of SQL, run by CREATE EXTENSION, whose functions are of the language C: each names a
//! symbol in the extension's file. Here the symbols are functions of this library, under numbers that pg_proc
//! never has; whoever calls a function of pg_proc asks [`implementation`] for what to call.

mod listing;
pub(crate) mod pg_buffercache;

use kokkiri_catalog::entries::FunctionEntry;
use kokkiri_catalog::facts;
use kokkiri_primitives::Oid;

/// Languages of functions that are symbols: pg_language.
const INTERNAL: Oid = Oid(12);
const C: Oid = Oid(13);
/// Where C functions' files are said to be.
const LIBRARY_DIRECTORY: &str = "$libdir/";

/// An extension that can be created: its control file.
#[derive(Debug)]
pub struct Extension {
    pub name: &'static str,
    pub version: &'static str,
    pub comment: &'static str,
    /// Its objects can be moved to another schema.
    pub relocatable: bool,
    /// The statements that make its objects.
    pub script: &'static str,
    /// Names of its functions with their numbers in this library.
    symbols: &'static [(&'static str, Oid)],
}

impl Extension {
    /// The function of the extension's file with that name.
    pub fn symbol(&self, name: &str) -> Option<Oid> {
        self.symbols.iter().find(|(symbol, _)| *symbol == name).map(|(_, oid)| *oid)
    }
}

pub(crate) use listing::SETS;

/// All extensions that can be created, by name.
pub const AVAILABLE: &[Extension] = &[pg_buffercache::EXTENSION];

pub fn called(name: &str) -> Option<&'static Extension> {
    AVAILABLE.iter().find(|extension| extension.name == name)
}

/// The extension whose file this is.
pub fn of_file(file: &str) -> Option<&'static Extension> {
    called(file.strip_prefix(LIBRARY_DIRECTORY)?)
}

/// The built-in function with that C name.
pub fn internal(symbol: &str) -> Option<Oid> {
    let table = facts::table("pg_proc")?;
    let (oid, language, source) = (table.column("oid"), table.column("prolang"), table.column("prosrc"));
    let row = table.rows.iter().find(|row| row[language] == "12" && row[source] == symbol)?;
    row[oid].parse().ok().map(Oid)
}

/// The number in this library of what a function of pg_proc calls: its own oid, unless SQL made it.
pub fn implementation(function: &FunctionEntry) -> Oid {
    if function.oid < Oid::FIRST_NORMAL {
        return function.oid;
    }
    let found = match function.language {
        INTERNAL => internal(&function.source),
        C => AVAILABLE.iter().find_map(|extension| extension.symbol(&function.source)),
        _ => None,
    };
    found.unwrap_or(function.oid)
}
