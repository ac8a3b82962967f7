//! Whether a prepared statement is planned anew for its parameters or once for all.
//!
//! Realises: `choose_custom_plan` of plancache.c. The first five runs are planned for their values; then a
//! plan good for all is kept if it costs no more than those did on average, planning included.

use kokkiri_primitives::settings::{Settings, parameters};

use crate::plan::PlannedStatement;

/// Runs that are always planned for their values.
const CUSTOM_RUNS: u64 = 5;

/// What past plans of a prepared statement cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanHistory {
    generic_cost: Option<f64>,
    custom_total: f64,
    custom_runs: u64,
}

impl PlanHistory {
    /// Whether the next run should have a plan of its own. `parameters` is how many there are.
    pub fn wants_custom(&self, settings: &Settings, parameters: usize) -> bool {
        if parameters == 0 {
            return false;
        }
        match settings.get(parameters::PLAN_CACHE_MODE) {
            "force_generic_plan" => return false,
            "force_custom_plan" => return true,
            _ => {}
        }
        if self.custom_runs < CUSTOM_RUNS {
            return true;
        }
        let average = self.custom_total / self.custom_runs as f64;
        self.generic_cost.is_some_and(|generic| generic >= average)
    }

    /// Notes the cost of a plan good for all values.
    pub fn note_generic(&mut self, plan: &PlannedStatement) {
        self.generic_cost = Some(plan.plan.cost.total);
    }

    /// Notes the cost of a plan made for one run, with what planning itself costs.
    pub fn note_custom(&mut self, settings: &Settings, plan: &PlannedStatement) {
        let operator = settings.get(parameters::CPU_OPERATOR_COST);
        let tables = plan.range_table.len() as f64;
        self.custom_total += plan.plan.cost.total + 1000.0 * operator * (tables + 1.0);
        self.custom_runs += 1;
    }
}
