//! What several commands need: the kernel to judge for, and the object to judge, from what the user named.
//!
//! Start at [`KernelArgs`] and [`load_object`].

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use thiserror::Error;

use super::output::OutputError;
use crate::crosscheck::kernel_outcomes::OutcomesError;
use crate::crosscheck::{Cache, CrosscheckError, KernelImage};
use crate::kernel::files::{self, FileError, read, read_btf};
use crate::kernel::{Profile, Tables};
use crate::object::{LoadOptions, NoProgram, Object, Program};
use crate::report::source::Sources;
use crate::scenario::{Scenario, ScenarioError};

/// How a gzip file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes of a configuration that are read of a compressed file; a kernel's has some 300 thousand.
const MAX_CONFIG: u64 = 16 << 20;

/// Why there is nothing to judge, or no kernel to judge for.
#[derive(Debug, Error)]
pub enum TargetError {
    /// A file cannot be read, compiled or loaded.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was found cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A scenario cannot be meant.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A kernel made nothing of a scenario.
    #[error("{path}: {source}")]
    Outcomes {
        /// The scenario's file.
        path: PathBuf,
        /// Why.
        source: OutcomesError,
    },
    /// Scenarios and objects cannot be asked about in one go.
    #[error("{0} is no scenario, and others are; give either scenarios or objects")]
    Mixed(PathBuf),
    /// A kernel was asked for that is not in the cache.
    #[error(transparent)]
    Kernel(#[from] CrosscheckError),
    /// The kernel in the cache has no types beside it.
    #[error("kernel {0} has no BTF in the cache; fetch it again with `kptrsim kernel fetch {0}`")]
    NoBtf(String),
    /// The object has no program of that name.
    #[error(transparent)]
    NoProgram(#[from] NoProgram),
    /// No program was named and there is not just one.
    #[error("name a program with --prog; {object} has {available}")]
    WhichProgram {
        /// The object's name.
        object: String,
        /// Its programs.
        available: String,
    },
}

/// The program of an object that has just one.
///
/// # Errors
/// [`TargetError::WhichProgram`] if it has another number of programs.
pub fn only_program(object: &Object) -> Result<&Program, TargetError> {
    match object.programs.as_slice() {
        [only] => Ok(only),
        _ => Err(TargetError::WhichProgram { object: object.name.clone(), available: object.program_names() }),
    }
}

/// Which kernel to judge for.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct KernelArgs {
    /// The kernel's types: a BTF file such as /sys/kernel/btf/vmlinux. Without them the built-in tables are used, which
    /// know the types of common programs.
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// A fetched kernel to judge for, by its build or the start of it (see `kptrsim kernel list`).
    #[arg(long, value_name = "BUILD", conflicts_with = "btf")]
    pub kernel: Option<String>,
    /// The kernel's build configuration, for `.kconfig` variables: a file such as /boot/config-RELEASE or
    /// /proc/config.gz. Found by itself for a fetched kernel, and for the running one.
    #[arg(long, value_name = "FILE")]
    pub kconfig: Option<PathBuf>,
    /// A folder of kfunc descriptions of your own (TOML; see kfuncs/README.md).
    #[arg(long, value_name = "DIR")]
    pub kfuncs: Option<PathBuf>,
}

/// A kernel to judge for, and what programs' `.kconfig` variables are there.
#[derive(Debug)]
pub struct Kernel {
    /// Types and tables.
    pub profile: Profile,
    /// Its build configuration, if at hand.
    pub config: Option<String>,
}

impl KernelArgs {
    /// The kernel that was named, or the built-in one.
    ///
    /// # Errors
    /// If a file cannot be read, or no such kernel is in the cache.
    pub fn kernel(&self) -> Result<Kernel, TargetError> {
        let tables = self.kfuncs.as_deref().map(Tables::with_files).transpose().map_err(FileError::from)?;
        let kernel = match (&self.btf, &self.kernel) {
            (Some(path), _) => from_btf(tables, path)?,
            (None, Some(build)) => from_cache(tables, build)?,
            (None, None) => Kernel { profile: without_btf(tables), config: None },
        };
        match &self.kconfig {
            Some(path) => Ok(Kernel { config: Some(read_config(path)?), ..kernel }),
            None => Ok(kernel),
        }
    }
}

/// The kernel that a boot image is of, with its types where they are at hand.
///
/// # Errors
/// If a file beside the image cannot be read.
pub fn kernel_of_image(image: &KernelImage) -> Result<Kernel, TargetError> {
    with_image(None, image)
}

fn from_cache(tables: Option<Tables>, build: &str) -> Result<Kernel, TargetError> {
    let kernels = Cache::of_user()?.kernels()?;
    let Some(image) = kernels.iter().find(|image| image.release.starts_with(build)) else {
        let known: Vec<&str> = kernels.iter().map(|image| image.release.as_str()).collect();
        return Err(CrosscheckError::Missing {
            what: format!("kernel {build} in the cache (there: {})", known.join(", ")),
            remedy: format!("fetch it with `kptrsim kernel fetch {build}`"),
        }
        .into());
    };
    if image.btf.is_none() {
        return Err(TargetError::NoBtf(image.release.clone()));
    }
    with_image(tables, image)
}

fn with_image(tables: Option<Tables>, image: &KernelImage) -> Result<Kernel, TargetError> {
    let config = match &image.config {
        Some(path) => Some(read_config(path)?),
        None => None,
    };
    let profile = match &image.btf {
        Some(path) => Profile::of_kernel(image.release.clone(), read_btf(path)?, tables),
        None => without_btf(tables),
    };
    Ok(Kernel { profile, config })
}

fn without_btf(tables: Option<Tables>) -> Profile {
    tables.map_or_else(Profile::embedded, Profile::with_tables)
}

/// A BTF file says nothing of its build; the running kernel's does by where it is.
fn from_btf(tables: Option<Tables>, path: &Path) -> Result<Kernel, TargetError> {
    let running = path.starts_with("/sys/kernel/btf").then(|| fs::read_to_string("/proc/sys/kernel/osrelease").ok());
    let (build, config) = match running.flatten() {
        Some(release) => (release.trim().to_owned(), running_config(release.trim())),
        None => (path.display().to_string(), None),
    };
    Ok(Kernel { profile: Profile::of_kernel(build, read_btf(path)?, tables), config })
}

/// The running kernel's configuration, where libbpf looks for it; none is no error.
fn running_config(release: &str) -> Option<String> {
    let places = [PathBuf::from(format!("/boot/config-{release}")), PathBuf::from("/proc/config.gz")];
    places.iter().find(|path| path.exists()).and_then(|path| read_config(path).ok())
}

/// A configuration, compressed or not.
fn read_config(path: &Path) -> Result<String, TargetError> {
    let bytes = read(path)?;
    let bytes = if bytes.starts_with(&GZIP) {
        let mut text = Vec::new();
        let unpacked = flate2::read::GzDecoder::new(bytes.as_slice()).take(MAX_CONFIG).read_to_end(&mut text);
        unpacked.map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        text
    } else {
        bytes
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Loads an object, compiling it first if it is a C file.
///
/// # Errors
/// If it cannot be read, compiled or loaded.
pub fn load_object(path: &Path, kernel: &Kernel) -> Result<Object, TargetError> {
    parse_object(path, &read_or_compile(path)?, kernel)
}

/// An object's bytes: those of the file, or what clang makes of it if it is a C or assembly file.
///
/// # Errors
/// If it cannot be read or compiled.
pub fn read_or_compile(path: &Path) -> Result<Vec<u8>, TargetError> {
    Ok(files::read_or_compile(path, &[])?)
}

/// Loads an object's bytes.
///
/// # Errors
/// If they are no object that can be loaded.
pub fn parse_object(path: &Path, bytes: &[u8], kernel: &Kernel) -> Result<Object, TargetError> {
    let options = LoadOptions { kernel_config: kernel.config.as_deref(), ..kernel.profile.load_options() };
    Ok(files::parse_object(path, bytes, &options)?)
}

/// A scenario with its object.
#[derive(Debug)]
pub struct LoadedScenario {
    /// The scenario's file.
    pub path: PathBuf,
    /// What it says.
    pub scenario: Scenario,
    /// The object's bytes.
    pub bytes: Vec<u8>,
    /// The object.
    pub object: Object,
}

impl LoadedScenario {
    /// Where its source files may be: beside the scenario, beside the object, and in these folders.
    #[must_use]
    pub fn sources(&self, folders: &[PathBuf]) -> Sources {
        let object = self.path.parent().unwrap_or(Path::new("")).join(&self.scenario.object);
        Sources::beside(&self.path).and_beside(&object).and_in(folders)
    }
}

/// Reads a scenario and the object that it names, which is compiled first if it is a C file.
///
/// # Errors
/// If either cannot be read, or the object not be compiled or loaded.
pub fn load_scenario(path: &Path, kernel: &Kernel) -> Result<LoadedScenario, TargetError> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let scenario = Scenario::from_toml(&path.display().to_string(), &text)?;
    let object_path = path.parent().unwrap_or(Path::new("")).join(&scenario.object);
    let bytes = read_or_compile(&object_path)?;
    let object = parse_object(&object_path, &bytes, kernel)?;
    Ok(LoadedScenario { path: path.to_owned(), scenario, bytes, object })
}
