//! Is a concrete state one of those that an abstract state stands for?
//!
//! All registers and stack slots that were printed are asked at once: each number lies inside its range, each pointer points to what its
//! type says at an offset that it says, bytes that are known to be zero are zero, numbers that are tied to each other differ by what they
//! are said to differ by, and each reference that the program holds in the machine has a number among those that the verifier counts.
//!
//! What a value's type promises beyond that (that a pointer into a packet may be read so far, that memory has so many bytes) is part of
//! the question; what it forbids (writing) is not.

use super::trace::{Frame, State};
use super::value::{Abstract, Marks, Pointer, Range, Slot, Target, Value};
use crate::btf::Btf;
use crate::kernel::ProgramType;
use crate::kernel::limits::VARIABLE_OFFSET;
use crate::machine::{Life, Machine, MapFamily, RegionId, RegionKind, Running};
use crate::object::{Map, Object};
use crate::verifier::maps::kernel_name;

/// A place in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A register of a frame.
    Register {
        /// The frame, from 0.
        frame: u32,
        /// The register, 0 to 10.
        number: usize,
    },
    /// A stack slot.
    Slot {
        /// The frame, from 0.
        frame: u32,
        /// Distance of its lowest byte from the frame pointer, in bytes.
        distance: u32,
    },
    /// The references.
    References,
}

/// Why numbers are not equal that must be.
pub(super) const IDS_DIFFER: &str = "numbers of one id differ";

/// Why a concrete state is not in an abstract one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where.
    pub spot: Spot,
    /// What is there; `None` if nothing was put there.
    pub concrete: Option<u64>,
    /// What should be there, as the log prints it.
    pub expected: Box<str>,
    /// What speaks against it.
    pub why: &'static str,
}

/// A task of the machine, as states are held against it.
#[derive(Clone, Copy, Debug)]
pub struct Concrete<'m> {
    /// The machine.
    pub machine: &'m Machine,
    /// The task.
    pub task: u32,
    /// What it runs.
    pub running: Running<'m>,
    /// The frame of the machine that is frame 0 of the verification.
    pub base: usize,
    /// References that frames below the verification's hold.
    pub of_callers: &'m [RegionId],
    /// Kernel names of maps, by index.
    pub maps: &'m [MapName],
}

/// By what a log calls a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapName {
    /// Its name in the kernel.
    pub name: String,
    /// For globals the section's name. A loader puts the start of the object's name before it, and may have called the object otherwise.
    pub section: Option<String>,
}

impl MapName {
    /// The names of an object's maps.
    #[must_use]
    pub fn all(object: &Object) -> Vec<MapName> {
        const NAME_BYTES: usize = 15;
        let name = |map: &Map| MapName {
            name: kernel_name(&object.name, map).chars().take(NAME_BYTES).collect(),
            section: map.globals.as_ref().map(|_| map.name.clone()),
        };
        object.maps.iter().map(name).collect()
    }

    /// Is this what the log calls it?
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.section.as_ref().is_some_and(|section| name.ends_with(section.as_str()))
    }
}

/// What numbers one id was seen with.
#[derive(Default)]
struct Tied {
    numbers: Vec<(u32, u64)>,
    references: Vec<(u32, RegionId)>,
    nullness: Vec<(u32, bool)>,
}

type Answer = Result<(), &'static str>;

