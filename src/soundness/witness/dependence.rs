//! Does what a program does depend on numbers from outside: packets, contexts, what maps and kernel structs hold, clocks?
//!
//! A search tries every schedule of one input. That speaks for all inputs only if none of their bytes decides where a run
//! goes or what it touches. [`Dependence`] looks on, marks registers and stack bytes that such numbers came into, and notes
//! when one is compared, used as an address, or handed to a helper. Start there.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::explore::watch::Watch;
use crate::isa::{AluOp, Insn, Operand, REGISTER_COUNT, Register, decode};
use crate::machine::{Machine, Place, RegionId, RegionKind, Running, Step};

/// Registers by number: did a number from outside come into them?
type Marks = [bool; REGISTER_COUNT];

/// Helpers and kfuncs whose results follow from their arguments and from what programs did, by how their names begin.
/// That allocations fail is a choice of the schedule; whether maps are empty or filled is one of the scenario.
const INSIDE: [&str; 33] = [
    "bpf_obj_",
    "bpf_percpu_obj_",
    "bpf_refcount_",
    "bpf_kptr_xchg",
    "bpf_list_",
    "bpf_rbtree_",
    "bpf_spin_",
    "bpf_rcu_",
    "bpf_preempt_",
    "bpf_iter_num_",
    "bpf_iter_bits_",
    "bpf_iter_testmod_seq_",
    "bpf_map_",
    "bpf_for_each_map_elem",
    "bpf_loop",
    "bpf_find_vma",
    "bpf_this_cpu_ptr",
    "bpf_per_cpu_ptr",
    "bpf_ringbuf_",
    "bpf_user_ringbuf_drain",
    "bpf_dynptr_",
    "bpf_timer_",
    "bpf_wq_",
    "bpf_throw",
    "bpf_get_smp_processor_id",
    "bpf_get_current_task",
    "bpf_task_acquire",
    "bpf_task_release",
    "bpf_cgroup_acquire",
    "bpf_cgroup_release",
    "bpf_cpumask_",
    "bpf_tail_call",
    "bpf_trace_printk",
];
/// Of those, the ones that make a view of a packet, and the ones whose results do not depend on what a view is of.
const OF_PACKETS: [&str; 2] = ["bpf_dynptr_from_skb", "bpf_dynptr_from_xdp"];
const OF_ANY_VIEW: [&str; 3] = ["bpf_dynptr_is_null", "bpf_dynptr_is_rdonly", "bpf_dynptr_clone"];

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
    /// The instruction before: where, and what it did to the flow of control.
    last: Option<(Place, Step)>,
}

/// Looks on whether anything depends on numbers from outside.
#[derive(Clone, Debug, Default)]
pub struct Dependence {
    tasks: FxHashMap<u32, Shadow>,
    /// Bytes that programs wrote and that hold such numbers, by address.
    bytes: FxHashSet<u64>,
    /// A helper may have written such numbers anywhere on the stack.
    blurred: bool,
    /// Are there views of packets?
    packets: bool,
    depends: Option<Place>,
}

impl Dependence {
    /// The first instruction that depended on a number from outside, in any run so far.
    #[must_use]
    pub fn first(&self) -> Option<Place> {
        self.depends
    }

    /// Forgets the run, but not what was found.
    pub fn reset(&mut self) {
        self.tasks.clear();
        self.bytes.clear();
        self.blurred = false;
        self.packets = false;
    }

    fn look(&mut self, machine: &Machine, task: u32, running: &Running<'_>) {
        let place = Place { program: running.program_index(), insn: running.insn() };
        let mut shadow = self.tasks.remove(&task).unwrap_or_default();
        if shadow.last == Some((place, Step::Calls)) {
            // A helper that is not done yet.
            self.tasks.insert(task, shadow);
            return;
        }
        self.enter_and_leave(&mut shadow, running.depth(), place);
        let insns = &running.program().source().insns;
        let at = place.insn as usize;
        let decoded = insns.get(at).and_then(|raw| decode(*raw, insns.get(at + 1).copied()).ok());
        if let (Some(insn), Some(frame)) = (decoded, shadow.frames.last_mut())
            && self.instruction(machine, running, insn, &mut frame.marks)
        {
            self.depends.get_or_insert(place);
        }
        shadow.last = Some((place, running.step()));
        self.tasks.insert(task, shadow);
    }

    /// Follows calls and returns since the instruction before.
    fn enter_and_leave(&mut self, shadow: &mut Shadow, depth: usize, place: Place) {
        let step = shadow.last.map(|(_, step)| step);
        while shadow.frames.len() <= depth {
            let callback = step == Some(Step::Calls);
            let mut marks = Marks::default();
            if let (Some(caller), false) = (shadow.frames.last(), callback) {
                marks[1..6].copy_from_slice(&caller.marks[1..6]);
            }
            shadow.frames.push(Frame { marks, callback });
        }
        while shadow.frames.len() > depth + 1 {
            let Some(left) = shadow.frames.pop() else { return };
            let returned = left.marks[0];
            // What a callback returns decides what its helper does next.
            if returned && left.callback {
                self.depends.get_or_insert(place);
            }
            if let Some(caller) = shadow.frames.last_mut() {
                caller.marks = kept(&caller.marks, returned && !left.callback);
            }
        }
    }

