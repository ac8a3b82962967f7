//! Casts of arrays, which cast each element.
//!
//! Realises: `ExecEvalArrayCoerce`. The cast of an element is a program of its own, whose only input is the
//! column of the elements.

use kokkiri_primitives::Result;
use kokkiri_types::array::{self, ArrayRef};
use kokkiri_types::builtin::TypeInfo;
use kokkiri_types::{Column, PhysicalType, Selection, ValueRef};

use super::evaluate::Program;
use super::steps::Operand;
use crate::context::Context;

/// A compiled `ArrayCoerceExpr`.
#[derive(Debug)]
pub struct ArrayCoercion {
    pub array: Operand,
    pub element: Program,
    pub from: &'static TypeInfo,
    pub to: &'static TypeInfo,
}

impl ArrayCoercion {
    /// The payload of the cast array: the same shape, other elements.
    pub fn cast(&mut self, context: &mut Context<'_>, payload: &[u8]) -> Result<Vec<u8>> {
        let array = ArrayRef::new(payload)?;
        let mut elements = Column::new(self.from.physical());
        elements.reset(self.from.physical(), 0);
        array.elements(self.from).for_each(|element| elements.push(element));
        let count = array.len();
        let dims: Vec<i32> = array.dims().collect();
        let lower_bounds: Vec<i32> = array.lower_bounds().collect();
        let input = [elements];
        let made = self.element.evaluate(context, &input, &Selection::all(count))?;
        array::build(self.to, &dims, &lower_bounds, (0..count).map(|row| made.get(row)))
    }

    /// Casts the selected rows' arrays.
    pub fn run(
        &mut self,
        context: &mut Context<'_>,
        arrays: &Column,
        selection: &Selection,
        out: &mut Column,
    ) -> Result<()> {
        out.reset(PhysicalType::Varlena, selection.rows());
        selection.try_for_each(|row| {
            match arrays.get(row) {
                ValueRef::Bytes(payload) => {
                    let cast = self.cast(context, payload)?;
                    out.set(row, ValueRef::Bytes(&cast));
                }
                _ => out.set_null(row),
            }
            Ok(())
        })
    }
}
