//! The contexts that the kernel hands to programs, as data: which bytes a program may read and write, by its type.
//!
//! A context's struct is one [`ContextLayout`]; several program types share `struct __sk_buff`, and each sees other
//! fields of it: that is a [`ProgramContext`]. Tracing programs, whose arguments BTF describes, have no row here. The
//! rows follow the kernel's `*_is_valid_access` functions (`net/core/filter.c`, `kernel/bpf/cgroup.c`,
//! `kernel/trace/bpf_trace.c`, `net/netfilter/nf_bpf_link.c`, Linux 6.12). The data stands in `layouts` and
//! `programs`; start at [`context_of`].

mod layouts;
mod programs;

pub use layouts::{SOCKET, SOCKET_COMMON_HIDDEN, TCP_SOCKET, XDP_SOCKET};
use programs::PROGRAMS;

use super::{AttachType, Capabilities, ProgramType};

/// Sizes in which a field may be accessed; all must be aligned to themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// None: the field is not accessible.
    Never,
    /// Just that many bytes.
    Exact(u32),
    /// That many bytes or less (`bpf_ctx_narrow_access_ok`).
    UpTo(u32),
    /// The same, but only at the field's first byte.
    UpToAtStart(u32),
    /// From the first to the second number of bytes.
    Between(u32, u32),
    /// That many bytes or less, or eight inside the field (`bpf_ctx_wide_access_ok`).
    UpToOrWide(u32),
    /// Just that many bytes, or eight inside the field.
    ExactOrWide(u32),
    /// Anything that does not leave the field.
    Inside,
}

/// What a program gets when it reads a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A number.
    Number,
    /// A pointer to packet data.
    Packet,
    /// A pointer to the metadata in front of it.
    PacketMeta,
    /// The end of packet data.
    PacketEnd,
    /// A full socket.
    Socket,
    /// A full socket, or NULL.
    SocketOrNull,
    /// What all sockets share, or NULL.
    SocketCommonOrNull,
    /// The flow dissector's keys.
    FlowKeys,
    /// A writable tracepoint's buffer.
    TracepointBuffer,
    /// A trusted pointer to a struct of the kernel.
    Object(&'static str),
}

/// A field of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextField {
    /// Its name in the struct; a description in angle brackets where the struct has none.
    pub name: &'static str,
    /// First byte.
    pub start: u32,
    /// Byte behind the last.
    pub end: u32,
    /// Sizes of reads.
    pub read: Sizes,
    /// Sizes of writes, where a program type may write the field at all.
    pub write: Sizes,
    /// What a read gives.
    pub gives: Gives,
}

/// A context's struct. Bytes in no field are not accessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLayout {
    /// Its name.
    pub name: &'static str,
    /// Its fields, ascending.
    pub fields: &'static [ContextField],
}

/// A field that a program type may access, perhaps only where attached so, or only by some users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// The field's name.
    pub field: &'static str,
    /// The attach types; empty means any.
    pub attached: &'static [AttachType],
    /// The capability that its user needs; empty means none.
    pub needs: Capabilities,
}

/// Which fields of a layout a program type sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All but these.
    AllBut(&'static [&'static str]),
    /// Only these.
    Only(&'static [&'static str]),
}

/// How programs of some types see their context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramContext {
    /// The program types.
    pub programs: &'static [ProgramType],
    /// The struct.
    pub layout: &'static ContextLayout,
    /// Fields that may be accessed at all.
    pub visible: Visible,
    /// Fields that are visible only where the program is attached so, or to such users; fields without a row are always.
    pub limited: &'static [When],
    /// Fields that may be written.
    pub writable: &'static [When],
}

/// An access to a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextAccess {
    /// Offset, bytes.
    pub offset: i32,
    /// Bytes.
    pub size: u32,
    /// Is it a write?
    pub write: bool,
    /// Is what is read extended by its sign?
    pub signed: bool,
}

/// The context of programs of that type; `None` for those whose context is not in the table.
#[must_use]
pub fn context_of(program: ProgramType) -> Option<&'static ProgramContext> {
    PROGRAMS.iter().find(|context| context.programs.contains(&program))
}

impl ProgramContext {
    /// What an access gives, or `None` if it is not allowed (`is_valid_access`).
    #[must_use]
    pub fn access(
        &self,
        access: ContextAccess,
        attached: Option<AttachType>,
        capabilities: Capabilities,
    ) -> Option<Gives> {
        let field = self.layout.field_at(access.offset)?;
        let allows = |when: &When| when.allows(field.name, attached, capabilities);
        if !self.shows(field.name) || !self.limited.iter().filter(|when| when.field == field.name).all(allows) {
            return None;
        }
        if access.write && !self.writable.iter().any(allows) {
            return None;
        }
        field.access(access)
    }

    fn shows(&self, field: &str) -> bool {
        match self.visible {
            Visible::AllBut(hidden) => !hidden.contains(&field),
            Visible::Only(shown) => shown.contains(&field),
        }
    }
}

