//! The kernel's names for values, as its messages and its log print them (`reg_type_str`, `kernel/bpf/log.c`,
//! Linux 6.12), made here and nowhere else.

use super::value::{Attributes, Pointer, SocketKind, Target, Trust, Value};
use super::value::{DynptrKind, PacketArea};

/// The kernel's base type of a pointer: [`Target`] without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Class {
    Scalar,
    Context,
    ConstMap,
    MapValue,
    MapKey,
    Stack,
    Packet,
    PacketMeta,
    PacketEnd,
    FlowKeys,
    Socket,
    SocketCommon,
    TcpSocket,
    XdpSocket,
    TracepointBuffer,
    Object,
    Memory,
    Buffer,
    Function,
    Arena,
    ConstDynptr,
}

impl Class {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Scalar => "scalar",
            Class::Context => "ctx",
            Class::ConstMap => "map_ptr",
            Class::MapValue => "map_value",
            Class::MapKey => "map_key",
            Class::Stack => "fp",
            Class::Packet => "pkt",
            Class::PacketMeta => "pkt_meta",
            Class::PacketEnd => "pkt_end",
            Class::FlowKeys => "flow_keys",
            Class::Socket => "sock",
            Class::SocketCommon => "sock_common",
            Class::TcpSocket => "tcp_sock",
            Class::XdpSocket => "xdp_sock",
            Class::TracepointBuffer => "tp_buffer",
            Class::Object => "ptr_",
            Class::Memory => "mem",
            Class::Buffer => "buf",
            Class::Function => "func",
            Class::Arena => "arena",
            Class::ConstDynptr => "dynptr_ptr",
        }
    }
}

impl Target {
    /// The kernel's base type for it.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Target::Context => Class::Context,
            Target::ConstMap(_) => Class::ConstMap,
            Target::MapValue(_) => Class::MapValue,
            Target::MapKey(_) => Class::MapKey,
            Target::Stack { .. } => Class::Stack,
            Target::Packet { area: PacketArea::Data, .. } => Class::Packet,
            Target::Packet { area: PacketArea::Meta, .. } => Class::PacketMeta,
            Target::PacketEnd => Class::PacketEnd,
            Target::FlowKeys => Class::FlowKeys,
            Target::Socket(SocketKind::Full { .. }) => Class::Socket,
            Target::Socket(SocketKind::Common) => Class::SocketCommon,
            Target::Socket(SocketKind::Tcp) => Class::TcpSocket,
            Target::Socket(SocketKind::Xdp { .. }) => Class::XdpSocket,
            Target::TracepointBuffer => Class::TracepointBuffer,
            Target::Object(_) => Class::Object,
            Target::Memory { .. } => Class::Memory,
            Target::Buffer => Class::Buffer,
            Target::Function { .. } => Class::Function,
            Target::Arena => Class::Arena,
            Target::ConstDynptr(_) => Class::ConstDynptr,
        }
    }
}

/// The name of a pointer with these attributes.
#[must_use]
pub fn pointer_name(class: Class, attributes: Attributes) -> String {
    let trust = match attributes.trust {
        Trust::Plain => "",
        Trust::Trusted => "trusted_",
        Trust::Rcu => "rcu_",
        Trust::Untrusted => "untrusted_",
    };
    let null = match (attributes.nullable, class) {
        (false, _) => "",
        (true, Class::Object) => "or_null_",
        (true, _) => "_or_null",
    };
    let flag = |set: bool, name: &'static str| if set { name } else { "" };
    [
        flag(attributes.read_only, "rdonly_"),
        flag(attributes.ringbuf, "ringbuf_"),
        flag(attributes.user, "user_"),
        flag(attributes.percpu, "percpu_"),
        trust,
        class.name(),
        null,
    ]
    .concat()
}

impl Pointer {
    /// Its name without the name of the object's type.
    #[must_use]
    pub fn kernel_name(&self) -> String {
        pointer_name(self.target.class(), self.attributes)
    }
}

impl Value {
    /// Its name without the name of the object's type.
    #[must_use]
    pub fn kernel_name(&self) -> String {
        match self {
            Value::Uninitialised => "?".to_owned(),
            Value::Scalar(_) => "scalar".to_owned(),
            Value::Pointer(pointer) => pointer.kernel_name(),
            Value::Iterator(iterator) => {
                pointer_name(Class::Stack, Attributes { trust: iterator.trust, ..Attributes::default() })
            }
            Value::Dynptr(_) => Class::ConstDynptr.name().to_owned(),
        }
    }
}

impl DynptrKind {
    /// Its name in the log.
    #[must_use]
    pub fn kernel_name(self) -> &'static str {
        match self {
            DynptrKind::Local => "local",
            DynptrKind::Ringbuf => "ringbuf",
            DynptrKind::Skb => "skb",
            DynptrKind::Xdp => "xdp",
        }
    }
}
