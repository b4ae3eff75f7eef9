//! Arguments that are memory, and sizes of it (`check_mem_size_reg`, `check_helper_mem_access`, `kernel/bpf/verifier.c`, Linux 6.12).

use crate::isa::Register;
use crate::kernel::ProgramType;
use crate::kernel::limits::VARIABLE_SIZE;
use crate::seeded::{self, Fault};
use crate::verifier::arguments::Call;
use crate::verifier::domain::Scalar;
use crate::verifier::env::{Check, Verifier, reject, unsupported};
use crate::verifier::maps::MapInfo;
use crate::verifier::memory::{Access, Mode, Source};
use crate::verifier::rule::Rule;
use crate::verifier::stack::Fill;
use crate::verifier::value::{Target, Value};

impl Verifier<'_> {
    /// A size, for the memory in the register before it (`check_mem_size_reg`).
    pub fn check_size(
        &mut self,
        register: Register,
        mode: Mode,
        zero_allowed: bool,
        fill: Fill,
        call: &mut Call,
    ) -> Check {
        let bounds: Scalar = self.number(register)?.bounds;
        call.max_size = bounds.umax;
        // What is written for sure is known only if the size is.
        let fill = if bounds.is_const() { fill } else { Fill::Read };
        if bounds.smin < 0 {
            return reject(Rule::NegativeSize { register });
        }
        if bounds.umin == 0 && !zero_allowed {
            return reject(Rule::ZeroSize { register, min: bounds.umin, max: bounds.umax });
        }
        if bounds.umax >= VARIABLE_SIZE {
            return reject(Rule::UnboundedSize { register });
        }
        let Some(memory) = Register::new(register.index() as u8 - 1) else {
            return unsupported("a size in r0");
        };
        let most = if seeded::active(Fault::SmallestSizeOnly) { bounds.umin } else { bounds.umax };
        self.check_helper_memory(memory, most as u32, mode, zero_allowed, fill, call)?;
        self.mark_precise(register)
    }

    /// Memory that a helper reads or writes (`check_helper_mem_access`).
    pub fn check_helper_memory(
        &mut self,
        register: Register,
        size: u32,
        mode: Mode,
        zero_allowed: bool,
        fill: Fill,
        call: &mut Call,
    ) -> Check {
        let value = self.value(register);
        let not_memory = |found: String| reject(Rule::NotMemory { register, found });
        let Value::Pointer(pointer) = value else {
            if zero_allowed && size == 0 && value.is_null() {
                return Ok(());
            }
            return not_memory(value.kernel_name());
        };
        let access =
            Access { base: register, offset: pointer.offset, size, mode, register: None, signed: false, atomic: false };
        match pointer.target {
            Target::MapKey(map) => {
                if mode == Mode::Write {
                    return reject(Rule::WriteReadOnly { register, pointer: pointer.kernel_name() });
                }
                let limit = self.map(map)?.key_size;
                self.check_region(register, &pointer, pointer.offset, size, limit, false)
            }
            Target::MapValue(map_ref) => {
                let map: &MapInfo = self.map(map_ref)?;
                map.check_program_may(access)?;
                self.check_map_region(&pointer, map, access, zero_allowed, Source::Helper)
            }
            Target::Memory { size: limit, .. } => {
                if pointer.attributes.read_only && mode == Mode::Write {
                    return reject(Rule::WriteReadOnly { register, pointer: pointer.kernel_name() });
                }
                self.check_region(register, &pointer, pointer.offset, size, limit, zero_allowed)
            }
            Target::Stack { frame } => {
                let written = self.check_stack_range(&pointer, frame, access, zero_allowed, Source::Helper, fill)?;
                if written {
                    call.written = Some((register, size));
                }
                Ok(())
            }
            Target::Object(ty) => self.check_object_access(&pointer, ty, Access { mode: Mode::Read, ..access }),
            Target::Packet { range, .. } => self.check_packet_range(&pointer, range, access, zero_allowed),
            Target::Buffer => self.check_buffer_access(&pointer, Access { offset: pointer.offset, ..access }),
            Target::Context if self.has_context_of_its_own() => not_memory(pointer.kernel_name()),
            Target::Context => self.check_context_as_memory(access, zero_allowed),
            _ => not_memory(pointer.kernel_name()),
        }
    }

    /// Is the program's context one that the kernel translates accesses of, so that it is no plain memory
    /// (`convert_ctx_access`)?
    fn has_context_of_its_own(&self) -> bool {
        !matches!(
            self.program_type(),
            Some(
                ProgramType::Kprobe
                    | ProgramType::Tracepoint
                    | ProgramType::RawTracepoint
                    | ProgramType::RawTracepointWritable
                    | ProgramType::Tracing
                    | ProgramType::Lsm
                    | ProgramType::StructOps
                    | ProgramType::Syscall
                    | ProgramType::Netfilter
                    | ProgramType::CgroupDevice
                    | ProgramType::LircMode2
            )
        )
    }

    /// Other contexts are memory, whose last byte must be readable.
    fn check_context_as_memory(&mut self, access: Access, zero_allowed: bool) -> Check {
        match access.size.checked_sub(1) {
            Some(last) => self.check_access(Access { offset: last as i32, size: 1, ..access }),
            None if zero_allowed => Ok(()),
            None => unsupported("the context passed as no bytes of memory"),
        }
    }
}
