//! What generated programs work on: a fixed set of structures and maps, the same in every object.
//!
//! One table describes them; the types of the object, the offsets of instructions and the text come from it.

use crate::isa::Size;

/// What a member of a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A number.
    Number(Size),
    /// An array of 8-byte numbers.
    Numbers(u32),
    /// A `__percpu_kptr` to a structure.
    PercpuKptr(Structure),
    /// A `__kptr` to a structure.
    Kptr(Structure),
    /// `struct bpf_spin_lock`.
    SpinLock,
    /// `struct bpf_list_head` of nodes, which hang in it by the member named.
    ListHead(Structure, &'static str),
    /// `struct bpf_rb_root` of nodes, which hang in it by the member named.
    TreeRoot(Structure, &'static str),
    /// `struct bpf_list_node`.
    ListNode,
    /// `struct bpf_rb_node`.
    TreeNode,
    /// `struct bpf_refcount`.
    Refcount,
}

impl MemberKind {
    /// Size in bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        match self {
            MemberKind::Number(size) => size.bytes(),
            MemberKind::Numbers(count) => 8 * count,
            MemberKind::PercpuKptr(_) | MemberKind::Kptr(_) => 8,
            MemberKind::SpinLock | MemberKind::Refcount => 4,
            MemberKind::ListHead(..) | MemberKind::TreeRoot(..) => 16,
            MemberKind::ListNode => 24,
            MemberKind::TreeNode => 32,
        }
    }
}

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub name: &'static str,
    /// Offset in bytes.
    pub offset: i16,
    /// What it is.
    pub kind: MemberKind,
}

/// A structure of the generated programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Structure {
    /// Plain numbers of all sizes and an array: a map's value.
    Value,
    /// What a per-CPU object holds.
    Counter,
    /// What lists and trees hold; shared, for it has a reference count.
    Node,
    /// A map's value with a place for one per-CPU object and for one node.
    Slot,
    /// A map's value with a lock, a list and a tree.
    Graph,
}

const fn member(name: &'static str, offset: i16, kind: MemberKind) -> Member {
    Member { name, offset, kind }
}

const fn number(name: &'static str, offset: i16, size: Size) -> Member {
    member(name, offset, MemberKind::Number(size))
}

const VALUE: &[Member] = &[
    number("a", 0, Size::B8),
    number("b", 8, Size::B4),
    number("c", 12, Size::B2),
    number("d", 14, Size::B1),
    number("e", 15, Size::B1),
    member("array", 16, MemberKind::Numbers(4)),
    number("f", 48, Size::B8),
];

const COUNTER: &[Member] = &[
    number("packets", 0, Size::B8),
    number("bytes", 8, Size::B8),
    number("flags", 16, Size::B4),
    number("hits", 20, Size::B4),
];

const NODE: &[Member] = &[
    number("key", 0, Size::B8),
    number("value", 8, Size::B8),
    member("list_node", 16, MemberKind::ListNode),
    member("tree_node", 40, MemberKind::TreeNode),
    member("refs", 72, MemberKind::Refcount),
    number("tag", 76, Size::B4),
];

const SLOT: &[Member] = &[
    number("count", 0, Size::B8),
    member("live", 8, MemberKind::PercpuKptr(Structure::Counter)),
    member("node", 16, MemberKind::Kptr(Structure::Node)),
    number("total", 24, Size::B8),
];

const GRAPH: &[Member] = &[
    member("lock", 0, MemberKind::SpinLock),
    number("generation", 4, Size::B4),
    member("list", 8, MemberKind::ListHead(Structure::Node, "list_node")),
    member("tree", 24, MemberKind::TreeRoot(Structure::Node, "tree_node")),
    number("length", 40, Size::B8),
];

impl Structure {
    /// All of them, those that others name first.
    pub const ALL: [Structure; 5] =
        [Structure::Value, Structure::Counter, Structure::Node, Structure::Slot, Structure::Graph];

    /// Its tag in C. The kernel has no structures of the names that kptrs point to, or it would take its own.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Structure::Value => "value",
            Structure::Counter => "counter",
            Structure::Node => "shared_node",
            Structure::Slot => "slot",
            Structure::Graph => "graph",
        }
    }

    /// Its members by ascending offset.
    #[must_use]
    pub fn members(self) -> &'static [Member] {
        match self {
            Structure::Value => VALUE,
            Structure::Counter => COUNTER,
            Structure::Node => NODE,
            Structure::Slot => SLOT,
            Structure::Graph => GRAPH,
        }
    }

    /// Size in bytes, a multiple of 8.
    #[must_use]
    pub fn size(self) -> u32 {
        let end = self.members().last().map_or(0, |last| last.offset as u32 + last.kind.bytes());
        end.next_multiple_of(8)
    }

    /// The first member for which `wanted` holds.
    pub fn find(self, wanted: impl Fn(MemberKind) -> bool) -> Option<&'static Member> {
        self.members().iter().find(|member| wanted(member.kind))
    }

    /// Offset of the member of that name; 0 if there is none.
    #[must_use]
    pub fn offset_of(self, name: &str) -> i16 {
        self.members().iter().find(|member| member.name == name).map_or(0, |member| member.offset)
    }
}

/// A map of the generated programs. Keys are 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapName {
    /// Array of values.
    Values,
    /// Hash of values.
    Hash,
    /// Per-CPU array of values.
    PercpuValues,
    /// Array of slots.
    Slots,
    /// Array of graphs.
    Graphs,
}

impl MapName {
    /// All of them, in the object's order.
    pub const ALL: [MapName; 5] =
        [MapName::Values, MapName::Hash, MapName::PercpuValues, MapName::Slots, MapName::Graphs];

    /// The variable's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MapName::Values => "values",
            MapName::Hash => "hash",
            MapName::PercpuValues => "percpu_values",
            MapName::Slots => "slots",
            MapName::Graphs => "graphs",
        }
    }

    /// `BPF_MAP_TYPE_*` number.
    #[must_use]
    pub fn map_type(self) -> u32 {
        match self {
            MapName::Hash => 1,
            MapName::PercpuValues => 6,
            MapName::Values | MapName::Slots | MapName::Graphs => 2,
        }
    }

    /// Number of entries.
    #[must_use]
    pub fn max_entries(self) -> u32 {
        match self {
            MapName::Values | MapName::PercpuValues => 4,
            MapName::Hash => 8,
            MapName::Slots => 2,
            MapName::Graphs => 1,
        }
    }

    /// What its values are.
    #[must_use]
    pub fn value(self) -> Structure {
        match self {
            MapName::Values | MapName::Hash | MapName::PercpuValues => Structure::Value,
            MapName::Slots => Structure::Slot,
            MapName::Graphs => Structure::Graph,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_do_not_overlap_and_are_aligned() {
        for structure in Structure::ALL {
            for pair in structure.members().windows(2) {
                assert!(pair[0].offset as u32 + pair[0].kind.bytes() <= pair[1].offset as u32, "{structure:?}");
            }
            for member in structure.members() {
                let alignment = member.kind.bytes().min(8);
                assert_eq!(member.offset as u32 % alignment, 0, "{structure:?}.{}", member.name);
            }
        }
    }
}
