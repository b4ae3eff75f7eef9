#!/usr/bin/env bash
# Compiles the kernel's own BPF selftest programs from Debian's linux-source-6.12 package.
#
#   tests/conformance/build.sh OUT_FOLDER VMLINUX_BTF [NAME...]
#
# Without names, all of tools/testing/selftests/bpf/progs is compiled, one object a file; what clang refuses is named. Then
# those that need each other are joined.
# An object that is newer than its source is kept. The same source, clang and BTF give the same bytes in any folder.
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
"$bpftool" btf dump file "$btf" format c > "$include/vmlinux.h.new"
if cmp -s "$include/vmlinux.h.new" "$include/vmlinux.h"; then
    rm "$include/vmlinux.h.new"
else
    mv "$include/vmlinux.h.new" "$include/vmlinux.h"
fi

# The kernel's wchar_t, which vmlinux.h has when the kernel knows code pages, is a short one.
flags="-g -O2 --target=bpf -mcpu=v3 -mlittle-endian -fshort-wchar -D__TARGET_ARCH_x86 -DENABLE_ATOMICS_TESTS
    -Wno-everything -ffile-prefix-map=$out=. -fdebug-compilation-dir=.
    -I$include -I$include/bpf -I$tree/tools/testing/selftests/bpf -I$tree/tools/include/uapi
    -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include"

compile() {
    local name=$1 more=
    local source=$tree/tools/testing/selftests/bpf/progs/$name.c object=$out/objects/$name.bpf.o
    [ "$object" -nt "$source" ] && [ "$object" -nt "$include/vmlinux.h" ] && return
    # As the selftests' Makefile has it.
    case $name in test_l4lb_noinline | test_xdp_noinline) more=-fno-inline ;; esac
    # shellcheck disable=SC2086 # the flags are words
    if clang-19 $flags $more -c "$source" -o "$object.new" 2> "$out/objects/$name.err"; then
        rm "$out/objects/$name.err"
        mv "$object.new" "$object"
    else
        echo "clang refuses $name.c (see $out/objects/$name.err)" >&2
    fi
}
export -f compile
export include tree out flags
if [ $# -eq 0 ]; then
    set -- $(cd "$tree/tools/testing/selftests/bpf/progs" && ls -- *.c | sed 's/\.c$//')
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'compile {}'

# Objects that need each other are joined by libbpf's linker, as the selftests' Makefile has it (LINKED_SKELS): twice, since
# only a second round gives a map that was extern in the first object its place.
join() {
    local object=$out/objects/$1_joined.bpf.o part parts=()
    shift
    for part in "$@"; do
        part=$out/objects/$part.bpf.o
        [ -f "$part" ] || return 0
        parts+=("$part")
    done
    [ "$object" -nt "${parts[0]}" ] && return
    "$bpftool" gen object "$object.once" "${parts[@]}"
    "$bpftool" gen object "$object.new" "$object.once"
    rm "$object.once"
    mv "$object.new" "$object"
}
join test_static_linked test_static_linked1 test_static_linked2
join linked_funcs linked_funcs1 linked_funcs2
join linked_vars linked_vars1 linked_vars2
join linked_maps linked_maps1 linked_maps2
join test_subskeleton test_subskeleton_lib2 test_subskeleton_lib test_subskeleton
join test_subskeleton_lib test_subskeleton_lib2 test_subskeleton_lib
join test_usdt test_usdt test_usdt_multispec
echo "$(find "$out/objects" -name '*.bpf.o' | wc -l) objects in $out/objects"
