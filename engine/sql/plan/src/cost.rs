//! The cost model: what each plan node is estimated to cost, in units of one sequential page fetch.
//!
//! Realises: PostgreSQL's `costsize.c` and `btcostestimate`. The functions here are arithmetic only: they
//! take row counts, widths and the costs of inputs, and know neither paths nor expressions. The formulas
//! and their rounding follow PostgreSQL, so that EXPLAIN shows the same numbers for the same statistics.
//!
//! Disabled node types (`enable_seqscan = off` and its kin) do not distort costs: paths count how many
//! disabled nodes they contain, and fewer always wins.

use kokkiri_primitives::BLOCK_SIZE;
use kokkiri_primitives::settings::{Settings, parameters};

const BLOCK: f64 = BLOCK_SIZE as f64;
/// A heap tuple's header, aligned, as `relation_byte_size` charges it.
const HEAP_TUPLE_HEADER: f64 = 24.0;
const MINIMAL_TUPLE_HEADER: f64 = 16.0;
const HASH_JOIN_TUPLE_OVERHEAD: f64 = 16.0;
const POINTER: f64 = 8.0;
const MAX_ALLOCATION: f64 = 1_073_741_823.0;
/// Rows are never estimated beyond this.
const MAXIMUM_ROW_COUNT: f64 = 1e100;
/// CPU charged for each page of an index visited on a descent, in operators.
pub const DEFAULT_PAGE_CPU_MULTIPLIER: f64 = 50.0;

/// The settings that costs depend on, read once a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct CostParameters {
    pub seq_page_cost: f64,
    pub random_page_cost: f64,
    pub cpu_tuple_cost: f64,
    pub cpu_index_tuple_cost: f64,
    pub cpu_operator_cost: f64,
    /// Pages.
    pub effective_cache_size: f64,
    /// Bytes.
    pub work_mem: f64,
    pub hash_mem_multiplier: f64,
    pub cursor_tuple_fraction: f64,
    /// Relations.
    pub from_collapse_limit: usize,
    pub join_collapse_limit: usize,
    /// From how many relations on not every order is tried; `usize::MAX` where `geqo` is off.
    pub geqo_threshold: usize,
    pub enable: Enabled,
}

/// The `enable_*` settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Enabled {
    pub seqscan: bool,
    pub indexscan: bool,
    pub indexonlyscan: bool,
    pub bitmapscan: bool,
    pub tidscan: bool,
    pub sort: bool,
    pub incremental_sort: bool,
    pub hashagg: bool,
    pub material: bool,
    pub nestloop: bool,
    pub mergejoin: bool,
    pub hashjoin: bool,
    pub self_join_elimination: bool,
    pub presorted_aggregate: bool,
}

impl CostParameters {
    pub fn from_settings(settings: &Settings) -> Self {
        Self {
            seq_page_cost: settings.get(parameters::SEQ_PAGE_COST),
            random_page_cost: settings.get(parameters::RANDOM_PAGE_COST),
            cpu_tuple_cost: settings.get(parameters::CPU_TUPLE_COST),
            cpu_index_tuple_cost: settings.get(parameters::CPU_INDEX_TUPLE_COST),
            cpu_operator_cost: settings.get(parameters::CPU_OPERATOR_COST),
            effective_cache_size: settings.get(parameters::EFFECTIVE_CACHE_SIZE) as f64,
            work_mem: settings.get(parameters::WORK_MEM) as f64 * 1024.0,
            hash_mem_multiplier: settings.get(parameters::HASH_MEM_MULTIPLIER),
            cursor_tuple_fraction: settings.get(parameters::CURSOR_TUPLE_FRACTION),
            from_collapse_limit: settings.get(parameters::FROM_COLLAPSE_LIMIT) as usize,
            join_collapse_limit: settings.get(parameters::JOIN_COLLAPSE_LIMIT) as usize,
            geqo_threshold: if settings.get(parameters::GEQO) {
                settings.get(parameters::GEQO_THRESHOLD) as usize
            } else {
                usize::MAX
            },
            enable: Enabled {
                seqscan: settings.get(parameters::ENABLE_SEQSCAN),
                indexscan: settings.get(parameters::ENABLE_INDEXSCAN),
                indexonlyscan: settings.get(parameters::ENABLE_INDEXONLYSCAN),
                bitmapscan: settings.get(parameters::ENABLE_BITMAPSCAN),
                tidscan: settings.get(parameters::ENABLE_TIDSCAN),
                sort: settings.get(parameters::ENABLE_SORT),
                incremental_sort: settings.get(parameters::ENABLE_INCREMENTAL_SORT),
                hashagg: settings.get(parameters::ENABLE_HASHAGG),
                material: settings.get(parameters::ENABLE_MATERIAL),
                nestloop: settings.get(parameters::ENABLE_NESTLOOP),
                mergejoin: settings.get(parameters::ENABLE_MERGEJOIN),
                hashjoin: settings.get(parameters::ENABLE_HASHJOIN),
                self_join_elimination: settings.get(parameters::ENABLE_SELF_JOIN_ELIMINATION),
                presorted_aggregate: settings.get(parameters::ENABLE_PRESORTED_AGGREGATE),
            },
        }
    }

