//! The value of a parameter.

use std::sync::Arc;

use super::parameter::Significant;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(Arc<str>),
    /// One of an enum parameter's words.
    Word(&'static str),
}

impl Value {
    /// The value without a unit, as pg_settings' `setting` shows it.
    pub fn plain(&self) -> String {
        match self {
            Value::Bool(true) => "on".to_owned(),
            Value::Bool(false) => "off".to_owned(),
            Value::Int(number) => number.to_string(),
            Value::Real(number) => Significant(*number).to_string(),
            Value::Text(text) => text.to_string(),
            Value::Word(word) => (*word).to_owned(),
        }
    }
}
