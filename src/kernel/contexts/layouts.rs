//! The structs: `include/uapi/linux/bpf.h`, Linux 6.12, with the sizes that the kernel lets programs use.

use super::{ContextField, ContextLayout, Gives, Sizes};
use Sizes::{Between, Exact, ExactOrWide, Inside, Never, UpTo, UpToAtStart, UpToOrWide};

const fn field(name: &'static str, start: u32, end: u32, read: Sizes, write: Sizes) -> ContextField {
    ContextField { name, start, end, read, write, gives: Gives::Number }
}

/// Read only.
const fn reads(name: &'static str, start: u32, end: u32, read: Sizes) -> ContextField {
    field(name, start, end, read, Never)
}

/// A pointer, which is read whole.
const fn pointer(name: &'static str, start: u32, end: u32, gives: Gives) -> ContextField {
    ContextField { name, start, end, read: Exact(end - start), write: Never, gives }
}

/// Numbers of four bytes of `__sk_buff` may be read in part and written whole.
const fn number(name: &'static str, start: u32) -> ContextField {
    field(name, start, start + 4, UpTo(4), Exact(4))
}

/// A number of four bytes that is read whole.
const fn whole(name: &'static str, start: u32) -> ContextField {
    reads(name, start, start + 4, Exact(4))
}

/// Of `struct bpf_sock`, fields that are hidden while it is not known to be a full socket.
pub const SOCKET_COMMON_HIDDEN: &[&str] = &["type", "protocol", "mark", "priority"];

/// `struct __sk_buff` (`bpf_skb_is_valid_access`).
pub static SK_BUFF: ContextLayout = ContextLayout {
    name: "__sk_buff",
    fields: &[
        number("len", 0),
        number("pkt_type", 4),
        number("mark", 8),
        number("queue_mapping", 12),
        number("protocol", 16),
        number("vlan_present", 20),
        number("vlan_tci", 24),
        number("vlan_proto", 28),
        number("priority", 32),
        number("ingress_ifindex", 36),
        number("ifindex", 40),
        number("tc_index", 44),
        field("cb", 48, 68, Inside, Inside),
        number("hash", 68),
        number("tc_classid", 72),
        pointer("data", 76, 80, Gives::Packet),
        pointer("data_end", 80, 84, Gives::PacketEnd),
        number("napi_id", 84),
        number("family", 88),
        whole("remote_ip4", 92),
        whole("local_ip4", 96),
        reads("remote_ip6", 100, 116, Exact(4)),
        reads("local_ip6", 116, 132, Exact(4)),
        number("remote_port", 132),
        number("local_port", 136),
        pointer("data_meta", 140, 144, Gives::PacketMeta),
        pointer("flow_keys", 144, 152, Gives::FlowKeys),
        field("tstamp", 152, 160, Exact(8), Exact(8)),
        number("wire_len", 160),
        number("gso_segs", 164),
        pointer("sk", 168, 176, Gives::SocketCommonOrNull),
        number("gso_size", 176),
        reads("tstamp_type", 180, 181, Exact(1)),
        reads("hwtstamp", 184, 192, Exact(8)),
    ],
};

/// `struct xdp_md` (`xdp_is_valid_access`).
pub static XDP: ContextLayout = ContextLayout {
    name: "xdp_md",
    fields: &[
        pointer("data", 0, 4, Gives::Packet),
        pointer("data_end", 4, 8, Gives::PacketEnd),
        pointer("data_meta", 8, 12, Gives::PacketMeta),
        whole("ingress_ifindex", 12),
        whole("rx_queue_index", 16),
        whole("egress_ifindex", 20),
    ],
};

/// `struct bpf_sock` (`bpf_sock_is_valid_access`).
pub static SOCKET: ContextLayout = ContextLayout {
    name: "bpf_sock",
    fields: &[
        field("bound_dev_if", 0, 4, Exact(4), Exact(4)),
        reads("family", 4, 8, UpToAtStart(4)),
        reads("type", 8, 12, UpToAtStart(4)),
        reads("protocol", 12, 16, UpToAtStart(4)),
        field("mark", 16, 20, Exact(4), Exact(4)),
        field("priority", 20, 24, Exact(4), Exact(4)),
        reads("src_ip4", 24, 28, UpTo(4)),
        reads("src_ip6", 28, 44, UpTo(4)),
        reads("src_port", 44, 48, UpToAtStart(4)),
        reads("dst_port", 48, 50, UpTo(4)),
        reads("dst_ip4", 52, 56, UpTo(4)),
        reads("dst_ip6", 56, 72, UpTo(4)),
        reads("state", 72, 76, UpToAtStart(4)),
        reads("rx_queue_mapping", 76, 80, UpToAtStart(4)),
    ],
};

