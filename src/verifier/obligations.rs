//! All that a program must give back before it ends: references, a lock, RCU and preemption sections.
//!
//! Each acquired reference has an [`Entry`] in the ledger, from where it is acquired to where it is released or moved
//! into a map. The kernel keeps references per frame and copies them up and down; since a callback cannot release
//! what its caller holds, one ledger for the whole state says the same.

use super::rule::Rule;
use super::value::TypeRef;

/// What a reference is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// An object of that type.
    Object(TypeRef),
    /// A per-CPU object of that type.
    PercpuObject(TypeRef),
    /// An iterator that must be destroyed.
    Iterator(TypeRef),
    /// Something else, such as a socket, a ring buffer record, or a dynptr.
    Other,
}

/// A reference that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id; registers that carry it have the same.
    pub id: u32,
    /// Slot where it was acquired.
    pub acquired_at: u32,
    /// Number of the callback's frame that acquired it; 0 outside callbacks.
    pub callback_frame: u8,
    /// What it is to.
    pub held: Held,
}

/// What guards a lock: the map or the object that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOwner {
    /// A map's value, by the map's index.
    Map(u32),
    /// An object that the program allocated.
    Object,
}

/// A held `bpf_spin_lock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveLock {
    /// Where it lies.
    pub owner: LockOwner,
    /// Identity of the pointer it was taken through.
    pub id: u32,
}

/// All obligations of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obligations {
    /// The ledger.
    references: Vec<Entry>,
    /// The lock that is held.
    pub lock: Option<ActiveLock>,
    /// Inside `bpf_rcu_read_lock`?
    pub rcu: bool,
    /// How often preemption was disabled.
    pub preempt: u32,
}

impl Obligations {
    /// The references that are held, in the order in which the kernel keeps them.
    #[must_use]
    pub fn references(&self) -> &[Entry] {
        &self.references
    }

    /// The entry of that id.
    #[must_use]
    pub fn entry(&self, id: u32) -> Option<&Entry> {
        self.references.iter().find(|entry| entry.id == id)
    }

    /// Writes a new reference into the ledger.
    pub fn acquire(&mut self, entry: Entry) {
        self.references.push(entry);
    }

    /// Strikes a reference out (`release_reference_state`); the last entry takes its place. `callback_frame` is the
    /// current frame's number if a callback runs in it: a callback must not release what its caller holds.
    /// `false` if it is not held, or not by the callback.
    pub fn release(&mut self, id: u32, callback_frame: Option<u8>) -> bool {
        let Some(index) = self.references.iter().position(|entry| entry.id == id) else {
            return false;
        };
        if callback_frame.is_some_and(|frame| self.references[index].callback_frame != frame) {
            return false;
        }
        self.references.swap_remove(index);
        true
    }

    /// The rules that are broken if the function ended here, one for each reference that is still held.
    /// In a callback only what the callback itself acquired counts.
    pub fn leaks(&self, callback_frame: Option<u8>) -> impl Iterator<Item = Rule> {
        self.references
            .iter()
            .filter(move |entry| callback_frame.is_none_or(|frame| entry.callback_frame == frame))
            .map(|entry| Rule::UnreleasedReference { id: entry.id, acquired_at: entry.acquired_at })
    }
}
