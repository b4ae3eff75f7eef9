//! Updating maps: what an update comes to, and where its bytes go (`array_map_update_elem` in `kernel/bpf/arraymap.c`,
//! `htab_map_update_elem` and `__htab_percpu_map_update_elem` in `kernel/bpf/hashtab.c`, Linux 6.12).

use super::{BPF_EXIST, BPF_F_LOCK, BPF_NOEXIST, MapFamily, errno, index_of};
use crate::btf::fields::FieldKind;
use crate::machine::event::{Access, AccessKind};
use crate::machine::fault::Trap;
use crate::machine::stepper::Machine;
use crate::machine::story::{Moment, RegionId};

/// What an update comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine) enum Update {
    /// Nothing: the call returns this error number.
    Refused(i64),
    /// The value in that region is overwritten.
    InPlace(RegionId),
    /// A new element is made, and takes the place of the old one if there is one.
    Anew,
}

/// The error of an update that wants the element to be there, or not to be there, and it is otherwise.
pub(super) fn refuses(is_there: bool, flags: u64) -> Option<i64> {
    match (is_there, flags) {
        (true, BPF_NOEXIST) => Some(errno::EEXIST),
        (false, BPF_EXIST) => Some(errno::ENOENT),
        _ => None,
    }
}

impl Machine {
    /// What an update of a map would come to, by that CPU.
    pub(in crate::machine) fn plan_update(
        &mut self,
        map: u32,
        key: &[u8],
        flags: u64,
        cpu: u32,
    ) -> Result<Update, Box<Trap>> {
        let state = &self.maps[map as usize];
        let locking = matches!(state.family, MapFamily::Array | MapFamily::Hash);
        let known = BPF_EXIST | if locking { BPF_F_LOCK } else { 0 };
        // `BPF_NOEXIST | BPF_EXIST` is as little known as a higher flag.
        if flags & !BPF_F_LOCK > BPF_EXIST || flags > known | BPF_NOEXIST {
            return Ok(Update::Refused(errno::EINVAL));
        }
        match state.family {
            MapFamily::Array => self.plan_array_update(map, index_of(key), flags, cpu),
            MapFamily::Hash => self.plan_hash_update(map, key, flags, cpu),
            MapFamily::Trie => Ok(self.trie_refuses(map, key, flags).map_or(Update::Anew, Update::Refused)),
            _ => Err(state.unsupported("update")),
        }
    }

    fn plan_array_update(&mut self, map: u32, index: u32, flags: u64, cpu: u32) -> Result<Update, Box<Trap>> {
        let Some(first) = self.array_element(map, index)? else { return Ok(Update::Refused(errno::E2BIG)) };
        // An array's elements are all there.
        let refused = refuses(true, flags & !BPF_F_LOCK).or_else(|| self.lacks_lock(map, flags));
        Ok(refused.map_or_else(|| Update::InPlace(self.own_copy(map, first, cpu)), Update::Refused))
    }

    fn plan_hash_update(&self, map: u32, key: &[u8], flags: u64, cpu: u32) -> Result<Update, Box<Trap>> {
        let (locked, flags) = (flags & BPF_F_LOCK, flags & !BPF_F_LOCK);
        let state = &self.maps[map as usize];
        if self.may_evict(map, flags, cpu) {
            return Err(state.unsupported("eviction"));
        }
        let old = state.elements.hash.get(key);
        if let Some(error) = self.lacks_lock(map, locked).or_else(|| refuses(old.is_some(), flags)) {
            return Ok(Update::Refused(error));
        }
        match old {
            None if state.elements.hash.len() >= state.max_entries as usize => Ok(Update::Refused(errno::E2BIG)),
            Some(&first) if state.per_cpu || locked != 0 => Ok(Update::InPlace(self.own_copy(map, first, cpu))),
            // A plain hash replaces the element, so that readers of the old one never see it change.
            _ => Ok(Update::Anew),
        }
    }

    /// Puts a value into an element that is not found by then: into the given one, or a trie's new one.
    pub(in crate::machine) fn map_insert(
        &mut self,
        map: u32,
        key: &[u8],
        element: Option<RegionId>,
        value: &[u8],
        at: Moment,
    ) -> Result<(), Box<Trap>> {
        let Some(first) = element else { return self.trie_insert(map, key, value, at) };
        let region = self.own_copy(map, first, at.cpu);
        self.copy_value(map, region, value);
        self.link_element(map, key, first, at)
    }

    /// The error of an update under the value's lock where values have none.
    fn lacks_lock(&self, map: u32, flags: u64) -> Option<i64> {
        (flags & BPF_F_LOCK != 0 && self.lock_offset(map).is_none()).then_some(errno::EINVAL)
    }

    /// Where in each value of the map its `bpf_spin_lock` is.
    pub(in crate::machine) fn lock_offset(&self, map: u32) -> Option<u32> {
        let fields = &self.maps[map as usize].specials.fields;
        fields.iter().find(|field| field.kind == FieldKind::SpinLock).map(|field| field.offset)
    }

    /// Offsets and sizes of what is copied of a map's value: all but its special fields (`copy_map_value`).
    pub(in crate::machine) fn copied_runs(&self, map: u32) -> Vec<(u32, u32)> {
        let state = &self.maps[map as usize];
        let mut runs = Vec::new();
        let mut from = 0;
        let specials = state.specials.fields.iter().map(|field| (field.offset, field.size));
        for (offset, size) in specials.chain([(state.value_size, 0)]) {
            if offset > from {
                runs.push((from, offset - from));
            }
            from = offset + size;
        }
        runs
    }

    /// Makes a value zero but for its special fields (`zero_map_value`).
    pub(super) fn zero_value(&mut self, map: u32, region: RegionId) {
        let zeros = vec![0; self.maps[map as usize].value_size as usize];
        self.copy_value(map, region, &zeros);
    }

    /// Copies a value in one piece.
    pub(super) fn copy_value(&mut self, map: u32, region: RegionId, value: &[u8]) {
        for (offset, size) in self.copied_runs(map) {
            if let Some(part) = value.get(offset as usize..(offset + size) as usize) {
                self.memory.poke(region, offset, part);
                self.report.accesses.push(Access { region, offset, size, kind: AccessKind::Write });
            }
        }
    }
}
