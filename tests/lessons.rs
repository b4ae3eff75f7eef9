//! The exercises of `kptrsim learn`: each fails as it comes, for the reason that it says, and passes with its solution; and the command
//! around them, as a learner uses it.
//!
//! Compiling needs clang; without it those trials show as ignored, or fail with `KPTRSIM_REQUIRE_CLANG=1`. A kernel is asked for its
//! verdicts on exercises and solutions only with `KPTRSIM_TEST_KERNEL=1`.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use kptrsim::cli::target::{KernelArgs, parse_object, read_or_compile};
use kptrsim::lessons::check::{Candidate, Passed, Surroundings};
use kptrsim::lessons::{Failure, Lesson, PROGRESS_FILE, check};
use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

/// After that long without an answer a test has failed; nothing is measured.
const PATIENCE: Duration = Duration::from_secs(120);

/// A test by its name.
type Test = (&'static str, fn() -> Result<(), Failed>);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let set = |name: &str| env::var(name).is_ok_and(|value| value == "1");
    let without_clang = !has_clang() && !set("KPTRSIM_REQUIRE_CLANG");
    let without_kernel = without_clang || !set("KPTRSIM_TEST_KERNEL");
    let mut trials = vec![
        Trial::test("command/init_keeps_files", init_keeps_files),
        Trial::test("command/list", list),
        Trial::test("command/hints_come_one_by_one", hints_come_one_by_one),
        Trial::test("command/solution_is_for_those_who_are_done", solution_is_for_those_who_are_done),
        Trial::test("command/damaged_progress_is_kept", damaged_progress_is_kept),
        Trial::test("command/without_clang", without_a_compiler),
        Trial::test("command/elsewhere", elsewhere),
    ];
    let with_clang: [Test; 5] = [
        ("command/check", check_of_one),
        ("command/check_all_with_solutions", check_all_with_solutions),
        ("command/what_does_not_compile", what_does_not_compile),
        ("watch/solves_one_after_the_other", watch_solves_one_after_the_other),
        ("watch/interrupted", watch_interrupted),
    ];
    trials.extend(with_clang.map(|(name, test)| Trial::test(name, test).with_ignored_flag(without_clang)));
    for lesson in lessons() {
        let (name, one, other) = (lesson.name, lesson.clone(), lesson);
        let shipped = Trial::test(format!("shipped/{name}"), move || fails_as_shipped(&one));
        trials.push(shipped.with_ignored_flag(without_clang));
        let solved = Trial::test(format!("solution/{name}"), move || is_solved(&other));
        trials.push(solved.with_ignored_flag(without_clang));
    }
    trials.push(Trial::test("kernel/verdicts", kernel_agrees).with_ignored_flag(without_kernel));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn has_clang() -> bool {
    ["clang-19", "clang"].iter().any(|name| Command::new(name).arg("--version").output().is_ok())
}

fn lessons() -> Vec<Lesson> {
    Lesson::all().expect("the built-in manifests can be read")
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(why().into()) }
}

/// Checks an exercise with that text as the learner's.
fn checked(lesson: &Lesson, text: &str) -> Result<Result<Passed, Failure>, Failed> {
    let folder = TempDir::new()?;
    let path = folder.path().join(lesson.file());
    fs::write(&path, text)?;
    let kernel = KernelArgs::default().kernel()?;
    let bytes = read_or_compile(&path)?;
    let object = parse_object(&path, &bytes, &kernel)?;
    let scenario = Path::new("scenario.toml");
    let candidate = Candidate { path: &path, bytes: &bytes, object: &object, scenario };
    let stop = AtomicBool::new(false);
    Ok(check(lesson, &candidate, &Surroundings { profile: &kernel.profile, stop: &stop, colour: false }))
}

