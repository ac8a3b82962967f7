//! Identifiers inside of strings: `regclass('My."Table"')`.

use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::{Error, Oid, Result, SqlState, bail};

use crate::text::build::quote_ident;

/// Splits a qualified name at its dots; parts are folded to lower case unless quoted, and clipped to 63
/// bytes. PostgreSQL's `stringToQualifiedNameList`.
///
/// # Errors
/// 42602 "invalid name syntax".
pub(crate) fn split_qualified(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    let space = |c: &char| c.is_ascii_whitespace();
    loop {
        while chars.next_if(space).is_some() {}
        let mut part = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next().ok_or_else(invalid)? {
                    '"' if chars.next_if_eq(&'"').is_none() => break,
                    c => part.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.' && !space(c)) {
                if c == '"' {
                    return Err(invalid());
                }
                part.push(c.to_ascii_lowercase());
            }
        }
        if part.is_empty() {
            return Err(invalid());
        }
        part.truncate(kokkiri_types::text::clip(part.as_bytes(), 63).len());
        parts.push(part);
        while chars.next_if(space).is_some() {}
        match chars.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(_) => return Err(invalid()),
        }
    }
}

/// The schema, if the name has one, and the name proper.
///
/// # Errors
/// 0A000 for another database, 42601 for too many parts.
pub(crate) fn schema_and_name<'p>(
    view: &CatalogView<'_>,
    parts: &'p [String],
) -> Result<(Option<&'p str>, &'p str)> {
    match parts {
        [name] => Ok((None, name)),
        [schema, name] => Ok((Some(schema), name)),
        [database, schema, name] => {
            let own = view.database(view.database_oid())?;
            if own.is_some_and(|own| *own.name == **database) {
                return Ok((Some(schema), name));
            }
            bail!(
                FEATURE_NOT_SUPPORTED,
                "cross-database references are not implemented: {}",
                parts.join(".")
            );
        }
        _ => bail!(SYNTAX_ERROR, "improper qualified name (too many dotted names): {}", parts.join(".")),
    }
}

/// The name, with its schema if it isn't visible without, each quoted if need be.
pub(crate) fn quoted(view: &CatalogView<'_>, namespace: Oid, name: &str, visible: bool) -> Result<String> {
    let name = quote_ident(name);
    if visible {
        return Ok(name);
    }
    Ok(match view.namespace(namespace)? {
        Some(namespace) => format!("{}.{name}", quote_ident(&namespace.name)),
        None => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_folded_and_unquoted() {
        let split = |text| split_qualified(text).expect("a name");
        assert_eq!(split("Public.T"), ["public", "t"]);
        assert_eq!(split(r#" "My Schema" . "a""b" "#), ["My Schema", "a\"b"]);
        for bad in ["", "a.", "a b", "\"a", "a.\"\""] {
            let error = split_qualified(bad).expect_err(bad);
            assert_eq!((error.sqlstate().as_str(), error.message()), ("42602", "invalid name syntax"));
        }
    }
}
