//! `struct __sk_buff` and its packet: what `bpf_prog_test_run_skb` and its siblings make of a run's input.

use crate::kernel::ProgramType;
use crate::machine::kernel_struct::KernelStruct;
use crate::machine::memory::{Contents, Memory};
use crate::machine::region::RegionKind;
use crate::machine::story::RegionId;

use super::socket::{self, AF_INET, AF_INET6};
use super::{Context, DEFAULT_PACKET, Extent, Input, Making, Output, Packet, Refusal, View, errno};

/// Bytes of an Ethernet header.
const ETHERNET: u32 = 14;
/// Bytes in front of a packet (`NET_SKB_PAD`).
const HEADROOM: u32 = 64;
/// Bytes of `struct __sk_buff`.
const SIZE: u32 = 192;
/// Interface number of the loopback device.
const LOOPBACK: u32 = 1;
/// Bytes of `struct bpf_flow_keys`.
const KEYS: u32 = 56;
/// Least lengths of network headers.
const IPV4: usize = 20;
const IPV6: usize = 40;
/// Most bytes of a test run's packet: a page, less what stands around it.
const MAX_PACKET: usize = 4096 - 64 - 320;
/// Lengths of the packets that devices bring: one without a link layer none at all (`tun_get_user`), none more than IP can have.
const ANY_PACKET: std::ops::RangeInclusive<usize> = 0..=u16::MAX as usize;

/// Ethernet types, in host order.
pub(in crate::machine) mod ether_type {
    pub const IP: u16 = 0x0800;
    pub const IPV6: u16 = 0x86dd;
    pub const VLAN: u16 = 0x8100;
    pub const VLAN_SERVICE: u16 = 0x88a8;
    /// What `eth_type_trans` makes of frames with a length in the place of a type.
    pub const RAW_802_3: u16 = 0x0001;
    pub const LLC_802_2: u16 = 0x0004;
    /// Least number that is a type and not a length.
    pub const LEAST: u16 = 0x0600;
}

/// Fields that `BPF_PROG_TEST_RUN` takes out of a context and puts back into it: first byte and byte behind the last.
mod field {
    pub const LEN: u32 = 0;
    pub const PKT_TYPE: u32 = 4;
    pub const MARK: (usize, usize) = (8, 12);
    pub const PROTOCOL: u32 = 16;
    pub const PRIORITY: (usize, usize) = (32, 36);
    pub const INGRESS_IFINDEX: (usize, usize) = (36, 40);
    pub const IFINDEX: (usize, usize) = (40, 44);
    pub const CB: (usize, usize) = (48, 68);
    pub const TSTAMP: (usize, usize) = (152, 160);
    pub const WIRE_LEN: (usize, usize) = (160, 164);
    pub const GSO_SEGS: (usize, usize) = (164, 168);
    pub const GSO_SIZE: (usize, usize) = (176, 180);
    pub const HWTSTAMP: (usize, usize) = (184, 192);
    pub const FAMILY: u32 = 88;
    /// The socket's addresses: of the other side and of this one.
    pub const REMOTE_IP4: u32 = 92;
    pub const LOCAL_IP4: u32 = 96;
    pub const REMOTE_IP6: u32 = 100;
    pub const LOCAL_IP6: u32 = 116;

    /// Taken from the given context.
    pub const TAKEN: [(usize, usize); 8] = [MARK, PRIORITY, INGRESS_IFINDEX, CB, TSTAMP, GSO_SEGS, GSO_SIZE, HWTSTAMP];
    /// Put back.
    pub const GIVEN_BACK: [(usize, usize); 9] =
        [MARK, PRIORITY, INGRESS_IFINDEX, IFINDEX, CB, TSTAMP, WIRE_LEN, GSO_SEGS, HWTSTAMP];
}

/// What is known of a packet's `sk_buff` beyond its context's bytes.
#[derive(Clone, Debug)]
pub(in crate::machine) struct Skb {
    /// Does the data begin with the link-layer header?
    pub link_layer: bool,
    /// Are `data_meta` and `data_end` computed for it?
    pub direct: bool,
    /// Its socket.
    pub socket: RegionId,
    /// Has the program put a header in front of the network header?
    pub encapsulated: bool,
    /// Has the program set a tunnel's key?
    pub tunnel: bool,
}

