//! The search path: which schemas an unqualified name is looked for in.
//!
//! Realises: `recomputeNamespacePath` and its kin of namespace.c. The setting names schemas that may or may not
//! exist and be usable; what it comes to is kept in the session ([`KnownPath`]) until a catalog, the
//! setting, the role or the temporary schema has changed.

use std::cell::RefCell;
use std::sync::Arc;

use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Error, Oid, Result, SqlState};

use crate::cache::CacheVersion;
use crate::view::{CatalogView, PG_CATALOG};

/// What the search path last came to.
#[derive(Default)]
pub(crate) struct KnownPath(RefCell<Option<Computed>>);

/// What a path was computed from.
#[derive(PartialEq)]
struct Origin {
    setting: Arc<str>,
    role: Oid,
    temp_namespace: Option<Oid>,
    shared: CacheVersion,
    own: CacheVersion,
}

struct Computed {
    origin: Origin,
    path: SearchPath,
}

#[derive(Clone)]
struct SearchPath {
    /// The schemas that the setting names, of those that exist and may be used.
    explicit: Arc<[Oid]>,
    /// The same with the implicit ones, in the order in which they are looked through.
    whole: Arc<[Oid]>,
}

impl CatalogView<'_> {
    /// The schemas of the search path that exist and may be used, implicit ones included, in order.
    pub fn search_path(&self) -> Result<Arc<[Oid]>> {
        Ok(self.computed_path()?.whole)
    }

    /// The schemas that the setting search_path names, of those that exist and may be used.
    pub fn explicit_search_path(&self) -> Result<Arc<[Oid]>> {
        Ok(self.computed_path()?.explicit)
    }

    /// The schemas that a possibly qualified name may be in.
    pub(crate) fn namespaces_for_lookup(&self, schema: Option<&str>) -> Result<Arc<[Oid]>> {
        match schema {
            Some(schema) => Ok(self.namespace_for_lookup(schema)?.into_iter().collect()),
            None => self.search_path(),
        }
    }

    /// The same for functions and operators, which are never looked for in the temporary schema.
    pub fn namespaces_without_temp(&self, schema: Option<&str>) -> Result<Arc<[Oid]>> {
        let path = self.namespaces_for_lookup(schema)?;
        match self.session.temp_namespace() {
            Some(temp) if schema.is_none() => Ok(path.iter().copied().filter(|it| *it != temp).collect()),
            _ => Ok(path),
        }
    }

    /// The schema that new objects go into: the first explicit one.
    ///
    /// # Errors
    /// 3F000 "no schema has been selected to create in".
    pub fn creation_namespace(&self) -> Result<Oid> {
        self.explicit_search_path()?.first().copied().ok_or_else(|| {
            Error::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
        })
    }

    fn computed_path(&self) -> Result<SearchPath> {
        let origin = Origin {
            setting: self.settings.get(parameters::SEARCH_PATH),
            role: self.role,
            temp_namespace: self.session.temp_namespace(),
            shared: self.session.catalog.shared_cache().version(),
            own: self.session.database.cache().version(),
        };
        // A transaction that has changed the catalogs sees what the versions do not tell yet.
        let keeps = !self.session.has_changes();
        if keeps
            && let Some(known) = &*self.session.path.0.borrow()
            && known.origin == origin
        {
            return Ok(known.path.clone());
        }
        let explicit = self.named_schemas(&origin.setting)?;
        let mut whole = Vec::with_capacity(explicit.len() + 2);
        whole.extend(origin.temp_namespace.filter(|temp| !explicit.contains(temp)));
        whole.extend(Some(PG_CATALOG).filter(|catalog| !explicit.contains(catalog)));
        whole.extend(&explicit);
        let path = SearchPath { explicit: explicit.into(), whole: whole.into() };
        if keeps {
            *self.session.path.0.borrow_mut() = Some(Computed { origin, path: path.clone() });
        }
        Ok(path)
    }

    fn named_schemas(&self, setting: &str) -> Result<Vec<Oid>> {
        let mut path = Vec::new();
        for name in split_identifiers(setting) {
            let oid = match name.as_str() {
                "$user" => {
                    let role = self.role(self.role)?;
                    match role {
                        Some(role) => self.namespace_by_name(&role.name)?,
                        None => None,
                    }
                    .filter(|namespace| self.check_schema_usage(namespace).is_ok())
                    .map(|namespace| namespace.oid)
                }
                "pg_temp" => self.session.temp_namespace(),
                name => self
                    .namespace_by_name(name)?
                    .filter(|namespace| self.check_schema_usage(namespace).is_ok())
                    .map(|namespace| namespace.oid),
            };
            if let Some(oid) = oid
                && !path.contains(&oid)
            {
                path.push(oid);
            }
        }
        Ok(path)
    }
}

/// Splits a list of identifiers as `SplitIdentifierString` does: folded unless quoted.
fn split_identifiers(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        let Some(first) = chars.peek() else { return names };
        let mut name = String::new();
        if *first == '"' {
            chars.next();
            while let Some(c) = chars.next() {
                if c != '"' {
                    name.push(c);
                } else if chars.next_if_eq(&'"').is_some() {
                    name.push('"');
                } else {
                    break;
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != ',') {
                name.push(c.to_ascii_lowercase());
            }
        }
        names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::split_identifiers;

    #[test]
    fn identifier_lists_are_split_and_folded() {
        assert_eq!(split_identifiers(r#""$user", Public"#), ["$user", "public"]);
        assert_eq!(split_identifiers(r#" "A""b" ,c"#), ["A\"b", "c"]);
        assert!(split_identifiers("").is_empty());
    }
}