    /// What a hash table may hold, bytes (`get_hash_memory_limit`).
    pub fn hash_memory(&self) -> f64 {
        self.work_mem * self.hash_mem_multiplier
    }
}

impl Default for CostParameters {
    /// PostgreSQL's defaults.
    fn default() -> Self {
        Self {
            seq_page_cost: 1.0,
            random_page_cost: 4.0,
            cpu_tuple_cost: 0.01,
            cpu_index_tuple_cost: 0.005,
            cpu_operator_cost: 0.0025,
            effective_cache_size: 524_288.0,
            work_mem: 4096.0 * 1024.0,
            hash_mem_multiplier: 2.0,
            cursor_tuple_fraction: 0.1,
            from_collapse_limit: 8,
            join_collapse_limit: 8,
            geqo_threshold: 12,
            enable: Enabled {
                seqscan: true,
                indexscan: true,
                indexonlyscan: true,
                bitmapscan: true,
                tidscan: true,
                sort: true,
                incremental_sort: true,
                hashagg: true,
                material: true,
                nestloop: true,
                mergejoin: true,
                hashjoin: true,
                self_join_elimination: true,
                presorted_aggregate: true,
            },
        }
    }
}

/// Cost until the first row, and until the last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    pub startup: f64,
    pub total: f64,
}

impl Cost {
    pub fn run(self) -> f64 {
        self.total - self.startup
    }
}

/// Cost of evaluating an expression: once, and for each row (`QualCost`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EvaluationCost {
    pub startup: f64,
    pub per_tuple: f64,
}

impl std::ops::Add for EvaluationCost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { startup: self.startup + other.startup, per_tuple: self.per_tuple + other.per_tuple }
    }
}

impl std::ops::Sub for EvaluationCost {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { startup: self.startup - other.startup, per_tuple: self.per_tuple - other.per_tuple }
    }
}

/// A row estimate made sane: at least one, whole, finite (`clamp_row_est`).
pub fn clamp_rows(rows: f64) -> f64 {
    if rows > MAXIMUM_ROW_COUNT || rows.is_nan() {
        MAXIMUM_ROW_COUNT
    } else if rows <= 1.0 {
        1.0
    } else {
        rows.round_ties_even()
    }
}

/// Widths are positive and bounded by what an int can hold (`clamp_width_est`).
pub fn clamp_width(width: i64) -> i32 {
    width.clamp(0, MAX_ALLOCATION as i64) as i32
}

fn max_align(bytes: f64) -> f64 {
    (bytes / 8.0).ceil() * 8.0
}

/// Bytes that rows take when materialised (`relation_byte_size`).
pub fn relation_bytes(rows: f64, width: i32) -> f64 {
    rows * (max_align(f64::from(width)) + HEAP_TUPLE_HEADER)
}

pub fn relation_pages(rows: f64, width: i32) -> f64 {
    (relation_bytes(rows, width) / BLOCK).ceil()
}

