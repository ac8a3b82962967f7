//! Sizes of base relations and ways to scan them.
//!
//! Realises: `allpaths.c` (`set_base_rel_sizes`, `set_base_rel_pathlists`) and `indxpath.c`. An index is
//! useful for the conditions it can check, for the order it returns rows in, and for holding every column
//! that is needed; with conditions that compare it to other relations' columns it becomes the inner side
//! of a nested loop.

use std::rc::Rc;

use kokkiri_analyze::tree::{Expression, Relids};
use kokkiri_primitives::Result;
use kokkiri_types::builtin::oid;

use crate::clause::Clause;
use crate::cost::{self, Cost, EvaluationCost, IndexScanInput, clamp_rows};
use crate::expression::{relids, without_relabel};
use crate::path::{
    BitmapPath, BitmapSource, IndexClause, IndexPath, Path, PathKey, PathKind, Target, add_path,
};
use crate::plan::ScanDirection;
use crate::relation::{BaseKind, IndexInfo, Rel};
use crate::root::{Root, key};

const BTREE_EQUAL: u16 = 3;
/// The operator `tid = tid`.
const TID_EQUAL: u32 = 387;

impl Root<'_, '_> {
    /// Estimates each base relation's rows and finds its paths.
    pub fn plan_base_relations(&mut self) -> Result<()> {
        let all: Vec<u32> = self.base.keys().copied().collect();
        for &relid in &all {
            let base = &self.base[&relid];
            let selectivity = self.clauses_selectivity(&base.restrictions, 0, None)?;
            let rows = clamp_rows(base.tuples * selectivity);
            self.base.get_mut(&relid).expect("just looked up").rows = rows;
        }
        for relid in all {
            let relids = Relids::single(relid);
            let target = Rc::new(self.join_target(&relids)?);
            let rel = Rel { rows: self.base[&relid].rows, target: Rc::clone(&target), paths: Vec::new() };
            self.rels.insert(key(&relids), rel);
            let paths = self.scan_paths(relid, &target)?;
            self.rels.get_mut(&key(&relids)).expect("just inserted").paths = paths;
        }
        Ok(())
    }

    fn is_contradictory(&self, relid: u32) -> bool {
        self.base[&relid].restrictions.iter().any(|clause| clause.is_never_true())
    }

    /// Columns that a relation or join must hand up.
    pub fn join_target(&self, joined: &Relids) -> Result<Target> {
        let mut target = Target::default();
        let mut width = 0;
        for (relid, base) in &self.base {
            if !joined.contains(*relid) {
                continue;
            }
            for (expr, needed) in base.needed.values() {
                if !needed.is_subset_of(joined) {
                    width += i64::from(self.width_of(expr)?);
                    target.exprs.push(expr.clone());
                    target.references.push(0);
                }
            }
        }
        target.width = cost::clamp_width(width);
        Ok(target)
    }

    /// Average width of an expression's values, bytes.
    pub fn width_of(&self, expr: &Expression) -> Result<i32> {
        // A stored form comes besides the value, whose width counts.
        if expr.result_type() == oid::INTERNAL {
            return Ok(0);
        }
        if let Expression::Var(var) = expr
            && let Some(base) = self.base.get(&var.varno)
        {
            match &base.kind {
                BaseKind::Table(table) => {
                    if let Some(statistics) = self.global.lookup.column_statistics(table.oid, var.varattno)?
                        && statistics.width > 0
                    {
                        return Ok(statistics.width);
                    }
                }
                BaseKind::Subquery(subquery) => {
                    let column = subquery.plan.target_list.get((var.varattno as usize).wrapping_sub(1));
                    if let Some(column) = column {
                        return self
                            .global
                            .lookup
                            .type_width(column.expr.result_type(), column.expr.typmod());
                    }
                }
                _ => {}
            }
        }
        self.global.lookup.type_width(expr.result_type(), expr.typmod())
    }

    pub fn filter_cost(clauses: &[Rc<Clause>]) -> EvaluationCost {
        clauses.iter().fold(EvaluationCost::default(), |sum, clause| sum + clause.cost)
    }

