//! Range table entries and the names they give: parse_relation.c.

use std::rc::Rc;
use std::sync::Arc;

use kokkiri_catalog::entries::{RelationEntry, TypeKind};
use kokkiri_parse::tree as raw;
use kokkiri_parse::{AtLocation, Location};
use kokkiri_primitives::{Error, Oid, Result, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::builtin::oid;

use crate::scope::{Analyzer, NamespaceColumn, NamespaceItem};
use crate::tree::*;

/// System columns: name, number, type.
const SYSTEM_COLUMNS: [(&str, i16, Oid); 6] = [
    ("ctid", -1, oid::TID),
    ("xmin", -2, oid::XID),
    ("cmin", -3, oid::CID),
    ("xmax", -4, oid::XID),
    ("cmax", -5, oid::CID),
    ("tableoid", -6, oid::OID),
];

/// True for the name of a system column.
pub fn is_system_column(name: &str) -> bool {
    SYSTEM_COLUMNS.iter().any(|(system, ..)| *system == name)
}

/// Largest edit distance at which a column is offered instead of a misspelt one.
const FUZZY_DISTANCE_MAX: usize = 3;

pub(crate) fn qualified_name(name: &raw::RangeVar) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

impl Analyzer<'_> {
    /// The relation of a FROM item or a DML target, locked.
    pub fn open_relation(&mut self, name: &raw::RangeVar, mode: LockMode) -> Result<Arc<RelationEntry>> {
        let found = self.catalog.relation(name, mode).map_err(|error| error.at_location(name.location))?;
        match found {
            Some(entry) => Ok(entry),
            None => {
                let error = error!(UNDEFINED_TABLE, "relation \"{}\" does not exist", qualified_name(name));
                let future = name.schema.is_none()
                    && self.scopes.iter().any(|scope| scope.future_ctes.contains(&name.name));
                let error = if future {
                    error
                        .detail(format!(
                            "There is a WITH item named \"{0}\", but it cannot be referenced from this part of the query.",
                            name.name
                        ))
                        .hint("Use WITH RECURSIVE, or re-order the WITH items to remove forward references.")
                } else {
                    error
                };
                Err(error.at_location(name.location))
            }
        }
    }

    /// PostgreSQL's `addRangeTableEntryForRelation`.
    pub fn add_relation(
        &mut self,
        entry: &RelationEntry,
        alias: Option<Alias>,
        inh: bool,
        in_from_cl: bool,
        privilege: u32,
    ) -> Result<NamespaceItem> {
        let mut names = Vec::new();
        let mut columns = Vec::new();
        for attribute in entry.relation.tuple_desc.attributes() {
            names.push(if attribute.dropped { String::new() } else { attribute.name.to_string() });
            columns.push((
                ColumnInfo {
                    type_oid: attribute.type_oid,
                    typmod: attribute.typmod,
                    collation: attribute.collation,
                },
                attribute.dropped,
            ));
        }
        let eref = build_eref(alias.as_ref(), &entry.name, names, "table")?;
        let scope = self.scope_mut();
        scope.perm_infos.push(RtePermissionInfo {
            relid: entry.oid,
            inh,
            required: privilege,
            ..RtePermissionInfo::default()
        });
        let kind = RteKind::Relation {
            relid: entry.oid,
            relkind: entry.relation.kind.code(),
            inh,
            tablesample: None,
        };
        let perminfo_index = scope.perm_infos.len();
        let rte = RangeTblEntry { kind, alias, eref, lateral: false, in_from_cl, perminfo_index };
        Ok(self.add_entry(rte, &columns))
    }

    /// Adds an entry whose columns are plain Vars of it.
    pub fn add_entry(&mut self, rte: RangeTblEntry, columns: &[(ColumnInfo, bool)]) -> NamespaceItem {
        let scope = self.scope_mut();
        let names = Rc::new(rte.eref.clone());
        scope.rtable.push(rte);
        scope.nulling.push(Relids::new());
        let rtindex = scope.rtable.len() as u32;
        let columns = columns
            .iter()
            .enumerate()
            .map(|(index, (info, hidden))| NamespaceColumn {
                varno: rtindex,
                varattno: index as i16 + 1,
                info: *info,
                hidden: *hidden,
            })
            .collect();
        NamespaceItem {
            rtindex,
            names,
            columns: Rc::new(columns),
            relation_visible: true,
            columns_visible: true,
            lateral_only: false,
            lateral_ok: true,
            returning: VarReturning::Default,
        }
    }

    /// An entry that is not a relation, with named columns.
    pub fn add_derived(
        &mut self,
        kind: RteKind,
        alias: Option<Alias>,
        default_name: &str,
        columns: Vec<(String, ColumnInfo)>,
        lateral: bool,
    ) -> Result<NamespaceItem> {
        let names = columns.iter().map(|(name, _)| name.clone()).collect();
        let eref = build_eref(alias.as_ref(), default_name, names, "table")?;
        let infos: Vec<_> = columns.iter().map(|(_, info)| (*info, false)).collect();
        let rte = RangeTblEntry { kind, alias, eref, lateral, in_from_cl: true, perminfo_index: 0 };
        Ok(self.add_entry(rte, &infos))
    }

    /// Makes an item's names visible: PostgreSQL's `addNSItemToQuery` for the namespace.
    pub fn add_to_namespace(&mut self, item: NamespaceItem) {
        self.scope_mut().namespace.push(item);
    }

    /// PostgreSQL's `checkNameSpaceConflicts` for one more item.
    pub fn check_conflict(&self, items: &[NamespaceItem], more: &[NamespaceItem]) -> Result<()> {
        for new in more.iter().filter(|item| item.relation_visible) {
            let same = |item: &&NamespaceItem| {
                item.relation_visible && item.names.name == new.names.name && {
                    // Two relations of one name in different schemas are told apart by their schema.
                    let relid = |item: &NamespaceItem| match &self.rte_of(item.rtindex, 0) {
                        RangeTblEntry { kind: RteKind::Relation { relid, .. }, alias: None, .. } => {
                            Some(*relid)
                        }
                        _ => None,
                    };
                    match (relid(item), relid(new)) {
                        (Some(a), Some(b)) => a == b,
                        _ => true,
                    }
                }
            };
            if items.iter().find(same).is_some() {
                return Err(error!(
                    DUPLICATE_ALIAS,
                    "table name \"{}\" specified more than once", new.names.name
                ));
            }
        }
        Ok(())
    }

    /// A Var for a column of an item, `levels_up` levels out.
    pub fn column_var(
        &mut self,
        item: &NamespaceItem,
        index: usize,
        levels_up: u32,
        location: Location,
    ) -> Expression {
        let column = &item.columns[index];
        let depth = self.scopes.len() - 1 - levels_up as usize;
        let varnullingrels = self.scopes[depth].nulling[column.varno as usize - 1].clone();
        self.mark_selected(column.varno, column.varattno, levels_up);
        Expression::Var(Var {
            varno: column.varno,
            varattno: column.varattno,
            vartype: column.info.type_oid,
            vartypmod: column.info.typmod,
            varcollid: column.info.collation,
            varnullingrels,
            varlevelsup: levels_up,
            returning: item.returning,
            location,
        })
    }

    /// Notes that a column is read: PostgreSQL's `markVarForSelectPriv`.
    pub fn mark_selected(&mut self, varno: u32, column: i16, levels_up: u32) {
        let depth = self.scopes.len() - 1 - levels_up as usize;
        let scope = &mut self.scopes[depth];
        let mut pending = vec![(varno, column)];
        while let Some((varno, column)) = pending.pop() {
            let rte = &scope.rtable[varno as usize - 1];
            if let RteKind::Join(join) = &rte.kind {
                // A merged column stands for both sides.
                if let Some(expr) =
                    (column as usize).checked_sub(1).and_then(|index| join.alias_vars.get(index))
                {
                    expr.walk(&mut |node| {
                        if let Expression::Var(var) = node {
                            pending.push((var.varno, var.varattno));
                        }
                        true
                    });
                }
            } else if let Some(info) = rte.perminfo_index.checked_sub(1) {
                let info = &mut scope.perm_infos[info];
                info.required |= Privilege::Select as u32;
                info.selected_columns.insert(column);
            }
        }
    }

    /// Looks a column up in one item: its own columns, then those of the system.
    pub fn column_of(
        &mut self,
        item: &NamespaceItem,
        name: &str,
        levels_up: u32,
        location: Location,
    ) -> Result<Option<Expression>> {
        let mut found = None;
        for (index, column) in item.names.columns.iter().enumerate() {
            if column == name && !column.is_empty() {
                if found.is_some() {
                    return Err(ambiguous(name).at_location(location));
                }
                found = Some(index);
            }
        }
        if let Some(index) = found {
            return Ok(Some(self.column_var(item, index, levels_up, location)));
        }
        let is_stored = match self.rte_of(item.rtindex, levels_up).kind {
            RteKind::Relation { relkind, .. } => !matches!(relkind, b'v' | b'c'),
            _ => false,
        };
        let system = SYSTEM_COLUMNS.iter().find(|(system, ..)| *system == name);
        let Some((_, number, type_oid)) = system.filter(|_| is_stored) else { return Ok(None) };
        let depth = self.scopes.len() - 1 - levels_up as usize;
        let varnullingrels = self.scopes[depth].nulling[item.rtindex as usize - 1].clone();
        self.mark_selected(item.rtindex, *number, levels_up);
        Ok(Some(Expression::Var(Var {
            varno: item.rtindex,
            varattno: *number,
            vartype: *type_oid,
            vartypmod: -1,
            varcollid: Oid::INVALID,
            varnullingrels,
            varlevelsup: levels_up,
            returning: item.returning,
            location,
        })))
    }

    /// An unqualified column: PostgreSQL's `colNameToVar`.
    pub fn find_column(&mut self, name: &str, location: Location) -> Result<Option<Expression>> {
        for levels_up in 0..self.scopes.len() as u32 {
            let depth = self.scopes.len() - 1 - levels_up as usize;
            let lateral_active = self.scopes[depth].lateral_active;
            let mut result = None;
            let items: Vec<NamespaceItem> = self.scopes[depth]
                .namespace
                .iter()
                .filter(|item| item.columns_visible && (!item.lateral_only || lateral_active))
                .cloned()
                .collect();
            for item in items {
                if let Some(var) = self.column_of(&item, name, levels_up, location)? {
                    if result.is_some() {
                        return Err(ambiguous(name).at_location(location));
                    }
                    check_lateral(&item, location)?;
                    result = Some(var);
                }
            }
            if result.is_some() {
                return Ok(result);
            }
        }
        Ok(None)
    }

    /// An item by its name: PostgreSQL's `refnameNamespaceItem`.
    pub fn find_item(
        &self,
        schema: Option<&str>,
        name: &str,
        location: Location,
    ) -> Result<Option<(NamespaceItem, u32)>> {
        let schema_relation = match schema {
            None => None,
            Some(schema) => {
                let relation = raw::RangeVar {
                    catalog: None,
                    schema: Some(schema.to_owned()),
                    name: name.to_owned(),
                    inherit: true,
                    persistence: raw::Persistence::Permanent,
                    alias: None,
                    location,
                };
                match self.catalog.relation(&relation, LockMode::AccessShare) {
                    Ok(Some(entry)) => Some(entry.oid),
                    Ok(None) | Err(_) => return Ok(None),
                }
            }
        };
        for (levels_up, scope) in self.scopes.iter().rev().enumerate() {
            let mut found: Option<&NamespaceItem> = None;
            for item in &scope.namespace {
                if !item.relation_visible
                    || (item.lateral_only && !scope.lateral_active)
                    || item.names.name != name
                {
                    continue;
                }
                let rte = &scope.rtable[item.rtindex as usize - 1];
                if let Some(wanted) = schema_relation {
                    let same = matches!(rte.kind, RteKind::Relation { relid, .. } if relid == wanted);
                    if !same || rte.alias.is_some() {
                        continue;
                    }
                }
                if found.is_some() {
                    return Err(error!(AMBIGUOUS_ALIAS, "table reference \"{name}\" is ambiguous")
                        .at_location(location));
                }
                found = Some(item);
            }
            if let Some(item) = found {
                check_lateral(item, location)?;
                return Ok(Some((item.clone(), levels_up as u32)));
            }
        }
        Ok(None)
    }

    /// PostgreSQL's `errorMissingRTE`.
    pub fn missing_entry(&self, name: &str, schema: Option<&str>, location: Location) -> Error {
        let shown = match schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        };
        let entry = self
            .scopes
            .iter()
            .rev()
            .flat_map(|scope| &scope.rtable)
            .find(|rte| rte.eref.name == name && !matches!(rte.kind, RteKind::Join(_)) && rte.in_from_cl);
        let renamed = self.scopes.iter().rev().flat_map(|scope| &scope.rtable).find(|rte| {
            rte.alias.is_some()
                && matches!(&rte.kind, RteKind::Relation { relid, .. }
                    if self.catalog.relation_by_oid(*relid).ok().flatten().is_some_and(|entry| &*entry.name == name))
        });
        let error = match (entry, renamed) {
            (Some(_), _) => error!(
                UNDEFINED_TABLE,
                "invalid reference to FROM-clause entry for table \"{name}\""
            )
            .detail(format!(
                "There is an entry for table \"{name}\", but it cannot be referenced from this part of the query."
            )),
            (None, Some(rte)) => error!(
                UNDEFINED_TABLE,
                "invalid reference to FROM-clause entry for table \"{name}\""
            )
            .hint(format!("Perhaps you meant to reference the table alias \"{}\".", rte.eref.name)),
            (None, None) => error!(UNDEFINED_TABLE, "missing FROM-clause entry for table \"{shown}\""),
        };
        error.at_location(location)
    }

    /// PostgreSQL's `errorMissingColumn`.
    pub fn missing_column(&self, relation: Option<&str>, column: &str, location: Location) -> Error {
        let error = match relation {
            Some(relation) => error!(UNDEFINED_COLUMN, "column {relation}.{column} does not exist"),
            None => error!(UNDEFINED_COLUMN, "column \"{column}\" does not exist"),
        };
        let mut best: Vec<(&str, &str)> = Vec::new();
        let mut distance = FUZZY_DISTANCE_MAX + 1;
        for scope in self.scopes.iter().rev() {
            for rte in &scope.rtable {
                if matches!(rte.kind, RteKind::Join(_)) {
                    continue;
                }
                // A differing table name counts towards the distance.
                let penalty = relation.map_or(0, |relation| levenshtein(relation, &rte.eref.name));
                for name in rte.eref.columns.iter().filter(|name| !name.is_empty()) {
                    let steps = levenshtein(column, name);
                    if steps == 0 && penalty == 0 {
                        return self.hidden_column(error, rte, column).at_location(location);
                    }
                    let total = steps + penalty;
                    if steps > column.len() / 2 || total > FUZZY_DISTANCE_MAX || total > distance {
                        continue;
                    }
                    if total < distance {
                        distance = total;
                        best.clear();
                    }
                    best.push((&rte.eref.name, name));
                }
            }
        }
        let error = match best.as_slice() {
            [(table, name)] => {
                error.hint(format!("Perhaps you meant to reference the column \"{table}.{name}\"."))
            }
            [(table, name), (other_table, other)] => error.hint(format!(
                "Perhaps you meant to reference the column \"{table}.{name}\" or the column \"{other_table}.{other}\"."
            )),
            _ => error,
        };
        error.at_location(location)
    }

    fn hidden_column(&self, error: Error, rte: &RangeTblEntry, column: &str) -> Error {
        error.detail(format!(
            "There is a column named \"{column}\" in table \"{}\", but it cannot be referenced from this part of the query.",
            rte.eref.name
        ))
    }

    /// The columns of a composite type, dropped ones left out.
    pub fn composite_columns(&self, type_oid: Oid) -> Result<Option<Vec<(String, i16, ColumnInfo)>>> {
        let entry = self.catalog.type_entry(self.catalog.base_type(type_oid)?)?;
        let Some(relation) = entry.relation.filter(|_| entry.kind == TypeKind::Composite) else {
            return Ok(None);
        };
        let Some(relation) = self.catalog.relation_by_oid(relation)? else { return Ok(None) };
        let attributes = relation.relation.tuple_desc.attributes();
        let live = attributes.iter().filter(|attribute| !attribute.dropped).map(|attribute| {
            let info = ColumnInfo {
                type_oid: attribute.type_oid,
                typmod: attribute.typmod,
                collation: attribute.collation,
            };
            (attribute.name.to_string(), attribute.number, info)
        });
        Ok(Some(live.collect()))
    }
}

