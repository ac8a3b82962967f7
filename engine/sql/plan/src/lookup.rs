//! What planning asks of the catalogs, of the function library and of relations' files.
//!
//! [`CatalogFacts`] is the seam: the engine answers from its catalog view, tests from facts in memory.
//! [`Lookup`] puts the answers together into the questions the planner has (lsyscache.c, plancat.c,
//! clauses.c).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use kokkiri_analyze::tree::{Expression, Relids, Var};
use kokkiri_catalog::entries::{
    AggregateEntry, AmopEntry, FunctionEntry, IndexEntry, OperatorEntry, RelationEntry, StatisticEntry,
    TypeEntry, Volatility,
};
use kokkiri_parse::Location;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_statistics::column::{ColumnStatistics, Correlation, Histogram, MostCommon, slot_kind};
use kokkiri_types::Value;

use crate::cost::{AggregateCost, CostParameters, EvaluationCost};
use crate::relation::IndexInfo;

const BTREE: Oid = Oid(403);

/// Where the planner's facts come from.
pub trait CatalogFacts {
    fn relation(&self, oid: Oid) -> Result<Arc<RelationEntry>>;
    fn function(&self, oid: Oid) -> Result<Arc<FunctionEntry>>;
    fn operator(&self, oid: Oid) -> Result<Arc<OperatorEntry>>;
    fn aggregate(&self, function: Oid) -> Result<Arc<AggregateEntry>>;
    fn type_entry(&self, oid: Oid) -> Result<Arc<TypeEntry>>;
    /// Memberships of an operator in operator families.
    fn families_of_operator(&self, operator: Oid) -> Result<Vec<AmopEntry>>;
    fn family_operator(&self, family: Oid, left: Oid, right: Oid, strategy: i16) -> Result<Option<Oid>>;
    fn statistics(&self, relation: Oid, attribute: i16) -> Result<Option<Arc<StatisticEntry>>>;
    /// Present size of a table or index, blocks.
    fn blocks(&self, relation: &RelationEntry) -> Result<u32>;
    fn index_blocks(&self, index: &IndexEntry) -> Result<u32>;
    /// Levels of a B-tree above its leaves.
    fn index_height(&self, index: &IndexEntry) -> Result<u32>;
    /// The first or the last value in an index, as far as a short look tells.
    fn index_end(&self, index: &IndexEntry, last: bool) -> Result<Option<Value>>;
    /// Calls an immutable built-in function; `None` if it is not built or needs more than its arguments.
    fn call(&self, function: Oid, collation: Oid, args: &[&Value]) -> Result<Option<Value>>;
    /// A cast through text forms, of types whose forms depend on no setting.
    fn coerce_via_io(&self, from: Oid, value: &Value, to: Oid) -> Result<Option<Value>>;
}

/// Size of a relation as estimated from its present number of blocks.
#[derive(Clone, Copy, Debug)]
pub struct RelationSize {
    pub pages: f64,
    pub tuples: f64,
    pub all_visible_fraction: f64,
}

/// Statistics of columns (relation, attribute) that were asked for.
type KnownStatistics = HashMap<(Oid, i16), Option<Arc<ColumnStatistics>>>;

pub struct Lookup<'a> {
    pub facts: &'a dyn CatalogFacts,
    /// Values of the statement's parameters, for a custom plan.
    pub bound: &'a [Value],
    cpu_operator_cost: f64,
    statistics: RefCell<KnownStatistics>,
}

impl<'a> Lookup<'a> {
    pub fn new(facts: &'a dyn CatalogFacts, bound: &'a [Value], cost: &CostParameters) -> Self {
        Self { facts, bound, cpu_operator_cost: cost.cpu_operator_cost, statistics: RefCell::default() }
    }

    pub fn relation(&self, oid: Oid) -> Result<Arc<RelationEntry>> {
        self.facts.relation(oid)
    }

    pub fn function(&self, oid: Oid) -> Result<Arc<FunctionEntry>> {
        self.facts.function(oid)
    }

    pub fn operator(&self, oid: Oid) -> Result<Arc<OperatorEntry>> {
        self.facts.operator(oid)
    }

    pub fn call(&self, function: Oid, collation: Oid, args: &[&Value]) -> Result<Option<Value>> {
        self.facts.call(function, collation, args)
    }

    pub fn fold_coerce_via_io(&self, from: Oid, value: &Value, to: Oid) -> Result<Option<Value>> {
        self.facts.coerce_via_io(from, value, to)
    }

