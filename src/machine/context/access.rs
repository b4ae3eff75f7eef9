//! Accesses to a context that are more than bytes: pointers, and writes. And reads of what is asked for and not kept: fields of
//! a map, and of the kernel's struct behind a context.
//!
//! The kernel rewrites such accesses when it loads a program (`convert_ctx_access`); here they are carried out by the same
//! table of fields that the verifier checks them with ([`crate::kernel::contexts`]).

use crate::isa::Size;
use crate::kernel::ProgramType;
use crate::kernel::contexts::{Gives, context_of};
use crate::machine::code::Code;
use crate::machine::event::{Access, AccessKind, Outcome};
use crate::machine::fault::Trap;
use crate::machine::region::RegionKind;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::View;

/// Fields of `struct __sk_buff` of which the kernel keeps the lower 16 bits only.
const HALVES: [&str; 3] = ["queue_mapping", "tc_index", "tc_classid"];
/// A queue mapping that is not stored (`NO_QUEUE_MAPPING`).
const NO_QUEUE_MAPPING: u64 = 0xffff;

impl Machine {
    /// Carries out a load or store that memory could not, if it is one of a context; gives the trap back otherwise.
    #[cold]
    pub(in crate::machine) fn context_access(&mut self, task: u32, trap: Box<Trap>) -> Result<Outcome, Box<Trap>> {
        let Trap::Unmodelled { region, offset } = *trap else { return Err(trap) };
        let Some(execution) = self.tasks.get(task as usize).and_then(|task| task.execution.as_ref()) else {
            return Err(trap);
        };
        let Some(&op) = execution.program.ops.get(execution.pc as usize) else { return Err(trap) };
        let access = |size: Size, kind| Access { region, offset, size: size.bytes(), kind };
        let loaded = match op.code {
            Code::Load(size) => {
                let value = match self.memory.region(region).kind {
                    RegionKind::Context => self.context_pointer(task, region, offset),
                    RegionKind::Map { map } => self.map_field(map, offset, size.bytes())?,
                    RegionKind::KernelObject { .. } => self.field_behind(task, region, offset, size.bytes()),
                    _ => None,
                };
                let Some(value) = value else { return Err(trap) };
                if !matches!(self.memory.region(region).kind, RegionKind::Map { .. }) {
                    self.report.accesses.push(access(size, AccessKind::Read));
                }
                Some(value)
            }
            Code::Store(size) if self.memory.region(region).kind == RegionKind::Context => {
                let value = if op.immediate { op.imm } else { execution.registers[op.src.get()] };
                if !self.write_context(task, region, offset, size, value) {
                    return Err(trap);
                }
                self.report.accesses.push(access(size, AccessKind::Write));
                None
            }
            _ => return Err(trap),
        };
        if let Some(execution) = self.tasks.get_mut(task as usize).and_then(|task| task.execution.as_mut()) {
            if let Some(value) = loaded {
                execution.registers[op.dst.get()] = value;
                execution.known |= op.writes;
            }
            execution.pc += 1;
        }
        Ok(Outcome::Ran)
    }

    /// The pointer that a field gives.
    fn context_pointer(&self, task: u32, region: RegionId, offset: u32) -> Option<u64> {
        let context = self.context(task).filter(|context| context.region == Some(region))?;
        let layout = context_of(ProgramType::from_number(context.program_type)?)?.layout;
        let memory = &self.memory;
        let packet = context.packet.as_ref();
        Some(match (layout.field_at(i32::try_from(offset).ok()?)?.gives, &context.view) {
            (Gives::Packet, _) => packet?.data_address(memory),
            // Without direct access, nobody computes where the packet ends.
            (Gives::PacketEnd | Gives::PacketMeta, View::Skb(skb)) if !skb.direct => 0,
            (Gives::PacketEnd, _) => packet?.end_address(memory),
            (Gives::PacketMeta, _) => packet?.meta_address(memory),
            (Gives::FlowKeys, View::FlowDissector { keys, .. }) => memory.base(*keys),
            (Gives::SocketCommonOrNull | Gives::SocketOrNull, View::Skb(skb)) => memory.base(skb.socket),
            (Gives::SocketOrNull, View::SkLookup) => 0,
            _ => return None,
        })
    }

    /// Stores to a field; says whether that is modelled.
    fn write_context(&mut self, task: u32, region: RegionId, offset: u32, size: Size, value: u64) -> bool {
        let Some(context) = self.context(task).filter(|context| context.region == Some(region)) else {
            return false;
        };
        let layout = ProgramType::from_number(context.program_type).and_then(context_of).map(|context| context.layout);
        let field = layout.and_then(|layout| layout.field_at(offset as i32)).filter(|f| f.gives == Gives::Number);
        let (Some(field), View::Skb(_)) = (field, &context.view) else { return false };
        let bytes = value.to_le_bytes();
        if HALVES.contains(&field.name) {
            if field.name != "queue_mapping" || value & 0xffff_ffff < NO_QUEUE_MAPPING {
                self.memory.poke(region, offset, &[bytes[0], bytes[1], 0, 0]);
            }
        } else {
            self.memory.poke(region, offset, &bytes[..size.bytes() as usize]);
        }
        true
    }
}
