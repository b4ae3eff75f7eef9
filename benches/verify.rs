//! How long loading and verifying take, by object; run with `cargo bench`.
//!
//! The objects are those committed with the project and, once `tests/conformance/build.sh` has compiled the kernel's
//! selftests, the large ones of these. `KPTRSIM_BENCH_OBJECTS` adds others: folders and `.o` files, separated by colons.
//! `benches/instructions.py` counts host instructions instead of time.

use std::path::{Path, PathBuf};

use divan::Bencher;
use kptrsim::kernel::Profile;
use kptrsim::object::Object;
use kptrsim::verifier::{ObjectVerifier, Options};

fn main() {
    divan::main();
}

/// How the names of the selftests begin that take the kernel's verifier longest.
const LARGE: [&str; 4] = ["loop", "pyperf", "strobemeta", "test_verif_scale"];

/// The large selftests, if they are compiled: in the folder that `tests/conformance/run` uses.
fn large_selftests(root: &Path) -> Vec<PathBuf> {
    let folder = std::env::var_os("KPTRSIM_SELFTESTS_FOLDER").map_or(root.join("target/selftests"), PathBuf::from);
    let entries = std::fs::read_dir(folder.join("objects")).into_iter().flatten().flatten();
    let is_large = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        LARGE.iter().any(|start| name.starts_with(start))
    };
    entries.map(|entry| entry.path()).filter(is_large).collect()
}

fn objects() -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut places = vec![root.join("examples"), root.join("tests/objects")];
    places.extend(large_selftests(&root));
    if let Some(others) = std::env::var_os("KPTRSIM_BENCH_OBJECTS") {
        places.extend(std::env::split_paths(&others));
    }
    let mut found: Vec<String> = places
        .into_iter()
        .flat_map(|place| match std::fs::read_dir(&place) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => vec![place],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
        .map(|path| path.display().to_string())
        .collect();
    found.sort();
    found
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reading an object and relocating its programs.
#[divan::bench(args = objects())]
fn load(bencher: Bencher<'_, '_>, path: &str) {
    let (bytes, profile) = (read(path), Profile::embedded());
    bencher.bench(|| Object::parse(path, &bytes, &profile.load_options()));
}

/// Verifying all programs of an object that is loaded.
#[divan::bench(args = objects())]
fn verify(bencher: Bencher<'_, '_>, path: &str) {
    let (bytes, profile) = (read(path), Profile::embedded());
    let object = Object::parse(path, &bytes, &profile.load_options()).unwrap_or_else(|error| panic!("{path}: {error}"));
    let verifier = ObjectVerifier::new(&object, &profile, Options::default());
    bencher.bench(|| {
        object.programs.iter().map(|program| verifier.verify(program).statistics.insns_processed).sum::<u32>()
    });
}

/// The embedded tables and types, which every use without a kernel's BTF starts from.
#[divan::bench]
fn embedded_profile() -> Profile {
    Profile::embedded()
}
