//! Rows of several columns that are known at the start of the call.

use kokkiri_primitives::Result;
use kokkiri_types::{Column, Value};

use crate::context::CallContext;
use crate::set_returning::SetRows;

/// The values of one row, in the order of the function's results.
pub(crate) type Record = Vec<Value>;

struct Records(std::vec::IntoIter<Record>);

impl SetRows for Records {
    fn next(&mut self, _: &mut CallContext<'_>, demand: usize, out: &mut [Column]) -> Result<usize> {
        let mut rows = 0;
        for record in self.0.by_ref().take(demand) {
            for (column, value) in out.iter_mut().zip(&record) {
                column.push(value.as_ref());
            }
            rows += 1;
        }
        Ok(rows)
    }
}

pub(crate) fn listed(rows: Vec<Record>) -> Box<dyn SetRows> {
    Box::new(Records(rows.into_iter()))
}

pub(crate) fn one_row(row: Record) -> Box<dyn SetRows> {
    listed(vec![row])
}

/// A value, or null.
pub(crate) fn or_null<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or(Value::Null, Into::into)
}
