//! Wake-up trees: sequences of steps that are to be tried from a point of the run, merged where they begin alike.
//!
//! Abdulla and others (JACM 2017), section 6. Trees of all points live in one store; a point has a list of trees, in the order in which they
//! are to be tried. When a run takes the first step of a tree, the rest of that tree belongs to the point behind the step.

use smallvec::SmallVec;

use crate::explore::causality::Effect;
use crate::explore::system::{Choice, Touch};

/// No tree.
pub const NONE: u32 = u32::MAX;

/// By what insertion a tree came to be: at which point of the run, and the digest of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Steps before the point.
    pub point: u32,
    /// Digest of the sequence.
    pub digest: u64,
}

/// A step to be tried, and what then.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The step.
    pub choice: Choice,
    /// What it touches, if known.
    pub touches: Option<SmallVec<[Touch; 2]>>,
    /// It conflicts with every other step.
    pub broad: bool,
    /// The first tree behind it; a leaf has none, and leaves open what follows.
    pub behind: u32,
    /// The next tree of the same point.
    pub next: u32,
    /// Where it comes from.
    pub origin: Origin,
}

/// All trees of a run.
#[derive(Clone, Debug, Default)]
pub struct Forest {
    trees: Vec<Tree>,
    free: Vec<u32>,
}

impl Tree {
    /// What decides what the step commutes with, if known.
    #[must_use]
    pub fn effect(&self) -> Option<Effect<'_>> {
        self.touches.as_ref().map(|touches| Effect { touches, broad: self.broad })
    }
}

impl Forest {
    /// A tree by its number, which must be one that this gave.
    #[must_use]
    #[inline]
    pub fn get(&self, tree: u32) -> &Tree {
        &self.trees[tree as usize]
    }

    /// A leaf that belongs nowhere yet.
    pub fn leaf(&mut self, choice: Choice, effect: Option<Effect<'_>>, origin: Origin) -> u32 {
        let touches = effect.map(|effect| SmallVec::from_slice(effect.touches));
        let broad = effect.is_some_and(|effect| effect.broad);
        let tree = Tree { choice, touches, broad, behind: NONE, next: NONE, origin };
        if let Some(number) = self.free.pop() {
            self.trees[number as usize] = tree;
            return number;
        }
        self.trees.push(tree);
        (self.trees.len() - 1) as u32
    }

    /// Puts `tree` at the end of the list that begins at `first`; the list's new beginning.
    #[must_use]
    pub fn append(&mut self, first: u32, tree: u32) -> u32 {
        if first == NONE {
            return tree;
        }
        let mut last = first;
        while self.trees[last as usize].next != NONE {
            last = self.trees[last as usize].next;
        }
        self.trees[last as usize].next = tree;
        first
    }

    /// Puts `tree` behind another.
    pub fn append_behind(&mut self, parent: u32, tree: u32) {
        let first = self.trees[parent as usize].behind;
        self.trees[parent as usize].behind = self.append(first, tree);
    }

    /// Frees a tree, not those behind it.
    pub fn release(&mut self, tree: u32) {
        self.free.push(tree);
    }

    /// Frees a tree and all behind it, and names the insertions that they came from.
    pub fn discard(&mut self, tree: u32, from: &mut Vec<Origin>) {
        let mut rest = vec![tree];
        while let Some(tree) = rest.pop() {
            let Tree { origin, mut behind, .. } = self.trees[tree as usize];
            from.push(origin);
            while behind != NONE {
                rest.push(behind);
                behind = self.trees[behind as usize].next;
            }
            self.release(tree);
        }
    }
}
