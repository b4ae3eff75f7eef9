#!/usr/bin/env bash
# Everything that is tested, on a fresh Debian machine with Rust: installs clang, QEMU and what the guest is built from,
# fetches a kernel, and runs the checks and tests, those against the real kernel included.
#
# As root, or with sudo at hand, missing packages are installed; else they are named.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

packages=(clang-19 llvm-19 qemu-system-x86 libelf-dev zlib1g-dev pkg-config make gcc bpftool python3 linux-source-6.12 xz-utils chromium tmux)
python3 -c 'import jsonschema' 2> /dev/null || packages+=(python3-jsonschema)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    step "installing ${missing[*]}"
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi

step "formatting and lints"
cargo fmt --all --check
cargo clippy --all-targets --quiet -- -D warnings

step "the kernel to ask"
export KPTRSIM_CACHE=${KPTRSIM_CACHE:-$PWD/target/kptrsim-cache}
cargo build --quiet
kptrsim=$PWD/target/debug/kptrsim
"$kptrsim" kernel list | grep -q 6.12 || "$kptrsim" kernel fetch 6.12
btf=$(ls -v "$KPTRSIM_CACHE"/kernels/*/vmlinux.btf | tail -n 1)

step "tests"
export KPTRSIM_REQUIRE_CLANG=1 KPTRSIM_REQUIRE_JSONSCHEMA=1 KPTRSIM_REQUIRE_CHROMIUM=1 KPTRSIM_TEST_KERNEL=1 KPTRSIM_TEST_KERNEL_BTF=$btf
cargo test

step "the tests, tested: deliberate mistakes, each of which a suite must find"
cargo test --features seeded-faults --test seeded

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

step "the example project, which has tests of its own"
cp Cargo.lock examples/project/Cargo.lock
CARGO_TARGET_DIR=$PWD/target cargo test --quiet --manifest-path examples/project/Cargo.toml

step "the exam: the kernel's selftests, judged here and by the real kernel"
selftests=target/selftests
KPTRSIM_SELFTESTS_FOLDER=$selftests KPTRSIM_PROFILE=dev tests/conformance/run --check

step "the exam of unprivileged loading"
KPTRSIM_SELFTESTS_FOLDER=$selftests KPTRSIM_PROFILE=dev tests/conformance/run --unpriv --check

step "the exam of results: what selftests return and leave in maps, here and in the real kernel"
KPTRSIM_SELFTESTS_FOLDER=$selftests KPTRSIM_PROFILE=dev tests/conformance/run --runs --check

step "the seed: per-CPU kptrs, run here and in the real kernel"
seed=(--prog test_array_map_1 --prog test_array_map_2 --prog test_array_map_3 --prog test_array_map_4)
"$kptrsim" crosscheck --run "${seed[@]}" --set my_pid=@pid --set nr_cpus=@cpus "$selftests/objects/percpu_alloc_array.bpf.o"
