#!/usr/bin/env bash
# Compiles the kernel's own BPF selftest programs from Debian's linux-source-6.12 package.
#
#   tests/selftests/build.sh OUT_FOLDER VMLINUX_BTF [NAME...]
#
# Without names, all of tools/testing/selftests/bpf/progs is compiled, one object a file; what clang refuses is named.
# Needs clang-19, bpftool, python3 and the package linux-source-6.12.
set -euo pipefail

out=$(realpath -m "$1")
btf=$(realpath "$2")
shift 2
archive=${KPTRSIM_LINUX_SOURCE:-/usr/src/linux-source-6.12.tar.xz}
[ -f "$archive" ] || { echo "no $archive; install the package linux-source-6.12" >&2; exit 2; }
bpftool=$(PATH=$PATH:/usr/sbin command -v bpftool) || { echo "no bpftool; install the package bpftool" >&2; exit 2; }

tree=$out/source
if [ ! -d "$tree/tools" ]; then
    mkdir -p "$tree.partial"
    tar -xf "$archive" -C "$tree.partial" --strip-components=1 --wildcards \
        '*/tools/testing/selftests/bpf' '*/tools/lib/bpf' '*/tools/include' '*/scripts/bpf_doc.py'
    rm -rf "$tree"
    mv "$tree.partial" "$tree"
fi
include=$out/include
mkdir -p "$include/bpf" "$out/objects"
cp "$tree"/tools/lib/bpf/{bpf_core_read,bpf_endian,bpf_helpers,bpf_tracing,usdt.bpf}.h "$include/bpf/"
python3 "$tree/scripts/bpf_doc.py" --header --file "$tree/tools/include/uapi/linux/bpf.h" \
    > "$include/bpf/bpf_helper_defs.h" 2> /dev/null
"$bpftool" btf dump file "$btf" format c > "$include/vmlinux.h"

selftests=$tree/tools/testing/selftests/bpf
compile() {
    local name=$1
    clang-19 -g -O2 --target=bpf -mcpu=v3 -mlittle-endian -D__TARGET_ARCH_x86 -DENABLE_ATOMICS_TESTS -Wno-everything \
        -I"$include" -I"$include/bpf" -I"$selftests" -I"$tree/tools/include" -I"$tree/tools/include/uapi" \
        -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include \
        -c "$selftests/progs/$name.c" -o "$out/objects/$name.bpf.o" 2> "$out/objects/$name.err" ||
        echo "clang refuses $name.c (see $out/objects/$name.err)" >&2
}
export -f compile
export include selftests tree out
if [ $# -eq 0 ]; then
    set -- $(cd "$selftests/progs" && ls -- *.c | sed 's/\.c$//')
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'compile {}'
ls "$out"/objects/*.bpf.o | wc -l | sed 's/$/ objects/'
