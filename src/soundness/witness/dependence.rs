//! Does what a program does depend on numbers from outside: packets, contexts, what maps and kernel structs hold, clocks?
//!
//! A search tries every schedule of one input. That speaks for all inputs only if none of their bytes decides where a run
//! goes or what it touches. [`Dependence`] looks on and marks registers and bytes that such numbers came into. What it makes
//! of a mark depends on what is done with the number:
//!
//! - It is copied, stored, counted with: what comes of it is marked too, and what is marked stays so.
//! - It is compared, or it is the result of a legacy packet load, which may also end the program: the run goes on in one of
//!   two ways. With [`Dependence::both_ways`] these are ways of the schedule, taken whatever the number is: more runs than
//!   there can be, never fewer, also where a number is compared twice and the two answers fit no number. Without it, or for
//!   a result of a function of which only this much is known that it gives one, the run depends on it.
//! - All but a few of its bits are masked: with [`Dependence::both_ways`] each number that may be left is a way of the schedule,
//!   and what is left is a number like any of the program's own.
//! - It is used as an address, handed to a function on which it may have a bearing (`calls`), or returned by a
//!   callback to a helper: the run depends on it.
//!
//! Addresses are numbers from outside only where more is asked of them than what they point to: which of two is lower, a
//! bit of one, the distance of two objects. Some that come from outside lead to an object for sure ([`Mark::Object`]); of those
//! it may also be asked whether they are equal to another. Start at [`Dependence`].

use rustc_hash::FxHashMap;

use super::calls::Calling;
use crate::explore::watch::Watch;
use crate::isa::{AluOp, Insn, JumpOp, Operand, REGISTER_COUNT, Register, Width};
use crate::machine::types;
use crate::machine::{Access, AccessKind, Machine, Place, RegionId, RegionKind, Running, Step};

/// What is known of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It follows from what programs did, in every run with this schedule.
    #[default]
    Inside,
    /// It is an address that comes from outside: an object is there for sure, but which one may differ.
    Object,
    /// It comes from outside, and may be any.
    Number,
    /// A function gave it that may have done one thing or another besides.
    Unknown,
}

impl Mark {
    /// May it be any number, and not only this one or the address of an object?
    pub(super) fn is_number(self) -> bool {
        self > Mark::Object
    }
}

/// Fields of kernel structs that lead to an object throughout an RCU section (`BTF_TYPE_SAFE_RCU`, `kernel/bpf/verifier.c`,
/// Linux 6.12).
const NEVER_NULL: [(&str, &[&str]); 3] = [
    ("task_struct", &["cpus_ptr", "cgroups", "real_parent", "group_leader"]),
    ("cgroup", &["kn"]),
    ("css_set", &["dfl_cgrp"]),
];

/// Structs of the kernel's that programs make, whose bytes are then zero and change only by what programs do.
const MADE: [&str; 1] = ["bpf_cpumask"];

/// Registers by number.
type Marks = [Mark; REGISTER_COUNT];

/// A function under way.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    marks: Marks,
    /// Did a helper call it?
    callback: bool,
}

/// What is marked of one task.
#[derive(Clone, Debug, Default)]
struct Shadow {
    /// Its frames, the outermost first.
    frames: Vec<Frame>,
    /// The instruction that it executes: where, and what it does to the flow of control.
    current: Option<(Place, Step)>,
    /// The calls of helpers under way, by the depth of the frame that makes them, and where.
    calls: Vec<(usize, Place, Calling)>,
}

/// Looks on whether anything depends on numbers from outside.
#[derive(Clone, Debug, Default)]
pub struct Dependence {
    both_ways: bool,
    tasks: FxHashMap<u32, Shadow>,
    /// Bytes that hold such numbers where others would not, by address.
    bytes: FxHashMap<u64, Mark>,
    depends: Option<Place>,
    /// Is that a comparison, or may it be what a mask has left, which both ways would settle?
    compares: bool,
    /// Has a mask left a few bits of such a number in this run?
    masked: bool,
}

/// Bits that a mask may leave for each of their values to be a way of the schedule.
const FEW_BITS: u32 = 4;

impl Dependence {
    /// One for runs that take both ways where a number from outside decides between two.
    #[must_use]
    pub fn both_ways() -> Dependence {
        Dependence { both_ways: true, ..Dependence::default() }
    }

    /// The first instruction that depended on a number from outside, in any run so far.
    #[must_use]
    pub fn first(&self) -> Option<Place> {
        self.depends
    }

