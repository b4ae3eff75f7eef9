//! The stack: spills, fills, and what each byte holds (`check_stack_read`, `check_stack_write`,
//! `check_stack_range_initialized`, `kernel/bpf/verifier.c`, Linux 6.12).
//!
//! A privileged program may read stack that it never wrote, and have numbers remembered that it spills.

use super::env::{Check, Verifier, reject, unsupported};
use super::memory::{Access, Mode, Source};
use super::rule::{Errno, Rule};
use super::state::{ByteKind, Cell, Frame, Live, Place, SLOT_BYTES, slot_of};
use super::value::{Number, Pointer, Target, Value};
use crate::isa::{Insn, Operand, Register};
use crate::kernel::Permission;
use crate::kernel::limits::{STACK_BYTES, VARIABLE_OFFSET};
use crate::seeded::{self, Fault};

/// What a helper is told about the memory that it will write to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// It reads it, so it must have been written.
    #[default]
    Read,
    /// It writes all of it; nothing need be there before.
    Write,
}

impl Verifier<'_> {
    /// A load from or store to the stack.
    pub fn check_stack_access(&mut self, pointer: &Pointer, frame: u8, access: Access) -> Check {
        self.check_stack_bounds(pointer, frame, access, Source::Direct)?;
        match access.mode {
            Mode::Read => self.check_stack_read(pointer, frame, access),
            Mode::Write => self.check_stack_write(pointer, frame, access),
        }
    }

    /// Stores of that size, one behind the other from where a register points, as the kernel makes them where a call
    /// fills memory or makes an iterator or dynptr.
    pub fn check_stores(&mut self, base: Register, size: u32, count: u32) -> Check {
        for store in 0..count {
            self.check_access(Access {
                base,
                offset: (store * size) as i32,
                size,
                mode: Mode::Write,
                register: None,
                signed: false,
                atomic: false,
            })?;
        }
        Ok(())
    }

    /// The access is inside the 512 bytes of the frame; the stack is made to reach as far down
    /// (`check_stack_access_within_bounds`).
    fn check_stack_bounds(&mut self, pointer: &Pointer, frame: u8, access: Access, source: Source) -> Check {
        let offset = i64::from(access.offset);
        let size = i64::from(access.size);
        let known = Self::known(&pointer.variable);
        let what = match (source, access.mode) {
            (Source::Helper, _) => " indirect access to",
            (Source::Direct, Mode::Read) => " read from",
            (Source::Direct, Mode::Write) => " write to",
        };
        let (min, max) = match known {
            Some(known) => {
                let min = known.wrapping_add(offset);
                (min, min.wrapping_add(size))
            }
            None => {
                let variable = &pointer.variable;
                if variable.smax >= VARIABLE_OFFSET || variable.smin <= -VARIABLE_OFFSET {
                    return reject(Rule::UnboundedStackAccess { what, register: access.base });
                }
                (variable.smin + offset, variable.smax + offset + size)
            }
        };
        let lowest = if access.mode == Mode::Write || self.may(Permission::UninitialisedStack) {
            -i64::from(STACK_BYTES)
        } else {
            -(self.frame_of(frame)?.stack_bytes() as i64)
        };
        if min < lowest || min > -1 || max > 0 {
            // Below the frame or above it the kernel denies access; across its end it calls the argument invalid.
            let errno = if min < lowest || min > -1 { Errno::Access } else { Errno::Invalid };
            return reject(match known {
                Some(_) => {
                    Rule::OutsideStack { errno, what, register: access.base, offset: access.offset, size: access.size }
                }
                None => Rule::VariableOutsideStack {
                    errno,
                    what,
                    register: access.base,
                    variable: pointer.variable.var_off,
                    offset: access.offset,
                    size: access.size,
                },
            });
        }
        self.grow_stack(frame, -min)
    }

    fn grow_stack(&mut self, frame: u8, bytes: i64) -> Check {
        let frame = self.frame_of(frame)?;
        frame.grow_stack(bytes as usize);
        let (subprogram, depth) = (frame.subprogram as usize, frame.stack_bytes() as u32);
        if let Some(subprogram) = self.subprograms.get_mut(subprogram) {
            subprogram.stack_depth = subprogram.stack_depth.max(depth);
        }
        Ok(())
    }

    fn check_stack_write(&mut self, pointer: &Pointer, frame: u8, access: Access) -> Check {
        match Self::known(&pointer.variable) {
            Some(known) => self.write_fixed(frame, i64::from(access.offset).wrapping_add(known), access),
            None => self.write_variable(pointer, frame, access),
        }
    }

    /// The number that a store of an immediate stores.
    fn stored_immediate(&self) -> Option<i32> {
        match self.insns.get(self.insn) {
            Some(Ok(Insn::Store { src: Operand::Immediate(imm), .. })) => Some(*imm),
            _ => None,
        }
    }

    fn write_fixed(&mut self, frame: u8, offset: i64, access: Access) -> Check {
        let (slot, byte) = slot_of(offset);
        let before = slot_mut(self.frame_of(frame)?, slot)?;
        let over_pointer = before.is_spilled() && !before.is_spilled_scalar();
        if over_pointer && access.size as usize != SLOT_BYTES && !self.may(Permission::PointerLeaks) {
            return reject(Rule::SpilledAddressOverwritten);
        }
        self.destroy_dynptr(frame, slot)?;
        self.note_fastcall_access(frame, offset);
        self.log.touch_slot(slot);
        let aligned = offset % SLOT_BYTES as i64 == 0;
        let value = access.register.map(|register| self.value(register));
        let numbers = aligned && self.may(Permission::SpilledNumbers);
        let tracked = match (value, access.register) {
            (Some(Value::Scalar(number)), Some(register)) if numbers => {
                Some(self.spilled_number(register, number, access.size))
            }
            (None, _) if numbers => self.stored_immediate().map(|imm| Value::constant(i64::from(imm) as u64)),
            (Some(Value::Pointer(stored)), _) if is_spillable(&stored) => {
                self.check_pointer_spill(frame, &stored, access.size)?;
                Some(Value::Pointer(stored))
            }
            _ => None,
        };
        match tracked {
            Some(value) => {
                self.spill(frame, slot, value, access.size)?;
                self.note_history(|entry| entry.stack_access = Some((frame, slot as u8)));
            }
            None => self.write_bytes(frame, slot, byte, access)?,
        }
        Ok(())
    }

    fn spilled_number(&mut self, register: Register, number: Number, size: u32) -> Value {
        if number.bounds.significant_bits() <= size * 8 {
            self.link_before_copy(register);
            return self.value(register);
        }
        // A part of a number is linked to nothing, whatever was added to the whole.
        let mut part = number;
        part.unlink();
        Value::Scalar(part)
    }

    fn check_pointer_spill(&self, frame: u8, stored: &Pointer, size: u32) -> Check {
        if size as usize != SLOT_BYTES {
            return reject(Rule::SpillSize);
        }
        if usize::from(frame) != self.state.current() && matches!(stored.target, Target::Stack { .. }) {
            return reject(Rule::SpillStackPointerToCaller);
        }
        Ok(())
    }

    /// Keeps a value in a slot (`save_register_state`).
    fn spill(&mut self, frame: u8, slot: usize, value: Value, size: u32) -> Check {
        let frame = self.frame_of(frame)?;
        let size = size as usize;
        if size == SLOT_BYTES {
            frame.marks.write(Place::Slot(slot as u8));
        }
        let slot = slot_mut(frame, slot)?;
        slot.spilled.value = value;
        if let (true, Value::Pointer(pointer)) = (seeded::active(Fault::SpillLosesReference), &mut slot.spilled.value) {
            pointer.reference = 0;
        }
        slot.scrubbed_reference = 0;
        for (index, kind) in slot.bytes.iter_mut().enumerate() {
            if index >= SLOT_BYTES - size {
                *kind = ByteKind::Spill;
            } else if *kind != ByteKind::Zero && *kind != ByteKind::Invalid {
                *kind = ByteKind::Misc;
            }
        }
        Ok(())
    }

    /// A store whose value is not tracked.
    fn write_bytes(&mut self, frame: u8, index: usize, byte: usize, access: Access) -> Check {
        let zero = match access.register {
            Some(register) => self.value(register).is_null(),
            None => self.stored_immediate() == Some(0),
        };
        let slot = slot_mut(self.frame_of(frame)?, index)?;
        if !seeded::active(Fault::PartialStoreKeepsSpill) {
            scrub(slot);
        }
        if access.size as usize == SLOT_BYTES {
            self.frame_of(frame)?.marks.write(Place::Slot(index as u8));
        }
        if let (true, Some(register)) = (zero, access.register) {
            self.mark_precise(register)?;
        }
        let kind = if zero { ByteKind::Zero } else { ByteKind::Misc };
        let slot = slot_mut(self.frame_of(frame)?, index)?;
        for step in 0..access.size as usize {
            slot.bytes[(byte + SLOT_BYTES - step) % SLOT_BYTES] = kind;
        }
        Ok(())
    }

    /// A store at an offset that is not known: each byte that it may reach may have been overwritten.
    fn write_variable(&mut self, pointer: &Pointer, frame: u8, access: Access) -> Check {
        let offset = i64::from(access.offset);
        let min = pointer.variable.smin + offset;
        let max = pointer.variable.smax + offset + i64::from(access.size);
        let zero = match access.register {
            Some(register) => self.value(register).is_null(),
            None => self.stored_immediate() == Some(0),
        };
        for at in min..max {
            self.destroy_dynptr(frame, slot_of(at).0)?;
        }
        self.note_fastcall_access(frame, min);
        let mut zero_used = false;
        let (insn, leaks_stay_out) = (self.insn, !self.may(Permission::PointerLeaks));
        for at in min..max {
            let (index, byte) = slot_of(at);
            self.log.touch_slot(index);
            let slot = slot_mut(self.frame_of(frame)?, index)?;
            let kind = slot.bytes[byte];
            if leaks_stay_out && kind != ByteKind::Misc && kind != ByteKind::Zero {
                return reject(Rule::SpillInVariableWrite { insn, offset: at });
            }
            let spilled_zero = slot.is_spilled_scalar() && slot.spilled.value.is_null();
            if zero && slot.bytes[byte] == ByteKind::Spill && spilled_zero {
                zero_used = true;
                continue;
            }
            scrub(slot);
            // A zero beside what was spilled is gone with that.
            if zero && slot.bytes[byte] == ByteKind::Zero {
                zero_used = true;
            } else {
                slot.bytes[byte] = ByteKind::Misc;
            }
        }
        if let (true, Some(register)) = (zero_used, access.register) {
            self.mark_precise(register)?;
        }
        Ok(())
    }

    fn check_stack_read(&mut self, pointer: &Pointer, frame: u8, access: Access) -> Check {
        let Some(known) = Self::known(&pointer.variable) else {
            if access.register.is_none() {
                return reject(Rule::VariableStackToHelper {
                    variable: pointer.variable.var_off,
                    offset: access.offset,
                    size: access.size,
                });
            }
            return self.read_variable(pointer, frame, access);
        };
        self.read_fixed(frame, i64::from(access.offset).wrapping_add(known), access)
    }

    fn read_fixed(&mut self, frame: u8, offset: i64, access: Access) -> Check {
        let (index, byte) = slot_of(offset);
        self.log.touch_slot(index);
        self.note_fastcall_access(self.state.current() as u8, offset);
        let slot = *slot_mut(self.frame_of(frame)?, index)?;
        let size = access.size as usize;
        let mut tracked = true;
        if slot.is_spilled() {
            let spill_size = slot.bytes.iter().rev().take_while(|&&kind| kind == ByteKind::Spill).count();
            if size != SLOT_BYTES || spill_size != SLOT_BYTES {
                tracked = self.fill_part(&slot.spilled, &slot.bytes, offset, byte, spill_size, access)?;
            } else if let Some(register) = access.register {
                self.define(register, slot.spilled.value);
            } else if !slot.spilled.value.is_scalar() && !self.may(Permission::PointerLeaks) {
                return reject(Rule::SpilledAddressRead { offset });
            }
        } else {
            self.check_readable(&slot.bytes, byte, size, offset)?;
            if let Some(register) = access.register {
                let zero = (0..size).all(|step| slot.bytes[(byte + SLOT_BYTES - step) % SLOT_BYTES] == ByteKind::Zero);
                self.define(register, if zero { Value::constant(0) } else { Value::unknown() });
            }
            tracked = false;
        }
        let live = self.frame_of(frame)?.marks.of(Place::Slot(index as u8));
        self.explored.mark_read(live, slot.spilled.parent, Live::READ64);
        if tracked {
            self.note_history(|entry| entry.stack_access = Some((frame, index as u8)));
        }
        Ok(())
    }

    /// A load of part of a slot that a register was spilled to. `true` if the value is still tracked.
    fn fill_part(
        &mut self,
        spilled: &Cell,
        bytes: &[ByteKind; SLOT_BYTES],
        offset: i64,
        byte: usize,
        spill_size: usize,
        access: Access,
    ) -> Check<bool> {
        let Value::Scalar(mut number) = spilled.value else { return reject(Rule::FillSize) };
        let size = access.size as usize;
        let Some(register) = access.register else {
            // The kernel returns here without a note in the history.
            return Ok(false);
        };
        // On a little-endian machine the low bytes of the value are at the start of the slot.
        if size <= spill_size && offset % SLOT_BYTES as i64 == 0 {
            if number.bounds.significant_bits() > access.size * 8 {
                number.unlink();
            }
            self.define(register, Value::Scalar(number));
            return Ok(true);
        }
        self.check_readable(bytes, byte, size, offset)?;
        let count = |wanted: ByteKind| {
            (0..size).filter(|step| bytes[(byte + SLOT_BYTES - step) % SLOT_BYTES] == wanted).count()
        };
        if count(ByteKind::Spill) == size && number.bounds.var_off.equals_const(0) {
            self.define(register, Value::constant(0));
            return Ok(true);
        }
        let zero = count(ByteKind::Zero) == size;
        self.define(register, if zero { Value::constant(0) } else { Value::unknown() });
        Ok(false)
    }

    fn read_variable(&mut self, pointer: &Pointer, frame: u8, access: Access) -> Check {
        self.check_stack_range(pointer, frame, access, false, Source::Direct, Fill::Read)?;
        let offset = i64::from(access.offset);
        let min = pointer.variable.smin + offset;
        let max = pointer.variable.smax + offset + i64::from(access.size);
        let mut zero = true;
        for at in min..max {
            let (index, byte) = slot_of(at);
            self.log.touch_slot(index);
            if slot_mut(self.frame_of(frame)?, index)?.bytes[byte] != ByteKind::Zero {
                zero = false;
                break;
            }
        }
        if let Some(register) = access.register {
            self.define(register, if zero { Value::constant(0) } else { Value::unknown() });
        }
        self.note_fastcall_access(frame, min);
        Ok(())
    }

    /// Stack that a helper, or a load at an offset that varies, reads: every byte must be readable, and what a helper
    /// may write is no longer known (`check_stack_range_initialized`). `true`: the helper will write to it, and the
    /// caller must mark it written.
    pub fn check_stack_range(
        &mut self,
        pointer: &Pointer,
        frame: u8,
        access: Access,
        zero_allowed: bool,
        source: Source,
        fill: Fill,
    ) -> Check<bool> {
        if access.size == 0 && !zero_allowed {
            return reject(Rule::ZeroSizedStackRead);
        }
        let bounds_mode = if source == Source::Helper { Mode::Write } else { Mode::Read };
        self.check_stack_bounds(pointer, frame, Access { mode: bounds_mode, ..access }, source)?;
        let offset = i64::from(access.offset);
        let known = Self::known(&pointer.variable);
        let (min, max) = match known {
            Some(known) => (known + offset, known + offset),
            None => (pointer.variable.smin + offset, pointer.variable.smax + offset),
        };
        if known.is_none() && !self.may(Permission::UnguardedBranches) {
            let how = if source == Source::Helper { " indirect" } else { "" };
            let variable = pointer.variable.var_off;
            return reject(Rule::VariableStackAccess { register: access.base, how, variable });
        }
        let end = max + i64::from(access.size);
        if fill == Fill::Write && known.is_some() {
            return self.check_no_dynptr(frame, min, end).map(|()| true);
        }
        for at in min..end {
            self.check_stack_byte(pointer, frame, at, min, access, source)?;
        }
        Ok(false)
    }

    fn check_no_dynptr(&mut self, frame: u8, min: i64, end: i64) -> Check {
        for at in min..end {
            let (index, byte) = slot_of(at);
            let frame = self.frame_of(frame)?;
            if frame.stack.get(index).is_some_and(|slot| slot.bytes[byte] == ByteKind::Dynptr) {
                return reject(Rule::WriteToDynptr { offset: at });
            }
        }
        Ok(())
    }

    fn check_stack_byte(
        &mut self,
        pointer: &Pointer,
        frame: u8,
        at: i64,
        min: i64,
        access: Access,
        source: Source,
    ) -> Check {
        let (index, byte) = slot_of(at);
        let clobber = source == Source::Helper;
        let unwritten = self.may(Permission::UninitialisedStack);
        let addresses = self.may(Permission::PointerLeaks);
        let slot = slot_mut(self.frame_of(frame)?, index)?;
        match slot.bytes[byte] {
            ByteKind::Misc => {}
            kind if kind == ByteKind::Zero || (kind == ByteKind::Invalid && unwritten) => {
                if clobber {
                    slot.bytes[byte] = ByteKind::Misc;
                }
            }
            _ if slot.is_spilled() && (slot.spilled.value.is_scalar() || addresses) => {
                if clobber {
                    slot.spilled.value = Value::unknown();
                    slot.scrubbed_reference = 0;
                    scrub_bytes(&mut slot.bytes);
                }
            }
            _ => {
                let error_from = if source == Source::Helper { " indirect" } else { "" };
                let register = access.base;
                return reject(match Self::known(&pointer.variable) {
                    Some(_) => Rule::UninitialisedStackRead {
                        how: error_from,
                        register,
                        offset: min,
                        step: at - min,
                        size: access.size,
                    },
                    None => Rule::UninitialisedVariableStackRead {
                        how: error_from,
                        register,
                        variable: pointer.variable.var_off,
                        step: at - min,
                        size: access.size,
                    },
                });
            }
        }
        let parent = slot.spilled.parent;
        let live = self.frame_of(frame)?.marks.of(Place::Slot(index as u8));
        self.explored.mark_read(live, parent, Live::READ64);
        Ok(())
    }

    /// Were all bytes written, or may stack be read that was not?
    fn check_readable(&self, bytes: &[ByteKind; SLOT_BYTES], byte: usize, size: usize, offset: i64) -> Check {
        for step in 0..size {
            match bytes[(byte + SLOT_BYTES - step) % SLOT_BYTES] {
                ByteKind::Misc | ByteKind::Zero | ByteKind::Spill => {}
                ByteKind::Invalid if self.may(Permission::UninitialisedStack) => {}
                ByteKind::Dynptr | ByteKind::Iterator | ByteKind::Invalid => {
                    return reject(Rule::InvalidStackRead { offset, step, size });
                }
            }
        }
        Ok(())
    }

    /// An access other than a fastcall pattern's own to the stack that the pattern uses keeps its spills.
    fn note_fastcall_access(&mut self, frame: u8, offset: i64) {
        let Some(index) = self.state.frames.get(usize::from(frame)).map(|frame| frame.subprogram as usize) else {
            return;
        };
        let Some(subprogram) = self.subprograms.get_mut(index) else { return };
        if i64::from(subprogram.fastcall_stack_offset) <= offset || self.facts[self.insn].fastcall_pattern {
            return;
        }
        subprogram.fastcall_stack_offset = i32::MIN;
        for facts in &mut self.facts[subprogram.start..subprogram.end] {
            facts.fastcall_pattern = false;
            facts.fastcall_pairs = 0;
        }
    }
}

/// Is a pointer of that kind kept when it is stored to the stack (`is_spillable_regtype`)? Others are just bytes there.
fn is_spillable(pointer: &Pointer) -> bool {
    !matches!(pointer.target, Target::TracepointBuffer | Target::ConstDynptr(_))
}

fn slot_mut(frame: &mut Frame, index: usize) -> Check<&mut super::state::StackSlot> {
    match frame.stack.get_mut(index) {
        Some(slot) => Ok(slot),
        None => unsupported("a stack slot below what is allocated"),
    }
}

/// A slot that is partly overwritten holds no whole value any more (`scrub_special_slot`).
fn scrub(slot: &mut super::state::StackSlot) {
    slot.scrubbed_reference = slot.reference();
    slot.spilled.value = Value::Uninitialised;
    if slot.is_special() {
        scrub_bytes(&mut slot.bytes);
    }
}

fn scrub_bytes(bytes: &mut [ByteKind; SLOT_BYTES]) {
    for kind in bytes {
        if *kind != ByteKind::Invalid {
            *kind = ByteKind::Misc;
        }
    }
}
