//! `kptrsim fuzz`: a campaign of generated or changed programs, judged by the verifier, the machine and a real kernel.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

use super::interrupt;
use super::output::{self, Format, OutputError};
use super::target::{KernelArgs, TargetError, kernel_of_image};
use crate::crosscheck::{BootOptions, Cache, CrosscheckError, Judge, KernelImage, guest};
use crate::explore::result::Shard;
use crate::fuzz::bench::Bench;
use crate::fuzz::campaign::{Campaign, CampaignError, Control, KernelSide, Limits, after};
use crate::fuzz::changed::{self, Changes, OriginalError};
use crate::fuzz::journal::{self, Header, JournalError};
use crate::fuzz::plan::{Plan, Subjects};
use crate::fuzz::summary::Summary;

/// Generate programs, or change existing ones, ask our verifier, our machine and a real kernel about each, and sort what disagrees.
///
/// The kernel is booted under QEMU and loads programs by the hundreds. Accepted programs run in the machine, on random inputs under
/// random schedules, and must not fault or come to a state that the verifier had not reckoned with. Each disagreement is made small,
/// asked of a fresh kernel again, and written down. A campaign lives in a folder and goes on where it was when the same command is
/// given again.
///
/// With --object the programs are those of existing objects, in which instructions or bytes are changed, round after round.
///
/// Exits with 0 when nothing was found, 1 when something was, 2 for wrong use or when something that is needed is missing, 3 when
/// nothing was found but programs needed something that is not modelled.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The campaign's folder, which is made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    dir: Option<PathBuf>,
    /// Go on with the campaign in this folder, whatever it is about
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "seed", "subjects", "mutated", "runs", "cpus", "known", "object", "changes", "shard", "no_kernel"])]
    resume: Option<PathBuf>,
    /// Objects whose programs are changed, in place of generated ones. A `.c` or `.s` file is compiled with the clang that is found
    #[arg(long, value_name = "OBJ", num_args = 1.., conflicts_with_all = ["subjects", "mutated", "batch"])]
    object: Vec<PathBuf>,
    /// What is changed of objects
    #[arg(long, value_enum, default_value_t = Changes::Instructions, requires = "object")]
    changes: Changes,
    /// Programs of the campaign, all shares together. Without it and --time, 1000
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// How long to go on, such as `90s`, `10m` or `2h`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Seed of programs, inputs and schedules
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// What programs are about
    #[arg(long, value_enum, default_value_t = Subjects::Mixed)]
    subjects: Subjects,
    /// How many programs in a hundred are one or two steps off from a well-formed one
    #[arg(long, default_value_t = 50, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    mutated: u32,
    /// Runs of each accepted program in the machine
    #[arg(long, default_value_t = 4, value_name = "N")]
    runs: u64,
    /// CPUs on which a program runs at once, in every other run
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    cpus: u32,
    /// Report known gaps of the kernel's verifier as findings too, and what accepted programs come to behind them
    #[arg(long)]
    known: bool,
    /// Only share K of N of the programs, from 1
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Threads; by default as many as there are cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Programs in one object, which is asked about at once
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2000))]
    batch: u16,
    /// Small programs to make for each disagreement; 0 only counts them
    #[arg(long, default_value_t = 1, value_name = "N")]
    samples: usize,
    /// Where to write what was found; the campaign's folder when absent
    #[arg(long, value_name = "DIR")]
    findings: Option<PathBuf>,
    /// Ask no kernel: only our verifier against our machine
    #[arg(long)]
    no_kernel: bool,
    /// Kernel to judge for, with --no-kernel.
    #[command(flatten)]
    kernel: KernelArgs,
    /// The kernel to boot: any bzImage. The newest fetched one when absent
    #[arg(long, value_name = "FILE", conflicts_with = "no_kernel")]
    kernel_image: Option<PathBuf>,
    /// The guest program. Built and cached when absent (also KPTRSIM_GUEST)
    #[arg(long, value_name = "FILE")]
    guest: Option<PathBuf>,
    /// CPUs of the kernel's machine
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    kernel_cpus: u32,
    /// Memory of the kernel's machine, in MiB
    #[arg(long, default_value_t = 2048, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..))]
    kernel_memory: u32,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why there is no campaign.
