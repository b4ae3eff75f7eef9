//! The rules: one table of everything that a program can be refused for.
//!
//! A rule has a name for people to look up, the fields that tell what was found, the error number that the kernel's
//! system call gives, and the text that the kernel's log ends with (`verbose()` calls of `kernel/bpf/verifier.c` and
//! `bpf_log()` calls of `kernel/bpf/btf.c`, Linux 6.12). The text is one rendering of the fields; explanations are
//! others.

use std::fmt;

use super::domain::Tnum;
pub use super::errno::Errno;
use super::rule_entry::RuleEntry;
use super::state::ReturnRange;
use crate::isa::{DecodeError, Register};

/// Was an untrusted pointer allowed as well?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrUntrusted {
    /// Then its type's name.
    pub name: Option<String>,
}

impl fmt::Display for OrUntrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, " or untrusted_ptr_{name}"),
            None => Ok(()),
        }
    }
}

/// What was known of a result that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnBounds {
    /// Smallest value.
    pub smin: i64,
    /// Largest value.
    pub smax: i64,
}

impl fmt::Display for ReturnBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.smin > i64::MIN {
            write!(f, " smin={}", self.smin)?;
        }
        if self.smax < i64::MAX {
            write!(f, " smax={}", self.smax)?;
        }
        if self.smin == i64::MIN && self.smax == i64::MAX {
            f.write_str(" unknown scalar value")?;
        }
        Ok(())
    }
}

/// A field of a rule: what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A register.
    Register(Register),
    /// A count, offset or index.
    Number(i64),
    /// A name or other text.
    Text(String),
    /// A range, an error, or what else has a structure of its own.
    Other(String),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldValue::Register(register) => write!(f, "{register}"),
            FieldValue::Number(number) => write!(f, "{number}"),
            FieldValue::Text(text) | FieldValue::Other(text) => f.write_str(text),
        }
    }
}

macro_rules! field_values {
    ($($ty:ty, $value:ident => $made:expr;)*) => {
        $(impl From<&$ty> for FieldValue {
            fn from($value: &$ty) -> FieldValue {
                $made
            }
        })*
    };
}

field_values! {
    Register, register => FieldValue::Register(*register);
    String, text => FieldValue::Text(text.clone());
    &'static str, text => FieldValue::Text((*text).to_owned());
    usize, number => FieldValue::Number(i64::try_from(*number).unwrap_or(i64::MAX));
    u32, number => FieldValue::Number((*number).into());
    i32, number => FieldValue::Number((*number).into());
    i16, number => FieldValue::Number((*number).into());
    i64, number => FieldValue::Number(*number);
    u64, number => FieldValue::Number(i64::try_from(*number).unwrap_or(i64::MAX));
    Tnum, known => FieldValue::Other(known.to_string());
    DecodeError, error => FieldValue::Other(error.to_string());
    ReturnRange, range => FieldValue::Other(range.to_string());
    ReturnBounds, bounds => FieldValue::Other(bounds.to_string().trim_start().to_owned());
    OrUntrusted, also => FieldValue::Other(also.to_string());
    Errno, errno => FieldValue::Number(errno.number().into());
}

macro_rules! rules {
    ($($family:literal: $($rule:ident $({ $($field:ident: $ty:ty),* })? $id:literal $errno:ident $text:literal;)*)*) => {
        /// A broken rule, with what was found.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each rule's text, below, says what it is about")]
        pub enum Rule {
            $($($rule $({ $($field: $ty),* })?,)*)*
        }

        impl Rule {
            /// Names of all rules, in the order of the table.
            pub const ALL: &'static [&'static str] = &[$($($id,)*)*];

            /// All rules as the table has them, in its order.
            pub const TABLE: &'static [RuleEntry] = &[
                $($(RuleEntry {
                    id: $id,
                    family: $family,
                    errno: Errno::$errno,
                    text: $text,
                    page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rules/", $id, ".md")),
                },)*)*
            ];

            /// The names of each rule's fields, in the same order.
            pub const FIELDS: &'static [&'static [&'static str]] = &[$($(&[$($(stringify!($field)),*)?],)*)*];

            /// Its name: lower case, words joined by hyphens; stable.
            #[must_use]
            pub fn id(&self) -> &'static str {
                match self {
                    $($(Rule::$rule { .. } => $id,)*)*
                }
            }

            /// What was found, by the field's name; `None` if the rule has no such field.
            #[must_use]
            pub fn field(&self, name: &str) -> Option<FieldValue> {
                match self {
                    $($(Rule::$rule $({ $($field),* })? => {
                        $($(if name == stringify!($field) {
                            return Some(FieldValue::from($field));
                        })*)?
                        None
                    })*)*
                }
            }

            /// The error number that loading the program fails with.
            #[must_use]
            #[allow(unused_variables)]
            pub fn table_errno(&self) -> Errno {
                match self {
                    $($(Rule::$rule { .. } => Errno::$errno,)*)*
                }
            }
        }

        impl fmt::Display for Rule {
            #[allow(unused_variables)]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($(Rule::$rule $({ $($field),* })? => write!(f, $text),)*)*
                }
            }
        }
    };
}

