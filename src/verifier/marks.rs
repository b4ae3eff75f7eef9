//! The liveness of a frame's registers and slots, as sets of them: what is asked is mostly asked of all at once.

use super::state::{Live, Place};

/// Registers and slots of one frame. A register is the bit of its number, slots follow from bit 16 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places(u128);

/// First bit of the slots.
const SLOTS: u32 = 16;

impl Places {
    /// The registers that can be written, `r0` to `r9`.
    pub const WRITABLE_REGISTERS: Places = Places(0x3ff);

    /// One place. Slots lie within the 512 bytes of a frame, so there are 64.
    #[must_use]
    pub fn one(place: Place) -> Places {
        match place {
            Place::Register(register) => Places(1 << (u32::from(register) % SLOTS)),
            Place::Slot(slot) => Places(1 << ((u32::from(slot) + SLOTS) % u128::BITS)),
        }
    }

    /// All registers from that one on, and all slots up to a number of them.
    #[must_use]
    pub fn within(first_register: usize, slots: usize) -> Places {
        let registers = Places::WRITABLE_REGISTERS.0 >> first_register << first_register;
        let slots = 1u128.checked_shl(slots as u32 + SLOTS).map_or(u128::MAX, |end| end - 1);
        Places(registers | (slots >> SLOTS << SLOTS))
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(self, other: Places) -> Places {
        Places(self.0 | other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Places) -> Places {
        Places(self.0 & other.0)
    }

    /// Is it among them?
    #[must_use]
    pub fn has(self, place: Place) -> bool {
        self.0 & Places::one(place).0 != 0
    }

    /// Registers before slots, each from the lowest on.
    pub fn iter(self) -> impl Iterator<Item = Place> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros();
            left &= left.checked_sub(1)?;
            Some(if bit < SLOTS { Place::Register(bit as u8) } else { Place::Slot((bit - SLOTS) as u8) })
        })
    }
}

/// The marks of a frame. Without any for a place, nothing is known of its use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Read in the lower half only.
    read32: u128,
    /// Read as a whole.
    read64: u128,
    written: u128,
    done: u128,
}

impl Marks {
    /// The marks of one place.
    #[must_use]
    pub fn of(&self, place: Place) -> Live {
        let bit = Places::one(place).0;
        let mut live = Live::empty();
        for (flag, places) in self.flags() {
            live.set(flag, places & bit != 0);
        }
        live
    }

    fn flags(&self) -> [(Live, u128); 4] {
        [
            (Live::READ32, self.read32),
            (Live::READ64, self.read64),
            (Live::WRITTEN, self.written),
            (Live::DONE, self.done),
        ]
    }

    /// Gives a place these marks and no others.
    pub fn set(&mut self, place: Place, live: Live) {
        let bit = Places::one(place).0;
        for (flag, places) in [
            (Live::READ32, &mut self.read32),
            (Live::READ64, &mut self.read64),
            (Live::WRITTEN, &mut self.written),
            (Live::DONE, &mut self.done),
        ] {
            *places = if live.contains(flag) { *places | bit } else { *places & !bit };
        }
    }

    /// Was it written since the checkpoint above?
    #[must_use]
    pub fn is_written(&self, place: Place) -> bool {
        self.written & Places::one(place).0 != 0
    }

    /// Notes that it was.
    pub fn write(&mut self, place: Place) {
        self.written |= Places::one(place).0;
    }

    /// Notes that a place was read, by half or, with [`Live::READ64`], as a whole. `false` if that is no news.
    pub fn read(&mut self, place: Place, flag: Live) -> bool {
        let bit = Places::one(place).0;
        let whole = flag == Live::READ64;
        if (self.read64 | if whole { 0 } else { self.read32 }) & bit != 0 {
            return false;
        }
        if whole {
            self.read64 |= bit;
            self.read32 &= !bit;
        } else {
            self.read32 |= bit;
        }
        true
    }

    /// All places that were read.
    #[must_use]
    pub fn all_read(&self) -> Places {
        Places(self.read32 | self.read64)
    }

    /// The places whose marks of having been read another frame has not: by half, and as a whole.
    #[must_use]
    pub fn read_but_not_in(&self, other: &Marks) -> (Places, Places) {
        (Places(self.read32 & !(other.read32 | other.read64)), Places(self.read64 & !other.read64))
    }

    /// Nothing will change any more in these places.
    pub fn finish(&mut self, places: Places) {
        self.done |= places.0;
    }

    /// Was [`Marks::finish`] called, which is for all registers at once?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.done != 0
    }
}
