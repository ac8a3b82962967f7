//! CREATE EXTENSION and DROP EXTENSION.
//!
//! Realises: extension.c. The extensions are those the server comes with: a script of SQL whose functions are
//! symbols in the library. What the script makes depends on the extension and goes only with it.

use kokkiri_catalog::dependency::{self, Behavior, DependencyKind, ObjectAddress, class};
use kokkiri_catalog::row::Array;
use kokkiri_catalog::rows::{PgDescription, PgExtension};
use kokkiri_functions::extension::{self, Extension};
use kokkiri_parse::tree::{CreateExtensionStmt, DropBehavior, DropStmt, ObjectName};
use kokkiri_primitives::settings::{SetScope, parameters};
use kokkiri_primitives::{Error, Oid, Result, Severity, SqlState, error};
use kokkiri_transaction::LockMode;
use kokkiri_types::ValueRef;

use crate::context::{CommandContext, CommandOutcome};
use crate::{drop, options};

/// Indexes of pg_extension on its oid and on its name.
const BY_OID: Oid = Oid(3080);
const BY_NAME: Oid = Oid(3081);

pub fn create(context: &mut CommandContext<'_>, statement: &CreateExtensionStmt) -> Result<CommandOutcome> {
    const TAG: &str = "CREATE EXTENSION";
    let name = statement.name.as_str();
    check_name(name)?;
    if find(context, name)?.is_some() {
        let message = format!("extension \"{name}\" already exists");
        if statement.if_not_exists {
            let notice = format!("{message}, skipping");
            context.notice(Error::report(Severity::Notice, SqlState::DUPLICATE_OBJECT, notice));
            return Ok(CommandOutcome::done(TAG));
        }
        return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
    }
    if context.extension.is_some() {
        return Err(error!(FEATURE_NOT_SUPPORTED, "nested CREATE EXTENSION is not supported"));
    }
    let (mut schema, mut version) = (None, None);
    for option in &statement.options {
        let slot = match option.name.as_str() {
            "schema" => &mut schema,
            "new_version" => &mut version,
            // What an extension requires is there already: none requires another.
            _ => continue,
        };
        if slot.is_some() {
            return Err(error!(SYNTAX_ERROR, "conflicting or redundant options"));
        }
        *slot = Some(options::text(option)?);
    }
    let Some(extension) = extension::called(name) else {
        return Err(error!(FEATURE_NOT_SUPPORTED, "extension \"{name}\" is not available")
            .hint("The extension must first be installed on the system where PostgreSQL is running."));
    };
    if let Some(version) = version.filter(|version| *version != extension.version) {
        return Err(error!(
            INVALID_PARAMETER_VALUE,
            "extension \"{name}\" has no installation script nor update path for version \"{version}\""
        ));
    }
    check_may_create(context, extension)?;
    let namespace = match &schema {
        Some(schema) => match context.view.namespace_by_name(schema)? {
            Some(entry) => entry.oid,
            None => return Err(error!(INVALID_SCHEMA_NAME, "schema \"{schema}\" does not exist")),
        },
        None => context.view.creation_namespace()?,
    };
    let oid = insert(context, extension, namespace)?;
    run_script(context, extension, oid, namespace)?;
    Ok(CommandOutcome::done(TAG))
}

fn check_name(name: &str) -> Result<()> {
    let invalid = |detail: &str| {
        Err(error!(INVALID_PARAMETER_VALUE, "invalid extension name: \"{name}\"").detail(detail))
    };
    if name.is_empty() {
        invalid("Extension names must not be empty.")
    } else if name.contains("--") {
        invalid("Extension names must not contain \"--\".")
    } else if name.starts_with('-') || name.ends_with('-') {
        invalid("Extension names must not begin or end with \"-\".")
    } else if name.contains(['/', '\\']) {
        invalid("Extension names must not contain directory separator characters.")
    } else {
        Ok(())
    }
}

fn check_may_create(context: &CommandContext<'_>, extension: &Extension) -> Result<()> {
    if context.view.is_superuser(context.role())? {
        return Ok(());
    }
    Err(error!(INSUFFICIENT_PRIVILEGE, "permission denied to create extension \"{}\"", extension.name)
        .hint("Must be superuser to create this extension."))
}

/// The oid of an extension that is there.
fn find(context: &CommandContext<'_>, name: &str) -> Result<Option<Oid>> {
    let key = [ValueRef::Bytes(name.as_bytes())];
    let found = context.view.scan_rows::<PgExtension>(BY_NAME, &[2], &key)?;
    Ok(found.first().map(|found| found.row.oid))
}

