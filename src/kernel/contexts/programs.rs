//! Who sees what: program types and the fields of their contexts.

use super::layouts::{
    CGROUP_DEVICE, NETFILTER, PERF_EVENT, RAW_TRACEPOINT, REGISTERS, SK_BUFF, SOCKET, SOCKET_ADDRESS, SOCKET_LOOKUP,
    SOCKET_MESSAGE, SOCKET_OPERATION, SOCKET_OPTION, SOCKET_REUSE, SYSCALL, SYSCTL, TRACEPOINT,
    WRITABLE_RAW_TRACEPOINT, XDP,
};
use super::{ContextLayout, ProgramContext, Visible, When};
use crate::kernel::{AttachType as A, Capabilities, ProgramType as P};

const fn always(field: &'static str) -> When {
    When { field, attached: &[], needs: Capabilities::empty() }
}

const fn for_users_with(needs: Capabilities, field: &'static str) -> When {
    When { field, attached: &[], needs }
}

const fn when(field: &'static str, attached: &'static [A]) -> When {
    When { field, attached, needs: Capabilities::empty() }
}

/// A context all of whose fields are only read.
const fn read_only(programs: &'static [P], layout: &'static ContextLayout) -> ProgramContext {
    ProgramContext { programs, layout, visible: Visible::AllBut(&[]), limited: &[], writable: &[] }
}

/// `cgroup_inet_ingress` is number 0, which the kernel takes as `cgroup_inet_sock_create` here.
const SOCKET_LIFE: &[A] = &[A::CgroupInetIngress, A::CgroupInetSockCreate, A::CgroupInetSockRelease];
const IP4_ADDRESS: &[A] = &[
    A::CgroupInet4Bind,
    A::CgroupInet4Connect,
    A::CgroupInet4Getpeername,
    A::CgroupInet4Getsockname,
    A::CgroupUdp4Sendmsg,
    A::CgroupUdp4Recvmsg,
];
const IP6_ADDRESS: &[A] = &[
    A::CgroupInet6Bind,
    A::CgroupInet6Connect,
    A::CgroupInet6Getpeername,
    A::CgroupInet6Getsockname,
    A::CgroupUdp6Sendmsg,
    A::CgroupUdp6Recvmsg,
];

