//! The guest program: where to find it, and how to build it when it is not there.
//!
//! Its sources (`guest/` in the repository) are embedded, so that an installed `kptrsim` can build it; what was built is kept in the
//! cache under the sources' checksum.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::image::{PARTIAL, sweep};
use super::{Cache, CrosscheckError, protocol};

/// The guest crate, file by file. The lock file is the workspace's: cargo drops from it what the guest does not need.
const SOURCES: [(&str, &str); 17] = [
    ("Cargo.toml", include_str!("../../guest/Cargo.toml")),
    ("Cargo.lock", include_str!("../../Cargo.lock")),
    (".cargo/config.toml", include_str!("../../guest/.cargo/config.toml")),
    ("src/main.rs", include_str!("../../guest/src/main.rs")),
    ("src/libbpf.rs", include_str!("../../guest/src/libbpf.rs")),
    ("src/load.rs", include_str!("../../guest/src/load.rs")),
    ("src/maps.rs", include_str!("../../guest/src/maps.rs")),
    ("src/privileges.rs", include_str!("../../guest/src/privileges.rs")),
    ("src/process.rs", include_str!("../../guest/src/process.rs")),
    ("src/protocol.rs", include_str!("../../guest/src/protocol.rs")),
    ("src/race.rs", include_str!("../../guest/src/race.rs")),
    ("src/reset.rs", include_str!("../../guest/src/reset.rs")),
    ("src/run.rs", include_str!("../../guest/src/run.rs")),
    ("src/scenario.rs", include_str!("../../guest/src/scenario.rs")),
    ("src/serve.rs", include_str!("../../guest/src/serve.rs")),
    ("src/setup.rs", include_str!("../../guest/src/setup.rs")),
    ("src/verifier_log.rs", include_str!("../../guest/src/verifier_log.rs")),
];

/// The only target that the guest is built for, as the kernels that are booted are x86-64.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The program's file name.
const PROGRAM: &str = "kptrsim-guest";

/// Lines of cargo's output that an error shows.
const SHOWN_LINES: usize = 15;

/// The guest program: `given`, else `$KPTRSIM_GUEST`, else the cache's, which is built when it is not there.
///
/// `tell` is given one line when a build begins.
///
/// # Errors
/// When the given file does not exist, what the build needs is not installed, or the build fails.
pub fn locate(cache: &Cache, given: Option<&Path>, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, CrosscheckError> {
    let from_environment = env::var_os("KPTRSIM_GUEST").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = given.map(Path::to_owned).or(from_environment) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(CrosscheckError::Missing {
                what: format!("the guest program {}", path.display()),
                remedy: "leave out --guest and KPTRSIM_GUEST to have it built".into(),
            })
        };
    }
    let guests = cache.folder("guest")?;
    let folder = guests.join(checksum());
    let program = folder.join(PROGRAM);
    if !program.is_file() {
        check_tools()?;
        sweep(&guests);
        tell("building the guest program (once)");
        build(&guests, &folder)?;
    }
    Ok(program)
}

/// Names this version of the guest: 16 hexadecimal digits.
fn checksum() -> String {
    let mut hash = Sha256::new();
    for (name, text) in SOURCES.iter().filter(|(name, _)| *name != "Cargo.lock") {
        hash.update(name);
        hash.update([0]);
        hash.update(text);
    }
    protocol::to_hex(&hash.finalize()[..8])
}

/// Looks for what the build needs, so that one message can say all that has to be installed.
fn check_tools() -> Result<(), CrosscheckError> {
    let runs = |name: &str| {
        let status = Command::new(name)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !runs("cargo") {
        return Err(CrosscheckError::Missing {
            what: "cargo (to build the guest program)".into(),
            remedy: "install Rust from https://rustup.rs, or give --guest FILE".into(),
        });
    }
    let tools = [("cc", "gcc libc6-dev"), ("make", "make"), ("pkg-config", "pkg-config")];
    let mut packages: Vec<&str> = tools.iter().filter(|(tool, _)| !runs(tool)).map(|(_, package)| *package).collect();
    let archives = [("libelf.a", "libelf-dev"), ("libz.a", "zlib1g-dev")];
    packages.extend(archives.iter().filter(|(archive, _)| library(archive).is_none()).map(|(_, package)| *package));
    if packages.is_empty() {
        return Ok(());
    }
    Err(CrosscheckError::Missing {
        what: "what the guest program is built from".into(),
        remedy: format!("run `apt-get install {}`, or give --guest FILE", packages.join(" ")),
    })
}

/// Where the C compiler finds a static library.
fn library(archive: &str) -> Option<PathBuf> {
    let output = Command::new("cc").arg(format!("-print-file-name={archive}")).stdin(Stdio::null()).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}

/// Builds the guest in a folder of its own and moves the program into `folder`, which then appears whole.
fn build(guests: &Path, folder: &Path) -> Result<(), CrosscheckError> {
    let staging = TempDir::with_prefix_in(PARTIAL, guests).map_err(|error| CrosscheckError::io(guests, error))?;
    let sources = staging.path().join("sources");
    for (name, text) in SOURCES {
        let path = sources.join(name);
        let parent = path.parent().unwrap_or(&sources);
        fs::create_dir_all(parent).map_err(|error| CrosscheckError::io(parent, error))?;
        fs::write(&path, manifest_or(name, text)).map_err(|error| CrosscheckError::io(&path, error))?;
    }
    let target = staging.path().join("target");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--target", TARGET])
        .current_dir(&sources)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null());
    if let Some(libraries) = library("libelf.a").as_deref().and_then(Path::parent) {
        cargo.env("LIBBPF_SYS_LIBRARY_PATH", libraries);
    }
    let output = cargo
        .output()
        .map_err(|error| CrosscheckError::program("cargo", "install Rust, or give --guest FILE", error))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        return Err(CrosscheckError::GuestBuild { output: shown.join("\n") });
    }
    let ready = staging.path().join("ready");
    fs::create_dir(&ready).map_err(|error| CrosscheckError::io(&ready, error))?;
    let built = target.join(TARGET).join("release").join(PROGRAM);
    fs::copy(&built, ready.join(PROGRAM)).map_err(|error| CrosscheckError::io(&built, error))?;
    match fs::rename(&ready, folder) {
        // Another process was quicker.
        Err(_) if folder.join(PROGRAM).is_file() => Ok(()),
        outcome => outcome.map_err(|error| CrosscheckError::io(folder, error)),
    }
}

/// The manifest as that of a workspace of its own, in case the cache lies inside somebody's; other files as they are.
fn manifest_or(name: &str, text: &str) -> String {
    let workspace = if name == "Cargo.toml" { "\n[workspace]\n" } else { "" };
    format!("{text}{workspace}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_of_the_guest_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/src");
        let mut files: Vec<String> = fs::read_dir(folder)
            .expect("the guest's sources")
            .flatten()
            .map(|entry| format!("src/{}", entry.file_name().to_string_lossy()))
            .collect();
        files.sort();
        let mut embedded: Vec<String> =
            SOURCES.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name.starts_with("src/")).collect();
        embedded.sort();
        assert_eq!(files, embedded);
    }

    #[test]
    fn a_given_guest_that_does_not_exist_is_named() {
        let cache = Cache::at(PathBuf::from("/nonexistent"));
        let error = locate(&cache, Some(Path::new("/nonexistent/guest")), &mut |_| {}).expect_err("no such file");
        assert!(error.to_string().contains("/nonexistent/guest"), "{error}");
    }
}
