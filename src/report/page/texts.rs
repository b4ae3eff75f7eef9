//! Things that stand once and are referred to by number: a page's words, a view's keys.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Numbers things in the order in which they first come.
#[derive(Clone, Debug)]
pub struct Numbered<T> {
    numbers: FxHashMap<T, u32>,
    all: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered { numbers: FxHashMap::default(), all: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    /// The number of a thing.
    pub fn number(&mut self, thing: T) -> u32 {
        if let Some(&number) = self.numbers.get(&thing) {
            return number;
        }
        let number = self.all.len() as u32;
        self.all.push(thing.clone());
        self.numbers.insert(thing, number);
        number
    }

    /// All of them, by number.
    #[must_use]
    pub fn into_all(self) -> Vec<T> {
        self.all
    }
}
