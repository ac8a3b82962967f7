//! EXPLAIN: the plan as text, line for line as PostgreSQL prints it.
//!
//! Realises: `explain.c` (text format). The plan gives names, conditions and estimates; after a run with
//! [`Execution::instrument`] the operators give rows, times, buffers and the particulars of sorts, hash
//! tables and filters.

mod deparse;
pub(crate) mod memory;

use std::fmt::Write;
use std::time::Duration;

use kokkiri_analyze::tree::{CommandType, Expression, RteKind};
use kokkiri_plan::lookup::CatalogFacts;
use kokkiri_plan::plan::*;
use kokkiri_primitives::activity::UsageSnapshot;
use kokkiri_primitives::{Result, stack};

use crate::execution::Execution;
use crate::node::{Details, Instrumentation, Node};
use deparse::Deparser;

/// EXPLAIN's options. `analyze` says that the execution has run with instrumentation.
#[derive(Clone, Copy, Debug)]
pub struct ExplainOptions {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub buffers: bool,
    pub timing: bool,
    pub summary: bool,
    pub settings: bool,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self {
            analyze: false,
            verbose: false,
            costs: true,
            buffers: false,
            timing: false,
            summary: false,
            settings: false,
        }
    }
}

/// Times and buffers of the statement as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatementTimes {
    pub planning: Duration,
    pub execution: Duration,
    pub planning_usage: UsageSnapshot,
}

/// The lines of an explained statement. `settings` are those to be told, with their values.
pub fn explain(
    statement: &PlannedStatement,
    execution: Option<&Execution>,
    facts: &dyn CatalogFacts,
    options: ExplainOptions,
    times: StatementTimes,
    settings: &[(&str, String)],
) -> Result<Vec<String>> {
    let mut explainer = Explainer {
        statement,
        execution: execution.filter(|_| options.analyze),
        options,
        deparser: Deparser::new(statement, facts),
        indent: 0,
        lines: Vec::new(),
        hash: None,
    };
    let root = explainer.execution.map(Execution::root);
    explainer.node(&statement.plan, root, None)?;
    if !settings.is_empty() {
        let told: Vec<String> = settings.iter().map(|(name, value)| format!("{name} = '{value}'")).collect();
        explainer.lines.push(format!("Settings: {}", told.join(", ")));
    }
    if options.buffers {
        let usage = times.planning_usage;
        if let Some(text) = buffers_text(&usage) {
            explainer.lines.push("Planning:".into());
            explainer.lines.push(format!("  Buffers: {text}"));
        }
    }
    if options.summary {
        explainer.lines.push(format!("Planning Time: {:.3} ms", milliseconds(times.planning)));
    }
    if options.analyze && options.summary {
        explainer.lines.push(format!("Execution Time: {:.3} ms", milliseconds(times.execution)));
    }
    Ok(explainer.lines)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

struct Explainer<'a> {
    statement: &'a PlannedStatement,
    execution: Option<&'a Execution>,
    options: ExplainOptions,
    deparser: Deparser<'a>,
    indent: usize,
    lines: Vec<String>,
    /// What a hash join knows of its table, told at its Hash node.
    hash: Option<crate::node::HashDetails>,
}

fn join_name(kind: &str, join_type: JoinType) -> String {
    let word = match join_type {
        JoinType::Inner if kind == "Nested Loop" => return kind.into(),
        JoinType::Inner => return format!("{kind} Join"),
        JoinType::Left => "Left",
        JoinType::Full => "Full",
        JoinType::Right => "Right",
        JoinType::Semi => "Semi",
        JoinType::Anti => "Anti",
        JoinType::RightSemi => "Right Semi",
        JoinType::RightAnti => "Right Anti",
    };
    format!("{kind} {word} Join")
}

impl<'a> Explainer<'a> {
    fn line(&mut self, text: impl AsRef<str>) {
        self.lines.push(format!("{:width$}{}", "", text.as_ref(), width = self.indent * 2));
    }

