//! The exam of results: programs that the kernel accepts, run once there and once on our machine, compared to the byte.
//!
//! * [`input`]: what each kind of program is given.
//! * [`record`]: the kernel's runs, kept in `results-kernel.jsonl`.
//! * [`values`]: what a run left behind, and which of it can be compared.
//! * [`compare`]: our runs beside them; [`causes`] and [`table`]: what is printed and kept.
//!
//! Start at [`examine`].

mod causes;
mod compare;
mod input;
mod record;
mod table;
mod values;

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kptrsim::btf::Btf;
use kptrsim::crosscheck::protocol::{RunStep, TestRunRequest, Verdict};
use kptrsim::crosscheck::{Cache, KernelImage};
use kptrsim::kernel::Profile;
use kptrsim::object::{LoadOptions, Object};
use rayon::prelude::*;

use crate::record::Records;
use crate::{Args, Ask, SelftestObject, family, home};
use causes::Causes;
use record::ObjectRuns;

/// Seconds that one program may take to load and run in the emulated kernel.
const TIMEOUT: Duration = Duration::from_secs(120);

/// `BPF_MAP_TYPE_PROG_ARRAY`.
const PROGRAM_ARRAY: u32 = 3;

/// An object with programs to run.
pub struct Examined<'f> {
    /// The file.
    pub file: &'f SelftestObject,
    /// As we load it.
    pub object: Object,
    /// How each program is run.
    pub steps: Vec<RunStep>,
}

impl Examined<'_> {
    /// The request to run one program; with it are loaded those that the object puts into its program arrays.
    fn request(&self, step: &RunStep, timeout_seconds: u32) -> TestRunRequest {
        let arrays = self.object.maps.iter().filter(|map| map.definition.map_type == PROGRAM_ARRAY);
        let slots = arrays.flat_map(|map| &map.initial_programs);
        let companions = slots.filter_map(|&(_, program)| self.object.programs.get(program as usize));
        TestRunRequest {
            globals: Vec::new(),
            steps: vec![step.clone()],
            companions: companions.map(|program| program.name.clone()).collect(),
            timeout_seconds,
        }
    }
}

/// Takes the exam as the arguments say.
pub fn examine(
    args: &Args,
    cache: &Cache,
    image: &KernelImage,
    objects: &[SelftestObject],
    verdicts: &Records,
) -> Result<ExitCode, Box<dyn Error>> {
    let types = image.btf.as_ref().ok_or_else(|| format!("{} has no vmlinux.btf beside it", image.path.display()))?;
    let config = image.config.as_ref().map(fs::read_to_string).transpose()?;
    let profile = Profile::of_kernel(image.release.clone(), Btf::parse(&fs::read(types)?)?, None);
    let options = LoadOptions { kernel_config: config.as_deref(), ..profile.load_options() };
    let examined: Vec<Examined> = objects.par_iter().filter_map(|file| prepare(file, verdicts, &options)).collect();
    let path = home().join("results-kernel.jsonl");
    let mut records = record::read(&path)?;
    let answered = |object: &Examined, record: Option<&ObjectRuns>| {
        let same_programs = |record: &ObjectRuns| {
            record.runs.iter().map(|run| &run.program).eq(object.steps.iter().map(|step| &step.program))
        };
        record.is_some_and(|record| {
            record.kernel == image.release && record.sha256 == object.file.sha256 && same_programs(record)
        })
    };
    let missing: Vec<&Examined> = examined
        .iter()
        .filter(|object| args.ask == Ask::All || !answered(object, records.get(&object.file.name)))
        .collect();
    if !missing.is_empty() {
        if args.ask == Ask::Never {
            return Err(format!("{} objects have no recorded runs; leave out `--ask never`", missing.len()).into());
        }
        eprintln!("{} runs programs of {} objects, twice", image.release, missing.len());
        let fresh = record::ask(cache, image, &profile.btf, &missing, TIMEOUT)?;
        records.extend(fresh.into_iter().map(|runs| (runs.object.clone(), runs)));
        if !args.check {
            record::write(&path, &records)?;
        }
    }
    let recorded: Vec<&ObjectRuns> = examined.iter().filter_map(|object| records.get(&object.file.name)).collect();
    let comparisons = compare::compare_all(&examined, &recorded, &Arc::clone(&profile.btf));
    if let Some(path) = &args.json {
        let lines: Result<Vec<String>, _> = comparisons.iter().map(serde_json::to_string).collect();
        fs::write(path, lines?.join("\n") + "\n")?;
    }
    conclude(args, image, &comparisons)
}

/// The object with what is to be run of it; `None` where nothing is.
fn prepare<'f>(file: &'f SelftestObject, verdicts: &Records, options: &LoadOptions) -> Option<Examined<'f>> {
    let record = verdicts.of(&file.name)?;
    let object = Object::parse(&file.name, &file.bytes, options).ok()?;
    let accepted = |name: &str| {
        record.programs.iter().any(|program| program.program == name && program.verdict == Verdict::Accept)
    };
    let steps: Vec<RunStep> = object
        .programs
        .iter()
        .filter(|program| accepted(&program.name))
        .filter_map(|program| input::step_of(&program.section, &program.name))
        .collect();
    (!steps.is_empty()).then_some(Examined { file, object, steps })
}

/// Prints the table, writes or checks what is recorded.
fn conclude(
    args: &Args,
    image: &KernelImage,
    comparisons: &[compare::RunComparison],
) -> Result<ExitCode, Box<dyn Error>> {
    let families = family::read(&home().join("families.toml"))?;
    let path = home().join("runs.toml");
    let listed = Causes::read(&path)?;
    print!("{}", table::table(comparisons, &families));
    if args.update {
        let found = listed.found(comparisons);
        found.write(&path)?;
        fs::write(home().join("RUNS.md"), table::document(&image.release, comparisons, &families, &found))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.check {
        print!("{}", table::details(comparisons, &listed));
        return Ok(ExitCode::SUCCESS);
    }
    let regressions: Vec<_> = comparisons.iter().filter(|one| !listed.expects(one)).collect();
    for one in &regressions {
        println!("ran the same before: {} {}: {}", one.object, one.program, one.what);
    }
    Ok(if regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
