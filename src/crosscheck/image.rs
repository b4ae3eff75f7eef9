//! Kernel images, and the cache folder that fetched ones are kept in.
//!
//! A kernel in the cache is a folder `kernels/RELEASE` with `bzImage`, `config`, `vmlinux` (for sections such as `.BTF_ids`) and
//! `vmlinux.btf`. Folders appear there whole or not at all. [`crate::crosscheck::fetch`] fills it.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::CrosscheckError;
use super::bzimage::BzImage;

/// The folder for what is costly to make again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's cache: `$KPTRSIM_CACHE`, else `$XDG_CACHE_HOME/kptrsim`, else `~/.cache/kptrsim`.
    ///
    /// # Errors
    /// When none of the three variables (`HOME` for the last) is set.
    pub fn of_user() -> Result<Cache, CrosscheckError> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("KPTRSIM_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("kptrsim")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/kptrsim")));
        root.map(Cache::at).ok_or_else(|| CrosscheckError::Missing {
            what: "a cache folder".into(),
            remedy: "set KPTRSIM_CACHE to a folder that may be written to".into(),
        })
    }

    /// A cache in this folder, which need not exist yet.
    #[must_use]
    pub fn at(root: PathBuf) -> Cache {
        Cache { root }
    }

    /// The folder of a kind of things in the cache; made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, kind: &str) -> Result<PathBuf, CrosscheckError> {
        let folder = self.root.join(kind);
        fs::create_dir_all(&folder).map_err(|error| CrosscheckError::io(&folder, error))?;
        Ok(folder)
    }

    /// The kernels in the cache, newest release first.
    ///
    /// # Errors
    /// When the cache folder cannot be read.
    pub fn kernels(&self) -> Result<Vec<KernelImage>, CrosscheckError> {
        let folder = self.folder("kernels")?;
        let entries = fs::read_dir(&folder).map_err(|error| CrosscheckError::io(&folder, error))?;
        let mut images: Vec<KernelImage> = entries
            .flatten()
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .filter_map(|entry| KernelImage::from_folder(&entry.path()).ok())
            .collect();
        images.sort_by_key(|image| Reverse(version_key(&image.release)));
        Ok(images)
    }

    /// The kernel to ask when the user names none: the newest in the cache.
    ///
    /// # Errors
    /// When there is none; the message says how to get one.
    pub fn default_kernel(&self) -> Result<KernelImage, CrosscheckError> {
        self.kernels()?.into_iter().next().ok_or_else(|| CrosscheckError::Missing {
            what: "a kernel image".into(),
            remedy: "run `kptrsim kernel fetch 6.12`, or give --kernel-image FILE".into(),
        })
    }
}

/// A kernel that can be booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelImage {
    /// The boot image.
    pub path: PathBuf,
    /// The exact build, as `uname -r` says it (`6.12.117+deb12-cloud-amd64`).
    pub release: String,
    /// The header's whole version text.
    pub version: String,
    /// The configuration it was built with, when it is at hand.
    pub config: Option<PathBuf>,
    /// The unpacked kernel, when it is at hand.
    pub vmlinux: Option<PathBuf>,
    /// The kernel's BTF as a file of its own, when it is at hand.
    pub btf: Option<PathBuf>,
}

impl KernelImage {
    /// Any boot image. Its configuration is taken from `config-RELEASE` beside it, when that exists.
    ///
    /// # Errors
    /// When the file cannot be read or is no Linux boot image.
    pub fn open(path: &Path) -> Result<KernelImage, CrosscheckError> {
        let bytes = fs::read(path).map_err(|error| CrosscheckError::io(path, error))?;
        let image = BzImage::parse(&bytes)
            .map_err(|error| CrosscheckError::Image { path: path.to_owned(), reason: error.to_string() })?;
        let beside = |name: &str| Some(path.with_file_name(name)).filter(|file| file.is_file());
        Ok(KernelImage {
            path: path.to_owned(),
            release: image.release().to_owned(),
            version: image.version().to_owned(),
            config: beside(&format!("config-{}", image.release())),
            vmlinux: None,
            btf: None,
        })
    }

    /// A kernel in the cache.
    fn from_folder(folder: &Path) -> Result<KernelImage, CrosscheckError> {
        let mut image = KernelImage::open(&folder.join("bzImage"))?;
        let inside = |name: &str| Some(folder.join(name)).filter(|file| file.is_file());
        image.config = inside("config");
        image.vmlinux = inside("vmlinux");
        image.btf = inside("vmlinux.btf");
        Ok(image)
    }

    /// Reads a kernel that was just put into the cache.
    pub(crate) fn cached(folder: &Path) -> Result<KernelImage, CrosscheckError> {
        KernelImage::from_folder(folder)
    }
}

/// Begins the names of folders that are still being filled.
pub(crate) const PARTIAL: &str = ".partial-";

/// Removes what an interrupted fetch or build left behind, if it is old enough that nobody can be at work on it.
pub(crate) fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok();
        let age = age.and_then(|changed| SystemTime::now().duration_since(changed).ok()).unwrap_or_default();
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) && age > Duration::from_secs(3600) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Orders releases by their numbers: 6.12.9 is before 6.12.117.
#[must_use]
pub fn version_key(release: &str) -> Vec<u64> {
    let numbers = release.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    numbers.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(version_key("6.12.9+deb12-cloud-amd64") < version_key("6.12.117+deb12-cloud-amd64"));
        assert!(version_key("6.1.200") < version_key("6.12.1"));
    }

    #[test]
    fn an_empty_cache_says_how_to_fill_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = Cache::at(folder.path().to_owned()).default_kernel().expect_err("no kernel there");
        assert!(error.to_string().contains("kptrsim kernel fetch 6.12"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_image_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("vmlinuz");
        fs::write(&path, b"not a kernel").expect("a writable folder");
        let error = KernelImage::open(&path).expect_err("no boot header").to_string();
        assert!(error.contains("vmlinuz") && error.contains("HdrS"), "{error}");
    }

    #[test]
    fn only_old_leftovers_are_swept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fresh = folder.path().join(".partial-now");
        let old = folder.path().join(".partial-old");
        for path in [&fresh, &old] {
            fs::create_dir(path).expect("a writable folder");
        }
        let long_ago = SystemTime::now() - Duration::from_secs(7200);
        File::open(&old).and_then(|file| file.set_modified(long_ago)).expect("a time that can be set");
        sweep(folder.path());
        assert!(fresh.exists());
        assert!(!old.exists());
    }
}