impl Concrete<'_> {
    /// Is it in that state? Says how many registers and slots were asked.
    ///
    /// # Errors
    /// The first place that is not.
    pub fn is_in(&self, state: &State) -> Result<u64, Box<Mismatch>> {
        let mut asked = 0;
        let mut tied = Tied::default();
        for (&number, frame) in &state.frames {
            asked += self.frame_is_in(number, number == state.depth(), frame, &mut tied)?;
        }
        self.references_are_in(state, &tied)?;
        Ok(asked)
    }

    fn frame_is_in(&self, number: u32, innermost: bool, frame: &Frame, tied: &mut Tied) -> Result<u64, Box<Mismatch>> {
        let depth = self.base + number as usize;
        let mut asked = 0;
        for (register, value) in frame.registers.iter().enumerate() {
            let Some(value) = value else { continue };
            let concrete = if innermost {
                self.running.register(register)
            } else if register < 6 {
                // A caller finds none of these again.
                continue;
            } else {
                self.running.saved_register(depth, register)
            };
            let spot = Spot::Register { frame: number, number: register };
            self.value_is_in(value, concrete, number, tied)
                .map_err(|why| mismatch(spot, concrete, &value.text, why))?;
            asked += 1;
        }
        if frame.stack.is_empty() {
            return Ok(asked);
        }
        let stack = self.running.stack(depth).map_or(&[][..], |region| self.machine.memory().peek(region));
        for (&distance, slot) in &frame.stack {
            let start = stack.len().checked_sub(distance as usize);
            let bytes: Option<&[u8; 8]> = start.and_then(|start| stack.get(start..)?.first_chunk());
            let spot = Spot::Slot { frame: number, distance };
            let concrete = bytes.map(|bytes| u64::from_le_bytes(*bytes));
            let answer = concrete.ok_or("the frame has no such slot");
            answer
                .and_then(|concrete| self.slot_is_in(slot, concrete, number, tied))
                .map_err(|why| mismatch(spot, concrete, &slot.text, why))?;
            asked += 1;
        }
        Ok(asked)
    }

    fn slot_is_in(&self, slot: &Slot, concrete: u64, frame: u32, tied: &mut Tied) -> Answer {
        // The log names the byte furthest up first.
        let is_zero = |index: usize| concrete.to_be_bytes()[index] == 0;
        if slot.zero.iter().enumerate().any(|(index, &zero)| zero && !is_zero(index)) {
            return Err("a byte that is known to be zero is not");
        }
        match &slot.spilled {
            Some((value, 8)) => self.value_is_in(value, Some(concrete), frame, tied),
            Some((value, size)) => {
                let low = concrete & ((1 << (size * 8)) - 1);
                match &value.kind {
                    // The log prints the whole of which these are the lowest bytes. A whole that fits stands here itself; a part of a
                    // number is linked to nothing.
                    Abstract::Number { range, .. } if !range.fits(*size) => Ok(range.low(*size).holds(low)?),
                    _ => self.value_is_in(value, Some(low), frame, tied),
                }
            }
            None => Ok(()),
        }
    }

    fn value_is_in(&self, value: &Value, concrete: Option<u64>, frame: u32, tied: &mut Tied) -> Answer {
        match &value.kind {
            Abstract::Handle(_) => Ok(()),
            Abstract::Number { id, delta, range } => {
                let concrete = concrete.ok_or("nothing was put there")?;
                if self.is_symbol(concrete) {
                    // Where a kernel has its symbols, another one and the machine have them not.
                    return Ok(());
                }
                range.holds(concrete)?;
                let shared = concrete.wrapping_sub(*delta as u64);
                tie(&mut tied.numbers, *id, shared).map_err(|()| IDS_DIFFER)
            }
            Abstract::Pointer(pointer) => {
                let concrete = concrete.ok_or("nothing was put there")?;
                self.pointer_is_in(pointer, concrete, frame, tied)
            }
        }
    }

    fn pointer_is_in(&self, pointer: &Pointer, concrete: u64, frame: u32, tied: &mut Tied) -> Answer {
        // What nothing is promised of.
        if pointer.marks.untrusted || pointer.marks.user || pointer.target == Target::Arena {
            return Ok(());
        }
        if pointer.or_null {
            tie(&mut tied.nullness, pointer.id, concrete == 0).map_err(|()| "of pointers of one id one is null")?;
            if concrete == 0 {
                return Ok(());
            }
        }
        match pointer.target {
            Target::Function => return if concrete == 0 { Err("no function") } else { Ok(()) },
            Target::Packet | Target::PacketMeta | Target::PacketEnd => {
                return self.packet_is_in(pointer, concrete, tied);
            }
            Target::Context if concrete == 0 => return self.context_may_be_null(),
            _ => {}
        }
        if pointer.is_unchecked() && !self.is_local(concrete) {
            return Ok(());
        }
        // A kernel's variable of which each CPU has a copy is named by where it is among them: no address.
        if pointer.marks.per_cpu && pointer.target == Target::Object && !self.is_local(concrete) {
            return Ok(());
        }
        if concrete == 0 {
            return Err("it is null");
        }
        // A pointer may be moved by half a gigabyte before it is used: what it points into is found from where it began.
        let began = concrete.wrapping_sub(pointer.offset as u64);
        if pointer.target == Target::Stack {
            return self.stack_is_in(pointer, began, frame);
        }
        if pointer.variable.signed.0 <= -VARIABLE_OFFSET || pointer.variable.signed.1 >= VARIABLE_OFFSET {
            // Nor is it used while it may be moved further, and then nothing tells where it began.
            return Ok(());
        }
        let (region, offset) = self.machine.memory().near(began).ok_or("there is no memory")?;
        if pointer.reference != 0 {
            tied.references.push((pointer.reference, region));
        }
        self.is_of_type(pointer, region)?;
        if matches!(pointer.target, Target::Memory) {
            return self.memory_is_in(pointer, region, offset);
        }
        if matches!(pointer.target, Target::Socket | Target::Buffer | Target::Dynptr | Target::MapKey) {
            return Ok(());
        }
        if pointer.target == Target::Object && is_kernels(&self.machine.memory().region(region).kind) {
            // A pointer to a struct inside another has the outer one's region.
            return Ok(());
        }
        in_range(&pointer.variable, offset)
    }

    /// Is it the address of a variable or function of the kernel?
    fn is_symbol(&self, value: u64) -> bool {
        let region = self.machine.memory().near(value).map(|(region, _)| &self.machine.memory().region(region).kind);
        matches!(region, Some(RegionKind::KernelVariable { .. }))
    }

    /// Does an address lie in an object that a program allocated?
    fn is_local(&self, address: u64) -> bool {
        let region = self.machine.memory().near(address).map(|(region, _)| &self.machine.memory().region(region).kind);
        region.is_some_and(|kind| {
            matches!(kind, RegionKind::Object { .. } | RegionKind::PerCpuObject { .. } | RegionKind::PerCpuCopy { .. })
        })
    }

    /// A pointer into a frame's stack, whose distance from the frame pointer is known however far it was moved.
    fn stack_is_in(&self, pointer: &Pointer, began: u64, frame: u32) -> Answer {
        let depth = self.base + pointer.frame.unwrap_or(frame) as usize;
        let region = self.running.stack(depth).ok_or("no frame has that stack")?;
        let memory = self.machine.memory();
        let frame_pointer = memory.base(region).wrapping_add(memory.len(region).into());
        in_range(&pointer.variable, began.wrapping_sub(frame_pointer) as i64)
    }

    /// Is the region what the pointer's type says?
    fn is_of_type(&self, pointer: &Pointer, region: RegionId) -> Answer {
        let described = self.machine.memory().region(region);
        let is_map = |map: u32| pointer.map.as_ref().is_none_or(|name| self.has_name(map, name));
        let fits = match (pointer.target, &described.kind) {
            (Target::Context, RegionKind::Context | RegionKind::SyscallContext) => true,
            (Target::Map, RegionKind::Map { map }) | (Target::MapValue, RegionKind::MapValue { map, .. }) => {
                is_map(*map)
            }
            // Until it is known not to be null, an inner map has the type of the outer one's values (`mark_ptr_not_null_reg`).
            (Target::MapValue, RegionKind::Map { .. }) => pointer.or_null && self.has_maps_inside(pointer),
            (Target::FlowKeys, RegionKind::FlowKeys) => true,
            (Target::Object, kind) => return self.object_fits(pointer, kind, described.life),
            (Target::Memory | Target::Socket | Target::Buffer | Target::Dynptr | Target::MapKey, _) => true,
            _ => false,
        };
        if fits { Ok(()) } else { Err("it points to something else") }
    }

    fn has_name(&self, map: u32, name: &str) -> bool {
        self.maps.get(map as usize).is_some_and(|known| known.is(name))
    }

    fn has_maps_inside(&self, pointer: &Pointer) -> bool {
        let Some(name) = &pointer.map else { return false };
        self.maps.iter().zip(self.machine.maps()).any(|(map, state)| map.is(name) && state.family == MapFamily::Maps)
    }

    fn object_fits(&self, pointer: &Pointer, kind: &RegionKind, life: Life) -> Answer {
        let types = self.machine.object().btf.as_deref();
        let own = match kind {
            RegionKind::Object { type_id } if !pointer.marks.per_cpu => Some(*type_id),
            RegionKind::PerCpuCopy { type_id, .. } if !pointer.marks.per_cpu => Some(*type_id),
            RegionKind::PerCpuObject { type_id } if pointer.marks.per_cpu => Some(*type_id),
            RegionKind::Object { .. } | RegionKind::PerCpuCopy { .. } | RegionKind::PerCpuObject { .. } => {
                return Err("an object of each CPU is not one object");
            }
            _ => None,
        };
        if let Some(type_id) = own
            && types.is_some_and(|types: &Btf| types.ty(types.resolve(type_id)).name() != &*pointer.type_name)
        {
            return Err("an object of another type");
        }
        match life {
            Life::Live => Ok(()),
            Life::Waiting(waiting) if self.machine.rcu().reader(self.task).protects(waiting) => Ok(()),
            // Nothing but a number is left of it, which no read of this section gave.
            Life::Waiting(_) => Err("the object was given back before this section began"),
            Life::Freed => Err("the object was freed"),
        }
    }

    /// Memory of a size: all of it must be inside its region.
    fn memory_is_in(&self, pointer: &Pointer, region: RegionId, distance: i64) -> Answer {
        let memory = self.machine.memory();
        let Range { unsigned: (low, high), .. } = pointer.variable;
        let size = i64::try_from(pointer.size).unwrap_or(i64::MAX);
        // The pointer's own place in it.
        let variable = if low == high { low as i64 } else { 0 };
        let start = distance.wrapping_sub(variable);
        if memory.region(region).life == Life::Freed {
            return Err("the memory was freed");
        }
        let fixed = low == high;
        if fixed && (start < 0 || start.saturating_add(size) > i64::from(memory.len(region))) {
            return Err("it has fewer bytes");
        }
        Ok(())
    }

    fn packet_is_in(&self, pointer: &Pointer, concrete: u64, tied: &mut Tied) -> Answer {
        let Some(packet) = self.running.packet() else { return Ok(()) };
        if pointer.target == Target::PacketEnd && concrete == 0 && self.lacks_packet_end() {
            return Ok(());
        }
        let first = match pointer.target {
            Target::PacketMeta => packet.meta,
            Target::PacketEnd => packet.end,
            _ => packet.data,
        };
        let distance = (concrete.wrapping_sub(first) as i64).wrapping_sub(pointer.offset);
        in_range(&pointer.variable, distance)?;
        if pointer.target == Target::PacketEnd {
            return Ok(());
        }
        tie(&mut tied.numbers, pointer.id, distance as u64).map_err(|()| "packet pointers of one id differ")?;
        let limit = if pointer.target == Target::PacketMeta { packet.data } else { packet.end };
        let end = concrete.wrapping_sub(pointer.offset as u64).wrapping_add_signed(pointer.available);
        if pointer.available > 0 && end > limit { Err("the packet has fewer bytes (r=)") } else { Ok(()) }
    }

    /// A run for testing does not compute the packet's end for programs of every type (`bpf_prog_test_run_skb`, `net/bpf/test_run.c`);
    /// all bytes then lie behind it.
    fn lacks_packet_end(&self) -> bool {
        matches!(self.program_type(), Some(ProgramType::CgroupSkb | ProgramType::LwtSeg6local))
    }

    /// A `syscall` program that is given no context has a null pointer for one.
    fn context_may_be_null(&self) -> Answer {
        if self.program_type() == Some(ProgramType::Syscall) { Ok(()) } else { Err("it is null") }
    }

    fn program_type(&self) -> Option<ProgramType> {
        ProgramType::from_number(self.running.program().source().section.program_type)
    }

    /// Each reference that the program holds is counted: those whose object a value with that number points to, and of the rest no more
    /// than there are other numbers.
    fn references_are_in(&self, state: &State, tied: &Tied) -> Result<(), Box<Mismatch>> {
        let held = self.machine.ledger().held_by(self.task);
        if held.is_empty() {
            return Ok(());
        }
        let mut held = held.to_vec();
        for region in self.of_callers {
            if let Some(index) = held.iter().position(|other| other == region) {
                held.remove(index);
            }
        }
        let mut numbers: Vec<u32> = state.references.to_vec();
        let mut unseen = Vec::new();
        for region in held {
            let named = tied.references.iter().filter(|(_, of)| *of == region);
            let found = named.filter_map(|(id, _)| numbers.iter().position(|number| number == id)).next();
            match found {
                Some(index) => {
                    numbers.swap_remove(index);
                }
                None => unseen.push(region),
            }
        }
        match unseen.get(numbers.len()) {
            None => Ok(()),
            Some(&region) => {
                let text = state.references.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
                let concrete = Some(self.machine.memory().base(region));
                Err(mismatch(
                    Spot::References,
                    concrete,
                    &format!("refs={text}"),
                    "a reference is held that is not counted",
                ))
            }
        }
    }
}