    /// Whether a boolean function of two values answers true; false if it can't be called now.
    pub fn holds(&self, function: Oid, collation: Oid, args: &[&Value]) -> bool {
        matches!(self.facts.call(function, collation, args), Ok(Some(Value::Bool(true))))
    }

    pub fn is_volatile(&self, expr: &Expression) -> Result<bool> {
        self.any_function(expr, |volatility| volatility == Volatility::Volatile)
    }

    fn any_function(&self, expr: &Expression, test: impl Fn(Volatility) -> bool) -> Result<bool> {
        let mut found = false;
        let mut failure = None;
        expr.walk(&mut |node| {
            let function = match node {
                Expression::FuncExpr(function) => function.funcid,
                Expression::OpExpr(operator)
                | Expression::DistinctExpr(operator)
                | Expression::NullIfExpr(operator) => operator.opfuncid,
                Expression::ScalarArrayOpExpr(test) => test.opfuncid,
                Expression::NextValue(_) => {
                    found |= test(Volatility::Volatile);
                    return !found;
                }
                _ => return !found,
            };
            match self.function(function) {
                Ok(entry) => found |= test(entry.volatility),
                Err(error) => failure = Some(error),
            }
            !found
        });
        failure.map_or(Ok(found), Err)
    }

    /// Cost of evaluating an expression, subplans apart (`cost_qual_eval`).
    pub fn evaluation_cost(&self, expr: &Expression) -> Result<EvaluationCost> {
        let mut cost = EvaluationCost::default();
        let mut failure = None;
        let operator_cost = self.cpu_operator_cost;
        expr.walk(&mut |node| {
            let mut function = |oid: Oid, times: f64| match self.function(oid) {
                Ok(entry) => cost.per_tuple += f64::from(entry.cost) * operator_cost * times,
                Err(error) => failure = Some(error),
            };
            match node {
                Expression::FuncExpr(expr) => function(expr.funcid, 1.0),
                Expression::OpExpr(expr) | Expression::DistinctExpr(expr) | Expression::NullIfExpr(expr) => {
                    function(expr.opfuncid, 1.0);
                }
                Expression::ScalarArrayOpExpr(test) => {
                    let length = self.array_length(&test.array).unwrap_or(10.0);
                    function(test.opfuncid, length * 0.5);
                }
                Expression::RowCompareExpr(row) => {
                    for opno in &row.opnos {
                        if let Ok(entry) = self.operator(*opno) {
                            function(entry.function, 1.0);
                        }
                    }
                }
                Expression::MinMaxExpr(_)
                | Expression::SqlValueFunction(_)
                | Expression::CoerceToDomain(_)
                | Expression::NextValue(_) => cost.per_tuple += operator_cost,
                Expression::CoerceViaIo(_) => cost.per_tuple += 2.0 * operator_cost,
                // What an aggregate computes is paid for by the Agg.
                Expression::Aggref(_) | Expression::SubLink(_) => return false,
                _ => {}
            }
            true
        });
        failure.map_or(Ok(cost), Err)
    }

    /// Adds what one aggregate costs an Agg (`get_agg_clause_costs`).
    pub fn add_aggregate_cost(&self, aggregate: &Expression, costs: &mut AggregateCost) -> Result<()> {
        let Expression::Aggref(aggref) = aggregate else { return Ok(()) };
        let entry = self.facts.aggregate(aggref.aggfnoid)?;
        let price =
            |oid: Oid| -> Result<f64> { Ok(f64::from(self.function(oid)?.cost) * self.cpu_operator_cost) };
        costs.transition.per_tuple += price(entry.transition)?;
        if let Some(finale) = entry.finale {
            costs.finish.per_tuple += price(finale)?;
        }
        for arg in &aggref.args {
            let cost = self.evaluation_cost(&arg.expr)?;
            costs.transition.startup += cost.startup;
            costs.transition.per_tuple += cost.per_tuple;
        }
        if let Some(filter) = &aggref.aggfilter {
            let cost = self.evaluation_cost(filter)?;
            costs.transition.startup += cost.startup;
            costs.transition.per_tuple += cost.per_tuple;
        }
        costs.states += 1;
        let state = self.facts.type_entry(entry.transition_type)?;
        if !state.by_value {
            let width = if entry.transition_space > 0 {
                f64::from(entry.transition_space)
            } else if entry.transition_type == Oid(2281) {
                // A state the function keeps to itself: PostgreSQL assumes a default block.
                8192.0
            } else {
                f64::from(self.type_width(entry.transition_type, -1)?)
            };
            costs.transition_space += (width / 8.0).ceil() * 8.0 + 16.0;
        }
        Ok(())
    }