    fn node(&mut self, plan: &'a Plan, node: Option<&Node>, label: Option<&str>) -> Result<()> {
        stack::check_depth()?;
        let saved = self.indent;
        if let Some(label) = label {
            self.line(label);
            self.indent += 1;
        }
        let mut line = String::new();
        let arrow_at = self.indent;
        if self.indent > 0 {
            line.push_str("->  ");
            self.indent += 2;
        }
        line.push_str(&self.name(plan)?);
        if self.options.costs {
            let _ = write!(
                line,
                "  (cost={:.2}..{:.2} rows={:.0} width={})",
                plan.cost.startup, plan.cost.total, plan.rows, plan.width
            );
        }
        let instrumentation = node.and_then(|node| node.instrumentation.as_deref());
        if self.options.analyze {
            self.actual(instrumentation, &mut line);
        }
        self.lines.push(format!("{:width$}{line}", "", width = arrow_at * 2));
        self.indent += 1;
        let below: usize = plan.children().iter().map(|child| child.disabled_nodes).sum();
        if plan.disabled_nodes > below {
            self.line("Disabled: true");
        }
        self.deparser.enter(plan);
        if self.options.verbose && !plan.target_list.is_empty() {
            self.deparser.prefixed = self.has_several_relations();
            let texts = plan
                .target_list
                .iter()
                .filter(|target| !matches!(plan.node, PlanNode::ModifyTable(_)) || !target.resjunk)
                .filter(|target| !self.deparser.is_compressed_form(&target.expr, plan))
                .map(|target| self.deparser.text(&target.expr))
                .collect::<Result<Vec<_>>>()?;
            self.line(format!("Output: {}", texts.join(", ")));
        }
        let details = node.map(Node::details).unwrap_or_default();
        self.properties(plan, &details, instrumentation)?;
        if self.options.buffers
            && let Some(instrumentation) = instrumentation
            && let Some(text) = buffers_text(&instrumentation.usage)
        {
            self.line(format!("Buffers: {text}"));
        }
        let inner = details.hash.clone();
        self.children(plan, node, inner)?;
        self.deparser.leave();
        self.indent = saved;
        Ok(())
    }

    fn actual(&self, instrumentation: Option<&Instrumentation>, line: &mut String) {
        let Some(run) = instrumentation.filter(|run| run.loops > 0.0) else {
            line.push_str(" (never executed)");
            return;
        };
        let rows = run.rows / run.loops;
        if self.options.timing {
            let _ = write!(
                line,
                " (actual time={:.3}..{:.3} rows={rows:.2} loops={:.0})",
                milliseconds(run.startup) / run.loops,
                milliseconds(run.total) / run.loops,
                run.loops
            );
        } else {
            let _ = write!(line, " (actual rows={rows:.2} loops={:.0})", run.loops);
        }
    }

    fn children(
        &mut self,
        plan: &'a Plan,
        node: Option<&Node>,
        hash: Option<crate::node::HashDetails>,
    ) -> Result<()> {
        let statement = self.statement;
        for init in &plan.init_plans {
            let below = self.execution.and_then(|execution| execution.subplan(init.plan_id));
            self.node(&statement.subplans[init.plan_id], below, Some(&init.name))?;
        }
        let nodes = node.map(Node::children).unwrap_or_default();
        for (at, child) in plan.children().into_iter().enumerate() {
            if let PlanNode::Hash { .. } = child.node {
                self.hash = hash.clone();
            }
            self.node(child, nodes.get(at).copied(), None)?;
        }
        let mut subplans: Vec<(usize, String)> = Vec::new();
        let mut note = |expr: &Expression| {
            expr.walk(&mut |inner| {
                if let Expression::SubPlan(subplan) = inner
                    && !subplans.iter().any(|(id, _)| *id == subplan.plan_id)
                {
                    subplans.push((subplan.plan_id, subplan.plan_name.clone()));
                }
                true
            });
        };
        plan.target_list.iter().for_each(|target| note(&target.expr));
        plan.qual.iter().for_each(&mut note);
        kokkiri_plan::visit_node_expressions(&plan.node, &mut note);
        for (plan_id, name) in subplans {
            let below = self.execution.and_then(|execution| execution.subplan(plan_id));
            self.node(&statement.subplans[plan_id], below, Some(&name))?;
        }
        Ok(())
    }

