//! Where a packet begins and ends: `bpf_skb_adjust_room`, `bpf_xdp_adjust_head` and their family.
//!
//! As `net/core/filter.c`, Linux 6.12. The pointers into the packet are made anew by each of them.

use crate::machine::context::{Context, Extent, Packet, View, ether_type};
use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::memory::Memory;

use super::packet::{HASH, compute_pointers};
use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_skb_change_head", 3, change_head),
    helper("bpf_skb_change_tail", 3, change_tail),
    helper("bpf_skb_change_proto", 3, change_proto),
    helper("bpf_skb_change_type", 2, change_type),
    helper("bpf_skb_adjust_room", 4, adjust_room),
    helper("bpf_skb_vlan_push", 3, vlan_push),
    helper("bpf_skb_vlan_pop", 1, vlan_pop),
    helper("bpf_xdp_adjust_head", 2, adjust_head),
    helper("bpf_xdp_adjust_tail", 2, adjust_tail),
    helper("bpf_xdp_adjust_meta", 2, adjust_meta),
];

/// Most bytes of a packet (`BPF_SKB_MAX_LEN`): four pages less the struct behind them.
const MAX_LENGTH: u32 = 4 * 4096 - 320;
/// Bytes of an Ethernet header, and by how much an IPv6 header is longer than an IPv4 one.
const ETHERNET: u32 = 14;
const LONGER: u32 = 20;
/// Bytes at the front of an XDP packet's buffer that are not for packets (`sizeof(struct xdp_frame)`).
const XDP_FRAME: u32 = 40;
/// Most bytes of metadata.
const MAX_META: u32 = 255;

/// Bytes of `__sk_buff`.
mod field {
    pub const LEN: u32 = 0;
    pub const PKT_TYPE: u32 = 4;
    pub const PROTOCOL: u32 = 16;
    pub const VLAN_PRESENT: u32 = 20;
    pub const VLAN_TCI: u32 = 24;
    pub const VLAN_PROTO: u32 = 28;
}

/// Flags of `bpf_skb_adjust_room`.
mod room {
    pub const FIXED_GSO: u64 = 1;
    pub const ENCAP_L3_IPV4: u64 = 2;
    pub const ENCAP_L3_IPV6: u64 = 4;
    pub const ENCAP_L4_GRE: u64 = 8;
    pub const ENCAP_L4_UDP: u64 = 16;
    pub const NO_CSUM_RESET: u64 = 32;
    pub const ENCAP_L2_ETH: u64 = 64;
    pub const DECAP_L3_IPV4: u64 = 128;
    pub const DECAP_L3_IPV6: u64 = 256;
    pub const ENCAP_L2: u64 = 0xff << 56;
    pub const ENCAP_L3: u64 = ENCAP_L3_IPV4 | ENCAP_L3_IPV6;
    pub const DECAP_L3: u64 = DECAP_L3_IPV4 | DECAP_L3_IPV6;
    pub const ALL: u64 =
        FIXED_GSO | ENCAP_L3 | ENCAP_L4_GRE | ENCAP_L4_UDP | NO_CSUM_RESET | ENCAP_L2_ETH | DECAP_L3 | ENCAP_L2;
}

/// A packet's protocol, in host order.
fn protocol(context: &Context, memory: &Memory) -> u16 {
    (context.number(memory, field::PROTOCOL as usize) as u16).swap_bytes()
}

fn set_protocol(context: &Context, memory: &mut Memory, protocol: u16) {
    context.set_number(memory, field::PROTOCOL, protocol.swap_bytes().into());
}

fn fail(error: i64) -> Modelled {
    Ok(Answer::Value(error as u64))
}

/// Changes where the packet of an `sk_buff` begins and ends, and its context's fields with it.
fn reshape(
    call: &mut Call<'_>,
    change: impl FnOnce(&mut Packet, &mut Memory, u64) -> Result<(), Box<Trap>>,
) -> Result<(), Box<Trap>> {
    let step = call.machine.steps;
    let (context, memory) = call.packet_mut()?;
    compute_pointers(context);
    if let Some(packet) = &mut context.packet {
        change(packet, memory, step)?;
        let length = packet.len();
        context.set_number(memory, field::LEN, length);
    }
    Ok(())
}

