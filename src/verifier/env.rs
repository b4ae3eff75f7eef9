//! The verifier's working state for one program: what is fixed, and what changes as paths are explored.
//!
//! [`Verifier`] is the one struct that the rooms of the verifier add methods to; each file does one subject. Here is
//! what they all use: registers by number, new ids, reads and writes of registers, and the ways to stop.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::domain::Scalar;
use super::explored::Explored;
use super::log::Log;
use super::maps::{Fields, MapInfo};
use super::options::Options;
use super::precision::{Backtrack, HistoryEntry};
use super::recorder::Recorder;
use super::rule::Rule;
use super::state::{Frame, Live, Place, State};
use super::statistics::Statistics;
use super::value::{Number, Pointer, Target, TypeRef, TypeSpace, Value};
use crate::btf::{Btf, Type, TypeId};
use crate::isa::{DecodeError, Insn, RawInsn, Register};
use crate::kernel::Profile;
use crate::object::{Object, Program};
use crate::seeded::{self, Fault};

/// Why a check ended the verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A rule is broken; the kernel would refuse the program.
    Reject(Box<Rule>),
    /// Something is not modelled; says what.
    Unsupported(String),
}

impl From<Rule> for Stop {
    fn from(rule: Rule) -> Stop {
        Stop::Reject(Box::new(rule))
    }
}

/// Result of a check.
pub type Check<T = ()> = Result<T, Stop>;

/// Shorthand for a broken rule as an error.
pub fn reject<T>(rule: Rule) -> Check<T> {
    Err(rule.into())
}

/// Shorthand for something that is not modelled.
pub fn unsupported<T>(what: impl Into<String>) -> Check<T> {
    Err(Stop::Unsupported(what.into()))
}

/// What is remembered for each slot (`struct bpf_insn_aux_data`).
#[derive(Clone, Debug, Default)]
pub struct InsnFacts {
    /// States are compared here.
    pub prune_point: bool,
    /// A jump lands here: its origin must be remembered.
    pub jump_point: bool,
    /// A conditional jump lands here.
    pub jump_target: bool,
    /// A checkpoint is always made here.
    pub force_checkpoint: bool,
    /// The call here calls a callback before it returns.
    pub calls_callback: bool,
    /// The call here is an iterator's `next`.
    pub iterator_next: bool,
    /// Pairs of spills and fills around the call here that the kernel removes.
    pub fastcall_pairs: u8,
    /// Part of a spill around a call that the kernel may remove.
    pub fastcall_pattern: bool,
    /// Kind of pointer that the access here was made through.
    pub pointer_kind: Option<PointerKind>,
    /// The map that the helper here was called with: index, or `None` if several.
    pub helper_map: Option<Option<u32>>,
    /// May the kernel unroll the `bpf_loop` here, as far as is known: the callback on every path, or `None` once the
    /// flags or the callback forbid it.
    pub inlined_loop: Option<Option<u32>>,
    /// How the arithmetic here is guarded against speculation.
    pub masking: Option<super::speculation::Masking>,
    /// Was it reached on any path?
    pub seen: bool,
}

/// Kind of a pointer, for the rule that one instruction must not access two different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointerKind {
    /// Target without what differs between accesses of one kind.
    pub class: super::type_name::Class,
    /// Its attributes.
    pub attributes: super::value::Attributes,
}

/// A function of the program.
#[derive(Clone, Debug)]
pub struct Subprogram {
    /// First slot.
    pub start: usize,
    /// Slot behind the last.
    pub end: usize,
    /// Name, empty if unknown.
    pub name: String,
    /// Its type in the program's BTF.
    pub type_id: Option<TypeId>,
    /// Checked on its own, its callers see only its prototype?
    pub global: bool,
    /// Was it called from a path that was explored?
    pub called: bool,
    /// Was it verified on its own?
    pub verified: bool,
    /// Bytes of stack that it uses.
    pub stack_depth: u32,
    /// Does it make a tail call?
    pub has_tail_call: bool,
    /// Does it use legacy packet loads?
    pub has_load_packet: bool,
    /// May it, or what it calls, change the packet?
    pub changes_packet: bool,
    /// Is it called back?
    pub is_callback: bool,
    /// Is it called back later?
    pub is_async_callback: bool,
    /// Spills at this offset and below belong to fastcall patterns; `i32::MIN` once the pattern is broken.
    pub fastcall_stack_offset: i32,
    /// Must stack for fastcall spills be kept?
    pub keep_fastcall_stack: bool,
    /// Were its arguments checked, and what are they?
    pub arguments: Option<Vec<super::global_function::Argument>>,
    /// Its types do not match how it is called; only its code counts.
    pub unreliable: bool,
}