/// It fails at what, and of what kind, its manifest says.
fn fails_as_shipped(lesson: &Lesson) -> Result<(), Failed> {
    let Err(failure) = checked(lesson, lesson.exercise)? else { return Err("it passes as it comes".into()) };
    let got = (failure.stage, failure.kind.as_str());
    let expected = (lesson.shipped.stage, lesson.shipped.kind.as_str());
    ensure(got == expected && !failure.undecided, || format!("{got:?}, not {expected:?}: {}", failure.message))?;
    ensure(!failure.text.is_empty(), || format!("there is no story: {}", failure.message))
}

fn is_solved(lesson: &Lesson) -> Result<(), Failed> {
    match checked(lesson, lesson.solution)? {
        Ok(passed) => ensure(passed.runs == lesson.runs.len(), || format!("{passed:?}")),
        Err(failure) => Err(format!("{}\n{}", failure.message, failure.text).into()),
    }
}

/// The kernel gives each program of each exercise and each solution the verdict that we give it.
fn kernel_agrees() -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let mut files = Vec::new();
    for lesson in lessons() {
        for (kind, text) in [("exercise", lesson.exercise), ("solution", lesson.solution)] {
            let path = folder.path().join(format!("{}_{kind}.bpf.c", lesson.name));
            fs::write(&path, text)?;
            files.push(path);
        }
    }
    let output = Command::new(env!("CARGO_BIN_EXE_kptrsim")).arg("crosscheck").args(&files).output()?;
    ensure(output.status.success(), || String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `kptrsim learn` with that folder.
fn learn(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kptrsim"));
    command.arg("learn").args(words).arg("--dir").arg(folder).stdin(Stdio::null());
    command
}

/// A folder with all exercises as they come.
fn workshop() -> Result<TempDir, Failed> {
    let folder = TempDir::new()?;
    let init = Command::new(env!("CARGO_BIN_EXE_kptrsim")).args(["learn", "init"]).arg(folder.path()).output()?;
    ended(&init, 0)?;
    Ok(folder)
}

/// It ended with that code. Its standard output and error.
fn ended(output: &Output, code: i32) -> Result<(String, String), Failed> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    ensure(output.status.code() == Some(code), || format!("{}, not {code}\n{out}\n{err}", output.status))?;
    Ok((out, err))
}

fn says(text: &str, what: &str) -> Result<(), Failed> {
    ensure(text.contains(what), || format!("it does not say `{what}`:\n{text}"))
}

fn init_keeps_files() -> Result<(), Failed> {
    let folder = workshop()?;
    let mine = folder.path().join("03_bounds.bpf.c");
    fs::write(&mine, "int mine;\n")?;
    let again = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_kptrsim")).args(["learn", "init"]).arg(folder.path()).args(words).output()
    };
    let (out, _) = ended(&again(&[])?, 0)?;
    says(&out, "Kept as they are: 03_bounds.bpf.c")?;
    ensure(fs::read_to_string(&mine)? == "int mine;\n", || "the file was overwritten".into())?;
    let (out, _) = ended(&again(&["--force"])?, 0)?;
    says(&out, "Replaced")?;
    says(&fs::read_to_string(&mine)?, "An index that may be anything")?;
    let (out, _) = ended(&learn(folder.path(), &["reset", "3"]).output()?, 0)?;
    says(&out, "as it came already")
}

fn list() -> Result<(), Failed> {
    let folder = workshop()?;
    let (out, _) = ended(&learn(folder.path(), &["list"]).output()?, 0)?;
    says(&out, "next  01_return")?;
    says(&out, "0 of 21 solved")?;
    let (out, _) = ended(&learn(folder.path(), &["list", "--format", "json"]).output()?, 0)?;
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap_or(""))?;
    ensure(first["exercise"] == "01_return" && first["current"] == true && first["solved"] == false, || out.clone())?;
    ensure(out.lines().count() == lessons().len(), || out.clone())
}

fn hints_come_one_by_one() -> Result<(), Failed> {
    let folder = workshop()?;
    let hint = || -> Result<String, Failed> { Ok(ended(&learn(folder.path(), &["hint", "2"]).output()?, 0)?.0) };
    let (first, second) = (hint()?, hint()?);
    says(&first, "Hint 1 of 3")?;
    ensure(!first.contains("Hint 2"), || first.clone())?;
    says(&second, "Hint 2 of 3")?;
    hint()?;
    says(&hint()?, "That was the last one")
}