/// Cost of a sequential scan.
pub fn seq_scan(
    p: &CostParameters,
    pages: f64,
    tuples: f64,
    rows: f64,
    qual: EvaluationCost,
    target: EvaluationCost,
) -> Cost {
    let startup = qual.startup + target.startup;
    let run =
        (p.cpu_tuple_cost + qual.per_tuple) * tuples + target.per_tuple * rows + p.seq_page_cost * pages;
    Cost { startup, total: startup + run }
}

/// Cost of fetching rows by tid: each is a random page.
pub fn tid_scan(
    p: &CostParameters,
    tids: f64,
    tid_qual: EvaluationCost,
    qual: EvaluationCost,
    target: EvaluationCost,
    rows: f64,
) -> Cost {
    let startup = qual.startup + tid_qual.per_tuple + target.startup;
    let per_tuple = p.cpu_tuple_cost + qual.per_tuple - tid_qual.per_tuple;
    let run = p.random_page_cost * tids + per_tuple * tids + target.per_tuple * rows;
    Cost { startup, total: startup + run }
}

/// How many distinct pages of a table `fetches` random fetches touch when the cache keeps some of them:
/// Mackert and Lohman's formula (`index_pages_fetched`).
pub fn index_pages_fetched(
    p: &CostParameters,
    fetches: f64,
    pages: f64,
    index_pages: f64,
    total_table_pages: f64,
) -> f64 {
    let table = pages.max(1.0);
    let total = (total_table_pages + index_pages).max(1.0);
    let share = p.effective_cache_size * table / total;
    let cached = if share <= 1.0 { 1.0 } else { share.ceil() };
    let by_chance = |n: f64| (2.0 * table * n) / (2.0 * table + n);
    if table <= cached {
        let pages = by_chance(fetches);
        return if pages >= table { table } else { pages.ceil() };
    }
    let limit = (2.0 * table * cached) / (2.0 * table - cached);
    let pages = if fetches <= limit {
        by_chance(fetches)
    } else {
        cached + (fetches - limit) * (table - cached) / table
    };
    pages.ceil()
}

/// What a B-tree scan is estimated from.
#[derive(Clone, Debug)]
pub struct IndexScanInput {
    pub index_pages: f64,
    pub index_tuples: f64,
    pub tree_height: f64,
    pub heap_pages: f64,
    pub heap_tuples: f64,
    pub all_visible_fraction: f64,
    pub total_table_pages: f64,
    /// Fraction of the table that all index quals together select.
    pub selectivity: f64,
    /// Index tuples to be visited in one primitive scan, from the quals that bound it.
    pub index_tuples_visited: f64,
    /// Descents caused by array keys.
    pub array_scans: f64,
    pub index_quals: usize,
    /// Evaluating the comparison values once.
    pub qual_argument_cost: f64,
    pub correlation: f64,
    pub index_only: bool,
    /// Executions expected as the inner side of nested loops.
    pub loops: f64,
    pub rows: f64,
    /// Quals evaluated on the fetched rows.
    pub filter: EvaluationCost,
    pub target: EvaluationCost,
}

/// An index scan's cost, with the part spent in the index.
#[derive(Clone, Copy, Debug)]
pub struct IndexScanCost {
    pub cost: Cost,
    pub index_total: f64,
}

/// Cost of a B-tree index scan (`cost_index` over `btcostestimate`).
pub fn index_scan(p: &CostParameters, scan: &IndexScanInput) -> IndexScanCost {
    let index = btree_cost(p, scan);
    let tuples = clamp_rows(scan.selectivity * scan.heap_tuples);
    let visible = |pages: f64| {
        if scan.index_only { (pages * (1.0 - scan.all_visible_fraction)).ceil() } else { pages }
    };
    let fetched = |fetches: f64| {
        let pages =
            index_pages_fetched(p, fetches, scan.heap_pages, scan.index_pages, scan.total_table_pages);
        visible(pages)
    };
    let correlated_pages = (scan.selectivity * scan.heap_pages).ceil();
    let (max_io, min_io) = if scan.loops > 1.0 {
        (
            fetched(tuples * scan.loops) * p.random_page_cost / scan.loops,
            fetched(correlated_pages * scan.loops) * p.random_page_cost / scan.loops,
        )
    } else {
        let pages = visible(correlated_pages);
        let min_io = if pages > 0.0 { p.random_page_cost + (pages - 1.0) * p.seq_page_cost } else { 0.0 };
        (fetched(tuples) * p.random_page_cost, min_io)
    };
    let io = max_io + scan.correlation * scan.correlation * (min_io - max_io);
    let startup = index.startup + scan.filter.startup + scan.target.startup;
    let run = index.run()
        + io
        + (p.cpu_tuple_cost + scan.filter.per_tuple) * tuples
        + scan.target.per_tuple * scan.rows;
    IndexScanCost { cost: Cost { startup, total: startup + run }, index_total: index.total }
}