    /// Average width of a type's values where no statistics tell (`get_typavgwidth`).
    pub fn type_width(&self, type_oid: Oid, typmod: i32) -> Result<i32> {
        let entry = self.facts.type_entry(type_oid)?;
        if entry.length > 0 {
            return Ok(i32::from(entry.length));
        }
        let max = match type_oid.0 {
            // char(n) and varchar(n): n characters of up to four bytes, and a header.
            1042 | 1043 if typmod >= 4 => Some((typmod - 4) * 4 + 4),
            1700 if typmod >= 4 => {
                let precision = (typmod - 4) >> 16 & 0xffff;
                Some((precision + 4 + 3) / 4 * 2 + 8)
            }
            _ => None,
        };
        Ok(match max {
            Some(max) if type_oid.0 == 1042 => max,
            Some(max) if max <= 32 => max,
            Some(max) if max < 1000 => 32 + (max - 32) / 2,
            Some(_) => 32 + (1000 - 32) / 2,
            None => 32,
        })
    }

    /// B-tree families in which an operator is equality.
    pub fn equality_families(&self, operator: Oid) -> Result<Vec<Oid>> {
        let members = self.facts.families_of_operator(operator)?;
        let mut families: Vec<Oid> = members
            .iter()
            .filter(|member| member.method == BTREE && member.strategy == 3)
            .map(|member| member.family)
            .collect();
        families.sort_by_key(|family| family.0);
        Ok(families)
    }

    /// Families that agree with `family` on what equality of a type is.
    pub fn merge_families(&self, family: Oid, type_oid: Oid) -> Result<Vec<Oid>> {
        let type_oid = self.family_type(family, type_oid)?;
        match self.facts.family_operator(family, type_oid, type_oid, 3)? {
            Some(equality) => self.equality_families(equality),
            None => Ok(vec![family]),
        }
    }

    /// The type a family knows values of `type_oid` as: varchar sorts as text.
    pub fn family_type(&self, family: Oid, type_oid: Oid) -> Result<Oid> {
        const TEXT: Oid = Oid(25);
        const ANYARRAY: Oid = Oid(2277);
        const ANYENUM: Oid = Oid(3500);
        const OID: Oid = Oid(26);
        const RECORD: Oid = Oid(2249);
        for candidate in [type_oid, TEXT, ANYARRAY, ANYENUM, OID, RECORD] {
            if self.facts.family_operator(family, candidate, candidate, 1)?.is_some() {
                return Ok(candidate);
            }
        }
        Ok(type_oid)
    }

    pub fn family_operator(&self, family: Oid, left: Oid, right: Oid, strategy: i16) -> Result<Option<Oid>> {
        if let Some(found) = self.facts.family_operator(family, left, right, strategy)? {
            return Ok(Some(found));
        }
        let (left, right) = (self.family_type(family, left)?, self.family_type(family, right)?);
        self.facts.family_operator(family, left, right, strategy)
    }

    /// The strategy of an operator in a family, 1 to 5 in a B-tree one.
    pub fn strategy(&self, operator: Oid, family: Oid) -> Result<Option<u16>> {
        let members = self.facts.families_of_operator(operator)?;
        let found = members.iter().find(|member| member.family == family && member.purpose == b's');
        Ok(found.map(|member| member.strategy as u16))
    }

    /// The family and direction of an ordering operator.
    pub fn ordering(&self, operator: Oid) -> Result<Option<(Oid, bool)>> {
        if operator == Oid::INVALID {
            return Ok(None);
        }
        let members = self.facts.families_of_operator(operator)?;
        let found = members
            .iter()
            .find(|member| member.method == BTREE && (member.strategy == 1 || member.strategy == 5));
        Ok(found.map(|member| (member.family, member.strategy == 5)))
    }

    pub fn array_type(&self, element: Oid) -> Result<Oid> {
        let entry = self.facts.type_entry(element)?;
        entry.array.ok_or_else(|| {
            kokkiri_primitives::error!(
                UNDEFINED_OBJECT,
                "could not find array type for data type {}",
                entry.name
            )
        })
    }

    pub fn make_array(&self, element: Oid, values: &[&Value]) -> Result<Value> {
        let owned: Vec<Value> = values.iter().map(|value| (*value).clone()).collect();
        let info = kokkiri_types::array::element_info(element)?;
        Ok(Value::from(kokkiri_types::array::build_vector(info, &owned)?))
    }