/// `struct bpf_tcp_sock` (`bpf_tcp_sock_is_valid_access`).
pub static TCP_SOCKET: ContextLayout = ContextLayout {
    name: "bpf_tcp_sock",
    fields: &[
        reads("snd_cwnd", 0, 80, Exact(4)),
        // The kernel looks at the first byte only: four bytes in the middle of these are fine.
        reads("bytes_received", 80, 81, Exact(8)),
        reads("<upper half of bytes_received>", 84, 88, Exact(4)),
        reads("bytes_acked", 88, 89, Exact(8)),
        reads("<upper half of bytes_acked>", 92, 96, Exact(4)),
        reads("dsack_dups", 96, 112, Exact(4)),
    ],
};

/// `struct bpf_xdp_sock` (`bpf_xdp_sock_is_valid_access`).
pub static XDP_SOCKET: ContextLayout = ContextLayout { name: "bpf_xdp_sock", fields: &[whole("queue_id", 0)] };

/// `struct bpf_sock_addr` (`sock_addr_is_valid_access`).
pub static SOCKET_ADDRESS: ContextLayout = ContextLayout {
    name: "bpf_sock_addr",
    fields: &[
        whole("user_family", 0),
        number("user_ip4", 4),
        field("user_ip6", 8, 24, UpToOrWide(4), ExactOrWide(4)),
        number("user_port", 24),
        whole("family", 28),
        whole("type", 32),
        whole("protocol", 36),
        number("msg_src_ip4", 40),
        field("msg_src_ip6", 44, 60, UpToOrWide(4), ExactOrWide(4)),
        pointer("sk", 64, 72, Gives::Socket),
    ],
};

/// `struct bpf_sock_ops` (`sock_ops_is_valid_access`).
pub static SOCKET_OPERATION: ContextLayout = ContextLayout {
    name: "bpf_sock_ops",
    fields: &[
        whole("op", 0),
        field("reply", 4, 8, Exact(4), Exact(4)),
        reads("args", 8, 20, Exact(4)),
        reads("family", 20, 164, Exact(4)),
        field("sk_txhash", 164, 168, Exact(4), Exact(4)),
        reads("bytes_received", 168, 184, Exact(8)),
        pointer("sk", 184, 192, Gives::SocketOrNull),
        pointer("skb_data", 192, 200, Gives::Packet),
        pointer("skb_data_end", 200, 208, Gives::PacketEnd),
        whole("skb_len", 208),
        reads("skb_tcp_flags", 212, 216, UpToAtStart(4)),
        reads("skb_hwtstamp", 216, 224, Exact(8)),
    ],
};

/// `struct sk_msg_md` (`sk_msg_is_valid_access`).
pub static SOCKET_MESSAGE: ContextLayout = ContextLayout {
    name: "sk_msg_md",
    fields: &[
        pointer("data", 0, 8, Gives::Packet),
        pointer("data_end", 8, 16, Gives::PacketEnd),
        reads("family", 16, 72, Exact(4)),
        pointer("sk", 72, 80, Gives::Socket),
    ],
};

/// `struct sk_reuseport_md` (`sk_reuseport_is_valid_access`).
pub static SOCKET_REUSE: ContextLayout = ContextLayout {
    name: "sk_reuseport_md",
    fields: &[
        pointer("data", 0, 8, Gives::Packet),
        pointer("data_end", 8, 16, Gives::PacketEnd),
        reads("len", 16, 20, UpTo(4)),
        reads("eth_protocol", 20, 24, Between(2, 4)),
        reads("ip_protocol", 24, 28, UpTo(4)),
        reads("bind_inany", 28, 32, UpTo(4)),
        whole("hash", 32),
        pointer("sk", 40, 48, Gives::Socket),
        pointer("migrating_sk", 48, 56, Gives::SocketCommonOrNull),
    ],
};