impl When {
    fn allows(&self, field: &str, attached: Option<AttachType>, capabilities: Capabilities) -> bool {
        self.field == field
            && capabilities.have(self.needs)
            && (self.attached.is_empty() || attached.is_some_and(|attached| self.attached.contains(&attached)))
    }
}

impl ContextLayout {
    /// The field with that byte.
    #[must_use]
    pub fn field_at(&self, offset: i32) -> Option<&'static ContextField> {
        let offset = u32::try_from(offset).ok()?;
        self.fields.iter().find(|field| (field.start..field.end).contains(&offset))
    }
}

impl ContextField {
    /// What an access that starts in the field gives, or `None` if its size or alignment is not allowed.
    #[must_use]
    pub fn access(&self, access: ContextAccess) -> Option<Gives> {
        let offset = u32::try_from(access.offset).ok()?;
        if access.size == 0 || !offset.is_multiple_of(access.size) {
            return None;
        }
        // A pointer is replaced by one of eight bytes when it is read, which no sign can extend.
        if access.signed && self.gives != Gives::Number {
            return None;
        }
        let sizes = if access.write { self.write } else { self.read };
        sizes.allow(self, offset, access.size).then_some(self.gives)
    }
}

impl Sizes {
    fn allow(self, field: &ContextField, offset: u32, size: u32) -> bool {
        let wide = size == 8 && offset >= field.start && offset.saturating_add(8) <= field.end;
        match self {
            Sizes::Never => false,
            Sizes::Exact(bytes) => size == bytes,
            Sizes::UpTo(bytes) => size <= bytes,
            Sizes::UpToAtStart(bytes) => size == bytes || (size < bytes && offset == field.start),
            Sizes::Between(least, most) => (least..=most).contains(&size),
            Sizes::UpToOrWide(bytes) => size <= bytes || wide,
            Sizes::ExactOrWide(bytes) => size == bytes || wide,
            Sizes::Inside => offset.saturating_add(size) <= field.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(program: ProgramType, offset: i32, size: u32) -> Option<Gives> {
        let access = ContextAccess { offset, size, write: false, signed: false };
        context_of(program).unwrap().access(access, None, Capabilities::all())
    }

    #[test]
    fn fields_of_every_layout_ascend_without_overlap_and_rows_name_fields_that_exist() {
        for context in PROGRAMS {
            let fields = context.layout.fields;
            assert!(fields.iter().all(|field| field.start < field.end), "{}", context.layout.name);
            assert!(fields.windows(2).all(|pair| pair[0].end <= pair[1].start), "{}", context.layout.name);
            let (Visible::AllBut(listed) | Visible::Only(listed)) = context.visible;
            let named = context.limited.iter().chain(context.writable).map(|when| when.field);
            for name in named.chain(listed.iter().copied()) {
                assert!(fields.iter().any(|field| field.name == name), "{} in {}", name, context.layout.name);
            }
            for when in context.writable {
                let field = fields.iter().find(|field| field.name == when.field).unwrap();
                assert_ne!(field.write, Sizes::Never, "{} of {}", when.field, context.layout.name);
            }
        }
    }

    #[test]
    fn each_program_type_has_one_row_at_most() {
        for &program in ProgramType::ALL {
            assert!(PROGRAMS.iter().filter(|context| context.programs.contains(&program)).count() <= 1);
        }
    }

    #[test]
    fn packet_pointers_are_read_whole() {
        assert_eq!(read(ProgramType::SchedCls, 76, 4), Some(Gives::Packet));
        assert_eq!(read(ProgramType::SchedCls, 76, 2), None);
        assert_eq!(read(ProgramType::Xdp, 8, 4), Some(Gives::PacketMeta));
        assert_eq!(read(ProgramType::SocketFilter, 76, 4), None);
    }

    #[test]
    fn some_fields_are_not_for_everyone() {
        let skb = context_of(ProgramType::CgroupSkb).unwrap();
        let data = ContextAccess { offset: 76, size: 4, write: false, signed: false };
        let tstamp = ContextAccess { offset: 152, size: 8, ..data };
        let set_tstamp = ContextAccess { write: true, ..tstamp };
        for (access, everyone) in [(data, false), (tstamp, true), (set_tstamp, false)] {
            assert!(skb.access(access, None, Capabilities::BPF).is_some());
            assert_eq!(skb.access(access, None, Capabilities::empty()).is_some(), everyone);
        }
    }

    #[test]
    fn numbers_are_read_narrow_but_aligned() {
        assert_eq!(read(ProgramType::SchedCls, 1, 1), Some(Gives::Number));
        assert_eq!(read(ProgramType::SchedCls, 1, 2), None);
        assert_eq!(read(ProgramType::SchedCls, 0, 8), None);
        assert_eq!(read(ProgramType::SchedCls, 180, 1), Some(Gives::Number));
        assert_eq!(read(ProgramType::SocketFilter, 180, 1), None);
    }
}