/// A branch that waits to be explored.
#[derive(Debug)]
pub struct Pending {
    /// The state there.
    pub state: State,
    /// Slot to go on at.
    pub insn: usize,
    /// Slot it came from.
    pub from: usize,
    /// Length of the log when it was pushed.
    pub log_position: usize,
}

/// Everything that the verification of one program works on.
pub struct Verifier<'a> {
    /// The object.
    pub object: &'a Object,
    /// The program.
    pub program: &'a Program,
    /// The kernel.
    pub profile: &'a Profile,
    /// Choices of the user.
    pub options: &'a Options,
    /// The object's maps, as the kernel would see them.
    pub maps: &'a [MapInfo],
    /// Structs of the program that have special fields.
    pub local_fields: &'a FxHashMap<TypeId, Fields>,
    /// The program's types.
    pub btf: Option<Arc<Btf>>,
    /// The decoded slots; an error is reported only where a path reaches it, as the kernel does.
    pub insns: Vec<Result<Insn, DecodeError>>,
    /// Facts by slot.
    pub facts: Vec<InsnFacts>,
    /// Functions by start.
    pub subprograms: Vec<Subprogram>,
    /// The current state.
    pub state: State,
    /// The current slot.
    pub insn: usize,
    /// The slot before it on this path.
    pub previous: Option<usize>,
    /// Branches that wait, newest last.
    pub pending: Vec<Pending>,
    /// Checkpoints.
    pub explored: Explored,
    /// Jumps taken on the paths to all states that exist.
    pub history: Vec<HistoryEntry>,
    /// The current instruction's entry in the history, once it has one.
    pub history_entry: Option<usize>,
    /// For each slot, what concerns it in a walk back for precision.
    pub concerned: Vec<u16>,
    /// Registers and slots whose precision is asked for.
    pub backtrack: Backtrack,
    /// Last id given.
    pub last_id: u32,
    /// Counts.
    pub statistics: Statistics,
    /// The kernel's log.
    pub log: Log,
    /// Lines of a message before its last.
    pub notes: Vec<String>,
    /// Where the program's context ends: the furthest byte read.
    pub max_context_offset: u32,
    /// The function that is called when an exception is thrown, if any.
    pub exception_callback: Option<usize>,
    /// Do numbers count in comparisons as they are, not by their ranges? So from the first pointer on that is moved by an
    /// unknown offset and masked (`explore_alu_limits`).
    pub exact_numbers: bool,
    /// Where kernel symbols without a type are taken to be.
    pub symbols: super::symbol_address::Assumption,
    /// Keeps the path, if asked for.
    pub recorder: Option<Box<Recorder>>,
}

impl<'a> Verifier<'a> {
    /// A new id.
    pub fn new_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// The raw slot.
    #[must_use]
    pub fn raw(&self, insn: usize) -> RawInsn {
        self.program.insns.get(insn).copied().unwrap_or_default()
    }

    /// A register's value in the current frame.
    #[must_use]
    pub fn value(&self, register: Register) -> Value {
        *self.state.value(register)
    }

    /// The register's pointer, or an internal error if it holds none.
    pub fn pointer(&self, register: Register) -> Check<Pointer> {
        match self.value(register) {
            Value::Pointer(pointer) => Ok(pointer),
            other => unsupported(format!("{register} was expected to hold a pointer but holds {other:?}")),
        }
    }

    /// The register's number, or an internal error if it holds none.
    pub fn number(&self, register: Register) -> Check<Number> {
        match self.value(register) {
            Value::Scalar(number) => Ok(number),
            other => unsupported(format!("{register} was expected to hold a number but holds {other:?}")),
        }
    }

