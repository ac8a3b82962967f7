//! Type names to oids and typmods: parse_type.c.

use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Error, Oid, Result, SqlState, error};
use kokkiri_types::builtin::oid;

use crate::scope::Analyzer;

/// Bytes of a varlena header, which character typmods include.
const VARHDRSZ: i32 = 4;
const INTERVAL_FULL_PRECISION: i32 = 0xffff;
/// Decimal places of a second.
const MAX_PRECISION: i32 = 6;

impl Analyzer<'_> {
    /// The type a name means, with its typmod: PostgreSQL's `typenameTypeIdAndMod`.
    pub fn resolve_type(&mut self, name: &raw::TypeName) -> Result<(Oid, i32)> {
        let location = name.location;
        if name.percent_type {
            return self.percent_type(name);
        }
        let (schema, bare) = crate::function::split_name(&name.names)?;
        let entry = self.catalog.type_by_name(schema, bare).map_err(|error| error.at_location(location))?;
        let Some(entry) = entry else {
            let shown = name.names.join(".") + if name.array_bounds.is_empty() { "" } else { "[]" };
            return Err(error!(UNDEFINED_OBJECT, "type \"{shown}\" does not exist").at_location(location));
        };
        if !entry.defined {
            return Err(error!(UNDEFINED_OBJECT, "type \"{}\" is only a shell", name.names.join("."))
                .at_location(location));
        }
        let typmod = self.typmod(entry.oid, name)?;
        if name.array_bounds.is_empty() {
            return Ok((entry.oid, typmod));
        }
        match entry.array {
            Some(array) => Ok((array, typmod)),
            None => {
                let shown = self.catalog.type_name(entry.oid);
                Err(error!(UNDEFINED_OBJECT, "could not find array type for data type {shown}")
                    .at_location(location))
            }
        }
    }

    /// `relation.column%TYPE`.
    fn percent_type(&mut self, name: &raw::TypeName) -> Result<(Oid, i32)> {
        let location = name.location;
        let mut parts = name.names.clone();
        let column = parts.pop().unwrap_or_default();
        let Some(relation) = parts.pop() else {
            let message = format!("improper %TYPE reference (too few dotted names): {column}");
            return Err(error!(SYNTAX_ERROR, "{message}").at_location(location));
        };
        let variable = raw::RangeVar {
            catalog: None,
            schema: parts.pop(),
            name: relation.clone(),
            inherit: true,
            persistence: raw::Persistence::Permanent,
            alias: None,
            location,
        };
        let entry = self.open_relation(&variable, kokkiri_transaction::LockMode::AccessShare)?;
        let attributes = entry.relation.tuple_desc.attributes();
        match attributes.iter().find(|attribute| !attribute.dropped && *attribute.name == *column) {
            Some(attribute) => Ok((attribute.type_oid, attribute.typmod)),
            None => {
                Err(error!(UNDEFINED_COLUMN, "column \"{column}\" of relation \"{relation}\" does not exist")
                    .at_location(location))
            }
        }
    }

    /// Warns that a type has not as many decimal places of a second as were asked for.
    fn reduced_precision(&self, shown: &str, location: Location) -> Result<i32> {
        let message = format!("{shown} precision reduced to maximum allowed, {MAX_PRECISION}");
        let warning = Error::warning(SqlState::INVALID_PARAMETER_VALUE, message).at_location(location);
        self.catalog.notice(warning);
        Ok(MAX_PRECISION)
    }

    /// PostgreSQL's `typenameTypeMod` with the input functions of the built-in types.
    fn typmod(&mut self, type_oid: Oid, name: &raw::TypeName) -> Result<i32> {
        if name.typmods.is_empty() {
            return Ok(name.typmod);
        }
        let location = name.location;
        let invalid =
            |message: String| Err(error!(INVALID_PARAMETER_VALUE, "{message}").at_location(location));
        let mut numbers = Vec::new();
        for typmod in &name.typmods {
            match typmod {
                raw::Expr::Const(raw::AConst { value: raw::Literal::Integer(number), .. }) => {
                    numbers.push(*number);
                }
                _ => {
                    let message = "type modifiers must be simple constants or identifiers";
                    return Err(error!(SYNTAX_ERROR, "{message}").at_location(location));
                }
            }
        }
        match type_oid {
            oid::BPCHAR | oid::VARCHAR => {
                let shown = if type_oid == oid::BPCHAR { "char" } else { "varchar" };
                match numbers.as_slice() {
                    [length] if *length < 1 => invalid(format!("length for type {shown} must be at least 1")),
                    [length] if *length > 10_485_760 => {
                        invalid(format!("length for type {shown} cannot exceed 10485760"))
                    }
                    [length] => Ok(length + VARHDRSZ),
                    _ => invalid("invalid type modifier".to_owned()),
                }
            }
            oid::NUMERIC => {
                let (precision, scale) = match numbers.as_slice() {
                    [precision] => (*precision, 0),
                    [precision, scale] => (*precision, *scale),
                    _ => return invalid("invalid NUMERIC type modifier".to_owned()),
                };
                if !(1..=1000).contains(&precision) {
                    return invalid(format!("NUMERIC precision {precision} must be between 1 and 1000"));
                }
                if !(-1000..=1000).contains(&scale) {
                    return invalid(format!("NUMERIC scale {scale} must be between -1000 and 1000"));
                }
                Ok((precision << 16 | scale & 0x7ff) + VARHDRSZ)
            }
            oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => match numbers.as_slice() {
                [precision] if *precision < 0 => {
                    let shown = match type_oid {
                        oid::TIME => format!("TIME({precision}) precision must not be negative"),
                        oid::TIMETZ => {
                            format!("TIME({precision}) WITH TIME ZONE precision must not be negative")
                        }
                        oid::TIMESTAMP => format!("TIMESTAMP({precision}) precision must not be negative"),
                        _ => format!("TIMESTAMP({precision}) WITH TIME ZONE precision must not be negative"),
                    };
                    invalid(shown)
                }
                [precision] if *precision > MAX_PRECISION => {
                    let (shown, zone) = match type_oid {
                        oid::TIME => ("TIME", ""),
                        oid::TIMETZ => ("TIME", " WITH TIME ZONE"),
                        oid::TIMESTAMP => ("TIMESTAMP", ""),
                        _ => ("TIMESTAMP", " WITH TIME ZONE"),
                    };
                    self.reduced_precision(&format!("{shown}({precision}){zone}"), location)
                }
                [precision] => Ok(*precision),
                _ => invalid("invalid type modifier".to_owned()),
            },
            oid::INTERVAL => match numbers.as_slice() {
                [range] => Ok(range << 16 | INTERVAL_FULL_PRECISION),
                [range, precision] if *precision > MAX_PRECISION => {
                    let precision = self.reduced_precision(&format!("INTERVAL({precision})"), location)?;
                    Ok(range << 16 | precision)
                }
                [range, precision] if *precision >= 0 => Ok(range << 16 | *precision),
                [_, precision] => invalid(format!("INTERVAL({precision}) precision must not be negative")),
                _ => invalid("invalid INTERVAL type modifier".to_owned()),
            },
            oid::BIT | oid::VARBIT => {
                let shown = if type_oid == oid::BIT { "bit" } else { "varbit" };
                match numbers.as_slice() {
                    [length] if *length < 1 => invalid(format!("length for type {shown} must be at least 1")),
                    [length] => Ok(*length),
                    _ => invalid("invalid type modifier".to_owned()),
                }
            }
            _ => {
                let shown = self.catalog.type_name(type_oid);
                Err(error!(SYNTAX_ERROR, "type modifier is not allowed for type \"{shown}\"")
                    .at_location(location))
            }
        }
    }
}