/// `bpf_prog_test_run_skb`.
pub(super) fn prepare(making: &mut Making, kind: ProgramType, input: &Input) -> Result<Context, Refusal> {
    use ProgramType as P;
    let bytes = input.packet.clone().unwrap_or_else(|| vec![0; DEFAULT_PACKET]);
    let lengths = if making.options.stocked { ANY_PACKET } else { ETHERNET as usize..=MAX_PACKET };
    if !lengths.contains(&bytes.len()) {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    // One too short for a link-layer header has none.
    let is_bare = bytes.len() < ETHERNET as usize;
    let protocol = if is_bare { 0 } else { protocol_of(&bytes) };
    let network = bytes.get(ETHERNET as usize..).unwrap_or_default();
    let (family, least) = match protocol {
        ether_type::IP => (AF_INET, IPV4),
        ether_type::IPV6 => (AF_INET6, IPV6),
        _ => (0, 0),
    };
    if network.len() < least {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    let given = input.context.as_ref().map(|given| {
        let mut given = given.clone();
        given.resize(SIZE as usize, 0);
        given
    });
    if let Some(given) = &given {
        check_given(given)?;
    }
    let link_layer = matches!(kind, P::SchedCls | P::SchedAct);
    let direct = link_layer || matches!(kind, P::LwtIn | P::LwtOut | P::LwtXmit);
    let socket = socket::of_packet(making.memory, network, family, !making.options.stocked)?;
    let mut context =
        making.context(View::Skb(Skb { link_layer, direct, socket, encapsulated: false, tunnel: false }), SIZE)?;
    context.made.push(socket);
    let packet = open_packet(making.memory, &bytes, if link_layer || is_bare { 0 } else { ETHERNET })?;
    let length = packet.len();
    context.packet = Some(packet);
    let Some(region) = context.region else { return Ok(context) };

    let mut seen = vec![0; SIZE as usize];
    let mut put = |at: u32, bytes: &[u8]| seen[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    put(field::LEN, &length.to_le_bytes());
    put(field::PKT_TYPE, &u32::from(packet_type(&bytes)).to_le_bytes());
    put(field::PROTOCOL, &protocol.to_be_bytes());
    put(field::IFINDEX.0 as u32, &LOOPBACK.to_le_bytes());
    put(field::FAMILY, &family.to_le_bytes());
    match family {
        AF_INET => {
            put(field::LOCAL_IP4, &network[12..16]);
            put(field::REMOTE_IP4, &network[16..20]);
        }
        AF_INET6 => {
            put(field::LOCAL_IP6, &network[8..24]);
            put(field::REMOTE_IP6, &network[24..40]);
        }
        _ => {}
    }
    if let Some(given) = &given {
        for (start, end) in field::TAKEN {
            put(start as u32, &given[start..end]);
        }
        let wire = number(given, field::WIRE_LEN.0);
        let wire = if wire == 0 { length } else { wire };
        if wire < length {
            return Err(Refusal::Errno(errno::EINVAL));
        }
        put(field::WIRE_LEN.0 as u32, &wire.to_le_bytes());
    }
    // The pointers stay unwritten: reading them is not reading bytes.
    for (start, end) in [(0, 76), (84, 140), (152, 168), (176, 192)] {
        making.memory.poke(region, start, &seen[start as usize..end]);
    }
    context.given = given;
    Ok(context)
}

fn number(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// A packet whose data begins that many bytes behind its link-layer header.
fn open_packet(memory: &mut Memory, bytes: &[u8], skipped: u32) -> Result<Packet, Refusal> {
    let mut buffer = vec![0; HEADROOM as usize];
    buffer.extend_from_slice(bytes);
    let end = buffer.len() as u32;
    let data = HEADROOM + skipped;
    let mut packet = Packet::new(memory, buffer, Extent { meta: data, data, end })?;
    packet.mac = HEADROOM;
    let header = if bytes.len() < ETHERNET as usize { 0 } else { ETHERNET };
    packet.network = HEADROOM + header;
    Ok(packet)
}

/// Which bytes of a context may be other than zero (`convert___skb_to_skb`).
fn check_given(given: &[u8]) -> Result<(), Refusal> {
    const ALLOWED: [(usize, usize); 5] = [(8, 12), (32, 44), (48, 68), (152, 168), (176, 180)];
    let allowed = |at: usize| ALLOWED.iter().chain(&[field::HWTSTAMP]).any(|&(start, end)| (start..end).contains(&at));
    if given.iter().enumerate().any(|(at, &byte)| byte != 0 && !allowed(at)) {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    if number(given, field::IFINDEX.0) > LOOPBACK {
        return Err(Refusal::Errno(errno::ENODEV));
    }
    Ok(())
}

/// The protocol of a frame, in host order (`eth_type_trans`).
fn protocol_of(frame: &[u8]) -> u16 {
    let at = |offset: usize| frame.get(offset..).and_then(|bytes| bytes.first_chunk()).map(|&b| u16::from_be_bytes(b));
    match at(12).unwrap_or(0) {
        number if number >= ether_type::LEAST => number,
        _ if at(14) == Some(0xffff) => ether_type::RAW_802_3,
        _ => ether_type::LLC_802_2,
    }
}

/// For whom a frame is, as the loopback device with its address of zeros sees it: host, broadcast, multicast, other.
fn packet_type(frame: &[u8]) -> u8 {
    match frame.get(..6) {
        Some([0, 0, 0, 0, 0, 0]) | None => 0,
        Some(address) if address.iter().all(|&byte| byte == 0xff) => 1,
        Some(address) if address[0] & 1 != 0 => 2,
        Some(_) => 3,
    }
}

impl Skb {
    /// The packet with a link-layer header, of zeros where there was none, and the context.
    pub(super) fn output(&self, context: &Context, memory: &Memory) -> Output {
        let Some(packet) = &context.packet else { return Output::default() };
        let mut bytes = if self.link_layer { Vec::new() } else { vec![0; ETHERNET as usize] };
        bytes.extend_from_slice(packet.bytes(memory));
        let seen = context.bytes(memory);
        let given = context.given.as_ref().map(|given| {
            let mut given = given.clone();
            for (start, end) in field::GIVEN_BACK {
                if let (Some(to), Some(from)) = (given.get_mut(start..end), seen.get(start..end)) {
                    to.copy_from_slice(from);
                }
            }
            given
        });
        Output { packet: Some(bytes), context: given }
    }
}

/// `bpf_prog_test_run_flow_dissector`.
pub(super) fn prepare_dissector(making: &mut Making, input: &Input) -> Result<Context, Refusal> {
    let bytes = input.packet.clone().unwrap_or_else(|| vec![0; DEFAULT_PACKET]);
    if bytes.len() < ETHERNET as usize || bytes.len() > MAX_PACKET {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    if input.context.is_some() {
        return Err(Refusal::Trap(crate::machine::fault::Trap::unsupported("a context for a flow dissector")));
    }
    let keys = making.memory.allocate(RegionKind::FlowKeys, KEYS, Contents::Zero, None)?;
    let offset = (ETHERNET as u16).to_le_bytes();
    making.memory.poke(keys, 0, &offset);
    making.memory.poke(keys, 2, &offset);
    making.memory.poke(keys, 10, bytes.get(12..14).unwrap_or_default());
    let hlen = bytes.len() as u16;
    let mut context = making.context(View::FlowDissector { keys, hlen }, SIZE)?;
    context.made.push(keys);
    context.packet = Some(open_packet(making.memory, &bytes, 0)?);
    Ok(context)
}

/// The keys, with their offsets inside the packet (`bpf_flow_dissect`).
pub(super) fn dissector_output(memory: &Memory, keys: RegionId, hlen: u16) -> Output {
    let mut bytes = memory.peek(keys).to_vec();
    let at =
        |bytes: &[u8], offset: usize| bytes.get(offset..).and_then(|b| b.first_chunk()).map(|&b| u16::from_le_bytes(b));
    let network = at(&bytes, 0).unwrap_or(0).max(ETHERNET as u16).min(hlen);
    let transport = at(&bytes, 2).unwrap_or(0).max(network).min(hlen);
    for (offset, value) in [(0, network), (2, transport)] {
        if let Some(place) = bytes.get_mut(offset..offset + 2) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
    Output { packet: Some(bytes), context: None }
}

/// `bpf_prog_test_run_nf`: a packet that is about to leave, from its network header on.
pub(super) fn prepare_netfilter(making: &mut Making, input: &Input) -> Result<Context, Refusal> {
    let bytes = input.packet.clone().unwrap_or_else(|| vec![0; DEFAULT_PACKET]);
    if bytes.len() < IPV4 || bytes.len() > MAX_PACKET {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    let mut context = making.context(View::Plain, 16)?;
    let Some(region) = context.region else { return Ok(context) };
    // NFPROTO_IPV4 at NF_INET_LOCAL_OUT; no devices, socket or network namespace.
    let state: [(&str, &[u8]); 7] = [
        ("hook", &[3]),
        ("pf", &[2]),
        ("in", &[0; 8]),
        ("out", &[0; 8]),
        ("sk", &[0; 8]),
        ("net", &[0; 8]),
        ("okfn", &[0; 8]),
    ];
    let length = (bytes.len() as u32).to_le_bytes();
    let skb: [(&str, &[u8]); 2] = [("len", &length), ("protocol", &ether_type::IP.to_be_bytes())];
    for (offset, name, fields) in [(0, "nf_hook_state", &state[..]), (8, "sk_buff", &skb[..])] {
        let object = kernel_object(making, name, fields)?;
        context.made.push(object);
        let address = making.memory.base(object);
        making.memory.poke(region, offset, &address.to_le_bytes());
        // The packet is the second.
        context.skb = Some(address);
    }
    let mut buffer = vec![0; HEADROOM as usize];
    buffer.extend_from_slice(&bytes);
    let end = buffer.len() as u32;
    context.packet = Some(Packet::new(making.memory, buffer, Extent { meta: HEADROOM, data: HEADROOM, end })?);
    Ok(context)
}

/// A struct of the kernel with those fields filled in.
fn kernel_object(making: &mut Making, name: &str, fields: &[(&str, &[u8])]) -> Result<RegionId, Refusal> {
    let mut object = KernelStruct::new(making.memory, making.types, name)?;
    for (field, bytes) in fields {
        object.set(field, bytes, making.memory);
    }
    Ok(object.region)
}