    /// The innermost frame.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        self.state.frame()
    }

    /// The frame that a stack pointer points into.
    pub fn frame_of(&mut self, frame: u8) -> Check<&mut Frame> {
        match self.state.frames.get_mut(usize::from(frame)) {
            Some(frame) => Ok(frame),
            None => unsupported(format!("a pointer into frame {frame}, which does not exist")),
        }
    }

    /// Number of the current frame if a callback runs in it.
    #[must_use]
    pub fn callback_frame(&self) -> Option<u8> {
        self.frame().in_callback().then(|| self.state.current() as u8)
    }

    /// Sets a register that an instruction defines: marks it written.
    pub fn define(&mut self, register: Register, value: Value) {
        let frame = self.state.frame_mut();
        frame.registers[register.index()].value = value;
        frame.marks.write(Place::of(register));
        self.log.touch_register(register);
    }

    /// Checks that a register may be read, and marks it so (`check_reg_arg` with `SRC_OP`).
    pub fn read(&mut self, register: Register, flag: Live) -> Check<Value> {
        self.check_read(register, flag)?;
        Ok(self.value(register))
    }

    /// The same where the value does not matter.
    pub fn check_read(&mut self, register: Register, flag: Live) -> Check {
        self.log.touch_register(register);
        let frame = self.state.frame();
        let cell = &frame.registers[register.index()];
        if matches!(cell.value, Value::Uninitialised) {
            return reject(Rule::ReadUninitialised { register });
        }
        if register != Register::R10 && !frame.marks.is_written(Place::of(register)) {
            self.explored.mark_read_from(cell.parent, flag);
        }
        Ok(())
    }

    /// Checks that a register may be written, and marks it so, leaving its value (`DST_OP_NO_MARK`).
    pub fn write(&mut self, register: Register) -> Check {
        self.log.touch_register(register);
        if register == Register::R10 {
            return reject(Rule::WriteFramePointer);
        }
        self.state.frame_mut().marks.write(Place::of(register));
        Ok(())
    }

    /// After a call: `r0` to `r5` hold nothing (`clear_caller_saved_regs`).
    pub fn forget_caller_saved(&mut self) {
        self.define(Register::R0, Value::Uninitialised);
        if seeded::active(Fault::HelperKeepsArguments) {
            return;
        }
        for register in Register::caller_saved() {
            self.define(register, Value::Uninitialised);
        }
    }

    /// The table of types that a reference is into.
    pub fn types(&self, space: TypeSpace) -> Check<&Btf> {
        match (space, &self.btf) {
            (TypeSpace::Kernel, _) => Ok(&self.profile.btf),
            (TypeSpace::Program, Some(btf)) => Ok(btf),
            (TypeSpace::Program, None) => unsupported("a type of the program, which has no BTF"),
        }
    }

    /// The type itself; `void` if its table is missing.
    #[must_use]
    pub fn type_of(&self, ty: TypeRef) -> &Type {
        self.types(ty.space).map_or(&Type::Void, |btf| btf.ty(ty.id))
    }

    /// Its name.
    #[must_use]
    pub fn type_name(&self, ty: TypeRef) -> String {
        self.type_of(ty).name().to_owned()
    }

    /// The map that a reference names.
    pub fn map(&self, map: super::value::MapRef) -> Check<&'a MapInfo> {
        match self.maps.get(map.index as usize) {
            Some(map) => Ok(map),
            None => unsupported(format!("map number {} does not exist", map.index)),
        }
    }

    /// May the code at the current point sleep (`in_sleepable`)?
    #[must_use]
    pub fn in_sleepable(&self) -> bool {
        self.program.section.sleepable || self.state.in_sleepable
    }

    /// Is the current point inside an RCU read section, explicit or implied (`in_rcu_cs`)?
    #[must_use]
    pub fn in_rcu_section(&self) -> bool {
        self.state.obligations.rcu || self.state.obligations.lock.is_some() || !self.in_sleepable()
    }

    /// Takes a known number out of a register's variable offset.
    #[must_use]
    pub fn known(scalar: &Scalar) -> Option<i64> {
        scalar.is_const().then_some(scalar.var_off.value as i64)
    }

    /// Is the program licensed so that it may call what is exported to the GPL only?
    #[must_use]
    pub fn is_gpl(&self) -> bool {
        crate::kernel::is_gpl_compatible(&self.object.license)
    }

    /// The bytes of a map whose contents the verifier may rely on (`bpf_map_is_rdonly`).
    #[must_use]
    pub fn frozen_bytes(&self, map: &MapInfo) -> Option<&'a [u8]> {
        let globals = self.object.maps.get(map.index as usize)?.globals.as_ref()?;
        globals.read_only.then_some(globals.bytes.as_slice())
    }

    /// The target that a pointer has, for matching.
    #[must_use]
    pub fn target(&self, register: Register) -> Option<Target> {
        self.state.value(register).as_pointer().map(|pointer| pointer.target)
    }
}
