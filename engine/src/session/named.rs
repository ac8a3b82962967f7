//! What a client gives names to: prepared statements and portals.
//!
//! The one without a name, which drivers use for most of what they do, has a place of its own. Whoever
//! works with one while the session must be free for other calls borrows it ([`Named::lend`]) and gives it
//! back; meanwhile it counts as not there.

use rustc_hash::FxHashMap;

pub struct Named<T> {
    unnamed: Option<Box<T>>,
    /// `None` while it is lent.
    named: FxHashMap<String, Option<Box<T>>>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { unnamed: None, named: FxHashMap::default() }
    }
}

impl<T> Named<T> {
    pub fn get(&self, name: &str) -> Option<&T> {
        if name.is_empty() { self.unnamed.as_deref() } else { self.named.get(name)?.as_deref() }
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        if name.is_empty() { self.unnamed.as_deref_mut() } else { self.named.get_mut(name)?.as_deref_mut() }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Puts one there, in place of what had the name.
    pub fn insert(&mut self, name: &str, what: Box<T>) {
        if name.is_empty() {
            self.unnamed = Some(what);
        } else {
            self.named.insert(name.to_owned(), Some(what));
        }
    }

    pub fn remove(&mut self, name: &str) -> Option<Box<T>> {
        if name.is_empty() { self.unnamed.take() } else { self.named.remove(name)? }
    }

    /// Takes one out for a while.
    pub fn lend(&mut self, name: &str) -> Option<Box<T>> {
        if name.is_empty() { self.unnamed.take() } else { self.named.get_mut(name)?.take() }
    }

    /// Puts back what was lent.
    pub fn give_back(&mut self, name: &str, what: Box<T>) {
        if name.is_empty() {
            self.unnamed = Some(what);
        } else if let Some(place) = self.named.get_mut(name) {
            *place = Some(what);
        } else {
            self.insert(name, what);
        }
    }

    pub fn clear(&mut self) {
        self.unnamed = None;
        if !self.named.is_empty() {
            self.named.clear();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.unnamed.is_none() && self.named.is_empty()
    }

    /// Those that have names.
    pub fn named(&self) -> impl Iterator<Item = (&str, &T)> {
        self.named.iter().filter_map(|(name, what)| Some((name.as_str(), what.as_deref()?)))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.unnamed
            .as_deref_mut()
            .into_iter()
            .chain(self.named.values_mut().filter_map(Option::as_deref_mut))
    }
}

#[cfg(test)]
mod tests {
    use super::Named;

    #[test]
    fn what_is_lent_is_not_there_until_it_comes_back() {
        let mut things = Named::default();
        for name in ["", "a"] {
            things.insert(name, Box::new(1));
            let lent = things.lend(name).expect("it is there");
            assert!(!things.contains(name) && things.lend(name).is_none());
            things.give_back(name, lent);
            assert_eq!(things.get(name), Some(&1));
        }
        assert_eq!(things.named().collect::<Vec<_>>(), [("a", &1)]);
        assert_eq!(things.values_mut().count(), 2);
        assert_eq!(things.remove("a"), Some(Box::new(1)));
        assert!(!things.is_empty());
        things.clear();
        assert!(things.is_empty());
    }
}