fn btree_cost(p: &CostParameters, scan: &IndexScanInput) -> Cost {
    let mut tuples = scan.index_tuples_visited;
    if tuples <= 0.0 {
        tuples = (scan.selectivity * scan.heap_tuples / scan.array_scans).round_ties_even();
    }
    let tuples = tuples.min(scan.index_tuples).max(1.0);
    let pages = if scan.index_pages > 1.0 && scan.index_tuples > 1.0 {
        (tuples * scan.index_pages / scan.index_tuples).ceil()
    } else {
        1.0
    };
    let scans = scan.array_scans * scan.loops;
    let mut total = if scans > 1.0 {
        let fetched =
            index_pages_fetched(p, pages * scans, scan.index_pages, scan.index_pages, scan.total_table_pages);
        fetched * p.random_page_cost / scan.loops
    } else {
        pages * p.random_page_cost
    };
    let mut startup = scan.qual_argument_cost;
    total += scan.qual_argument_cost;
    total +=
        tuples * scan.array_scans * (p.cpu_index_tuple_cost + p.cpu_operator_cost * scan.index_quals as f64);
    if scan.index_tuples > 1.0 {
        let descent = (scan.index_tuples.ln() / 2f64.ln()).ceil() * p.cpu_operator_cost;
        startup += descent;
        total += scan.array_scans * descent;
    }
    let descent = (scan.tree_height + 1.0) * DEFAULT_PAGE_CPU_MULTIPLIER * p.cpu_operator_cost;
    startup += descent;
    total += scan.array_scans * descent;
    Cost { startup, total }
}

/// What a bitmap heap scan is estimated from.
#[derive(Clone, Debug)]
pub struct BitmapHeapInput {
    pub pages: f64,
    pub tuples: f64,
    /// Cost of making the bitmap.
    pub bitmap_cost: f64,
    /// Fraction of the table that the bitmap names.
    pub selectivity: f64,
    /// Of all indexes read.
    pub index_pages: f64,
    pub total_table_pages: f64,
    pub loops: f64,
    /// All conditions: PostgreSQL expects those of the index to be checked again.
    pub filter: EvaluationCost,
}

/// Cost of reading the rows that a bitmap names (`cost_bitmap_heap_scan`, `compute_bitmap_pages`).
pub fn bitmap_heap_scan(p: &CostParameters, scan: &BitmapHeapInput) -> Cost {
    /// Bytes of a bitmap's entry for one page, its slot in the hash table included.
    const ENTRY: f64 = 64.0;
    let mut tuples = clamp_rows(scan.selectivity * scan.tuples);
    let table = scan.pages.max(1.0);
    let mut pages = (2.0 * table * tuples) / (2.0 * table + tuples);
    let heap_pages = pages.min(scan.pages);
    let entries_max = (p.work_mem / ENTRY).floor().max(16.0);
    if scan.loops > 1.0 {
        let fetches = tuples * scan.loops;
        pages = index_pages_fetched(p, fetches, scan.pages, scan.index_pages, scan.total_table_pages);
        pages /= scan.loops;
    }
    let pages = if pages >= table { table } else { pages.ceil() };
    if entries_max < heap_pages {
        // Of pages remembered as a whole every row is looked at.
        let lossy = (heap_pages - entries_max / 2.0).max(0.0);
        if lossy > 0.0 {
            let exact = heap_pages - lossy;
            tuples = clamp_rows(
                scan.selectivity * (exact / heap_pages) * scan.tuples + (lossy / heap_pages) * scan.tuples,
            );
        }
    }
    // Few pages are read at random, nearly all of them as good as in sequence.
    let page_cost = if pages >= 2.0 {
        p.random_page_cost - (p.random_page_cost - p.seq_page_cost) * (pages / table).sqrt()
    } else {
        p.random_page_cost
    };
    let startup = scan.bitmap_cost + scan.filter.startup;
    let run = pages * page_cost + (p.cpu_tuple_cost + scan.filter.per_tuple) * tuples;
    Cost { startup, total: startup + run }
}

