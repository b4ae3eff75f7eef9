//! A packet's bytes, read and written by offset: `bpf_skb_load_bytes` and its family, and the legacy packet loads.
//!
//! As `net/core/filter.c`, Linux 6.12. Packets are always linear here, as those of test runs are.

use crate::isa::Size;
use crate::machine::context::{Context, Packet, View};
use crate::machine::event::{Access, AccessKind, Outcome};
use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::memory::Memory;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;

use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_skb_load_bytes", 4, load_bytes),
    helper("bpf_skb_load_bytes_relative", 5, load_bytes_relative),
    helper("bpf_skb_store_bytes", 5, store_bytes).differs_if_stocked(),
    helper("bpf_skb_pull_data", 2, pull_data).differs_if_stocked(),
    helper("bpf_xdp_load_bytes", 4, xdp_load_bytes),
    helper("bpf_xdp_store_bytes", 4, xdp_store_bytes),
    helper("bpf_xdp_get_buff_len", 1, |call| Ok(Answer::Value(call.packet()?.1.len().into()))),
];

/// `BPF_F_RECOMPUTE_CSUM`, `BPF_F_INVALIDATE_HASH`.
const STORE_FLAGS: u64 = 1 | 2;
/// `BPF_HDR_START_MAC`, `BPF_HDR_START_NET`.
const START_MAC: u32 = 0;
const START_NET: u32 = 1;
/// Offsets of legacy loads from here on count from the network header, and from the link-layer header
/// (`SKF_NET_OFF`, `SKF_LL_OFF`).
const NETWORK: i64 = -0x10_0000;
const LINK_LAYER: i64 = -0x20_0000;
/// Byte of `__sk_buff.hash`.
pub(super) const HASH: u32 = 68;

impl Call<'_> {
    /// Gives the packet whose context that is bytes of its own, if others have them too, as in a stocked machine (`skb_cloned`): they move, and pointers to where they were
    /// are stale (`skb_ensure_writable`).
    pub fn unshare(&mut self, context: u64) -> Result<(), Box<Trap>> {
        if self.machine.branch == 0 {
            return Ok(());
        }
        self.packet_at(context)?;
        let step = self.machine.steps;
        let task = self.machine.tasks.get_mut(self.task as usize).and_then(|task| task.context.as_deref_mut());
        match task.and_then(|context| context.packet.as_mut()) {
            Some(packet) => packet.change(&mut self.machine.memory, step, |_, extent| extent),
            None => Ok(()),
        }
    }

    /// The context that the first argument is, and its packet.
    pub fn packet(&self) -> Result<(&Context, &Packet), Box<Trap>> {
        self.packet_at(self.args[0])
    }

    /// The context that an address is, or whose `sk_buff` it is, and its packet.
    pub fn packet_at(&self, address: u64) -> Result<(&Context, &Packet), Box<Trap>> {
        let is_meant = |context: &&Context| context.address == address || context.skb == Some(address);
        let context = self.machine.context(self.task).filter(is_meant);
        match context.and_then(|context| Some((context, context.packet.as_ref()?))) {
            Some(found) => Ok(found),
            None => Err(Trap::unsupported(format!("{} on something else than the program's own packet", self.name))),
        }
    }

    /// The same to change, with the memory that it is in.
    pub fn packet_mut(&mut self) -> Result<(&mut Context, &mut Memory), Box<Trap>> {
        self.packet()?;
        let context = self.machine.tasks.get_mut(self.task as usize).and_then(|task| task.context.as_deref_mut());
        let context = context.ok_or_else(|| Trap::argument(self.name, "there is no context"))?;
        Ok((context, &mut self.machine.memory))
    }

    /// Writes what a lookup failed to find as zeros, and fails.
    pub fn cleared(&mut self, to: u64, size: u32, error: i64) -> Modelled {
        self.write(to, &vec![0; size as usize])?;
        Ok(Answer::Value(error as u64))
    }

    fn touch_packet(&mut self, (region, offset): (RegionId, u32), size: u32, kind: AccessKind) {
        self.machine.report.accesses.push(Access { region, offset, size, kind });
    }

    /// Copies bytes of the packet, which are at an offset from its data, to the program's memory.
    fn copy_out(&mut self, offset: i64, to: u64, size: u32, missing: i64) -> Modelled {
        let place = self.packet()?.1.place(offset, size);
        let Some(place) = place else {
            return self.cleared(to, size, missing);
        };
        self.touch_packet(place, size, AccessKind::Read);
        let (region, at) = (place.0, place.1 as usize);
        let bytes = self.machine.memory.peek(region).get(at..at + size as usize).unwrap_or_default().to_vec();
        self.write(to, &bytes)?;
        Ok(Answer::Value(0))
    }

    fn copy_in(&mut self, offset: i64, from: u64, size: u32, missing: i64) -> Modelled {
        let bytes = self.read(from, size.into())?;
        let Some(place) = self.packet()?.1.place(offset, size) else { return Ok(Answer::Value(missing as u64)) };
        self.touch_packet(place, size, AccessKind::Write);
        self.machine.memory.poke(place.0, place.1, &bytes);
        Ok(Answer::Value(0))
    }
}

