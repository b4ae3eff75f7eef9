//! Obtains Debian's cloud kernel with the package manager and puts it into the cache.
//!
//! `apt-get download` needs no root, and nothing is installed. The archive's SHA-256 is compared with the one in the package lists.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::read::archive::ArchiveFile;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::bzimage::{self, BzImage};
use super::image::{PARTIAL, sweep, version_key};
use super::{Cache, CrosscheckError, KernelImage};

/// Which of Debian's kernel packages are taken: the ones for virtual machines, which are small.
const FLAVOUR: &str = "-cloud-amd64";

/// What to do where there is no `apt`.
const NO_APT: &str = "this needs Debian's package manager; elsewhere give any bzImage with --kernel-image FILE";

/// The most that a file from a package may have, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Fetches the newest build of a kernel (`6.12`, or exactly `6.12.117`) unless the cache has it.
///
/// `tell` is given one line for each stage.
///
/// # Errors
/// When the package manager is missing or knows no such kernel, the checksum is wrong, the package is damaged, or the cache cannot
/// be written. The cache then is as it was.
pub fn fetch(cache: &Cache, wanted: &str, tell: &mut dyn FnMut(&str)) -> Result<KernelImage, CrosscheckError> {
    let fail = |reason: String| CrosscheckError::Fetch { wanted: wanted.to_owned(), reason };
    let package = newest_package(wanted)?;
    let release = package.trim_start_matches("linux-image-").to_owned();
    let kernels = cache.folder("kernels")?;
    sweep(&kernels);
    let target = kernels.join(&release);
    if target.is_dir() {
        tell(&format!("{release} is in the cache already"));
        return KernelImage::cached(&target);
    }

    let record = Record::read(&package)?;
    let staging = TempDir::with_prefix_in(PARTIAL, &kernels).map_err(|error| CrosscheckError::io(&kernels, error))?;
    tell(&format!("downloading {package} {}", record.version));
    let archive = download(&package, &record.version, staging.path())?;
    let bytes = fs::read(&archive).map_err(|error| CrosscheckError::io(&archive, error))?;
    let found = hex(&Sha256::digest(&bytes));
    if found != record.sha256 {
        return Err(fail(format!("checksum is {found}, but the package list says {}", record.sha256)));
    }
    tell("checksum is right; unpacking");
    let kernel = staging.path().join("kernel");
    fs::create_dir(&kernel).map_err(|error| CrosscheckError::io(&kernel, error))?;
    unpack_package(&bytes, &release, &kernel).map_err(fail)?;
    unpack_kernel(&kernel)?;
    match fs::rename(&kernel, &target) {
        // Somebody else was quicker; theirs is as good.
        Err(_) if target.is_dir() => {}
        outcome => outcome.map_err(|error| CrosscheckError::io(&target, error))?,
    }
    KernelImage::cached(&target)
}

/// The package of the newest kernel that `wanted` begins.
fn newest_package(wanted: &str) -> Result<String, CrosscheckError> {
    let fail = |reason: &str| CrosscheckError::Fetch { wanted: wanted.to_owned(), reason: reason.to_owned() };
    let plain = |c: char| c.is_ascii_alphanumeric() || "+.-~".contains(c);
    if !wanted.starts_with(|c: char| c.is_ascii_digit()) || !wanted.chars().all(plain) {
        return Err(fail("a kernel is named by its version, as 6.12 or 6.12.117"));
    }
    let names = run(Command::new("apt-cache").args(["pkgnames", &format!("linux-image-{wanted}")]))?;
    choose_package(&names, wanted).ok_or_else(|| {
        fail("the package lists have no such cloud kernel; `apt-get update` may be needed, or give --kernel-image FILE")
    })
}

/// Of all package names, the newest kernel of the flavour whose version is `wanted` or goes on from it.
fn choose_package(names: &str, wanted: &str) -> Option<String> {
    let fits = |name: &&str| {
        let Some(release) = name.strip_prefix("linux-image-") else { return false };
        let version = release.split(['+', '-', '~']).next().unwrap_or("");
        let goes_on = release.strip_prefix(wanted).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        // `linux-image-6.12-cloud-amd64` is the package that only points to the newest one.
        goes_on && release.ends_with(FLAVOUR) && version.split('.').count() >= 3
    };
    names.lines().map(str::trim).filter(fits).max_by_key(|name| version_key(name)).map(str::to_owned)
}

/// What the package lists say about a package.
struct Record {
    version: String,
    sha256: String,
}

impl Record {
    fn read(package: &str) -> Result<Record, CrosscheckError> {
        let text = run(Command::new("apt-cache").args(["show", "--no-all-versions", package]))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned()).ok_or_else(|| CrosscheckError::Fetch {
                wanted: package.to_owned(),
                reason: format!("the package list has no {name} for it"),
            })
        };
        Ok(Record { version: field("Version")?, sha256: field("SHA256")?.to_ascii_lowercase() })
    }
}

