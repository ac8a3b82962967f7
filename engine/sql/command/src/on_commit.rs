//! What becomes of temporary tables when a transaction commits: ON COMMIT DELETE ROWS and DROP.
//!
//! Realises: `PreCommit_on_commit_actions` (tablecmds.c). What is to be done is kept in the session
//! ([`kokkiri_catalog::view::CatalogSession::on_commit`]); a table that was rolled back or dropped has
//! vanished from the catalogs, and from the list with the next commit.

use kokkiri_catalog::dependency::{Behavior, Deletion, ObjectAddress};
use kokkiri_catalog::view::OnCommitAction;
use kokkiri_primitives::{Fork, Oid, Result};

use crate::context::CommandContext;
use crate::{drop, truncate};

/// Does what is to be done before the transaction commits.
pub fn before_commit(context: &mut CommandContext<'_>) -> Result<()> {
    let session = context.view.session;
    let mut kept: Vec<(Oid, OnCommitAction)> = Vec::new();
    let mut dropped: Vec<ObjectAddress> = Vec::new();
    for (relation, action) in session.on_commit().take() {
        let Some(entry) = context.view.relation(relation)? else { continue };
        match action {
            OnCommitAction::Drop => dropped.push(ObjectAddress::relation(relation)),
            OnCommitAction::DeleteRows => {
                kept.push((relation, action));
                if context.cluster().buffers.blocks(entry.relation.file, Fork::Main)? > 0 {
                    truncate::cut_with_toast(context, &entry)?;
                }
            }
        }
    }
    session.on_commit().replace(kept);
    if dropped.is_empty() {
        return Ok(());
    }
    let view = context.view;
    let describe = |object| context.describe(object);
    let deletion = Deletion::plan(&view, &dropped, Behavior::Cascade, &describe)?;
    drop::carry_out(context, &deletion.objects)
}
