//! Sockets, and what else the network knows of a packet: its hash, tunnel, security association.
//!
//! There are no sockets but those of packets, so that a search finds none; in a stocked machine it may find one. As
//! `net/core/filter.c`, Linux 6.12.

use std::sync::Arc;

use crate::btf::TypeId;
use crate::kernel::ProgramType;
use crate::machine::context::View;
use crate::machine::event::Event;
use crate::machine::fault::Trap;
use crate::machine::maps::errno;
use crate::machine::memory::Contents;
use crate::machine::region::RegionKind;
use crate::machine::story::RegionId;

use super::packet::HASH;
use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_sk_lookup_tcp", 5, look_up).differs_if_stocked(),
    helper("bpf_sk_lookup_udp", 5, look_up).differs_if_stocked(),
    helper("bpf_skc_lookup_tcp", 5, look_up).differs_if_stocked(),
    helper("bpf_sk_release", 1, release),
    // A packet's socket is a full one, which listens to nothing and is of no protocol.
    helper("bpf_sk_fullsock", 1, |call| of_socket(call, true)).differs_if_stocked(),
    helper("bpf_tcp_sock", 1, |call| of_socket(call, false)).differs_if_stocked(),
    helper("bpf_get_listener_sock", 1, |call| of_socket(call, false)).differs_if_stocked(),
    helper("bpf_skc_to_tcp_sock", 1, as_protocol).differs_if_stocked(),
    helper("bpf_skc_to_tcp6_sock", 1, as_protocol).differs_if_stocked(),
    helper("bpf_skc_to_tcp_timewait_sock", 1, as_protocol).differs_if_stocked(),
    helper("bpf_skc_to_tcp_request_sock", 1, as_protocol).differs_if_stocked(),
    helper("bpf_skc_to_udp6_sock", 1, as_protocol).differs_if_stocked(),
    helper("bpf_skc_to_unix_sock", 1, as_protocol).differs_if_stocked(),
    helper("bpf_skc_to_mptcp_sock", 1, as_protocol).differs_if_stocked(),
    helper("bpf_sk_assign", 3, assign),
    helper("bpf_get_socket_uid", 1, |call| call.packet().map(|_| Answer::Value(0))),
    helper("bpf_get_hash_recalc", 1, hash),
    helper("bpf_set_hash_invalid", 1, |call| set_hash(call, 0)),
    helper("bpf_set_hash", 2, |call| set_hash(call, call.arg32(1))),
    helper("bpf_get_cgroup_classid", 1, |call| call.packet().map(|_| Answer::Value(0))),
    helper("bpf_get_route_realm", 1, |call| call.packet().map(|_| Answer::Value(0))),
    helper("bpf_skb_get_tunnel_key", 4, tunnel_key),
    helper("bpf_skb_set_tunnel_key", 4, set_tunnel_key),
    helper("bpf_skb_get_tunnel_opt", 3, tunnel_options),
    helper("bpf_skb_set_tunnel_opt", 3, set_tunnel_options),
    helper("bpf_skb_get_xfrm_state", 5, security_association),
];

/// Bytes of a socket that a search finds, with what a protocol adds (`struct bpf_sock`, `struct bpf_tcp_sock`).
const FOUND: u32 = 128;

/// A socket of which nobody else has a reference, or none. In a stocked machine there may be one.
fn look_up(call: &mut Call<'_>) -> Modelled {
    if call.machine.branch == 0 {
        return Ok(Answer::Value(0));
    }
    let kind = RegionKind::KernelObject { name: Arc::from(SOCKET), type_id: TypeId::VOID };
    let region = call.machine.allocate(kind, FOUND, Contents::Sparse, call.at)?;
    call.machine.memory.poke(region, 0, &[0; FOUND as usize]);
    call.acquire(region);
    Ok(Answer::Value(call.machine.memory.base(region)))
}

/// What sockets are called here.
const SOCKET: &str = "bpf_sock";

/// That it is a socket which there is.
fn socket(call: &mut Call<'_>) -> Result<RegionId, Box<Trap>> {
    let region = call.start(call.args[0])?;
    if call.kernel_struct(region) != Some(SOCKET) {
        return call.bad("this is no socket");
    }
    call.alive(call.args[0])
}

/// Gives a reference back. The memory of most sockets waits for no grace period (`SLAB_TYPESAFE_BY_RCU`).
fn release(call: &mut Call<'_>) -> Modelled {
    let region = call.start(call.args[0])?;
    let from = call.holder();
    let left = call.machine.ledger.remove(region, from).ok_or_else(|| call.machine.not_owned(region))?;
    call.machine.report.events.push(Event::Ownership(region));
    if left == 0 {
        let step = call.machine.steps;
        call.machine.memory.reclaim(region, step);
        call.machine.report.events.push(Event::Freed(region));
    }
    Ok(Answer::Value(0))
}

