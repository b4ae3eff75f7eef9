//! The life of a per-CPU object, as a written state machine, and what follows from it at each step.
//!
//! ```text
//!            bpf_percpu_obj_new                bpf_kptr_xchg into a field
//!   (none) ────────────────────▶ Owned ──────────────────────────────▶ Published
//!                                  │  ▲                                    │  │
//!            bpf_percpu_obj_drop   │  └──────── bpf_kptr_xchg out ─────────┘  │ load of the field, or the alias
//!                                  ▼                                         │ that stayed behind, in an RCU section
//!                               Dropped          Untrusted ◀── section ends ── Borrowed
//! ```
//!
//! *Owned*: the program holds the one reference and must give it away or drop it. *Published*: a map field owns the
//! object. *Borrowed*: a pointer read in an RCU section, good until the section ends; only this one, never an owned
//! one, gives access to a CPU's copy. *Untrusted*: such a pointer after the section, or one loaded outside of any.
//! *Dropped*: gone; every alias is invalid.
//!
//! Rules from `map_kptr_match_type`, `btf_ld_kptr_type`, `process_kptr_func` and `check_helper_call`,
//! `kernel/bpf/verifier.c`, Linux 6.12.

use super::env::{Check, Verifier, reject};
use super::maps::Field;
use super::memory::{Access, Mode};
use super::rule::{OrUntrusted, Rule};
use super::value::{Attributes, Pointer, Target, Trust, TypeRef, TypeSpace, Value};
use crate::btf::fields::FieldKind;
use crate::isa::{Insn, Operand, Register};
use crate::seeded::{self, Fault};

/// Where in its life a per-CPU object is, seen through one pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PercpuLife {
    /// The program owns it.
    Owned,
    /// A map field owns it, and the pointer is good until the RCU section ends.
    Borrowed,
    /// The pointer may be stale.
    Untrusted,
}

impl PercpuLife {
    /// The state that a pointer shows, or `None` if it points to no per-CPU object.
    #[must_use]
    pub fn of(pointer: &Pointer) -> Option<PercpuLife> {
        if pointer.object().is_none() || !pointer.attributes.percpu {
            return None;
        }
        match (pointer.attributes.allocated, pointer.attributes.trust) {
            (true, _) => Some(PercpuLife::Owned),
            (false, Trust::Rcu) => Some(PercpuLife::Borrowed),
            (false, _) => Some(PercpuLife::Untrusted),
        }
    }

    /// What becomes of an owned pointer's aliases when `bpf_kptr_xchg` gives the object to a field: inside an RCU
    /// section they are borrowed from then on, elsewhere they die.
    #[must_use]
    pub fn after_publishing(in_rcu_section: bool) -> Option<PercpuLife> {
        in_rcu_section.then_some(PercpuLife::Borrowed)
    }

    /// What a load of the field gives.
    #[must_use]
    pub fn of_loaded(in_rcu_section: bool) -> PercpuLife {
        if in_rcu_section { PercpuLife::Borrowed } else { PercpuLife::Untrusted }
    }

    /// What the end of the RCU section makes of it.
    #[must_use]
    pub fn after_section(self) -> PercpuLife {
        match self {
            PercpuLife::Borrowed => PercpuLife::Untrusted,
            other => other,
        }
    }
}

impl Pointer {
    /// May it be passed where a live object is needed (`is_trusted_reg`)?
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        if self.reference != 0 {
            return true;
        }
        let socket_or_map = matches!(
            self.target,
            Target::ConstMap(_)
                | Target::Socket(
                    super::value::SocketKind::Full { .. }
                        | super::value::SocketKind::Common
                        | super::value::SocketKind::Tcp
                )
        );
        let attributes = &self.attributes;
        let modified = attributes.allocated || attributes.trust == Trust::Trusted || attributes.non_owning;
        (socket_or_map || modified) && !self.has_unsafe_attributes()
    }

    /// Attributes that forbid to rely on the object (`bpf_type_has_unsafe_modifiers`).
    #[must_use]
    pub fn has_unsafe_attributes(&self) -> bool {
        let Attributes { nullable, trust, read_only, percpu, user, ringbuf, slice, .. } = self.attributes;
        nullable
            || matches!(trust, Trust::Rcu | Trust::Untrusted)
            || read_only
            || percpu
            || user
            || ringbuf
            || slice.is_some()
    }

    /// Does it carry RCU protection (`is_rcu_reg`)?
    #[must_use]
    pub fn is_rcu(&self) -> bool {
        self.attributes.trust == Trust::Rcu
    }
}

