//! The fast path: calling one function by its oid, without a statement.
//!
//! Realises: fastpath.c. Arguments and result have the forms of Bind; the call is an expression over
//! constants, run as the executor runs any other.

use kokkiri_analyze::tree::{CoercionForm, Const, Expression, FuncExpr};
use kokkiri_catalog::entries::{FunctionEntry, FunctionKind};
use kokkiri_catalog::privilege::{ObjectKind, Privileges};
use kokkiri_functions::system::text_form;
use kokkiri_parse::Location;
use kokkiri_primitives::activity::BackendState;
use kokkiri_primitives::{Oid, Result, error};
use kokkiri_types::{Value, io};

use super::prepared::parameter_value;
use super::{Session, failed_block};
use crate::client::{Format, FunctionCallRequest};

impl Session {
    /// Calls a function; `None` is NULL. It is committed by the next [`Session::begin_sync`].
    ///
    /// # Errors
    /// 42883, 0A000 for what is no plain function, 42501, 08P01 for a mismatch of counts, and what the
    /// function finds wrong.
    pub fn call_function(&mut self, request: &FunctionCallRequest<'_>) -> Result<Option<Vec<u8>>> {
        self.statement_begins(&"".into());
        self.backend().status().state = BackendState::FastPath;
        if self.block.is_failed() {
            return Err(failed_block());
        }
        self.in_transaction()?;
        let function = self.callable(Oid(request.function))?;
        let arguments = self.call_arguments(&function, request)?;
        let constants = function.arguments.iter().zip(arguments).map(|(type_oid, value)| {
            Expression::Const(Const {
                type_oid: *type_oid,
                typmod: -1,
                collation: Oid::INVALID,
                value,
                location: Location::UNKNOWN,
            })
        });
        let result = self.evaluate(Expression::FuncExpr(Box::new(FuncExpr {
            funcid: function.oid,
            result_type: function.returns,
            returns_set: false,
            variadic: false,
            form: CoercionForm::ExplicitCall,
            collation: Oid::INVALID,
            inputcollid: Oid::INVALID,
            args: constants.collect(),
            location: Location::UNKNOWN,
        })))?;
        if result == Value::Null {
            return Ok(None);
        }
        let format = Format::from_code(request.result_format)?;
        let mut bytes = Vec::new();
        match format {
            Format::Text => {
                let view = self.view();
                text_form::output_text(Some(&view), function.returns, result.as_ref(), &self.io, &mut bytes)?;
            }
            Format::Binary => io::output_binary(function.returns, result.as_ref(), &self.io, &mut bytes)?,
        }
        Ok(Some(bytes))
    }

    /// The function of an oid, if it can be called this way by the session's role.
    fn callable(&self, oid: Oid) -> Result<std::sync::Arc<FunctionEntry>> {
        let view = self.view();
        let function = view
            .function(oid)?
            .ok_or_else(|| error!(UNDEFINED_FUNCTION, "function with OID {oid} does not exist"))?;
        if function.kind != FunctionKind::Function || function.returns_set {
            return Err(error!(
                FEATURE_NOT_SUPPORTED,
                "cannot call function \"{}\" via fastpath interface", function.name
            ));
        }
        if let Some(namespace) = view.namespace(function.namespace)? {
            view.check_schema_usage(&namespace)?;
        }
        let granted = view.privileges(
            view.role,
            ObjectKind::Function,
            function.owner,
            function.acl.as_ref(),
            Privileges::EXECUTE,
        )?;
        if !granted.contains(Privileges::EXECUTE) {
            return Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied for function {}", function.name));
        }
        Ok(function)
    }

    fn call_arguments(
        &self,
        function: &FunctionEntry,
        request: &FunctionCallRequest<'_>,
    ) -> Result<Vec<Value>> {
        let (given, expected) = (request.arguments.len(), function.arguments.len());
        if given != expected {
            return Err(error!(
                PROTOCOL_VIOLATION,
                "function call message contains {given} arguments but function requires {expected}"
            ));
        }
        let formats = &request.argument_formats;
        if formats.len() > 1 && formats.len() != given {
            return Err(error!(
                PROTOCOL_VIOLATION,
                "function call message contains {} argument formats but {given} arguments",
                formats.len()
            ));
        }
        let view = self.view();
        let read = |(at, (type_oid, value)): (usize, (&Oid, &Option<&[u8]>))| {
            let code = formats.get(at).or(formats.first()).copied().unwrap_or_default();
            let format = Format::from_code(code)?;
            match value {
                Some(bytes) => parameter_value(Some(&view), *type_oid, bytes, format, &self.io),
                None => Ok(Value::Null),
            }
        };
        function.arguments.iter().zip(&request.arguments).enumerate().map(read).collect()
    }
}