    fn scan_paths(&mut self, relid: u32, target: &Rc<Target>) -> Result<Vec<Rc<Path>>> {
        let mut paths = Vec::new();
        let base = &self.base[&relid];
        let (rows, tuples, pages) = (base.rows, base.tuples, base.pages);
        let lateral = base.lateral.clone();
        let filter = Self::filter_cost(&base.restrictions);
        let relids = Relids::single(relid);
        let simple = |kind: PathKind, cost: Cost, pathkeys: Vec<PathKey>, disabled: usize| Path {
            kind,
            relids: relids.clone(),
            required_outer: lateral.clone(),
            target: Rc::clone(target),
            rows,
            cost,
            disabled_nodes: disabled,
            pathkeys,
        };
        if self.is_contradictory(relid) {
            let none = simple(PathKind::Dummy, Cost::default(), Vec::new(), 0);
            add_path(&mut paths, Path { rows: 0.0, ..none });
            return Ok(paths);
        }
        let p = self.global.cost.clone();
        match &self.base[&relid].kind {
            BaseKind::Table(_) => {
                let cost = cost::seq_scan(&p, pages, tuples, rows, filter, EvaluationCost::default());
                let disabled = usize::from(!p.enable.seqscan);
                let scan = PathKind::SeqScan { relid, clauses: Vec::new() };
                add_path(&mut paths, simple(scan, cost, Vec::new(), disabled));
                self.tid_paths(relid, target, &mut paths)?;
                let indexes = self.base[&relid].indexes.clone();
                let mut bitmaps = (Vec::new(), Vec::new());
                for index in indexes.into_iter().filter(|index| index.predicate_holds) {
                    self.index_paths(relid, &index, target, &mut paths, &mut bitmaps)?;
                }
                self.bitmap_paths(relid, &bitmaps.0, &bitmaps.1, target, &mut paths)?;
            }
            BaseKind::Subquery(subquery) => {
                let subquery = Rc::clone(subquery);
                let input = subquery.plan.cost;
                let mut cost = input;
                let disabled = subquery.plan.disabled_nodes;
                if filter != EvaluationCost::default() || !self.base[&relid].restrictions.is_empty() {
                    cost.startup += filter.startup;
                    cost.total += filter.startup + (p.cpu_tuple_cost + filter.per_tuple) * subquery.rows;
                }
                let keys = self.subquery_order(relid, &subquery)?;
                let scan = PathKind::SubqueryScan { relid, clauses: Vec::new() };
                add_path(&mut paths, simple(scan, cost, keys, disabled));
            }
            BaseKind::Function => {
                let function = self.function_scan_cost(relid)?;
                let startup = function.startup + function.per_tuple + filter.startup;
                let run = (p.cpu_tuple_cost + filter.per_tuple) * tuples;
                let scan = PathKind::FunctionScan { relid, clauses: Vec::new() };
                add_path(&mut paths, simple(scan, Cost { startup, total: startup + run }, Vec::new(), 0));
            }
            BaseKind::Values => {
                let startup = filter.startup;
                let run = (p.cpu_operator_cost + p.cpu_tuple_cost + filter.per_tuple) * tuples;
                let scan = PathKind::ValuesScan { relid, clauses: Vec::new() };
                add_path(&mut paths, simple(scan, Cost { startup, total: startup + run }, Vec::new(), 0));
            }
            BaseKind::Result => {
                let cost = Cost { startup: filter.startup, total: filter.startup + p.cpu_tuple_cost };
                let scan = PathKind::Result { input: None, constant_qual: Vec::new() };
                add_path(&mut paths, simple(scan, cost, Vec::new(), 0));
            }
        }
        Ok(paths)
    }

    fn function_scan_cost(&self, relid: u32) -> Result<EvaluationCost> {
        let kokkiri_analyze::tree::RteKind::Function { functions, .. } = &self.global.rte(relid).kind else {
            return Ok(EvaluationCost::default());
        };
        let mut sum = EvaluationCost::default();
        for function in functions {
            sum = sum + self.global.lookup.evaluation_cost(&function.expr)?;
        }
        Ok(sum)
    }

    /// The order that a subquery's rows come in, in this query's terms.
    pub fn subquery_order(
        &mut self,
        relid: u32,
        subquery: &crate::relation::PlannedSubquery,
    ) -> Result<Vec<PathKey>> {
        let mut keys: Vec<PathKey> = Vec::new();
        for &(column, family, descending, nulls_first) in &subquery.order {
            let Some(target) = subquery.plan.target_list.get(column as usize - 1) else { break };
            let expr = crate::expression::var(relid, column, &target.expr);
            let families = self.global.lookup.merge_families(family, expr.result_type())?;
            let Some(class) = self.class_of(&expr, &families, expr.collation(), 0, false) else { break };
            keys.push(PathKey { class, family, descending, nulls_first });
        }
        Ok(keys)
    }

