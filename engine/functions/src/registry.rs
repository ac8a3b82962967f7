//! Finding functions by their oid in pg_proc.

use std::collections::HashMap;
use std::sync::OnceLock;

use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::{Column, PhysicalType, Selection, Value, ValueRef};

use crate::context::CallContext;

/// The single-value form.
pub type ScalarFunction = fn(&mut CallContext<'_>, &[ValueRef<'_>]) -> Result<Value>;

/// The vector form: computes the selected rows of `out` (which it resets) from columns of the same batch.
/// Rows that aren't selected hold anything. If every argument is a constant the result may be one.
pub type VectorFunction = fn(&mut CallContext<'_>, &[&Column], &Selection, &mut Column) -> Result<()>;

/// A built function.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    pub oid: Oid,
    /// The Rust name, which is PostgreSQL's C name (`prosrc`) where there is one.
    pub name: &'static str,
    /// True if a null argument makes the result null without a call.
    pub strict: bool,
    /// Physical types of the parameters; `None` for one that takes any. Absent for variadic ones.
    pub arguments: Option<&'static [Option<PhysicalType>]>,
    pub result: Option<Option<PhysicalType>>,
    pub scalar: ScalarFunction,
    pub vector: VectorFunction,
}

/// Lists of the library's files.
fn lists() -> impl Iterator<Item = &'static [Builtin]> {
    let files: &[&[&[&'static [Builtin]]]] = &[
        crate::arithmetic::FILES,
        crate::array_functions::FILES,
        crate::array_order::FILES,
        crate::bit_string::FILES,
        crate::boolean::FILES,
        crate::cast::FILES,
        crate::comparison::FILES,
        crate::datetime::FILES,
        crate::degrees::FILES,
        crate::extremes::FILES,
        crate::formatting::FILES,
        crate::hash::FILES,
        crate::math::FILES,
        crate::regular_expression::FILES,
        crate::system::FILES,
        crate::text::FILES,
    ];
    files.iter().copied().flatten().copied().flatten().copied()
}

/// All functions that are built.
pub fn builtins() -> impl Iterator<Item = &'static Builtin> {
    lists().flatten()
}

/// The function with this oid, if it is built.
pub fn lookup(oid: Oid) -> Option<&'static Builtin> {
    static BY_OID: OnceLock<HashMap<Oid, &'static Builtin>> = OnceLock::new();
    BY_OID.get_or_init(|| builtins().map(|builtin| (builtin.oid, builtin)).collect()).get(&oid).copied()
}

/// What a function in pg_proc answers that is not built.
pub fn not_built(name: &str) -> Error {
    Error::not_supported(format_args!("function {name}"))
}

