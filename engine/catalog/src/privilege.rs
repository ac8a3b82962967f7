//! Access control lists.
//!
//! Realises: acl.c. An [`Acl`] is the value of `relacl`, `proacl` and their kin: items that give a
//! grantee (or everybody) privileges, some of them with grant option. A null ACL means the defaults of
//! its kind of object ([`Acl::default_for`]). Superusers pass every check; ownership implies all
//! grant options; membership carries what the roles a role inherits from may do.

use std::collections::{BTreeSet, HashSet};

use kokkiri_primitives::{Oid, Result, bail};
use kokkiri_types::{Value, ValueRef};

use crate::row::Field;
use crate::row::array;

/// A set of privileges, a bit each as in PostgreSQL's `AclMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privileges(pub u32);

impl Privileges {
    pub const NONE: Self = Self(0);
    pub const INSERT: Self = Self(1);
    pub const SELECT: Self = Self(1 << 1);
    pub const UPDATE: Self = Self(1 << 2);
    pub const DELETE: Self = Self(1 << 3);
    pub const TRUNCATE: Self = Self(1 << 4);
    pub const REFERENCES: Self = Self(1 << 5);
    pub const TRIGGER: Self = Self(1 << 6);
    pub const EXECUTE: Self = Self(1 << 7);
    pub const USAGE: Self = Self(1 << 8);
    pub const CREATE: Self = Self(1 << 9);
    pub const CREATE_TEMP: Self = Self(1 << 10);
    pub const CONNECT: Self = Self(1 << 11);
    pub const SET: Self = Self(1 << 12);
    pub const ALTER_SYSTEM: Self = Self(1 << 13);
    pub const MAINTAIN: Self = Self(1 << 14);
    /// What a column can have of its own.
    pub const COLUMN: Self = Self(Self::INSERT.0 | Self::SELECT.0 | Self::UPDATE.0 | Self::REFERENCES.0);

    /// The letters of the privileges, in the order of their bits.
    const LETTERS: &'static [u8] = b"arwdDxtXUCTcsAm";

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The kinds of object that have privileges, with their default privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    Sequence,
    Column,
    Database,
    Function,
    Language,
    Schema,
    Tablespace,
    Type,
}

impl ObjectKind {
    /// What the owner has of an object without an ACL.
    pub fn all(self) -> Privileges {
        let bits: &[Privileges] = match self {
            ObjectKind::Table => &[
                Privileges::INSERT,
                Privileges::SELECT,
                Privileges::UPDATE,
                Privileges::DELETE,
                Privileges::TRUNCATE,
                Privileges::REFERENCES,
                Privileges::TRIGGER,
                Privileges::MAINTAIN,
            ],
            ObjectKind::Sequence => &[Privileges::SELECT, Privileges::UPDATE, Privileges::USAGE],
            ObjectKind::Column => {
                &[Privileges::INSERT, Privileges::SELECT, Privileges::UPDATE, Privileges::REFERENCES]
            }
            ObjectKind::Database => &[Privileges::CREATE, Privileges::CREATE_TEMP, Privileges::CONNECT],
            ObjectKind::Function => &[Privileges::EXECUTE],
            ObjectKind::Language | ObjectKind::Type => &[Privileges::USAGE],
            ObjectKind::Schema => &[Privileges::USAGE, Privileges::CREATE],
            ObjectKind::Tablespace => &[Privileges::CREATE],
        };
        bits.iter().fold(Privileges::NONE, |all, bit| all.union(*bit))
    }

    /// What everybody has of an object without an ACL.
    pub fn public(self) -> Privileges {
        match self {
            ObjectKind::Database => Privileges::CREATE_TEMP.union(Privileges::CONNECT),
            ObjectKind::Function => Privileges::EXECUTE,
            ObjectKind::Language | ObjectKind::Type => Privileges::USAGE,
            _ => Privileges::NONE,
        }
    }
}

/// What one grantor gave one grantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclItem {
    /// `None` is everybody.
    pub grantee: Option<Oid>,
    pub grantor: Oid,
    pub privileges: Privileges,
    /// Those of the privileges that the grantee may pass on.
    pub grantable: Privileges,
}

