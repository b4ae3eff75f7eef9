//! Scenarios of `tests/scenarios`: reduction explores and finds what their snapshots say, and every outcome that a kernel was seen to have
//! is among those of x86's memory model.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kptrsim::crosscheck::kernel_outcomes::Record;
use kptrsim::explore::search::{Control, SearchOptions, SearchResult, Strategy, search};
use kptrsim::explore::simulation::Simulation;
use kptrsim::kernel::Profile;
use kptrsim::machine::MachineOptions;
use kptrsim::object::Object;
use kptrsim::object::compile::compile;
use kptrsim::scenario::{MemoryModel, Scenario};

use crate::Cases;

/// Schedules past which a search is cut; all are smaller.
const MOST: u64 = 20_000;

/// A scenario with what is known of it.
struct Known {
    name: String,
    scenario: Scenario,
    object: Arc<Object>,
    snapshot: String,
    kernel: Record,
}

/// The scenarios that are explored to the end.
pub struct Scenarios {
    all: Vec<Known>,
}

impl Scenarios {
    /// Reads and compiles them.
    pub fn prepare() -> Scenarios {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
        let files = fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<PathBuf> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
        files.sort();
        let mut all: Vec<Known> = files.iter().map(|path| known(&folder, path)).collect();
        all.retain(|known| ["sc", "tso"].iter().all(|memory| known.snapshot.contains(&format!("{memory} DPOR: all "))));
        Scenarios { all }
    }
}

fn known(folder: &Path, path: &Path) -> Known {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let read = |path: &Path| fs::read_to_string(path).expect("the file is there");
    let scenario = Scenario::from_toml(&name, &read(path)).expect("a scenario");
    let bytes = compile(&folder.join(&scenario.object)).expect("it compiles");
    let object = Object::parse("scenario", &bytes, &Profile::embedded().load_options()).expect("it loads");
    let snapshot = read(&folder.join(format!("explored/{name}.snap")));
    let kernel = serde_json::from_str(&read(&path.with_extension("kernel.json"))).expect("a record");
    Known { name, scenario, object: Arc::new(object), snapshot, kernel }
}

impl Known {
    fn explore(&self, memory: MemoryModel) -> Result<SearchResult<kptrsim::explore::finding::Finding>, String> {
        let scenario = Scenario { memory, ..self.scenario.clone() };
        let options = MachineOptions { kernel_types: Some(Profile::embedded().btf), ..MachineOptions::default() };
        let simulation = Simulation::new(&scenario, &self.object, options).map_err(|error| error.to_string())?;
        let options =
            SearchOptions { strategy: Strategy::Dpor, schedules: Some(MOST), threads: 1, ..SearchOptions::default() };
        let stop = std::sync::atomic::AtomicBool::new(false);
        let control = Control { stop: &stop, progress: &|_| () };
        search(&|| simulation.clone(), &options, control).map_err(|error| error.to_string())
    }

    /// The snapshot has the line that tells how the search went.
    fn is_as_known(
        &self,
        memory: MemoryModel,
        result: &SearchResult<kptrsim::explore::finding::Finding>,
    ) -> Result<(), String> {
        let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
        result.findings.values().for_each(|found| *kinds.entry(found.finding.kind()).or_default() += 1);
        let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let findings = if kinds.is_empty() { "nothing found".to_owned() } else { kinds.join(", ") };
        let outcomes = result.outcomes.len();
        let line = format!("{} DPOR: {}; {outcomes} outcomes; {findings}", memory.name(), result.coverage);
        if self.snapshot.lines().any(|known| known == line) { Ok(()) } else { Err(format!("{}: {line}", self.name)) }
    }
}

impl Cases for Scenarios {
    fn count(&self) -> usize {
        self.all.len()
    }

    fn check(&self, case: usize) -> Result<(), String> {
        let known = &self.all[case];
        let strict = known.explore(MemoryModel::Sc)?;
        known.is_as_known(MemoryModel::Sc, &strict)?;
        let late = known.explore(MemoryModel::Tso)?;
        known.is_as_known(MemoryModel::Tso, &late)?;
        match known.kernel.outcomes.iter().find(|outcome| !late.outcomes.contains_key(*outcome)) {
            None => Ok(()),
            Some(outcome) => Err(format!("{}: the kernel has {outcome}, which is not found", known.name)),
        }
    }
}
