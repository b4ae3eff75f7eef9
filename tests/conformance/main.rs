//! The standing exam: the kernel's own BPF selftests, judged by us and by a real kernel.
//!
//! `tests/conformance/run` prepares everything and calls this; `--help` tells what can be chosen. The kernel's verdicts are
//! kept in `kernel.jsonl`, so that only objects that changed since are asked about again. The table goes to `RESULTS.md`,
//! what does not agree to `differences.toml`; `--check` fails when a program differs that is not listed there.
//! With `--unpriv` programs are loaded by a process without capabilities ([`loading`]), with files of its own. With
//! `--runs` programs are run, not judged: [`runs`].
//! Start at [`examine`].

mod differences;
mod family;
mod loading;
mod ours;
mod outcome;
mod record;
mod results;
mod runs;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use kptrsim::crosscheck::{Cache, KernelImage};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use differences::Differences;
use loading::Loading;
use outcome::Exam;
use record::Records;

/// What is asked of the real kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ask {
    /// Nothing; an object without a recorded verdict is an error.
    Never,
    /// Objects that have no recorded verdict of this kernel, or changed since.
    Missing,
    /// All objects.
    All,
}

/// The kernel's BPF selftests, judged by kptrsim and by a real kernel.
#[derive(Debug, Parser)]
#[command(name = "tests/conformance/run")]
struct Args {
    /// The folder of compiled selftests (`*.bpf.o`; see build.sh). Without it nothing is examined.
    #[arg(long, value_name = "DIR", env = "KPTRSIM_SELFTESTS")]
    objects: Option<PathBuf>,
    /// The kernel: any bzImage with `vmlinux.btf` and `config` beside it. The newest fetched one when absent.
    #[arg(long, value_name = "FILE")]
    kernel_image: Option<PathBuf>,
    /// What is asked of the real kernel, under QEMU.
    #[arg(long, value_enum, default_value_t = Ask::Missing)]
    ask: Ask,
    /// Examine only objects whose name begins so; may be repeated. Nothing is written then.
    #[arg(long, value_name = "NAME", conflicts_with = "update")]
    only: Vec<String>,
    /// Take the exam of results instead: run programs, compare what they return and leave in maps.
    #[arg(long)]
    runs: bool,
    /// Take the exam of unprivileged loading instead.
    #[arg(long, conflicts_with = "runs")]
    unpriv: bool,
    /// Write RESULTS.md and differences.toml anew (with --runs, RUNS.md and runs.toml).
    #[arg(long)]
    update: bool,
    /// Fail when a program differs that differences.toml does not list.
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// Seconds that one object may take here.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    /// Seconds that one program may take in the emulated kernel.
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    kernel_timeout: u64,
    /// Objects that are verified side by side; as many as there are CPUs when absent.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Also write all comparisons there, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A compiled selftest.
struct SelftestObject {
    /// The file's name without `.bpf.o`.
    name: String,
    path: PathBuf,
    bytes: Vec<u8>,
    /// Of the whole file, as hexadecimal digits.
    sha256: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Some(folder) = &args.objects else {
        eprintln!("the exam is not taken: it needs compiled selftests; tests/conformance/run makes them and takes it");
        return ExitCode::SUCCESS;
    };
    match examine(&args, folder) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// The folder of this test, where the recorded results are.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn examine(args: &Args, folder: &Path) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    let cache = Cache::of_user()?;
    let image = match &args.kernel_image {
        Some(path) => KernelImage::open(path)?,
        None => cache.default_kernel()?,
    };
    let loading = Loading::of(args.unpriv);
    let mut objects = read_objects(folder, &args.only)?;
    objects.retain(|object| loading.programs(object).is_some());
    let mut records = Records::read(&home().join(loading.records()))?;
    let unanswered: Vec<&SelftestObject> = objects
        .iter()
        // The exam of results asks about runs anew, not about verdicts.
        .filter(|object| {
            (args.ask == Ask::All && !args.runs) || !records.answers(&image.release, &object.name, &object.sha256)
        })
        .collect();
    if !unanswered.is_empty() {
        if args.ask == Ask::Never {
            let names: Vec<&str> = unanswered.iter().map(|object| object.name.as_str()).take(5).collect();
            return Err(format!(
                "{} objects have no recorded verdicts of {} ({} …); leave out `--ask never`",
                unanswered.len(),
                image.release,
                names.join(", ")
            )
            .into());
        }
        let fresh = record::ask(&cache, &image, loading, &unanswered, Duration::from_secs(args.kernel_timeout))?;
        records.replace(fresh);
        if args.only.is_empty() && !args.check {
            records.write(&home().join(loading.records()))?;
        }
    }
    if args.runs {
        return runs::examine(args, &cache, &image, &objects, &records);
    }
    let verdicts = ours::verify_all(&objects, &image, loading, Duration::from_secs(args.timeout))?;
    let exam = Exam::new(&image.release, &objects, &records, verdicts);
    if let Some(path) = &args.json {
        fs::write(path, exam.json_lines()?)?;
    }
    conclude(args, loading, &exam)
}

/// Prints the table, writes or checks what is recorded.
fn conclude(args: &Args, loading: Loading, exam: &Exam) -> Result<ExitCode, Box<dyn Error>> {
    let families = family::read(&home().join("families.toml"))?;
    print!("{}", results::tables(exam, &families));
    let path = home().join(loading.differences());
    let listed = Differences::read(&path)?;
    let found = Differences::of(exam, &listed);
    if args.update {
        found.write(&path)?;
        fs::write(home().join(loading.results()), results::document(loading, exam, &families, &found))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.only.is_empty() || !args.check {
        print!("\n{}", results::differences(&found));
    }
    if !args.check {
        return Ok(ExitCode::SUCCESS);
    }
    let regressions = found.not_in(&listed);
    for difference in &regressions {
        println!("agreed before: {difference}");
    }
    let mended = if args.only.is_empty() { listed.not_in(&found).len() } else { 0 };
    if mended > 0 {
        println!("{mended} listed differences are gone or milder; run tests/conformance/run --update");
    }
    println!("{} programs differ that agreed before", regressions.len());
    Ok(if regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_objects(folder: &Path, only: &[String]) -> Result<Vec<SelftestObject>, Box<dyn Error>> {
    let failed = |error| format!("cannot read {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".bpf.o") else { continue };
        if only.is_empty() || only.iter().any(|wanted| name.starts_with(wanted.as_str())) {
            found.push((name.to_owned(), path));
        }
    }
    if found.is_empty() {
        return Err(format!("{} has no such *.bpf.o", folder.display()).into());
    }
    found.sort();
    let objects: Result<Vec<_>, std::io::Error> = found
        .into_par_iter()
        .map(|(name, path)| {
            let bytes = fs::read(&path)?;
            let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(SelftestObject { name, path, bytes, sha256 })
        })
        .collect();
    Ok(objects?)
}