    /// What the scan reads: ` on schema.table alias`.
    fn target(&self, relid: u32) -> Result<String> {
        let Some(entry) = self.statement.range_table.get(relid as usize - 1) else {
            return Ok(String::new());
        };
        let alias = self.deparser.relation_name(relid);
        let name = match &entry.kind {
            RteKind::Relation { relid, .. } => {
                let table = self.deparser.facts.relation(*relid)?;
                let plain = quote(&table.name);
                if self.options.verbose {
                    Some((format!("{}.{plain}", quote(&table.relation.namespace_name)), plain))
                } else {
                    Some((plain.clone(), plain))
                }
            }
            RteKind::Function { functions, .. } => match functions.first().map(|function| &function.expr) {
                Some(Expression::FuncExpr(function)) => {
                    let plain = quote(&self.deparser.facts.function(function.funcid)?.name);
                    let shown =
                        if self.options.verbose { format!("pg_catalog.{plain}") } else { plain.clone() };
                    Some((shown, plain))
                }
                _ => None,
            },
            _ => None,
        };
        Ok(match name {
            Some((shown, plain)) if plain == alias => format!(" on {shown}"),
            Some((shown, _)) => format!(" on {shown} {alias}"),
            None => format!(" on {alias}"),
        })
    }

    fn index_name(&self, relid: u32, index: kokkiri_primitives::Oid) -> Result<String> {
        let Some(RteKind::Relation { relid, .. }) =
            self.statement.range_table.get(relid as usize - 1).map(|entry| &entry.kind)
        else {
            return Ok(String::new());
        };
        let table = self.deparser.facts.relation(*relid)?;
        let found = table.indexes.iter().find(|entry| entry.oid == index);
        Ok(found.map(|entry| quote(&entry.name)).unwrap_or_default())
    }

    fn name(&self, plan: &Plan) -> Result<String> {
        let backward = |direction: ScanDirection| match direction {
            ScanDirection::Forward => "",
            ScanDirection::Backward => " Backward",
        };
        Ok(match &plan.node {
            PlanNode::Result(_) => "Result".into(),
            PlanNode::ProjectSet { .. } => "ProjectSet".into(),
            PlanNode::SeqScan { scan_relid } => format!("Seq Scan{}", self.target(*scan_relid)?),
            PlanNode::TidScan { scan_relid, .. } => format!("Tid Scan{}", self.target(*scan_relid)?),
            PlanNode::IndexScan(scan) => format!(
                "Index Scan{} using {}{}",
                backward(scan.direction),
                self.index_name(scan.scan_relid, scan.index)?,
                self.target(scan.scan_relid)?
            ),
            PlanNode::IndexOnlyScan(scan) => format!(
                "Index Only Scan{} using {}{}",
                backward(scan.direction),
                self.index_name(scan.scan_relid, scan.index)?,
                self.target(scan.scan_relid)?
            ),
            PlanNode::BitmapHeapScan(scan) => {
                format!("Bitmap Heap Scan{}", self.target(scan.scan_relid)?)
            }
            PlanNode::BitmapIndexScan(scan) => {
                format!("Bitmap Index Scan on {}", self.index_name(scan.scan_relid, scan.index)?)
            }
            PlanNode::BitmapAnd { .. } => "BitmapAnd".into(),
            PlanNode::SubqueryScan { scan_relid, .. } => {
                format!("Subquery Scan{}", self.target(*scan_relid)?)
            }
            PlanNode::FunctionScan { scan_relid, .. } => {
                format!("Function Scan{}", self.target(*scan_relid)?)
            }
            PlanNode::ValuesScan { scan_relid, .. } => format!("Values Scan{}", self.target(*scan_relid)?),
            PlanNode::NestLoop(nest) => join_name("Nested Loop", nest.join.join_type),
            PlanNode::HashJoin(hash) => join_name("Hash", hash.join.join_type),
            PlanNode::MergeJoin(merge) => join_name("Merge", merge.join.join_type),
            PlanNode::Hash { .. } => "Hash".into(),
            PlanNode::Material { .. } => "Materialize".into(),
            PlanNode::Sort { .. } => "Sort".into(),
            PlanNode::IncrementalSort { .. } => "Incremental Sort".into(),
            PlanNode::Agg(agg) => match agg.strategy {
                AggStrategy::Plain => "Aggregate".into(),
                AggStrategy::Sorted if agg.is_group => "Group".into(),
                AggStrategy::Sorted => "GroupAggregate".into(),
                AggStrategy::Hashed => "HashAggregate".into(),
            },
            PlanNode::Unique { .. } => "Unique".into(),
            PlanNode::Limit { .. } => "Limit".into(),
            PlanNode::LockRows { .. } => "LockRows".into(),
            PlanNode::Append { .. } => "Append".into(),
            PlanNode::SetOp(set_op) => {
                let node = if set_op.strategy == SetOpStrategy::Hashed { "HashSetOp" } else { "SetOp" };
                let command = match set_op.command {
                    SetOpCommand::Intersect => "Intersect",
                    SetOpCommand::IntersectAll => "Intersect All",
                    SetOpCommand::Except => "Except",
                    SetOpCommand::ExceptAll => "Except All",
                };
                format!("{node} {command}")
            }
            PlanNode::ModifyTable(modify) => {
                let verb = match modify.operation {
                    CommandType::Insert => "Insert",
                    CommandType::Update => "Update",
                    _ => "Delete",
                };
                format!("{verb}{}", self.target(modify.result_relation)?)
            }
        })
    }

