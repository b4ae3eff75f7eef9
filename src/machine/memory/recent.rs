//! Where the last accesses landed: what is found there needs no other check.

use super::{Memory, Spot, flag};
use crate::isa::Size;
use crate::machine::fault::Trap;
use crate::machine::rcu::ReadSide;

/// The part of memory where one of the last accesses landed.
#[derive(Clone, Copy, Debug)]
struct Reach {
    base: u64,
    /// Offsets at which eight bytes can be accessed; 0 if this is no memory.
    starts: u64,
    /// Its place among all bytes; past their end if this is no memory.
    start: u32,
}

const NOWHERE: Reach = Reach { base: 0, starts: 0, start: u32::MAX };

impl Reach {
    /// The offset of an access of `N` bytes at that address, if it lies inside.
    #[inline(always)]
    fn offset<const N: usize>(&self, address: u64) -> Option<u32> {
        let offset = address.wrapping_sub(self.base);
        (offset < self.starts + (8 - N as u64)).then_some(offset as u32)
    }

    #[inline(always)]
    fn position(&self, offset: u32) -> usize {
        self.start as usize + offset as usize
    }
}

/// Where the last accesses landed that nothing speaks against. To be thrown away as soon as a region is made, freed, frozen, opened or
/// closed.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct Recent {
    /// In a region of which any byte may be accessed.
    plain: Reach,
    /// In one of which it is known which bytes were written.
    tracked: Reach,
    /// The place of the running function's stack among all bytes; past their end if there is none.
    pub stack: u32,
    /// Were functions called or left, whose frames are not marked so yet?
    pub moved: bool,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { plain: NOWHERE, tracked: NOWHERE, stack: NOWHERE.start, moved: false }
    }
}

impl Recent {
    /// Another function runs now, on that stack.
    #[inline(always)]
    pub fn change_stack(&mut self, start: u32) {
        self.stack = start;
        self.moved = true;
        // The other function's, it may be.
        self.tracked.start = NOWHERE.start;
    }
}

/// The written bits of `N` bytes.
pub(super) const fn ones<const N: usize>() -> u64 {
    (1 << N) - 1
}

impl Memory {
    /// Loads `N` bytes as [`Memory::load`] would, if they lie where one of the last accesses was.
    #[inline(always)]
    pub(in crate::machine) fn load_recent<const N: usize>(&self, recent: &Recent, address: u64) -> Option<u64> {
        if let Some(offset) = recent.plain.offset::<N>(address) {
            return self.number_at::<N>(recent.plain.position(offset));
        }
        let position = self.written_position::<N>(recent, address)?;
        self.number_at::<N>(position)
    }

    /// Where `N` bytes are, if they lie where the last tracked access was, and were written.
    #[inline(always)]
    fn written_position<const N: usize>(&self, recent: &Recent, address: u64) -> Option<usize> {
        let position = recent.tracked.position(recent.tracked.offset::<N>(address)?);
        let written = self.written.get(position / 64)? >> (position & 63);
        (position & 63 <= 64 - N && !written & ones::<N>() == 0).then_some(position)
    }

    /// Stores the low `N` bytes of a number as [`Memory::store`] would, if they lie where one of the last accesses was, and no change has to
    /// be noted.
    #[inline(always)]
    pub(in crate::machine) fn store_recent<const N: usize>(
        &mut self,
        recent: &Recent,
        address: u64,
        value: u64,
    ) -> Option<()> {
        if let Some(offset) = recent.plain.offset::<N>(address) {
            return self.set_fresh_number::<N>(recent.plain.position(offset), value);
        }
        let position = recent.tracked.position(recent.tracked.offset::<N>(address)?);
        if position & 63 > 64 - N {
            return None;
        }
        self.set_fresh_number::<N>(position, value)?;
        *self.written.get_mut(position / 64)? |= ones::<N>() << (position & 63);
        Some(())
    }

    /// Replaces `N` bytes and says what they were, on the same conditions.
    #[inline(always)]
    pub(in crate::machine) fn update_recent<const N: usize>(
        &mut self,
        recent: &Recent,
        address: u64,
        new: impl FnOnce(u64) -> u64,
    ) -> Option<u64> {
        let position = match recent.plain.offset::<N>(address) {
            Some(offset) => recent.plain.position(offset),
            None => self.written_position::<N>(recent, address)?,
        };
        self.update_fresh_number::<N>(position, new)
    }

