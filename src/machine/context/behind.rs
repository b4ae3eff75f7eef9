//! The kernel's structs behind a context and behind the socket of a packet, as casts give them to programs.
//!
//! The kernel has one struct where a program has two views of it, with other fields. Here each is a region of its own,
//! so that an address tells which fields there are. What of the struct changes with the packet is not kept in it but asked
//! for ([`Machine::field_behind`]).

use std::sync::Arc;

use crate::btf::{Btf, TypeId};
use crate::machine::fault::Trap;
use crate::machine::kernel_struct::{KernelStruct, UNKNOWN_SIZE};
use crate::machine::memory::{Contents, Memory};
use crate::machine::region::RegionKind;
use crate::machine::stepper::Machine;
use crate::machine::story::RegionId;
use crate::machine::types;

use super::socket::AF_INET;
use super::{Context, View};

/// Number of the first network namespace among the files of `/proc` (`PROC_DYNAMIC_FIRST`).
const FIRST_NAMESPACE: u32 = 0xf000_0000;
/// Interface number of the loopback device.
const LOOPBACK: u32 = 1;
/// Where `struct __sk_buff` has numbers that its kernel's struct has too.
const MARK: usize = 8;
const PROTOCOL: usize = 16;
const PRIORITY: usize = 32;
/// Where `struct bpf_sock` has its family, its addresses and its state.
const FAMILY: usize = 4;
const SOURCE: usize = 24;
const DESTINATION: usize = 52;
const STATE: usize = 72;

/// A struct that was made for a context.
#[derive(Clone, Debug)]
pub(super) struct Behind {
    /// What it stands behind: the context, or the packet's socket.
    of: RegionId,
    name: Arc<str>,
    region: RegionId,
}

impl Machine {
    /// The address of the kernel's struct of that name behind a region, made on first use; `None` if it is not modelled.
    /// A context can be taken for a struct of any type, of which then no field can be read.
    ///
    /// # Errors
    /// [`Trap::Limit`] if memory is short.
    pub(in crate::machine) fn behind(
        &mut self,
        task: u32,
        of: RegionId,
        name: &str,
        type_id: TypeId,
    ) -> Result<Option<u64>, Box<Trap>> {
        let types = self.shared_kernel_types();
        let context = self.tasks.get_mut(task as usize).and_then(|task| task.context.as_deref_mut());
        let Some(context) = context else { return Ok(None) };
        if let Some(known) = context.behind.iter().find(|one| one.of == of && *one.name == *name) {
            return Ok(Some(self.memory.base(known.region)));
        }
        let region = context.make(&mut self.memory, types.as_deref(), of, name, type_id)?;
        let Some(region) = region else { return Ok(None) };
        context.behind.push(Behind { of, name: Arc::from(name), region });
        Ok(Some(self.memory.base(region)))
    }

    /// The value of a field that changes with the packet, if the region is a struct that has it there.
    pub(super) fn field_behind(&self, task: u32, region: RegionId, offset: u32, size: u32) -> Option<u64> {
        let context = self.context(task)?;
        let behind = context.behind.iter().find(|one| one.region == region && &*one.name == "sk_buff")?;
        let btf = self.kernel_types()?;
        let id = btf.find_struct(&behind.name)?;
        let length = context.packet.as_ref()?.len();
        let seen = |at: usize| context.number(&self.memory, at);
        // All of a packet is in one piece.
        let fields = [
            ("len", length),
            ("data_len", 0),
            ("mark", seen(MARK)),
            ("protocol", seen(PROTOCOL)),
            ("priority", seen(PRIORITY)),
        ];
        let is_meant = |name: &str, size: u32| {
            let place = types::field(btf, id, name);
            place.is_some_and(|(at, inner)| at == offset && btf.size_of(inner) == Some(size))
        };
        fields.into_iter().find(|(name, _)| is_meant(name, size)).map(|(_, value)| value.into())
    }
}

impl Context {
    fn make(
        &mut self,
        memory: &mut Memory,
        btf: Option<&Btf>,
        of: RegionId,
        name: &str,
        type_id: TypeId,
    ) -> Result<Option<RegionId>, Box<Trap>> {
        let is_context = self.region == Some(of);
        let made = match (&self.view, name) {
            (View::Xdp, "xdp_buff") if is_context => self.xdp_buff(memory, btf)?,
            (View::Skb(_), "sk_buff") if is_context => KernelStruct::new(memory, btf, name)?.region,
            (View::Skb(skb), "sock") if skb.socket == of => sock(memory, btf, of)?,
            _ if is_context => {
                let size = btf.and_then(|btf| btf.size_of(type_id)).unwrap_or(UNKNOWN_SIZE);
                let kind = RegionKind::KernelObject { name: Arc::from(name), type_id };
                memory.allocate(kind, size, Contents::Sparse, None)?
            }
            _ => return Ok(None),
        };
        self.made.push(made);
        Ok(Some(made))
    }

    /// `struct xdp_buff` of a packet that came in by the loopback device's first queue.
    fn xdp_buff(&mut self, memory: &mut Memory, btf: Option<&Btf>) -> Result<RegionId, Box<Trap>> {
        let mut namespace = KernelStruct::new(memory, btf, "net")?;
        namespace.set("ns.inum", &FIRST_NAMESPACE.to_le_bytes(), memory);
        let mut device = KernelStruct::new(memory, btf, "net_device")?;
        device.set("ifindex", &LOOPBACK.to_le_bytes(), memory);
        device.set("name", b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", memory);
        device.set("nd_net.net", &memory.base(namespace.region).to_le_bytes(), memory);
        let mut queue = KernelStruct::new(memory, btf, "xdp_rxq_info")?;
        queue.set("dev", &memory.base(device.region).to_le_bytes(), memory);
        queue.set("queue_index", &[0; 4], memory);
        let mut buffer = KernelStruct::new(memory, btf, "xdp_buff")?;
        buffer.set("rxq", &memory.base(queue.region).to_le_bytes(), memory);
        self.made.extend([namespace.region, device.region, queue.region]);
        Ok(buffer.region)
    }
}

/// `struct sock` of a packet's socket, which is of no protocol (`bpf_prog_test_run_skb`).
fn sock(memory: &mut Memory, btf: Option<&Btf>, socket: RegionId) -> Result<RegionId, Box<Trap>> {
    let seen = memory.peek(socket).to_vec();
    let word = |at: usize| seen.get(at..).and_then(|bytes| bytes.first_chunk::<4>()).copied().unwrap_or_default();
    let family = word(FAMILY);
    let mut sock = KernelStruct::new(memory, btf, "sock")?;
    let halves = ["sk_protocol", "sk_type", "__sk_common.skc_dport", "__sk_common.skc_num"];
    for field in halves {
        sock.set(field, &[0; 2], memory);
    }
    sock.set("__sk_common.skc_family", &family[..2], memory);
    sock.set("__sk_common.skc_state", &word(STATE)[..1], memory);
    if u32::from_le_bytes(family) == AF_INET {
        sock.set("__sk_common.skc_rcv_saddr", &word(SOURCE), memory);
        sock.set("__sk_common.skc_daddr", &word(DESTINATION), memory);
    }
    Ok(sock.region)
}