fn solution_is_for_those_who_are_done() -> Result<(), Failed> {
    let folder = workshop()?;
    let (_, err) = ended(&learn(folder.path(), &["solution", "5"]).output()?, 2)?;
    says(&err, "05_forgotten_drop is not solved yet")?;
    let (out, _) = ended(&learn(folder.path(), &["solution", "5", "--show"]).output()?, 0)?;
    ensure(out == lessons()[4].solution, || out.clone())
}

fn damaged_progress_is_kept() -> Result<(), Failed> {
    let folder = workshop()?;
    let path = folder.path().join(PROGRESS_FILE);
    let damaged = "version = 1\nsolved = [\"01_return\"\nhints";
    fs::write(&path, damaged)?;
    for words in [&["hint"][..], &["list"], &["check"], &["reset", "1"], &[]] {
        let (_, err) = ended(&learn(folder.path(), words).output()?, 2)?;
        says(&err, "is damaged: TOML parse error at line")?;
    }
    let init = Command::new(env!("CARGO_BIN_EXE_kptrsim")).args(["learn", "init"]).arg(folder.path()).output()?;
    ended(&init, 2)?;
    ensure(fs::read_to_string(&path)? == damaged, || "it was changed".into())
}

fn without_a_compiler() -> Result<(), Failed> {
    let folder = workshop()?;
    for words in [&["check"][..], &[]] {
        let (_, err) = ended(&learn(folder.path(), words).env("PATH", folder.path()).output()?, 2)?;
        says(&err, "no clang was found")?;
        says(&err, "apt install clang")?;
    }
    Ok(())
}

fn elsewhere() -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let (_, err) = ended(&learn(folder.path(), &[]).output()?, 2)?;
    says(&err, "kptrsim learn init")?;
    let inner = workshop()?;
    let deep = inner.path().join("include");
    let found = Command::new(env!("CARGO_BIN_EXE_kptrsim")).args(["learn", "list"]).current_dir(deep).output()?;
    says(&ended(&found, 0)?.0, "01_return")
}

fn check_of_one() -> Result<(), Failed> {
    let folder = workshop()?;
    let (out, _) = ended(&learn(folder.path(), &["check"]).output()?, 1)?;
    says(&out, "R0 !read_ok")?;
    let solution = lessons()[1].solution;
    fs::write(folder.path().join("02_null_check.bpf.c"), solution)?;
    let (out, _) = ended(&learn(folder.path(), &["check", "2"]).output()?, 0)?;
    says(&out, "Exercise 2 is solved: 1 program accepted, 1 run right.")?;
    let (out, _) = ended(&learn(folder.path(), &["list"]).output()?, 0)?;
    says(&out, "solved  02_null_check")?;
    let (out, _) = ended(&learn(folder.path(), &["check", "10", "--format", "json"]).output()?, 1)?;
    let record: serde_json::Value = serde_json::from_str(&out)?;
    ensure(record["stage"] == "run" && record["kind"] == "null-dereference" && record["passed"] == false, || {
        out.clone()
    })?;
    let (out, _) = ended(&learn(folder.path(), &["reset", "2"]).output()?, 0)?;
    says(&out, "02_null_check.bpf.c.old1")?;
    ensure(fs::read_to_string(folder.path().join("02_null_check.bpf.c.old1"))? == solution, || "it is lost".into())
}

/// A learner who has solved everything: `check --all` says so, finds the progress again after it was lost, and there is nothing left to watch.
fn check_all_with_solutions() -> Result<(), Failed> {
    let folder = workshop()?;
    for lesson in lessons() {
        fs::write(folder.path().join(lesson.file()), lesson.solution)?;
    }
    let (out, _) = ended(&learn(folder.path(), &["check", "--all"]).output()?, 0)?;
    says(&out, "21 of 21 are solved")?;
    let (out, _) = ended(&learn(folder.path(), &[]).output()?, 0)?;
    says(&out, "All exercises are solved")
}

