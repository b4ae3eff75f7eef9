//! The fields of a struct that the kernel treats specially (`struct btf_record`, `kernel/bpf/btf.c`, Linux 6.12).

use super::types::TypeId;

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

/// Where a kptr's target type is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KptrTarget {
    /// A struct of the program, such as `bpf_obj_new` allocates; an id in the program's BTF.
    Local(TypeId),
    /// A kernel struct: its name's type id in the *program's* BTF; the kernel's id is looked up by name.
    Kernel(TypeId),
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
    /// What a kptr points to; `None` for other kinds.
    pub kptr: Option<KptrTarget>,
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
