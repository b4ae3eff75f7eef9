//! Where source files lie in the repository that the user works in: code hosts show a result at its line only under
//! the path that the repository has for the file, and a compiler notes the path that it saw.

use std::path::{Component, Path, PathBuf};

/// A folder that source paths are told relative to.
#[derive(Clone, Debug)]
pub struct SourceTree {
    root: PathBuf,
}

impl SourceTree {
    /// The tree under that folder.
    #[must_use]
    pub fn at(root: &Path) -> SourceTree {
        SourceTree { root: root.canonicalize().unwrap_or_else(|_| root.to_owned()) }
    }

    /// The repository around a folder: the nearest folder upwards with a `.git`, else the folder itself.
    #[must_use]
    pub fn around(folder: &Path) -> SourceTree {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let root = folder.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&folder).to_owned();
        SourceTree { root }
    }

    /// A file's path from the root, with `/` between its parts; `None` for a file that is not in the tree.
    ///
    /// A path of another machine, such as that of a container that compiled the object, is looked for by its last
    /// parts: the longest end of it that is a file of the tree.
    #[must_use]
    pub fn relative(&self, path: &Path) -> Option<String> {
        let here = if path.is_absolute() { path.to_owned() } else { std::env::current_dir().ok()?.join(path) };
        let resolved = here.canonicalize().unwrap_or(here);
        if let Ok(inside) = resolved.strip_prefix(&self.root) {
            return slashed(inside);
        }
        let parts: Vec<Component<'_>> = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        (0..parts.len())
            .map(|from| parts[from..].iter().collect::<PathBuf>())
            .find(|end| self.root.join(end).is_file())
            .and_then(|end| slashed(&end))
    }
}

/// A path as URIs and annotations have it; `None` if it leads out of its folder, or nowhere.
fn slashed(path: &Path) -> Option<String> {
    let parts = path.components().map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    let joined = parts.collect::<Option<Vec<_>>>()?.join("/");
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_the_repositorys_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("repo");
        std::fs::create_dir_all(root.join(".git")).expect("made");
        std::fs::create_dir_all(root.join("bpf")).expect("made");
        std::fs::write(root.join("bpf/a.bpf.c"), "").expect("written");
        let tree = SourceTree::around(&root.join("bpf"));
        assert_eq!(tree.relative(&root.join("bpf/a.bpf.c")).as_deref(), Some("bpf/a.bpf.c"));
        assert_eq!(tree.relative(&root.join("bpf/../bpf/a.bpf.c")).as_deref(), Some("bpf/a.bpf.c"));
        assert_eq!(tree.relative(Path::new("/build/of/a/container/bpf/a.bpf.c")).as_deref(), Some("bpf/a.bpf.c"));
        assert_eq!(tree.relative(Path::new("/usr/include/linux/bpf.h")), None);
        assert_eq!(tree.relative(Path::new("../../../a.bpf.c")), None);
    }
}