/// `list![a, b]`: the declarations of functions as one list.
macro_rules! list {
    ($($name:ident),* $(,)?) => {
        &[$($name::BUILTINS),*]
    };
}
pub(crate) use list;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use kokkiri_catalog::facts;
    use kokkiri_types::builtin::type_info;

    use super::*;

    /// Physical type of a parameter by pg_type; `None` for pseudo-types, which stand for several.
    fn physical(type_oid: &str) -> Option<PhysicalType> {
        let info = type_info(Oid(type_oid.parse().expect("an oid")))?;
        (info.kind != b'p' || info.name == "cstring").then(|| info.physical())
    }

    fn agree(declared: Option<PhysicalType>, fact: Option<PhysicalType>) -> bool {
        match (declared, fact) {
            (Some(declared), Some(fact)) => declared == fact || declared.is_bytes() && fact.is_bytes(),
            _ => true,
        }
    }

    #[test]
    fn declarations_agree_with_pg_proc() {
        let table = facts::table("pg_proc").expect("the facts have pg_proc");
        let column = |name: &str| table.column(name);
        let (oid, strict, arguments, result, kind, set, name) = (
            column("oid"),
            column("proisstrict"),
            column("proargtypes"),
            column("prorettype"),
            column("prokind"),
            column("proretset"),
            column("proname"),
        );
        let rows: HashMap<&str, _> = table.rows.iter().map(|row| (row[oid], row)).collect();
        let mut seen = HashSet::new();
        let mut wrong = Vec::new();
        for builtin in builtins() {
            assert!(seen.insert(builtin.oid), "{} {} is declared twice", builtin.oid, builtin.name);
            let Some(row) = rows.get(builtin.oid.to_string().as_str()) else {
                wrong.push(format!("{} {} is not in pg_proc", builtin.oid, builtin.name));
                continue;
            };
            let facts: Vec<&str> = row[arguments].split_whitespace().collect();
            let declared_arguments = builtin.arguments.unwrap_or_default();
            let arguments_agree = builtin.arguments.is_none()
                || facts.len() == declared_arguments.len()
                    && facts
                        .iter()
                        .zip(declared_arguments)
                        .all(|(fact, &declared)| agree(declared, physical(fact)));
            let result_agrees = builtin.result.is_none_or(|declared| agree(declared, physical(row[result])));
            // A function of no arguments is never called with a null.
            let strict_agrees = builtin.strict == (row[strict] == "t") || facts.is_empty();
            if !arguments_agree || !result_agrees || !strict_agrees || row[kind] != "f" || row[set] != "f" {
                wrong.push(format!("{} {} is not as in pg_proc", builtin.oid, builtin.name));
            }
        }
        for aggregate in crate::aggregate::aggregates() {
            let fits =
                rows.get(aggregate.oid.to_string().as_str()).is_some_and(|row| row[name] == aggregate.name);
            if !fits || !seen.insert(aggregate.oid) {
                wrong.push(format!("aggregate {} {}", aggregate.oid, aggregate.name));
            }
        }
        let of_extensions = crate::extension::pg_buffercache::SETS;
        for function in crate::set_returning::set_functions() {
            if of_extensions.iter().any(|other| other.oid == function.oid) {
                continue;
            }
            let fits = rows.get(function.oid.to_string().as_str()).is_some_and(|row| {
                let strict_agrees = (row[strict] == "t") == function.strict || row[arguments].is_empty();
                (row[set] == "t" || row[result] == "2249") && strict_agrees
            });
            if !fits || !seen.insert(function.oid) {
                wrong.push(format!("set-returning {} {}", function.oid, function.name));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        println!("{} functions of pg_proc are built, {} are not", seen.len(), rows.len() - seen.len());
    }

    /// Families of types, and how many functions over them alone are not built yet. A number may only fall.
    const MISSING: &[(&str, &[u32], usize)] = &[
        ("numbers", &[20, 21, 23, 26, 700, 701, 1700], 225),
        ("strings", &[18, 19, 25, 1042, 1043], 63),
        ("bytes and bits", &[17, 1560, 1562, 2950], 31),
        ("times", &[1082, 1083, 1114, 1184, 1186, 1266], 17),
        ("booleans", &[16], 16),
        ("arrays", &[2277, 5078, 1000, 1005, 1007, 1009, 1016, 1021, 1022, 1231], 10),
    ];
    /// Types that go with any of the families: anyelement and the like, cstring, name of a setting.
    const NEUTRAL: &[u32] = &[2283, 2776, 5077, 5079, 2275, 2276, 2249, 2278];

    /// The functions of pg_proc, by the family that they are about, that answer 0A000.
    #[test]
    fn missing_functions_only_become_fewer() {
        let table = facts::table("pg_proc").expect("the facts have pg_proc");
        let built: HashSet<String> = builtins()
            .map(|builtin| builtin.oid)
            .chain(crate::aggregate::aggregates().map(|aggregate| aggregate.oid))
            .chain(crate::set_returning::set_functions().map(|function| function.oid))
            .map(|oid| oid.to_string())
            .collect();
        let column = |name: &str| table.column(name);
        let (oid, name, arguments, result) =
            (column("oid"), column("proname"), column("proargtypes"), column("prorettype"));
        let known: Vec<u32> =
            MISSING.iter().flat_map(|(_, types, _)| types.iter()).chain(NEUTRAL).copied().collect();
        let mut missing: HashMap<&str, Vec<&str>> = HashMap::new();
        for row in table.rows.iter().filter(|row| !built.contains(row[oid])) {
            let types = row[arguments].split_whitespace().chain([row[result]]);
            let types: Vec<u32> = types.map(|oid| oid.parse().expect("an oid")).collect();
            // Support functions of the server itself take and give internal; nobody calls those of SQL.
            let is_own = row[name].starts_with("pg_") || row[name].starts_with("binary_upgrade_");
            if is_own || types.iter().any(|oid| !known.contains(oid)) {
                continue;
            }
            let family = MISSING.iter().find(|(_, family, _)| types.iter().any(|oid| family.contains(oid)));
            if let Some((family, ..)) = family {
                missing.entry(family).or_default().push(row[name]);
            }
        }
        let mut wrong = Vec::new();
        for (family, _, most) in MISSING {
            let names = missing.remove(family).unwrap_or_default();
            println!("{family}: {} not built", names.len());
            if names.len() != *most {
                wrong.push(format!("{family}: {} instead of {most}: {}", names.len(), names.join(" ")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
