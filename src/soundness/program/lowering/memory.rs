//! Memory: the stack, map values, packets, and whatever else a pointer at hand points to.

use super::env::{BUFFER, DATA, Home, KEY, Pointer, VALUE, What};
use super::{Lowering, r};
use crate::isa::{AluOp, AtomicOp, ImmediateSource, Insn, JumpOp, Operand, Register, Size, Width};
use crate::soundness::program::assembler::{Label, Reference};
use crate::soundness::program::model::{Access, MutationKind, Pick, Source, Statement};
use crate::soundness::program::universe::{MapName, MemberKind, Structure};

/// Helpers by number.
const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const MAP_DELETE_ELEM: i32 = 3;
const PROBE_READ_KERNEL: i32 = 113;

/// A place that can be accessed: offset, bytes, and what to call it.
type Field = (i16, Size, &'static str);

impl Lowering {
    pub(super) fn stack_statement(&mut self, statement: &Statement) {
        match *statement {
            Statement::Spill { at, size, src } => {
                let bytes = size.bytes() as i16;
                let below = (i16::from(at.0) % (DATA / bytes) + 1) * bytes;
                let src = self.operand(src);
                self.current.statement(format!("stack[-{below}] = {src}"));
                self.push(Insn::Store { size, dst: Register::R10, offset: -below, src });
                self.env.write(below, size.bytes());
            }
            Statement::Fill { at, size, signed, dst } => {
                let Some(below) = at.of(&self.env.readable(size.bytes())) else { return };
                let dst = self.destination(dst);
                let signed = signed && size != Size::B8;
                self.current.statement(format!("r{dst} = stack[-{below}]"));
                self.push(Insn::Load { size, signed, dst: r(dst), src: Register::R10, offset: -below });
                self.env.set_number(dst);
            }
            Statement::StackIndex { index, access } => self.stack_index(index, access),
            _ => {}
        }
    }

    fn stack_index(&mut self, index: Pick, access: Access) {
        let index = self.number(index);
        self.current.statement(format!("stack buffer at r{index}"));
        let (lowest, length) = BUFFER;
        self.clear_buffer();
        let stored = self.stored(access);
        let mut avoid = vec![index];
        avoid.extend(register_of(stored));
        let spare = self.temporary(&avoid);
        self.mov(spare, index);
        let loose = self.spoils(MutationKind::LooseBound);
        let mask = if loose { 2 * length - 1 } else { length - 1 };
        if !self.spoils(MutationKind::NoBound) {
            self.alu(AluOp::And, Width::W64, spare, Operand::Immediate(i32::from(mask)));
        }
        self.alu(AluOp::Add, Width::W64, spare, Operand::Register(Register::R10));
        self.plain_access(spare, (lowest, Size::B1, ""), access, stored);
    }

    /// Writes zeros to the buffer, once.
    pub(super) fn clear_buffer(&mut self) {
        let (lowest, length) = BUFFER;
        if !std::mem::replace(&mut self.env.buffer, true) {
            for slot in (lowest..lowest + length).step_by(8) {
                self.push(Insn::Store { size: Size::B8, dst: Register::R10, offset: slot, src: Operand::Immediate(0) });
            }
        }
    }

    pub(super) fn memory_statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Lookup { map, key, home, body } => self.lookup(*map, *key, *home, body),
            Statement::Update { key } => self.update(*key),
            Statement::Delete { key } => self.delete(*key),
            Statement::Memory { pointer, field, access } => self.field(*pointer, *field, *access),
            Statement::Index { pointer, index, mask, access } => self.index(*pointer, *index, *mask, *access),
            Statement::Fetch { pointer, size, mask } => self.fetch(*pointer, *size, *mask),
            Statement::Packet { bytes, home, body } => self.packet(None, *bytes, *home, body),
            Statement::PacketAt { offset, bytes, home, body } => self.packet(Some(*offset), *bytes, *home, body),
            _ => {}
        }
    }

    /// Puts the key on the stack, and its address and the map's into `r1` and `r2`.
    fn map_and_key(&mut self, map: MapName, key: Operand) {
        self.push(Insn::Store { size: Size::B4, dst: Register::R10, offset: KEY, src: key });
        self.stack_address(2, KEY);
        let insn = Insn::LoadImmediate { dst: r(1), source: ImmediateSource::Map(0) };
        self.current.push_reference(insn, Reference::Map(map));
        self.env.clear_number(1);
    }

    fn lookup(&mut self, map: MapName, key: Source, home: Pick, body: &[Statement]) {
        let known = matches!(map, MapName::Values | MapName::Hash | MapName::PercpuValues);
        if self.locked || self.env.homes().is_empty() || (!known && !self.kind.owns_objects()) {
            return;
        }
        let key = self.operand(key);
        self.current.statement(format!("look up {}[{key}]", map.name()));
        self.map_and_key(map, key);
        self.helper(MAP_LOOKUP_ELEM);
        self.if_not_null(What::Value(map), home, body, |_, _| {});
    }

    fn update(&mut self, key: Source) {
        if self.locked {
            return;
        }
        let key = self.operand(key);
        self.current.statement(format!("update hash[{key}]"));
        for offset in (0..Structure::Value.size() as i16).step_by(8) {
            let store = Insn::Store {
                size: Size::B8,
                dst: Register::R10,
                offset: VALUE + offset,
                src: Operand::Immediate(i32::from(offset)),
            };
            self.push(store);
        }
        self.map_and_key(MapName::Hash, key);
        self.stack_address(3, VALUE);
        self.constant(4, 0);
        self.helper(MAP_UPDATE_ELEM);
        self.env.set_number(0);
    }

    fn delete(&mut self, key: Source) {
        if self.locked {
            return;
        }
        let key = self.operand(key);
        self.current.statement(format!("delete hash[{key}]"));
        self.map_and_key(MapName::Hash, key);
        self.helper(MAP_DELETE_ELEM);
        self.env.set_number(0);
    }

    fn field(&mut self, pointer: Pick, field: Pick, access: Access) {
        let Some(pointer) = self.find(pointer, |what| !fields(what).is_empty()) else { return };
        let Some(mut place) = field.of(&fields(pointer.what)) else { return };
        self.current.statement(format!("{} {}", describe(pointer), place.2));
        if self.spoils(MutationKind::ShiftAccess) {
            place.0 += place.1.bytes() as i16;
        }
        let stored = self.stored(access);
        let spare = self.temporary(&register_of(stored));
        let base = self.pointer_in(pointer, spare);
        let atomic = place.1.bytes() >= 4 && !matches!(pointer.what, What::Packet(_));
        match access {
            Access::Atomic(op, _) if atomic => self.atomic(base, place, op, stored),
            _ => self.plain_access(base, place, access, stored),
        }
    }

    /// What an access writes: chosen before any register is taken for the address.
    fn stored(&mut self, access: Access) -> Option<Operand> {
        match access {
            Access::Load { .. } => None,
            Access::Store(source) => Some(self.operand(source)),
            Access::Atomic(_, pick) => Some(Operand::Register(r(self.number(pick)))),
        }
    }

    fn plain_access(&mut self, base: u8, (offset, size, _): Field, access: Access, stored: Option<Operand>) {
        match (access, stored) {
            (Access::Load { dst, signed }, _) => {
                let dst = self.destination(dst);
                let signed = signed && size != Size::B8;
                self.push(Insn::Load { size, signed, dst: r(dst), src: r(base), offset });
                self.env.set_number(dst);
            }
            (_, Some(src)) => self.push(Insn::Store { size, dst: r(base), offset, src }),
            (_, None) => {}
        }
    }

    fn atomic(&mut self, base: u8, (offset, size, _): Field, op: AtomicOp, stored: Option<Operand>) {
        let Some(Operand::Register(src)) = stored else { return };
        // It compares with `r0`.
        let op = if op == AtomicOp::CompareExchange && !self.env.is_number(0) { AtomicOp::Exchange } else { op };
        self.push(Insn::Atomic { size, op, dst: r(base), src, offset });
    }

    fn index(&mut self, pointer: Pick, index: Pick, mask: bool, access: Access) {
        let Some(pointer) = self.find(pointer, |what| array_of(what).is_some()) else { return };
        let Some((offset, count)) = array_of(pointer.what) else { return };
        let index = self.number(index);
        self.current.statement(format!("{}.array[r{index}]", describe(pointer)));
        let stored = self.stored(access);
        let mut avoid = vec![index];
        avoid.extend(register_of(stored));
        let scaled = self.temporary(&avoid);
        avoid.push(scaled);
        let address = self.temporary(&avoid);
        let last = if self.spoils(MutationKind::LooseBound) { 2 * count - 1 } else { count - 1 } as i32;
        self.mov(scaled, index);
        let skip = self.current.label();
        self.bound(scaled, last, mask, skip);
        let skipped = self.env.clone();
        self.alu(AluOp::LeftShift, Width::W64, scaled, Operand::Immediate(3));
        let base = self.pointer_in(pointer, address);
        self.mov(address, base);
        self.alu(AluOp::Add, Width::W64, address, Operand::Register(r(scaled)));
        let place = (offset, Size::B8, "");
        match access {
            Access::Atomic(op, _) => self.atomic(address, place, op, stored),
            _ => self.plain_access(address, place, access, stored),
        }
        self.current.place(skip);
        self.env.join(&skipped);
    }

    /// Brings a number to that one at most: by a mask, or by going away if it is more.
    fn bound(&mut self, register: u8, last: i32, mask: bool, skip: Label) {
        if self.spoils(MutationKind::NoBound) {
            return;
        }
        if mask {
            self.alu(AluOp::And, Width::W64, register, Operand::Immediate(last));
        } else {
            self.jump_if(JumpOp::Greater, register, Operand::Immediate(last), skip);
        }
    }

    fn fetch(&mut self, pointer: Option<Pick>, size: Source, mask: bool) {
        if self.locked {
            return;
        }
        let pointer = pointer.and_then(|pick| self.find(pick, |what| array_of(what).is_some()));
        let (offset, room) = match pointer.and_then(|pointer| array_of(pointer.what)) {
            Some((offset, count)) => (offset, 8 * count as i32),
            None => (0, i32::from(BUFFER.1)),
        };
        let size = match size {
            Source::Constant(value) => Operand::Immediate(value.rem_euclid(room + 1)),
            Source::Register(pick) => Operand::Register(r(self.number(pick))),
        };
        let to = pointer.map_or("stack buffer".to_owned(), |pointer| format!("{}.array", describe(pointer)));
        self.current.statement(format!("fetch {size} bytes into {to}"));
        self.clear_buffer();
        self.alu(AluOp::Mov, Width::W64, 2, size);
        self.env.clear_number(2);
        let skip = self.current.label();
        let loose = self.spoils(MutationKind::LooseBound);
        match size {
            Operand::Register(_) if mask => self.bound(2, if loose { 2 * room - 1 } else { room - 1 }, true, skip),
            Operand::Register(_) => self.bound(2, if loose { 2 * room } else { room }, false, skip),
            Operand::Immediate(_) if loose => self.constant(2, room + 1),
            Operand::Immediate(_) => {}
        }
        let skipped = self.env.clone();
        match pointer {
            Some(pointer) => self.argument(1, pointer, offset),
            None => self.stack_address(1, BUFFER.0),
        }
        self.stack_address(3, BUFFER.0);
        self.helper(PROBE_READ_KERNEL);
        self.env.set_number(0);
        self.current.place(skip);
        self.env.join(&skipped);
    }

    fn packet(&mut self, offset: Option<Pick>, bytes: u8, home: Pick, body: &[Statement]) {
        let (Some((data, end)), Some(context)) = (self.kind.packet(), self.context) else { return };
        let bytes = bytes.max(1);
        let offset = offset.map(|pick| self.number(pick));
        let Some(place) = self.home(home) else { return };
        self.current.statement(match offset {
            Some(register) => format!("packet[r{register}], {bytes} bytes"),
            None => format!("packet, {bytes} bytes"),
        });
        if let Some(register) = offset {
            self.mov(5, register);
            if !self.spoils(MutationKind::NoBound) {
                self.alu(AluOp::And, Width::W64, 5, Operand::Immediate(0x3f));
            }
        }
        self.fill(1, context);
        for (register, from) in [(2, data), (3, end)] {
            self.push(Insn::Load { size: Size::B4, signed: false, dst: r(register), src: r(1), offset: from });
        }
        if offset.is_some() {
            self.alu(AluOp::Add, Width::W64, 2, Operand::Register(r(5)));
        }
        let checked = i32::from(bytes) - i32::from(self.spoils(MutationKind::LooseBound));
        self.mov(4, 2);
        self.alu(AluOp::Add, Width::W64, 4, Operand::Immediate(checked));
        (1..=5).for_each(|register| self.env.clear_number(register));
        let skip = self.current.label();
        self.jump_if(JumpOp::Greater, 4, Operand::Register(r(3)), skip);
        self.keep(place, 2);
        self.within(Pointer { what: What::Packet(bytes), home: place }, skip, body, |_, _| {});
    }
}