impl Verifier<'_> {
    /// A load from, or store to, a kptr field (`check_map_kptr_access`).
    pub fn check_kptr_access(&mut self, field: &Field, access: Access) -> Check {
        if access.atomic || access.signed {
            return reject(Rule::KptrInstructionMode);
        }
        let insn = self.insns[self.insn];
        let is_load = access.mode == Mode::Read && matches!(insn, Ok(Insn::Load { .. }));
        if !is_load && matches!(field.kind, FieldKind::KptrReferenced | FieldKind::KptrPercpu) {
            return reject(Rule::StoreToReferencedKptr);
        }
        match (is_load, access.register, insn) {
            (true, Some(register), _) => {
                let loaded = self.load_kptr(field)?;
                self.state.set(register, loaded);
                Ok(())
            }
            (false, Some(register), _) => {
                if self.value(register).is_null() {
                    return self.mark_precise(register);
                }
                self.check_kptr_type(field, register)
            }
            (false, None, Ok(Insn::Store { src: Operand::Immediate(imm), .. })) if imm != 0 => {
                reject(Rule::KptrStoreNonzero { offset: field.offset })
            }
            _ => Ok(()),
        }
    }

    /// The pointer that a load of a kptr field gives (`btf_ld_kptr_type`).
    fn load_kptr(&mut self, field: &Field) -> Check<Value> {
        let ty = field.target()?;
        let rcu_safe = match field.kind {
            FieldKind::KptrPercpu => true,
            FieldKind::KptrReferenced => self.is_rcu_protected(ty),
            _ => false,
        };
        let mut attributes = Attributes { nullable: true, trust: Trust::Untrusted, ..Attributes::default() };
        if rcu_safe && (self.in_rcu_section() || seeded::active(Fault::BorrowOutsideRcu)) {
            attributes.trust = Trust::Rcu;
            if field.kind == FieldKind::KptrPercpu {
                attributes.percpu = true;
            } else if ty.space == TypeSpace::Program {
                attributes.allocated = true;
            }
            attributes.non_owning = self.local_fields(ty).is_some_and(|fields| fields.has_graph_node());
        }
        // Only what may be NULL gets an identity; it is what a later check settles.
        let id = self.new_id();
        Ok(Value::Pointer(Pointer { id, ..Pointer::to(Target::Object(ty)).with(attributes) }))
    }

    /// Does RCU keep objects of that type alive (`rcu_protected_object`)?
    #[must_use]
    pub fn is_rcu_protected(&self, ty: TypeRef) -> bool {
        ty.space == TypeSpace::Program || self.profile.is_rcu_protected(self.type_of(ty).name())
    }

    /// The pointer in a register fits the field: same type, same kind, offset zero (`map_kptr_match_type`).
    pub fn check_kptr_type(&mut self, field: &Field, register: Register) -> Check {
        let value = self.value(register);
        let expected = field.target()?;
        let untrusted_too = field.kind == FieldKind::KptrUntrusted;
        let mismatch = |verifier: &Self, name: &str| {
            reject(Rule::KptrTypeMismatch {
                register,
                found: format!("{}{name}", value.kernel_name()),
                expected: verifier.type_name(expected),
                or_untrusted: OrUntrusted { name: untrusted_too.then(|| verifier.type_name(expected)) },
            })
        };
        let Value::Pointer(pointer) = value else { return mismatch(self, "") };
        let Some(ty) = pointer.object() else { return mismatch(self, "") };
        let attributes = pointer.attributes;
        let percpu_field = field.kind == FieldKind::KptrPercpu;
        let forbidden = attributes.read_only
            || attributes.user
            || attributes.ringbuf
            || attributes.non_owning
            || attributes.slice.is_some()
            || match ty.space {
                TypeSpace::Kernel => {
                    attributes.allocated
                        || attributes.percpu
                        || (attributes.trust == Trust::Untrusted && !untrusted_too)
                }
                TypeSpace::Program => attributes.trust != Trust::Plain || (attributes.percpu && !percpu_field),
            };
        if forbidden || percpu_field != attributes.percpu {
            return mismatch(self, "");
        }
        let name = self.type_name(ty);
        self.check_fixed_offset(&pointer, register, true)?;
        let strict = !untrusted_too;
        if !self.types_match(ty, pointer.offset, expected, strict, !attributes.allocated) {
            return mismatch(self, &name);
        }
        Ok(())
    }

    /// `bpf_kptr_xchg` has given the object with that reference to a field: what becomes of its aliases.
    pub fn publish(&mut self, reference: u32) -> bool {
        let callback = self.callback_frame();
        if !seeded::active(Fault::KeepReferenceAtExchange) && !self.state.obligations.release(reference, callback) {
            return false;
        }
        let after = PercpuLife::after_publishing(self.in_rcu_section());
        let stale = self.stale();
        self.state.for_each_value(false, |value| {
            if value.reference() != reference {
                return;
            }
            match (value.as_pointer().and_then(PercpuLife::of), after, &mut *value) {
                (Some(PercpuLife::Owned), Some(PercpuLife::Borrowed), Value::Pointer(pointer)) => {
                    pointer.reference = 0;
                    pointer.attributes.allocated = seeded::active(Fault::AliasStaysOwned);
                    pointer.attributes.trust = Trust::Rcu;
                }
                _ => *value = stale,
            }
        });
        true
    }

    /// The RCU section ends: what was borrowed in it is untrusted from now on.
    pub fn end_rcu_section(&mut self) {
        self.state.for_each_value(true, |value| match value {
            Value::Pointer(pointer) if pointer.is_rcu() && !seeded::active(Fault::KeepAliasAfterRcu) => {
                pointer.attributes.nullable = false;
                pointer.attributes.trust = Trust::Untrusted;
            }
            Value::Iterator(iterator) if iterator.trust == Trust::Rcu => iterator.trust = Trust::Untrusted,
            _ => {}
        });
        self.state.obligations.rcu = false;
    }
}