    /// Would [`Dependence::both_ways`] have gone on there?
    #[must_use]
    pub fn is_between_ways(&self) -> bool {
        self.compares
    }

    /// Forgets the run, but not what was found.
    pub fn reset(&mut self) {
        self.tasks.clear();
        self.bytes.clear();
        self.masked = false;
    }

    /// In how many ways does a task's next instruction go, the first of which is the one that its numbers say?
    #[must_use]
    pub fn ways(&self, machine: &Machine, task: u32) -> u16 {
        let Some(running) = machine.running(task).filter(|_| self.both_ways) else { return 1 };
        let frame = self.tasks.get(&task).and_then(|shadow| shadow.frames.last());
        let Some((frame, insn)) = frame.zip(next_insn(&running)) else { return 1 };
        match (insn, few_bits(insn, &frame.marks)) {
            (_, Some(mask)) => 1 << mask.count_ones(),
            (Insn::LoadPacket { .. }, _) => 2,
            _ if compared(machine, &running, insn, &frame.marks) == Mark::Number => 2,
            _ => 1,
        }
    }

    fn depend(&mut self, place: Place, compares: bool) {
        if self.depends.is_none() {
            self.depends = Some(place);
            self.compares = compares || self.masked;
        }
    }

    fn look(&mut self, machine: &Machine, task: u32, running: &Running<'_>) {
        let place = Place { program: running.program_index(), insn: running.insn() };
        let mut shadow = self.tasks.remove(&task).unwrap_or_default();
        let depth = running.depth();
        follow(&mut shadow, depth);
        shadow.current = Some((place, running.step()));
        // A helper may not be done yet: it waited, goes on by pieces, or one of its callbacks has returned.
        let resumes = running.step() == Step::Calls && shadow.calls.last().is_some_and(|(by, ..)| *by == depth);
        if let (false, Some(insn), Some(frame)) = (resumes, next_insn(running), shadow.frames.last_mut()) {
            if running.step() == Step::Calls {
                let registers = std::array::from_fn(|at| running.register(at + 1).unwrap_or(0));
                let read = &frame.marks[1..=usize::from(running.arguments())];
                let calling = Calling::new(running.callee().unwrap_or_default(), registers, read);
                if calling.depends() {
                    self.depend(place, false);
                }
                shadow.calls.push((depth, place, calling));
            } else {
                let mark = self.instruction(machine, running, insn, &mut frame.marks);
                if mark.is_number() {
                    self.depend(place, mark == Mark::Number);
                }
            }
        }
        self.tasks.insert(task, shadow);
    }

    /// After an instruction: what its call has read and written, and which frame is the innermost now.
    fn looked(&mut self, machine: &Machine, task: u32) {
        let Some(mut shadow) = self.tasks.remove(&task) else { return };
        let Some((place, step)) = shadow.current else { return };
        if step == Step::Calls && self.called(machine, &mut shadow) {
            self.depend(place, false);
        }
        let Some(running) = machine.running(task) else { return };
        let here = Place { program: running.program_index(), insn: running.insn() };
        if enter_and_leave(&mut shadow, step, running.depth(), here) {
            self.depend(place, false);
        }
        self.tasks.insert(task, shadow);
    }

    /// What one step of a call has read and written; does it depend on that?
    fn called(&mut self, machine: &Machine, shadow: &mut Shadow) -> bool {
        let Some((_, _, calling)) = shadow.calls.last_mut() else { return false };
        let memory = machine.memory();
        let address = |access: &Access| memory.base(access.region).wrapping_add(access.offset.into());
        let of_kind = |kind| machine.report().accesses.iter().filter(move |access| access.kind == kind);
        for access in of_kind(AccessKind::Read) {
            let mark = self.mark_at(machine, None, address(access), access.size);
            if mark.is_number() {
                calling.reads(address(access), mark);
            }
        }
        for access in of_kind(AccessKind::Write).filter(|access| !machine.is_kptr(access.region, access.offset)) {
            self.write(address(access), access.size, calling.writes());
        }
        // What changes only a part leaves the rest what it was.
        for access in of_kind(AccessKind::Atomic) {
            let mark = calling.writes().max(self.mark_at(machine, None, address(access), access.size));
            if mark.is_number() && !machine.is_kptr(access.region, access.offset) {
                self.write(address(access), access.size, mark);
            }
        }
        calling.depends()
    }