fn check_lateral(item: &NamespaceItem, location: Location) -> Result<()> {
    if !item.lateral_only || item.lateral_ok {
        return Ok(());
    }
    let name = &item.names.name;
    Err(error!(INVALID_COLUMN_REFERENCE, "invalid reference to FROM-clause entry for table \"{name}\"")
        .detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
        .at_location(location))
}

pub(crate) fn ambiguous(name: &str) -> Error {
    error!(AMBIGUOUS_COLUMN, "column reference \"{name}\" is ambiguous")
}

/// The names an entry goes by: an alias's as far as it gives any, then its own. Dropped columns take no alias.
pub(crate) fn build_eref(
    alias: Option<&Alias>,
    default_name: &str,
    names: Vec<String>,
    what: &str,
) -> Result<Alias> {
    let Some(alias) = alias else { return Ok(Alias { name: default_name.to_owned(), columns: names }) };
    let mut given = alias.columns.iter();
    let count = names.iter().filter(|name| !name.is_empty()).count();
    let columns = names
        .into_iter()
        .map(|name| if name.is_empty() { name } else { given.next().cloned().unwrap_or(name) })
        .collect();
    if given.next().is_some() {
        return Err(error!(
            INVALID_COLUMN_REFERENCE,
            "{what} \"{}\" has {count} columns available but {} columns specified",
            alias.name,
            alias.columns.len()
        ));
    }
    Ok(Alias { name: alias.name.clone(), columns })
}

/// Edit distance between two names.
fn levenshtein(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
