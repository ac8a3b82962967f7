//! The names of a simulated file system: as they are, and as they certainly are after a crash.

use std::collections::{BTreeMap, HashMap};

use super::super::parent;
use super::Random;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Number of its inode.
    File(usize),
    Directory,
    /// Where it leads.
    Link(String),
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Make(String, Entry),
    Remove(String),
    Rename(String, String),
}

impl NameChange {
    /// The directory whose sync makes the change durable.
    fn directory(&self) -> &str {
        let path = match self {
            NameChange::Make(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path) => path,
        };
        match parent(path) {
            "." => "",
            above => above,
        }
    }
}

type Map = BTreeMap<String, Entry>;

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    current: Map,
    durable: Map,
    /// Changes not yet durable, in order.
    unsynced: Vec<NameChange>,
}

fn apply(map: &mut Map, change: &NameChange) {
    match change {
        NameChange::Make(path, entry) => {
            map.insert(path.clone(), entry.clone());
        }
        NameChange::Remove(path) => {
            map.remove(path);
        }
        NameChange::Rename(from, to) => {
            // A change that this one builds on may be lost; then there is nothing to rename.
            let Some(entry) = map.remove(from) else { return };
            map.insert(to.clone(), entry);
            let prefix = format!("{from}/");
            let inner: Vec<String> = map
                .range(prefix.clone()..)
                .map(|(path, _)| path.clone())
                .take_while(|path| path.starts_with(&prefix))
                .collect();
            for path in inner {
                if let Some(entry) = map.remove(&path) {
                    map.insert(format!("{to}/{}", &path[prefix.len()..]), entry);
                }
            }
        }
    }
}

impl Names {
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.current.get(path)
    }

    /// Names directly within a directory; the empty path is the root.
    pub fn within<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Entry)> + 'a {
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        self.current
            .range(prefix.clone()..)
            .map_while(move |(path, entry)| Some((path.strip_prefix(&*prefix)?, entry)))
            .filter(|(name, _)| !name.is_empty() && !name.contains('/'))
    }

    pub fn files(&self) -> impl Iterator<Item = usize> + '_ {
        self.current.values().filter_map(|entry| match entry {
            Entry::File(inode) => Some(*inode),
            Entry::Directory | Entry::Link(_) => None,
        })
    }

    pub fn change(&mut self, change: NameChange) {
        apply(&mut self.current, &change);
        self.unsynced.push(change);
    }

    pub fn sync(&mut self, directory: &str) {
        let (synced, left) =
            self.unsynced.drain(..).partition::<Vec<_>, _>(|change| change.directory() == directory);
        for change in &synced {
            apply(&mut self.durable, change);
        }
        self.unsynced = left;
    }

    pub fn sync_everything(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// What a crash leaves: a prefix of the unsynced changes, as a journal does, or any of them.
    pub fn survivors(&self, random: &mut Random) -> Self {
        let mut map = self.durable.clone();
        let in_order = random.below(4) > 0;
        let prefix = random.below(self.unsynced.len() as u64 + 1) as usize;
        for (index, change) in self.unsynced.iter().enumerate() {
            let spared = if in_order { index < prefix } else { random.below(2) == 0 };
            if spared {
                apply(&mut map, change);
            }
        }
        // A name whose directory is gone is gone.
        let orphans: Vec<String> = map
            .keys()
            .filter(|path| {
                path.match_indices('/')
                    .any(|(end, _)| end > 0 && map.get(&path[..end]) != Some(&Entry::Directory))
            })
            .cloned()
            .collect();
        for orphan in orphans {
            map.remove(&orphan);
        }
        Self { current: map.clone(), durable: map, unsynced: Vec::new() }
    }

    /// Gives the files new inode numbers, the same name for name in both states.
    pub fn renumber(&mut self, mut number: impl FnMut(usize) -> usize) {
        let mut known = HashMap::new();
        for entry in self.current.values_mut() {
            if let Entry::File(inode) = entry {
                *inode = *known.entry(*inode).or_insert_with(|| number(*inode));
            }
        }
        self.durable = self.current.clone();
    }
}