/// Puts zeros into a packet, that many bytes behind its data's start; what is in front of them moves forward.
fn push(packet: &mut Packet, memory: &mut Memory, step: u64, offset: u32, count: u32) -> Result<(), Box<Trap>> {
    packet.reserve_front(memory, step, count)?;
    packet.change(memory, step, |buffer, extent| {
        let (start, moved) = (extent.data as usize, (extent.data + offset) as usize);
        let to = start - count as usize;
        if moved <= buffer.len() {
            buffer.copy_within(start..moved, to);
            buffer[moved - count as usize..moved].fill(0);
        }
        let data = extent.data - count;
        Extent { meta: data, data, end: extent.end }
    })
}

/// Takes bytes out of a packet, that many behind its data's start; what is in front of them moves back.
fn pop(packet: &mut Packet, memory: &mut Memory, step: u64, offset: u32, count: u32) -> Result<(), Box<Trap>> {
    packet.change(memory, step, |buffer, extent| {
        let (start, moved) = (extent.data as usize, (extent.data + offset) as usize);
        if moved + count as usize <= buffer.len() {
            buffer.copy_within(start..moved, start + count as usize);
        }
        let data = extent.data + count;
        Extent { meta: data, data, end: extent.end }
    })
}

fn change_head(call: &mut Call<'_>) -> Modelled {
    let (room, flags) = (call.arg32(1), call.args[2]);
    let length = call.packet()?.1.len();
    if flags != 0 || length.checked_add(room).is_none_or(|new| new > MAX_LENGTH) {
        return fail(errno::EINVAL);
    }
    reshape(call, |packet, memory, step| {
        push(packet, memory, step, 0, room)?;
        packet.mac = packet.extent().data;
        Ok(())
    })?;
    Ok(Answer::Value(0))
}

fn change_tail(call: &mut Call<'_>) -> Modelled {
    let (length, flags) = (call.arg32(1), call.args[2]);
    let packet = call.packet()?.1;
    let least = packet.network.saturating_sub(packet.extent().data);
    if flags != 0 || length > MAX_LENGTH || length < least {
        return fail(errno::EINVAL);
    }
    if is_encapsulated(call)? {
        return fail(errno::ENOTSUPP);
    }
    reshape(call, |packet, memory, step| {
        packet.change(memory, step, |buffer, extent| {
            let end = extent.data + length;
            if end as usize > buffer.len() {
                buffer.resize(end as usize, 0);
            }
            if end > extent.end {
                buffer[extent.end as usize..end as usize].fill(0);
            }
            Extent { end, ..extent }
        })
    })?;
    Ok(Answer::Value(0))
}

fn is_encapsulated(call: &Call<'_>) -> Result<bool, Box<Trap>> {
    Ok(matches!(&call.packet()?.0.view, View::Skb(skb) if skb.encapsulated))
}

/// Bytes of the link-layer header (`skb_mac_header_len`).
fn mac_length(packet: &Packet) -> u32 {
    packet.network.saturating_sub(packet.mac)
}

fn change_proto(call: &mut Call<'_>) -> Modelled {
    let (to, flags) = ((call.arg32(1) as u16).swap_bytes(), call.args[2]);
    if flags != 0 {
        return fail(errno::EINVAL);
    }
    let (context, packet) = call.packet()?;
    let from = protocol(context, &call.machine.memory);
    let offset = mac_length(packet);
    match (from, to) {
        (ether_type::IP, ether_type::IPV6) => reshape(call, |packet, memory, step| {
            push(packet, memory, step, offset, LONGER)?;
            (packet.mac, packet.network) = (packet.mac - LONGER, packet.network - LONGER);
            Ok(())
        })?,
        (ether_type::IPV6, ether_type::IP) => {
            if packet.len() < offset + LONGER {
                return fail(errno::ENOMEM);
            }
            reshape(call, |packet, memory, step| {
                pop(packet, memory, step, offset, LONGER)?;
                (packet.mac, packet.network) = (packet.mac + LONGER, packet.network + LONGER);
                Ok(())
            })?;
        }
        _ => {
            compute_pointers(call.packet_mut()?.0);
            return fail(errno::ENOTSUPP);
        }
    }
    let (context, memory) = call.packet_mut()?;
    set_protocol(context, memory, to);
    context.set_number(memory, HASH, 0);
    Ok(Answer::Value(0))
}

