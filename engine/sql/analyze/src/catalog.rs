//! What the analyzer asks the catalog.
//!
//! A thin layer over [`CatalogView`], in the terms the analyzer thinks in: the default operators of a type, whether
//! a type is a string type, a type's printed name. In unit tests the answers come from the catalog's
//! initial facts, so that analysis can be tested without a running cluster.

use std::sync::Arc;

use kokkiri_catalog::entries::*;
use kokkiri_catalog::view::{CatalogView, LockedRelation};
use kokkiri_parse::quote_identifier;
use kokkiri_parse::tree::RangeVar;
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::{LockMode, WaitPolicy};
use kokkiri_types::builtin::oid;

#[cfg(test)]
use crate::fixture::Facts;

pub(crate) const BTREE: Oid = Oid(403);
pub(crate) const HASH: Oid = Oid(405);
pub(crate) const DEFAULT_COLLATION: Oid = Oid(100);

/// Categories of types, `pg_type.typcategory`.
pub(crate) mod category {
    pub const STRING: u8 = b'S';
}

/// Where the analyzer's answers come from.
#[derive(Clone, Copy)]
pub(crate) enum Catalog<'a> {
    View(&'a CatalogView<'a>),
    #[cfg(test)]
    Facts(&'a Facts),
}

impl Catalog<'_> {
    /// Sends the client a notice with the statement's other ones.
    pub fn notice(&self, notice: Error) {
        match self {
            Catalog::View(view) => view.transaction.add_notice(notice),
            #[cfg(test)]
            Catalog::Facts(_) => {}
        }
    }
}

macro_rules! ask {
    ($self:ident, $source:ident => $answer:expr) => {
        match $self {
            Catalog::View($source) => $answer,
            #[cfg(test)]
            Catalog::Facts($source) => $answer,
        }
    };
}

/// The default operators of a type for sorting and grouping.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SortOperators {
    pub less: Option<Oid>,
    pub equal: Option<Oid>,
    pub greater: Option<Oid>,
    pub hashable: bool,
}

impl<'a> Catalog<'a> {
    /// The view that answers, for what takes one.
    pub fn view(self) -> Option<&'a CatalogView<'a>> {
        match self {
            Catalog::View(view) => Some(view),
            #[cfg(test)]
            Catalog::Facts(_) => None,
        }
    }

    /// The relation a name means, locked; `None` if there is none.
    pub fn relation(self, name: &RangeVar, mode: LockMode) -> Result<Option<Arc<RelationEntry>>> {
        match self {
            Catalog::View(view) => {
                match view.lock_relation(name.schema.as_deref(), &name.name, mode, WaitPolicy::Block)? {
                    LockedRelation::Found(entry) => Ok(Some(entry)),
                    LockedRelation::Missing => Ok(None),
                    LockedRelation::NotAvailable => {
                        Err(error!(LOCK_NOT_AVAILABLE, "could not obtain lock on relation \"{}\"", name.name))
                    }
                }
            }
            #[cfg(test)]
            Catalog::Facts(facts) => Ok(facts.relation_called(&name.name)),
        }
    }

    /// Locks a relation for the rest of the transaction.
    pub fn lock(self, relation: Oid, mode: LockMode) -> Result<()> {
        match self {
            Catalog::View(view) => view.lock_relation_oid(relation, mode, WaitPolicy::Block).map(drop),
            #[cfg(test)]
            Catalog::Facts(_) => Ok(()),
        }
    }

    pub fn relation_by_oid(self, oid: Oid) -> Result<Option<Arc<RelationEntry>>> {
        ask!(self, source => source.relation(oid))
    }

    pub fn type_entry(self, oid: Oid) -> Result<Arc<TypeEntry>> {
        ask!(self, source => source.expect_type(oid))
    }

    pub fn type_by_name(self, schema: Option<&str>, name: &str) -> Result<Option<Arc<TypeEntry>>> {
        ask!(self, source => source.type_by_name(schema, name))
    }

    pub fn functions(self, schema: Option<&str>, name: &str) -> Result<Vec<(usize, Arc<FunctionEntry>)>> {
        ask!(self, source => source.functions_by_name(schema, name))
    }