    fn tid_paths(&mut self, relid: u32, target: &Rc<Target>, paths: &mut Vec<Rc<Path>>) -> Result<()> {
        let base = &self.base[&relid];
        let is_ctid = |expr: &Expression| matches!(expr, Expression::Var(var) if var.varno == relid && var.varattno == -1);
        let found = base.restrictions.iter().find_map(|clause| match &clause.expr {
            Expression::OpExpr(operator) if operator.opno.0 == TID_EQUAL => match operator.args.as_slice() {
                [left, right] if is_ctid(left) && relids(right).is_empty() => Some((clause, 1.0)),
                [left, right] if is_ctid(right) && relids(left).is_empty() => Some((clause, 1.0)),
                _ => None,
            },
            Expression::ScalarArrayOpExpr(test)
                if test.opno.0 == TID_EQUAL
                    && test.use_or
                    && is_ctid(&test.scalar)
                    && relids(&test.array).is_empty() =>
            {
                Some((clause, 10.0))
            }
            Expression::CurrentOf(current) if current.varno == relid => Some((clause, 1.0)),
            _ => None,
        });
        let Some((clause, tids)) = found else { return Ok(()) };
        let p = &self.global.cost;
        let filter = Self::filter_cost(&base.restrictions);
        let cost = cost::tid_scan(p, tids, clause.cost, filter, EvaluationCost::default(), base.rows);
        let path = Path {
            kind: PathKind::TidScan { relid, quals: vec![Rc::clone(clause)], clauses: Vec::new() },
            relids: Relids::single(relid),
            required_outer: Relids::new(),
            target: Rc::clone(target),
            rows: base.rows,
            cost,
            disabled_nodes: usize::from(!p.enable.tidscan),
            pathkeys: Vec::new(),
        };
        add_path(paths, path);
        Ok(())
    }

    fn index_paths(
        &mut self,
        relid: u32,
        index: &Rc<IndexInfo>,
        target: &Rc<Target>,
        paths: &mut Vec<Rc<Path>>,
        bitmaps: &mut (Vec<Rc<BitmapPath>>, Vec<Rc<BitmapPath>>),
    ) -> Result<()> {
        let restrictions = self.base[&relid].restrictions.clone();
        let mut own = Vec::new();
        for clause in &restrictions {
            own.extend(self.match_index(clause, index)?);
        }
        own.sort_by_key(|clause| clause.column);
        bitmaps.0.extend(self.build_index_path(relid, index, &own, &[], target, paths)?);

        // Conditions with other relations, first those written, then those that classes imply.
        let mut candidates: Vec<Rc<Clause>> = self.base[&relid].join_clauses.clone();
        for column in 0..index.key_count {
            candidates.extend(self.class_clauses(relid, index, column)?);
        }
        let mut joins: Vec<IndexClause> = Vec::new();
        for clause in &candidates {
            if self.is_movable_to(clause, relid)
                && !joins.iter().any(|other| Rc::ptr_eq(&other.clause, clause))
            {
                joins.extend(self.match_index(clause, index)?);
            }
        }
        if joins.is_empty() {
            return Ok(());
        }
        let outer_of = |clause: &IndexClause| {
            let mut outer = clause.clause.mentions.clone();
            outer.remove(relid);
            outer
        };
        let mut sets: Vec<Relids> = Vec::new();
        for clause in &joins {
            let outer = outer_of(clause);
            for known in sets.clone() {
                let union = known.union(&outer);
                if !sets.contains(&union) && sets.len() < 16 {
                    sets.push(union);
                }
            }
            if !sets.contains(&outer) {
                sets.push(outer);
            }
        }
        for set in sets {
            let mut clauses = own.clone();
            let mut used: Vec<Rc<Clause>> = Vec::new();
            for clause in joins.iter().filter(|clause| outer_of(clause).is_subset_of(&set)) {
                // One clause of a class for each column is enough.
                let redundant = clauses.iter().any(|other| {
                    other.column == clause.column
                        && other.clause.left_class.get().is_some()
                        && other.clause.left_class.get() == clause.clause.left_class.get()
                });
                if !redundant {
                    used.push(Rc::clone(&clause.clause));
                    clauses.push(clause.clone());
                }
            }
            clauses.sort_by_key(|clause| clause.column);
            for clause in &candidates {
                let mut outer = clause.mentions.clone();
                outer.remove(relid);
                let class = clause.left_class.get();
                let implied = clause.parent_class.is_some()
                    || used.iter().any(|other| class.is_some() && other.left_class.get() == class);
                if outer.is_subset_of(&set)
                    && self.is_movable_to(clause, relid)
                    && !implied
                    && !used.iter().any(|other| Rc::ptr_eq(other, clause))
                {
                    used.push(Rc::clone(clause));
                }
            }
            bitmaps.1.extend(self.build_index_path(relid, index, &clauses, &used, target, paths)?);
        }
        Ok(())
    }

