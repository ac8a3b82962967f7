//! Type names of column definitions, and types in words.
//!
//! Realises: `typenameTypeIdAndMod`, `format_type_be` for the commands of this crate.

use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{AConst, Expr, Literal, TypeName};
use kokkiri_parse::{Location, quote_identifier};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_types::builtin::{self, oid};

use crate::context::CommandContext;

/// Bytes of a varlena header, which typmods include.
const HEADER: i32 = 4;
const CHARACTERS_MAX: i32 = 10_485_760;

impl CommandContext<'_> {
    /// The type that a name means, with its typmod.
    pub fn resolve_type(&self, name: &TypeName) -> Result<(Oid, i32)> {
        if name.percent_type {
            return Err(Error::not_supported("%TYPE in a column definition").at_location(name.location));
        }
        if name.setof {
            return Err(error!(INVALID_TABLE_DEFINITION, "column cannot be declared SETOF")
                .at_location(name.location));
        }
        let (schema, bare) = match name.names.as_slice() {
            [bare] => (None, bare),
            [schema, bare] | [_, schema, bare] => (Some(schema.as_str()), bare),
            _ => {
                return Err(error!(
                    SYNTAX_ERROR,
                    "improper qualified name (too many dotted names): {}",
                    name.names.join(".")
                ));
            }
        };
        let found = self.view.type_by_name(schema, bare).map_err(|error| error.at_location(name.location))?;
        let shown = || name.names.join(".");
        let Some(entry) = found else {
            let brackets = "[]".repeat(name.array_bounds.len().min(1));
            return Err(error!(UNDEFINED_OBJECT, "type \"{}{brackets}\" does not exist", shown())
                .at_location(name.location));
        };
        if !entry.defined {
            return Err(
                error!(UNDEFINED_OBJECT, "type \"{}\" is only a shell", shown()).at_location(name.location)
            );
        }
        let typmod = if name.typmods.is_empty() { name.typmod } else { self.typmod(entry.oid, name)? };
        if name.array_bounds.is_empty() {
            return Ok((entry.oid, typmod));
        }
        let array = entry.array.ok_or_else(|| {
            let shown = self.type_name(entry.oid);
            error!(UNDEFINED_OBJECT, "could not find array type for data type {shown}")
                .at_location(name.location)
        })?;
        Ok((array, typmod))
    }

    /// What a type's typmod input function makes of the modifiers.
    fn typmod(&self, type_oid: Oid, name: &TypeName) -> Result<i32> {
        let numbers: Vec<i32> =
            name.typmods.iter().map(|expr| constant(expr, name.location)).collect::<Result<_>>()?;
        let invalid =
            |message: String| Err(error!(INVALID_PARAMETER_VALUE, "{message}").at_location(name.location));
        match type_oid {
            oid::BPCHAR | oid::VARCHAR => {
                let shown = if type_oid == oid::BPCHAR { "char" } else { "varchar" };
                match numbers[..] {
                    [length] if length < 1 => invalid(format!("length for type {shown} must be at least 1")),
                    [length] if length > CHARACTERS_MAX => {
                        invalid(format!("length for type {shown} cannot exceed {CHARACTERS_MAX}"))
                    }
                    [length] => Ok(length + HEADER),
                    _ => invalid("invalid type modifier".to_owned()),
                }
            }
            oid::NUMERIC => match numbers[..] {
                [precision] | [precision, _] if !(1..=1000).contains(&precision) => {
                    invalid(format!("NUMERIC precision {precision} must be between 1 and 1000"))
                }
                [_, scale] if !(-1000..=1000).contains(&scale) => {
                    invalid(format!("NUMERIC scale {scale} must be between -1000 and 1000"))
                }
                [precision] => Ok((precision << 16) + HEADER),
                [precision, scale] => Ok((precision << 16 | scale & 0x7ff) + HEADER),
                _ => invalid("invalid NUMERIC type modifier".to_owned()),
            },
            oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => match numbers[..] {
                [precision] if precision < 0 => {
                    let (word, zone) = match type_oid {
                        oid::TIME => ("TIME", ""),
                        oid::TIMETZ => ("TIME", " WITH TIME ZONE"),
                        oid::TIMESTAMP => ("TIMESTAMP", ""),
                        _ => ("TIMESTAMP", " WITH TIME ZONE"),
                    };
                    invalid(format!("{word}({precision}){zone} precision must not be negative"))
                }
                [precision] => Ok(precision.min(6)),
                _ => invalid("invalid type modifier".to_owned()),
            },
            oid::BIT | oid::VARBIT => match numbers[..] {
                [length] if length >= 1 => Ok(length),
                [_] => {
                    let shown = if type_oid == oid::BIT { "bit" } else { "varbit" };
                    invalid(format!("length for type {shown} must be at least 1"))
                }
                _ => invalid("invalid type modifier".to_owned()),
            },
            _ => {
                let shown = name.names.join(".");
                Err(error!(SYNTAX_ERROR, "type modifier is not allowed for type \"{shown}\"")
                    .at_location(name.location))
            }
        }
    }

    /// A type in words: `format_type_be`.
    pub fn type_name(&self, type_oid: Oid) -> String {
        if builtin::type_info(type_oid).is_some() {
            return kokkiri_types::io::type_name(type_oid);
        }
        match self.view.type_entry(type_oid) {
            Ok(Some(entry)) => match entry.array_element() {
                Some(element) => format!("{}[]", self.type_name(element)),
                None => match self.view.type_by_name(None, &entry.name) {
                    Ok(Some(found)) if found.oid == type_oid => quote_identifier(&entry.name).into_owned(),
                    _ => match self.view.namespace(entry.namespace) {
                        Ok(Some(schema)) => {
                            format!("{}.{}", quote_identifier(&schema.name), quote_identifier(&entry.name))
                        }
                        _ => quote_identifier(&entry.name).into_owned(),
                    },
                },
            },
            _ => "???".to_owned(),
        }
    }
}

fn constant(expr: &Expr, location: Location) -> Result<i32> {
    match expr {
        Expr::Const(AConst { value: Literal::Integer(number), .. }) => Ok(*number),
        _ => Err(error!(SYNTAX_ERROR, "type modifiers must be simple constants or identifiers")
            .at_location(location)),
    }
}