/// Cost of sorting on top of reading the input (`cost_sort`). `limit` is how many rows will be fetched.
pub fn sort(p: &CostParameters, input: Cost, rows: f64, width: i32, limit: Option<f64>) -> Cost {
    let rows = rows.max(2.0);
    let input_bytes = relation_bytes(rows, width);
    let (output_rows, output_bytes) = match limit {
        Some(limit) if limit > 0.0 && limit < rows => (limit, relation_bytes(limit, width)),
        _ => (rows, input_bytes),
    };
    let comparison = 2.0 * p.cpu_operator_cost;
    let startup = if output_bytes > p.work_mem {
        let pages = (input_bytes / BLOCK).ceil();
        let runs = input_bytes / p.work_mem;
        let order = merge_order(p.work_mem);
        let passes = if runs > order { (runs.ln() / order.ln()).ceil() } else { 1.0 };
        comparison * rows * rows.log2()
            + 2.0 * pages * passes * (p.seq_page_cost * 0.75 + p.random_page_cost * 0.25)
    } else if rows > 2.0 * output_rows || input_bytes > p.work_mem {
        comparison * rows * (2.0 * output_rows).log2()
    } else {
        comparison * rows * rows.log2()
    };
    let startup = startup + input.total;
    Cost { startup, total: startup + p.cpu_operator_cost * rows }
}

/// How many runs one merge pass takes (`tuplesort_merge_order`).
fn merge_order(memory: f64) -> f64 {
    const MIN_ORDER: f64 = 6.0;
    const MAX_ORDER: f64 = 500.0;
    const MERGE_BUFFER: f64 = BLOCK * 32.0;
    const TAPE_OVERHEAD: f64 = BLOCK;
    (memory / (2.0 * TAPE_OVERHEAD + MERGE_BUFFER)).floor().clamp(MIN_ORDER, MAX_ORDER)
}

/// Cost of keeping the input for later rescans (`cost_material`).
pub fn material(p: &CostParameters, input: Cost, rows: f64, width: i32) -> Cost {
    let mut run = input.run() + 2.0 * p.cpu_operator_cost * rows;
    if relation_bytes(rows, width) > p.work_mem {
        run += p.seq_page_cost * relation_pages(rows, width);
    }
    Cost { startup: input.startup, total: input.startup + run }
}

/// Cost of reading again what a Material or Sort holds.
pub fn materialized_rescan(p: &CostParameters, rows: f64, width: i32) -> Cost {
    let mut run = p.cpu_operator_cost * rows;
    if relation_bytes(rows, width) > p.work_mem {
        run += p.seq_page_cost * relation_pages(rows, width);
    }
    Cost { startup: 0.0, total: run }
}

/// How an Agg groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    Plain,
    Sorted,
    Hashed,
}

/// Evaluation costs of all aggregates of an Agg together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AggregateCost {
    pub transition: EvaluationCost,
    pub finish: EvaluationCost,
    /// Distinct transition states, and bytes that one group's by-reference states take.
    pub states: usize,
    pub transition_space: f64,
}

/// What an Agg reads.
#[derive(Clone, Copy, Debug)]
pub struct AggregateInput {
    pub cost: Cost,
    pub rows: f64,
    pub width: i32,
}

