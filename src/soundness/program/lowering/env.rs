//! What is known of registers and stack at a point of a program.
//!
//! The frame, downward from `r10`: 64 bytes of data, a slot for keys, eight slots for pointers, loop counters and
//! iterators, a buffer of 32 bytes for accesses at unknown offsets, 56 bytes for a value to put into a map.

use crate::soundness::program::universe::{MapName, Structure};

/// Bytes of the data area.
pub(super) const DATA: i16 = 64;
/// Where keys stand.
pub(super) const KEY: i16 = -72;
/// The first of the slots.
const FIRST_SLOT: i16 = -80;
/// Number of slots.
const SLOTS: u8 = 8;
/// The lowest byte of the buffer, and its length.
pub(super) const BUFFER: (i16, i16) = (-168, 32);
/// The lowest byte of the value.
pub(super) const VALUE: i16 = -224;

/// Registers that keep their value over a call.
const CALLEE_SAVED: std::ops::RangeInclusive<u8> = 6..=9;

/// What a pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A value of that map.
    Value(MapName),
    /// So many bytes of the packet.
    Packet(u8),
    /// A per-CPU object that the program owns.
    OwnedPercpu,
    /// A node that the program owns.
    OwnedNode,
    /// A per-CPU object that a map owns.
    BorrowedPercpu,
    /// A node that a map owns.
    BorrowedNode,
    /// One CPU's copy of a per-CPU object.
    Copy,
    /// An object that a user's kernel function returned, by the structure's place among those seen.
    Foreign(usize),
}

impl What {
    /// The structure that can be read and written through it.
    pub(super) fn structure(self) -> Option<Structure> {
        match self {
            What::Value(map) => Some(map.value()),
            What::OwnedNode | What::BorrowedNode => Some(Structure::Node),
            What::Copy => Some(Structure::Counter),
            What::Packet(_) | What::OwnedPercpu | What::BorrowedPercpu | What::Foreign(_) => None,
        }
    }

    /// Does it last only as long as the RCU section?
    pub(super) fn needs_rcu(self) -> bool {
        matches!(self, What::BorrowedPercpu | What::BorrowedNode | What::Copy)
    }
}

/// Where a pointer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// A callee-saved register.
    Register(u8),
    /// A stack slot, by its offset.
    Slot(i16),
}

/// A pointer at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) what: What,
    pub(super) home: Home,
}

/// What is known at a point.
#[derive(Clone, Debug, Default)]
pub(super) struct Env {
    /// Nothing gets here.
    pub(super) dead: bool,
    /// Registers with numbers, as bits.
    numbers: u16,
    /// Registers that are a pointer's home.
    pinned: u16,
    /// Bytes of the data area that were written, by distance below `r10`, from 1.
    written: u64,
    /// Was the buffer cleared?
    pub(super) buffer: bool,
    /// Slots in use.
    slots: u8,
    pub(super) pointers: Vec<Pointer>,
}

impl Env {
    /// At the start of a callback whose first so many arguments are numbers.
    pub(super) fn callback(arguments: u8) -> Self {
        Env { numbers: ((1 << arguments) - 1) << 1, ..Env::default() }
    }

    pub(super) fn is_number(&self, register: u8) -> bool {
        self.numbers >> register & 1 != 0
    }

    pub(super) fn set_number(&mut self, register: u8) {
        self.numbers |= 1 << register;
    }

    pub(super) fn clear_number(&mut self, register: u8) {
        self.numbers &= !(1 << register);
    }

    /// Registers with numbers.
    pub(super) fn numbers(&self) -> Vec<u8> {
        (0..=9).filter(|&register| self.is_number(register)).collect()
    }

    /// Registers that are nobody's home.
    pub(super) fn free(&self) -> Vec<u8> {
        (0..=9).filter(|register| self.pinned >> register & 1 == 0).collect()
    }

    /// After a call.
    pub(super) fn clobber(&mut self) {
        self.numbers &= !0x3f;
    }

    /// Numbers that are left at each turn of a loop: those in callee-saved registers.
    pub(super) fn keep_callee_saved(&mut self) {
        self.clobber();
    }

    /// Numbers of `earlier` that are none any more.
    pub(super) fn lost(&self, earlier: &Env) -> Vec<u8> {
        (0..=9).filter(|&register| earlier.is_number(register) && !self.is_number(register)).collect()
    }

    /// Where a pointer can be kept. One callee-saved register is left for numbers.
    pub(super) fn homes(&self) -> Vec<Home> {
        let mut homes: Vec<Home> =
            CALLEE_SAVED.filter(|register| self.pinned >> register & 1 == 0).map(Home::Register).collect();
        homes.pop();
        homes.extend(self.free_slot().map(Home::Slot));
        homes
    }

    fn free_slot(&self) -> Option<i16> {
        let index = (0..SLOTS).find(|index| self.slots >> index & 1 == 0)?;
        Some(FIRST_SLOT - 8 * i16::from(index))
    }

    /// Takes a slot.
    pub(super) fn take_slot(&mut self) -> Option<i16> {
        let slot = self.free_slot()?;
        self.occupy(Home::Slot(slot));
        Some(slot)
    }

    pub(super) fn occupy(&mut self, home: Home) {
        match home {
            Home::Register(register) => {
                self.pinned |= 1 << register;
                self.clear_number(register);
            }
            Home::Slot(slot) => self.slots |= slot_bit(slot),
        }
    }

    pub(super) fn release(&mut self, home: Home) {
        match home {
            Home::Register(register) => self.pinned &= !(1 << register),
            Home::Slot(slot) => self.slots &= !slot_bit(slot),
        }
    }

    /// Notes a store to the data area: `below` bytes under `r10`, so many bytes upward.
    pub(super) fn write(&mut self, below: i16, bytes: u32) {
        self.written |= data_bits(below, bytes);
    }

    /// Places of that many bytes in the data area, by their alignment, that were written.
    pub(super) fn readable(&self, bytes: u32) -> Vec<i16> {
        (1..=DATA / bytes as i16)
            .map(|index| index * bytes as i16)
            .filter(|&below| {
                let bits = data_bits(below, bytes);
                self.written & bits == bits
            })
            .collect()
    }

    /// What is known where this way and `other` meet.
    pub(super) fn join(&mut self, other: &Env) {
        if other.dead {
            return;
        }
        if self.dead {
            let pointers = std::mem::take(&mut self.pointers);
            *self = Env { pointers, ..other.clone() };
            return;
        }
        self.numbers &= other.numbers;
        self.written &= other.written;
        self.buffer &= other.buffer;
    }
}

fn slot_bit(slot: i16) -> u8 {
    let index = (FIRST_SLOT - slot) / 8;
    1u8.checked_shl(index as u32).unwrap_or(0)
}

fn data_bits(below: i16, bytes: u32) -> u64 {
    let mask = (1u64 << bytes) - 1;
    mask.checked_shl((below - bytes as i16).max(0) as u32).unwrap_or(0)
}
