//! The scenarios of `tests/scenarios`: each fits its object, has one canonical text, is explored as its snapshot says, and has on a real
//! kernel only outcomes that the explorer finds.
//!
//! Compiling needs clang 19; without it those trials show as ignored, or fail with `KPTRSIM_REQUIRE_CLANG=1`. A kernel is booted only with
//! `KPTRSIM_TEST_KERNEL=1`.

#[path = "scenarios/exploring.rs"]
mod exploring;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};

use kptrsim::crosscheck::kernel_outcomes::{KernelRuns, kernel_outcomes};
use kptrsim::crosscheck::{BootOptions, Cache, Judge, KernelImage, guest};
use kptrsim::kernel::Profile;
use kptrsim::object::Object;
use kptrsim::scenario::Scenario;
use libtest_mimic::{Arguments, Failed, Trial};

/// Iterations on the kernel: enough to see that a scenario runs again and again from the same start.
const ITERATIONS: u64 = 200;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let set = |name: &str| env::var(name).is_ok_and(|value| value == "1");
    let clang = clang();
    let cannot_compile = clang.is_none() && !set("KPTRSIM_REQUIRE_CLANG");
    let without_kernel = cannot_compile || !set("KPTRSIM_TEST_KERNEL");
    let compiler = clang.unwrap_or_else(|| "clang-19".into());
    let kernel = Arc::new(Mutex::new(()));
    let mut trials = Vec::new();
    for file in scenarios() {
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let path = file.clone();
        trials.push(Trial::test(format!("format/{name}"), move || format(&path)));
        let (path, with) = (file.clone(), compiler.clone());
        trials.push(Trial::test(format!("fits/{name}"), move || fits(&path, &with)).with_ignored_flag(cannot_compile));
        let (path, with, stem) = (file.clone(), compiler.clone(), name.clone());
        let explore = move || explored(&path, &stem, &with);
        trials.push(Trial::test(format!("explore/{name}"), explore).with_ignored_flag(cannot_compile));
        let (path, with, turn) = (file, compiler.clone(), Arc::clone(&kernel));
        let run = move || {
            // One machine at a time: what runs beside it takes away the concurrency.
            let _turn = turn.lock().map_err(|_| "another trial has panicked")?;
            on_kernel(&path, &with)
        };
        trials.push(Trial::test(format!("kernel/{name}"), run).with_ignored_flag(without_kernel));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The scenario files, in order of their names.
fn scenarios() -> Vec<PathBuf> {
    let folder = fs::read_dir(top().join("tests/scenarios")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn clang() -> Option<String> {
    let is_19 = |program: &&str| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("clang version 19."))
    };
    ["clang-19", "clang"].iter().find(|program| is_19(program)).map(|program| (*program).to_owned())
}

fn read(path: &Path) -> Result<Scenario, Failed> {
    Ok(Scenario::from_toml(&path.display().to_string(), &fs::read_to_string(path)?)?)
}

fn compile(scenario: &Scenario, path: &Path, clang: &str) -> Result<(Vec<u8>, Object), Failed> {
    let source = path.parent().unwrap_or(top()).join(&scenario.object);
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("out.bpf.o");
    let compiled = Command::new(clang)
        .args(["-g", "-O2", "--target=bpf", "-mcpu=v3", "-Wall", "-Werror", "-Wno-missing-declarations", "-I"])
        .arg(top().join("kfuncs/include"))
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(&output)
        .output()?;
    if !compiled.status.success() {
        return Err(String::from_utf8_lossy(&compiled.stderr).into_owned().into());
    }
    let bytes = fs::read(&output)?;
    let object = Object::parse("scenario", &bytes, &Profile::embedded().load_options())?;
    Ok((bytes, object))
}

/// The file can be read, comes back the same from its canonical text, and has a record of the kernel's outcomes.
fn format(path: &Path) -> Result<(), Failed> {
    let scenario = read(path)?;
    let canonical = scenario.to_toml();
    let again = Scenario::from_toml("canonical", &canonical)?;
    if again.to_toml() != canonical || again.digest(b"") != scenario.digest(b"") {
        return Err("its canonical text is not canonical".into());
    }
    let record = exploring::record(path)?;
    let ordered: Vec<String> = record.outcomes.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    if record.outcomes.is_empty() || ordered != record.outcomes {
        return Err("the kernel's outcomes are not in order, or are told twice".into());
    }
    Ok(())
}

/// Its programs, globals and expressions are there.
fn fits(path: &Path, clang: &str) -> Result<(), Failed> {
    let scenario = read(path)?;
    let (_, object) = compile(&scenario, path, clang)?;
    scenario.bind(&object)?;
    Ok(())
}

/// Every policy explores as much as the snapshot says and they agree; what a kernel was seen to do is among what is found.
fn explored(path: &Path, name: &str, clang: &str) -> Result<(), Failed> {
    let scenario = read(path)?;
    let object = Arc::new(compile(&scenario, path, clang)?.1);
    let text = exploring::explored(&scenario, &object)?;
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(top().join("tests/scenarios/explored"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
    exploring::kernel_is_covered(&scenario, &object, &exploring::record(path)?.outcomes)
}

/// A kernel runs it, each iteration with an outcome that the explorer finds too.
fn on_kernel(path: &Path, clang: &str) -> Result<(), Failed> {
    let scenario = read(path)?;
    let (bytes, object) = compile(&scenario, path, clang)?;
    let cache = Cache::of_user()?;
    let image = match env::var_os("KPTRSIM_TEST_IMAGE") {
        Some(path) => KernelImage::open(Path::new(&path))?,
        None => cache.default_kernel()?,
    };
    let guest = guest::locate(&cache, None, &mut |line| eprintln!("{line}"))?;
    let mut judge = Judge::new(image, BootOptions { cpus: scenario.cpus, ..BootOptions::new(guest) });
    let runs = KernelRuns { iterations: ITERATIONS, ..KernelRuns::default() };
    let mut outcomes = kernel_outcomes(&mut judge, &scenario, &object, &bytes, &runs);
    // An emulated kernel that patches its code now and then dies of it, which says nothing about the scenario.
    if outcomes.as_ref().is_err_and(|error| error.to_string().contains("Oops: int3")) {
        outcomes = kernel_outcomes(&mut judge, &scenario, &object, &bytes, &runs);
    }
    let outcomes = outcomes?;
    let counted: u64 = outcomes.counts.values().sum();
    if counted == 0 || counted != outcomes.iterations {
        return Err(format!("{} iterations, {counted} outcomes", outcomes.iterations).into());
    }
    exploring::kernel_is_covered(&scenario, &Arc::new(object), outcomes.counts.keys())
}
