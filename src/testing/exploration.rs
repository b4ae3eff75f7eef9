//! Programs on several CPUs at once, under every schedule that matters, and what is found.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Bpf, TestError};
use crate::explore::records;
use crate::explore::schedule::Schedule;
use crate::explore::search::{Control, SearchOptions, search};
use crate::explore::shrink::shrink;
use crate::explore::simulation::{Simulation, SimulationError};
use crate::explore::system::Choice;
use crate::kernel::files;
use crate::machine::MachineOptions;
use crate::report::explore::{ExploreReport, Shown, replay_text};
use crate::report::told::Look;
use crate::scenario::words::{Builder, OnWord, PlacedWord, SetWord};
use crate::scenario::{MemoryModel, Scenario as Told};

/// Schedules that are tried to make one simpler.
const SHRINK_TRIES: usize = 2_000;

/// What runs where, and what must come of it. Each method adds to it; a word that cannot be meant is told by
/// [`Scenario::explore`].
#[derive(Clone, Debug)]
#[must_use = "explore it"]
pub struct Scenario {
    bpf: Bpf,
    builder: Builder,
    options: SearchOptions,
    wrong: Option<String>,
}

impl Scenario {
    pub(super) fn about(bpf: &Bpf) -> Scenario {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let options = SearchOptions { threads, ..SearchOptions::default() };
        Scenario { bpf: bpf.clone(), builder: Builder::about(&bpf.path), options, wrong: None }
    }

    /// The scenario of a TOML file (`docs/reference/scenario.md`), with the object that it names.
    ///
    /// # Errors
    /// If the file or its object cannot be read, compiled or loaded.
    pub fn open(path: impl AsRef<Path>) -> Result<Scenario, TestError> {
        let path = path.as_ref();
        let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
        let told = Told::from_toml(&path.display().to_string(), &text)?;
        let bpf = Bpf::open(path.parent().unwrap_or(Path::new("")).join(&told.object))?;
        Ok(Scenario { builder: Builder::from(told), ..Scenario::about(&bpf) })
    }

    fn add<T>(mut self, word: Result<T, String>, add: impl FnOnce(Builder, T) -> Builder) -> Scenario {
        match word {
            Ok(word) => self.builder = add(self.builder, word),
            Err(why) => self.wrong = self.wrong.or(Some(why)),
        }
        self
    }

    /// Runs programs on a CPU, one after another: `create`, `count*3`, `create,count`.
    pub fn on(self, cpu: u32, programs: impl Display) -> Scenario {
        self.add(format!("{cpu}:{programs}").parse::<OnWord>(), Builder::on)
    }

    /// Runs a program on CPU 0 before all others.
    pub fn first(self, program: impl Display) -> Scenario {
        self.add(program.to_string().parse::<PlacedWord>(), Builder::first)
    }

    /// Runs a program on CPU 0 after all others.
    pub fn last(self, program: impl Display) -> Scenario {
        self.add(program.to_string().parse::<PlacedWord>(), Builder::last)
    }

    /// Sets a global variable before the start.
    pub fn set(self, global: &str, value: impl Display) -> Scenario {
        self.add(format!("{global}={value}").parse::<SetWord>(), Builder::set)
    }

    /// Demands that an expression (CEL) holds at the end: `globals.sum == 4`, `returns[1] != 2`.
    pub fn hold(self, expression: &str) -> Scenario {
        self.add(Ok(expression), Builder::hold)
    }

    /// Demands that an expression (CEL) holds after each step.
    pub fn always(self, expression: &str) -> Scenario {
        self.add(Ok(expression), Builder::always)
    }

    /// Makes an expression (CEL) part of what outcomes are told apart by, in place of return values and globals.
    pub fn observe(self, expression: &str) -> Scenario {
        self.add(Ok(expression), Builder::observe)
    }

    /// Takes findings of a kind, such as `data-race`, for none.
    pub fn allow(self, kind: &str) -> Scenario {
        self.add(Ok(kind), Builder::allow)
    }

    /// Has so many CPUs; by default as many as are named.
    pub fn cpus(self, cpus: u32) -> Scenario {
        self.add(Ok(cpus), Builder::cpus)
    }