    /// Marks what one instruction does; what it depends on that is marked: [`Mark::Number`] where both ways would settle it.
    fn instruction(&mut self, machine: &Machine, running: &Running<'_>, insn: Insn, marks: &mut Marks) -> Mark {
        let undecided = |mark: Mark| if mark.is_number() { Mark::Unknown } else { Mark::Inside };
        match insn {
            Insn::Alu { width: Width::W64, op: AluOp::Mov, dst, src } => marks[dst.index()] = marked(src, marks),
            Insn::Alu { op: AluOp::Xor | AluOp::Sub, dst, src: Operand::Register(src), .. } if dst == src => {
                marks[dst.index()] = Mark::Inside;
            }
            Insn::Alu { dst, .. } if few_bits(insn, marks).is_some() => {
                self.masked = true;
                if self.both_ways {
                    marks[dst.index()] = Mark::Inside;
                }
            }
            Insn::Alu { width, op, dst, src } => {
                let before = if op == AluOp::Mov { Mark::Inside } else { marks[dst.index()] };
                let address = of_addresses(machine, running, width, op, dst, src);
                marks[dst.index()] = before.max(marked(src, marks)).max(address);
            }
            Insn::MoveSignExtended { dst, src, .. } | Insn::AddressSpaceCast { dst, src, .. } => {
                marks[dst.index()] =
                    marks[src.index()].max(if is_address(machine, running, src) { Mark::Number } else { Mark::Inside });
            }
            Insn::ByteSwap { dst, .. } if is_address(machine, running, dst) => {
                marks[dst.index()] = marks[dst.index()].max(Mark::Number);
            }
            Insn::LoadImmediate { dst, .. } => marks[dst.index()] = Mark::Inside,
            Insn::Load { size, dst, src, offset, .. } => {
                let depends = marks[src.index()];
                let address = address(running, src, offset);
                marks[dst.index()] =
                    address.map_or(Mark::Number, |at| self.mark_at(machine, Some(running), at, size.bytes()));
                return undecided(depends);
            }
            Insn::Store { size, dst, offset, src } => {
                if let Some(at) = address(running, dst, offset) {
                    self.write(at, size.bytes(), marked(src, marks));
                }
                return undecided(marks[dst.index()]);
            }
            Insn::Atomic { size, dst, src, offset, .. } => {
                let depends = marks[dst.index()];
                if let Some(at) = address(running, dst, offset) {
                    // A comparison of what was there decides what is there then.
                    let mark =
                        marks[src.index()].max(marks[0]).max(self.mark_at(machine, Some(running), at, size.bytes()));
                    self.write(at, size.bytes(), mark);
                    marks[src.index()] = mark;
                    marks[0] = marks[0].max(mark);
                }
                return undecided(depends);
            }
            Insn::LoadPacket { .. } => {
                *marks = kept(marks, Mark::Number);
                return if self.both_ways { Mark::Inside } else { Mark::Number };
            }
            Insn::JumpIf { .. } => {
                return match compared(machine, running, insn, marks) {
                    Mark::Number if self.both_ways => Mark::Inside,
                    mark => mark,
                };
            }
            Insn::ByteSwap { .. } | Insn::Jump { .. } | Insn::MayGoto { .. } | Insn::Call(_) | Insn::Exit => {}
        }
        Mark::Inside
    }

    /// Does what is at an address come from outside?
    fn mark_at(&self, machine: &Machine, running: Option<&Running<'_>>, address: u64, size: u32) -> Mark {
        let memory = machine.memory();
        let Some(spot) = memory.at(address) else { return Mark::Number };
        let bytes = address..address.saturating_add(size.into());
        let noted = bytes.filter_map(|byte| self.bytes.get(&byte)).max().copied().unwrap_or_default();
        let known = || (0..size).all(|byte| memory.is_written(spot.region, spot.offset.saturating_add(byte)));
        let region = memory.region(spot.region);
        if leads_to_object(machine, running, spot.region, spot.offset, size) {
            return noted.max(Mark::Object);
        }
        let inside = match &region.kind {
            RegionKind::Stack { .. } => known() && !is_part_of_address(machine, spot.region, spot.offset, size),
            RegionKind::Object { .. } | RegionKind::PerCpuCopy { .. } => {
                let before = region.allocated.is_none_or(|at| at.place == Place::BEFORE);
                machine.is_kptr(spot.region, spot.offset) || (!before && known())
            }
            RegionKind::MapValue { .. } => machine.is_kptr(spot.region, spot.offset) || memory.is_private(spot.region),
            RegionKind::KernelObject { name, .. } => {
                let own = region.allocated.is_some_and(|at| at.place != Place::BEFORE);
                own && MADE.contains(&&**name) && known()
            }
            _ => false,
        };
        if inside { noted } else { noted.max(Mark::Number) }
    }

