//! What range table entries and their columns are called in printed text.
//!
//! Realises: `set_deparse_for_query` and what it calls. A table goes by its alias or its name of today, made
//! unique among the names that are visible where it stands; a column by its alias or its name of today, unless
//! a USING above it says how it must be called. A list of column aliases is printed where a name is not the
//! one that the table would give by itself.

use std::collections::HashMap;

use kokkiri_primitives::{Error, Oid, Result};

use super::Printer;
use crate::catalog::Catalog;
use crate::tree::*;

/// One query's names.
pub(super) struct Namespace<'a> {
    pub query: &'a Query,
    pub entries: Vec<EntryNames>,
    /// The WITH items that are visible in it by name.
    pub ctes: Vec<&'a str>,
}

/// What one entry and its columns are called.
#[derive(Default)]
pub(super) struct EntryNames {
    /// `None` for a join without an alias.
    pub name: Option<String>,
    /// `None` for a dropped column.
    pub columns: Vec<Option<String>>,
    /// The columns' names must be listed after the entry's.
    pub lists_columns: bool,
    /// Of a join: the names of its USING columns.
    pub using: Vec<String>,
}

/// A query that reads one table: where the expressions of a table's definition are printed.
pub(super) fn single_table(catalog: Catalog<'_>, relation: Oid) -> Result<Query> {
    let Some(entry) = catalog.relation_by_oid(relation)? else {
        return Err(Error::internal(format!("could not open relation with OID {relation}")));
    };
    let columns = entry.relation.tuple_desc.attributes().iter().map(|column| column.name.to_string());
    let eref = Alias { name: entry.name.to_string(), columns: columns.collect() };
    let relkind = entry.relation.kind.code();
    let rte = RangeTblEntry {
        kind: RteKind::Relation { relid: relation, relkind, inh: false, tablesample: None },
        alias: None,
        eref,
        lateral: false,
        in_from_cl: true,
        perminfo_index: 0,
    };
    Ok(Query { rtable: vec![rte], ..Query::default() })
}

impl<'a> Printer<'a> {
    /// Lets expressions refer to the columns of the one table of a query, or to none.
    pub(super) fn enter_table(&mut self, query: &'a Query) -> Result<()> {
        let namespace = self.namespace(query)?;
        self.namespaces.push(namespace);
        Ok(())
    }

