//! Objects in words: "table t", "constraint c on table t", "column a of table t".
//!
//! Realises: `getObjectDescription` (objectaddress.c).

use kokkiri_access::relation::RelationKind;
use kokkiri_catalog::dependency::{ObjectAddress, class};
use kokkiri_catalog::lookup::Lookup;
use kokkiri_catalog::row::CatalogRow;
use kokkiri_catalog::rows::{
    PgAttrdef, PgAttribute, PgAuthMembers, PgClass, PgConstraint, PgLanguage, PgRewrite, PgTablespace,
    PgTrigger,
};
use kokkiri_parse::quote_identifier;
use kokkiri_primitives::{Error, Oid, Result};
use kokkiri_types::ValueRef;

use crate::context::CommandContext;
use crate::default::ATTRDEF_BY_OID;
use crate::name::{kind_name, visible_name};

const TRIGGER_BY_OID: Oid = Oid(2702);
const REWRITE_BY_OID: Oid = Oid(2692);
const MEMBERSHIP_BY_OID: Oid = Oid(6303);

impl CommandContext<'_> {
    /// Names an object in a message.
    pub fn describe(&self, object: ObjectAddress) -> Result<String> {
        let missing = || Error::internal(format!("cache lookup failed for object {}", object.object));
        let view = &self.view;
        Ok(match object.class {
            class::RELATION if object.sub == 0 => self.describe_relation(object.object)?,
            class::RELATION => {
                let rows = view.rows::<PgAttribute>(Lookup::AttributeByRelation, &[key(object.object)])?;
                let column =
                    rows.iter().find(|row| i32::from(row.attnum) == object.sub).ok_or_else(missing)?;
                format!("column {} of {}", column.attname, self.describe_relation(object.object)?)
            }
            class::TYPE => format!("type {}", self.type_name(object.object)),
            class::FUNCTION => {
                let function = view.function(object.object)?.ok_or_else(missing)?;
                let arguments: Vec<_> = function.arguments.iter().map(|oid| self.type_name(*oid)).collect();
                format!("function {}({})", quote_identifier(&function.name), arguments.join(","))
            }
            class::CONSTRAINT => {
                let rows = view.rows::<PgConstraint>(Lookup::ConstraintByOid, &[key(object.object)])?;
                let row = rows.first().ok_or_else(missing)?;
                match row.conrelid.valid() {
                    Some(relation) => {
                        format!("constraint {} on {}", row.conname, self.describe_relation(relation)?)
                    }
                    None => format!("constraint {}", row.conname),
                }
            }
            class::DEFAULT => {
                let row: PgAttrdef = self.row_by_oid(ATTRDEF_BY_OID, object.object)?.ok_or_else(missing)?;
                let column = ObjectAddress::column(row.adrelid, row.adnum);
                format!("default value for {}", self.describe(column)?)
            }
            class::TRIGGER => {
                let row: PgTrigger = self.row_by_oid(TRIGGER_BY_OID, object.object)?.ok_or_else(missing)?;
                format!("trigger {} on {}", row.tgname, self.describe_relation(row.tgrelid)?)
            }
            class::REWRITE => {
                let row: PgRewrite = self.row_by_oid(REWRITE_BY_OID, object.object)?.ok_or_else(missing)?;
                format!("rule {} on {}", row.rulename, self.describe_relation(row.ev_class)?)
            }
            class::EXTENSION => self.describe_extension(object.object)?,
            class::NAMESPACE => {
                format!("schema {}", view.namespace(object.object)?.ok_or_else(missing)?.name)
            }
            class::ROLE => format!("role {}", view.role(object.object)?.ok_or_else(missing)?.name),
            class::DATABASE => {
                format!("database {}", view.database(object.object)?.ok_or_else(missing)?.name)
            }
            class::TABLESPACE => {
                let rows = view.rows::<PgTablespace>(Lookup::TablespaceByOid, &[key(object.object)])?;
                format!("tablespace {}", rows.first().ok_or_else(missing)?.spcname)
            }
            class::LANGUAGE => {
                let rows = view.rows::<PgLanguage>(Lookup::LanguageByOid, &[key(object.object)])?;
                format!("language {}", rows.first().ok_or_else(missing)?.lanname)
            }
            class::MEMBERSHIP => {
                let row: PgAuthMembers =
                    self.row_by_oid(MEMBERSHIP_BY_OID, object.object)?.ok_or_else(missing)?;
                format!(
                    "membership of role {} in role {}",
                    self.role_name(row.member)?,
                    self.role_name(row.roleid)?
                )
            }
            class::OPERATOR => {
                let operator = view.operator(object.object)?.ok_or_else(missing)?;
                let left = operator.left.map_or_else(|| "none".to_owned(), |oid| self.type_name(oid));
                format!("operator {}({left},{})", operator.name, self.type_name(operator.right))
            }
            class::COLLATION => {
                let collation = view.collation(object.object)?.ok_or_else(missing)?;
                format!("collation {}", quote_identifier(&collation.name))
            }
            other => format!("object {} of catalog {other}", object.object),
        })
    }

    /// "table t", "index i".
    pub fn describe_relation(&self, oid: Oid) -> Result<String> {
        let rows = self.view.rows::<PgClass>(Lookup::RelationByOid, &[key(oid)])?;
        let row =
            rows.first().ok_or_else(|| Error::internal(format!("cache lookup failed for relation {oid}")))?;
        let kind = RelationKind::try_from(row.relkind)
            .map_err(|()| Error::data_corrupted(format!("relation {oid} has an invalid kind")))?;
        Ok(format!("{} {}", kind_name(kind), visible_name(self, oid, &row.relname, row.relnamespace)?))
    }

    /// The row of a catalog with an oid, by the catalog's index on it.
    pub fn row_by_oid<R: CatalogRow>(&self, index: Oid, oid: Oid) -> Result<Option<R>> {
        Ok(self.view.scan_rows::<R>(index, &[1], &[key(oid)])?.pop().map(|found| found.row))
    }
}

/// An oid as a key.
pub fn key(oid: Oid) -> ValueRef<'static> {
    ValueRef::Int32(oid.0 as i32)
}
