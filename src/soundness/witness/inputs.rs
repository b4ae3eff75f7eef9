//! Inputs for a program: packets, contexts and globals, at first at boundaries and from the constants that the program itself
//! has, then by changing those that reached new instructions.

use std::collections::{BTreeMap, BTreeSet};

use crate::explore::random::Random;
use crate::isa::{ImmediateSource, Insn};
use crate::kernel::ProgramType;
use crate::object::{AttachKind, Object, Program};
use crate::scenario::layout::Layout;
use crate::scenario::names::{Global, Names};
use crate::scenario::{Input, Setting};

/// What a program finds when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// Its packet or context.
    pub input: Input,
    /// Globals with other values than the object gives them.
    pub globals: BTreeMap<String, Setting>,
    /// Are maps and arguments there, as if others had filled them?
    pub stocked: bool,
    /// What it reads of clocks, of random numbers, and of fields of kernel structs that are not modelled.
    pub readings: Vec<u64>,
}

/// Which kind of input a program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Nothing,
    /// A packet in an `sk_buff`.
    Buffer,
    /// Another packet.
    Packet,
    Context,
    Arguments,
}

/// Makes inputs for one program.
#[derive(Debug)]
pub struct Maker {
    pub(super) taken: Taken,
    /// Globals that programs can write and that are numbers.
    pub(super) globals: Vec<Number>,
    /// Numbers that the program compares with or computes with.
    constants: Vec<u64>,
    /// Id of the process that programs run in.
    pid: u64,
    /// Does it read clocks, random numbers, or kernel structs, or are there maps that readings can fill?
    pub(super) reads: bool,
    /// Does it load from the packet as programs once did?
    loads_packet: bool,
}

/// A global that is a number.
#[derive(Clone, Debug)]
pub(super) struct Number {
    pub name: String,
    /// Its bytes: at most eight.
    size: u32,
    /// What the object gives it.
    pub initial: i64,
}

impl Number {
    fn of(object: &Object, name: &str, global: &Global) -> Number {
        let section = object.maps.get(global.map).and_then(|map| map.globals.as_ref());
        let at = global.offset as usize;
        let bytes = section.and_then(|section| section.bytes.get(at..at + global.size as usize)).unwrap_or_default();
        let initial = bytes.iter().rev().fold(0, |number, byte| number << 8 | i64::from(*byte));
        Number { name: name.to_owned(), size: global.size, initial }
    }

    /// As much of a number as it holds.
    pub fn setting(&self, number: u64) -> Setting {
        let shift = 64 - 8 * self.size.clamp(1, 8);
        Setting::Number((number << shift >> shift) as i64)
    }
}

/// Opcodes of legacy packet loads but for their size: `BPF_LD | BPF_ABS`, `BPF_LD | BPF_IND`; and where the size is.
const LEGACY_LOADS: [u8; 2] = [0x20, 0x40];
const SIZE: u8 = 0x18;
/// Lengths of packets that are tried: headers cut short, whole, and beyond; and packets without a header, which come in stocked machines only.
const PACKETS: [usize; 10] = [64, 14, 18, 34, 42, 54, 128, 1500, 0, 4];
/// Lengths of packets that are too short for most loads; and globals at most that are made long.
const SHORT: [usize; 2] = [0, 4];
const MAX_LONG: usize = 8;
/// Length of a frame with the headers of IP and TCP, and the number of TCP.
const FRAME: usize = 74;
const TCP: u8 = 6;
/// Where a packet says what it is: programs get it as a field of their context.
const ETHER_TYPE: usize = 12;
/// Lengths of contexts in bytes.
const CONTEXTS: [usize; 4] = [64, 8, 256, 4096];
/// Arguments of a raw tracepoint.
const ARGUMENTS: usize = 5;
/// Readings at most.
pub(super) const READINGS: usize = 6;
/// Fields of `struct __sk_buff` that an input may set: `mark`, `priority`, `cb`.
pub(super) const BUFFER_FIELDS: [usize; 7] = [8, 32, 48, 52, 56, 60, 64];
/// Numbers of the helpers that give clocks, random numbers, and the current task: `bpf_ktime_get_ns`, `bpf_get_prandom_u32`,
/// `bpf_get_current_task`, `bpf_jiffies64`, `bpf_ktime_get_boot_ns`, `bpf_get_current_task_btf`, `bpf_ktime_get_coarse_ns`,
/// `bpf_ktime_get_tai_ns`.
const READERS: [i32; 8] = [5, 7, 35, 118, 125, 158, 160, 208];
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// Constants that are kept of a program.
const MAX_CONSTANTS: usize = 64;
/// Numbers at which things change.
const BOUNDARIES: [u64; 13] =
    [0, 1, 2, 7, 8, 64, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX, 0x8000_0000_0000_0000];