/// Downloads a package into a folder and returns its file.
fn download(package: &str, version: &str, folder: &Path) -> Result<PathBuf, CrosscheckError> {
    let request = format!("{package}={version}");
    run(Command::new("apt-get").args(["download", "-q", &request]).current_dir(folder))?;
    let files = fs::read_dir(folder).map_err(|error| CrosscheckError::io(folder, error))?;
    let archive =
        files.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "deb"));
    archive.ok_or_else(|| CrosscheckError::Fetch {
        wanted: package.to_owned(),
        reason: "apt-get left no .deb file".into(),
    })
}

/// Runs a tool of the package manager and returns what it prints.
fn run(command: &mut Command) -> Result<String, CrosscheckError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| CrosscheckError::program(&name, NO_APT, error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CrosscheckError::Fetch { wanted: name, reason: complaint })
}

/// Takes the boot image and its configuration out of a Debian package.
fn unpack_package(deb: &[u8], release: &str, folder: &Path) -> Result<(), String> {
    let archive = ArchiveFile::parse(deb).map_err(|error| format!("the package is no archive: {error}"))?;
    for member in archive.members() {
        let member = member.map_err(|error| format!("the package is damaged: {error}"))?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        let Some(packing) = name.trim_end_matches('/').strip_prefix("data.tar") else { continue };
        let data = member.data(deb).map_err(|error| format!("the package is damaged: {error}"))?;
        let reader: Box<dyn Read> = match packing {
            "" => Box::new(data),
            ".xz" => Box::new(liblzma::read::XzDecoder::new(data)),
            ".gz" => Box::new(flate2::read::GzDecoder::new(data)),
            ".zst" => Box::new(ruzstd::decoding::StreamingDecoder::new(data).map_err(|error| error.to_string())?),
            other => return Err(format!("the package is packed in an unknown way ('data.tar{other}')")),
        };
        return copy_boot_files(reader, release, folder).map_err(|error| format!("{name}: {error}"));
    }
    Err("the package has no data.tar".into())
}

fn copy_boot_files(reader: impl Read, release: &str, folder: &Path) -> io::Result<()> {
    let wanted = [(format!("boot/vmlinuz-{release}"), "bzImage"), (format!("boot/config-{release}"), "config")];
    let mut found = 0;
    for entry in tar::Archive::new(reader).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path);
        if let Some((_, name)) = wanted.iter().find(|(wanted, _)| Path::new(wanted) == path) {
            let mut file = File::create(folder.join(name))?;
            io::copy(&mut entry.by_ref().take(MAX_FILE), &mut file)?;
            found += 1;
            if found == wanted.len() {
                return Ok(());
            }
        }
    }
    let missing = wanted.iter().find(|(_, name)| !folder.join(name).exists());
    Err(io::Error::new(io::ErrorKind::NotFound, missing.map_or(String::new(), |(path, _)| format!("no {path} inside"))))
}

/// Puts `vmlinux` and its BTF beside a boot image.
fn unpack_kernel(folder: &Path) -> Result<(), CrosscheckError> {
    let path = folder.join("bzImage");
    let bytes = fs::read(&path).map_err(|error| CrosscheckError::io(&path, error))?;
    let bad = |error: bzimage::BzImageError| CrosscheckError::Image { path: path.clone(), reason: error.to_string() };
    let vmlinux = BzImage::parse(&bytes).and_then(|image| image.vmlinux()).map_err(bad)?;
    let btf = bzimage::btf_of(&vmlinux).map_err(bad)?;
    for (name, contents) in [("vmlinux", &vmlinux), ("vmlinux.btf", &btf)] {
        let file = folder.join(name);
        fs::write(&file, contents).map_err(|error| CrosscheckError::io(&file, error))?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    super::protocol::to_hex(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_cloud_kernel_is_chosen() {
        let names = "linux-image-6.12-cloud-amd64\nlinux-image-6.12.9+deb12-cloud-amd64\nlinux-image-6.12.117+deb12-cloud-amd64\n\
                     linux-image-6.12.117+deb12-cloud-amd64-unsigned\nlinux-image-6.12.117+deb12-amd64\n\
                     linux-image-6.12.200+deb12-cloud-amd64-dbg\n";
        let newest = Some("linux-image-6.12.117+deb12-cloud-amd64".to_owned());
        assert_eq!(choose_package(names, "6.12"), newest);
        assert_eq!(choose_package(names, "6.12.117"), newest);
        assert_eq!(choose_package(names, "6.12.11"), None);
        assert_eq!(choose_package(names, "6.1"), None);
    }

    #[test]
    fn names_that_are_no_versions_are_refused() {
        for wanted in ["", "latest", "6.12; rm", "-o"] {
            assert!(matches!(newest_package(wanted), Err(CrosscheckError::Fetch { .. })), "{wanted}");
        }
    }

    #[test]
    fn a_damaged_package_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(unpack_package(b"junk", "6.12.1", folder.path()).is_err());
        let empty = unpack_package(b"!<arch>\n", "6.12.1", folder.path());
        assert_eq!(empty, Err("the package has no data.tar".into()));
    }
}