/// The array of numbers in a map's value: its offset, and how many.
fn array_of(what: What) -> Option<(i16, u32)> {
    let structure = what.structure().filter(|_| matches!(what, What::Value(_)))?;
    structure.members().iter().find_map(|member| match member.kind {
        MemberKind::Numbers(count) => Some((member.offset, count)),
        _ => None,
    })
}

fn register_of(operand: Option<Operand>) -> Vec<u8> {
    match operand {
        Some(Operand::Register(register)) => vec![register.index() as u8],
        _ => Vec::new(),
    }
}

/// What of it a program may read and write.
fn fields(what: What) -> Vec<Field> {
    if let What::Packet(bytes) = what {
        let sizes = [Size::B1, Size::B2, Size::B4, Size::B8];
        let fitting = sizes.into_iter().filter(|size| size.bytes() <= u32::from(bytes));
        return fitting
            .flat_map(|size| {
                let last = i16::from(bytes) - size.bytes() as i16;
                [0, last / 2, last].map(|offset| (offset, size, ""))
            })
            .collect();
    }
    let Some(structure) = what.structure() else { return Vec::new() };
    let member = |member: &super::super::universe::Member| match member.kind {
        MemberKind::Number(size) => Some((member.offset, size, member.name)),
        MemberKind::Numbers(_) => Some((member.offset, Size::B8, member.name)),
        _ => None,
    };
    structure.members().iter().filter_map(member).collect()
}

fn describe(pointer: Pointer) -> String {
    let what = match pointer.what {
        What::Value(map) => map.name(),
        What::Packet(_) => "packet",
        What::OwnedPercpu | What::BorrowedPercpu => "per-CPU counter",
        What::OwnedNode | What::BorrowedNode => "node",
        What::Copy => "counter",
        What::Foreign(_) => "object",
    };
    match pointer.home {
        Home::Register(register) => format!("{what} (r{register})"),
        Home::Slot(slot) => format!("{what} (slot {slot})"),
    }
}
