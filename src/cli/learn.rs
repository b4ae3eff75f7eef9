//! `kptrsim learn`: exercises in a folder of the learner's, checked as they are saved.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Subcommand;
use serde::Serialize;
use thiserror::Error;

use super::interrupt;
use super::output::{self, Format, OutputError};
use super::target::{Kernel, KernelArgs, TargetError, parse_object, read_or_compile};
use crate::kernel::files::FileError;
use crate::lessons::check::{Candidate, Passed, Surroundings};
use crate::lessons::{
    Failure, FindError, Lesson, ManifestError, Progress, ProgressError, Reset, Stage, Workshop, WorkshopError, Written,
    check, find,
};
use crate::object::compile::{C_OPTIONS, CompileError, HEADERS};

mod text;
mod watch;

use text::Words;

/// The folder that `init` makes when none is named.
const DEFAULT_FOLDER: &str = "kptrsim-lessons";

/// Letters in a line where no terminal says how many it shows, and most anywhere.
const WIDTH: usize = 100;

/// What shells take for ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// What lies in a learner's folder to be read first.
const README: &str = include_str!("learn/folder.md");

/// Learn BPF ownership, RCU and races by mending small programs, which are checked as you save them.
///
/// Begin with `kptrsim learn init`, go to the folder that it makes, and run `kptrsim learn` there. The exercises are C
/// programs, so clang is needed.
///
/// `check` exits with 0 when what it checks is solved, 1 when not, 2 for wrong use, no clang or bad input, 3 when it could not be
/// decided.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder with the exercises; by default the current one, or one above it
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do; without it, the current exercise is watched and checked whenever it is saved.
    #[command(subcommand)]
    pub command: Option<Action>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Write the exercises to a folder; files that are there are kept
    Init {
        /// The folder, made if it is not there
        #[arg(value_name = "FOLDER", default_value = DEFAULT_FOLDER)]
        folder: PathBuf,
        /// Replace files that are there, and forget what was solved
        #[arg(long)]
        force: bool,
    },
    /// Check the current exercise once, or the one that is named, or all
    Check {
        /// The exercise: its number, its name or its file
        #[arg(value_name = "EXERCISE")]
        exercise: Option<String>,
        /// Check every exercise
        #[arg(long, conflicts_with = "exercise")]
        all: bool,
        /// Output format; json prints one object a line
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show the next hint for the current exercise, or for the one that is named
    Hint {
        /// The exercise: its number, its name or its file
        #[arg(value_name = "EXERCISE")]
        exercise: Option<String>,
    },
    /// List the exercises, and which are solved
    List {
        /// Output format; json prints one object a line
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Put an exercise back as it came; what you wrote is kept beside it
    Reset {
        /// The exercise: its number, its name or its file
        #[arg(value_name = "EXERCISE")]
        exercise: String,
    },
    /// Print our solution of an exercise that you have solved
    Solution {
        /// The exercise: its number, its name or its file
        #[arg(value_name = "EXERCISE")]
        exercise: String,
        /// Print it even though the exercise is not solved
        #[arg(long)]
        show: bool,
    },
}

/// Why a lesson cannot go on.
#[derive(Debug, Error)]
pub enum LearnError {
    /// The learner's folder.
    #[error(transparent)]
    Workshop(#[from] WorkshopError),
    /// The learner's progress.
    #[error(transparent)]
    Progress(#[from] ProgressError),
    /// A word that names no exercise.
    #[error(transparent)]
    Find(#[from] FindError),
    /// A built-in exercise is broken.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The kernel's tables, or a file.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no compiler.
    #[error(
        "the exercises are C programs, and no clang was found to compile them. Install it and try again:\n  Debian, Ubuntu   \
         sudo apt install clang\n  Fedora           sudo dnf install clang\n  Arch             sudo pacman -S clang\nany \
         version from 17 on will do"
    )]
    NoClang,
    /// The solution of an exercise that is not solved.
    #[error(
        "{0} is not solved yet. `kptrsim learn hint {number}` helps; `kptrsim learn solution {number} --show` shows the solution all \
         the same",
        number = number(.0)
    )]
    NotSolved(&'static str),
    /// Ctrl-C cannot be listened for.
    #[error("cannot listen for Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    /// Results cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The number that an exercise's name begins with.
fn number(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

/// Runs the command.
///
/// # Errors
/// [`LearnError`]; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, LearnError> {
    if let Some(Action::Init { folder, force }) = &args.command {
        return init(folder, *force);
    }
    let course = Course::open(args.dir.as_deref())?;
    match &args.command {
        None => watch::watch(&course),
        Some(Action::Check { all: true, format, .. }) => course.check_all(*format),
        Some(Action::Check { exercise, format, .. }) => course.check_one(exercise.as_deref(), *format),
        Some(Action::Hint { exercise }) => course.print_hint(exercise.as_deref()),
        Some(Action::List { format }) => course.list(*format),
        Some(Action::Reset { exercise }) => course.reset(exercise),
        Some(Action::Solution { exercise, show }) => course.solution(exercise, *show),
        Some(Action::Init { .. }) => Ok(ExitCode::SUCCESS),
    }
}

/// Writes the exercises, the headers that they include, and what editors need to know of them.
fn init(folder: &Path, force: bool) -> Result<ExitCode, LearnError> {
    let lessons = Lesson::all()?;
    let mut beside = vec![
        (PathBuf::from("README.md"), README.to_owned()),
        (PathBuf::from("compile_flags.txt"), format!("{}\n-Iinclude\n", C_OPTIONS.join("\n"))),
    ];
    beside.extend(HEADERS.map(|(name, text)| (Path::new("include").join(name), text.to_owned())));
    let (_, written) = Workshop::create(folder, &lessons, &beside, force)?;
    output::print(&created(folder, lessons.len(), &written))?;
    Ok(ExitCode::SUCCESS)
}

fn created(folder: &Path, exercises: usize, written: &Written) -> String {
    let Written { replaced, kept, .. } = written;
    let mut text = format!("{exercises} exercises are in {}.\n", folder.display());
    if !replaced.is_empty() {
        text += &format!("Replaced, and the progress begins anew: {}\n", names(replaced));
    }
    if !kept.is_empty() {
        text += &format!("Kept as they are: {} (--force replaces them)\n", names(kept));
    }
    let open = if folder == Path::new(".") { String::new() } else { format!("cd {} && ", folder.display()) };
    text + &format!("Open that folder in your editor, and in a terminal beside it run:\n  {open}kptrsim learn\n")
}

fn names(paths: &[PathBuf]) -> String {
    let name = |path: &PathBuf| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    paths.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The exercises, the learner's folder, and the kernel to judge for.
struct Course {
    lessons: Vec<Lesson>,
    workshop: Workshop,
    kernel: Kernel,
    words: Words,
}

/// An exercise as JSON has it.
#[derive(Serialize)]
struct JsonLesson<'a> {
    exercise: &'a str,
    number: usize,
    title: &'a str,
    part: &'a str,
    file: &'a Path,
    solved: bool,
    current: bool,
    hints: usize,
    hints_shown: usize,
}

/// A check as JSON has it.
#[derive(Serialize)]
struct JsonCheck<'a> {
    exercise: &'a str,
    number: usize,
    passed: bool,
    /// At what it failed, and the rest of it; absent when it passed.
    stage: Option<Stage>,
    kind: Option<&'a str>,
    message: Option<&'a str>,
    text: Option<&'a str>,
    decided: bool,
}

impl Course {
    fn open(folder: Option<&Path>) -> Result<Course, LearnError> {
        let workshop = Workshop::open(folder)?;
        // A damaged file is told before any work is done.
        Progress::read(workshop.root())?;
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0).min(WIDTH));
        let kernel = KernelArgs::default().kernel()?;
        Ok(Course { lessons: Lesson::all()?, workshop, kernel, words: Words { colour, width } })
    }

    fn progress(&self) -> Result<Progress, ProgressError> {
        Progress::read(self.workshop.root())
    }

    /// The first exercise that is not solved.
    fn current(&self, progress: &Progress) -> Option<&Lesson> {
        self.lessons.iter().find(|lesson| !progress.solved.contains(lesson.name))
    }

    /// The exercise that was named, or the current one, or the last one if all are solved.
    fn chosen(&self, word: Option<&str>) -> Result<Option<&Lesson>, LearnError> {
        match word {
            Some(word) => Ok(Some(find(&self.lessons, word)?)),
            None => Ok(self.current(&self.progress()?).or(self.lessons.last())),
        }
    }

    /// Compiles and checks an exercise, and remembers it if it is solved.
    fn check(&self, lesson: &Lesson, stop: &AtomicBool) -> Result<Result<Passed, Failure>, LearnError> {
        let result = self.examine(lesson, stop)?;
        if result.is_ok() {
            Progress::update(self.workshop.root(), |progress| {
                progress.solved.insert(lesson.name.to_owned());
            })?;
        }
        Ok(result)
    }

    fn examine(&self, lesson: &Lesson, stop: &AtomicBool) -> Result<Result<Passed, Failure>, LearnError> {
        let path = self.workshop.path(lesson);
        self.workshop.contents(lesson)?;
        let bytes = match read_or_compile(&path) {
            Ok(bytes) => bytes,
            Err(TargetError::File(FileError::Compile(CompileError::NoClang(_)))) => return Err(LearnError::NoClang),
            Err(TargetError::File(FileError::Compile(CompileError::Refused { messages, .. }))) => {
                let failure = Failure::new(Stage::Compile, "does-not-compile", "clang cannot compile it");
                return Ok(Err(Failure { text: messages, ..failure }));
            }
            Err(error) => return Err(error.into()),
        };
        let object = match parse_object(&path, &bytes, &self.kernel) {
            Ok(object) => object,
            Err(error) => return Ok(Err(Failure::new(Stage::Compile, "does-not-load", error.to_string()))),
        };
        let scenario = self.workshop.scenario_path(lesson);
        let candidate = Candidate { path: &path, bytes: &bytes, object: &object, scenario: &scenario };
        let around = Surroundings { profile: &self.kernel.profile, stop, colour: self.words.colour };
        Ok(check(lesson, &candidate, &around))
    }

    fn check_one(&self, word: Option<&str>, format: Format) -> Result<ExitCode, LearnError> {
        let Some(lesson) = self.chosen(word)? else { return Ok(ExitCode::SUCCESS) };
        let stop = interrupt::stop_flag()?;
        let result = self.check(lesson, &stop)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(INTERRUPTED.into());
        }
        self.print_check(lesson, &result, format)?;
        Ok(exit_code(result.as_ref().err()))
    }

    fn check_all(&self, format: Format) -> Result<ExitCode, LearnError> {
        let stop = interrupt::stop_flag()?;
        let mut failures = Vec::new();
        for lesson in &self.lessons {
            let result = self.check(lesson, &stop)?;
            if stop.load(Ordering::Relaxed) {
                return Ok(INTERRUPTED.into());
            }
            match format {
                Format::Text => output::print(&self.words.verdict(lesson, &result))?,
                _ => self.print_check(lesson, &result, format)?,
            }
            failures.extend(result.err());
        }
        if format == Format::Text {
            let (solved, all) = (self.lessons.len() - failures.len(), self.lessons.len());
            output::print(&format!("{solved} of {all} are solved\n"))?;
        }
        Ok(exit_code(failures.iter().min_by_key(|failure| failure.undecided)))
    }

    fn print_check(
        &self,
        lesson: &Lesson,
        result: &Result<Passed, Failure>,
        format: Format,
    ) -> Result<(), OutputError> {
        if format == Format::Text {
            return output::print(&match result {
                Ok(passed) => self.words.passed(lesson, passed),
                Err(failure) => self.words.failed(lesson, &self.workshop.path(lesson), failure),
            });
        }
        let failure = result.as_ref().err();
        output::print_record(
            "exercise",
            &JsonCheck {
                exercise: lesson.name,
                number: lesson.number(),
                passed: result.is_ok(),
                stage: failure.map(|failure| failure.stage),
                kind: failure.map(|failure| failure.kind.as_str()),
                message: failure.map(|failure| failure.message.as_str()),
                text: failure.map(|failure| failure.text.as_str()),
                decided: failure.is_none_or(|failure| !failure.undecided),
            },
        )
    }

    /// One more hint, with those before it.
    fn hint(&self, lesson: &Lesson) -> Result<String, LearnError> {
        let mut shown = 0;
        Progress::update(self.workshop.root(), |progress| {
            let count = progress.hints.entry(lesson.name.to_owned()).or_default();
            *count = (*count + 1).min(lesson.hints.len());
            shown = *count;
        })?;
        Ok(self.words.hints(lesson, shown))
    }

    fn print_hint(&self, word: Option<&str>) -> Result<ExitCode, LearnError> {
        if let Some(lesson) = self.chosen(word)? {
            output::print(&self.hint(lesson)?)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, format: Format) -> Result<ExitCode, LearnError> {
        let progress = self.progress()?;
        let current = self.current(&progress).map(|lesson| lesson.name);
        if format == Format::Text {
            output::print(&self.words.list(&self.lessons, &progress, current))?;
            return Ok(ExitCode::SUCCESS);
        }
        for lesson in &self.lessons {
            output::print_record(
                "lesson",
                &JsonLesson {
                    exercise: lesson.name,
                    number: lesson.number(),
                    title: &lesson.title,
                    part: &lesson.part,
                    file: &self.workshop.path(lesson),
                    solved: progress.solved.contains(lesson.name),
                    current: current == Some(lesson.name),
                    hints: lesson.hints.len(),
                    hints_shown: progress.hints.get(lesson.name).copied().unwrap_or(0),
                },
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn reset(&self, word: &str) -> Result<ExitCode, LearnError> {
        let lesson = find(&self.lessons, word)?;
        let file = self.workshop.path(lesson);
        let file = file.display();
        output::print(&match self.workshop.reset(lesson)? {
            Reset::Unchanged => format!("{file} is as it came already\n"),
            Reset::Restored => format!("{file} is as it came\n"),
            Reset::Kept(old) => format!("{file} is as it came; what you wrote is in {}\n", old.display()),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn solution(&self, word: &str, show: bool) -> Result<ExitCode, LearnError> {
        let lesson = find(&self.lessons, word)?;
        if !show && !self.progress()?.solved.contains(lesson.name) {
            return Err(LearnError::NotSolved(lesson.name));
        }
        output::print(lesson.solution)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn exit_code(failure: Option<&Failure>) -> ExitCode {
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) if failure.undecided => ExitCode::from(3),
        Some(_) => ExitCode::from(1),
    }
}
