//! What a section's name says of the program in it: libbpf's table (`section_defs`, `tools/lib/bpf/libbpf.c`, 6.12).

use super::model::{AttachKind, Section};
use AttachKind::{Function, None, RawTracepoint, StructOps};

/// `BPF_F_SLEEPABLE`: the program may sleep.
pub const SLEEPABLE: u32 = 1 << 4;
/// `BPF_F_XDP_HAS_FRAGS`: the XDP program understands packets in fragments.
pub const XDP_HAS_FRAGS: u32 = 1 << 5;

/// One kind of section.
struct Row {
    /// The name; with a `+` at its end, the name alone or with `/something` behind it.
    pattern: &'static str,
    program_type: u32,
    attach_type: u32,
    flags: u32,
    attach_kind: AttachKind,
}

const fn row(pattern: &'static str, program_type: u32, attach_type: u32, flags: u32, attach_kind: AttachKind) -> Row {
    Row { pattern, program_type, attach_type, flags, attach_kind }
}

/// In the order of libbpf; the first that matches counts. Columns: name, `BPF_PROG_TYPE_*`, `enum bpf_attach_type`,
/// program flags, target.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("socket",                    1,   0, 0, None),
    row("sk_reuseport/migrate",     21,  40, 0, None),
    row("sk_reuseport",             21,  39, 0, None),
    row("kprobe+",                   2,   0, 0, None),
    row("uprobe+",                   2,   0, 0, None),
    row("uprobe.s+",                 2,   0, SLEEPABLE, None),
    row("kretprobe+",                2,   0, 0, None),
    row("uretprobe+",                2,   0, 0, None),
    row("uretprobe.s+",              2,   0, SLEEPABLE, None),
    row("kprobe.multi+",             2,  42, 0, None),
    row("kretprobe.multi+",          2,  42, 0, None),
    row("kprobe.session+",           2,  56, 0, None),
    row("uprobe.multi+",             2,  48, 0, None),
    row("uretprobe.multi+",          2,  48, 0, None),
    row("uprobe.multi.s+",           2,  48, SLEEPABLE, None),
    row("uretprobe.multi.s+",        2,  48, SLEEPABLE, None),
    row("ksyscall+",                 2,   0, 0, None),
    row("kretsyscall+",              2,   0, 0, None),
    row("usdt+",                     2,   0, 0, None),
    row("usdt.s+",                   2,   0, SLEEPABLE, None),
    row("tc/ingress",                3,  46, 0, None),
    row("tc/egress",                 3,  47, 0, None),
    row("tcx/ingress",               3,  46, 0, None),
    row("tcx/egress",                3,  47, 0, None),
    row("tc",                        3,   0, 0, None),
    row("classifier",                3,   0, 0, None),
    row("action",                    4,   0, 0, None),
    row("netkit/primary",            3,  54, 0, None),
    row("netkit/peer",               3,  55, 0, None),
    row("tracepoint+",               5,   0, 0, None),
    row("tp+",                       5,   0, 0, None),
    row("raw_tracepoint+",          17,   0, 0, None),
    row("raw_tp+",                  17,   0, 0, None),
    row("raw_tracepoint.w+",        24,   0, 0, None),
    row("raw_tp.w+",                24,   0, 0, None),
    row("tp_btf+",                  26,  23, 0, RawTracepoint),
    row("fentry+",                  26,  24, 0, Function),
    row("fmod_ret+",                26,  26, 0, Function),
    row("fexit+",                   26,  25, 0, Function),
    row("fentry.s+",                26,  24, SLEEPABLE, Function),
    row("fmod_ret.s+",              26,  26, SLEEPABLE, Function),
    row("fexit.s+",                 26,  25, SLEEPABLE, Function),
    row("freplace+",                28,   0, 0, AttachKind::Program),
    row("lsm+",                     29,  27, 0, Function),
    row("lsm.s+",                   29,  27, SLEEPABLE, Function),
    row("lsm_cgroup+",              29,  43, 0, Function),
    row("iter+",                    26,  28, 0, Function),
    row("iter.s+",                  26,  28, SLEEPABLE, Function),
    row("syscall",                  31,   0, SLEEPABLE, None),
    row("xdp.frags/devmap",          6,  33, XDP_HAS_FRAGS, None),
    row("xdp/devmap",                6,  33, 0, None),
    row("xdp.frags/cpumap",          6,  35, XDP_HAS_FRAGS, None),
    row("xdp/cpumap",                6,  35, 0, None),
    row("xdp.frags",                 6,  37, XDP_HAS_FRAGS, None),
    row("xdp",                       6,  37, 0, None),
    row("perf_event",                7,   0, 0, None),
    row("lwt_in",                   10,   0, 0, None),
    row("lwt_out",                  11,   0, 0, None),
    row("lwt_xmit",                 12,   0, 0, None),
    row("lwt_seg6local",            19,   0, 0, None),
    row("sockops",                  13,   3, 0, None),
    row("sk_skb/stream_parser",     14,   4, 0, None),
    row("sk_skb/stream_verdict",    14,   5, 0, None),
    row("sk_skb/verdict",           14,  38, 0, None),
    row("sk_skb",                   14,   0, 0, None),
    row("sk_msg",                   16,   7, 0, None),
    row("lirc_mode2",               20,  16, 0, None),
    row("flow_dissector",           22,  17, 0, None),
    row("cgroup_skb/ingress",        8,   0, 0, None),
    row("cgroup_skb/egress",         8,   1, 0, None),
    row("cgroup/skb",                8,   0, 0, None),
    row("cgroup/sock_create",        9,   2, 0, None),
    row("cgroup/sock_release",       9,  34, 0, None),
    row("cgroup/sock",               9,   2, 0, None),
    row("cgroup/post_bind4",         9,  12, 0, None),
    row("cgroup/post_bind6",         9,  13, 0, None),
    row("cgroup/bind4",             18,   8, 0, None),
    row("cgroup/bind6",             18,   9, 0, None),
    row("cgroup/connect4",          18,  10, 0, None),
    row("cgroup/connect6",          18,  11, 0, None),
    row("cgroup/connect_unix",      18,  49, 0, None),
    row("cgroup/sendmsg4",          18,  14, 0, None),
    row("cgroup/sendmsg6",          18,  15, 0, None),
    row("cgroup/sendmsg_unix",      18,  50, 0, None),
    row("cgroup/recvmsg4",          18,  19, 0, None),
    row("cgroup/recvmsg6",          18,  20, 0, None),
    row("cgroup/recvmsg_unix",      18,  51, 0, None),
    row("cgroup/getpeername4",      18,  29, 0, None),
    row("cgroup/getpeername6",      18,  30, 0, None),
    row("cgroup/getpeername_unix",  18,  52, 0, None),
    row("cgroup/getsockname4",      18,  31, 0, None),
    row("cgroup/getsockname6",      18,  32, 0, None),
    row("cgroup/getsockname_unix",  18,  53, 0, None),
    row("cgroup/sysctl",            23,  18, 0, None),
    row("cgroup/getsockopt",        25,  21, 0, None),
    row("cgroup/setsockopt",        25,  22, 0, None),
    row("cgroup/dev",               15,   6, 0, None),
    row("struct_ops+",              27,   0, 0, StructOps),
    row("struct_ops.s+",            27,   0, SLEEPABLE, StructOps),
    row("sk_lookup",                30,  36, 0, None),
    row("netfilter",                32,  45, 0, None),
];

impl Row {
    fn matches(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('+') {
            Some(prefix) => name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Option::None => name == self.pattern,
        }
    }
}

impl Section {
    /// Reads a section name. A name that libbpf does not know gives program type 0, which the kernel's loader refuses.
    #[must_use]
    pub fn parse(name: &str) -> Section {
        let (optional, plain) = match name.strip_prefix('?') {
            Some(plain) => (true, plain),
            Option::None => (false, name),
        };
        let row = ROWS.iter().find(|row| row.matches(plain));
        // libbpf takes a target only where the table has a place for one.
        let target = row
            .filter(|row| row.pattern.ends_with('+'))
            .and_then(|_| plain.split_once('/'))
            .map_or("", |(_, target)| target);
        let flags = row.map_or(0, |row| row.flags);
        Section {
            name: name.to_owned(),
            optional,
            program_type: row.map_or(0, |row| row.program_type),
            attach_type: row.map_or(0, |row| row.attach_type),
            attach_kind: row.map_or(None, |row| row.attach_kind),
            target: target.to_owned(),
            sleepable: flags & SLEEPABLE != 0,
            program_flags: flags,
        }
    }
}
