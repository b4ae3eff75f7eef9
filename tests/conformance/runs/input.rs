//! What each kind of program is given when it is run once: a packet, a context, a way to run it.
//!
//! The input goes by the program's type alone, so that it is the same for every program of that type, here and in the
//! kernel. Start at [`step_of`].

use kptrsim::crosscheck::machine_run;
use kptrsim::crosscheck::protocol::{RunStep, Trigger, to_hex};
use kptrsim::kernel::ProgramType;
use kptrsim::object::Section;

/// Bytes of the context that a `syscall` program finds, all zero.
const SYSCALL_CONTEXT: usize = 1024;
/// Bytes of a raw tracepoint's arguments, all zero (`MAX_BPF_FUNC_ARGS` of eight).
const RAW_TRACEPOINT_CONTEXT: usize = 96;
/// Bytes of `struct __sk_buff`.
const SK_BUFF: usize = 192;
/// Bytes of `struct bpf_sk_lookup`.
const SK_LOOKUP: usize = 72;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// A TCP segment in IPv4 in Ethernet, as the selftests' own: 127.0.0.1:1000 to 127.0.0.1:2000, 46 bytes of payload.
fn packet() -> Vec<u8> {
    const PAYLOAD: usize = 46;
    let mut packet = vec![0; ETHERNET];
    packet[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
    let mut ip = [0x45, 0, 0, 20 + 20 + PAYLOAD as u8, 0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(ip);
    packet.extend(1000u16.to_be_bytes());
    packet.extend(2000u16.to_be_bytes());
    // Sequence numbers, five words of header, SYN, window, no checksum, the selftests' urgent pointer.
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 123]);
    packet.extend((0..PAYLOAD as u8).map(|byte| b'a' + byte % 26));
    packet
}

/// `struct xdp_md` for a packet without metadata.
fn xdp_context(length: usize) -> Vec<u8> {
    let mut context = vec![0; 24];
    context[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    context
}

/// `struct bpf_sk_lookup` of a TCP connection from 127.0.0.1:1000 to 127.0.0.1:2000.
fn lookup_context() -> Vec<u8> {
    let mut context = vec![0; SK_LOOKUP];
    context[8..12].copy_from_slice(&2u32.to_le_bytes());
    context[12..16].copy_from_slice(&6u32.to_le_bytes());
    context[16..20].copy_from_slice(&[127, 0, 0, 1]);
    context[36..38].copy_from_slice(&1000u16.to_be_bytes());
    context[40..44].copy_from_slice(&[127, 0, 0, 1]);
    context[60..64].copy_from_slice(&2000u32.to_le_bytes());
    context
}

/// How a program of that section is run once; `None` if `BPF_PROG_TEST_RUN` does not run it.
pub fn step_of(section: &Section, program: &str) -> Option<RunStep> {
    use ProgramType as P;
    let (packet, context) = match ProgramType::from_number(section.program_type)? {
        P::SocketFilter
        | P::SchedCls
        | P::SchedAct
        | P::CgroupSkb
        | P::LwtIn
        | P::LwtOut
        | P::LwtXmit
        | P::LwtSeg6local => (Some(packet()), Some(vec![0; SK_BUFF])),
        P::Xdp => (Some(packet()), Some(xdp_context(packet().len()))),
        P::FlowDissector => (Some(packet()), None),
        // No link layer where a packet is about to leave.
        P::Netfilter => (Some(packet().split_off(ETHERNET)), None),
        P::SkLookup => (None, Some(lookup_context())),
        P::Syscall => (None, Some(vec![0; SYSCALL_CONTEXT])),
        P::RawTracepoint => (None, Some(vec![0; RAW_TRACEPOINT_CONTEXT])),
        P::Tracing if machine_run::trigger(section) == Trigger::AttachAndTestRun && machine_run::runs_once(section) => {
            (None, None)
        }
        _ => return None,
    };
    Some(RunStep {
        program: program.to_owned(),
        trigger: Trigger::Auto,
        data_in: packet.map(|bytes| to_hex(&bytes)),
        ctx_in: context.map(|bytes| to_hex(&bytes)),
        repeat: 0,
        cpu: Some(0),
    })
}