    /// Elements of an array that is known now.
    pub fn array_elements(&self, array: &Expression) -> Result<Option<Vec<Expression>>> {
        match crate::expression::without_relabel(array) {
            Expression::Const(constant) => match constant.value.as_ref() {
                kokkiri_types::ValueRef::Bytes(bytes) => {
                    let Some(element) = kokkiri_types::array::element_type_if_array(constant.type_oid) else {
                        return Ok(None);
                    };
                    let values = kokkiri_types::array::values(bytes)?;
                    let make = |value| crate::expression::constant(element, -1, constant.collation, value);
                    Ok(Some(values.into_iter().map(make).collect()))
                }
                _ => Ok(None),
            },
            Expression::ArrayExpr(array) if !array.multidims => Ok(Some(array.elements.clone())),
            _ => Ok(None),
        }
    }

    pub fn array_length(&self, array: &Expression) -> Result<f64> {
        Ok(self.array_elements(array)?.map_or(10.0, |elements| elements.len() as f64))
    }

    /// Rows that a function in FROM or a target list is expected to return.
    pub fn function_rows(&self, expr: &Expression) -> Result<f64> {
        match expr {
            Expression::FuncExpr(function) if function.returns_set => {
                // generate_series says how many, when it is called with constants.
                let numbers: Option<Vec<f64>> = function.args.iter().map(constant_number).collect();
                if matches!(function.funcid.0, 1066..=1069 | 3259 | 3260)
                    && let Some(numbers) = numbers
                    && let [start, stop, rest @ ..] = numbers.as_slice()
                {
                    let step = rest.first().copied().unwrap_or(1.0);
                    if step != 0.0 {
                        return Ok(((stop - start + step) / step).floor().max(0.0));
                    }
                }
                Ok(f64::from(self.function(function.funcid)?.rows))
            }
            _ => Ok(1.0),
        }
    }

    /// Statistics of a column in the planner's form, remembered for the statement.
    pub fn column_statistics(&self, relation: Oid, attribute: i16) -> Result<Option<Arc<ColumnStatistics>>> {
        if attribute <= 0 {
            return Ok(None);
        }
        if let Some(known) = self.statistics.borrow().get(&(relation, attribute)) {
            return Ok(known.clone());
        }
        let row = self.facts.statistics(relation, attribute)?;
        let statistics = row.map(|row| Arc::new(column_statistics(&row)));
        self.statistics.borrow_mut().insert((relation, attribute), statistics.clone());
        Ok(statistics)
    }

    /// Present size from the number of blocks and the density last seen (`estimate_rel_size`).
    pub fn relation_size(&self, table: &RelationEntry) -> Result<RelationSize> {
        /// A table that was never vacuumed is taken to have at least this many pages.
        const NEVER_VACUUMED_PAGES: u32 = 10;
        let actual = self.facts.blocks(table)?;
        let (known_pages, known_tuples) = (f64::from(table.pages), f64::from(table.tuples));
        let mut blocks = actual;
        if blocks < NEVER_VACUUMED_PAGES && known_tuples < 0.0 && !table.has_subclass {
            blocks = NEVER_VACUUMED_PAGES;
        }
        if blocks == 0 {
            return Ok(RelationSize { pages: 0.0, tuples: 0.0, all_visible_fraction: 0.0 });
        }
        let pages = f64::from(blocks);
        let density = if known_tuples >= 0.0 && known_pages > 0.0 {
            known_tuples / known_pages
        } else {
            let mut width = 0;
            for attribute in table.relation.tuple_desc.iter().filter(|attribute| !attribute.dropped) {
                width += self.type_width(attribute.type_oid, attribute.typmod)?;
            }
            let fill = f64::from(table.relation.options.fillfactor);
            let tuple = f64::from(width) + 24.0 + 4.0;
            ((8192.0 - 24.0) * fill / 100.0 / tuple).floor()
        };
        let visible = f64::from(table.all_visible);
        let all_visible_fraction =
            if visible == 0.0 || pages <= 0.0 { 0.0 } else { (visible / pages).min(1.0) };
        Ok(RelationSize { pages, tuples: (density * pages).round_ties_even(), all_visible_fraction })
    }

