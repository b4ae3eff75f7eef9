//! The program files: finding them, compiling them.
//!
//! They are compiled as anyone would compile them, by clang alone, with the header in `kfuncs/include`. The instruction numbers in the
//! expectations are those of clang 19's code, so no other version will do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use kptrsim::object::Object;

use crate::expectation::Expectations;

/// The major version of clang that the expectations were recorded with.
const CLANG_MAJOR: &str = "19";

/// Where a file stands says what its programs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Every program is accepted.
    Accept,
    /// Every program is rejected.
    Reject,
    /// Programs whose results matter, be they accepted or not.
    Run,
    /// Accepted, run, and read by people.
    Examples,
    /// Rejected, for readers to mend.
    Rejected,
    /// The same, mended.
    Mended,
}

impl Folder {
    /// Those whose files say what is expected of them.
    const WITH_EXPECTATIONS: [Folder; 4] = [Folder::Accept, Folder::Reject, Folder::Run, Folder::Examples];

    /// Its path from the repository's top.
    pub fn path(self) -> &'static str {
        match self {
            Folder::Accept => "tests/programs/accept",
            Folder::Reject => "tests/programs/reject",
            Folder::Run => "tests/programs/run",
            Folder::Examples => "examples",
            Folder::Rejected => "examples/rejected",
            Folder::Mended => "examples/rejected/mended",
        }
    }

    /// Its program files, in order of their names.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn sources(self) -> Result<Vec<Source>, String> {
        let path = top().join(self.path());
        let entries = fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".bpf.c")?.to_owned()))
            .collect();
        names.sort();
        let read = |name: String| {
            let file = path.join(format!("{name}.bpf.c"));
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok(Source { folder: self, name, text, object: OnceLock::new() })
        };
        names.into_iter().map(read).collect()
    }
}

/// One program file.
#[derive(Debug)]
pub struct Source {
    /// Its folder.
    pub folder: Folder,
    /// Its name without `.bpf.c`.
    pub name: String,
    /// Its text.
    pub text: String,
    object: OnceLock<Result<Vec<u8>, String>>,
}

impl Source {
    /// Its path from the repository's top.
    pub fn path(&self) -> String {
        format!("{}/{}.bpf.c", self.folder.path(), self.name)
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// As [`Expectations::parse`], with the file's name.
    pub fn expectations(&self) -> Result<Expectations, String> {
        Expectations::parse(&self.text).map_err(|error| format!("{}: {error}", self.path()))
    }

    /// The line of this file that an instruction of a program came from, from 1.
    pub fn line_at(&self, object: &Object, program: &str, insn: u32) -> Option<usize> {
        let program = object.programs.iter().find(|one| one.name == program)?;
        let line = program.line_at(insn as usize).filter(|line| line.file.ends_with(&self.path()))?;
        usize::try_from(line.line).ok()
    }

    /// The object that clang makes of it; compiled once.
    ///
    /// # Errors
    /// What clang said. A warning counts as an error.
    pub fn compiled(&self, clang: &Clang) -> Result<&[u8], String> {
        let compiled = self.object.get_or_init(|| clang.compile(&self.path()));
        compiled.as_deref().map_err(Clone::clone)
    }
}

/// The repository's top folder.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All program files that say what is expected of them, in order of folder and name.
///
/// # Errors
/// When a folder or file cannot be read.
pub fn find() -> Result<Vec<Source>, String> {
    let folders = Folder::WITH_EXPECTATIONS.into_iter().map(Folder::sources);
    Ok(folders.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// A clang of the right version.
#[derive(Debug, Clone)]
pub struct Clang {
    program: PathBuf,
}

impl Clang {
    /// Looks for clang as `clang-19`, then as `clang`.
    ///
    /// # Errors
    /// Which clang is missing and how to get it.
    pub fn find() -> Result<Clang, String> {
        let candidates = [format!("clang-{CLANG_MAJOR}"), "clang".to_owned()];
        let found = candidates.iter().find(|program| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| {
                String::from_utf8_lossy(&output.stdout).contains(&format!("clang version {CLANG_MAJOR}."))
            })
        });
        let missing = || format!("no clang {CLANG_MAJOR} here; Debian's package is clang-{CLANG_MAJOR}");
        found.map(|program| Clang { program: program.into() }).ok_or_else(missing)
    }

    /// Compiles one file, given by its path from the repository's top.
    fn compile(&self, path: &str) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let object = folder.path().join("program.bpf.o");
        let output = Command::new(&self.program)
            .current_dir(top())
            .args([
                "--target=bpf",
                "-g",
                "-O2",
                "-mcpu=v3",
                "-Wall",
                "-Werror",
                "-fdebug-compilation-dir=.",
                "-I",
                "kfuncs/include",
                "-c",
                path,
            ])
            .arg("-o")
            .arg(&object)
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        fs::read(&object).map_err(|error| error.to_string())
    }
}