/// Cost of aggregation (`cost_agg`), before HAVING.
pub fn aggregate(
    p: &CostParameters,
    grouping: Grouping,
    aggregates: &AggregateCost,
    columns: usize,
    groups: f64,
    input: AggregateInput,
) -> Cost {
    let transitions = aggregates.transition.startup + aggregates.transition.per_tuple * input.rows;
    let hashing = p.cpu_operator_cost * columns as f64 * input.rows;
    match grouping {
        Grouping::Plain => {
            let startup =
                input.cost.total + transitions + aggregates.finish.startup + aggregates.finish.per_tuple;
            Cost { startup, total: startup + p.cpu_tuple_cost }
        }
        Grouping::Sorted => Cost {
            startup: input.cost.startup,
            total: input.cost.total
                + transitions
                + hashing
                + aggregates.finish.startup
                + aggregates.finish.per_tuple * groups
                + p.cpu_tuple_cost * groups,
        },
        Grouping::Hashed => {
            let startup = input.cost.total + transitions + hashing + aggregates.finish.startup;
            let total = startup + aggregates.finish.per_tuple * groups + p.cpu_tuple_cost * groups;
            let (spill_startup, spill_total) = hash_spill_cost(p, aggregates, groups, input);
            Cost { startup: startup + spill_startup, total: total + spill_total }
        }
    }
}

/// Bytes one group takes in a hash aggregate (`hash_agg_entry_size`).
pub fn hash_group_size(aggregates: &AggregateCost, width: i32) -> f64 {
    const ENTRY: f64 = 24.0;
    const STATE: f64 = 16.0;
    const CHUNK_HEADER: f64 = 16.0;
    let space = if aggregates.transition_space > 0.0 {
        CHUNK_HEADER + (aggregates.transition_space as u64).next_power_of_two() as f64
    } else {
        0.0
    };
    ENTRY + max_align(MINIMAL_TUPLE_HEADER + f64::from(width)) + STATE * aggregates.states as f64 + space
}

fn hash_spill_cost(
    p: &CostParameters,
    aggregates: &AggregateCost,
    groups: f64,
    input: AggregateInput,
) -> (f64, f64) {
    let entry = hash_group_size(aggregates, input.width);
    let limit = p.hash_memory();
    if groups * entry <= limit {
        return (0.0, 0.0);
    }
    let partitions = (1.0 + 1.5 * groups * entry / limit).clamp(4.0, 1024.0);
    let partitions = (partitions.log2().ceil() as i32).min(10);
    let partitions = f64::from(1 << partitions);
    let buffers = BLOCK + BLOCK * partitions;
    let memory = if limit > 4.0 * buffers { limit - buffers } else { limit * 0.75 };
    let group_limit = if memory > entry { (memory / entry).floor() } else { 1.0 };
    let batches = (groups * entry / memory).max(groups / group_limit).ceil().max(1.0);
    let depth = (batches.ln() / partitions.max(2.0).ln()).ceil();
    let pages = relation_bytes(input.rows, input.width) / BLOCK * depth * 2.0;
    let cpu = depth * input.rows * 2.0 * p.cpu_tuple_cost;
    let written = pages * p.random_page_cost;
    (written + cpu, written + cpu + pages * p.seq_page_cost)
}

/// Cost of removing adjacent duplicates of sorted input (`create_upper_unique_path`).
pub fn unique(p: &CostParameters, input: Cost, rows: f64, columns: usize) -> Cost {
    Cost { startup: input.startup, total: input.total + p.cpu_operator_cost * rows * columns as f64 }
}

/// Rows and cost left after OFFSET and LIMIT (`adjust_limit_rows_costs`). Unknown counts come as
/// `Some(-1.0)`, as PostgreSQL estimates an expression it can't evaluate at planning time.
pub fn limit(input: Cost, rows: f64, offset: Option<f64>, count: Option<f64>) -> (f64, Cost) {
    let input_rows = rows;
    let (mut rows, mut cost) = (rows, input);
    if let Some(offset) = offset {
        let skipped = if offset >= 0.0 { offset } else { clamp_rows(input_rows * 0.10) };
        let skipped = skipped.min(rows);
        if rows > 0.0 {
            cost.startup += input.run() * skipped / input_rows;
        }
        rows = (rows - skipped).max(1.0);
    }
    if let Some(count) = count {
        let taken = if count >= 0.0 { count } else { clamp_rows(input_rows * 0.10) };
        let taken = taken.min(rows);
        if rows > 0.0 {
            cost.total = cost.startup + input.run() * taken / input_rows;
        }
        rows = taken.max(1.0);
    }
    (rows, cost)
}