/// `struct bpf_sk_lookup` (`sk_lookup_is_valid_access`).
pub static SOCKET_LOOKUP: ContextLayout = ContextLayout {
    name: "bpf_sk_lookup",
    fields: &[
        pointer("sk", 0, 8, Gives::SocketOrNull),
        reads("family", 8, 12, UpTo(4)),
        reads("protocol", 12, 16, UpTo(4)),
        reads("remote_ip4", 16, 20, UpTo(4)),
        reads("remote_ip6", 20, 36, UpTo(4)),
        // Two bytes, but programs from before it was narrowed read four.
        reads("remote_port", 36, 38, UpTo(4)),
        reads("<padding>", 38, 40, UpTo(2)),
        reads("local_ip4", 40, 44, UpTo(4)),
        reads("local_ip6", 44, 60, UpTo(4)),
        reads("local_port", 60, 64, UpTo(4)),
        reads("ingress_ifindex", 64, 68, UpTo(4)),
    ],
};

/// `struct bpf_cgroup_dev_ctx` (`cgroup_dev_is_valid_access`).
pub static CGROUP_DEVICE: ContextLayout = ContextLayout {
    name: "bpf_cgroup_dev_ctx",
    fields: &[reads("access_type", 0, 4, UpTo(4)), whole("major", 4), whole("minor", 8)],
};

/// `struct bpf_sysctl` (`sysctl_is_valid_access`).
pub static SYSCTL: ContextLayout =
    ContextLayout { name: "bpf_sysctl", fields: &[reads("write", 0, 4, UpTo(4)), number("file_pos", 4)] };

/// `struct bpf_sockopt` (`cg_sockopt_is_valid_access`).
pub static SOCKET_OPTION: ContextLayout = ContextLayout {
    name: "bpf_sockopt",
    fields: &[
        pointer("sk", 0, 8, Gives::Socket),
        pointer("optval", 8, 16, Gives::Packet),
        pointer("optval_end", 16, 24, Gives::PacketEnd),
        field("level", 24, 28, Exact(4), Exact(4)),
        field("optname", 28, 32, Exact(4), Exact(4)),
        field("optlen", 32, 36, Exact(4), Exact(4)),
        field("retval", 36, 40, Exact(4), Exact(4)),
    ],
};

/// `struct bpf_nf_ctx` (`nf_is_valid_access`).
pub static NETFILTER: ContextLayout = ContextLayout {
    name: "bpf_nf_ctx",
    fields: &[pointer("state", 0, 8, Gives::Object("nf_hook_state")), pointer("skb", 8, 16, Gives::Object("sk_buff"))],
};

/// `struct pt_regs` of x86-64 (`kprobe_prog_is_valid_access`).
pub static REGISTERS: ContextLayout =
    ContextLayout { name: "pt_regs", fields: &[reads("<registers>", 0, 168, Inside)] };

/// A tracepoint's record (`tp_prog_is_valid_access`).
pub static TRACEPOINT: ContextLayout =
    ContextLayout { name: "<tracepoint record>", fields: &[reads("<record>", 8, 8192, Inside)] };

/// `struct bpf_perf_event_data` (`pe_prog_is_valid_access`).
pub static PERF_EVENT: ContextLayout = ContextLayout {
    name: "bpf_perf_event_data",
    fields: &[
        reads("regs", 0, 168, Exact(8)),
        reads("sample_period", 168, 176, UpTo(8)),
        reads("addr", 176, 184, UpTo(8)),
    ],
};

/// A raw tracepoint's arguments (`bpf_tracing_ctx_access`).
pub static RAW_TRACEPOINT: ContextLayout =
    ContextLayout { name: "bpf_raw_tracepoint_args", fields: &[reads("args", 0, 96, Inside)] };

/// The same, where the first argument is a buffer that programs may write (`raw_tp_writable_prog_is_valid_access`).
pub static WRITABLE_RAW_TRACEPOINT: ContextLayout = ContextLayout {
    name: "bpf_raw_tracepoint_args",
    fields: &[
        ContextField {
            name: "args[0]",
            start: 0,
            end: 1,
            read: Exact(8),
            write: Never,
            gives: Gives::TracepointBuffer,
        },
        reads("args", 1, 96, Inside),
    ],
};

/// What the caller of a syscall program passes (`syscall_prog_is_valid_access`).
pub static SYSCALL: ContextLayout =
    ContextLayout { name: "<context of a syscall program>", fields: &[field("<bytes>", 0, 65535, UpTo(8), UpTo(8))] };
