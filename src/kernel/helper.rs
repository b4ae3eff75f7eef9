//! Helpers: their numbers, C prototypes, and how the verifier checks arguments and results.
//!
//! A helper may have several [`HelperProto`]s, for different program types; [`super::availability`] says which one a
//! program gets. The words are the kernel's `enum bpf_arg_type`, `enum bpf_return_type` and `enum bpf_type_flag`
//! (`include/linux/bpf.h`, Linux 6.12), split into a base and flags. Start at [`HelperProto`].

use serde::Deserialize;

use super::enums::MapType;
use super::prototype::Prototype;

/// A helper.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Helper {
    /// Number in a call instruction.
    pub id: u32,
    /// `bpf_map_lookup_elem`.
    pub name: String,
    /// As `include/uapi/linux/bpf.h` documents it.
    pub prototype: Prototype,
    /// After a call, pointers into the packet are no longer valid (`bpf_helper_changes_pkt_data`).
    #[serde(default)]
    pub changes_packet: bool,
    /// The only map types that it takes; empty: any that allows it (`check_map_func_compatibility`).
    #[serde(default)]
    pub maps: Vec<MapType>,
}

/// A map type that only some helpers take (`check_map_func_compatibility`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapHelpers {
    /// The map type.
    #[serde(rename = "type")]
    pub map_type: MapType,
    /// The only helpers that take it.
    pub helpers: Vec<String>,
    /// Further rules of the kernel under which a helper takes it: `may_update_sockmap`.
    #[serde(default, rename = "or")]
    pub or_rules: Vec<String>,
}

/// Defines an enumeration that the data files name in snake case.
macro_rules! named_kinds {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$doc])* $variant,)*
        }

        impl $type {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kernel's name in lower case, without its prefix.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The kind of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

named_kinds! {
    /// What a helper expects in an argument register: the base of `enum bpf_arg_type`.
    ArgKind {
        /// Any initialised value.
        Anything = "anything",
        /// A number.
        Scalar = "scalar",
        /// A map.
        ConstMapPtr = "const_map_ptr",
        /// A key of the map that an earlier argument named.
        PtrToMapKey = "ptr_to_map_key",
        /// A value of that map.
        PtrToMapValue = "ptr_to_map_value",
        /// Memory; the next argument is its size, or `size` fixes it.
        PtrToMem = "ptr_to_mem",
        /// Size of the memory in the argument before, above zero.
        ConstSize = "const_size",
        /// The same, zero allowed.
        ConstSizeOrZero = "const_size_or_zero",
        /// A constant number of bytes to allocate.
        ConstAllocSizeOrZero = "const_alloc_size_or_zero",
        /// The program's context.
        PtrToCtx = "ptr_to_ctx",
        /// A `struct bpf_spin_lock` of a map value or allocated object.
        PtrToSpinLock = "ptr_to_spin_lock",
        /// Any socket, as `struct bpf_sock_common`.
        PtrToSockCommon = "ptr_to_sock_common",
        /// A full socket.
        PtrToSocket = "ptr_to_socket",
        /// A kernel object of a BTF type.
        PtrToBtfId = "ptr_to_btf_id",
        /// A socket, as BTF pointer or otherwise.
        PtrToBtfIdSockCommon = "ptr_to_btf_id_sock_common",
        /// A per-CPU variable or object.
        PtrToPercpuBtfId = "ptr_to_percpu_btf_id",
        /// A record that `bpf_ringbuf_reserve` gave.
        PtrToRingbufMem = "ptr_to_ringbuf_mem",
        /// A callback function.
        PtrToFunc = "ptr_to_func",
        /// Somewhere in the stack.
        PtrToStack = "ptr_to_stack",
        /// A constant string in a read-only map.
        PtrToConstStr = "ptr_to_const_str",
        /// A `struct bpf_timer` of a map value.
        PtrToTimer = "ptr_to_timer",
        /// The field that `bpf_kptr_xchg` exchanges.
        KptrXchgDest = "kptr_xchg_dest",
        /// A dynptr.
        PtrToDynptr = "ptr_to_dynptr",
    }
}

named_kinds! {
    /// What a helper leaves in r0: the base of `enum bpf_return_type`.
    RetKind {
        /// A number.
        Integer = "integer",
        /// Nothing.
        Void = "void",
        /// A value of the map that was passed.
        PtrToMapValue = "ptr_to_map_value",
        /// A full socket.
        PtrToSocket = "ptr_to_socket",
        /// A TCP socket.
        PtrToTcpSock = "ptr_to_tcp_sock",
        /// Any socket.
        PtrToSockCommon = "ptr_to_sock_common",
        /// Memory.
        PtrToMem = "ptr_to_mem",
        /// Memory, or a kernel object, by the type of the argument.
        PtrToMemOrBtfId = "ptr_to_mem_or_btf_id",
        /// A kernel object of a BTF type.
        PtrToBtfId = "ptr_to_btf_id",
    }
}

bitflags::bitflags! {
    /// What is added to a kind (`enum bpf_type_flag`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TypeFlags: u32 {
        /// May be NULL.
        const PTR_MAYBE_NULL = 1;
        /// The helper only reads it; or it may only be read.
        const MEM_RDONLY = 1 << 1;
        /// Need not be initialised.
        const MEM_UNINIT = 1 << 2;
        /// The helper writes it.
        const MEM_WRITE = 1 << 3;
        /// Must be aligned to its size.
        const MEM_ALIGNED = 1 << 4;
        /// The size is the argument's `size`.
        const MEM_FIXED_SIZE = 1 << 5;
        /// A ring buffer's record.
        const MEM_RINGBUF = 1 << 6;
        /// The helper releases the reference.
        const OBJ_RELEASE = 1 << 7;
        /// Trusted.
        const PTR_TRUSTED = 1 << 8;
        /// A dynptr to memory of the program's.
        const DYNPTR_TYPE_LOCAL = 1 << 9;
        /// A dynptr to a ring buffer's record.
        const DYNPTR_TYPE_RINGBUF = 1 << 10;
    }
}

