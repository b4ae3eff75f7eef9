//! The exercises that are built in, and what their manifests ask for.
//!
//! A folder of `lessons/` has `exercise.bpf.c` and `solution.bpf.c`, `lesson.toml` (the keys of [`Lesson`]), and, where every schedule is
//! to be tried, `scenario.toml`: a scenario about `exercise.bpf.c`. Start at [`Lesson::all`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A folder of `lessons/`.
struct Source {
    name: &'static str,
    exercise: &'static str,
    solution: &'static str,
    manifest: &'static str,
    scenario: Option<&'static str>,
}

macro_rules! source {
    ($name:literal, $scenario:expr) => {
        Source {
            name: $name,
            exercise: include_str!(concat!("../../lessons/", $name, "/exercise.bpf.c")),
            solution: include_str!(concat!("../../lessons/", $name, "/solution.bpf.c")),
            manifest: include_str!(concat!("../../lessons/", $name, "/lesson.toml")),
            scenario: $scenario,
        }
    };
    ($name:literal) => {
        source!($name, None)
    };
    ($name:literal with scenario) => {
        source!($name, Some(include_str!(concat!("../../lessons/", $name, "/scenario.toml"))))
    };
}

/// All folders, in the order in which they are to be done.
const SOURCES: &[Source] = &[
    source!("01_return"),
    source!("02_null_check"),
    source!("03_bounds"),
    source!("04_endless_loop"),
    source!("05_forgotten_drop"),
    source!("06_publish"),
    source!("07_occupied_slot"),
    source!("08_use_after_drop"),
    source!("09_this_cpu"),
    source!("10_every_cpu"),
    source!("11_rcu_section"),
    source!("12_too_late"),
    source!("13_list"),
    source!("14_tree"),
    source!("15_two_owners"),
    source!("16_old_memory"),
    source!("17_hidden_leak"),
    source!("18_lost_update" with scenario),
    source!("19_too_early" with scenario),
    source!("20_start_twice" with scenario),
    source!("21_put_back" with scenario),
];

/// The object that scenarios of `lessons/` name.
const EXERCISE: &str = "exercise.bpf.c";

/// An exercise.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Its folder's name: its number and a word or two.
    pub name: &'static str,
    /// The program to mend.
    pub exercise: &'static str,
    /// The program mended.
    pub solution: &'static str,
    /// The scenario that shall have no finding under any schedule, about [`Lesson::file`].
    pub scenario: Option<String>,
    /// In a few words, what it is about.
    pub title: String,
    /// The part of the course that it belongs to.
    pub part: String,
    /// Help, each one telling more than the one before.
    pub hints: Vec<String>,
    /// What there was to learn.
    pub takeaway: String,
    /// How the program fails before it is mended.
    pub shipped: Shipped,
    /// Runs, each on a machine of its own.
    pub runs: Vec<RunCheck>,
}

/// What a program is asked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Does clang compile it?
    Compile,
    /// Does the verifier accept every program?
    Verify,
    /// Do its runs come to what is expected?
    Run,
    /// Is nothing found under any schedule?
    Explore,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Compile => "compile",
            Stage::Verify => "verify",
            Stage::Run => "run",
            Stage::Explore => "explore",
        })
    }
}

/// How an exercise fails before it is mended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shipped {
    /// At what.
    pub stage: Stage,
    /// The rule's id, the kind of fault or finding, or a kind of [`Failure`](super::Failure).
    pub kind: String,
}

/// Programs that run one after another, with grace periods ending in between, and what shall come of it. No reference may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunCheck {
    /// Number of CPUs.
    #[serde(default = "two")]
    pub cpus: u32,
    /// Globals to set before: `NAME=VALUE`.
    #[serde(default)]
    pub set: Vec<String>,
    /// What runs.
    pub steps: Vec<Step>,
    /// What globals shall hold at the end.
    #[serde(default)]
    pub globals: BTreeMap<String, i64>,
    /// How many objects shall be owned at the end, by maps, lists and trees.
    pub owned: Option<usize>,
}

/// A program's run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The program.
    pub run: String,
    /// Where it runs.
    #[serde(default)]
    pub cpu: u32,
    /// Bytes of the packet that it is given, all of them zero; the kernel's smallest packet when absent.
    pub packet_size: Option<usize>,
    /// What it shall return.
    pub returns: i32,
}

fn two() -> u32 {
    2
}

/// `lesson.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    title: String,
    part: String,
    hints: Vec<String>,
    takeaway: String,
    shipped: Shipped,
    run: Vec<RunCheck>,
}

/// A manifest that cannot be read: this binary was built of a broken one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("lessons/{name}/lesson.toml: {reason}")]
pub struct ManifestError {
    /// The exercise.
    pub name: &'static str,
    /// What is wrong.
    pub reason: String,
}

impl Lesson {
    /// All exercises, in the order in which they are to be done.
    ///
    /// # Errors
    /// [`ManifestError`] if one that was built in is broken; a test of this module's sees to it that none is.
    pub fn all() -> Result<Vec<Lesson>, ManifestError> {
        SOURCES.iter().map(Lesson::read).collect()
    }