    /// A join condition may be checked while scanning `relid` with the other side's values given
    /// (`join_clause_is_movable_to`).
    pub fn is_movable_to(&self, clause: &Clause, relid: u32) -> bool {
        if !clause.mentions.contains(relid) || clause.mentions.len() < 2 {
            return false;
        }
        // Not onto a relation that the clause's outer join preserves, nor across one that nulls it.
        self.special_joins.iter().all(|special| {
            let own = special.relid != 0
                && clause.required.contains(special.relid)
                && !clause.mentions.contains(special.relid);
            let nulled = special.relid != 0 && clause.mentions.contains(special.relid);
            let full = special.join_type == crate::plan::JoinType::Full;
            !(own && (full || special.syntactic_left.contains(relid)))
                && !(nulled && special.syntactic_right.contains(relid))
        })
    }

    /// Equalities with other relations that a class implies for an index column.
    fn class_clauses(&mut self, relid: u32, index: &IndexInfo, column: usize) -> Result<Vec<Rc<Clause>>> {
        let expr = index.columns[column].clone();
        let family = index.families[column];
        let families = self.global.lookup.merge_families(family, expr.result_type())?;
        let Some(class) = self.class_of(&expr, &families, index.collations[column], 0, false) else {
            return Ok(Vec::new());
        };
        if self.classes[class].has_constant {
            return Ok(Vec::new());
        }
        let members = self.classes[class].members.clone();
        let Some(own) =
            members.iter().find(|member| without_relabel(&member.expr) == without_relabel(&expr)).cloned()
        else {
            return Ok(Vec::new());
        };
        let mut clauses = Vec::new();
        for member in &members {
            if !member.relids.is_empty() && !member.relids.contains(relid) {
                clauses.extend(self.derive(class, &own, member)?);
            }
        }
        Ok(clauses)
    }

    /// How an index can check a condition, if at all (`match_clause_to_indexcol`).
    fn match_index(&self, clause: &Rc<Clause>, index: &IndexInfo) -> Result<Option<IndexClause>> {
        for column in 0..index.key_count {
            let is_column = |expr: &Expression| {
                crate::expression::same_value(without_relabel(expr), without_relabel(&index.columns[column]))
            };
            let independent = |expr: &Expression| -> Result<bool> {
                Ok(!relids(expr).contains(index.relid) && !self.global.lookup.is_volatile(expr)?)
            };
            let collation = index.collations[column];
            let commuted = match &clause.expr {
                Expression::OpExpr(operator) => {
                    let [left, right] = operator.args.as_slice() else { continue };
                    if collation.0 != 0 && operator.inputcollid != collation {
                        continue;
                    }
                    if is_column(left) && independent(right)? {
                        if self.global.lookup.strategy(operator.opno, index.families[column])?.is_none() {
                            continue;
                        }
                        false
                    } else if is_column(right) && independent(left)? {
                        let commutator = self.global.lookup.operator(operator.opno)?.commutator;
                        let Some(commutator) = commutator else { continue };
                        if self.global.lookup.strategy(commutator, index.families[column])?.is_none() {
                            continue;
                        }
                        true
                    } else {
                        continue;
                    }
                }
                Expression::ScalarArrayOpExpr(test) => {
                    let fits = test.use_or
                        && is_column(&test.scalar)
                        && independent(&test.array)?
                        && (collation.0 == 0 || test.inputcollid == collation)
                        && self.global.lookup.strategy(test.opno, index.families[column])?.is_some();
                    if !fits {
                        continue;
                    }
                    false
                }
                Expression::NullTest(test) if !test.arg_is_row && is_column(&test.arg) => false,
                _ => continue,
            };
            return Ok(Some(IndexClause { clause: Rc::clone(clause), column, commuted }));
        }
        Ok(None)
    }