/// Buckets and batches of a hash join's table (`ExecChooseHashTableSize`).
pub fn hash_table_size(p: &CostParameters, rows: f64, width: i32) -> (f64, f64) {
    const SKEW_PERCENT: f64 = 2.0;
    const SKEW_BUCKET_OVERHEAD: f64 = 16.0;
    let rows = if rows <= 0.0 { 1000.0 } else { rows };
    let tuple = HASH_JOIN_TUPLE_OVERHEAD + MINIMAL_TUPLE_HEADER + max_align(f64::from(width));
    let inner_bytes = rows * tuple;
    let mut allowed = p.hash_memory();
    let per_mcv = tuple + 8.0 * POINTER + 4.0 + SKEW_BUCKET_OVERHEAD;
    let skew = ((allowed / per_mcv).floor() * SKEW_PERCENT / 100.0).floor();
    let table = allowed - skew * per_mcv;
    let previous_power = |n: f64| {
        let n = (n as u64).max(1);
        (1u64 << (63 - n.leading_zeros())) as f64
    };
    let next_power = |n: f64| (n.max(1.0) as u64).next_power_of_two() as f64;
    let max_pointers = previous_power((table / POINTER).min(MAX_ALLOCATION / POINTER));
    let mut buckets = next_power(rows.ceil().min(max_pointers).max(1024.0));
    let mut batches = 1.0;
    if inner_bytes + POINTER * buckets > table {
        let bucket = tuple + POINTER;
        let fit = if table <= bucket { 1.0 } else { next_power((table / bucket).floor()) };
        buckets = fit.min(max_pointers);
        let needed = (inner_bytes / (table - buckets * POINTER)).ceil().min(max_pointers);
        batches = next_power(needed.max(2.0));
    }
    while batches > 1.0 && buckets <= MAX_ALLOCATION / POINTER / 2.0 && batches >= allowed / BLOCK {
        buckets *= 2.0;
        allowed *= 2.0;
        batches /= 2.0;
    }
    (buckets, batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(cost: Cost) -> (String, String) {
        (format!("{:.2}", cost.startup), format!("{:.2}", cost.total))
    }

    #[test]
    fn a_sequential_scan_costs_what_postgresql_says() {
        // EXPLAIN SELECT * FROM t, relpages 443, reltuples 100000.
        let p = CostParameters::default();
        let none = EvaluationCost::default();
        let cost = seq_scan(&p, 443.0, 100_000.0, 100_000.0, none, none);
        assert_eq!(rounded(cost), ("0.00".into(), "1443.00".into()));
    }

    #[test]
    fn a_unique_lookup_costs_what_postgresql_says() {
        // pgbench_accounts at scale 1: 1640 pages, its primary key 276 pages, one level above the leaves.
        let p = CostParameters::default();
        let scan = IndexScanInput {
            index_pages: 276.0,
            index_tuples: 100_000.0,
            tree_height: 1.0,
            heap_pages: 1640.0,
            heap_tuples: 100_000.0,
            all_visible_fraction: 0.0,
            total_table_pages: 1640.0,
            selectivity: 1.0 / 100_000.0,
            index_tuples_visited: 1.0,
            array_scans: 1.0,
            index_quals: 1,
            qual_argument_cost: 0.0,
            correlation: 1.0,
            index_only: false,
            loops: 1.0,
            rows: 1.0,
            filter: EvaluationCost::default(),
            target: EvaluationCost::default(),
        };
        assert_eq!(rounded(index_scan(&p, &scan).cost), ("0.29".into(), "8.31".into()));
    }

    #[test]
    fn hash_tables_split_into_batches_beyond_hash_mem() {
        let p = CostParameters::default();
        assert_eq!(hash_table_size(&p, 1000.0, 8), (1024.0, 1.0));
        assert_eq!(hash_table_size(&p, 1_000_000.0, 100).1, 32.0);
    }

    #[test]
    fn rows_are_clamped_as_postgresql_rounds() {
        assert_eq!(clamp_rows(0.2), 1.0);
        assert_eq!(clamp_rows(2.5), 2.0);
        assert_eq!(clamp_rows(f64::NAN), MAXIMUM_ROW_COUNT);
    }
}
