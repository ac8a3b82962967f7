//! Sets of range table indexes.

use serde::{Deserialize, Serialize};

/// A set of small numbers, PostgreSQL's `Relids` (`Bitmapset`). The empty set owns no memory; the
/// last word is never zero.
#[derive(Clone, Default, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Relids(Vec<u64>);

impl Relids {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn single(member: u32) -> Self {
        let mut set = Self::new();
        set.insert(member);
        set
    }

    fn word(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn contains(&self, member: u32) -> bool {
        self.word(member as usize / 64) >> (member % 64) & 1 != 0
    }

    pub fn insert(&mut self, member: u32) {
        let word = member as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (member % 64);
    }

    pub fn remove(&mut self, member: u32) {
        if let Some(word) = self.0.get_mut(member as usize / 64) {
            *word &= !(1 << (member % 64));
        }
        self.trim();
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.add_all(other);
        result
    }

    pub fn add_all(&mut self, other: &Self) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    pub fn intersection(&self, other: &Self) -> Self {
        let mut result = Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect());
        result.trim();
        result
    }

    pub fn difference(&self, other: &Self) -> Self {
        let words = self.0.iter().enumerate().map(|(index, word)| word & !other.word(index));
        let mut result = Self(words.collect());
        result.trim();
        result
    }

    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(index, word)| word & !other.word(index) == 0)
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Members in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let base = index as u32 * 64;
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| base + bit)
        })
    }

    /// The only member, if there is exactly one.
    pub fn singleton(&self) -> Option<u32> {
        let mut members = self.iter();
        let first = members.next()?;
        members.next().is_none().then_some(first)
    }
}

impl FromIterator<u32> for Relids {
    fn from_iter<T: IntoIterator<Item = u32>>(members: T) -> Self {
        let mut set = Self::new();
        for member in members {
            set.insert(member);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_compare_by_members() {
        let mut a: Relids = [1, 70].into_iter().collect();
        a.remove(70);
        assert_eq!(a, Relids::single(1));
        assert_eq!(a.singleton(), Some(1));
        let b: Relids = [1, 2, 130].into_iter().collect();
        assert!(a.is_subset_of(&b) && a.overlaps(&b) && !b.is_subset_of(&a));
        assert_eq!(b.difference(&a).iter().collect::<Vec<_>>(), [2, 130]);
        assert_eq!(b.intersection(&a), a);
        assert_eq!(a.union(&b).len(), 3);
    }
}