    pub fn function(self, oid: Oid) -> Result<Arc<FunctionEntry>> {
        ask!(self, source => source.function(oid))?
            .ok_or_else(|| error!(INTERNAL_ERROR, "cache lookup failed for function {oid}"))
    }

    pub fn operators(self, schema: Option<&str>, name: &str) -> Result<Vec<(usize, Arc<OperatorEntry>)>> {
        ask!(self, source => source.operators_by_name(schema, name))
    }

    /// The operator for exactly these operands.
    pub fn operator_for(
        self,
        schema: Option<&str>,
        name: &str,
        left: Option<Oid>,
        right: Oid,
    ) -> Result<Option<Arc<OperatorEntry>>> {
        ask!(self, source => source.operator_for(schema, name, left, right))
    }

    pub fn operator(self, oid: Oid) -> Result<Arc<OperatorEntry>> {
        ask!(self, source => source.operator(oid))?
            .ok_or_else(|| error!(INTERNAL_ERROR, "cache lookup failed for operator {oid}"))
    }

    pub fn collation_name(self, oid: Oid) -> Result<Option<String>> {
        let found = ask!(self, source => source.collation(oid))?;
        Ok(found.map(|entry| entry.name.to_string()))
    }

    pub fn cast(self, from: Oid, to: Oid) -> Result<Option<Arc<CastEntry>>> {
        ask!(self, source => source.cast(from, to))
    }

    pub fn aggregate(self, function: Oid) -> Result<Option<Arc<AggregateEntry>>> {
        ask!(self, source => source.aggregate(function))
    }

    pub fn collation_by_name(self, schema: Option<&str>, name: &str) -> Result<Option<Oid>> {
        let found = ask!(self, source => source.collation_by_name(schema, name))?;
        Ok(found.map(|entry| entry.oid))
    }

    fn family_operator(self, family: Oid, input: Oid, strategy: i16) -> Result<Option<Oid>> {
        ask!(self, source => source.family_operator(family, input, input, strategy))
    }

    /// A type's default operator class.
    pub fn default_opclass_of(self, method: Oid, type_oid: Oid) -> Result<Option<Oid>> {
        let Some((family, input)) = self.default_opclass(method, type_oid)? else { return Ok(None) };
        let classes = ask!(self, source => source.opclasses(method))?;
        let found = classes
            .iter()
            .find(|class| class.opcdefault && class.opcfamily == family && class.opcintype == input);
        Ok(found.map(|class| class.oid))
    }

    /// Family and input type of a type's default operator class: PostgreSQL's `GetDefaultOpClass`.
    fn default_opclass(self, method: Oid, type_oid: Oid) -> Result<Option<(Oid, Oid)>> {
        let classes = ask!(self, source => source.opclasses(method))?;
        let entry = self.type_entry(type_oid)?;
        let mut candidates: Vec<Oid> = vec![type_oid];
        if entry.array_element().is_some() {
            candidates.push(oid::ANYARRAY);
        }
        match entry.kind {
            TypeKind::Enum => candidates.push(oid::ANYENUM),
            TypeKind::Range => candidates.push(oid::ANYRANGE),
            TypeKind::Composite => candidates.push(oid::RECORD),
            _ => {}
        }
        for input in candidates {
            if let Some(class) = classes.iter().find(|class| class.opcdefault && class.opcintype == input) {
                return Ok(Some((class.opcfamily, class.opcintype)));
            }
        }
        // Otherwise one whose input type is binary-coercible from this one, the preferred type winning.
        let mut best: Option<(Oid, Oid)> = None;
        for class in classes.iter().filter(|class| class.opcdefault) {
            if !self.is_binary_coercible(type_oid, class.opcintype)? {
                continue;
            }
            let preferred = self.type_entry(class.opcintype)?.preferred;
            if best.is_none() || preferred {
                best = Some((class.opcfamily, class.opcintype));
            }
        }
        Ok(best)
    }

