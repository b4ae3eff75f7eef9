//! Sources: a BPF program in C or assembly, compiled with the clang that is found.
//!
//! [`compile`] gives the object's bytes. The project's own header, `kptrsim.h`, is on the include path, so that a
//! program that includes it needs nothing else; after all others stand the host's folders, where `linux/bpf.h` finds
//! what it includes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use thiserror::Error;

/// Compilers that are tried, in this order.
const COMPILERS: [&str; 6] = ["clang-19", "clang", "clang-20", "clang-18", "clang-17", "clang-21"];

/// The headers that programs include, so that clang alone compiles them.
pub const HEADERS: [(&str, &str); 2] = [
    ("kptrsim.h", include_str!("../../kfuncs/include/kptrsim.h")),
    ("kptrsim_helpers.h", include_str!("../../kfuncs/include/kptrsim_helpers.h")),
];

/// What clang is told for a C file.
pub const C_OPTIONS: &[&str] = &["-g", "-O2", "--target=bpf", "-mcpu=v3", "-Wall", "-Wno-missing-declarations"];
/// What it is told for assembly text, which may have instructions of every version.
const ASSEMBLY_OPTIONS: &[&str] = &["--target=bpf", "-mcpu=v4"];

/// The environment variable with more options for clang, separated by spaces, such as `-Iinclude -DDEBUG`.
pub const OPTIONS_VARIABLE: &str = "KPTRSIM_CLANG_OPTIONS";

/// What helps where a header is not found.
const MORE_FOLDERS: &str = "Folders to look in can be given in the environment: KPTRSIM_CLANG_OPTIONS=-Iinclude\n";

/// The clang that is found.
struct Clang {
    name: &'static str,
    /// Where it looks for the host's own headers. For BPF it would not look into those of one architecture.
    host_includes: Vec<String>,
}

static CLANG: LazyLock<Option<Clang>> = LazyLock::new(|| COMPILERS.into_iter().find_map(Clang::ask));

impl Clang {
    /// The compiler of that name, if there is one.
    fn ask(name: &'static str) -> Option<Clang> {
        let run = Command::new(name).args(["-v", "-E", "-x", "c", "-"]).stdin(Stdio::null()).output().ok()?;
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        // Its list stands by itself, each folder behind a space.
        let list = told.lines().skip_while(|line| !line.starts_with("#include <")).skip(1);
        let host_includes = list.map_while(|line| line.strip_prefix(' ')).map(str::to_owned).collect();
        Some(Clang { name, host_includes })
    }
}

/// Why there is no object.
#[derive(Debug, Error)]
pub enum CompileError {
    /// A file cannot be read, or not be written.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No compiler.
    #[error("{0} is a source file and no clang was found; install clang-19, or give the compiled object")]
    NoClang(PathBuf),
    /// The compiler refused the source file.
    #[error("{compiler} cannot compile {path}:\n{messages}")]
    Refused {
        /// The compiler.
        compiler: String,
        /// The file.
        path: PathBuf,
        /// What it said.
        messages: String,
    },
}

/// Is it a C or assembly file, by its name?
#[must_use]
pub fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "c" || extension == "s")
}

/// What an object is called: its file name without `.o`, `.bpf.o`, `.bpf.c` or `.bpf.s`.
#[must_use]
pub fn object_name(path: &Path) -> String {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    [".bpf.o", ".bpf.c", ".bpf.s", ".o", ".c", ".s"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .map_or(name.clone(), str::to_owned)
}

/// Compiles a BPF C or assembly file with the clang that is found, and with the options in [`OPTIONS_VARIABLE`].
///
/// # Errors
/// If there is no clang, or it refuses the file.
pub fn compile(path: &Path) -> Result<Vec<u8>, CompileError> {
    compile_with(path, &[])
}

/// The same with more options for clang, such as `-Iinclude` or `-DDEBUG`.
///
/// # Errors
/// If there is no clang, or it refuses the file.
pub fn compile_with(path: &Path, options: &[&str]) -> Result<Vec<u8>, CompileError> {
    let folder = std::env::temp_dir().join(format!("kptrsim-{}-{}", std::process::id(), fresh_number()));
    fs::create_dir_all(&folder).map_err(|source| CompileError::File { path: folder.clone(), source })?;
    let result = compile_in(&folder, path, options);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn fresh_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn compile_in(folder: &Path, path: &Path, more: &[&str]) -> Result<Vec<u8>, CompileError> {
    let read = |path: &Path| fs::read(path).map_err(|source| CompileError::File { path: path.to_owned(), source });
    read(path)?;
    for (name, text) in HEADERS {
        let file = folder.join(name);
        fs::write(&file, text).map_err(|source| CompileError::File { path: file, source })?;
    }
    let output = folder.join("out.bpf.o");
    let is_assembly = path.extension().is_some_and(|extension| extension == "s");
    let options = if is_assembly { ASSEMBLY_OPTIONS } else { C_OPTIONS };
    let clang = CLANG.as_ref().ok_or_else(|| CompileError::NoClang(path.to_owned()))?;
    let users = env::var(OPTIONS_VARIABLE).unwrap_or_default();
    let run = Command::new(clang.name)
        .args(options)
        .args(users.split_whitespace())
        .args(more)
        .arg("-I")
        .arg(folder)
        .args(clang.host_includes.iter().flat_map(|folder| ["-idirafter", folder]))
        // The folder is another one each time; the object's bytes are not to be.
        .arg(format!("-ffile-prefix-map={}=include", folder.display()))
        .arg("-c")
        .arg(path)
        .arg("-o")
        .arg(&output)
        .output();
    let run = run.map_err(|source| CompileError::File { path: clang.name.into(), source })?;
    if !run.status.success() {
        let mut messages = String::from_utf8_lossy(&run.stderr).into_owned();
        if messages.contains("file not found") {
            messages.push_str(MORE_FOLDERS);
        }
        return Err(CompileError::Refused { compiler: clang.name.to_owned(), path: path.to_owned(), messages });
    }
    read(&output)
}