/// The table.
pub static PROGRAMS: &[ProgramContext] = &[
    // tc_cls_act_is_valid_access
    ProgramContext {
        programs: &[P::SchedCls, P::SchedAct],
        layout: &SK_BUFF,
        visible: Visible::AllBut(&[
            "family",
            "remote_ip4",
            "local_ip4",
            "remote_ip6",
            "local_ip6",
            "remote_port",
            "local_port",
            "flow_keys",
        ]),
        limited: &[],
        writable: &[
            always("mark"),
            always("tc_index"),
            always("priority"),
            always("tc_classid"),
            always("cb"),
            always("tstamp"),
            always("queue_mapping"),
        ],
    },
    // sk_filter_is_valid_access
    ProgramContext {
        programs: &[P::SocketFilter],
        layout: &SK_BUFF,
        visible: Visible::AllBut(&[
            "tc_classid",
            "data",
            "data_end",
            "family",
            "remote_ip4",
            "local_ip4",
            "remote_ip6",
            "local_ip6",
            "remote_port",
            "local_port",
            "data_meta",
            "flow_keys",
            "tstamp",
            "wire_len",
            "tstamp_type",
            "hwtstamp",
        ]),
        limited: &[],
        writable: &[always("cb")],
    },
    // cg_skb_is_valid_access, with CAP_BPF
    ProgramContext {
        programs: &[P::CgroupSkb],
        layout: &SK_BUFF,
        visible: Visible::AllBut(&["tc_classid", "data_meta", "flow_keys", "wire_len", "tstamp_type"]),
        limited: &[for_users_with(Capabilities::BPF, "data"), for_users_with(Capabilities::BPF, "data_end")],
        writable: &[always("mark"), always("priority"), always("cb"), for_users_with(Capabilities::BPF, "tstamp")],
    },
    // lwt_is_valid_access
    ProgramContext {
        programs: &[P::LwtIn, P::LwtOut, P::LwtXmit, P::LwtSeg6local],
        layout: &SK_BUFF,
        visible: Visible::AllBut(&[
            "tc_classid",
            "family",
            "remote_ip4",
            "local_ip4",
            "remote_ip6",
            "local_ip6",
            "remote_port",
            "local_port",
            "data_meta",
            "flow_keys",
            "tstamp",
            "wire_len",
            "tstamp_type",
            "hwtstamp",
        ]),
        limited: &[],
        writable: &[always("mark"), always("priority"), always("cb")],
    },
    // sk_skb_is_valid_access
    ProgramContext {
        programs: &[P::SkSkb],
        layout: &SK_BUFF,
        visible: Visible::AllBut(&[
            "mark",
            "tc_classid",
            "data_meta",
            "flow_keys",
            "tstamp",
            "wire_len",
            "tstamp_type",
            "hwtstamp",
        ]),
        limited: &[],
        writable: &[always("tc_index"), always("priority")],
    },
    // flow_dissector_is_valid_access
    ProgramContext {
        programs: &[P::FlowDissector],
        layout: &SK_BUFF,
        visible: Visible::Only(&["data", "data_end", "flow_keys"]),
        limited: &[],
        writable: &[],
    },
    // xdp_is_valid_access
    ProgramContext {
        programs: &[P::Xdp],
        layout: &XDP,
        visible: Visible::AllBut(&[]),
        limited: &[when("egress_ifindex", &[A::XdpDevmap])],
        writable: &[],
    },
    // sock_filter_is_valid_access
    ProgramContext {
        programs: &[P::CgroupSock],
        layout: &SOCKET,
        visible: Visible::AllBut(&[]),
        limited: &[
            when("bound_dev_if", SOCKET_LIFE),
            when("mark", SOCKET_LIFE),
            when("priority", SOCKET_LIFE),
            when("src_ip4", &[A::CgroupInet4PostBind]),
            when("src_ip6", &[A::CgroupInet6PostBind]),
            when("src_port", &[A::CgroupInet4PostBind, A::CgroupInet6PostBind]),
        ],
        writable: &[always("bound_dev_if"), always("mark"), always("priority")],
    },
    // sock_addr_is_valid_access
    ProgramContext {
        programs: &[P::CgroupSockAddr],
        layout: &SOCKET_ADDRESS,
        visible: Visible::AllBut(&[]),
        limited: &[
            when("user_ip4", IP4_ADDRESS),
            when("user_ip6", IP6_ADDRESS),
            when("msg_src_ip4", &[A::CgroupUdp4Sendmsg]),
            when("msg_src_ip6", &[A::CgroupUdp6Sendmsg]),
        ],
        writable: &[
            always("user_ip4"),
            always("user_ip6"),
            always("user_port"),
            always("msg_src_ip4"),
            always("msg_src_ip6"),
        ],
    },
    // sock_ops_is_valid_access
    ProgramContext {
        programs: &[P::SockOps],
        layout: &SOCKET_OPERATION,
        visible: Visible::AllBut(&[]),
        limited: &[],
        writable: &[always("reply"), always("sk_txhash")],
    },
    // cg_sockopt_is_valid_access
    ProgramContext {
        programs: &[P::CgroupSockopt],
        layout: &SOCKET_OPTION,
        visible: Visible::AllBut(&[]),
        limited: &[when("retval", &[A::CgroupGetsockopt])],
        writable: &[
            when("level", &[A::CgroupSetsockopt]),
            when("optname", &[A::CgroupSetsockopt]),
            always("optlen"),
            when("retval", &[A::CgroupGetsockopt]),
        ],
    },
    // sysctl_is_valid_access
    ProgramContext {
        programs: &[P::CgroupSysctl],
        layout: &SYSCTL,
        visible: Visible::AllBut(&[]),
        limited: &[],
        writable: &[always("file_pos")],
    },
    // syscall_prog_is_valid_access
    ProgramContext {
        programs: &[P::Syscall],
        layout: &SYSCALL,
        visible: Visible::AllBut(&[]),
        limited: &[],
        writable: &[always("<bytes>")],
    },
    read_only(&[P::SkMsg], &SOCKET_MESSAGE),
    read_only(&[P::SkReuseport], &SOCKET_REUSE),
    read_only(&[P::SkLookup], &SOCKET_LOOKUP),
    read_only(&[P::CgroupDevice], &CGROUP_DEVICE),
    read_only(&[P::Netfilter], &NETFILTER),
    read_only(&[P::Kprobe], &REGISTERS),
    read_only(&[P::Tracepoint], &TRACEPOINT),
    read_only(&[P::PerfEvent], &PERF_EVENT),
    read_only(&[P::RawTracepoint], &RAW_TRACEPOINT),
    read_only(&[P::RawTracepointWritable], &WRITABLE_RAW_TRACEPOINT),
];