impl Maker {
    /// What makes inputs for this program.
    pub fn new(object: &Object, program: &Program, pid: u32) -> Maker {
        let names = Names::of(object);
        let globals = names.globals.iter().filter(|(_, global)| {
            !global.read_only && matches!(global.layout, Layout::Number { .. } | Layout::Truth) && global.size <= 8
        });
        let taken = taken(program);
        Maker {
            taken,
            globals: globals.map(|(name, global)| Number::of(object, name, global)).collect(),
            constants: constants(program),
            pid: pid.into(),
            loads_packet: program.insns.iter().any(|insn| LEGACY_LOADS.contains(&(insn.opcode & !SIZE))),
            reads: taken == Taken::Buffer
                || object.maps.iter().any(|map| map.globals.is_none())
                || matches!(
                    program.section.attach_kind,
                    AttachKind::Function | AttachKind::RawTracepoint | AttachKind::StructOps
                )
                || program.insns.iter().any(|insn| insn.opcode == CALL && insn.src == 0 && READERS.contains(&insn.imm)),
        }
    }

    /// Frames as they come by every day, for programs that get packets: of either version of IP, with TCP in it.
    pub fn frames(&self) -> Vec<Start> {
        if !matches!(self.taken, Taken::Packet | Taken::Buffer) {
            return Vec::new();
        }
        let frame = |(ether_type, network): (u16, &[u8])| {
            let mut packet = vec![0; 12];
            packet.extend(ether_type.to_be_bytes());
            packet.extend(network);
            packet.resize(FRAME.max(packet.len()), 0);
            let input = Input::Bytes { context: Vec::new(), packet: Some(packet) };
            Start { input, stocked: true, ..Start::default() }
        };
        let ip4 = &[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, TCP, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
        let mut ip6 = vec![0x60, 0, 0, 0, 0, 20, TCP, 64];
        ip6.extend([0_u8; 15].into_iter().chain([1]).cycle().take(32));
        [(0x0800, &ip4[..]), (0x86dd, &ip6[..])].map(frame).to_vec()
    }

    /// Sizes that no comparison of the program's tells: packets too short for its legacy loads, and globals as long as a packet is.
    pub fn sizes(&self) -> Vec<Start> {
        let stocked = Start { stocked: true, ..Start::default() };
        let short = SHORT.iter().filter(|_| self.loads_packet).map(|&length| {
            let input = Input::Bytes { context: Vec::new(), packet: Some(vec![0; length]) };
            Start { input, ..stocked.clone() }
        });
        let long = self.globals.iter().take(MAX_LONG).map(|global| {
            let globals = [(global.name.clone(), global.setting(PACKETS[0] as u64))].into();
            Start { globals, ..stocked.clone() }
        });
        short.chain(long).collect()
    }

    /// Can inputs differ at all, but for what maps hold?
    pub fn is_constant(&self) -> bool {
        self.taken == Taken::Nothing && self.globals.is_empty() && !self.reads
    }

    /// The numbers that are worth a try: the program's own and their neighbours, and boundaries.
    fn number(&self, random: &mut Random) -> u64 {
        match random.below(5) {
            4 => self.pid,
            0 => BOUNDARIES[random.below(BOUNDARIES.len())],
            1 if !self.constants.is_empty() => {
                let constant = self.constants[random.below(self.constants.len())];
                constant.wrapping_add_signed(random.below(3) as i64 - 1)
            }
            2 => random.word() >> random.below(64),
            _ => random.word(),
        }
    }

    fn bytes(&self, length: usize, random: &mut Random) -> Vec<u8> {
        let mut bytes = vec![0; length];
        match random.below(3) {
            0 => {}
            1 => bytes.fill_with(|| random.word() as u8),
            _ => {
                for _ in 0..1 + random.below(8) {
                    self.put(&mut bytes, random);
                }
            }
        }
        bytes
    }

    /// Overwrites some bytes by a number, in either order.
    fn put(&self, bytes: &mut [u8], random: &mut Random) {
        let mut size = [1, 2, 4, 8][random.below(4)];
        let Some(room) = bytes.len().checked_sub(size) else { return };
        let mut at = random.below(room / size + 1) * size;
        if matches!(self.taken, Taken::Packet | Taken::Buffer) && bytes.len() > ETHER_TYPE + 2 && random.below(3) == 0 {
            (at, size) = (ETHER_TYPE, 2);
        }
        let number = self.number(random).to_le_bytes();
        let target = &mut bytes[at..at + size];
        target.copy_from_slice(&number[..size]);
        if random.below(2) == 0 {
            target.reverse();
        }
    }

    /// A new input.
    pub fn fresh(&self, random: &mut Random) -> Start {
        let input = match self.taken {
            Taken::Nothing => Input::Nothing,
            Taken::Buffer if random.below(3) == 0 => {
                let packet = self.bytes(PACKETS[random.below(PACKETS.len())], random);
                let mut context = vec![0; 68];
                for _ in 0..1 + random.below(3) {
                    let at = BUFFER_FIELDS[random.below(BUFFER_FIELDS.len())];
                    context[at..at + 4].copy_from_slice(&(self.number(random) as u32).to_le_bytes());
                }
                Input::Bytes { context, packet: Some(packet) }
            }
            Taken::Packet | Taken::Buffer => {
                let packet = self.bytes(PACKETS[random.below(PACKETS.len())], random);
                Input::Bytes { context: Vec::new(), packet: Some(packet) }
            }
            Taken::Context => {
                let context = self.bytes(CONTEXTS[random.below(CONTEXTS.len())], random);
                Input::Bytes { context, packet: None }
            }
            Taken::Arguments => Input::Arguments((0..ARGUMENTS).map(|_| self.number(random)).collect()),
        };
        let mut start = Start { input, stocked: random.below(4) != 0, ..Start::default() };
        if self.reads {
            start.readings = (0..random.below(READINGS + 1)).map(|_| self.reading(random)).collect();
        }
        for _ in 0..self.globals.len().min(1 + random.below(3)) {
            self.set_global(&mut start, random);
        }
        start
    }

    /// A number, or one of the three that say where a pointer leads.
    fn reading(&self, random: &mut Random) -> u64 {
        if random.below(2) == 0 { random.below(3) as u64 } else { self.number(random) }
    }

    fn set_global(&self, start: &mut Start, random: &mut Random) {
        let Some(global) = self.globals.get(random.below(self.globals.len())) else { return };
        start.globals.insert(global.name.clone(), global.setting(self.number(random)));
    }

    /// An input like another one.
    pub fn like(&self, start: &Start, random: &mut Random) -> Start {
        let mut next = start.clone();
        match &mut next.input {
            Input::Bytes { packet, context } => {
                let bytes = packet.as_mut().unwrap_or(context);
                for _ in 0..1 + random.below(3) {
                    self.put(bytes, random);
                }
            }
            Input::Arguments(arguments) => {
                let index = random.below(arguments.len());
                if let Some(argument) = arguments.get_mut(index) {
                    *argument = self.number(random);
                }
            }
            Input::Nothing => {}
        }
        if self.reads && random.below(2) == 0 {
            match random.below(READINGS) {
                at if at < next.readings.len() => next.readings[at] = self.reading(random),
                _ => next.readings.push(self.reading(random)),
            }
            next.readings.truncate(READINGS);
        }
        if !self.globals.is_empty() && (next.input == Input::Nothing || random.below(2) == 0) {
            self.set_global(&mut next, random);
        }
        next
    }
}

fn taken(program: &Program) -> Taken {
    use ProgramType as P;
    match ProgramType::from_number(program.section.program_type) {
        Some(P::SocketFilter | P::SchedCls | P::SchedAct | P::CgroupSkb | P::LwtIn | P::LwtOut | P::LwtXmit) => {
            Taken::Buffer
        }
        Some(P::Xdp) => Taken::Packet,
        Some(P::Syscall) => Taken::Context,
        Some(P::RawTracepoint) => Taken::Arguments,
        _ => Taken::Nothing,
    }
}

fn constants(program: &Program) -> Vec<u64> {
    let mut all = BTreeSet::new();
    for (slot, raw) in program.insns.iter().enumerate() {
        match program.instruction_at(slot) {
            Some(Insn::Alu { .. } | Insn::JumpIf { .. }) => {
                all.insert(i64::from(raw.imm) as u64);
            }
            Some(Insn::LoadImmediate { source: ImmediateSource::Value(number), .. }) => {
                all.insert(number);
            }
            _ => {}
        }
        if all.len() >= MAX_CONSTANTS {
            break;
        }
    }
    all.into_iter().filter(|constant| *constant != 0).collect()
}
