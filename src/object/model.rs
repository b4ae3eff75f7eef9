//! What an object holds, after loading.

use std::sync::Arc;

use crate::btf::{Btf, TypeId};
use crate::isa::{Insn, RawInsn, decode};

use super::error::{NoProgram, ObjectError};

/// A loaded object.
#[derive(Clone, Debug)]
pub struct Object {
    /// The name it was loaded under: a file name, without its folder and `.bpf.o`.
    pub name: String,
    /// The `license` section's text; empty if there is none.
    pub license: String,
    /// The object's types; `None` if it has no `.BTF`.
    pub btf: Option<Arc<Btf>>,
    /// Maps in the order of their declaration: those of `.maps`, then one for each section of globals.
    pub maps: Vec<Map>,
    /// Kernel functions and variables that it refers to.
    pub externs: Vec<Extern>,
    /// The programs, one for each entry function.
    pub programs: Vec<Program>,
}

impl Object {
    /// The program of that name.
    ///
    /// # Errors
    /// [`NoProgram`], with the names that there are.
    pub fn program(&self, name: &str) -> Result<&Program, NoProgram> {
        self.programs.iter().find(|program| program.name == name).ok_or_else(|| NoProgram {
            object: self.name.clone(),
            name: name.to_owned(),
            known: self.program_names(),
        })
    }

    /// The names of its programs with commas between them, for messages.
    #[must_use]
    pub fn program_names(&self) -> String {
        self.programs.iter().map(|program| program.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A map.
#[derive(Clone, Debug)]
pub struct Map {
    /// The variable's name; for globals the section's (`.data`, `.rodata.str1.1`).
    pub name: String,
    /// What was declared.
    pub definition: MapDefinition,
    /// For globals: initial bytes and what lies where. `None` for a map of `.maps`.
    pub globals: Option<GlobalSection>,
    /// Initial bytes of an arena's variables, which libbpf lays at its start; empty for other maps.
    pub arena: Vec<u8>,
    /// Maps that the declaration puts into an array or hash of maps: slot, and index into [`Object::maps`].
    pub initial_maps: Vec<(u32, u32)>,
    /// Programs that the declaration puts into a program array (slot, index into [`Object::programs`]) or a
    /// `struct_ops` variable (byte offset of the member, index).
    pub initial_programs: Vec<(u32, u32)>,
}

/// A map's declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapDefinition {
    /// `BPF_MAP_TYPE_*` number.
    pub map_type: u32,
    /// Key size in bytes.
    pub key_size: u32,
    /// Value size in bytes.
    pub value_size: u32,
    /// Number of entries; 0 where the kernel or the loader decides it.
    pub max_entries: u32,
    /// `BPF_F_*` flags of the map.
    pub flags: u32,
    /// Extra number whose meaning the map type decides.
    pub map_extra: u64,
    /// Type of the key in the object's BTF, or `void`.
    pub key_type: TypeId,
    /// Type of the value in the object's BTF, or `void`.
    pub value_type: TypeId,
    /// `LIBBPF_PIN_BY_NAME` and the like.
    pub pinning: u32,
    /// The declared inner map of an array or hash of maps.
    pub inner: Option<Box<MapDefinition>>,
}

/// A section of global variables, which the kernel sees as an array map of one value.
#[derive(Clone, Debug)]
pub struct GlobalSection {
    /// Initial contents; zero for `.bss`.
    pub bytes: Vec<u8>,
    /// May programs write to it? `.rodata` and `.kconfig` are frozen.
    pub read_only: bool,
    /// The `DATASEC` in the object's BTF, or `void`.
    pub type_id: TypeId,
}

/// What kind of extern it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternKind {
    /// A kernel function (`.ksyms` function).
    Kfunc,
    /// A kernel variable with a type (`.ksyms` variable with a struct or int type).
    Variable,
    /// A kernel symbol's address (`.ksyms` variable of type `void`).
    Address,
}

/// A kernel function or variable that the object refers to. (`.kconfig` externs become a section of globals.)
#[derive(Clone, Debug)]
pub struct Extern {
    /// Its name, as in the object; a `___flavour` suffix is still there.
    pub name: String,
    /// Its kind.
    pub kind: ExternKind,
    /// May it be missing in the kernel?
    pub weak: bool,
    /// Its declaration in the object's BTF: a function or a variable.
    pub type_id: TypeId,
    /// Its number among all externs, `.kconfig` ones included, as libbpf counts them; the call that libbpf puts in
    /// place of an unresolved weak one carries it.
    pub number: u32,
}

/// The part of a section name that tells how a program is attached: what libbpf's table of sections says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// As written: `?fentry.s/bpf_fentry_test1`.
    pub name: String,
    /// Loaded only on request (a leading `?`).
    pub optional: bool,
    /// `BPF_PROG_TYPE_*` number; 0 where the section name says nothing.
    pub program_type: u32,
    /// `enum bpf_attach_type` number expected at load, 0 if none.
    pub attach_type: u32,
    /// How a target is found.
    pub attach_kind: AttachKind,
    /// What stands behind the section's prefix, such as `bpf_fentry_test1`; empty if nothing. For a `struct_ops`
    /// program that a `.struct_ops` variable refers to, `struct name/member name` instead.
    pub target: String,
    /// May it sleep (`.s`)?
    pub sleepable: bool,
    /// `BPF_F_*` flags of the program that the section name asks for ([`SLEEPABLE`](super::SLEEPABLE),
    /// [`XDP_HAS_FRAGS`](super::XDP_HAS_FRAGS)).
    pub program_flags: u32,
}