    /// Adds the scans of an index with these conditions; answers the bitmap that it could make.
    fn build_index_path(
        &mut self,
        relid: u32,
        index: &Rc<IndexInfo>,
        index_clauses: &[IndexClause],
        joined: &[Rc<Clause>],
        target: &Rc<Target>,
        paths: &mut Vec<Rc<Path>>,
    ) -> Result<Option<Rc<BitmapPath>>> {
        let mut bitmap = None;
        let index_only = self.global.cost.enable.indexonlyscan && self.covers(relid, index);
        let mut required_outer = Relids::new();
        for clause in joined {
            required_outer.add_all(&clause.mentions);
        }
        required_outer.remove(relid);
        let relids = Relids::single(relid);
        for backward in [false, true] {
            let order = self.index_order(index, backward)?;
            let useful = self.useful_keys(&order, &relids);
            let pathkeys = order[..useful].to_vec();
            if pathkeys.is_empty() && (backward || (index_clauses.is_empty() && !index_only)) {
                continue;
            }
            if backward && !required_outer.is_empty() {
                continue;
            }
            let base = &self.base[&relid];
            let checked =
                |clause: &Rc<Clause>| index_clauses.iter().any(|other| Rc::ptr_eq(&other.clause, clause));
            let filter: Vec<Rc<Clause>> =
                base.restrictions.iter().chain(joined).filter(|clause| !checked(clause)).cloned().collect();
            let rows = if joined.is_empty() {
                base.rows
            } else {
                let all: Vec<Rc<Clause>> = base.restrictions.iter().chain(joined).cloned().collect();
                clamp_rows(base.tuples * self.clauses_selectivity(&all, relid, None)?).min(base.rows)
            };
            let input = self.index_cost_input(
                relid,
                index,
                index_clauses,
                &filter,
                &required_outer,
                rows,
                index_only,
            )?;
            let costed = cost::index_scan(&self.global.cost, &input);
            let scan = IndexPath {
                relid,
                index: Rc::clone(index),
                index_clauses: index_clauses.to_vec(),
                filter,
                direction: if backward { ScanDirection::Backward } else { ScanDirection::Forward },
                index_only,
            };
            if !backward && !index_clauses.is_empty() && (pathkeys.is_empty() || input.selectivity < 1.0) {
                // Each place kept in the bitmap costs a little.
                let keeping = 0.1 * self.global.cost.cpu_operator_cost * rows;
                bitmap = Some(Rc::new(BitmapPath {
                    source: BitmapSource::Index { scan: scan.clone(), cost: costed.index_total },
                    cost: costed.index_total + keeping,
                    selectivity: input.selectivity,
                    required_outer: required_outer.clone(),
                    joined: joined.to_vec(),
                }));
            }
            let path = Path {
                kind: PathKind::IndexScan(scan),
                relids: relids.clone(),
                required_outer: required_outer.clone(),
                target: Rc::clone(target),
                rows,
                cost: costed.cost,
                disabled_nodes: usize::from(!self.global.cost.enable.indexscan),
                pathkeys,
            };
            add_path(paths, path);
        }
        Ok(bitmap)
    }

    /// Every column needed is in the index (`check_index_only`).
    fn covers(&self, relid: u32, index: &IndexInfo) -> bool {
        self.base[&relid].needed.keys().all(|&attribute| {
            index
                .columns
                .iter()
                .any(|column| matches!(column, Expression::Var(var) if var.varattno == attribute))
        })
    }

