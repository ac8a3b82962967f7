//! Statements run one after the other, each text in a transaction of its own.

#![allow(dead_code)]

use std::sync::LazyLock;

use kokkiri_catalog::testing::TestClient;
use kokkiri_catalog::view::CatalogView;
use kokkiri_command::{CommandContext, CommandOutcome, NoPasswords, execute};
use kokkiri_functions::{CallContext, SessionInfo};
use kokkiri_primitives::{Error, Result};
use kokkiri_types::io::IoSettings;

/// A command's surroundings for a view.
pub fn context<'a>(view: &CatalogView<'a>, io: &'a IoSettings) -> CommandContext<'a> {
    static INFO: LazyLock<SessionInfo> = LazyLock::new(SessionInfo::default);
    let mut call = CallContext::new(io, &INFO);
    call.catalog = Some(*view);
    CommandContext {
        view: *view,
        call,
        io,
        session_role: view.role,
        in_transaction_block: true,
        commits_at_once: false,
        passwords: &NoPasswords,
        checkpoint: &|| Ok(()),
        extension: None,
        notices: Vec::new(),
    }
}

/// Runs statements in one transaction; returns the last one's outcome and all notices.
pub fn run(client: &TestClient, text: &str) -> Result<(CommandOutcome, Vec<Error>)> {
    let io = IoSettings::default();
    client.run(|view| {
        let mut context = context(view, &io);
        let mut last = CommandOutcome { tag: String::new(), rows: None };
        for statement in kokkiri_parse::parse(text)? {
            last = execute(&mut context, &statement.statement)?;
            context.advance()?;
        }
        Ok((last, std::mem::take(&mut context.notices)))
    })
}

pub fn ok(client: &TestClient, text: &str) -> Vec<String> {
    let (_, notices) = run(client, text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    notices.iter().map(|notice| notice.message().to_owned()).collect()
}

pub fn fails(client: &TestClient, text: &str) -> (String, String, Option<String>) {
    let error = run(client, text).expect_err(text);
    let detail = error.fields().detail.clone();
    (error.sqlstate().to_string(), error.message().to_owned(), detail)
}
