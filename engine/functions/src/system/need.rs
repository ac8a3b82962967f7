//! What a system function needs of its context, or 0A000.

use kokkiri_catalog::view::CatalogView;
use kokkiri_primitives::settings::Settings;
use kokkiri_primitives::{Error, Result};

use super::{Deparser, ServerState, SessionState};
use crate::context::CallContext;

fn without(what: &str) -> Error {
    Error::not_supported(format_args!("calling this function without {what}"))
}

pub(crate) fn catalog<'a>(context: &CallContext<'a>) -> Result<CatalogView<'a>> {
    context.catalog.ok_or_else(|| without("access to the catalogs"))
}

pub(crate) fn settings<'a>(context: &CallContext<'a>) -> Result<&'a Settings> {
    context.settings.or(context.catalog.map(|view| view.settings)).ok_or_else(|| without("a session"))
}

pub(crate) fn server<'a>(context: &CallContext<'a>) -> Result<&'a dyn ServerState> {
    context.server.ok_or_else(|| without("a running server"))
}

pub(crate) fn session_state<'a>(context: &CallContext<'a>) -> Result<&'a dyn SessionState> {
    context.session_state.ok_or_else(|| without("a session"))
}

pub(crate) fn deparser<'a>(context: &CallContext<'a>) -> Result<&'a Deparser> {
    context.deparser.ok_or_else(|| Error::not_supported("printing stored expressions"))
}