fn change_type(call: &mut Call<'_>) -> Modelled {
    // PACKET_OTHERHOST: only types up to it may be changed, and into each other.
    const LAST: u32 = 3;
    let wanted = call.arg32(1);
    let (context, memory) = call.packet_mut()?;
    if wanted > LAST || context.number(memory, field::PKT_TYPE as usize) > LAST {
        return fail(errno::EINVAL);
    }
    context.set_number(memory, field::PKT_TYPE, wanted);
    Ok(Answer::Value(0))
}

/// Least length of a network header of that protocol.
fn header_length(protocol: u16) -> Option<u32> {
    match protocol {
        ether_type::IP => Some(20),
        ether_type::IPV6 => Some(40),
        _ => None,
    }
}

fn adjust_room(call: &mut Call<'_>) -> Modelled {
    let (difference, mode, flags) = (call.arg32(1) as i32, call.arg32(2), call.args[3]);
    let (count, shrink) = (difference.unsigned_abs(), difference < 0);
    if flags & !room::ALL != 0 {
        return fail(errno::EINVAL);
    }
    if count > 0xfff {
        return fail(errno::EFAULT);
    }
    let (context, packet) = call.packet()?;
    let protocol = protocol(context, &call.machine.memory);
    let Some(header) = header_length(protocol) else { return fail(errno::ENOTSUPP) };
    let offset = match mode {
        0 => mac_length(packet) + header,
        1 => mac_length(packet),
        _ => return fail(errno::ENOTSUPP),
    };
    let mut least = header;
    if flags & room::DECAP_L3 != 0 {
        least = match flags & room::DECAP_L3 {
            _ if !shrink => return fail(errno::EINVAL),
            room::DECAP_L3_IPV4 => 20,
            room::DECAP_L3_IPV6 => 40,
            _ => return fail(errno::EINVAL),
        };
    }
    let extent = packet.extent();
    let current = extent.end.saturating_sub(packet.network);
    let too_short = shrink && (count >= current || current - count < least);
    if too_short || (!shrink && packet.len() + count > MAX_LENGTH) {
        return fail(errno::ENOTSUPP);
    }
    let result = if shrink {
        shrink_room(call, offset, count, flags, protocol)?
    } else {
        grow_room(call, offset, count, flags, protocol)?
    };
    compute_pointers(call.packet_mut()?.0);
    fail(result)
}

/// `bpf_skb_net_shrink`.
fn shrink_room(call: &mut Call<'_>, offset: u32, count: u32, flags: u64, protocol: u16) -> Result<i64, Box<Trap>> {
    if flags & !(room::FIXED_GSO | room::DECAP_L3 | room::NO_CSUM_RESET) != 0 {
        return Ok(errno::EINVAL);
    }
    if call.packet()?.1.len() < offset + count {
        return Ok(errno::ENOMEM);
    }
    reshape(call, |packet, memory, step| {
        pop(packet, memory, step, offset, count)?;
        (packet.mac, packet.network) = (packet.mac + count, packet.network + count);
        Ok(())
    })?;
    let (context, memory) = call.packet_mut()?;
    match protocol {
        ether_type::IP if flags & room::DECAP_L3_IPV6 != 0 => set_protocol(context, memory, ether_type::IPV6),
        ether_type::IPV6 if flags & room::DECAP_L3_IPV4 != 0 => set_protocol(context, memory, ether_type::IP),
        _ => {}
    }
    Ok(0)
}

/// `bpf_skb_net_grow`.
fn grow_room(call: &mut Call<'_>, offset: u32, count: u32, flags: u64, protocol: u16) -> Result<i64, Box<Trap>> {
    let inner_mac = (flags >> 56) as u32;
    let encapsulate = flags & room::ENCAP_L3 != 0;
    if encapsulate {
        let both = |one: u64, two: u64| flags & one != 0 && flags & two != 0;
        if both(room::ENCAP_L3_IPV4, room::ENCAP_L3_IPV6)
            || both(room::ENCAP_L4_GRE, room::ENCAP_L4_UDP)
            || (flags & room::ENCAP_L2_ETH != 0 && inner_mac < ETHERNET)
        {
            return Ok(errno::EINVAL);
        }
        if is_encapsulated(call)? {
            return Ok(errno::EALREADY);
        }
        if inner_mac > count {
            return Ok(errno::EINVAL);
        }
    }
    reshape(call, |packet, memory, step| {
        push(packet, memory, step, offset, count)?;
        let mac = mac_length(packet);
        (packet.mac, packet.network) = (packet.mac - count, packet.network - count);
        if encapsulate {
            packet.network = packet.extent().data + mac;
        }
        Ok(())
    })?;
    if encapsulate {
        let (context, memory) = call.packet_mut()?;
        if let View::Skb(skb) = &mut context.view {
            skb.encapsulated = true;
        }
        match protocol {
            ether_type::IP if flags & room::ENCAP_L3_IPV6 != 0 => set_protocol(context, memory, ether_type::IPV6),
            ether_type::IPV6 if flags & room::ENCAP_L3_IPV4 != 0 => set_protocol(context, memory, ether_type::IP),
            _ => {}
        }
    }
    Ok(0)
}

