//! What the kernel keeps in memory that programs can reach, and that they must leave alone: the special fields of map values
//! and objects, and the dynptrs and iterators on their stacks.
//!
//! Fields are looked at when an instruction has touched them, and only where an explorer follows every access; dynptrs and
//! iterators when they are used, by comparing what is there with what the kernel last wrote.

use std::ops::Range;

use crate::btf::fields::FieldKind;

use super::code::Code;
use super::event::AccessKind;
use super::fault::{FaultKind, Trap};
use super::memory::Spot;
use super::models::Call;
use super::region::RegionKind;
use super::stepper::Machine;
use super::story::{Place, RegionId};

/// A field that programs must not touch by loads and stores: offset, size, kind.
pub(super) type KeptField = (u32, u32, FieldKind);

/// What the kernel wrote to a program's memory for itself.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    bytes: Box<[u8]>,
    /// Which of them a program may read: an iterator's current element.
    element: Range<usize>,
}

impl Machine {
    /// The fault if the last instruction, at that place, touched by a load or store what only the kernel may.
    pub(super) fn touched_kept(&self, place: Place) -> Option<Box<Trap>> {
        if self.report.accesses.is_empty() || (self.kept_fields.is_empty() && self.world.kept.is_empty()) {
            return None;
        }
        let op = self.programs.get(place.program as usize)?.ops.get(place.insn as usize)?;
        if !matches!(op.code, Code::Load(_) | Code::LoadSigned(_) | Code::Store(_) | Code::Atomic(..)) {
            return None;
        }
        self.report.accesses.iter().find_map(|access| {
            let address = self.memory.base(access.region) + u64::from(access.offset);
            let field = self.kept_at(access.region, access.offset, access.size, access.kind).map(kind_name);
            let own = || self.reads_kept(address, access.size, access.kind).then_some("dynptr or iterator");
            field.or_else(own).map(|kind| Trap::about(FaultKind::KernelBytes(kind), access.region))
        })
    }

    /// Is what the kernel wrote there for itself read, by a program or for it? Not if the program has put something else there since,
    /// not if all that is read is zeros, and not if it is the element of an iterator, which the program was given the address of.
    pub(super) fn reads_kept(&self, address: u64, size: u32, how: AccessKind) -> bool {
        let is_own = |(kept, within): (&Kept, Range<usize>)| {
            within
                .into_iter()
                .any(|byte| !kept.element.contains(&byte) && kept.bytes.get(byte).is_some_and(|&b| b != 0))
        };
        how == AccessKind::Read && self.kept_among(address, size).is_some_and(is_own)
    }

    /// The fault if what a function writes to a buffer goes on into a dynptr or iterator that is there now: the buffer is too small. One
    /// of zeros is none.
    pub(super) fn overwrites_kept(&self, spot: Spot, size: u32) -> Option<Box<Trap>> {
        let address = self.memory.base(spot.region) + u64::from(spot.offset);
        let there = |(kept, within): (&Kept, Range<usize>)| {
            kept.bytes.iter().any(|&byte| byte != 0)
                && within.clone().any(|byte| !kept.element.contains(&byte))
                && within.start == 0
                && within.len() < size as usize
        };
        // A frame that is gone has left bytes that count as never written.
        let now = || (spot.offset..spot.offset.saturating_add(size)).any(|at| self.memory.is_written(spot.region, at));
        let overwrites = self.kept_among(address, size).is_some_and(there) && now();
        overwrites.then(|| Trap::about(FaultKind::KernelBytes("dynptr or iterator"), spot.region))
    }

    /// What the kernel wrote for itself among these bytes and nobody has changed since, and which of its bytes they are.
    fn kept_among(&self, address: u64, size: u32) -> Option<(&Kept, Range<usize>)> {
        if !self.tracks_kept() {
            return None;
        }
        let end = address.saturating_add(size.into());
        let (&start, kept) = self.world.kept.range(..end).next_back()?;
        let (first, last) = (address.max(start), end.min(start.saturating_add(kept.bytes.len() as u64)));
        let spot = self.memory.at(start).filter(|_| first < last)?;
        let at = spot.offset as usize;
        let unchanged = self.memory.peek(spot.region).get(at..at + kept.bytes.len()) == Some(&*kept.bytes);
        unchanged.then(|| (kept, (first - start) as usize..(last - start) as usize))
    }

    /// Are there bytes that the kernel wrote for itself, and does somebody ask who touches them?
    pub(super) fn keeps_bytes(&self) -> bool {
        self.tracks_kept() && !self.world.kept.is_empty()
    }

    /// Does somebody follow every access?
    fn tracks_kept(&self) -> bool {
        self.by_pieces
    }

    /// The field that an access may not touch.
    pub(super) fn kept_at(&self, region: RegionId, offset: u32, size: u32, how: AccessKind) -> Option<FieldKind> {
        let map_fields;
        let fields = match &self.memory.region(region).kind {
            RegionKind::MapValue { map, .. } => {
                map_fields = self.maps.get(*map as usize)?.specials.fields.iter();
                let mut fields = map_fields.map(|field| (field.offset, field.size, field.kind));
                return fields.find(|&field| forbids(field, offset, size, how)).map(|field| field.2);
            }
            RegionKind::Object { type_id } => self.kept_fields.get(type_id)?,
            _ => return None,
        };
        fields.iter().copied().find(|&field| forbids(field, offset, size, how)).map(|field| field.2)
    }
}

fn forbids((start, length, kind): KeptField, offset: u32, size: u32, how: AccessKind) -> bool {
    let overlaps = offset < start.saturating_add(length) && start < offset.saturating_add(size);
    let whole = kind.is_kptr() && offset == start && size == length;
    let allowed = match how {
        AccessKind::Read | AccessKind::Dereference | AccessKind::Observe => whole,
        AccessKind::Write => whole && kind == FieldKind::KptrUntrusted,
        _ => false,
    };
    overlaps && !allowed
}

fn kind_name(kind: FieldKind) -> &'static str {
    kind.struct_name().unwrap_or("kptr")
}

impl Call<'_> {
    /// Notes what the kernel wrote to the program's memory for itself. `element`: which of the bytes the program may read.
    pub fn keep(&mut self, address: u64, bytes: &[u8], element: Range<usize>) {
        self.machine.world.kept.insert(address, Kept { bytes: bytes.into(), element });
    }

    /// The kernel no longer keeps anything there.
    pub fn forget_kept(&mut self, address: u64) {
        self.machine.world.kept.remove(&address);
    }

    /// What the kernel wrote there, as it is now.
    ///
    /// # Errors
    /// A fault if it wrote nothing there, or if the program has changed it since.
    pub fn kept(&mut self, address: u64, what: &'static str) -> Result<(), Box<Trap>> {
        let Some(Kept { bytes, .. }) = self.machine.world.kept.get(&address).cloned() else {
            return self.bad(format!("there is no {what} at that address"));
        };
        let now = self.read_own(address, bytes.len() as u64)?;
        if *now == *bytes {
            return Ok(());
        }
        let region = self.machine.memory.at(address).map(|spot| spot.region);
        Err(Box::new(Trap::Fault { kind: FaultKind::KernelBytes(what), access: None, region }))
    }
}