#[derive(Debug, Error)]
pub enum FuzzError {
    /// A kernel's types or tables.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The kernel to ask.
    #[error("{0}\nwithout a kernel: kptrsim fuzz --no-kernel")]
    Kernel(#[from] CrosscheckError),
    /// The folder.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The objects to change.
    #[error(transparent)]
    Object(#[from] OriginalError),
    /// The campaign.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// The kernel is another one than that with which the campaign was begun.
    #[error(
        "the campaign asks kernel {wanted}, and this is {found}; name the right one with --kernel-image or --kernel"
    )]
    OtherKernel {
        /// The campaign's.
        wanted: String,
        /// The one at hand.
        found: String,
    },
    /// Ctrl-C cannot be caught.
    #[error(transparent)]
    Signal(#[from] ctrlc::Error),
    /// The summary cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Runs a campaign and prints what it comes to.
///
/// # Errors
/// [`FuzzError`] for wrong use, or when something that is needed is missing; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, FuzzError> {
    let folder = args.dir.as_ref().or(args.resume.as_ref()).cloned().unwrap_or_default();
    let resumed = match &args.resume {
        Some(folder) => Some(journal::header(folder)?.ok_or_else(|| JournalError::Nothing(folder.clone()))?),
        None => None,
    };
    let asks = resumed.as_ref().map_or(!args.no_kernel, |header| header.kernel.is_some());
    let (kernel, side) = if asks {
        let (image, boot) = bootable(args)?;
        let judge = Judge::new(image.clone(), boot.clone());
        (kernel_of_image(&image)?, Some(KernelSide { image, boot, judge }))
    } else {
        (args.kernel.kernel()?, None)
    };
    let (files, left_out) = changed::read(&args.object, &kernel.profile, kernel.config.as_deref())?;
    left_out.iter().for_each(|why| eprintln!("kptrsim: left out: {why}"));
    let objects = files.into_iter().map(|file| file.about).collect();
    let here = Header {
        plan: Plan { objects, changes: args.changes, ..plan(args) },
        shard: args.shard.map(|shard| shard.to_string()),
        kernel: side.as_ref().map(|side| side.image.release.clone()),
        profile: kernel.profile.build.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let header = match resumed {
        Some(header) if header.profile == here.profile && header.kernel == here.kernel => header,
        Some(header) => return Err(FuzzError::OtherKernel { wanted: header.profile, found: here.profile }),
        None => here,
    };
    let bench = Bench::open(kernel.profile, kernel.config, header.plan.clone())?;
    let mut campaign = Campaign::open(&folder, &header, bench, side, limits(args, &folder))?;
    let stop = interrupt::stop_flag()?;
    let bar = progress_bar(args.count);
    let progress = |summary: &Summary, doing: &str| {
        bar.set_position(summary.programs);
        bar.set_message(format!("{} causes {doing}", summary.causes().count()));
    };
    let ran = campaign.run(Control { stop: &stop, progress: &progress });
    bar.finish_and_clear();
    let summary = campaign.summary();
    match args.format {
        Format::Text => output::print(&summary.text())?,
        Format::Json => output::print_record("campaign", &summary.json())?,
    }
    ran?;
    Ok(if summary.found() {
        ExitCode::from(1)
    } else if summary.unsupported > 0 {
        ExitCode::from(3)
    } else {
        ExitCode::SUCCESS
    })
}

fn bootable(args: &Args) -> Result<(KernelImage, BootOptions), CrosscheckError> {
    let cache = Cache::of_user()?;
    let image = match &args.kernel_image {
        Some(path) => KernelImage::open(path)?,
        None => cache.default_kernel()?,
    };
    let guest = guest::locate(&cache, args.guest.as_deref(), &mut |line| eprintln!("{line}"))?;
    let boot = BootOptions { cpus: args.kernel_cpus, memory_mib: args.kernel_memory, ..BootOptions::new(guest) };
    Ok((image, boot))
}

fn plan(args: &Args) -> Plan {
    Plan {
        seed: args.seed,
        subjects: args.subjects,
        mutated: args.mutated,
        runs: args.runs,
        cpus: args.cpus,
        known: args.known,
        ..Plan::default()
    }
}

fn limits(args: &Args, folder: &std::path::Path) -> Limits {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Limits {
        count: args.count.or_else(|| args.time.is_none().then_some(1000)),
        until: args.time.and_then(after),
        threads: args.threads.map_or(cores, usize::from),
        unit: usize::from(args.batch),
        samples: args.samples,
        findings: args.findings.clone().unwrap_or_else(|| folder.join("findings")),
    }
}

fn progress_bar(count: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = count.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} programs {msg} {elapsed} ({per_sec})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