/// The socket itself, or NULL: of a packet's socket it is known which, of one that was found it may be either.
fn of_socket(call: &mut Call<'_>, found: bool) -> Modelled {
    let region = socket(call)?;
    let found = match call.machine.memory.region(region).allocated {
        Some(_) => call.machine.branch != 0,
        None => found,
    };
    Ok(Answer::Value(if found { call.args[0] } else { 0 }))
}

/// The socket as one of a protocol, or NULL where it is of another: a packet's is of none.
fn as_protocol(call: &mut Call<'_>) -> Modelled {
    if call.args[0] == 0 {
        return Ok(Answer::Value(0));
    }
    let region = call.start(call.args[0])?;
    match call.kernel_struct(region) {
        Some(SOCKET) => of_socket(call, false),
        Some(name) if name.ends_with("sock") || name == "sock_common" => {
            call.alive(call.args[0])?;
            if !call.machine.options.stocked {
                return Err(Trap::unsupported(format!("{} of a socket that is no packet's", call.name)));
            }
            Ok(Answer::Value(if call.machine.branch == 0 { 0 } else { call.args[0] }))
        }
        _ => call.bad("this is no socket"),
    }
}

fn assign(call: &mut Call<'_>) -> Modelled {
    // BPF_SK_LOOKUP_F_REPLACE, BPF_SK_LOOKUP_F_NO_REUSEPORT.
    const LOOKUP_FLAGS: u64 = 3;
    let (socket, flags) = (call.args[1], call.args[2]);
    let program = ProgramType::from_number(call.execution()?.program.source().section.program_type);
    let is_lookup = program == Some(ProgramType::SkLookup);
    if socket != 0 {
        return Err(Trap::unsupported("bpf_sk_assign of a socket"));
    }
    let refused = if is_lookup { flags & !LOOKUP_FLAGS != 0 } else { true };
    Ok(Answer::Value(if refused { errno::EINVAL as u64 } else { 0 }))
}

/// The kernel's hash has a random key; so has ours.
fn hash(call: &mut Call<'_>) -> Modelled {
    let known = call.packet()?.0.number(&call.machine.memory, HASH as usize);
    let hash = if known == 0 { call.machine.world.random(call.cpu) | 1 } else { known };
    set_hash(call, hash)?;
    Ok(Answer::Value(hash.into()))
}

fn set_hash(call: &mut Call<'_>, hash: u32) -> Modelled {
    let (context, memory) = call.packet_mut()?;
    context.set_number(memory, HASH, hash);
    Ok(Answer::Value(0))
}

/// Sizes that `struct bpf_tunnel_key` had in the past, and has.
const KEY_SIZES: [u32; 5] = [8, 22, 24, 28, 44];

fn has_tunnel(call: &Call<'_>) -> Result<bool, Box<Trap>> {
    Ok(matches!(&call.packet()?.0.view, View::Skb(skb) if skb.tunnel))
}

fn tunnel_key(call: &mut Call<'_>) -> Modelled {
    if has_tunnel(call)? {
        return Err(Trap::unsupported("the tunnel key that the program has set"));
    }
    let (to, size) = (call.args[1], call.arg32(2));
    call.cleared(to, size, errno::EINVAL)
}

fn set_tunnel_key(call: &mut Call<'_>) -> Modelled {
    // BPF_F_TUNINFO_IPV6, ZERO_CSUM_TX, DONT_FRAGMENT, SEQ_NUMBER, NO_TUNNEL_KEY.
    const IPV6: u64 = 1;
    const FLAGS: u64 = 0x1f;
    let (from, size, flags) = (call.args[1], call.arg32(2), call.args[3]);
    if flags & !FLAGS != 0 || !KEY_SIZES.contains(&size) {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let mut key = call.read(from, size.into())?;
    key.resize(44, 0);
    let (extension, label) = (&key[22..24], &key[24..28]);
    let is_set = |bytes: &[u8]| bytes.iter().any(|&byte| byte != 0);
    if (flags & IPV6 == 0 && is_set(label)) || is_set(extension) {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    if let View::Skb(skb) = &mut call.packet_mut()?.0.view {
        skb.tunnel = true;
    }
    Ok(Answer::Value(0))
}

fn tunnel_options(call: &mut Call<'_>) -> Modelled {
    if has_tunnel(call)? {
        return Err(Trap::unsupported("the tunnel options that the program has set"));
    }
    let (to, size) = (call.args[1], call.arg32(2));
    call.cleared(to, size, errno::ENOENT)
}

fn set_tunnel_options(call: &mut Call<'_>) -> Modelled {
    // IP_TUNNEL_OPTS_MAX.
    const MOST: u32 = 255;
    let size = call.arg32(2);
    let result = if !has_tunnel(call)? || !size.is_multiple_of(4) {
        errno::EINVAL
    } else if size > MOST {
        errno::ENOMEM
    } else {
        0
    };
    Ok(Answer::Value(result as u64))
}

fn security_association(call: &mut Call<'_>) -> Modelled {
    call.packet()?;
    let (to, size) = (call.args[2], call.arg32(3));
    call.cleared(to, size, errno::EINVAL)
}