impl Section {
    /// The structure and the member that a `struct_ops` program implements; without the structure's `___flavour`.
    #[must_use]
    pub fn struct_ops_member(&self) -> Option<(&str, &str)> {
        let (structure, member) = self.target.split_once('/').filter(|_| self.attach_kind == AttachKind::StructOps)?;
        Some((structure.split("___").next().unwrap_or(structure), member))
    }
}

/// What a program's target names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachKind {
    /// No BTF target is needed to load it.
    None,
    /// A BTF function of the kernel (fentry, fexit, fmod_ret, LSM hooks as `bpf_lsm_*`, iterators as `bpf_iter_*`).
    Function,
    /// A tracepoint's `btf_trace_*` typedef.
    RawTracepoint,
    /// A `struct_ops` member.
    StructOps,
    /// Another BPF program (`freplace`).
    Program,
}

/// A program: the entry function, with each function that it calls appended, relocated.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name of the entry function.
    pub name: String,
    /// Its section.
    pub section: Section,
    /// All slots. Wide loads name maps by index into [`Object::maps`] and kernel variables by index into
    /// [`Object::externs`]; kfunc calls name externs likewise.
    pub insns: Vec<RawInsn>,
    /// The functions in it, by ascending start; the first is the entry, at 0.
    pub functions: Vec<Function>,
    /// Source lines by ascending slot.
    pub lines: Vec<LineInfo>,
    /// The records of functions that the kernel is given, in order, whatever they say (`func_info` of `union bpf_attr`).
    pub func_info: Vec<FuncInfo>,
    /// The records of lines that the kernel is given, in order, whatever they say (`line_info`).
    pub line_info: Vec<LinePlace>,
    /// Slots that could not be relocated for want of the kernel's types or configuration; they are as compiled.
    pub unresolved: Vec<Unresolved>,
    /// Why libbpf would not hand this program to the kernel at all; its slots are then not relocated.
    pub refused: Option<ObjectError>,
}

/// A slot whose relocation needs something of the kernel that was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The slot.
    pub insn: usize,
    /// What is needed, such as ``the kernel's types: <byte_off> struct task_struct.pid``.
    pub what: Arc<str>,
}

/// A function of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// First slot.
    pub start: usize,
    /// Its [`Type::Function`](crate::btf::Type::Function) in the object's BTF, or `void`.
    pub type_id: TypeId,
    /// Is it global, so that the verifier checks it on its own?
    pub global: bool,
}

/// Which function starts at a slot (`struct bpf_func_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncInfo {
    /// The slot; of a broken object it may lie anywhere.
    pub insn: u32,
    /// What should be a [`Type::Function`](crate::btf::Type::Function) in the object's BTF.
    pub type_id: TypeId,
}

/// What the kernel checks of a record of a line (`struct bpf_line_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePlace {
    /// The slot; of a broken object it may lie anywhere.
    pub insn: u32,
    /// Do file and text lie in the string section?
    pub has_texts: bool,
}

/// The source line that a slot came from; it holds until the next entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// First slot.
    pub insn: usize,
    /// File name as the compiler saw it.
    pub file: Arc<str>,
    /// Text of the line, as the compiler kept it.
    pub text: Arc<str>,
    /// Line number, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
}

impl Program {
    /// The instruction that begins at a slot; `None` behind the last, and for what is none.
    #[must_use]
    pub fn instruction_at(&self, slot: usize) -> Option<Insn> {
        decode(*self.insns.get(slot)?, self.insns.get(slot + 1).copied()).ok()
    }

    /// The source line of a slot, if known.
    #[must_use]
    pub fn line_at(&self, insn: usize) -> Option<&LineInfo> {
        let after = self.lines.partition_point(|line| line.insn <= insn);
        self.lines.get(after.checked_sub(1)?)
    }

    /// What a slot still needs from the kernel, if anything.
    #[must_use]
    pub fn unresolved_at(&self, insn: usize) -> Option<&Unresolved> {
        let index = self.unresolved.binary_search_by_key(&insn, |unresolved| unresolved.insn).ok()?;
        self.unresolved.get(index)
    }

    /// The function that a slot belongs to.
    #[must_use]
    pub fn function_at(&self, insn: usize) -> Option<&Function> {
        let after = self.functions.partition_point(|function| function.start <= insn);
        self.functions.get(after.checked_sub(1)?)
    }
}