    fn has_several_relations(&self) -> bool {
        self.statement.range_table.len() > 1
    }

    /// A condition on the rows of a scan, whose columns need no table's name.
    fn scan_condition(&mut self, plan: &Plan, label: &str, conditions: &[Expression]) -> Result<()> {
        self.deparser.prefixed = self.options.verbose || matches!(plan.node, PlanNode::SubqueryScan { .. });
        self.any_condition(label, conditions)
    }

    fn condition(&mut self, label: &str, conditions: &[Expression]) -> Result<()> {
        self.deparser.prefixed = self.options.verbose || self.has_several_relations();
        self.any_condition(label, conditions)
    }

    fn any_condition(&mut self, label: &str, conditions: &[Expression]) -> Result<()> {
        if conditions.is_empty() {
            return Ok(());
        }
        let text = self.deparser.conjunction(conditions)?;
        self.line(format!("{label}: {text}"));
        Ok(())
    }

    fn removed(&mut self, label: &str, count: u64, run: Option<&Instrumentation>) {
        let Some(run) = run.filter(|run| run.loops > 0.0) else { return };
        if count > 0 {
            self.line(format!("{label}: {:.0}", count as f64 / run.loops));
        }
    }

    fn properties(&mut self, plan: &Plan, details: &Details, run: Option<&Instrumentation>) -> Result<()> {
        if self.options.verbose && plan.join().is_some_and(|join| join.inner_unique) {
            self.line("Inner Unique: true");
        }
        match &plan.node {
            PlanNode::IndexScan(scan) => {
                self.scan_condition(plan, "Index Cond", &scan.index_qual_original)?
            }
            PlanNode::IndexOnlyScan(scan) => {
                self.scan_condition(plan, "Index Cond", &scan.index_qual_original)?
            }
            PlanNode::BitmapIndexScan(scan) => {
                self.scan_condition(plan, "Index Cond", &scan.index_qual_original)?
            }
            PlanNode::BitmapHeapScan(scan) => {
                self.scan_condition(plan, "Recheck Cond", &scan.recheck)?;
                self.removed("Rows Removed by Index Recheck", details.removed_by_index_recheck, run);
            }
            PlanNode::TidScan { tid_quals, .. } => self.scan_condition(plan, "TID Cond", tid_quals)?,
            PlanNode::Result(result) => self.condition("One-Time Filter", &result.constant_qual)?,
            PlanNode::HashJoin(hash) => {
                self.condition("Hash Cond", &hash.hash_clauses)?;
                self.condition("Join Filter", &hash.join.join_qual)?;
            }
            PlanNode::MergeJoin(merge) => {
                self.condition("Merge Cond", &merge.merge_clauses)?;
                self.condition("Join Filter", &merge.join.join_qual)?;
            }
            PlanNode::NestLoop(nest) => self.condition("Join Filter", &nest.join.join_qual)?,
            PlanNode::Sort { keys, .. } | PlanNode::IncrementalSort { keys, .. } => {
                let text = self.sort_keys(plan, keys)?;
                self.line(format!("Sort Key: {text}"));
            }
            PlanNode::Agg(agg) if !agg.group_columns.is_empty() => {
                self.deparser.prefixed = self.options.verbose || self.has_several_relations();
                let texts = agg
                    .group_columns
                    .iter()
                    .map(|column| self.deparser.column_of(&agg.input, column.column))
                    .collect::<Result<Vec<_>>>()?;
                self.line(format!("Group Key: {}", texts.join(", ")));
            }
            _ => {}
        }
        self.removed("Rows Removed by Join Filter", details.removed_by_join_filter, run);
        match plan.node {
            PlanNode::SeqScan { .. }
            | PlanNode::IndexScan(_)
            | PlanNode::IndexOnlyScan(_)
            | PlanNode::BitmapHeapScan(_)
            | PlanNode::TidScan { .. }
            | PlanNode::SubqueryScan { .. }
            | PlanNode::FunctionScan { .. }
            | PlanNode::ValuesScan { .. } => self.scan_condition(plan, "Filter", &plan.qual)?,
            _ => self.condition("Filter", &plan.qual)?,
        }
        self.removed("Rows Removed by Filter", details.removed_by_filter, run);
        if run.is_some() {
            self.run_details(plan, details);
        }
        Ok(())
    }

