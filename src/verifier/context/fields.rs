//! Contexts with fields: networking, cgroup and perf programs, from the table in [`crate::kernel::contexts`].

use crate::kernel::ProgramType;
use crate::kernel::contexts::{ContextAccess, Gives, context_of};
use crate::verifier::env::{Check, Verifier, reject, unsupported};
use crate::verifier::memory::{Access, Mode};
use crate::verifier::rule::Rule;
use crate::verifier::value::{Attributes, PacketArea, Pointer, SocketKind, Target, Trust, TypeRef, TypeSpace, Value};

impl Verifier<'_> {
    /// What an access to a field of the context gives.
    pub fn context_field(&mut self, program: ProgramType, access: Access) -> Check<Value> {
        let Some(context) = context_of(program) else {
            return unsupported(format!("context access of a {} program", program.name()));
        };
        let wanted = ContextAccess {
            offset: access.offset,
            size: access.size,
            write: access.mode == Mode::Write,
            signed: access.signed,
        };
        match context.access(wanted, self.attach_type(), self.options.capabilities) {
            Some(gives) => self.context_pointer(gives),
            None => reject(Rule::InvalidContextAccess { offset: access.offset, size: access.size }),
        }
    }

    fn context_pointer(&mut self, gives: Gives) -> Check<Value> {
        let nullable = Attributes { nullable: true, ..Attributes::default() };
        let plain = Attributes::default();
        let (target, attributes) = match gives {
            Gives::Number => return Ok(Value::unknown()),
            Gives::Packet => (Target::Packet { area: PacketArea::Data, range: 0 }, plain),
            Gives::PacketMeta => (Target::Packet { area: PacketArea::Meta, range: 0 }, plain),
            Gives::PacketEnd => (Target::PacketEnd, plain),
            Gives::Socket => (Target::Socket(SocketKind::Full { from: None }), plain),
            Gives::SocketOrNull => (Target::Socket(SocketKind::Full { from: None }), nullable),
            Gives::SocketCommonOrNull => (Target::Socket(SocketKind::Common), nullable),
            Gives::FlowKeys => (Target::FlowKeys, plain),
            Gives::TracepointBuffer => (Target::TracepointBuffer, plain),
            Gives::Object(name) => {
                let Some(id) = self.profile.btf.find_struct(name) else {
                    return unsupported(format!("struct {name}, which is not known without the kernel's BTF"));
                };
                let trusted = Attributes { trust: Trust::Trusted, ..plain };
                (Target::Object(TypeRef { space: TypeSpace::Kernel, id }), trusted)
            }
        };
        let mut pointer = Pointer::to(target).with(attributes);
        if attributes.nullable {
            pointer.id = self.new_id();
        }
        Ok(Value::Pointer(pointer))
    }
}
