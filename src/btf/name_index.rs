//! Finding types by name: a hash table of ids whose keys are the names themselves, wherever they lie.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use super::types::TypeId;

/// Ids by the hash of their name. Holds no names: who asks compares them.
#[derive(Clone, Debug, Default)]
pub(super) struct NameIndex {
    /// By hash: the lowest id with it, 0 for none. A power of two of them.
    first: Vec<u32>,
    /// By id: the next one with the same hash, 0 for none.
    next: Vec<u32>,
}

impl NameIndex {
    /// An index of `count` ids whose names are `name_of` them.
    pub(super) fn of<'names>(count: usize, name_of: impl Fn(TypeId) -> &'names [u8]) -> NameIndex {
        let mut index = NameIndex { first: vec![0; count.next_power_of_two()], next: vec![0; count] };
        // From the highest on, so that each chain ascends.
        for id in (1..count as u32).rev() {
            let name = name_of(TypeId(id));
            if name.first().is_some_and(|&byte| byte != 0) {
                let at = index.place(name);
                if let (Some(first), Some(next)) = (index.first.get_mut(at), index.next.get_mut(id as usize)) {
                    *next = std::mem::replace(first, id);
                }
            }
        }
        index
    }

    /// The ids that may have that name, lowest first.
    pub(super) fn candidates(&self, name: &str) -> impl Iterator<Item = TypeId> {
        let follow = |&id: &u32| Some(id).filter(|&id| id != 0);
        let first = self.first.get(self.place(name.as_bytes())).and_then(follow);
        std::iter::successors(first, move |&id| self.next.get(id as usize).and_then(follow)).map(TypeId)
    }

    /// Where the name is found that ends at a zero byte or where the slice does.
    fn place(&self, name: &[u8]) -> usize {
        let end = memchr::memchr(0, name).unwrap_or(name.len());
        let mut hasher = FxHasher::default();
        hasher.write(name.get(..end).unwrap_or(name));
        hasher.finish() as usize & (self.first.len().wrapping_sub(1))
    }
}
