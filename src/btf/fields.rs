//! The fields of a struct that the kernel treats specially (`struct btf_record`, `kernel/bpf/btf.c`, Linux 6.12).
//!
//! Here is what they are; how they are found stands in `field_search.rs`. Start reading at [`special_fields`].

use super::types::TypeId;

pub use super::field_search::{FieldError, Holder, KernelStruct, local_structs, special_fields, special_fields_in};

/// What kind of special field it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `struct bpf_spin_lock`.
    SpinLock,
    /// `struct bpf_timer`.
    Timer,
    /// `struct bpf_wq`.
    WorkQueue,
    /// A pointer tagged `kptr_untrusted`.
    KptrUntrusted,
    /// A pointer tagged `kptr`.
    KptrReferenced,
    /// A pointer tagged `percpu_kptr`.
    KptrPercpu,
    /// `struct bpf_list_head`.
    ListHead,
    /// `struct bpf_list_node`.
    ListNode,
    /// `struct bpf_rb_root`.
    RbRoot,
    /// `struct bpf_rb_node`.
    RbNode,
    /// `struct bpf_refcount`.
    Refcount,
}

impl FieldKind {
    /// The name of the struct that such a field is; `None` for pointers.
    #[must_use]
    pub fn struct_name(self) -> Option<&'static str> {
        Some(match self {
            FieldKind::SpinLock => "bpf_spin_lock",
            FieldKind::Timer => "bpf_timer",
            FieldKind::WorkQueue => "bpf_wq",
            FieldKind::ListHead => "bpf_list_head",
            FieldKind::ListNode => "bpf_list_node",
            FieldKind::RbRoot => "bpf_rb_root",
            FieldKind::RbNode => "bpf_rb_node",
            FieldKind::Refcount => "bpf_refcount",
            FieldKind::KptrUntrusted | FieldKind::KptrReferenced | FieldKind::KptrPercpu => return None,
        })
    }

    /// Size in bytes (`btf_field_type_size`).
    #[must_use]
    pub fn size(self) -> u32 {
        match self {
            FieldKind::SpinLock | FieldKind::Refcount => 4,
            FieldKind::KptrUntrusted | FieldKind::KptrReferenced | FieldKind::KptrPercpu => 8,
            FieldKind::Timer | FieldKind::WorkQueue | FieldKind::ListHead | FieldKind::RbRoot => 16,
            FieldKind::ListNode => 24,
            FieldKind::RbNode => 32,
        }
    }

    /// Alignment in bytes (`btf_field_type_align`).
    #[must_use]
    pub fn alignment(self) -> u32 {
        self.size().min(8)
    }

    /// Is it a kptr of any kind?
    #[must_use]
    pub fn is_kptr(self) -> bool {
        matches!(self, FieldKind::KptrUntrusted | FieldKind::KptrReferenced | FieldKind::KptrPercpu)
    }

    /// Is it the root of a list or tree?
    #[must_use]
    pub fn is_root(self) -> bool {
        matches!(self, FieldKind::ListHead | FieldKind::RbRoot)
    }
}

/// The root's side of a list or tree: which struct its nodes are in, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GraphRoot {
    /// The struct that the nodes are in (an id in the program's BTF).
    pub value_type: TypeId,
    /// Byte offset of the node in that struct.
    pub node_offset: u32,
}

/// One special field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpecialField {
    /// Its kind.
    pub kind: FieldKind,
    /// Byte offset in the struct.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
    /// The struct that a kptr points to, in the program's BTF; `None` for other kinds. If the kernel has a struct of
    /// the same name, that is meant, else one that the program allocates (`btf_parse_kptr`).
    pub kptr: Option<TypeId>,
    /// What a list head or tree root holds; `None` for other kinds.
    pub root: Option<GraphRoot>,
}

/// The special fields of one struct, by ascending offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialFields {
    /// The fields.
    pub fields: Vec<SpecialField>,
}

impl SpecialFields {
    /// Has it a field of that kind?
    #[must_use]
    pub fn has(&self, kind: FieldKind) -> bool {
        self.fields.iter().any(|field| field.kind == kind)
    }

    /// The field that starts at that byte.
    #[must_use]
    pub fn at(&self, offset: u32) -> Option<&SpecialField> {
        self.fields.iter().find(|field| field.offset == offset)
    }

    /// The first field that overlaps `size` bytes from `offset`.
    #[must_use]
    pub fn overlapping(&self, offset: u32, size: u32) -> Option<&SpecialField> {
        self.fields
            .iter()
            .find(|field| offset < field.offset + field.size && field.offset < offset.saturating_add(size))
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}