    /// True if a value of `from` can be used as one of `to` as it is: `IsBinaryCoercible`.
    pub fn is_binary_coercible(self, from: Oid, to: Oid) -> Result<bool> {
        if from == to || matches!(to, oid::ANY | oid::ANYELEMENT | oid::ANYCOMPATIBLE) {
            return Ok(true);
        }
        let from = self.base_type(from)?;
        if from == to {
            return Ok(true);
        }
        let entry = self.type_entry(from)?;
        if matches!(to, oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY) {
            return Ok(entry.array_element().is_some());
        }
        if to == oid::ANYENUM {
            return Ok(entry.kind == TypeKind::Enum);
        }
        if to == oid::ANYNONARRAY || to == oid::ANYCOMPATIBLENONARRAY {
            return Ok(entry.array_element().is_none());
        }
        if to == oid::RECORD {
            return Ok(entry.kind == TypeKind::Composite);
        }
        Ok(self
            .cast(from, to)?
            .is_some_and(|cast| cast.method == CastMethod::Binary && cast.context == CastContext::Implicit))
    }

    pub fn sort_operators(self, type_oid: Oid) -> Result<SortOperators> {
        let type_oid = self.base_type(type_oid)?;
        let mut operators = SortOperators::default();
        if let Some((family, input)) = self.default_opclass(BTREE, type_oid)? {
            operators.less = self.family_operator(family, input, 1)?;
            operators.equal = self.family_operator(family, input, 3)?;
            operators.greater = self.family_operator(family, input, 5)?;
        }
        if let Some((family, input)) = self.default_opclass(HASH, type_oid)? {
            let equal = self.family_operator(family, input, 1)?;
            operators.hashable = equal.is_some() && (operators.equal.is_none() || operators.equal == equal);
            operators.equal = operators.equal.or(equal);
        }
        Ok(operators)
    }

    /// Families and strategies of B-trees that an operator belongs to.
    pub fn btree_interpretations(self, operator: Oid) -> Result<Vec<(Oid, i16)>> {
        let members = ask!(self, source => source.families_of_operator(operator))?;
        Ok(members
            .iter()
            .filter(|member| member.amopmethod == BTREE)
            .map(|member| (member.amopfamily, member.amopstrategy))
            .collect())
    }

    /// The type under any domains.
    pub fn base_type(self, type_oid: Oid) -> Result<Oid> {
        Ok(self.base_type_and_typmod(type_oid, -1)?.0)
    }

    pub fn base_type_and_typmod(self, mut type_oid: Oid, mut typmod: i32) -> Result<(Oid, i32)> {
        // A literal's and a parameter's pseudo type, and the commonest, need no look.
        while type_oid != oid::UNKNOWN && type_oid != oid::INT4 && type_oid != oid::TEXT {
            let entry = self.type_entry(type_oid)?;
            match (entry.kind, entry.base_type) {
                (TypeKind::Domain, Some(base)) => {
                    if typmod < 0 {
                        typmod = entry.typmod;
                    }
                    type_oid = base;
                }
                _ => break,
            }
        }
        Ok((type_oid, typmod))
    }

    /// The sequence of an identity column.
    pub fn identity_sequence(self, relation: Oid, number: i16) -> Result<Oid> {
        use kokkiri_catalog::dependency::{DependencyKind, ObjectAddress, class, dependents_of};
        let missing = || error!(INTERNAL_ERROR, "no owned sequence found");
        let Some(view) = self.view() else { return Err(missing()) };
        let dependents = dependents_of(view, ObjectAddress::column(relation, number))?;
        let owned = dependents.into_iter().find(|row| {
            row.classid == class::RELATION
                && row.objsubid == 0
                && row.deptype == DependencyKind::Internal as u8
        });
        owned.map(|row| row.objid).ok_or_else(missing)
    }

    pub fn category(self, type_oid: Oid) -> Result<(u8, bool)> {
        let entry = self.type_entry(type_oid)?;
        Ok((entry.category, entry.preferred))
    }

    pub fn type_collation(self, type_oid: Oid) -> Result<Oid> {
        Ok(self.type_entry(type_oid)?.collation)
    }