    /// As [`Memory::load`], of what is not near the last accesses.
    ///
    /// # Errors
    /// As [`Memory::check`].
    pub(in crate::machine) fn load_afar(
        &mut self,
        recent: &mut Recent,
        size: Size,
        address: u64,
        reader: &ReadSide,
    ) -> Result<(u64, Spot), Box<Trap>> {
        let spot = self.check(address, size.bytes(), false, reader)?;
        self.remember(recent, spot, address);
        let value = match size {
            Size::B1 => self.number::<1>(spot),
            Size::B2 => self.number::<2>(spot),
            Size::B4 => self.number::<4>(spot),
            Size::B8 => self.number::<8>(spot),
        };
        Ok((value, spot))
    }

    /// As [`Memory::store`], of what is not near the last accesses.
    ///
    /// # Errors
    /// As [`Memory::check`].
    pub(in crate::machine) fn store_afar(
        &mut self,
        recent: &mut Recent,
        size: Size,
        address: u64,
        value: u64,
        reader: &ReadSide,
    ) -> Result<Spot, Box<Trap>> {
        let spot = self.check(address, size.bytes(), true, reader)?;
        self.remember(recent, spot, address);
        match size {
            Size::B1 => self.set_number::<1>(spot, value),
            Size::B2 => self.set_number::<2>(spot, value),
            Size::B4 => self.set_number::<4>(spot, value),
            Size::B8 => self.set_number::<8>(spot, value),
        }
        Ok(spot)
    }

    /// Keeps in mind where an access landed, if the next one there needs no other check.
    fn remember(&self, recent: &mut Recent, spot: Spot, address: u64) {
        let Some(hot) = self.hot.get(spot.region.index()) else { return };
        // What an arena finds by half an address is not looked for here.
        if hot.len < 8 || address.wrapping_sub(hot.base) != u64::from(spot.offset) {
            return;
        }
        let reach = Reach { base: hot.base, starts: u64::from(hot.len) - 7, start: hot.start };
        if hot.flags == 0 {
            recent.plain = reach;
        } else if hot.flags & !(flag::TRACKED | flag::ZEROED) == 0 {
            recent.tracked = reach;
        }
    }

    /// The number at a place among all bytes, which is no more than twice `u32::MAX`.
    #[inline(always)]
    pub(super) fn number_at<const N: usize>(&self, position: usize) -> Option<u64> {
        self.bytes.get(position..position + N).map(number::<N>)
    }

    /// Is there so much memory? Then it is written.
    #[inline(always)]
    pub(super) fn set_number_at<const N: usize>(&mut self, position: usize, value: u64) -> bool {
        let Some(bytes) = self.bytes.get_mut(position..position + N) else { return false };
        bytes.copy_from_slice(&value.to_le_bytes()[..N]);
        self.changes.bytes(position as u32, N as u32);
        true
    }

    /// Writes a number to a place among all bytes of which no change has to be noted.
    #[inline(always)]
    pub(super) fn set_fresh_number<const N: usize>(&mut self, position: usize, value: u64) -> Option<()> {
        self.update_fresh_number::<N>(position, |_| value).map(|_| ())
    }

    /// Replaces the number at such a place and says what it was.
    #[inline(always)]
    pub(super) fn update_fresh_number<const N: usize>(
        &mut self,
        position: usize,
        new: impl FnOnce(u64) -> u64,
    ) -> Option<u64> {
        if self.changes.notes_bytes(position) {
            return None;
        }
        let bytes = self.bytes.get_mut(position..position + N)?;
        let old = number::<N>(bytes);
        bytes.copy_from_slice(&new(old).to_le_bytes()[..N]);
        Some(old)
    }
}

/// `N` bytes as a little-endian number.
#[inline(always)]
fn number<const N: usize>(bytes: &[u8]) -> u64 {
    let mut buffer = [0; 8];
    buffer[..N].copy_from_slice(bytes);
    u64::from_le_bytes(buffer)
}