    /// Lets any allocation fail.
    pub fn allocation_failures(self) -> Scenario {
        self.add(Ok(true), Builder::allocation_failures)
    }

    /// Has the memory of x86, where other CPUs may see a store late (TSO).
    pub fn store_buffers(self) -> Scenario {
        self.add(Ok(MemoryModel::Tso), Builder::memory)
    }

    /// Explores so many schedules at most.
    pub fn schedules(mut self, most: u64) -> Scenario {
        self.options.schedules = Some(most);
        self
    }

    /// Explores for so long at most.
    pub fn time(mut self, most: Duration) -> Scenario {
        self.options.time = Some(most);
        self
    }

    /// Seeds what is random.
    pub fn seed(mut self, seed: u64) -> Scenario {
        self.options.seed = seed;
        self
    }

    fn simulation(self) -> Result<(Told, Simulation, SearchOptions, Bpf), TestError> {
        if let Some(why) = self.wrong {
            return Err(TestError::Word(why));
        }
        let told = self.builder.build()?;
        let types = Some(Arc::clone(&self.bpf.profile.btf));
        let options = MachineOptions { max_insns: 10_000_000, kernel_types: types, ..MachineOptions::default() };
        let simulation = Simulation::new(&told, &self.bpf.object, options).map_err(|error| match error {
            SimulationError::Scenario(error) => TestError::Scenario(error),
            error => TestError::Simulation(Box::new(error)),
        })?;
        Ok((told, simulation, self.options, self.bpf))
    }

    /// Runs it under every schedule that matters, or as many as wanted.
    ///
    /// # Errors
    /// If something in it cannot be meant, does not fit the object, or does not run on the machine.
    pub fn explore(self) -> Result<Explored, TestError> {
        let (told, simulation, options, bpf) = self.simulation()?;
        let stop = AtomicBool::new(false);
        let control = Control { stop: &stop, progress: &|_| () };
        let result = search(&|| simulation.clone(), &options, control)?;
        let name = bpf.path.display().to_string();
        let like = records::Scenario { digest: told.token_digest(&bpf.bytes), name };
        let mut simulation = simulation;
        let mut show = |choices: &[Choice], key: Option<&str>| {
            let simpler = key.and_then(|key| shrink(&mut simulation, choices, key, SHRINK_TRIES));
            let choices = simpler.map_or_else(|| choices.to_vec(), |shrunk| shrunk.choices);
            Shown::new(&mut simulation, Schedule { choices, digest: like.digest, name: like.name.clone() })
        };
        let mut shown: Vec<(String, Shown)> = result
            .findings
            .iter()
            .map(|(key, found)| (key.clone(), show(&found.shortest.choices, Some(key))))
            .collect();
        shown.extend(result.cut.iter().map(|seen| ("cut".to_owned(), show(&seen.choices, None))));
        let report = ExploreReport { path: &bpf.path, scenario: &told, result: &result, like: &like, shown: &shown };
        let findings = result.findings.iter().filter_map(|(key, found)| {
            let (_, shown) = shown.iter().find(|(one, _)| one == key)?;
            let told = shown.findings.iter().find(|one| one.key == *key)?;
            Some(FoundIssue {
                kind: found.finding.kind(),
                title: told.title.clone(),
                token: shown.schedule.to_string(),
                undecided: found.finding.is_undecided(),
            })
        });
        Ok(Explored {
            findings: findings.collect(),
            outcomes: result.outcomes.iter().map(|(text, observed)| (text.clone(), observed.runs)).collect(),
            complete: result.coverage.complete && result.coverage.cut == 0,
            schedules: result.coverage.explored + result.coverage.random_runs,
            text: report.text(&Look::plain()),
        })
    }

