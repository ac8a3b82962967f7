//! Bitmap scans: index scans that only collect places, and the heap scan that visits these in physical
//! order.
//!
//! Realises: the bitmap half of `indxpath.c` (`choose_bitmap_and`) and `cost_bitmap_tree_node`. Bitmaps of
//! several indexes may be intersected, where reading fewer heap pages pays for reading another index.
//!
//! Differs: OR conditions are not turned into unions of bitmaps.

use std::rc::Rc;

use kokkiri_analyze::tree::Relids;
use kokkiri_primitives::Result;

use crate::clause::Clause;
use crate::cost::{self, BitmapHeapInput, clamp_rows};
use crate::path::{BitmapPath, BitmapSource, IndexPath, Path, PathKind, Target, add_path};
use crate::root::Root;

impl BitmapPath {
    /// The index scans below, in order.
    pub fn scans(&self) -> Vec<&IndexPath> {
        match &self.source {
            BitmapSource::Index { scan, .. } => vec![scan],
            BitmapSource::And(inputs) => inputs.iter().flat_map(|input| input.scans()).collect(),
        }
    }

    /// Some index scan below checks the condition.
    pub fn checks(&self, clause: &Rc<Clause>) -> bool {
        let of_scan = |scan: &IndexPath| scan.index_clauses.iter().any(|own| Rc::ptr_eq(&own.clause, clause));
        self.scans().into_iter().any(of_scan)
    }

    fn shares_clauses(&self, others: &[Rc<BitmapPath>]) -> bool {
        self.scans()
            .into_iter()
            .flat_map(|scan| &scan.index_clauses)
            .any(|own| others.iter().any(|other| other.checks(&own.clause)))
    }

    fn same_clauses(&self, other: &BitmapPath) -> bool {
        let all_in = |a: &BitmapPath, b: &BitmapPath| {
            a.scans().into_iter().flat_map(|scan| &scan.index_clauses).all(|own| b.checks(&own.clause))
        };
        all_in(self, other) && all_in(other, self)
    }
}

impl Root<'_, '_> {
    /// Adds the bitmap scans that these candidates make possible: `plain` ones, and those that need values of
    /// other relations.
    pub fn bitmap_paths(
        &self,
        relid: u32,
        plain: &[Rc<BitmapPath>],
        joined: &[Rc<BitmapPath>],
        target: &Rc<Target>,
        paths: &mut Vec<Rc<Path>>,
    ) -> Result<()> {
        if let Some(best) = self.choose_bitmap_and(relid, plain, target)? {
            add_path(paths, self.bitmap_heap_path(relid, &best, target)?);
        }
        let mut outers: Vec<&Relids> = Vec::new();
        for candidate in joined {
            if !outers.contains(&&candidate.required_outer) {
                outers.push(&candidate.required_outer);
            }
        }
        for outer in outers {
            let fitting = joined.iter().filter(|candidate| candidate.required_outer.is_subset_of(outer));
            let candidates: Vec<Rc<BitmapPath>> = fitting.chain(plain).cloned().collect();
            if let Some(best) = self.choose_bitmap_and(relid, &candidates, target)? {
                add_path(paths, self.bitmap_heap_path(relid, &best, target)?);
            }
        }
        Ok(())
    }

    /// The cheapest candidate or intersection of some: each in turn, from the cheapest on, is joined by those
    /// after it that make the whole cheaper (`choose_bitmap_and`).
    fn choose_bitmap_and(
        &self,
        relid: u32,
        candidates: &[Rc<BitmapPath>],
        target: &Rc<Target>,
    ) -> Result<Option<Rc<BitmapPath>>> {
        let mut distinct: Vec<Rc<BitmapPath>> = Vec::new();
        for candidate in candidates {
            match distinct.iter_mut().find(|known| known.same_clauses(candidate)) {
                Some(known) if candidate.cost < known.cost => *known = Rc::clone(candidate),
                Some(_) => {}
                None => distinct.push(Rc::clone(candidate)),
            }
        }
        distinct.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.selectivity.total_cmp(&b.selectivity)));
        let mut best: Option<(f64, Rc<BitmapPath>)> = None;
        for (at, leader) in distinct.iter().enumerate() {
            let mut group = vec![Rc::clone(leader)];
            let mut whole = Rc::clone(leader);
            let mut cost = self.bitmap_heap_path(relid, &whole, target)?.cost.total;
            for other in &distinct[at + 1..] {
                if other.shares_clauses(&group) {
                    continue;
                }
                group.push(Rc::clone(other));
                let wider = Rc::new(self.bitmap_and(&group));
                let wider_cost = self.bitmap_heap_path(relid, &wider, target)?.cost.total;
                if wider_cost < cost {
                    (cost, whole) = (wider_cost, wider);
                } else {
                    group.pop();
                }
            }
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, whole));
            }
        }
        Ok(best.map(|(_, path)| path))
    }

    /// Bitmaps intersected, as if independent of one another (`cost_bitmap_and_node`).
    fn bitmap_and(&self, inputs: &[Rc<BitmapPath>]) -> BitmapPath {
        let merging = 100.0 * self.global.cost.cpu_operator_cost * (inputs.len() - 1) as f64;
        let mut required_outer = Relids::new();
        let mut joined: Vec<Rc<Clause>> = Vec::new();
        for input in inputs {
            required_outer.add_all(&input.required_outer);
            for clause in &input.joined {
                if !joined.iter().any(|known| Rc::ptr_eq(known, clause)) {
                    joined.push(Rc::clone(clause));
                }
            }
        }
        BitmapPath {
            cost: inputs.iter().map(|input| input.cost).sum::<f64>() + merging,
            selectivity: inputs.iter().map(|input| input.selectivity).product(),
            required_outer,
            joined,
            source: BitmapSource::And(inputs.to_vec()),
        }
    }

    fn bitmap_heap_path(&self, relid: u32, bitmap: &Rc<BitmapPath>, target: &Rc<Target>) -> Result<Path> {
        let base = &self.base[&relid];
        let all: Vec<Rc<Clause>> = base.restrictions.iter().chain(&bitmap.joined).cloned().collect();
        let rows = if bitmap.joined.is_empty() {
            base.rows
        } else {
            clamp_rows(base.tuples * self.clauses_selectivity(&all, relid, None)?).min(base.rows)
        };
        let input = BitmapHeapInput {
            pages: base.pages,
            tuples: base.tuples,
            bitmap_cost: bitmap.cost,
            selectivity: bitmap.selectivity,
            index_pages: bitmap.scans().into_iter().map(|scan| scan.index.pages).sum(),
            total_table_pages: self.total_table_pages,
            loops: self.loop_count(&bitmap.required_outer),
            filter: Self::filter_cost(&all),
        };
        Ok(Path {
            kind: PathKind::BitmapHeapScan { relid, bitmap: Rc::clone(bitmap) },
            relids: Relids::single(relid),
            required_outer: bitmap.required_outer.clone(),
            target: Rc::clone(target),
            rows,
            cost: cost::bitmap_heap_scan(&self.global.cost, &input),
            disabled_nodes: usize::from(!self.global.cost.enable.bitmapscan),
            pathkeys: Vec::new(),
        })
    }
}
