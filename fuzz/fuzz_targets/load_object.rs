//! Feeds any bytes to the loader: they load or are refused, without panic, hang or unbounded memory.
//!
//! With cargo-fuzz: `cargo fuzz run load_object`. On stable without it, from the folder `fuzz`:
//! ```text
//! RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table" \
//!   cargo run --release --target x86_64-unknown-linux-gnu --bin load_object -- -max_len=65536 corpus/load_object ../tests/objects
//! ```
//! The explicit target keeps the flags away from build scripts.

#![no_main]

use kptrsim::object::{LoadOptions, Object};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = Object::parse("fuzz", bytes, &LoadOptions::default()) else { return };
    // Its own types stand in for a kernel's, which reaches the code for CO-RE.
    if let Some(btf) = object.btf.as_deref() {
        let options =
            LoadOptions { kernel_btf: Some(btf), kernel_config: Some("CONFIG_HZ=250\n"), ..LoadOptions::default() };
        let _ = Object::parse("fuzz", bytes, &options);
        let _ = kptrsim::btf::fields::local_structs(btf);
    }
});