    fn write(&mut self, address: u64, size: u32, mark: Mark) {
        for byte in address..address.saturating_add(size.into()) {
            if mark == Mark::Inside {
                self.bytes.remove(&byte);
            } else {
                self.bytes.insert(byte, mark);
            }
        }
    }
}

/// Follows calls and returns; did a callback return a number from outside, which decides what its helper does next?
fn enter_and_leave(shadow: &mut Shadow, step: Step, depth: usize, here: Place) -> bool {
    let mut decides = false;
    // A frame that has returned may have another one of the same depth after it: a helper's next callback.
    let left = shadow.frames.len().saturating_sub((depth + 1).min(shadow.frames.len()));
    for _ in 0..left.max(usize::from(step == Step::Returns)) {
        let Some(left) = shadow.frames.pop() else { break };
        decides |= left.callback && left.marks[0].is_number();
        if let Some(caller) = shadow.frames.last_mut() {
            caller.marks = kept(&caller.marks, if left.callback { Mark::Inside } else { left.marks[0] });
        }
    }
    let callback = step != Step::CallsFunction;
    while shadow.frames.len() <= depth {
        let mut marks = Marks::default();
        if let (Some(caller), false) = (shadow.frames.last(), callback) {
            marks[1..6].copy_from_slice(&caller.marks[1..6]);
        }
        shadow.frames.push(Frame { marks, callback });
    }
    // What an exception has left behind, and what is done.
    shadow.calls.retain(|(by, ..)| *by <= depth);
    if let Some((_, _, calling)) = shadow.calls.pop_if(|(by, place, _)| *by == depth && *place != here)
        && let Some(frame) = shadow.frames.last_mut()
    {
        frame.marks = kept(&frame.marks, calling.result());
    }
    decides
}

/// Makes the frames that there are without anybody having seen them begin.
fn follow(shadow: &mut Shadow, depth: usize) {
    while shadow.frames.len() <= depth {
        shadow.frames.push(Frame::default());
    }
}

fn next_insn(running: &Running<'_>) -> Option<Insn> {
    running.program().source().instruction_at(running.insn() as usize)
}

fn marked(operand: Operand, marks: &Marks) -> Mark {
    match operand {
        Operand::Register(register) => marks[register.index()],
        Operand::Immediate(_) => Mark::Inside,
    }
}

/// The bits that an instruction leaves of a number from outside, if they are few.
fn few_bits(insn: Insn, marks: &Marks) -> Option<u32> {
    let Insn::Alu { op: AluOp::And, dst, src: Operand::Immediate(mask), .. } = insn else { return None };
    let mask = u32::try_from(mask).ok()?;
    (marks[dst.index()] == Mark::Number && mask.count_ones() <= FEW_BITS).then_some(mask)
}

/// What a conditional jump decides by that is marked, or an address of which more is asked than whether it is that one.
fn compared(machine: &Machine, running: &Running<'_>, insn: Insn, marks: &Marks) -> Mark {
    let Insn::JumpIf { width, op, dst, src, .. } = insn else { return Mark::Inside };
    let mark = marks[dst.index()].max(marked(src, marks));
    // Which object it is may differ.
    let mark = if mark == Mark::Object && !is_low(src, running) && !is_low(Operand::Register(dst), running) {
        Mark::Number
    } else {
        mark
    };
    let (left, right) = (object_at(machine, running, Operand::Register(dst)), object_at(machine, running, src));
    let is_whole = width == Width::W64 && op != JumpOp::Set;
    let is_same = is_whole && matches!(op, JumpOp::Equal | JumpOp::NotEqual);
    let settled = match (left, right) {
        (None, None) => true,
        // Within one object the order is known.
        (Some(one), Some(other)) => is_same || (is_whole && one == other),
        // No object lies where a small number would lead.
        (Some(_), None) => is_whole && is_low(src, running),
        (None, Some(_)) => is_whole && is_low(Operand::Register(dst), running),
    };
    if settled { mark } else { mark.max(Mark::Number) }
}