    /// Usable indexes of a table, in the planner's form.
    pub fn indexes(
        &self,
        relid: u32,
        table: &RelationEntry,
        size: &RelationSize,
    ) -> Result<Vec<Rc<IndexInfo>>> {
        let mut found = Vec::new();
        for entry in table.indexes.iter().filter(|index| index.is_valid && index.method == BTREE) {
            let mut expressions = decode(entry.expressions.as_deref(), relid)?.into_iter();
            let mut columns = Vec::new();
            for &number in &entry.columns {
                if number == 0 {
                    let missing = || Error::data_corrupted("too few entries in index expressions list");
                    columns.push(expressions.next().ok_or_else(missing)?);
                    continue;
                }
                let Some(attribute) = table.relation.tuple_desc.get(number as usize - 1) else {
                    return Err(Error::data_corrupted(format!(
                        "invalid attribute number {number} in an index"
                    )));
                };
                columns.push(Expression::Var(Var {
                    varno: relid,
                    varattno: number,
                    vartype: attribute.type_oid,
                    vartypmod: attribute.typmod,
                    varcollid: attribute.collation,
                    varnullingrels: Relids::new(),
                    varlevelsup: 0,
                    returning: Default::default(),
                    location: Location::UNKNOWN,
                }));
            }
            let predicate = decode(entry.predicate.as_deref(), relid)?;
            let pages = f64::from(self.facts.index_blocks(entry)?);
            found.push(Rc::new(IndexInfo {
                relid,
                pages,
                tuples: size.tuples,
                tree_height: f64::from(self.facts.index_height(entry)?),
                columns,
                key_count: entry.key_count,
                families: entry.families.to_vec(),
                collations: entry.collations.to_vec(),
                descending: entry.options.iter().map(|option| option & 1 != 0).collect(),
                nulls_first: entry.options.iter().map(|option| option & 2 != 0).collect(),
                predicate_holds: predicate.is_empty(),
                predicate,
                unique: entry.is_unique,
                immediate: entry.is_immediate,
                entry: Arc::clone(entry),
            }));
        }
        // Newest first, as PostgreSQL keeps them.
        found.reverse();
        Ok(found)
    }

    /// A value's place on a line, for interpolation in histograms (`convert_to_scalar`).
    pub fn scalar(&self, type_oid: Oid, value: &Value) -> Option<f64> {
        Some(match value {
            Value::Bool(value) => f64::from(u8::from(*value)),
            Value::Int16(value) => f64::from(*value),
            Value::Int32(value) if matches!(type_oid.0, 26 | 24 | 2202..=2206) => f64::from(*value as u32),
            Value::Int32(value) => f64::from(*value),
            Value::Int64(value) => *value as f64,
            Value::Float32(value) => f64::from(*value),
            Value::Float64(value) => *value,
            Value::Bytes(bytes) if type_oid.0 == 1700 => {
                kokkiri_types::numeric::Numeric::decode(bytes).to_f64_saturating()
            }
            Value::Bytes(bytes) => {
                // Leading bytes as a fraction; common prefixes keep it a coarse guess, as in PostgreSQL.
                bytes.iter().take(8).rev().fold(0.0, |sum, byte| (sum + f64::from(*byte)) / 256.0)
            }
            _ => return None,
        })
    }
}

fn constant_number(expr: &Expression) -> Option<f64> {
    match expr {
        Expression::Const(constant) => match &constant.value {
            Value::Int32(value) => Some(f64::from(*value)),
            Value::Int64(value) => Some(*value as f64),
            _ => None,
        },
        _ => None,
    }
}

/// Index expressions and predicates are stored over relation number one.
fn decode(text: Option<&str>, relid: u32) -> Result<Vec<Expression>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut expressions: Vec<Expression> = serde_json::from_str(text)
        .or_else(|_| serde_json::from_str::<Expression>(text).map(crate::expression::conjuncts))
        .map_err(|error| Error::data_corrupted(format!("could not read a stored expression: {error}")))?;
    for expression in &mut expressions {
        expression.walk_mut(&mut |node| {
            if let Expression::Var(var) = node {
                var.varno = relid;
            }
            true
        });
    }
    Ok(expressions)
}

fn column_statistics(row: &StatisticEntry) -> ColumnStatistics {
    let mut statistics = ColumnStatistics {
        null_fraction: f64::from(row.null_fraction),
        width: row.width,
        distinct: f64::from(row.distinct),
        ..ColumnStatistics::default()
    };
    for slot in &row.slots {
        let operator = slot.operator.unwrap_or(Oid::INVALID);
        let collation = slot.collation.unwrap_or(Oid::INVALID);
        match slot.kind {
            slot_kind::MCV => {
                statistics.most_common = Some(MostCommon {
                    operator,
                    collation,
                    values: slot.values.to_vec(),
                    frequencies: slot.numbers.iter().map(|number| f64::from(*number)).collect(),
                });
            }
            slot_kind::HISTOGRAM => {
                statistics.histogram = Some(Histogram { operator, collation, bounds: slot.values.to_vec() });
            }
            slot_kind::CORRELATION => {
                statistics.correlation = slot.numbers.first().map(|number| Correlation {
                    operator,
                    collation,
                    coefficient: f64::from(*number),
                });
            }
            _ => {}
        }
    }
    statistics
}