fn what_does_not_compile() -> Result<(), Failed> {
    let folder = workshop()?;
    let file = folder.path().join("01_return.bpf.c");
    fs::write(&file, "#include \"kptrsim.h\"\nint count(\n")?;
    let (out, _) = ended(&learn(folder.path(), &["check"]).output()?, 1)?;
    says(&out, "error[does-not-compile]")?;
    says(&out, "01_return.bpf.c:2:")?;
    fs::write(&file, "int nothing;\n")?;
    let (out, _) = ended(&learn(folder.path(), &["check"]).output()?, 1)?;
    says(&out, "there is no program `count` any more")?;
    fs::remove_file(&file)?;
    let (_, err) = ended(&learn(folder.path(), &["check"]).output()?, 2)?;
    says(&err, "is gone; `kptrsim learn reset 01_return` writes it anew")
}

/// A `kptrsim learn` that watches, and what it says.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(folder: &Path) -> Result<Watch, Failed> {
        let mut child = learn(folder, &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("it has an output")?;
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Watch { child, lines })
    }

    /// Waits for a line with these words.
    fn says(&self, what: &str) -> Result<(), Failed> {
        let mut heard = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(what) => return Ok(()),
                Ok(line) => heard = heard + &line + "\n",
                Err(error) => return Err(format!("it does not say `{what}` ({error}), but\n{heard}").into()),
            }
        }
    }

    fn ask(&mut self, line: &str) -> Result<(), Failed> {
        let stdin = self.child.stdin.as_mut().ok_or("it has an input")?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// It ends with success.
    fn ends(mut self) -> Result<(), Failed> {
        let status = self.child.wait()?;
        ensure(status.success(), || format!("{status}"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It has ended already unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn watch_solves_one_after_the_other() -> Result<(), Failed> {
    let folder = workshop()?;
    let all = lessons();
    let mut watch = Watch::start(folder.path())?;
    watch.says("0 of 21 solved")?;
    watch.says("Exercise 1: ")?;
    watch.says("R0 !read_ok")?;
    watch.says("Mend the file and save it")?;
    fs::write(folder.path().join(all[0].file()), all[0].solution)?;
    watch.says("1 of 21 solved")?;
    watch.says("Exercise 1 is solved")?;
    watch.says("Exercise 2: ")?;
    watch.says("map_value_or_null")?;
    watch.ask("h")?;
    watch.says("Hint 1 of 3 for exercise 2")?;
    // As some editors save: a new file in place of the old one.
    let beside = folder.path().join("new");
    fs::write(&beside, all[1].solution)?;
    fs::rename(&beside, folder.path().join(all[1].file()))?;
    watch.says("Exercise 2 is solved")?;
    watch.says("Exercise 3: ")?;
    watch.says("Mend the file and save it")?;
    fs::remove_file(folder.path().join(all[2].file()))?;
    watch.says("is gone; `kptrsim learn reset 03_bounds`")?;
    fs::write(folder.path().join(all[2].file()), all[2].exercise)?;
    watch.says("max value is outside")?;
    watch.ask("s")?;
    watch.says("Not solved yet")?;
    watch.ask("l")?;
    watch.says("solved  02_null_check")?;
    watch.ask("q")?;
    watch.says("Your progress is kept")?;
    watch.ends()?;
    let progress = fs::read_to_string(folder.path().join(PROGRESS_FILE))?;
    says(&progress, "solved = [\"01_return\", \"02_null_check\"]")
}

fn watch_interrupted() -> Result<(), Failed> {
    let folder = workshop()?;
    let watch = Watch::start(folder.path())?;
    watch.says("Mend the file and save it")?;
    let signal = Command::new("kill").args(["-INT", &watch.child.id().to_string()]).status()?;
    ensure(signal.success(), || format!("kill: {signal}"))?;
    watch.says("Your progress is kept")?;
    watch.ends()
}