    /// Performs one schedule again, by the token that was printed for it: a test that holds a bug once found.
    ///
    /// # Errors
    /// As [`Scenario::explore`], and if the token is none, or of another scenario.
    pub fn replay(self, token: &str) -> Result<Replayed, TestError> {
        let schedule: Schedule = token.parse().map_err(|error| TestError::Word(format!("{error}")))?;
        let (told, mut simulation, _, bpf) = self.simulation()?;
        if schedule.digest.is_some() && schedule.digest != told.token_digest(&bpf.bytes) {
            return Err(TestError::OtherScenario);
        }
        let shown = Shown::new(&mut simulation, schedule);
        let kinds = shown.findings.iter().filter_map(|one| one.json["kind"].as_str().map(str::to_owned));
        Ok(Replayed { kinds: kinds.collect(), text: replay_text(&shown, &Look::plain()) })
    }
}

/// Something that goes wrong under some schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundIssue {
    /// Its kind: `data-race`, `leak`, `use-after-free`, `broken-condition`, `deadlock` …
    pub kind: &'static str,
    /// What is wrong, in one line.
    pub title: String,
    /// The shortest schedule that shows it, for [`Scenario::replay`] and `kptrsim replay`.
    pub token: String,
    /// Is it for want of a model, or a limit, and says nothing about the programs?
    pub undecided: bool,
}

/// What an exploration found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "assert what was found"]
pub struct Explored {
    findings: Vec<FoundIssue>,
    outcomes: BTreeMap<String, u64>,
    complete: bool,
    schedules: u64,
    text: String,
}

impl Explored {
    /// What goes wrong, in a fixed order.
    #[must_use]
    pub fn findings(&self) -> &[FoundIssue] {
        &self.findings
    }

    /// What can be observed at the end, and in how many runs it was.
    #[must_use]
    pub fn outcomes(&self) -> &BTreeMap<String, u64> {
        &self.outcomes
    }

    /// Was that every schedule that matters?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// How many schedules were run.
    #[must_use]
    pub fn schedules(&self) -> u64 {
        self.schedules
    }

    /// All of it as `kptrsim explore` prints it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Asserts that nothing goes wrong under the schedules that were run.
    ///
    /// # Panics
    /// If something does, or needs what is not modelled; with the schedule and a token to replay it.
    #[track_caller]
    pub fn assert_no_findings(&self) -> &Explored {
        assert!(self.findings.is_empty(), "expected no findings, but:\n{}", self.text);
        self
    }

    /// Asserts that something of that kind goes wrong, such as `data-race`.
    ///
    /// # Panics
    /// If nothing does.
    #[track_caller]
    pub fn assert_found(&self, kind: &str) -> &Explored {
        let found = self.findings.iter().any(|finding| finding.kind == kind);
        assert!(found, "expected a finding of kind {kind}, but:\n{}", self.text);
        self
    }

    /// Asserts that these outcomes and no others were observed: `returns=[1, 2]`, in any order.
    ///
    /// # Panics
    /// If others were, or one was not.
    #[track_caller]
    pub fn assert_outcomes(&self, expected: &[&str]) -> &Explored {
        let mut wanted = expected.to_vec();
        wanted.sort_unstable();
        let seen: Vec<&str> = self.outcomes.keys().map(String::as_str).collect();
        assert!(seen == wanted, "expected the outcomes\n{}\nbut:\n{}", wanted.join("\n"), self.text);
        self
    }

    /// Asserts that every schedule that matters was run, none cut for its length.
    ///
    /// # Panics
    /// If there are more.
    #[track_caller]
    pub fn assert_complete(&self) -> &Explored {
        assert!(self.complete, "expected every schedule, but:\n{}", self.text);
        self
    }
}

/// A schedule that was performed again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "assert what it showed"]
pub struct Replayed {
    kinds: Vec<String>,
    text: String,
}

impl Replayed {
    /// All of it as `kptrsim replay` prints it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Asserts that nothing goes wrong under that schedule.
    ///
    /// # Panics
    /// If something does.
    #[track_caller]
    pub fn assert_no_findings(&self) -> &Replayed {
        assert!(self.kinds.is_empty(), "expected no findings, but:\n{}", self.text);
        self
    }

    /// Asserts that something of that kind goes wrong under that schedule.
    ///
    /// # Panics
    /// If nothing does.
    #[track_caller]
    pub fn assert_found(&self, kind: &str) -> &Replayed {
        assert!(self.kinds.iter().any(|one| one == kind), "expected a finding of kind {kind}, but:\n{}", self.text);
        self
    }
}
