//! All of the kernel's data in one place: what is built in, and what a user adds.
//!
//! The files of `kfuncs/` are compiled in as text. Each group, and of the large ones each entry, is read when it is first
//! asked for, once in a process.
//! [`Tables::embedded`] has only these; [`Tables::with_files`] adds a user's folder. Start at [`Tables`].

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::availability::{Availability, ProgramFacts};
use super::embedded::{Structure, Targets, Typedef, Types};
use super::entries::Entries;
use super::enums::{MapType, ProgramType};
use super::error::{TablesError, place};
use super::helper::{Helper, HelperProto, MapHelpers};
use super::kfunc::Kfunc;
use super::special::{Destructor, Special};
use super::struct_ops::StructOps;

/// The longest file that a user may add, in bytes.
const FILE_BYTES: u64 = 4 << 20;

/// The kernel's surface as data.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    user: Arc<UserFile>,
}

/// What a user's file may hold; several files are put together.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserFile {
    #[serde(default, rename = "kfunc")]
    kfuncs: Vec<Kfunc>,
    #[serde(default, rename = "struct")]
    structures: Vec<Structure>,
    #[serde(default, rename = "typedef")]
    typedefs: Vec<Typedef>,
    #[serde(default, rename = "destructor")]
    destructors: Vec<Destructor>,
}

/// `helpers.toml`.
#[derive(Debug)]
struct HelperTables {
    helpers: Entries<Helper>,
    /// The highest number.
    last: u32,
    maps: Entries<MapHelpers>,
    protos: Entries<HelperProto>,
}

/// `struct_ops.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StructOpsFile {
    #[serde(rename = "struct_ops")]
    structures: Vec<StructOps>,
}

/// Texts of files that are compiled in.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(include_str!(concat!("../../kfuncs/", $name))),*]
    };
}

/// The families of kfuncs.
const FAMILIES: [&str; 20] = files![
    "arena.toml",
    "cgroup.toml",
    "cpumask.toml",
    "crypto.toml",
    "dynptr.toml",
    "fs.toml",
    "graph.toml",
    "hid.toml",
    "iter.toml",
    "key.toml",
    "misc.toml",
    "net.toml",
    "obj.toml",
    "percpu.toml",
    "preempt.toml",
    "rcu.toml",
    "sched_ext.toml",
    "task.toml",
    "tcp_congestion.toml",
    "wq.toml",
];

static HELPERS: LazyLock<HelperTables> = LazyLock::new(|| {
    let text = include_str!("../../kfuncs/helpers.toml");
    let helpers = Entries::of([text], "helper", "id");
    HelperTables {
        last: helpers.keys().filter_map(|id| id.parse().ok()).max().unwrap_or(0),
        helpers,
        maps: Entries::of([text], "map", "type"),
        protos: Entries::of([text], "proto", "symbol"),
    }
});

static AVAILABILITY: LazyLock<Availability> =
    LazyLock::new(|| Availability::of(include_str!("../../kfuncs/availability.toml")));

static KFUNCS: LazyLock<Entries<Kfunc>> = LazyLock::new(|| Entries::of(FAMILIES, "kfunc", "name"));

static SPECIAL: LazyLock<Special> =
    LazyLock::new(|| built_in("special_types.toml", include_str!("../../kfuncs/special_types.toml")));

static STRUCT_OPS: LazyLock<StructOpsFile> =
    LazyLock::new(|| built_in("struct_ops.toml", include_str!("../../kfuncs/struct_ops.toml")));

static TYPES: LazyLock<Types> = LazyLock::new(|| built_in("types.toml", include_str!("../../kfuncs/types.toml")));

static TARGETS: LazyLock<Targets> = LazyLock::new(|| built_in("attach.toml", include_str!("../../kfuncs/attach.toml")));

static EMBEDDED: LazyLock<Tables> = LazyLock::new(Tables::default);

/// Reads a file that is compiled in. No input reaches this: a test reads each of them.
fn built_in<T: DeserializeOwned>(name: &str, text: &str) -> T {
    match parse(Path::new(name), text) {
        Ok(value) => value,
        Err(error) => unreachable!("the built-in data is tested: {error}"),
    }
}

/// Reads TOML; errors say where.
fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, TablesError> {
    toml::from_str(text).map_err(|error| {
        let (line, column, shown) = place(text, error.span().map_or(0, |span| span.start));
        let message = error.message().trim().replace('\n', ", ");
        TablesError::Syntax { path: path.to_owned(), line, column, message, text: shown }
    })
}

