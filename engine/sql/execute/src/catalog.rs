//! The planner's facts from the session's catalog view.

use std::sync::Arc;

use kokkiri_access::btree::Tree;
use kokkiri_access::btree::scan::{Scan, ScanOptions};
use kokkiri_access::btree::scan_key::{Condition, Direction, ScanKey};
use kokkiri_access::heap::{FetchedRow, Heap, TupleFetch};
use kokkiri_catalog::entries::{
    AggregateEntry, AmopEntry, FunctionEntry, IndexEntry, OperatorEntry, RelationEntry, StatisticEntry,
    TypeEntry,
};
use kokkiri_catalog::view::CatalogView;
use kokkiri_functions::{CallContext, lookup};
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_primitives::{Error, Fork, Oid, Result, error};
use kokkiri_storage::visibility_map;
use kokkiri_transaction::Visibility;
use kokkiri_types::{Value, ValueRef, io};

/// Heap pages that planning visits at most to find the end of an index.
const VISITED_PAGES_MAX: u32 = 100;

/// [`CatalogFacts`] over a view. Functions are called in the session's context.
pub struct ViewFacts<'a> {
    pub view: &'a CatalogView<'a>,
    pub call: CallContext<'a>,
}

fn missing(what: &str, oid: Oid) -> Error {
    Error::internal(format!("cache lookup failed for {what} {oid}"))
}

impl CatalogFacts for ViewFacts<'_> {
    fn relation(&self, oid: Oid) -> Result<Arc<RelationEntry>> {
        self.view.expect_relation(oid)
    }

    fn function(&self, oid: Oid) -> Result<Arc<FunctionEntry>> {
        self.view.function(oid)?.ok_or_else(|| missing("function", oid))
    }

    fn operator(&self, oid: Oid) -> Result<Arc<OperatorEntry>> {
        self.view.operator(oid)?.ok_or_else(|| missing("operator", oid))
    }

    fn aggregate(&self, function: Oid) -> Result<Arc<AggregateEntry>> {
        self.view.aggregate(function)?.ok_or_else(|| missing("aggregate", function))
    }

    fn type_entry(&self, oid: Oid) -> Result<Arc<TypeEntry>> {
        self.view.expect_type(oid)
    }

    fn families_of_operator(&self, operator: Oid) -> Result<Vec<AmopEntry>> {
        let rows = self.view.families_of_operator(operator)?;
        Ok(rows
            .iter()
            .map(|row| AmopEntry {
                family: row.amopfamily,
                left: row.amoplefttype,
                right: row.amoprighttype,
                strategy: row.amopstrategy,
                purpose: row.amoppurpose,
                operator: row.amopopr,
                method: row.amopmethod,
            })
            .collect())
    }

    fn family_operator(&self, family: Oid, left: Oid, right: Oid, strategy: i16) -> Result<Option<Oid>> {
        self.view.family_operator(family, left, right, strategy)
    }

    fn statistics(&self, relation: Oid, attribute: i16) -> Result<Option<Arc<StatisticEntry>>> {
        self.view.statistics(relation, attribute)
    }

    fn blocks(&self, relation: &RelationEntry) -> Result<u32> {
        if !relation.relation.kind.has_storage() {
            return Ok(0);
        }
        self.view.cluster().buffers.blocks(relation.relation.file, Fork::Main)
    }

    fn index_blocks(&self, index: &IndexEntry) -> Result<u32> {
        self.view.cluster().buffers.blocks(index.descriptor.file, Fork::Main)
    }

    fn index_height(&self, index: &IndexEntry) -> Result<u32> {
        Tree::new(self.view.cluster(), &index.descriptor, None).height()
    }

    /// `get_actual_variable_endpoint`: the first entry from that end whose row somebody may see. A run of
    /// dead entries is given up after [`VISITED_PAGES_MAX`] heap pages.
    fn index_end(&self, index: &IndexEntry, last: bool) -> Result<Option<Value>> {
        let table = self.view.expect_relation(index.heap)?;
        let cluster = self.view.cluster();
        let heap = Heap::new(&table.relation, self.view.transaction);
        let visibility = Visibility::NonVacuumable(heap.horizon_kind());
        let not_null = vec![ScanKey { column: 0, condition: Condition::IsNotNull }];
        let options =
            ScanOptions { mvcc: true, with_tuples: true, skip_killed: !cluster.transactions.in_recovery() };
        let mut scan = Scan::new(Arc::clone(cluster), Arc::clone(&index.descriptor), not_null, options);
        let direction = if last { Direction::Backward } else { Direction::Forward };
        let mut fetch = TupleFetch::new(&heap, &[]);
        let (mut map_pin, mut visited, mut last_block) = (None, 0, None);
        while let Some(tid) = scan.next(direction)? {
            let status =
                visibility_map::status(&cluster.buffers, table.relation.file, tid.block, &mut map_pin)?;
            if status & visibility_map::ALL_VISIBLE == 0 {
                if last_block.replace(tid.block) != Some(tid.block) {
                    visited += 1;
                    if visited > VISITED_PAGES_MAX {
                        return Ok(None);
                    }
                }
                if let FetchedRow::Nothing { all_dead } =
                    fetch.fetch_chain(&heap, &visibility, tid, 0, &mut [])?
                {
                    if all_dead {
                        scan.kill_current();
                    }
                    continue;
                }
            }
            let mut values = Vec::new();
            scan.current_values(&mut values)?;
            return Ok(values.into_iter().next());
        }
        Ok(None)
    }

    fn call(&self, function: Oid, collation: Oid, args: &[&Value]) -> Result<Option<Value>> {
        let Some(builtin) = lookup(function) else { return Ok(None) };
        // What depends on the types of its arguments is left for run time, where they are known.
        let known = builtin.arguments.is_some_and(|args| args.iter().all(Option::is_some))
            && builtin.result.is_some_and(|result| result.is_some());
        if !known {
            return Ok(None);
        }
        if builtin.strict && args.iter().any(|arg| arg.is_null()) {
            return Ok(Some(Value::Null));
        }
        let refs: Vec<ValueRef<'_>> = args.iter().map(|arg| arg.as_ref()).collect();
        let mut context = self.call;
        context.collation = collation;
        (builtin.scalar)(&mut context, &refs).map(Some)
    }

    fn coerce_via_io(&self, from: Oid, value: &Value, to: Oid) -> Result<Option<Value>> {
        // Date and time types and others print by settings: their casts wait for run time.
        const PLAIN: [u32; 11] = [16, 18, 19, 20, 21, 23, 25, 26, 1042, 1043, 1700];
        if !PLAIN.contains(&from.0) || !PLAIN.contains(&to.0) {
            return Ok(None);
        }
        if value.is_null() {
            return Ok(Some(Value::Null));
        }
        let mut text = Vec::new();
        io::output_text(from, value.as_ref(), self.call.io, &mut text)?;
        let text = std::str::from_utf8(&text).map_err(|_| {
            error!(CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
        })?;
        io::input_text(to, -1, text, self.call.io).map(Some)
    }
}
