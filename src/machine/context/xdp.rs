//! `struct xdp_md` and its packet (`bpf_prog_test_run_xdp`).

use crate::machine::fault::Trap;
use crate::machine::memory::Memory;

use super::{Context, DEFAULT_PACKET, Extent, Input, Making, Output, Packet, Refusal, View, errno};

/// Bytes in front of a packet (`XDP_PACKET_HEADROOM`).
const HEADROOM: u32 = 256;
/// Bytes of the buffer, which is a page.
const PAGE: u32 = 4096;
/// Bytes behind a packet that belong to `struct skb_shared_info`.
const SHARED_INFO: u32 = 320;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Most bytes of metadata (`xdp_metalen_invalid`).
const MAX_META: u32 = 255;
/// Bytes of `struct xdp_md`.
const SIZE: u32 = 24;
/// Interface number of the loopback device.
const LOOPBACK: u32 = 1;

fn word(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn prepare(making: &mut Making, input: &Input) -> Result<Context, Refusal> {
    let bytes = input.packet.clone().unwrap_or_else(|| vec![0; DEFAULT_PACKET]);
    let size = bytes.len() as u32;
    let (mut meta, mut linear) = (0, size);
    if let Some(given) = &input.context {
        let (data, end, data_meta) = (word(given, 0), word(given, 4), word(given, 8));
        if data_meta != 0 || end > size || data > end || !data.is_multiple_of(4) || data > MAX_META {
            return Err(Refusal::Errno(errno::EINVAL));
        }
        if word(given, 20) != 0 || (word(given, 12) == 0 && word(given, 16) != 0) {
            return Err(Refusal::Errno(errno::EINVAL));
        }
        if word(given, 12) > LOOPBACK {
            return Err(Refusal::Errno(errno::ENODEV));
        }
        (meta, linear) = (data, end);
    }
    if (bytes.len() - meta as usize) < ETHERNET {
        return Err(Refusal::Errno(errno::EINVAL));
    }
    if size > linear.min(PAGE - HEADROOM - SHARED_INFO) {
        return Err(Refusal::Trap(Trap::unsupported("an XDP packet in fragments")));
    }
    let mut buffer = vec![0; (PAGE - SHARED_INFO) as usize];
    let start = (HEADROOM - meta) as usize;
    buffer[start..start + bytes.len()].copy_from_slice(&bytes);
    let extent = Extent { meta: HEADROOM - meta, data: HEADROOM, end: HEADROOM - meta + size };
    let mut context = making.context(View::Xdp, SIZE)?;
    context.packet = Some(Packet::new(making.memory, buffer, extent)?);
    context.given.clone_from(&input.context);
    // The receive queue is the loopback device's first.
    context.set_number(making.memory, 12, LOOPBACK);
    context.set_number(making.memory, 16, 0);
    Ok(context)
}

pub(super) fn output(context: &Context, memory: &Memory) -> Output {
    let Some(packet) = &context.packet else { return Output::default() };
    let extent = packet.extent();
    let given = context.given.as_ref().map(|given| {
        let mut given = given.clone();
        given.resize(SIZE as usize, 0);
        given[..4].copy_from_slice(&(extent.data - extent.meta).to_le_bytes());
        given[4..8].copy_from_slice(&(extent.end - extent.meta).to_le_bytes());
        given
    });
    Output { packet: Some(packet.bytes_with_meta(memory).to_vec()), context: given }
}