impl Tables {
    /// What is built in: Linux 6.12 as Debian's cloud kernel has it.
    pub fn embedded() -> &'static Tables {
        &EMBEDDED
    }

    /// What is built in, and every `*.toml` file of a folder, in the order of their names. A user's kfunc hides a
    /// built-in one of the same name.
    ///
    /// # Errors
    /// If the folder or a file cannot be read, or a file does not follow the schema of `kfuncs/README.md`.
    pub fn with_files(folder: &Path) -> Result<Tables, TablesError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| TablesError::Read { path, source }
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut user = UserFile::default();
        for path in paths {
            let bytes = fs::metadata(&path).map_err(unreadable(&path))?.len();
            if bytes > FILE_BYTES {
                return Err(TablesError::TooLong { path, bytes, limit: FILE_BYTES });
            }
            user.add(&path, &fs::read_to_string(&path).map_err(unreadable(&path))?)?;
        }
        Ok(Tables { user: Arc::new(user) })
    }

    /// What is built in, and the text of one file, named `path` in errors.
    ///
    /// # Errors
    /// If the text does not follow the schema of `kfuncs/README.md`.
    pub fn with_text(path: &Path, text: &str) -> Result<Tables, TablesError> {
        let mut user = UserFile::default();
        user.add(path, text)?;
        Ok(Tables { user: Arc::new(user) })
    }

    /// The helper of a call instruction's number.
    pub fn helper(&self, id: u32) -> Option<&'static Helper> {
        HELPERS.helpers.get(&id.to_string())
    }

    /// Every helper, by ascending number.
    pub fn helpers(&self) -> impl Iterator<Item = &'static Helper> {
        HELPERS.helpers.iter()
    }

    /// The highest helper number.
    pub fn last_helper(&self) -> u32 {
        HELPERS.last
    }

    /// How a helper's call is checked in a program, if the program may call it at all.
    pub fn helper_for(&self, id: u32, facts: &ProgramFacts<'_>) -> Option<&'static HelperProto> {
        let helper = self.helper(id)?;
        self.proto(AVAILABILITY.proto(&helper.name, facts, &SPECIAL)?)
    }

    /// A prototype by the kernel's symbol.
    pub fn proto(&self, symbol: &str) -> Option<&'static HelperProto> {
        HELPERS.protos.get(symbol)
    }

    /// Every prototype.
    pub fn protos(&self) -> impl Iterator<Item = &'static HelperProto> {
        HELPERS.protos.iter()
    }

    /// The helpers that take a map of this type, if only some do.
    pub fn map_helpers(&self, map_type: MapType) -> Option<&'static MapHelpers> {
        HELPERS.maps.get(map_type.name())
    }

    /// Which program type gets which helpers, and contexts by program type.
    pub fn availability(&self) -> &'static Availability {
        &AVAILABILITY
    }

    /// A kfunc by name, whoever may call it; the first entry if there are several.
    pub fn kfunc(&self, name: &str) -> Option<&Kfunc> {
        self.kfunc_entries(name).next()
    }

    /// The entry of a kfunc that a program may call: its flags may differ by program type.
    pub fn kfunc_for(&self, name: &str, facts: &ProgramFacts<'_>) -> Option<&Kfunc> {
        self.kfunc_entries(name).find(|kfunc| {
            kfunc.programs.allows(facts.program) && kfunc.when.iter().all(|condition| condition.holds(facts, &SPECIAL))
        })
    }

    /// May programs of a type call a kfunc, conditions aside?
    pub fn kfunc_allowed(&self, name: &str, program: ProgramType) -> bool {
        self.kfunc_entries(name).any(|kfunc| kfunc.programs.allows(program))
    }

    /// Every kfunc, a user's first.
    pub fn kfuncs(&self) -> impl Iterator<Item = &Kfunc> {
        self.user.kfuncs.iter().chain(KFUNCS.iter())
    }

    /// A user's entries of that name, or else the built-in ones.
    fn kfunc_entries(&self, name: &str) -> impl Iterator<Item = &Kfunc> {
        let own = self.user.kfuncs.iter().any(|kfunc| kfunc.name == name);
        let built_in = (!own).then(|| KFUNCS.all(name)).into_iter().flatten();
        self.user.kfuncs.iter().filter(move |kfunc| own && kfunc.name == name).chain(built_in)
    }

    /// Lists that the verifier consults.
    pub fn special(&self) -> &'static Special {
        &SPECIAL
    }

    /// A structure that `struct_ops` programs implement.
    pub fn struct_ops(&self, name: &str) -> Option<&'static StructOps> {
        STRUCT_OPS.structures.iter().find(|one| one.structure == name)
    }

    /// What frees an object of a structure that a map field owns.
    pub fn destructor(&self, structure: &str) -> Option<&Destructor> {
        self.user.destructors.iter().chain(&SPECIAL.destructors).find(|one| one.structure == structure)
    }

    /// A structure's layout, for use without a kernel's BTF.
    pub fn structure(&self, name: &str) -> Option<&Structure> {
        self.user.structures.iter().find(|one| one.name == name).or_else(|| TYPES.structure(name))
    }

    /// Every structure and typedef for use without a kernel's BTF: a user's, then those built in. Of entries of one
    /// name the first counts.
    pub fn types(&self) -> (impl Iterator<Item = &Structure>, impl Iterator<Item = &Typedef>) {
        (self.user.structures.iter().chain(&TYPES.structures), self.user.typedefs.iter().chain(&TYPES.typedefs))
    }

    /// Attach targets, for use without a kernel's BTF.
    pub fn targets(&self) -> &'static Targets {
        &TARGETS
    }
}

impl UserFile {
    /// Adds what a file says.
    fn add(&mut self, path: &Path, text: &str) -> Result<(), TablesError> {
        let file: UserFile = parse(path, text)?;
        for kfunc in &file.kfuncs {
            if kfunc.name != kfunc.prototype.name {
                let quoted = format!("\"{}\"", kfunc.name);
                let line = text.lines().position(|line| line.contains("name") && line.contains(&quoted));
                return Err(TablesError::Name {
                    path: path.to_owned(),
                    line: line.map_or(1, |line| line + 1),
                    name: kfunc.name.clone(),
                    declared: kfunc.prototype.name.clone(),
                });
            }
        }
        self.kfuncs.extend(file.kfuncs);
        self.structures.extend(file.structures);
        self.typedefs.extend(file.typedefs);
        self.destructors.extend(file.destructors);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