impl AclItem {
    /// PostgreSQL's on-disk form: grantee, grantor, privileges with the grant options in the upper half.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.grantee.unwrap_or(Oid::INVALID).0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.grantor.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.privileges.0.to_le_bytes());
        bytes[12..].copy_from_slice(&self.grantable.0.to_le_bytes());
        bytes
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self {
            grantee: Oid(word(0)).valid(),
            grantor: Oid(word(4)),
            privileges: Privileges(word(8)),
            grantable: Privileges(word(12)),
        }
    }

    /// Reads `grantee=letters/grantor`, a `*` behind a letter meaning grant option.
    ///
    /// # Errors
    /// 22P02 for text of another shape, and what `role` answers for names it does not know.
    pub fn parse(text: &str, mut role: impl FnMut(&str) -> Result<Oid>) -> Result<Self> {
        let malformed =
            || kokkiri_primitives::error!(INVALID_TEXT_REPRESENTATION, "invalid aclitem: \"{text}\"");
        let (grantee, rest) = text.split_once('=').ok_or_else(malformed)?;
        let (letters, grantor) = rest.split_once('/').ok_or_else(malformed)?;
        let mut item = Self {
            grantee: if grantee.is_empty() { None } else { Some(role(grantee)?) },
            grantor: role(grantor)?,
            privileges: Privileges::NONE,
            grantable: Privileges::NONE,
        };
        let mut last = Privileges::NONE;
        for letter in letters.bytes() {
            if letter == b'*' {
                item.grantable = item.grantable.union(last);
                continue;
            }
            let Some(bit) = Privileges::LETTERS.iter().position(|known| *known == letter) else {
                bail!(
                    INVALID_TEXT_REPRESENTATION,
                    "invalid mode character: must be one of \"{}\"",
                    String::from_utf8_lossy(Privileges::LETTERS)
                );
            };
            last = Privileges(1 << bit);
            item.privileges = item.privileges.union(last);
        }
        Ok(item)
    }

    /// The text form; `role` gives the (quoted) name of a role.
    pub fn print(&self, mut role: impl FnMut(Oid) -> String) -> String {
        let mut text = self.grantee.map_or(String::new(), &mut role);
        text.push('=');
        for (bit, letter) in Privileges::LETTERS.iter().enumerate() {
            let privilege = Privileges(1 << bit);
            if self.privileges.contains(privilege) {
                text.push(char::from(*letter));
                if self.grantable.contains(privilege) {
                    text.push('*');
                }
            }
        }
        text.push('/');
        text.push_str(&role(self.grantor));
        text
    }
}

/// An access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl(pub Vec<AclItem>);

impl Acl {
    /// What holds for an object whose ACL is null.
    pub fn default_for(kind: ObjectKind, owner: Oid) -> Self {
        let mut items = Vec::new();
        let mut give = |grantee, privileges| {
            if privileges != Privileges::NONE {
                items.push(AclItem { grantee, grantor: owner, privileges, grantable: Privileges::NONE });
            }
        };
        give(None, kind.public());
        // A table's owner has a column's privileges by the table.
        if kind != ObjectKind::Column {
            give(Some(owner), kind.all());
        }
        Self(items)
    }

    /// Which of `wanted` somebody has who acts with all of `roles`, an owner's implied grant options
    /// aside.
    pub fn granted(&self, roles: &HashSet<Oid>, wanted: Privileges) -> Privileges {
        let applies = |item: &&AclItem| item.grantee.is_none_or(|grantee| roles.contains(&grantee));
        let all =
            self.0.iter().filter(applies).fold(Privileges::NONE, |all, item| all.union(item.privileges));
        Privileges(all.0 & wanted.0)
    }

    /// The privileges that a role was given to pass on, by itself.
    pub fn grantable_by(&self, role: Oid) -> Privileges {
        let own = self.0.iter().filter(|item| item.grantee == Some(role));
        own.fold(Privileges::NONE, |all, item| all.union(item.grantable))
    }