    /// Chooses the names of a query that stands within those that are being printed.
    pub(super) fn namespace(&self, query: &'a Query) -> Result<Namespace<'a>> {
        let mut taken: HashMap<String, usize> = HashMap::new();
        let around = self.namespaces.iter().flat_map(|namespace| &namespace.entries);
        for name in around.filter_map(|entry| entry.name.as_ref()) {
            taken.insert(name.clone(), 0);
        }
        let mut entries = Vec::with_capacity(query.rtable.len());
        for rte in &query.rtable {
            let name = self.plain_name(rte)?.map(|name| unique(name, &mut taken));
            entries.push(EntryNames { name, ..EntryNames::default() });
        }
        let mut ctes: Vec<&str> = query.cte_list.iter().map(|cte| cte.name.as_str()).collect();
        if let Some(outer) = self.namespaces.last() {
            ctes.extend(&outer.ctes);
        }
        let mut namespace = Namespace { query, entries, ctes };
        for (index, rte) in query.rtable.iter().enumerate() {
            let width = self.real_columns(rte)?.len();
            namespace.entries[index].columns = vec![None; width];
        }
        for node in &query.jointree.from_list {
            self.name_using_columns(&mut namespace, node);
        }
        for index in 0..query.rtable.len() {
            if !matches!(query.rtable[index].kind, RteKind::Join(_)) {
                self.name_columns(&mut namespace, index)?;
            }
        }
        for node in &query.jointree.from_list {
            name_join_columns(&mut namespace, node);
        }
        Ok(namespace)
    }

    fn plain_name(&self, rte: &RangeTblEntry) -> Result<Option<String>> {
        if let Some(alias) = &rte.alias {
            return Ok(Some(alias.name.clone()));
        }
        Ok(match &rte.kind {
            RteKind::Relation { relid, .. } => match self.catalog.relation_by_oid(*relid)? {
                Some(entry) => Some(entry.name.to_string()),
                None => Some(rte.eref.name.clone()),
            },
            RteKind::Join(_) => None,
            _ => Some(rte.eref.name.clone()),
        })
    }

    /// The names that an entry's columns have by themselves; `None` for dropped ones.
    fn real_columns(&self, rte: &RangeTblEntry) -> Result<Vec<Option<String>>> {
        if let RteKind::Relation { relid, .. } = rte.kind
            && let Some(entry) = self.catalog.relation_by_oid(relid)?
        {
            let attributes = entry.relation.tuple_desc.attributes().iter();
            return Ok(attributes.map(|a| (!a.dropped).then(|| a.name.to_string())).collect());
        }
        let names = rte.eref.columns.iter();
        Ok(names.map(|name| (!name.is_empty()).then(|| name.clone())).collect())
    }

    /// A USING column has one name in the join and on both its sides: `set_using_names`.
    fn name_using_columns(&self, namespace: &mut Namespace<'a>, node: &JoinTreeNode) {
        let JoinTreeNode::JoinExpr(join) = node else { return };
        let query = namespace.query;
        let own = join.rtindex as usize - 1;
        if let RteKind::Join(rte) = &query.rtable[own].kind {
            for (position, using) in join.using.iter().enumerate() {
                let given = namespace.entries[own].columns.get(position).cloned().flatten();
                let alias = join.alias.as_ref().and_then(|alias| alias.columns.get(position)).cloned();
                let name = given.or(alias).unwrap_or_else(|| using.clone());
                if let Some(slot) = namespace.entries[own].columns.get_mut(position) {
                    *slot = Some(name.clone());
                }
                namespace.entries[own].using.push(name.clone());
                for (side, columns) in [(&join.left, &rte.left_columns), (&join.right, &rte.right_columns)] {
                    let Some(at) = columns.get(position).and_then(|number| usize::try_from(number - 1).ok())
                    else {
                        continue;
                    };
                    let index = top_index(side);
                    if let Some(slot) = index.and_then(|index| namespace.entries[index].columns.get_mut(at)) {
                        *slot = Some(name.clone());
                    }
                }
            }
        }
        self.name_using_columns(namespace, &join.left);
        self.name_using_columns(namespace, &join.right);
    }

    /// `set_relation_column_names`.
    fn name_columns(&self, namespace: &mut Namespace<'a>, index: usize) -> Result<()> {
        let rte = &namespace.query.rtable[index];
        let real = self.real_columns(rte)?;
        let aliases = rte.alias.as_ref().map_or(&[][..], |alias| &alias.columns);
        let entry = &mut namespace.entries[index];
        let mut taken: HashMap<String, usize> =
            entry.columns.iter().flatten().map(|name| (name.clone(), 0)).collect();
        let mut changed = false;
        for (at, real) in real.iter().enumerate() {
            let Some(real) = real else {
                entry.columns[at] = None;
                continue;
            };
            if entry.columns[at].is_none() {
                let wanted = aliases.get(at).unwrap_or(real).clone();
                entry.columns[at] = Some(unique(wanted, &mut taken));
            }
            changed |= entry.columns[at].as_ref() != Some(real);
        }
        entry.lists_columns = match &rte.kind {
            RteKind::Relation { .. } => changed,
            RteKind::Function { .. } => true,
            _ => !aliases.is_empty() || changed,
        };
        Ok(())
    }
}

/// The range table index, from 0, that a join's side goes by.
fn top_index(node: &JoinTreeNode) -> Option<usize> {
    match node {
        JoinTreeNode::RangeTblRef(index) => Some(*index as usize - 1),
        JoinTreeNode::JoinExpr(join) => Some(join.rtindex as usize - 1),
        JoinTreeNode::FromExpr(_) => None,
    }
}

/// A join's columns are called as those of its sides, or by its alias: `set_join_column_names`.
fn name_join_columns(namespace: &mut Namespace<'_>, node: &JoinTreeNode) {
    let JoinTreeNode::JoinExpr(join) = node else { return };
    name_join_columns(namespace, &join.left);
    name_join_columns(namespace, &join.right);
    let own = join.rtindex as usize - 1;
    let query = namespace.query;
    let RteKind::Join(rte) = &query.rtable[own].kind else { return };
    let aliases = join.alias.as_ref().map_or(&[][..], |alias| &alias.columns);
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut changed = false;
    for at in 0..namespace.entries[own].columns.len() {
        let from = |side: &JoinTreeNode, columns: &[i16]| -> Option<String> {
            let column = usize::try_from(columns.get(at)? - 1).ok()?;
            namespace.entries[top_index(side)?].columns.get(column)?.clone()
        };
        let below = from(&join.left, &rte.left_columns).or_else(|| from(&join.right, &rte.right_columns));
        let name = namespace.entries[own].columns[at].clone().or(below);
        let Some(name) = name else { continue };
        let wanted = aliases.get(at).cloned().unwrap_or_else(|| name.clone());
        let chosen = if join.alias.is_some() { unique(wanted, &mut taken) } else { wanted };
        changed |= chosen != name;
        namespace.entries[own].columns[at] = Some(chosen);
    }
    namespace.entries[own].lists_columns = join.alias.is_some() && (changed || !aliases.is_empty());
}

/// The name itself, or with the first number that makes it unique.
fn unique(name: String, taken: &mut HashMap<String, usize>) -> String {
    /// Longest name, bytes.
    const NAME_MAX: usize = 63;
    if !taken.contains_key(&name) {
        taken.insert(name.clone(), 0);
        return name;
    }
    let mut count = taken[&name];
    loop {
        count += 1;
        let suffix = format!("_{count}");
        let mut end = name.len().min(NAME_MAX - suffix.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let candidate = format!("{}{suffix}", &name[..end]);
        if !taken.contains_key(&candidate) {
            taken.insert(name, count);
            taken.insert(candidate.clone(), 0);
            return candidate;
        }
    }
}