/// From now on the end of the data is known (`bpf_compute_data_pointers`).
pub(super) fn compute_pointers(context: &mut Context) {
    if let View::Skb(skb) = &mut context.view {
        skb.direct = true;
    }
}

fn load_bytes(call: &mut Call<'_>) -> Modelled {
    let (offset, to, size) = (call.arg32(1), call.args[2], call.arg32(3));
    call.copy_out(offset.into(), to, size, errno::EFAULT)
}

fn load_bytes_relative(call: &mut Call<'_>) -> Modelled {
    let (offset, to, size, start) = (call.arg32(1), call.args[2], call.arg32(3), call.arg32(4));
    let packet = call.packet()?.1;
    let start = match start {
        START_MAC => packet.mac,
        START_NET => packet.network,
        _ => return call.cleared(to, size, errno::EFAULT),
    };
    if offset > 0xffff {
        return call.cleared(to, size, errno::EFAULT);
    }
    let Some(bytes) = packet.bytes_from(&call.machine.memory, start + offset, size) else {
        return call.cleared(to, size, errno::EFAULT);
    };
    call.write(to, &bytes)?;
    Ok(Answer::Value(0))
}

fn store_bytes(call: &mut Call<'_>) -> Modelled {
    let (offset, from, size, flags) = (call.arg32(1), call.args[2], call.arg32(3), call.args[4]);
    if flags & !STORE_FLAGS != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    call.unshare(call.args[0])?;
    let answer = call.copy_in(offset.into(), from, size, errno::EFAULT)?;
    let (context, memory) = call.packet_mut()?;
    compute_pointers(context);
    if flags & 2 != 0 && matches!(answer, Answer::Value(0)) {
        context.set_number(memory, HASH, 0);
    }
    Ok(answer)
}

fn pull_data(call: &mut Call<'_>) -> Modelled {
    let wanted = call.arg32(1);
    call.unshare(call.args[0])?;
    let (context, _) = call.packet_mut()?;
    compute_pointers(context);
    let there = context.packet.as_ref().map_or(0, Packet::len);
    Ok(Answer::Value(if wanted <= there { 0 } else { errno::ENOMEM as u64 }))
}

/// Whether an offset and a size are past what XDP helpers take, and what the packet has (`bpf_xdp_pointer`).
fn xdp_range(call: &Call<'_>, offset: u32, size: u32) -> Result<Option<i64>, Box<Trap>> {
    let length = call.packet()?.1.len();
    Ok(if offset > 0xffff || size > 0xffff {
        Some(errno::EFAULT)
    } else if offset + size > length {
        Some(errno::EINVAL)
    } else {
        None
    })
}

fn xdp_load_bytes(call: &mut Call<'_>) -> Modelled {
    let (offset, to, size) = (call.arg32(1), call.args[2], call.arg32(3));
    match xdp_range(call, offset, size)? {
        Some(error) => Ok(Answer::Value(error as u64)),
        None => call.copy_out(offset.into(), to, size, errno::EINVAL),
    }
}

fn xdp_store_bytes(call: &mut Call<'_>) -> Modelled {
    let (offset, from, size) = (call.arg32(1), call.args[2], call.arg32(3));
    match xdp_range(call, offset, size)? {
        Some(error) => Ok(Answer::Value(error as u64)),
        None => call.copy_in(offset.into(), from, size, errno::EINVAL),
    }
}

impl Machine {
    /// A legacy packet load (`bpf_gen_ld_abs`): the number there, in host order; `None` ends the function with zero.
    pub(in crate::machine) fn load_packet(
        &mut self,
        task: u32,
        size: Size,
        offset: i32,
    ) -> Result<Option<u64>, Box<Trap>> {
        let packet = self.context(task).and_then(|context| context.packet.as_ref());
        let Some(packet) = packet else { return Err(Trap::unsupported("legacy packet loads without a packet")) };
        let bytes = size.bytes();
        let offset = i64::from(offset);
        let found = match offset {
            0.. => packet.bytes_from_data(&self.memory, offset as u32, bytes),
            NETWORK..0 => packet.bytes_from(&self.memory, packet.network + (offset - NETWORK) as u32, bytes),
            LINK_LAYER..NETWORK => packet.bytes_from(&self.memory, packet.mac + (offset - LINK_LAYER) as u32, bytes),
            _ => None,
        };
        if let Some((region, at)) = packet.place(offset, bytes) {
            self.report.accesses.push(Access { region, offset: at, size: bytes, kind: AccessKind::Read });
        }
        Ok(found.map(|bytes| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))))
    }

    /// Ends a legacy packet load.
    pub(in crate::machine) fn packet_load(&mut self, task: u32, size: Size, offset: i32) -> Result<Outcome, Box<Trap>> {
        let found = self.load_packet(task, size, offset)?;
        // The other way than the packet says.
        let found = if self.branch == 0 { found } else { found.is_none().then_some(0) };
        if let Some(execution) = self.tasks.get_mut(task as usize).and_then(|task| task.execution.as_mut()) {
            execution.finish_call(Some(found.unwrap_or(0)));
            if found.is_some() {
                execution.pc += 1;
            }
        }
        if found.is_some() { Ok(Outcome::Ran) } else { self.exit(task) }
    }
}