    fn read(source: &Source) -> Result<Lesson, ManifestError> {
        let Source { name, exercise, solution, manifest, scenario } = *source;
        let manifest: Manifest =
            toml::from_str(manifest).map_err(|error| ManifestError { name, reason: error.to_string() })?;
        Ok(Lesson {
            name,
            exercise,
            solution,
            scenario: scenario.map(|text| text.replace(EXERCISE, &file_name(name))),
            title: manifest.title,
            part: manifest.part,
            hints: manifest.hints,
            takeaway: manifest.takeaway,
            shipped: manifest.shipped,
            runs: manifest.run,
        })
    }

    /// Its number, from 1: that in its name.
    #[must_use]
    pub fn number(&self) -> usize {
        number_of(self.name)
    }

    /// What the learner's file is called.
    #[must_use]
    pub fn file(&self) -> String {
        file_name(self.name)
    }

    /// What its scenario's file is called in the learner's folder.
    #[must_use]
    pub fn scenario_file(&self) -> String {
        format!("{}.toml", self.name)
    }

    /// The programs that its checks run, which have to be in the learner's file.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().flat_map(|run| &run.steps).map(|step| step.run.as_str())
    }
}

fn file_name(name: &str) -> String {
    format!("{name}.bpf.c")
}

fn number_of(name: &str) -> usize {
    name.split('_').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A word that names no exercise, or several.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FindError {
    /// None.
    #[error("there is no exercise `{0}`; `kptrsim learn list` shows them")]
    None(String),
    /// More than one.
    #[error("`{word}` may be {names}; write more of the name, or the number")]
    Several {
        /// The word.
        word: String,
        /// The exercises.
        names: String,
    },
}

/// The exercise that a word names: its number, its name, a part of its name, or its file.
///
/// # Errors
/// [`FindError`] if there is none, or more than one.
pub fn find<'a>(lessons: &'a [Lesson], word: &str) -> Result<&'a Lesson, FindError> {
    let file = word.rsplit('/').next().unwrap_or(word);
    let wanted = file.strip_suffix(".bpf.c").unwrap_or(file);
    let number: Option<usize> = wanted.parse().ok();
    let exact = |lesson: &&Lesson| lesson.name == wanted || number == Some(lesson.number());
    if let Some(lesson) = lessons.iter().find(exact) {
        return Ok(lesson);
    }
    let part = |lesson: &&Lesson| !wanted.is_empty() && lesson.name.contains(wanted);
    match lessons.iter().filter(part).collect::<Vec<_>>().as_slice() {
        [only] => Ok(only),
        [] => Err(FindError::None(word.to_owned())),
        several => {
            let names: Vec<_> = several.iter().map(|lesson| lesson.name).collect();
            Err(FindError::Several { word: word.to_owned(), names: names.join(" or ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::scenario::Scenario;

    fn all() -> Vec<Lesson> {
        Lesson::all().expect("all manifests can be read")
    }

    #[test]
    fn every_folder_is_built_in_and_numbered_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("lessons");
        let entries = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it is read"));
        let folders: BTreeSet<String> = entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let lessons = all();
        assert_eq!(folders, lessons.iter().map(|lesson| lesson.name.to_owned()).collect());
        for (index, lesson) in lessons.iter().enumerate() {
            assert_eq!(lesson.number(), index + 1, "{}", lesson.name);
            let head = format!(" * {}. ", lesson.number());
            assert!(lesson.exercise.contains(&head), "{} says its number", lesson.name);
        }
    }

    #[test]
    fn every_exercise_says_what_to_do_and_helps() {
        for lesson in all() {
            let name = lesson.name;
            assert!(lesson.exercise.contains("TODO: "), "{name}");
            assert!(!lesson.solution.contains("TODO"), "{name}");
            assert!(lesson.hints.len() >= 2, "{name} has several hints");
            assert!(!lesson.takeaway.is_empty() && !lesson.runs.is_empty(), "{name}");
            assert!(lesson.runs.iter().all(|run| !run.steps.is_empty()), "{name}");
            assert_eq!(lesson.scenario.is_some(), lesson.shipped.stage == Stage::Explore, "{name}");
        }
    }

    #[test]
    fn scenarios_are_about_the_learners_file() {
        for lesson in all() {
            let Some(text) = &lesson.scenario else { continue };
            let scenario = Scenario::from_toml(&lesson.scenario_file(), text).expect("it is a scenario");
            assert_eq!(scenario.object, Path::new(&lesson.file()));
        }
    }

    #[test]
    fn a_word_names_an_exercise() {
        let lessons = all();
        for word in ["3", "03", "03_bounds", "bounds", "03_bounds.bpf.c", "./x/03_bounds.bpf.c"] {
            assert_eq!(find(&lessons, word).map(|lesson| lesson.name), Ok("03_bounds"), "{word}");
        }
        assert_eq!(find(&lessons, "99").map(|lesson| lesson.name), Err(FindError::None("99".into())));
        assert!(matches!(find(&lessons, ""), Err(FindError::None(_))));
        assert!(matches!(find(&lessons, "slot"), Ok(lesson) if lesson.number() == 7));
        assert!(matches!(find(&lessons, "drop"), Err(FindError::Several { .. })));
    }
}
