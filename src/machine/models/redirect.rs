//! Where packets go: redirection, routes and lengths that a device takes.
//!
//! The only device is the loopback device of a fresh network namespace, number 1: it is down, forwards nothing, and no maps
//! of devices or sockets have entries. As `net/core/filter.c`, Linux 6.12.

use crate::kernel::ProgramType;
use crate::machine::fault::Trap;
use crate::machine::maps::errno;

use super::{Answer, Call, Model, Modelled, helper};

pub(super) static MODELS: &[Model] = &[
    helper("bpf_redirect", 2, redirect),
    helper("bpf_redirect_peer", 2, |call| to_device(call.args[1] == 0)),
    helper("bpf_redirect_neigh", 4, redirect_neigh),
    helper("bpf_redirect_map", 3, redirect_map),
    helper("bpf_clone_redirect", 3, clone_redirect),
    helper("bpf_check_mtu", 5, check_mtu),
    helper("bpf_fib_lookup", 4, fib_lookup),
];

/// Number of the loopback device, its largest packet without link-layer header, and that header's length.
const LOOPBACK: u32 = 1;
const MTU: i32 = 65_536;
const HEADER: i32 = 14;
/// `TC_ACT_SHOT`, `TC_ACT_REDIRECT`.
const SHOT: u64 = 2;
const TC_REDIRECT: u64 = 7;
/// `XDP_ABORTED`, `XDP_REDIRECT`.
const ABORTED: u64 = 0;
const XDP_REDIRECT: u64 = 4;
/// `BPF_F_INGRESS`.
const INGRESS: u64 = 1;
/// Results of a route's lookup: the device forwards nothing (`BPF_FIB_LKUP_RET_FWD_DISABLED`).
const FORWARDING_DISABLED: u64 = 5;
/// Bytes of `struct bpf_fib_lookup`, `struct bpf_redir_neigh`.
const FIB_LOOKUP: i32 = 64;
const NEIGHBOUR: i32 = 20;
/// Address families.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

fn program_type(call: &mut Call<'_>) -> Result<Option<ProgramType>, Box<Trap>> {
    Ok(ProgramType::from_number(call.execution()?.program.source().section.program_type))
}

fn to_device(allowed: bool) -> Modelled {
    Ok(Answer::Value(if allowed { TC_REDIRECT } else { SHOT }))
}

fn redirect(call: &mut Call<'_>) -> Modelled {
    let flags = call.args[1];
    match program_type(call)? {
        Some(ProgramType::Xdp) => Ok(Answer::Value(if flags == 0 { XDP_REDIRECT } else { ABORTED })),
        Some(ProgramType::LwtXmit) => Err(Trap::unsupported("bpf_redirect on a light-weight tunnel")),
        _ => to_device(flags & !INGRESS == 0),
    }
}

fn redirect_neigh(call: &mut Call<'_>) -> Modelled {
    let (length, flags) = (call.arg32(2) as i32, call.args[3]);
    to_device((length == 0 || length >= NEIGHBOUR) && flags == 0)
}

/// No program can fill a map of devices or CPUs, so that the lookup finds nothing.
fn redirect_map(call: &mut Call<'_>) -> Modelled {
    // BPF_MAP_TYPE_DEVMAP, DEVMAP_HASH; CPUMAP, XSKMAP.
    const DEVICES: [u32; 2] = [14, 25];
    const OTHERS: [u32; 2] = [16, 17];
    // BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS; the results that the lower bits of the flags may ask for.
    const BROADCAST: u64 = 8;
    const EXCLUDE_INGRESS: u64 = 16;
    const RESULTS: u64 = 3;
    let map = call.machine.map_at(call.name, call.args[0])?;
    let flags = call.args[2];
    let allowed = match call.machine.maps[map as usize].map_type {
        kind if DEVICES.contains(&kind) => BROADCAST | EXCLUDE_INGRESS | RESULTS,
        kind if OTHERS.contains(&kind) => RESULTS,
        kind => return Err(Trap::unsupported(format!("bpf_redirect_map on a map of type {kind}"))),
    };
    Ok(Answer::Value(match flags {
        _ if flags & !allowed != 0 => ABORTED,
        _ if flags & BROADCAST != 0 => XDP_REDIRECT,
        _ => flags & RESULTS,
    }))
}

fn clone_redirect(call: &mut Call<'_>) -> Modelled {
    let (device, flags) = (call.arg32(1), call.args[2]);
    call.packet()?;
    if flags & !INGRESS != 0 || device != LOOPBACK {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    Err(Trap::unsupported("a copy of the packet on the loopback device"))
}

fn check_mtu(call: &mut Call<'_>) -> Modelled {
    // BPF_MTU_CHK_SEGS; BPF_MTU_CHK_RET_FRAG_NEEDED.
    const SEGMENTS: u64 = 1;
    const FRAGMENTS_NEEDED: u64 = 1;
    let (device, place, difference, flags) = (call.arg32(1), call.args[2], call.arg32(3) as i32, call.args[4]);
    let packet = call.packet()?.1.len() as i32;
    let is_xdp = program_type(call)? == Some(ProgramType::Xdp);
    let given = call.read(place, 4)?.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
    let segments = flags & SEGMENTS != 0;
    if flags & !SEGMENTS != 0 || (segments && (is_xdp || difference != 0 || given != 0)) {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    if device > LOOPBACK {
        return Ok(Answer::Value(errno::ENODEV as u64));
    }
    let length = if given != 0 { given.wrapping_add(HEADER) } else { packet };
    call.write(place, &MTU.to_le_bytes())?;
    let fits = length.wrapping_add(difference) <= MTU + HEADER;
    Ok(Answer::Value(if fits { 0 } else { FRAGMENTS_NEEDED }))
}

fn fib_lookup(call: &mut Call<'_>) -> Modelled {
    // BPF_FIB_LOOKUP_DIRECT, OUTPUT, SKIP_NEIGH, TBID, SRC, MARK.
    const FLAGS: u32 = 0x3f;
    let (place, length, flags) = (call.args[1], call.arg32(2) as i32, call.arg32(3));
    call.packet()?;
    if length < FIB_LOOKUP || flags & !FLAGS != 0 {
        return Ok(Answer::Value(errno::EINVAL as u64));
    }
    let asked = call.read(place, FIB_LOOKUP as u64)?;
    let device = asked.get(8..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Ok(Answer::Value(match asked.first() {
        Some(&(AF_INET | AF_INET6)) if device != LOOPBACK => errno::ENODEV as u64,
        Some(&(AF_INET | AF_INET6)) => FORWARDING_DISABLED,
        _ => errno::EAFNOSUPPORT as u64,
    }))
}