    /// PostgreSQL's `format_type_be`.
    pub fn type_name(self, type_oid: Oid) -> String {
        self.type_name_with_typmod(type_oid, None)
    }

    /// PostgreSQL's `format_type_with_typemod`; without a typmod, the bare name.
    pub fn type_name_with_typmod(self, type_oid: Oid, typmod: Option<i32>) -> String {
        let Ok(entry) = self.type_entry(type_oid) else { return "???".to_owned() };
        if let Some(element) = entry.array_element()
            && !matches!(type_oid, oid::INT2VECTOR | oid::OIDVECTOR)
        {
            return format!("{}[]", self.type_name_with_typmod(element, typmod));
        }
        let modifier = typmod.filter(|typmod| *typmod >= 0);
        let with = |name: &str, digits: Option<i32>| match digits {
            Some(digits) => format!("{name}({digits})"),
            None => name.to_owned(),
        };
        let zoned = |name: &str, zone: &str| format!("{} {zone}", with(name, modifier));
        match type_oid {
            oid::BPCHAR if typmod == Some(-1) => "bpchar".to_owned(),
            oid::BPCHAR => with("character", modifier.map(|typmod| typmod - 4)),
            oid::VARCHAR => with("character varying", modifier.map(|typmod| typmod - 4)),
            oid::BIT => with("bit", modifier),
            oid::VARBIT => with("bit varying", modifier),
            oid::TIME => zoned("time", "without time zone"),
            oid::TIMETZ => zoned("time", "with time zone"),
            oid::TIMESTAMP => zoned("timestamp", "without time zone"),
            oid::TIMESTAMPTZ => zoned("timestamp", "with time zone"),
            oid::NUMERIC => match modifier {
                Some(typmod) => {
                    let scale = ((typmod - 4) & 0x7ff ^ 1024) - 1024;
                    format!("numeric({},{scale})", (typmod - 4) >> 16 & 0xffff)
                }
                None => "numeric".to_owned(),
            },
            oid::INTERVAL => interval_name(modifier),
            oid::BOOL | oid::CHAR | oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8 => {
                kokkiri_types::io::type_name(type_oid)
            }
            // A word of the grammar, but this type is always meant.
            oid::JSON => "json".to_owned(),
            _ => {
                let visible = self.type_by_name(None, &entry.name).ok().flatten();
                let name = quote_identifier(&entry.name);
                match visible {
                    Some(found) if found.oid == type_oid => name.into_owned(),
                    _ => match self.namespace_name(entry.namespace) {
                        Some(schema) => format!("{}.{name}", quote_identifier(&schema)),
                        None => name.into_owned(),
                    },
                }
            }
        }
    }

    pub fn namespace_name(self, namespace: Oid) -> Option<String> {
        match self {
            Catalog::View(view) => {
                view.namespace(namespace).ok().flatten().map(|entry| entry.name.to_string())
            }
            #[cfg(test)]
            Catalog::Facts(_) => (namespace == Oid(11)).then(|| "pg_catalog".to_owned()),
        }
    }
}

fn interval_name(modifier: Option<i32>) -> String {
    let Some(typmod) = modifier else { return "interval".to_owned() };
    let (range, precision) = (typmod >> 16 & 0x7fff, typmod & 0xffff);
    let fields = match range {
        0x0004 => " year",
        0x0002 => " month",
        0x0008 => " day",
        0x0400 => " hour",
        0x0800 => " minute",
        0x1000 => " second",
        0x0006 => " year to month",
        0x0408 => " day to hour",
        0x0c08 => " day to minute",
        0x1c08 => " day to second",
        0x0c00 => " hour to minute",
        0x1c00 => " hour to second",
        0x1800 => " minute to second",
        _ => "",
    };
    if precision == 0xffff { format!("interval{fields}") } else { format!("interval{fields}({precision})") }
}

/// What is not built yet, at a place in the statement.
pub(crate) fn not_supported(what: &str, location: kokkiri_parse::Location) -> Error {
    use kokkiri_parse::AtLocation;
    Error::not_supported(what).at_location(location)
}