    /// What `btcostestimate` looks at.
    #[expect(clippy::too_many_arguments, reason = "what one index scan consists of")]
    fn index_cost_input(
        &self,
        relid: u32,
        index: &IndexInfo,
        index_clauses: &[IndexClause],
        filter: &[Rc<Clause>],
        required_outer: &Relids,
        rows: f64,
        index_only: bool,
    ) -> Result<IndexScanInput> {
        let base = &self.base[&relid];
        let all: Vec<Rc<Clause>> = index_clauses.iter().map(|clause| Rc::clone(&clause.clause)).collect();
        let selectivity = self.clauses_selectivity(&all, relid, None)?;
        let bounds = self.index_bounds(index, index_clauses)?;
        let mut array_scans = bounds.array_scans;
        let visited = if index.unique && bounds.all_equal && !bounds.has_array && !bounds.has_null {
            array_scans = 1.0;
            1.0
        } else {
            let bound = self.clauses_selectivity(&bounds.clauses, relid, None)?;
            array_scans = array_scans.min((index.pages * 0.333_333_3).ceil()).max(1.0);
            (bound * base.tuples / array_scans).round_ties_even()
        };
        let mut argument_cost = 0.0;
        for clause in index_clauses {
            if let Expression::OpExpr(operator) = &clause.clause.expr
                && let Some(argument) = operator.args.get(usize::from(!clause.commuted))
            {
                let cost = self.global.lookup.evaluation_cost(argument)?;
                argument_cost += cost.startup + cost.per_tuple;
            }
        }
        Ok(IndexScanInput {
            index_pages: index.pages,
            index_tuples: index.tuples,
            tree_height: index.tree_height,
            heap_pages: base.pages,
            heap_tuples: base.tuples,
            all_visible_fraction: base.all_visible_fraction,
            total_table_pages: self.total_table_pages,
            selectivity,
            index_tuples_visited: visited,
            array_scans,
            index_quals: index_clauses.len(),
            qual_argument_cost: argument_cost,
            correlation: self.index_correlation(relid, index)?,
            index_only,
            loops: self.loop_count(required_outer),
            rows,
            filter: Self::filter_cost(filter),
            target: EvaluationCost::default(),
        })
    }

    /// Which index conditions bound the part of the index that is read: equalities on leading columns
    /// and what stands on the first column after them.
    fn index_bounds(&self, index: &IndexInfo, index_clauses: &[IndexClause]) -> Result<IndexBounds> {
        let mut bounds = IndexBounds { array_scans: 1.0, ..IndexBounds::default() };
        let mut column = 0;
        let mut equal_here = false;
        for clause in index_clauses {
            if clause.column > column {
                if !equal_here || clause.column > column + 1 {
                    break;
                }
                column = clause.column;
                equal_here = false;
            }
            let strategy = |operator| self.global.lookup.strategy(operator, index.families[column]);
            match &clause.clause.expr {
                Expression::OpExpr(operator) => {
                    let opno = if clause.commuted {
                        self.global.lookup.operator(operator.opno)?.commutator.unwrap_or(operator.opno)
                    } else {
                        operator.opno
                    };
                    equal_here |= strategy(opno)? == Some(BTREE_EQUAL);
                }
                Expression::ScalarArrayOpExpr(test) => {
                    bounds.has_array = true;
                    let elements = self.global.lookup.array_length(&test.array)?;
                    if elements > 1.0 {
                        bounds.array_scans *= elements;
                    }
                    equal_here |= strategy(test.opno)? == Some(BTREE_EQUAL);
                }
                Expression::NullTest(test) if test.is_null => {
                    bounds.has_null = true;
                    equal_here = true;
                }
                _ => {}
            }
            bounds.clauses.push(Rc::clone(&clause.clause));
        }
        bounds.all_equal = equal_here && column + 1 == index.key_count;
        Ok(bounds)
    }

    fn index_correlation(&self, relid: u32, index: &IndexInfo) -> Result<f64> {
        let BaseKind::Table(table) = &self.base[&relid].kind else { return Ok(0.0) };
        let Expression::Var(var) = &index.columns[0] else { return Ok(0.0) };
        let statistics = self.global.lookup.column_statistics(table.oid, var.varattno)?;
        let Some(correlation) = statistics.and_then(|statistics| statistics.correlation) else {
            return Ok(0.0);
        };
        let mut coefficient = correlation.coefficient;
        if index.descending[0] {
            coefficient = -coefficient;
        }
        Ok(if index.key_count > 1 { coefficient * 0.75 } else { coefficient })
    }

    /// How often a parameterised scan is expected to run (`get_loop_count`).
    pub fn loop_count(&self, required_outer: &Relids) -> f64 {
        let rows = required_outer.iter().filter_map(|relid| self.base.get(&relid)).map(|base| base.rows);
        let least = rows.fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 1.0 }
    }
}

#[derive(Default)]
struct IndexBounds {
    clauses: Vec<Rc<Clause>>,
    array_scans: f64,
    /// Equality on every key column.
    all_equal: bool,
    has_array: bool,
    has_null: bool,
}