/// Is it a number below all addresses of the kernel?
fn is_low(operand: Operand, running: &Running<'_>) -> bool {
    match operand {
        Operand::Immediate(number) => number >= 0,
        Operand::Register(register) => running.register(register.index()).is_some_and(|number| number >> 47 == 0),
    }
}

/// The object that an operand points to, if it is an address.
fn object_at(machine: &Machine, running: &Running<'_>, operand: Operand) -> Option<RegionId> {
    let Operand::Register(register) = operand else { return None };
    machine.memory().at(running.register(register.index())?).map(|spot| spot.region)
}

fn is_address(machine: &Machine, running: &Running<'_>, register: Register) -> bool {
    object_at(machine, running, Operand::Register(register)).is_some()
}

/// Arithmetic that makes of addresses a number which depends on where objects happen to lie.
fn of_addresses(
    machine: &Machine,
    running: &Running<'_>,
    width: Width,
    op: AluOp,
    dst: Register,
    src: Operand,
) -> Mark {
    let left = object_at(machine, running, Operand::Register(dst)).filter(|_| op != AluOp::Mov);
    let right = object_at(machine, running, src);
    let settled = match (left, right) {
        (None, None) => true,
        (Some(one), Some(other)) => op == AluOp::Sub && one == other,
        (Some(_), None) => matches!(op, AluOp::Add | AluOp::Sub) && width == Width::W64,
        (None, Some(_)) => matches!(op, AluOp::Add | AluOp::Mov) && width == Width::W64,
    };
    if settled { Mark::Inside } else { Mark::Number }
}

/// Are these some bytes of an address that was put there?
fn is_part_of_address(machine: &Machine, region: RegionId, offset: u32, size: u32) -> bool {
    let memory = machine.memory();
    let word = |at: u32| memory.peek(region).get(at as usize..).and_then(|rest| rest.first_chunk());
    let address = |at: u32| word(at).is_some_and(|word| memory.at(u64::from_le_bytes(*word)).is_some());
    let end = offset.saturating_add(size);
    let mut cut = [offset & !7, end.saturating_sub(1) & !7].into_iter().filter(|&at| at < offset || at + 8 > end);
    cut.any(address)
}

/// Is it a pointer that the kernel's verifier trusts to lead to an object: an argument of a tracepoint or hook, or in an RCU
/// section a field of a kernel struct that is never NULL there?
fn leads_to_object(machine: &Machine, running: Option<&Running<'_>>, region: RegionId, offset: u32, size: u32) -> bool {
    let memory = machine.memory();
    let Some(running) = running else { return false };
    let trusted = match &memory.region(region).kind {
        RegionKind::Context => running.has_trusted_arguments(),
        RegionKind::KernelObject { name, type_id } => {
            let field = || types::field_at(machine.options().kernel_types.as_deref()?, *type_id, offset);
            let never_null = NEVER_NULL.iter().find(|(of, _)| *of == &**name).map(|(_, fields)| *fields);
            running.is_in_rcu(machine)
                && never_null.is_some_and(|fields| field().is_some_and(|field| fields.contains(&&*field)))
        }
        _ => false,
    };
    let word = || memory.peek(region).get(offset as usize..).and_then(|rest| rest.first_chunk());
    let target = || word().and_then(|word| memory.at(u64::from_le_bytes(*word)));
    let object =
        || target().is_some_and(|spot| matches!(memory.region(spot.region).kind, RegionKind::KernelObject { .. }));
    trusted && size == 8 && object()
}

/// What a frame's registers are marked with after a call.
fn kept(marks: &Marks, result: Mark) -> Marks {
    let mut after = *marks;
    after[..6].fill(Mark::Inside);
    after[0] = result;
    after
}

fn address(running: &Running<'_>, base: Register, offset: i16) -> Option<u64> {
    running.register(base.index()).map(|base| base.wrapping_add_signed(offset.into()))
}

impl Watch for Dependence {
    fn started(&mut self, _machine: &Machine, task: u32) {
        let mut shadow = Shadow::default();
        follow(&mut shadow, 0);
        self.tasks.insert(task, shadow);
    }

    fn before(&mut self, machine: &Machine, task: u32) {
        if self.depends.is_none()
            && let Some(running) = machine.running(task)
        {
            self.look(machine, task, &running);
        }
    }

    fn after(&mut self, machine: &Machine, task: u32) {
        if self.depends.is_none() {
            self.looked(machine, task);
        }
    }

    fn pauses(&self, machine: &Machine, task: u32) -> bool {
        self.ways(machine, task) > 1
    }
}