    /// All roles that are named.
    pub fn roles(&self) -> BTreeSet<Oid> {
        self.0.iter().flat_map(|item| [item.grantee, Some(item.grantor)]).flatten().collect()
    }

    /// Adds privileges to the item of this grantee and grantor, or a new item.
    pub fn grant(&mut self, grantee: Option<Oid>, grantor: Oid, privileges: Privileges, with_option: bool) {
        let grantable = if with_option { privileges } else { Privileges::NONE };
        let same = |item: &&mut AclItem| item.grantee == grantee && item.grantor == grantor;
        match self.0.iter_mut().find(same) {
            Some(item) => {
                item.privileges = item.privileges.union(privileges);
                item.grantable = item.grantable.union(grantable);
            }
            None if privileges != Privileges::NONE => {
                self.0.push(AclItem { grantee, grantor, privileges, grantable });
            }
            None => {}
        }
    }

    /// Takes privileges (or only their grant options) from the item of this grantee and grantor.
    pub fn revoke(&mut self, grantee: Option<Oid>, grantor: Oid, privileges: Privileges, option_only: bool) {
        for item in self.0.iter_mut().filter(|item| item.grantee == grantee && item.grantor == grantor) {
            item.grantable = item.grantable.without(privileges);
            if !option_only {
                item.privileges = item.privileges.without(privileges);
            }
        }
        self.0.retain(|item| item.privileges != Privileges::NONE);
    }
}

impl Acl {
    /// The object has another owner, who takes over what the old one has and gave: `aclnewowner`.
    pub fn change_owner(&mut self, old: Oid, new: Oid) {
        let replaced = |role: Oid| if role == old { new } else { role };
        let items = std::mem::take(&mut self.0);
        for mut item in items {
            item.grantee = item.grantee.map(replaced);
            item.grantor = replaced(item.grantor);
            match self.0.iter_mut().find(|kept| kept.grantee == item.grantee && kept.grantor == item.grantor)
            {
                Some(kept) => {
                    kept.privileges = kept.privileges.union(item.privileges);
                    kept.grantable = kept.grantable.union(item.grantable);
                }
                None => self.0.push(item),
            }
        }
    }
}

impl Field for AclItem {
    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Fixed16(bytes) => Some(Self::from_bytes(bytes)),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Fixed16(self.to_bytes())
    }
}

impl Field for Acl {
    fn from_value(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Bytes(payload) => array::decode(payload).map(Self),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Bytes(array::encode(self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Result<Oid> {
        match name {
            "alice" => Ok(Oid(20)),
            "owner" => Ok(Oid(10)),
            other => bail!(UNDEFINED_OBJECT, "role \"{other}\" does not exist"),
        }
    }

    fn name(oid: Oid) -> String {
        if oid == Oid(20) { "alice".to_owned() } else { "owner".to_owned() }
    }

    #[test]
    fn items_read_and_print_and_survive_the_disk() {
        for text in ["alice=r*w/owner", "=X/owner", "owner=arwdDxtm/owner"] {
            let item = AclItem::parse(text, role).expect("valid");
            assert_eq!(item.print(name), text);
            assert_eq!(AclItem::from_bytes(item.to_bytes()), item);
        }
        assert_eq!(
            AclItem::parse("alice=q/owner", role).expect_err("no such letter").sqlstate().as_str(),
            "22P02"
        );
    }

    #[test]
    fn what_is_granted_is_the_union_over_roles() {
        let mut acl = Acl::default_for(ObjectKind::Table, Oid(10));
        acl.grant(Some(Oid(20)), Oid(10), Privileges::SELECT, false);
        let alice = HashSet::from([Oid(20)]);
        let wanted = Privileges::SELECT.union(Privileges::INSERT);
        assert_eq!(acl.granted(&alice, wanted), Privileges::SELECT);
        acl.revoke(Some(Oid(20)), Oid(10), Privileges::SELECT, false);
        assert_eq!(acl.granted(&alice, wanted), Privileges::NONE);
        assert_eq!(acl.0.len(), 1, "an item without privileges goes");
    }
}
