#!/usr/bin/env bash
# Verifies and runs the first example: needs Rust only, no clang, no QEMU, no kernel, no root.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet
show() {
    printf '\n$ kptrsim %s\n' "$*"
    cargo run --quiet -- "$@"
}
show verify examples/percpu_counter.bpf.o
show run examples/percpu_counter.bpf.o --cpus 4 --prog create --prog count --prog sum --prog destroy --set nr_cpus=4
