//! Sockets as programs see them: the one behind a packet, and a lookup's context.

use std::sync::Arc;

use crate::btf::TypeId;
use crate::machine::fault::Trap;
use crate::machine::memory::{Contents, Memory};
use crate::machine::region::RegionKind;
use crate::machine::story::RegionId;

use super::{Context, Input, Making, Refusal, View, errno};

/// Address families.
pub(super) const AF_INET: u32 = 2;
pub(super) const AF_INET6: u32 = 10;
/// State of a socket that is connected to nothing.
const TCP_CLOSE: u32 = 7;
/// Bytes of `struct bpf_sock`, and where the number of its receive queue is among them.
const SOCKET: u32 = 80;
const RECEIVE_QUEUE: usize = 76;
/// Bytes of `struct bpf_sk_lookup`.
const LOOKUP: usize = 72;

/// The socket of a packet in a test run: unconnected, of no type, with the packet's addresses. It has no receive queue, unless it is not
/// known which.
pub(super) fn of_packet(
    memory: &mut Memory,
    network: &[u8],
    family: u32,
    is_test_run: bool,
) -> Result<RegionId, Box<Trap>> {
    let kind = RegionKind::KernelObject { name: Arc::from("bpf_sock"), type_id: TypeId::VOID };
    let region = memory.allocate(kind, SOCKET, Contents::Sparse, None)?;
    let mut bytes = [0; SOCKET as usize];
    bytes[4..8].copy_from_slice(&family.to_le_bytes());
    // Where source and destination are in the header, how long they are, and where they go.
    let addresses = match family {
        AF_INET => Some((12, 4, 24, 52)),
        AF_INET6 => Some((8, 16, 28, 56)),
        _ => None,
    };
    if let Some((at, size, source, destination)) = addresses {
        for (from, to) in [(at, source), (at + size, destination)] {
            if let Some(address) = network.get(from..from + size) {
                bytes[to..to + size].copy_from_slice(address);
            }
        }
    }
    bytes[72..RECEIVE_QUEUE].copy_from_slice(&TCP_CLOSE.to_le_bytes());
    bytes[RECEIVE_QUEUE..].copy_from_slice(&(-1i32).to_le_bytes());
    memory.poke(region, 0, if is_test_run { &bytes } else { &bytes[..RECEIVE_QUEUE] });
    Ok(region)
}

/// `bpf_prog_test_run_sk_lookup`.
pub(super) fn prepare_lookup(making: &mut Making, input: &Input) -> Result<Context, Refusal> {
    let mut given = input.context.clone().unwrap_or_default();
    if given.get(LOOKUP..).is_some_and(|rest| rest.iter().any(|&byte| byte != 0)) {
        return Err(Refusal::Errno(7));
    }
    given.resize(LOOKUP, 0);
    let word = |offset: usize| given[offset..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if given[..8].iter().any(|&byte| byte != 0) || given[64..].iter().any(|&byte| byte != 0) {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    if word(60) > 0xffff {
        return Err(Refusal::Errno(errno::ERANGE));
    }
    let family = word(8) & 0xffff;
    let mut seen = given.clone();
    seen[8..12].copy_from_slice(&family.to_le_bytes());
    seen[12..16].copy_from_slice(&(word(12) & 0xffff).to_le_bytes());
    seen[38..40].fill(0);
    // Addresses of the other family read as zero.
    let hidden: [std::ops::Range<usize>; 2] = match family {
        AF_INET => [20..36, 44..60],
        AF_INET6 => [16..20, 40..44],
        _ => return Err(Refusal::Errno(errno::EAFNOSUPPORT)),
    };
    for range in hidden {
        seen[range].fill(0);
    }
    let mut context = making.context(View::SkLookup, LOOKUP as u32)?;
    if let Some(region) = context.region {
        making.memory.poke(region, 8, &seen[8..]);
    }
    context.given = Some(given);
    Ok(context)
}