/// `InsertExtensionTuple`.
fn insert(context: &mut CommandContext<'_>, extension: &Extension, namespace: Oid) -> Result<Oid> {
    let oid = loop {
        let oid = context.cluster().transactions.new_oid();
        if context.row_by_oid::<PgExtension>(BY_OID, oid)?.is_none() {
            break oid;
        }
    };
    context.view.insert_row(PgExtension {
        oid,
        extname: extension.name.into(),
        extowner: context.role(),
        extnamespace: namespace,
        extrelocatable: extension.relocatable,
        extversion: extension.version.to_owned(),
        extconfig: None::<Array<Oid>>,
        extcondition: None::<Array<String>>,
    })?;
    let myself = ObjectAddress::new(class::EXTENSION, oid);
    dependency::record_owner(&context.view, myself, context.role())?;
    let namespace = ObjectAddress::new(class::NAMESPACE, namespace);
    dependency::record(&context.view, myself, [namespace], DependencyKind::Normal)?;
    context.view.insert_row(PgDescription {
        objoid: oid,
        classoid: class::EXTENSION,
        objsubid: 0,
        description: extension.comment.to_owned(),
    })?;
    context.advance()?;
    Ok(oid)
}

/// Runs the statements of the extension with its schema as the one that things are made in:
/// `execute_extension_script`.
fn run_script(
    context: &mut CommandContext<'_>,
    extension: &Extension,
    oid: Oid,
    namespace: Oid,
) -> Result<()> {
    let schema = context.view.namespace(namespace)?;
    let schema = schema.ok_or_else(|| Error::internal("the extension's schema has vanished"))?;
    let settings = context.view.settings;
    let before = settings.get(parameters::SEARCH_PATH);
    let path = kokkiri_parse::quote_identifier(&schema.name).into_owned();
    settings.set("search_path", Some(&path), SetScope::Local)?;
    context.extension = Some(oid);
    let mut result = Ok(());
    for raw in kokkiri_parse::parse(extension.script)? {
        result = crate::execute(context, &raw.statement).map(std::mem::drop);
        if result.is_err() {
            break;
        }
    }
    context.extension = None;
    settings.set("search_path", Some(&before), SetScope::Local)?;
    result
}

pub fn drop(context: &mut CommandContext<'_>, statement: &DropStmt) -> Result<CommandOutcome> {
    let mut objects = Vec::new();
    for written in &statement.names {
        let ObjectName::Name(names) = written else {
            return Err(Error::internal("an extension to be dropped is not given by name"));
        };
        let name = names.last().map_or("", String::as_str);
        let Some(oid) = find(context, name)? else {
            let message = format!("extension \"{name}\" does not exist");
            if statement.missing_ok {
                context.notice(Error::notice(format!("{message}, skipping")));
                continue;
            }
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        let row = context.row_by_oid::<PgExtension>(BY_OID, oid)?;
        if let Some(row) = row
            && !context.view.owns(context.role(), row.extowner)?
        {
            return Err(error!(INSUFFICIENT_PRIVILEGE, "must be owner of extension {name}"));
        }
        let object = ObjectAddress::new(class::EXTENSION, oid);
        dependency::lock_object(&context.view, object, LockMode::AccessExclusive)?;
        objects.push(object);
    }
    let behavior = match statement.behavior {
        DropBehavior::Restrict => Behavior::Restrict,
        DropBehavior::Cascade => Behavior::Cascade,
    };
    drop::delete(context, &objects, behavior)?;
    Ok(CommandOutcome::done("DROP EXTENSION"))
}

/// Removes the row of an extension that is being dropped.
pub fn remove(context: &CommandContext<'_>, oid: Oid) -> Result<()> {
    let key = [ValueRef::Int32(oid.0 as i32)];
    for found in context.view.scan_rows::<PgExtension>(BY_OID, &[1], &key)? {
        found.delete(&context.view)?;
    }
    Ok(())
}

impl CommandContext<'_> {
    /// What is made by an extension's script belongs to it: `recordDependencyOnCurrentExtension`.
    pub fn record_member(&self, object: ObjectAddress) -> Result<()> {
        let Some(extension) = self.extension else { return Ok(()) };
        let extension = ObjectAddress::new(class::EXTENSION, extension);
        dependency::record(&self.view, object, [extension], DependencyKind::Extension)
    }

    /// An extension in words.
    pub fn describe_extension(&self, oid: Oid) -> Result<String> {
        match self.row_by_oid::<PgExtension>(BY_OID, oid)? {
            Some(row) => Ok(format!("extension {}", row.extname)),
            None => Err(Error::internal(format!("cache lookup failed for extension {oid}"))),
        }
    }
}