    fn run_details(&mut self, plan: &Plan, details: &Details) {
        if let PlanNode::IndexOnlyScan(_) = plan.node {
            self.line(format!("Heap Fetches: {}", details.heap_fetches));
        }
        if let Some((exact, lossy)) = details.heap_blocks.filter(|(exact, lossy)| exact + lossy > 0) {
            let mut text = String::from("Heap Blocks:");
            if exact > 0 {
                let _ = write!(text, " exact={exact}");
            }
            if lossy > 0 {
                let _ = write!(text, " lossy={lossy}");
            }
            self.line(text);
        }
        if matches!(
            plan.node,
            PlanNode::IndexScan(_) | PlanNode::IndexOnlyScan(_) | PlanNode::BitmapIndexScan(_)
        ) {
            self.line(format!("Index Searches: {}", details.index_searches));
        }
        if let Some(sort) = &details.sort {
            let space = if sort.on_disk { "Disk" } else { "Memory" };
            self.line(format!("Sort Method: {}  {space}: {}kB", sort.method, sort.kilobytes));
        }
        if let Some(batches) = &details.batches {
            let mut text = format!("Batches: {}  Memory Usage: {}kB", batches.batches, batches.kilobytes);
            if batches.disk_kilobytes > 0 {
                let _ = write!(text, "  Disk Usage: {}kB", batches.disk_kilobytes);
            }
            self.line(text);
        }
        if let Some((storage, kilobytes)) = details.storage {
            self.line(format!("Storage: {storage}  Maximum Storage: {kilobytes}kB"));
        }
        if let (PlanNode::Hash { .. }, Some(hash)) = (&plan.node, self.hash.take()) {
            self.line(format!(
                "Buckets: {}  Batches: {}  Memory Usage: {}kB",
                hash.buckets, hash.batches, hash.kilobytes
            ));
        }
    }

    fn sort_keys(&mut self, plan: &Plan, keys: &[SortKey]) -> Result<String> {
        self.deparser.prefixed = self.options.verbose || self.has_several_relations();
        let mut texts = Vec::new();
        for key in keys {
            let mut text = self.deparser.column_of(plan, key.column)?;
            if key.descending {
                text.push_str(" DESC");
                if !key.nulls_first {
                    text.push_str(" NULLS LAST");
                }
            } else if key.nulls_first {
                text.push_str(" NULLS FIRST");
            }
            texts.push(text);
        }
        Ok(texts.join(", "))
    }
}

/// The Buffers line's text, if there is anything to tell.
fn buffers_text(usage: &UsageSnapshot) -> Option<String> {
    let group = |name: &str, parts: &[(&str, u64)]| {
        let told: Vec<String> = parts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(label, count)| format!("{label}={count}"))
            .collect();
        (!told.is_empty()).then(|| format!("{name} {}", told.join(" ")))
    };
    let groups = [
        group(
            "shared",
            &[
                ("hit", usage.shared_hit),
                ("read", usage.shared_read),
                ("dirtied", usage.shared_dirtied),
                ("written", usage.shared_written),
            ],
        ),
        group(
            "local",
            &[
                ("hit", usage.local_hit),
                ("read", usage.local_read),
                ("dirtied", usage.local_dirtied),
                ("written", usage.local_written),
            ],
        ),
        group("temp", &[("read", usage.temp_read), ("written", usage.temp_written)]),
    ];
    let told: Vec<String> = groups.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// An identifier, quoted if it needs to be.
pub(crate) fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