fn mismatch(spot: Spot, concrete: Option<u64>, expected: &str, why: &'static str) -> Box<Mismatch> {
    Box::new(Mismatch { spot, concrete, expected: expected.into(), why })
}

/// What has one number other than 0 has one value.
fn tie<T: PartialEq + Copy>(all: &mut Vec<(u32, T)>, id: u32, value: T) -> Result<(), ()> {
    if id == 0 {
        return Ok(());
    }
    match all.iter().find(|(known, _)| *known == id) {
        Some((_, known)) if *known != value => Err(()),
        Some(_) => Ok(()),
        None => {
            all.push((id, value));
            Ok(())
        }
    }
}

fn in_range(range: &Range, distance: i64) -> Answer {
    range.holds(distance as u64).map_err(|_| "its offset is another one")
}

fn is_kernels(kind: &RegionKind) -> bool {
    matches!(kind, RegionKind::KernelObject { .. } | RegionKind::KernelVariable { .. })
}

impl Pointer {
    /// Is it a pointer to a struct of the kernel that nobody vouches for? It may be null or stale: the kernel reads through such pointers
    /// with care (`BPF_PROBE_MEM`).
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        let Marks { trusted, rcu, per_cpu, .. } = self.marks;
        self.target == Target::Object && !(trusted || rcu || per_cpu || self.non_owning) && self.reference == 0
    }
}

impl Mismatch {
    /// The place in words, as the log names it: `R3`, `frame1 R3`, `fp-8`, `refs`.
    #[must_use]
    pub fn place(&self) -> String {
        let prefix = |frame: u32| if frame == 0 { String::new() } else { format!("frame{frame} ") };
        match self.spot {
            Spot::Register { frame, number } => format!("{}R{number}", prefix(frame)),
            Spot::Slot { frame, distance } => format!("{}fp-{distance}", prefix(frame)),
            Spot::References => "refs".to_owned(),
        }
    }
}