fn vlan_push(call: &mut Call<'_>) -> Modelled {
    let (protocol, tag) = ((call.arg32(1) as u16).swap_bytes(), call.arg32(2) as u16);
    let protocol = if protocol == ether_type::VLAN_SERVICE { protocol } else { ether_type::VLAN };
    let (context, memory) = call.packet_mut()?;
    if context.number(memory, field::VLAN_PRESENT as usize) != 0 {
        return Err(Trap::unsupported("a second VLAN tag"));
    }
    compute_pointers(context);
    context.set_number(memory, field::VLAN_PRESENT, 1);
    context.set_number(memory, field::VLAN_TCI, tag.into());
    context.set_number(memory, field::VLAN_PROTO, protocol.swap_bytes().into());
    Ok(Answer::Value(0))
}

fn vlan_pop(call: &mut Call<'_>) -> Modelled {
    let (context, memory) = call.packet_mut()?;
    let tagged = [ether_type::VLAN, ether_type::VLAN_SERVICE].contains(&protocol(context, memory));
    if tagged {
        return Err(Trap::unsupported("a VLAN tag inside the packet"));
    }
    compute_pointers(context);
    for field in [field::VLAN_PRESENT, field::VLAN_TCI, field::VLAN_PROTO] {
        context.set_number(memory, field, 0);
    }
    Ok(Answer::Value(0))
}

/// Changes where an XDP packet begins and ends.
fn move_xdp(call: &mut Call<'_>, change: impl FnOnce(&mut Vec<u8>, Extent) -> Extent) -> Modelled {
    let step = call.machine.steps;
    let (context, memory) = call.packet_mut()?;
    if let Some(packet) = &mut context.packet {
        packet.change(memory, step, change)?;
    }
    Ok(Answer::Value(0))
}

fn moved(place: u32, by: i32) -> i64 {
    i64::from(place) + i64::from(by)
}

fn adjust_head(call: &mut Call<'_>) -> Modelled {
    let by = call.arg32(1) as i32;
    let extent = call.packet()?.1.extent();
    let meta = extent.data - extent.meta;
    let data = moved(extent.data, by);
    if data < i64::from(XDP_FRAME + meta) || data > i64::from(extent.end) - i64::from(ETHERNET) {
        return fail(errno::EINVAL);
    }
    move_xdp(call, |buffer, extent| {
        let to = moved(extent.meta, by) as u32;
        buffer.copy_within(extent.meta as usize..extent.data as usize, to as usize);
        Extent { meta: to, data: data as u32, end: extent.end }
    })
}

fn adjust_tail(call: &mut Call<'_>) -> Modelled {
    let by = call.arg32(1) as i32;
    let packet = call.packet()?.1;
    let extent = packet.extent();
    let end = moved(extent.end, by);
    if end > packet.capacity().into() || end < i64::from(extent.data + ETHERNET) {
        return fail(errno::EINVAL);
    }
    move_xdp(call, |buffer, extent| {
        let end = end as u32;
        if end > extent.end {
            buffer[extent.end as usize..end as usize].fill(0);
        }
        Extent { end, ..extent }
    })
}

fn adjust_meta(call: &mut Call<'_>) -> Modelled {
    let by = call.arg32(1) as i32;
    let extent = call.packet()?.1.extent();
    let meta = moved(extent.meta, by);
    if meta < XDP_FRAME.into() || meta > extent.data.into() {
        return fail(errno::EINVAL);
    }
    let length = extent.data - meta as u32;
    if !length.is_multiple_of(4) || length > MAX_META {
        return fail(errno::EACCES);
    }
    move_xdp(call, |_, extent| Extent { meta: meta as u32, ..extent })
}