    /// Marks what one instruction does; does it depend on what is marked?
    fn instruction(&mut self, machine: &Machine, running: &Running<'_>, insn: Insn, marks: &mut Marks) -> bool {
        let marked = |operand: Operand, marks: &Marks| match operand {
            Operand::Register(register) => marks[register.index()],
            Operand::Immediate(_) => false,
        };
        match insn {
            Insn::Alu { op: AluOp::Mov, dst, src, .. } => marks[dst.index()] = marked(src, marks),
            Insn::Alu { op: AluOp::Xor | AluOp::Sub, dst, src: Operand::Register(src), .. } if dst == src => {
                marks[dst.index()] = false;
            }
            Insn::Alu { dst, src, .. } => marks[dst.index()] |= marked(src, marks),
            Insn::MoveSignExtended { dst, src, .. } | Insn::AddressSpaceCast { dst, src, .. } => {
                marks[dst.index()] = marks[src.index()];
            }
            Insn::LoadImmediate { dst, .. } => marks[dst.index()] = false,
            Insn::Load { size, dst, src, offset, .. } => {
                let depends = marks[src.index()];
                let address = address(running, src, offset);
                marks[dst.index()] = address.is_none_or(|at| self.is_outside(machine, at, size.bytes()));
                return depends;
            }
            Insn::Store { size, dst, offset, src } => {
                if let Some(at) = address(running, dst, offset) {
                    self.write(at, size.bytes(), marked(src, marks));
                }
                return marks[dst.index()];
            }
            Insn::Atomic { size, dst, src, offset, .. } => {
                let depends = marks[dst.index()];
                if let Some(at) = address(running, dst, offset) {
                    let outside = marks[src.index()] || self.is_outside(machine, at, size.bytes());
                    self.write(at, size.bytes(), outside);
                    marks[src.index()] = outside;
                    marks[0] |= outside;
                }
                return depends;
            }
            Insn::LoadPacket { .. } => return true,
            Insn::JumpIf { dst, src, .. } => return marks[dst.index()] || marked(src, marks),
            Insn::Call(_) if running.step() == Step::Calls => return self.call(running, marks),
            Insn::ByteSwap { .. } | Insn::Jump { .. } | Insn::MayGoto { .. } | Insn::Call(_) | Insn::Exit => {}
        }
        false
    }

    /// A helper or kfunc: what it gives, and whether it is handed anything from outside.
    fn call(&mut self, running: &Running<'_>, marks: &mut Marks) -> bool {
        let name = running.callee().unwrap_or_default();
        let makes_view = OF_PACKETS.contains(&name);
        self.packets |= makes_view;
        let views = self.packets && name.starts_with("bpf_dynptr_") && !makes_view && !OF_ANY_VIEW.contains(&name);
        let inside = INSIDE.iter().any(|start| name.starts_with(start)) && !views;
        let handed = marks[1..6].iter().any(|mark| *mark);
        *marks = kept(marks, !inside);
        self.blurred |= !inside;
        handed
    }

    /// Does what is at an address come from outside?
    fn is_outside(&self, machine: &Machine, address: u64, size: u32) -> bool {
        let Some(spot) = machine.memory().at(address) else { return true };
        let region = machine.memory().region(spot.region);
        if (address..address.saturating_add(size.into())).any(|byte| self.bytes.contains(&byte)) {
            return true;
        }
        match &region.kind {
            RegionKind::Stack { .. } => self.blurred,
            RegionKind::Object { .. } | RegionKind::PerCpuCopy { .. } => {
                let before = region.allocated.is_none_or(|at| at.place == Place::BEFORE);
                let known =
                    (0..size).all(|byte| machine.memory().is_written(spot.region, spot.offset.saturating_add(byte)));
                !machine.is_kptr(spot.region, spot.offset) && (before || !known)
            }
            RegionKind::MapValue { .. } => {
                !machine.is_kptr(spot.region, spot.offset) && !machine.memory().is_private(spot.region)
            }
            RegionKind::Context => !leads_to_object(machine, spot.region, spot.offset, size),
            _ => true,
        }
    }

    fn write(&mut self, address: u64, size: u32, outside: bool) {
        for byte in address..address.saturating_add(size.into()) {
            if outside {
                self.bytes.insert(byte);
            } else {
                self.bytes.remove(&byte);
            }
        }
    }
}

/// Is an argument of a traced function a pointer? Each leads to an object, as those do that the kernel's verifier trusts.
fn leads_to_object(machine: &Machine, context: RegionId, offset: u32, size: u32) -> bool {
    let memory = machine.memory();
    let word = memory.peek(context).get(offset as usize..).and_then(|rest| rest.first_chunk());
    let target = word.filter(|_| size == 8).and_then(|word| memory.at(u64::from_le_bytes(*word)));
    target.is_some_and(|spot| matches!(memory.region(spot.region).kind, RegionKind::KernelObject { .. }))
}

/// What a frame's registers are marked with after a call.
fn kept(marks: &Marks, result: bool) -> Marks {
    let mut after = *marks;
    after[..6].fill(false);
    after[0] = result;
    after
}

fn address(running: &Running<'_>, base: Register, offset: i16) -> Option<u64> {
    running.register(base.index()).map(|base| base.wrapping_add_signed(offset.into()))
}

impl Watch for Dependence {
    fn started(&mut self, _machine: &Machine, task: u32) {
        self.tasks.remove(&task);
    }

    fn before(&mut self, machine: &Machine, task: u32) {
        if self.depends.is_none()
            && let Some(running) = machine.running(task)
        {
            self.look(machine, task, &running);
        }
    }
}
