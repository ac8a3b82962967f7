//! The parameters that a session has changed.

use std::collections::BTreeMap;

use super::server::{Source, Stored};
use super::value::Value;

/// Which parameter: one of the facts', or an extension's by its folded name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Known(u16),
    Custom(String),
}

/// A parameter that the session has changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Override {
    /// What RESET goes back to, where database, role or connection say other than the server.
    pub base: Option<Stored>,
    pub session: Option<Value>,
    pub local: Option<Value>,
}

impl Override {
    pub fn value(&self) -> Option<&Value> {
        self.local.as_ref().or(self.session.as_ref()).or(self.base.as_ref().map(|stored| &stored.value))
    }

    pub fn source(&self) -> Option<Source> {
        match (&self.local, &self.session, &self.base) {
            (None, None, base) => base.as_ref().map(|stored| stored.source),
            _ => Some(Source::Session),
        }
    }
}

/// What the session has changed, by name. A parameter of the facts is looked for many times a statement and
/// found by its place; of an extension's there are few.
#[derive(Default)]
pub(super) struct Overrides {
    /// As long as the last changed parameter's index asks for.
    known: Vec<Option<Box<Override>>>,
    custom: BTreeMap<String, Override>,
}

impl Overrides {
    #[inline]
    pub fn known(&self, index: u16) -> Option<&Override> {
        self.known.get(usize::from(index))?.as_deref()
    }

    pub fn get(&self, name: &Name) -> Option<&Override> {
        match name {
            Name::Known(index) => self.known(*index),
            Name::Custom(name) => self.custom.get(name),
        }
    }

    /// The override, made now if there is none.
    pub fn entry(&mut self, name: &Name) -> &mut Override {
        match name {
            Name::Known(index) => {
                let at = usize::from(*index);
                if self.known.len() <= at {
                    self.known.resize_with(at + 1, || None);
                }
                self.known[at].get_or_insert_default()
            }
            Name::Custom(name) => self.custom.entry(name.clone()).or_default(),
        }
    }

    pub fn remove(&mut self, name: &Name) {
        match name {
            Name::Known(index) => {
                if let Some(entry) = self.known.get_mut(usize::from(*index)) {
                    *entry = None;
                }
            }
            Name::Custom(name) => {
                self.custom.remove(name);
            }
        }
    }

    pub fn names(&self) -> Vec<Name> {
        let known = self.known.iter().enumerate().filter(|(_, entry)| entry.is_some());
        let known = known.map(|(index, _)| Name::Known(index as u16));
        known.chain(self.custom.keys().cloned().map(Name::Custom)).collect()
    }
}