/// Which BTF type an argument or result has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BtfReference {
    /// This structure.
    Struct(String),
    /// What the verifier's rule for this helper says (`BPF_PTR_POISON`).
    Rule,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Base.
    pub kind: ArgKind,
    /// Flags.
    pub flags: TypeFlags,
    /// For BTF kinds.
    pub btf: Option<BtfReference>,
    /// Bytes, with [`TypeFlags::MEM_FIXED_SIZE`].
    pub size: Option<u32>,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ret {
    /// Base.
    pub kind: RetKind,
    /// Flags.
    pub flags: TypeFlags,
    /// For BTF kinds.
    pub btf: Option<BtfReference>,
}

/// A further check on the program as a whole (`bpf_func_proto.allowed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AllowedCheck {
    /// Iterators, sleepable LSM hooks and the functions of `btf_allowlist_d_path`.
    #[serde(rename = "bpf_d_path_allowed")]
    DPath,
    /// Sleepable LSM hooks.
    #[serde(rename = "bpf_ima_inode_hash_allowed")]
    SleepableLsmHook,
    /// Iterators, raw tracepoints, and fentry or fexit of functions not named `bpf_sk_storage…`.
    #[serde(rename = "bpf_sk_storage_tracing_allowed")]
    SkStorageTracing,
}

/// How the verifier checks a helper's call (`struct bpf_func_proto`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelperProto {
    /// The kernel's symbol, `bpf_map_lookup_elem_proto`.
    pub symbol: String,
    /// Arguments in registers r1 to r5.
    pub args: Vec<Arg>,
    /// Result in r0.
    pub ret: Ret,
    /// Only for programs under a GPL-compatible licence.
    #[serde(default)]
    pub gpl_only: bool,
    /// May read and write the packet.
    #[serde(default)]
    pub pkt_access: bool,
    /// Only in sleepable context.
    #[serde(default)]
    pub might_sleep: bool,
    /// A call may be marked as keeping caller-saved registers (`bpf_fastcall`).
    #[serde(default)]
    pub allow_fastcall: bool,
    /// A further check.
    pub allowed: Option<AllowedCheck>,
}

/// As the files have it: `"ptr_to_mem|mem_rdonly"`, or a table when there is more to say.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawKind {
    Plain(String),
    Table(RawTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    kind: String,
    #[serde(rename = "type")]
    btf: Option<String>,
    size: Option<u32>,
}

impl RawKind {
    fn table(self) -> RawTable {
        match self {
            RawKind::Plain(kind) => RawTable { kind, btf: None, size: None },
            RawKind::Table(table) => table,
        }
    }
}

/// Splits `base|flag|flag`.
fn base_and_flags(text: &str) -> Result<(&str, TypeFlags), String> {
    let mut parts = text.split('|');
    let base = parts.next().unwrap_or("");
    let mut flags = TypeFlags::empty();
    for part in parts {
        let found = TypeFlags::all().iter_names().find(|(name, _)| name.eq_ignore_ascii_case(part));
        flags |= found.ok_or_else(|| format!("`{part}` is no type flag"))?.1;
    }
    Ok((base, flags))
}

/// `poison` is the kernel's word for "see the rule".
fn reference(name: Option<String>) -> Option<BtfReference> {
    name.map(|name| if name == "poison" { BtfReference::Rule } else { BtfReference::Struct(name) })
}

impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawKind::deserialize(deserializer)?.table();
        let (base, flags) = base_and_flags(&raw.kind).map_err(serde::de::Error::custom)?;
        let kind = ArgKind::from_name(base)
            .ok_or_else(|| serde::de::Error::custom(format!("`{base}` is no kind of argument")))?;
        Ok(Self { kind, flags, btf: reference(raw.btf), size: raw.size })
    }
}

impl<'de> Deserialize<'de> for Ret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawKind::deserialize(deserializer)?.table();
        let (base, flags) = base_and_flags(&raw.kind).map_err(serde::de::Error::custom)?;
        let kind = RetKind::from_name(base)
            .ok_or_else(|| serde::de::Error::custom(format!("`{base}` is no kind of result")))?;
        Ok(Self { kind, flags, btf: reference(raw.btf) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_split_into_base_and_flags() {
        let flags = TypeFlags::MEM_RDONLY | TypeFlags::PTR_MAYBE_NULL;
        assert_eq!(base_and_flags("ptr_to_mem|mem_rdonly|ptr_maybe_null"), Ok(("ptr_to_mem", flags)));
        assert!(base_and_flags("ptr_to_mem|mem_shiny").is_err());
    }
}