rules! {
    "What a process without capabilities may not do":
    MapNeedsCapability { map: String } "map-needs-capability" Permission "creating map '{map}' needs CAP_BPF or CAP_NET_ADMIN";
    ProgramTypeNeedsCapability { program: &'static str } "program-type-needs-capability" Permission "loading a {program} program needs CAP_BPF";
    ProgramTooLong { insns: usize } "program-too-long" TooBig "{insns} instructions are more than the 4096 that are loaded without CAP_BPF";
    FunctionsNeedCapability "functions-need-capability" Permission "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN";
    BackEdge { from: usize, to: usize } "back-edge" Invalid "back-edge from insn {from} to {to}";
    StructureNeedsCapability { name: String } "structure-needs-capability" Permission "'struct {name}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN";
    AddressLeaks { register: Register, into: &'static str } "address-leaks" Access "{register:#} leaks addr {into}";
    AddressArithmetic { register: Register } "address-arithmetic" Access "{register:#} pointer arithmetic prohibited";
    AddressComparison { register: Register } "address-comparison" Access "{register:#} pointer comparison prohibited";
    AddressCopiedInPart { register: Register } "address-copied-in-part" Access "{register:#} partial copy of pointer";
    AddressSignExtended { register: Register } "address-sign-extended" Access "{register:#} sign-extension part of pointer";
    SpilledAddressOverwritten "spilled-address-overwritten" Access "attempt to corrupt spilled pointer on stack";
    SpilledAddressRead { offset: i64 } "spilled-address-read" Access "leaking pointer from stack off {offset}";
    SpillInVariableWrite { insn: usize, offset: i64 } "spill-in-variable-write" Invalid "spilled ptr in range of var-offset stack write; insn {insn}, ptr off: {offset}";
    VariableStackAccess { register: Register, how: &'static str, variable: Tnum } "variable-stack-access" Access "{register:#}{how} variable offset stack access prohibited for !root, var_off={variable}";
    VariableStackPointer { register: Register, variable: Tnum, offset: i32 } "variable-stack-pointer" Access "{register:#} variable stack access prohibited for !root, var_off={variable} off={offset}";
    StackPointerOutside { register: Register, offset: i32 } "stack-pointer-outside" Access "{register:#} stack pointer arithmetic goes out of range, prohibited for !root; off={offset}";
    MapPointerOutside { register: Register } "map-pointer-outside" Access "{register:#} pointer arithmetic of map value goes out of range, prohibited for !root";
    MixedSigns { register: Register } "mixed-signs" Access "{register:#} has unknown scalar with mixed signed bounds, pointer arithmetic with it prohibited for !root";
    UnmaskedPointer { register: Register } "unmasked-pointer" Access "{register:#} has pointer with unsupported alu operation, pointer arithmetic with it prohibited for !root";
    MasksDiffer { register: Register, operation: &'static str } "masks-differ" Access "{register:#} tried to {operation} from different maps, paths or scalars, pointer arithmetic with it prohibited for !root";
    MaskBeyondObject { register: Register, operation: &'static str } "mask-beyond-object" Access "{register:#} tried to {operation} beyond pointer bounds, pointer arithmetic with it prohibited for !root";
    SpeculationTooComplex { register: Register } "speculation-too-complex" Access "{register:#} could not be pushed for speculative verification, pointer arithmetic with it prohibited for !root";
    TailCallOfTwoMaps "tail-call-of-two-maps" Invalid "tail_call abusing map_ptr";
    "Program and instructions":
    InsnOutOfProgram { insn: usize, count: usize } "insn-out-of-program" Fault "invalid insn idx {insn} insn_cnt {count}";
    ProgramTooLarge { processed: u32 } "program-too-large" TooBig "BPF program is too large. Processed {processed} insn";
    TooManyBranches { count: usize } "too-many-branches" TooBig "The sequence of {count} jumps is too complex.";
    CastWithoutArena "cast-without-arena" Invalid "addr_space_cast insn can only be used in a program that has an associated arena";
    SignedLoadFromArena "signed-load-from-arena" OperationNotSupported "sign extending loads from arena are not supported yet";
    Undecodable { error: DecodeError } "undecodable" Invalid "{error}";
    JumpOutOfRange { from: usize, to: i64 } "jump-out-of-range" Invalid "jump out of range from insn {from} to {to}";
    LastInsnNotExit "last-insn-not-exit" Invalid "last insn is not an exit or jmp";
    UnreachableInsn { insn: usize } "unreachable-insn" Invalid "unreachable insn {insn}";
    JumpIntoWideLoad { insn: usize } "jump-into-wide-load" Invalid "jump into the middle of ldimm64 insn {insn}";
    CallOutOfProgram "call-out-of-program" Invalid "call to invalid destination";
    TooManySubprograms "too-many-subprograms" TooBig "too many subprograms";
    InfiniteLoop { insn: usize } "infinite-loop" Invalid "infinite loop detected at insn {insn}";
    InvalidMayGoto { offset: i16, imm: i32 } "invalid-may-goto" Invalid "invalid may_goto off {offset} imm {imm}";
    FirstFunctionRecordNotAtStart { insn: u32 } "first-function-record-not-at-start" Invalid "nonzero insn_off {insn} for the first func info record";
    FunctionRecordsNotAscending { insn: u32, before: u32 } "function-records-not-ascending" Invalid "same or smaller insn offset ({insn}) than previous func info record ({before})";
    FunctionRecordOfNoFunction { id: i32 } "function-record-of-no-function" Invalid "invalid type id {id} in func info";
    FunctionRecordCount "function-record-count" Invalid "number of funcs in func_info doesn't match number of subprogs";
    FunctionRecordElsewhere "function-record-elsewhere" Invalid "func_info BTF section doesn't match subprog layout in BPF program";
    LineOutOfPlace { line: usize, insn: u32, before: u32, len: usize } "line-out-of-place" Invalid "Invalid line_info[{line}].insn_off:{insn} (prev_offset:{before} prog->len:{len})";
    LineWithoutText { line: usize } "line-without-text" Invalid "Invalid line_info[{line}].line_off or .file_name_off";
    LineAtNoInsn { line: usize } "line-at-no-insn" Invalid "Invalid insn code at line_info[{line}].insn_off";
    FunctionWithoutLine { index: usize } "function-without-line" Invalid "missing bpf_line_info for func#{index}";
    FunctionsWithoutLine { count: usize, index: usize } "functions-without-line" Invalid "missing bpf_line_info for {count} funcs starting from func#{index}";
    MappedSpecialField { map: String } "mapped-special-field" NotSupported "map '{map}': failed to re-mmap() contents: -ENOTSUPP";
    StorageWithoutTypes { map: String } "storage-without-types" Invalid "map '{map}': failed to create: -EINVAL";
    MapIndexWithoutTable "map-index-without-table" Protocol "fd_idx without fd_array is invalid";
    NotAMap { descriptor: i32, errno: Errno } "not-a-map" Invalid "fd {descriptor} is not pointing to valid bpf_map";
    DirectValueOffset { offset: u32 } "direct-value-offset" Invalid "direct value offset of {offset} is not allowed";
    NoDirectValue "no-direct-value" Invalid "no direct value access support for this map type";
    OutsideDirectValue { value_size: u32, offset: u32, errno: Errno } "outside-direct-value" Invalid "invalid access to map value pointer, value_size={value_size} off={offset}";
    TracingWithGraph "tracing-with-graph" Invalid "tracing progs cannot use bpf_{{list_head,rb_root}} yet";
    TracingWithField { field: &'static str } "tracing-with-field" Invalid "tracing progs cannot use {field} yet";
    SocketFilterWithLock "socket-filter-with-lock" Invalid "socket filter progs cannot use bpf_spin_lock yet";
    TooManyMaps { limit: usize } "too-many-maps" TooBig "The total number of maps per program has reached the limit of {limit}";
    SecondCgroupStorage "second-cgroup-storage" Busy "only one cgroup storage of each type is allowed";
    StructOpsMapInProgram "struct-ops-map-in-program" Invalid "bpf_struct_ops map cannot be used in prog";
    MapNotForSleepable "map-not-for-sleepable" Invalid "Sleepable programs can only use array, hash, ringbuf and local storage maps";
    "Registers and arithmetic":
    ReadUninitialised { register: Register } "read-uninitialised" Access "{register:#} !read_ok";
    WriteFramePointer "write-frame-pointer" Access "frame pointer is read only";
    DivisionByZero "division-by-zero" Invalid "div by zero";
    InvalidShift { count: i32 } "invalid-shift" Invalid "invalid shift {count}";
    PointerWithPointer { register: Register, operator: &'static str } "pointer-with-pointer" Access "{register:#} pointer {operator} pointer prohibited";
    PointerArithmetic32 { register: Register } "pointer-arithmetic-32" Access "{register:#} 32-bit pointer arithmetic prohibited";
    NullablePointerArithmetic { register: Register, pointer: String } "nullable-pointer-arithmetic" Access "{register:#} pointer arithmetic on {pointer} prohibited, null-check it first";
    PointerArithmeticProhibited { register: Register, pointer: String } "pointer-arithmetic-prohibited" Access "{register:#} pointer arithmetic on {pointer} prohibited";
    BitwiseOnPointer { register: Register, operator: &'static str } "bitwise-on-pointer" Access "{register:#} bitwise operator {operator} on pointer prohibited";
    OperatorOnPointer { register: Register, operator: &'static str } "operator-on-pointer" Access "{register:#} pointer arithmetic with {operator} operator prohibited";
    PointerFromScalar { register: Register } "pointer-from-scalar" Access "{register:#} tried to subtract pointer from scalar";
    SubtractFromStackPointer { register: Register } "subtract-from-stack-pointer" Access "{register:#} subtraction from stack pointer prohibited";
    PointerMathConstant { pointer: String, value: i64 } "pointer-math-constant" Invalid "math between {pointer} pointer and {value} is not allowed";
    PointerOffsetTooLarge { pointer: String, offset: i32 } "pointer-offset-too-large" Invalid "{pointer} pointer offset {offset} is not allowed";
    PointerMathUnbounded { pointer: String } "pointer-math-unbounded" Invalid "math between {pointer} pointer and register with unbounded min value is not allowed";
    PointerOutOfBounds { value: i64, pointer: String } "pointer-out-of-bounds" Invalid "value {value} makes {pointer} pointer be out of bounds";
    "Memory":
    InvalidMemoryAccess { register: Register, value: String } "invalid-memory-access" Access "{register:#} invalid mem access '{value}'";
    MisalignedAccess { what: &'static str, variable: Tnum, fixed: i32, offset: i32, size: u32 } "misaligned-access" Access "misaligned {what}access off {variable}+{fixed}+{offset} size {size}";
    AtomicNotAllowed { register: Register, pointer: String } "atomic-not-allowed" Access "BPF_ATOMIC stores into {register:#} {pointer} is not allowed";
    DifferentPointers "different-pointers" Invalid "same insn cannot be used with different pointers";
    NegativeMinimum { register: Register } "negative-minimum" Access "{register:#} min value is negative, either use unsigned index or do a if (index >=0) check.";
    MinimumOutside { register: Register } "minimum-outside" Access "{register:#} min value is outside of the allowed memory range";
    MaximumOutside { register: Register } "maximum-outside" Access "{register:#} max value is outside of the allowed memory range";
    UnboundedAccess { register: Register } "unbounded-access" Access "{register:#} unbounded memory access, make sure to bounds check any such access";
    OutsideMapKey { limit: u32, offset: i32, size: u32 } "outside-map-key" Access "invalid access to map key, key_size={limit} off={offset} size={size}";
    OutsideMapValue { limit: u32, offset: i32, size: u32 } "outside-map-value" Access "invalid access to map value, value_size={limit} off={offset} size={size}";
    OutsidePacket { register: Register, id: u32, offset: i32, size: u32, limit: u32 } "outside-packet" Access "invalid access to packet, off={offset} size={size}, {register:#}(id={id},off={offset},r={limit})";
    OutsideMemory { limit: u32, offset: i32, size: u32 } "outside-memory" Access "invalid access to memory, mem_size={limit} off={offset} size={size}";
    BeyondPacket { register: Register, errno: Errno } "beyond-packet" Access "{register:#} offset is outside of the packet";
    WriteIntoPacket "write-into-packet" Access "cannot write into packet";
    HelperPacketAccess "helper-packet-access" Access "helper access to the packet is not allowed";
    OutsideFlowKeys { offset: i32, size: u32 } "outside-flow-keys" Access "invalid access to flow keys off={offset} size={size}";
    InvalidSocketAccess { register: Register, pointer: String, offset: i32, size: u32 } "invalid-socket-access" Access "{register:#} invalid {pointer} access off={offset} size={size}";
    WriteMapKey { register: Register } "write-map-key" Access "write to change key {register:#} not allowed";
    WriteReadOnly { register: Register, pointer: String } "write-read-only" Access "{register:#} cannot write into {pointer}";
    MapAccessForbidden { kind: &'static str, value_size: u32, offset: i32, size: u32 } "map-access-forbidden" Access "{kind} map forbidden, value_size={value_size} off={offset} size={size}";
    WriteIntoMapForbidden "write-into-map-forbidden" Access "write into map forbidden";
    InvalidBufferAccess { register: Register, buffer: &'static str, offset: i32, size: u32 } "invalid-buffer-access" Access "{register:#} invalid {buffer} buffer access: off={offset}, size={size}";
    VariableBufferOffset { register: Register, offset: i32, variable: Tnum } "variable-buffer-offset" Access "{register:#} invalid variable buffer offset: off={offset}, var_off={variable}";
    InvalidContextAccess { offset: i32, size: u32 } "invalid-context-access" Access "invalid bpf_context access off={offset} size={size}";
    ContextOffsetNotMultiple { name: String, offset: i32 } "context-offset-not-multiple" Access "func '{name}' offset {offset} is not multiple of 8";
    NoSuchArgument { name: String, number: usize } "no-such-argument" Access "func '{name}' doesn't have {number}-th argument";
    ArgumentTypeNotAllowed { name: String, index: usize, ty: String, kind: &'static str } "argument-type-not-allowed" Access "func '{name}' arg{index} '{ty}' has type {kind}. Only pointer access is allowed";
    ArgumentSize { name: String, size: u32 } "argument-size" Access "func '{name}' size {size} must be 8";
    ArgumentNotStruct { name: String, index: usize, kind: &'static str } "argument-not-struct" Access "func '{name}' arg{index} type {kind} is not a struct";
    ResultNotModifiable { kind: &'static str } "result-not-modifiable" Access "ret type {kind} not allowed for fmod_ret";
    CannotBeSleepable "cannot-be-sleepable" Invalid "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable";
    LegacyLoadNotAllowed "legacy-load-not-allowed" Invalid "BPF_LD_[ABS|IND] instructions not allowed for this program type";
    LegacyLoadInCallback "legacy-load-in-callback" Invalid "cannot use BPF_LD_[ABS|IND] within callback";
    LegacyLoadLeaks "legacy-load-leaks" Invalid "BPF_LD_[ABS|IND] cannot be mixed with socket references";
    LegacyLoadInside { section: &'static str } "legacy-load-inside" Invalid "BPF_LD_[ABS|IND] cannot be used inside {section}-ed region";
    LegacyLoadWithoutContext "legacy-load-without-context" Invalid "at the time of BPF_LD_ABS|IND R6 != pointer to skb";
    LegacyLoadWithoutTypes "legacy-load-without-types" Invalid "LD_ABS is not allowed in subprogs without BTF";
    LegacyLoadReturnsNoNumber "legacy-load-returns-no-number" Invalid "LD_ABS is only allowed in functions that return 'int'.";
    TailCallWithoutTypes "tail-call-without-types" Invalid "tail_call is not allowed in subprogs without BTF";
    TailCallReturnsNoNumber "tail-call-returns-no-number" Invalid "tail_call is only allowed in functions that return 'int'.";
    TracedTooManyArguments { name: String, count: usize } "traced-too-many-arguments" Invalid "The function {name} has {count} arguments. Too many.";
    TracedVariableArguments { name: String } "traced-variable-arguments" Invalid "The function {name} with variable args is unsupported.";
    TracedArgumentUnsupported { name: String, index: usize, kind: &'static str } "traced-argument-unsupported" Invalid "The function {name} arg{index} type {kind} is unsupported.";
    TracedReturnUnsupported { name: String, kind: &'static str } "traced-return-unsupported" Invalid "The function {name} return type {kind} is unsupported.";
    TracedWideReturn { name: String } "traced-wide-return" OperationNotSupported "Attach to function {name} with a >8 byte return value is not supported for this attach type";
    LsmNeedsGpl "lsm-needs-gpl" Invalid "LSM programs must have a GPL compatible license";
    DisabledHook { id: u32, name: String } "disabled-hook" Invalid "attach_btf_id {id} points to disabled hook {name}";
    NotAHook { id: u32, name: String } "not-a-hook" Invalid "attach_btf_id {id} points to wrong type name {name}";
    SetVoidHookResult "set-void-hook-result" Invalid "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!";
    VoidHookResult "void-hook-result" Invalid "Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!";
    StructOpsNeedsGpl "struct-ops-needs-gpl" Invalid "struct ops programs must have a GPL compatible license";
    UnsupportedMember { member: String, structure: String, errno: Errno } "unsupported-member" Invalid "attach to unsupported member {member} of struct {structure}";
    NoReturn "no-return" Invalid "Attaching fexit/fmod_ret to __noreturn functions is rejected.";
    "Stack":
    UnboundedStackAccess { what: &'static str, register: Register } "unbounded-stack-access" Access "invalid unbounded variable-offset{what} stack {register:#}";
    OutsideStack { what: &'static str, register: Register, offset: i32, size: u32, errno: Errno } "outside-stack" Access "invalid{what} stack {register:#} off={offset} size={size}";
    VariableOutsideStack { what: &'static str, register: Register, variable: Tnum, offset: i32, size: u32, errno: Errno } "variable-outside-stack" Access "invalid variable-offset{what} stack {register:#} var_off={variable} off={offset} size={size}";
    SpillSize "spill-size" Access "invalid size of register spill";
    FillSize "fill-size" Access "invalid size of register fill";
    SpillStackPointerToCaller "spill-stack-pointer-to-caller" Invalid "cannot spill pointers to stack into stack frame of the caller";
    InvalidStackRead { offset: i64, step: usize, size: usize } "invalid-stack-read" Access "invalid read from stack off {offset}+{step} size {size}";
    VariableStackToHelper { variable: Tnum, offset: i32, size: u32 } "variable-stack-to-helper" Access "variable offset stack pointer cannot be passed into helper function; var_off={variable} off={offset} size={size}";
    ZeroSizedStackRead "zero-sized-stack-read" Access "invalid zero-sized read";
    UninitialisedStackRead { how: &'static str, register: Register, offset: i64, step: i64, size: u32 } "uninitialised-stack-read" Access "invalid{how} read from stack {register:#} off {offset}+{step} size {size}";
    UninitialisedVariableStackRead { how: &'static str, register: Register, variable: Tnum, step: i64, size: u32 } "uninitialised-variable-stack-read" Access "invalid{how} read from stack {register:#} var_off {variable}+{step} size {size}";
    WriteToDynptr { offset: i64 } "write-to-dynptr" Access "potential write to dynptr at off={offset} disallowed";
    ObjectAtVariableOffset { what: &'static str } "object-at-variable-offset" Invalid "{what} has to be at a constant offset";
    ObjectAtOffset { what: &'static str, offset: i64 } "object-at-offset" Invalid "cannot pass in {what} at an offset={offset}";
    NotADynptr { index: usize } "not-a-dynptr" Invalid "arg#{index} expected pointer to stack or const struct bpf_dynptr";
    DynptrNotUninitialised "dynptr-not-uninitialised" Invalid "Dynptr has to be an uninitialized dynptr";
    ChangesConstDynptr "changes-const-dynptr" Invalid "cannot pass pointer to const bpf_dynptr, the helper mutates it";
    ExpectedInitialisedDynptr { index: usize } "expected-initialised-dynptr" Invalid "Expected an initialized dynptr as arg #{index}";
    ExpectedDynptrKind { kind: &'static str, index: usize } "expected-dynptr-kind" Invalid "Expected a dynptr of type {kind} as arg #{index}";
    ReleaseOfConstDynptr "release-of-const-dynptr" Invalid "cannot release unowned const bpf_dynptr";
    UnacquiredDynptr { number: usize } "unacquired-dynptr" Invalid "arg {number} is an unacquired reference";
    MisconfiguredReference "misconfigured-reference" Fault "verifier internal error: misconfigured ref_obj_id";
    MisconfiguredDynptr "misconfigured-dynptr" Fault "verifier internal error: misconfigured dynptr helper type flags";
    DynptrOverUnsupported { pointer: String } "dynptr-over-unsupported" Access "Unsupported reg type {pointer} for bpf_dynptr_from_mem data";
    PacketWriteNotAllowed "packet-write-not-allowed" Invalid "the prog does not allow writes to packet data";
    OverwriteReferencedDynptr "overwrite-referenced-dynptr" Invalid "cannot overwrite referenced dynptr";
    ReturnStackPointer "return-stack-pointer" Invalid "cannot return stack pointer to the caller";
    "Structs":
    MapAccessNotSupported { map_type: u32 } "map-access-not-supported" NotSupported "map_ptr access not supported for map type {map_type}";
    NegativeMapOffset { register: Register, name: &'static str, offset: i32 } "negative-map-offset" Access "{register:#} is {name} invalid negative access: off={offset}";
    OnlyReadFromMap { name: &'static str } "only-read-from-map" Access "only read from {name} is supported";
    KernelStructWithoutGpl { name: String } "kernel-struct-without-gpl" Invalid "Cannot access kernel 'struct {name}' from non-GPL compatible program";
    NegativeObjectOffset { register: Register, name: String, offset: i32 } "negative-object-offset" Access "{register:#} is ptr_{name} invalid negative access: off={offset}";
    VariableObjectOffset { register: Register, name: String, offset: i32, variable: Tnum } "variable-object-offset" Access "{register:#} is ptr_{name} invalid variable offset: off={offset}, var_off={variable}";
    UserMemory { register: Register, name: String, offset: i32 } "user-memory" Access "{register:#} is ptr_{name} access user memory: off={offset}";
    PercpuMemory { register: Register, name: String, offset: i32 } "percpu-memory" Access "{register:#} is ptr_{name} access percpu memory: off={offset}";
    OnlyReadSupported "only-read-supported" Access "only read is supported";
    OnlyAccessTo { name: String } "only-access-to" Access "only access to {name} is supported";
    StoreBeyondStruct { offset: i32, size: u32 } "store-beyond-struct" Access "write access at off {offset} with size {size}";
    NoWriteSupport { name: String, offset: i32 } "no-write-support" Access "no write support to {name} at off {offset}";
    StoreBeyondField { offset: i32, size: u32, name: String, end: u32 } "store-beyond-field" Access "write access at off {offset} with size {size} beyond the member of {name} ended at {end}";
    DirectAccessToField { field: &'static str } "direct-access-to-field" Access "direct access to {field} is disallowed";
    NotAStruct { name: String } "not-a-struct" Invalid "Type '{name}' is not a struct";
    BeyondStruct { name: String, offset: u32, size: u32 } "beyond-struct" Access "access beyond struct {name} at off {offset} size {size}";
    NoFieldAtOffset { name: String, offset: u32, size: u32 } "no-field-at-offset" Invalid "struct {name} doesn't have field at offset {offset}";
    FieldWithoutSize { field: String } "field-without-size" Fault "field {field} doesn't have size";
    PartOfPointerField { field: String, start: u32, name: String, offset: u32, size: u32 } "part-of-pointer-field" Access "cannot access ptr member {field} with moff {start} in struct {name} with off {offset} size {size}";
    BeyondField { field: String, end: u32, name: String, offset: u32, size: u32 } "beyond-field" Access "access beyond the end of member {field} (mend:{end}) in struct {name} with off {offset} size {size}";
    NegativeOffset { register: Register, pointer: String, offset: i32 } "negative-offset" Access "negative offset {pointer} ptr {register:#} off={offset} disallowed";
    ModifiedPointer { register: Register, pointer: String, offset: i32 } "modified-pointer" Access "dereference of modified {pointer} ptr {register:#} off={offset} disallowed";
    VariableOffset { pointer: String, variable: Tnum } "variable-offset" Access "variable {pointer} access var_off={variable} disallowed";
    "Special fields and kptrs":
    SpecialFieldAccess { field: &'static str } "special-field-access" Access "{field} cannot be accessed directly by load/store";
    KptrByHelper "kptr-by-helper" Access "kptr cannot be accessed indirectly by helper";
    KptrVariableOffset "kptr-variable-offset" Access "kptr access cannot have variable offset";
    KptrMisaligned { expected: u32, offset: u64 } "kptr-misaligned" Access "kptr access misaligned expected={expected} off={offset}";
    KptrSize "kptr-size" Access "kptr access size must be BPF_DW";
    KptrInstructionMode "kptr-instruction-mode" Access "kptr in map can only be accessed using BPF_MEM instruction mode";
    StoreToReferencedKptr "store-to-referenced-kptr" Access "store to referenced kptr disallowed";
    KptrStoreNonzero { offset: u32 } "kptr-store-nonzero" Access "BPF_ST imm must be 0 when storing to kptr at off={offset}";
    KptrTypeMismatch { register: Register, found: String, expected: String, or_untrusted: OrUntrusted } "kptr-type-mismatch" Access "invalid kptr access, {register:#} type={found} expected=ptr_{expected}{or_untrusted}";
    ExchangeWithoutBtf { map: String } "exchange-without-btf" Invalid "map '{map}' has to have BTF in order to use bpf_kptr_xchg";
    KptrAtVariableOffset { register: Register } "kptr-at-variable-offset" Invalid "{register:#} doesn't have constant offset. kptr has to be at the constant offset";
    NoKptr { register: Register } "no-kptr" Invalid "{register:#} has no valid kptr";
    NotAtKptr { offset: i32 } "not-at-kptr" Access "off={offset} doesn't point to kptr";
    KptrNotReferenced { offset: i32 } "kptr-not-referenced" Access "off={offset} kptr isn't referenced kptr";
    TypeIdOutOfRange "type-id-out-of-range" Invalid "local type ID argument must be in range [0, U32_MAX]";
    AllocationNeedsBtf "allocation-needs-btf" Invalid "bpf_obj_new/bpf_percpu_obj_new requires prog BTF";
    AllocationOfNoStruct "allocation-of-no-struct" Invalid "bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct";
    PercpuObjectTooLarge { size: u32, limit: u32 } "percpu-object-too-large" Invalid "bpf_percpu_obj_new type size ({size}) is greater than {limit}";
    PercpuObjectNotScalars "percpu-object-not-scalars" Invalid "bpf_percpu_obj_new type ID argument must be of a struct of scalars";
    PercpuObjectSpecialFields "percpu-object-special-fields" Invalid "bpf_percpu_obj_new type ID argument must not contain special fields";
    ReadOnlyCastOfNoStruct "read-only-cast-of-no-struct" Invalid "kfunc bpf_rdonly_cast type ID argument must be of a struct";
    "Locks and sections":
    LockInTreeCallback "lock-in-tree-callback" Access "can't spin_{{lock,unlock}} in rbtree cb";
    LockAtVariableOffset { register: Register } "lock-at-variable-offset" Invalid "{register:#} doesn't have constant offset. bpf_spin_lock has to be at the constant offset";
    GraphAtVariableOffset { register: Register, field: &'static str } "graph-at-variable-offset" Invalid "{register:#} doesn't have constant offset. {field} has to be at the constant offset";
    NoGraphField { field: &'static str, offset: u32 } "no-graph-field" Invalid "{field} not found at offset={offset}";
    GraphLockNotHeld { offset: u32, field: &'static str } "graph-lock-not-held" Invalid "bpf_spin_lock at off={offset} must be held for {field}";
    LockWithoutBtf { map: String } "lock-without-btf" Invalid "map '{map}' has to have BTF in order to use bpf_spin_lock";
    NoLock { place: &'static str, name: String } "no-lock" Invalid "{place} '{name}' has no valid bpf_spin_lock";
    NotAtLock { offset: i64, lock: u32 } "not-at-lock" Invalid "off {offset} doesn't point to 'struct bpf_spin_lock' that is at {lock}";
    TwoLocks "two-locks" Invalid "Locking two bpf_spin_locks are not allowed";
    UnlockWithoutLock "unlock-without-lock" Invalid "bpf_spin_unlock without taking a lock";
    UnlockOfAnother "unlock-of-another" Invalid "bpf_spin_unlock of different lock";
    CallUnderLock "call-under-lock" Invalid "function calls are not allowed while holding a lock";
    MissingUnlock "missing-unlock" Invalid "bpf_spin_unlock is missing";
    MissingRcuUnlock "missing-rcu-unlock" Invalid "bpf_rcu_read_unlock is missing";
    MissingPreemptEnable { count: u32, verb: &'static str } "missing-preempt-enable" Invalid "{count} bpf_preempt_enable{verb} missing";
    ThrowUnderLock "throw-under-lock" Invalid "bpf_throw cannot be used inside bpf_spin_lock-ed region";
    ThrowInRcu "throw-in-rcu" Invalid "bpf_throw cannot be used inside bpf_rcu_read_lock-ed region";
    ThrowWithoutPreemption "throw-without-preemption" Invalid "bpf_throw cannot be used inside bpf_preempt_disable-ed region";
    NestedRcuLock { name: String } "nested-rcu-lock" Invalid "nested rcu read lock (kernel function {name})";
    UnmatchedRcuUnlock { name: String } "unmatched-rcu-unlock" Invalid "unmatched rcu read unlock (kernel function {name})";
    UnmatchedPreemptEnable { name: String } "unmatched-preempt-enable" Invalid "unmatched attempt to enable preemption (kernel function {name})";
    SleepableKfuncInRcu { name: String } "sleepable-kfunc-in-rcu" Access "kernel func {name} is sleepable within rcu_read_lock region";
    SleepableKfuncWithoutPreemption { name: String } "sleepable-kfunc-without-preemption" Access "kernel func {name} is sleepable within non-preemptible region";
    SleepableHelperInRcu { name: String, id: i32 } "sleepable-helper-in-rcu" Invalid "sleepable helper {name}#{id} in rcu_read_lock region";
    SleepableHelperWithoutPreemption { name: String, id: i32 } "sleepable-helper-without-preemption" Invalid "sleepable helper {name}#{id} in non-preemptible region";
    "References":
    UnreleasedReference { id: u32, acquired_at: u32 } "unreleased-reference" Invalid "Unreleased reference id={id} alloc_insn={acquired_at}";
    OwnerUnknown "owner-unknown" Fault "verifier internal error: ref_obj_id for allocated object must be non-zero";
    UnfitObject "unfit-object" Fault "verifier internal error: invalid PTR_TO_BTF_ID register for type match";
    AllocatedToHelper "allocated-to-helper" Fault "verifier internal error: unimplemented handling of MEM_ALLOC";
    NotReferenced { register: Register } "not-referenced" Invalid "{register:#} must be referenced when passed to release function";
    TwoReferences { register: Register, this: u32, other: u32 } "two-references" Fault "verifier internal error: more than one arg with ref_obj_id {register:#} {this} {other}";
    HelperReferenceNotAcquired { name: String, id: i32, errno: Errno } "helper-reference-not-acquired" Invalid "func {name}#{id} reference has not been acquired before";
    KfuncReferenceNotAcquired { name: String, id: u32 } "kfunc-reference-not-acquired" Invalid "kfunc {name}#{id} reference has not been acquired before";
    TailCallThroughOtherMap "tail-call-through-other-map" Invalid "kernel subsystem misconfigured verifier";
    TailCallLeaks "tail-call-leaks" Invalid "tail_call would lead to reference leak";
    TailCallUnderLock "tail-call-under-lock" Invalid "tail_call cannot be used inside bpf_spin_lock-ed region";
    TailCallInRcu "tail-call-in-rcu" Invalid "tail_call cannot be used inside bpf_rcu_read_lock-ed region";
    TailCallWithoutPreemption "tail-call-without-preemption" Invalid "tail_call cannot be used inside bpf_preempt_disable-ed region";
    ReleasedWithOffset { register: Register } "released-with-offset" Invalid "{register:#} must have zero offset when passed to release func or trusted arg to kfunc";
    "Helpers":
    InvalidHelper { name: String, id: i32 } "invalid-helper" Invalid "invalid func {name}#{id}";
    HelperNotAvailable { name: String, id: i32 } "helper-not-available" Invalid "program of this type cannot use helper {name}#{id}";
    HelperNeedsGpl "helper-needs-gpl" Invalid "cannot call GPL-restricted function from non-GPL compatible program";
    HelperNotAllowedInProbe "helper-not-allowed-in-probe" Invalid "helper call is not allowed in probe";
    HelperMightSleep "helper-might-sleep" Invalid "helper call might sleep in a non-sleepable prog";
    ArgumentType { register: Register, found: String, expected: String } "argument-type" Access "{register:#} type={found} expected={expected}";
    ArgumentStruct { register: Register, found: String, wanted: String } "argument-struct" Access "{register:#} is of type {found} but {wanted} is expected";
    HelperMayWrite { helper: String, register: Register, pointer: String } "helper-may-write" Access "{helper}() may write into memory pointed by {register:#} type={pointer}";
    NullableToHelper { register: Register } "nullable-to-helper" Access "Possibly NULL pointer passed to helper arg{register:-}";
    NotMemory { register: Register, found: String } "not-memory" Access "{register:#} type={found} expected=fp";
    MapTypeWithoutMap "map-type-without-map" Access "invalid map_ptr to access map->type";
    KeyWithoutMap "key-without-map" Access "invalid map_ptr to access map->key";
    ValueWithoutMap "value-without-map" Access "invalid map_ptr to access map->value";
    NotAKnownConstant { register: Register } "not-a-known-constant" Access "{register:#} is not a known constant'";
    NegativeSize { register: Register } "negative-size" Access "{register:#} min value is negative, either use unsigned or 'var &= const'";
    ZeroSize { register: Register, min: u64, max: u64 } "zero-size" Access "{register:#} invalid zero-sized read: u64=[{min},{max}]";
    UnboundedSize { register: Register } "unbounded-size" Access "{register:#} unbounded memory access, use 'var &= const' or 'if (var < const)'";
    StringNotReadOnly { register: Register } "string-not-read-only" Access "{register:#} does not point to a readonly map'";
    StringNotConstant { register: Register } "string-not-constant" Access "{register:#} is not a constant address'";
    StringNotTerminated "string-not-terminated" Invalid "string is not zero-terminated";
    LocalStorageFlags "local-storage-flags" Invalid "get_local_storage() doesn't support non-zero flags";
    MapTypeNotForHelper { map_type: u32, name: String, id: i32 } "map-type-not-for-helper" Invalid "cannot pass map_type {map_type} into func {name}#{id}";
    TooManyAsyncBranches { count: usize } "too-many-async-branches" TooBig "The sequence of {count} jumps is too complex for async cb.";
    InvalidFormatString "invalid-format-string" Invalid "Invalid format string";
    FormattedValuesCutShort "formatted-values-cut-short" Invalid "";
    FunctionAddressNotForType { id: i32, program: u32 } "function-address-not-for-type" NotSupported "func bpf_get_func_ip#{id} not supported for program type {program}";
    FunctionAddressNotTraced { id: i32 } "function-address-not-traced" NotSupported "func bpf_get_func_ip#{id} supported only for fentry/fexit/fmod_ret programs";
    InvalidSockmapArgument "invalid-sockmap-argument" Invalid "invalid arg_type for sockmap/sockhash";
    "Timers and work queues":
    TimerAtVariableOffset { register: Register } "timer-at-variable-offset" Invalid "{register:#} doesn't have constant offset. bpf_timer has to be at the constant offset";
    TimerWithoutBtf { map: String } "timer-without-btf" Invalid "map '{map}' has to have BTF in order to use bpf_timer";
    NoTimer { map: String } "no-timer" Invalid "map '{map}' has no valid bpf_timer";
    NotAtTimer { offset: i64, timer: u32 } "not-at-timer" Invalid "off {offset} doesn't point to 'struct bpf_timer' that is at {timer}";
    TimerOfAnotherMap { timer: u32, map: u32 } "timer-of-another-map" Invalid "timer pointer in R1 map_uid={timer} doesn't match map pointer in R2 map_uid={map}";
    NotAMapValue { index: usize } "not-a-map-value" Invalid "arg#{index} doesn't point to a map value";
    NotAtWorkQueue { offset: i64, queue: i64 } "not-at-work-queue" Invalid "off {offset} doesn't point to 'struct bpf_wq' that is at {queue}";
    WorkQueueOfAnotherMap { queue: u32, map: u32 } "work-queue-of-another-map" Invalid "workqueue pointer in R1 map_uid={queue} doesn't match map pointer in R2 map_uid={map}";
    NotAMapPointer { register: Register } "not-a-map-pointer" Invalid "pointer in {register:#} isn't map pointer";
    "Kernel functions":
    NoKernelContext { id: u32 } "no-kernel-context" Invalid "kern ctx type id {id} is not a struct";
    KfuncNeedsGpl "kfunc-needs-gpl" Invalid "cannot call kernel function from non-GPL compatible program";
    ThrowFromCallback { insn: usize, index: usize } "throw-from-callback" Invalid "bpf_throw kfunc (insn {insn}) cannot be called from callback subprog {index}";
    MetadataWithoutDevice "metadata-without-device" Invalid "metadata kfuncs require device-bound program";
    KfuncNotAllowed { name: String } "kfunc-not-allowed" Access "calling kernel function {name} is not allowed";
    KfuncMightSleep { name: String } "kfunc-might-sleep" Access "program must be sleepable to call sleepable kfunc {name}";
    TooManyKfuncArguments { name: String, count: usize } "too-many-kfunc-arguments" Invalid "Function {name} has {count} > 5 args";
    KfuncArgumentUnrecognised { index: usize, kind: &'static str } "kfunc-argument-unrecognised" Invalid "Unrecognized arg#{index} type {kind}";
    NotScalar { register: Register } "not-scalar" Invalid "{register:#} is not a scalar";
    MustBeConstant { register: Register } "must-be-constant" Invalid "{register:#} must be a known constant";
    NotConst { register: Register } "not-const" Invalid "{register:#} is not a const";
    BufferSizeTooLarge { register: Register } "buffer-size-too-large" Invalid "{register:#} rdonly/rdwr_buf_size exceeds u32 max";
    NullableToTrusted { index: usize } "nullable-to-trusted" Access "Possibly NULL pointer passed to trusted arg{index}";
    MustBeTrusted { register: Register } "must-be-trusted" Invalid "{register:#} must be referenced or trusted";
    MustBeRcu { register: Register } "must-be-rcu" Invalid "{register:#} must be a rcu pointer";
    ExpectedContext { index: usize, found: String } "expected-context" Invalid "arg#{index} expected pointer to ctx, but got {found}";
    ExpectedAllocated { index: usize } "expected-allocated" Invalid "arg#{index} expected pointer to allocated object";
    ExpectedForObjDrop { index: usize } "expected-for-obj-drop" Invalid "arg#{index} expected for bpf_obj_drop_impl()";
    ExpectedForPercpuObjDrop { index: usize } "expected-for-percpu-obj-drop" Invalid "arg#{index} expected for bpf_percpu_obj_drop_impl()";
    AllocatedNotReferenced "allocated-not-referenced" Invalid "allocated object must be referenced";
    ExpectedValueOrAllocated { index: usize } "expected-value-or-allocated" Invalid "arg#{index} expected pointer to map value or allocated object";
    RootOfUnknownKfunc { field: &'static str } "root-of-unknown-kfunc" Fault "verifier internal error: {field} head arg for unknown kfunc";
    NodeOfUnknownKfunc { field: &'static str } "node-of-unknown-kfunc" Fault "verifier internal error: {field} node arg for unknown kfunc";
    NodeOfOtherGraph { root: &'static str, field: &'static str, wanted_offset: u32, wanted: String, offset: u32, found: String } "node-of-other-graph" Invalid "operation on {root} expects arg#1 {field} at offset={wanted_offset} in struct {wanted}, but arg is at offset={offset} in struct {found}";
    OtherNodeOfObject { offset: u32, field: &'static str, wanted_offset: u32, object: String } "other-node-of-object" Invalid "arg#1 offset={offset}, but expected {field} at offset={wanted_offset} in struct {object}";
    RemoveNeedsNonOwning "remove-needs-non-owning" Invalid "rbtree_remove node input must be non-owning ref";
    RemoveInTreeCallback "remove-in-tree-callback" Invalid "rbtree_remove not allowed in rbtree cb";
    ExpectedFunction { index: usize } "expected-function" Invalid "arg{index} expected pointer to func";
    CallbackNotVerified { name: String, id: u32, errno: Errno } "callback-not-verified" Invalid "kfunc {name}#{id} failed callback verification";
    ConversionFailed { name: String, id: u32 } "conversion-failed" Fault "kfunc {name}#{id} conversion of owning ref to non-owning failed";
    NoRecord "no-record" Fault "verifier internal error: Couldn't find btf_record";
    NeitherOwningNorNonOwning { index: usize } "neither-owning-nor-non-owning" Invalid "arg#{index} is neither owning or non-owning ref";
    NoRefcount { index: usize } "no-refcount" Invalid "arg#{index} doesn't point to a type with bpf_refcount field";
    NotConstString { index: usize } "not-const-string" Invalid "arg#{index} doesn't point to a const string";
    KfuncPointerUnsupported { name: String, index: usize, kind: &'static str, target: String } "kfunc-pointer-unsupported" Invalid "kernel function {name} args#{index} pointer type {kind} {target} is not supported";
    KfuncArgumentIs { index: usize, found: String, expected: String } "kfunc-argument-is" Invalid "arg#{index} is {found} expected {expected} or socket";
    KfuncStructMismatch { name: String, index: usize, wanted_kind: &'static str, wanted: String, register: Register, found_kind: &'static str, found: String } "kfunc-struct-mismatch" Invalid "kernel function {name} args#{index} expected pointer to {wanted_kind} {wanted} but {register:#} has a pointer to {found_kind} {found}";
    MustPointToScalar { index: usize, kind: &'static str, name: String, or_void: &'static str } "must-point-to-scalar" Invalid "arg#{index} pointer type {kind} {name} must point to {or_void}scalar, or struct with scalar";
    MemoryAndSize { index: usize, next: usize, errno: Errno } "memory-and-size" Access "arg#{index} arg#{next} memory, len pair leads to invalid memory access";
    ReleaseNeedsReference { name: String } "release-needs-reference" Invalid "release kernel function {name} expects refcounted PTR_TO_BTF_ID";
    KfuncReturnUnsupported { name: String, kind: &'static str, target: String } "kfunc-return-unsupported" Invalid "kernel function {name} returns pointer type {kind} {target} is not supported";
    "Iterators":
    InvalidIteratorArgument { number: usize } "invalid-iterator-argument" Invalid "expected valid iter pointer as arg #{number}";
    IteratorNotOnStack { index: usize } "iterator-not-on-stack" Invalid "arg#{index} expected pointer to an iterator on stack";
    ExpectedUninitialisedIterator { kind: String, number: usize } "expected-uninitialised-iterator" Invalid "expected uninitialized iter_{kind} as arg #{number}";
    ExpectedInitialisedIterator { kind: String, number: usize } "expected-initialised-iterator" Invalid "expected an initialized iter_{kind} as arg #{number}";
    IteratorOutsideRcu { name: String } "iterator-outside-rcu" Protocol "expected an RCU CS when using {name}";
    CssTaskIterNotAllowed "css-task-iter-not-allowed" Invalid "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs";
    "Functions and callbacks":
    CallTooDeep { frames: usize } "call-too-deep" TooBig "the call stack of {frames} frames is too deep";
    CallStackTooDeep { frames: usize } "call-stack-too-deep" TooBig "the call stack of {frames} frames is too deep !";
    TailCallStack { bytes: u32 } "tail-call-stack" Access "tail_calls are not allowed when call stack of previous frames is {bytes} bytes. Too large";
    NotSleepable { name: String } "not-sleepable" Invalid "{name} is not sleepable";
    NotModifiable { name: String } "not-modifiable" Invalid "{name}() is not modifiable";
    StackTooDeep { frames: usize, bytes: u32 } "stack-too-deep" Access "combined stack size of {frames} calls is {bytes}. Too large";
    MissingFunctionInfo "missing-function-info" Invalid "missing btf func_info";
    CallbackNotStatic "callback-not-static" Invalid "callback function not static";
    CallbackIsMain "callback-is-main" Invalid "callback function cannot be the main program";
    CallbackNotForMap "callback-not-for-map" NotSupported "callback function not allowed for map";
    CallbackResultNotScalar "callback-result-not-scalar" Access "R0 not a scalar value";
    UseStaticFunction "use-static-function" Invalid "use static function instead";
    InvalidArgumentsToGlobal { index: usize, name: String, errno: Errno } "invalid-arguments-to-global" Invalid "Caller passes invalid args into func#{index} ('{name}')";
    ExpectsContext { index: usize } "expects-context" Invalid "arg#{index} expects pointer to ctx";
    ExpectedNotNull { index: usize } "expected-not-null" Invalid "arg#{index} is expected to be non-NULL";
    TooManyGlobalArguments { name: String, count: usize } "too-many-global-arguments" Invalid "Global function {name}() with {count} > 5 args. Buggy compiler.";
    GlobalReturnsNoScalar { name: String } "global-returns-no-scalar" Invalid "Global function {name}() doesn't return scalar. Only those are supported.";
    ArgumentSizeUnknown { index: usize, kind: &'static str, name: String } "argument-size-unknown" Invalid "arg#{index} reference type('{kind} {name}') size cannot be determined: -22";
    GlobalArgumentUnsupported { index: usize, kind: &'static str, name: String } "global-argument-unsupported" Invalid "Arg#{index} type {kind} in {name}() is not supported yet.";
    GlobalNeedsBtf "global-needs-btf" Fault "Global functions need valid BTF";
    StaticArgumentTag { index: usize } "static-argument-tag" OperationNotSupported "arg#{index} type tag is not supported in static functions";
    UnsupportedArgumentTag { index: usize } "unsupported-argument-tag" OperationNotSupported "arg#{index} has unsupported set of tags";
    ArgumentTagCombination { index: usize } "argument-tag-combination" Invalid "arg#{index} has invalid combination of tags";
    ArenaTagCombination { index: usize } "arena-tag-combination" Invalid "arg#{index} arena cannot be combined with any other tags";
    TaggedNoPointer { index: usize } "tagged-no-pointer" Invalid "arg#{index} has pointer tag, but is not a pointer type";
    ContextWithoutName { index: usize } "context-without-name" Invalid "arg#{index} type doesn't have a name";
    ContextShouldBeVoid { index: usize } "context-should-be-void" Invalid "arg#{index} should be void pointer";
    ContextShouldBe { index: usize, name: String } "context-should-be" Invalid "arg#{index} should be `struct {name} *`";
    TrustedCandidateError { index: usize, kind: &'static str, name: String } "trusted-candidate-error" Invalid "arg#{index} reference type('{kind} {name}') candidate matching error: -22";
    TrustedWithoutMatch { index: usize, kind: &'static str, name: String } "trusted-without-match" NoEntry "arg#{index} reference type('{kind} {name}') has no matches";
    TrustedAmbiguous { index: usize, kind: &'static str, name: String } "trusted-ambiguous" NoProcess "arg#{index} reference type('{kind} {name}') is ambiguous";
    NotArenaOrScalar { register: Register } "not-arena-or-scalar" Invalid "{register:#} is not a pointer to arena or scalar.";
    SeveralExceptionCallbacks "several-exception-callbacks" Exists "multiple exception callback tags for main subprog";
    ExceptionCallbackMissing { name: String } "exception-callback-missing" NoEntry "exception callback '{name}' could not be found in BTF";
    ExceptionCallbackNotGlobal { name: String } "exception-callback-not-global" Invalid "exception callback '{name}' must have global linkage";
    ExceptionCallbackNotFunction "exception-callback-not-function" Invalid "exception callback type id not found in func_info";
    ExceptionCallbackAtStart "exception-callback-at-start" Invalid "invalid exception callback insn_off in func_info: 0";
    ExceptionCallbackArguments "exception-callback-arguments" Invalid "exception cb only supports single integer argument";
    ExceptionCallbackCalled { insn: usize } "exception-callback-called" Invalid "insn {insn} cannot call exception cb directly";
    ExceptionCallbackTailCalls "exception-callback-tail-calls" Invalid "cannot tail call within exception cb";
    AsyncCallbackTailCalls "async-callback-tail-calls" Fault "verifier bug. subprog has tail_call and async cb";
    SubprogramResultNotScalar { register: Register, value: String } "subprogram-result-not-scalar" Invalid "At subprogram exit the register {register:#} is not a scalar value ({value})";
    ResultNotKnown { context: &'static str, register: Register, value: String } "result-not-known" Invalid "{context} the register {register:#} is not a known value ({value})";
    OutsideReturnRange { context: &'static str, register: &'static str, bounds: ReturnBounds, range: ReturnRange } "outside-return-range" Invalid "{context} the register {register} has{bounds} should have been in {range}";
}

impl Rule {
    /// The error number that loading the program fails with.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            // These pass on what the check inside them failed with.
            Rule::MemoryAndSize { errno, .. }
            | Rule::InvalidArgumentsToGlobal { errno, .. }
            | Rule::CallbackNotVerified { errno, .. }
            | Rule::OutsideDirectValue { errno, .. }
            | Rule::NotAMap { errno, .. }
            | Rule::UnsupportedMember { errno, .. }
            | Rule::BeyondPacket { errno, .. }
            | Rule::HelperReferenceNotAcquired { errno, .. }
            | Rule::OutsideStack { errno, .. }
            | Rule::VariableOutsideStack { errno, .. } => *errno,
            other => other.table_errno(),
        }
    }
}
