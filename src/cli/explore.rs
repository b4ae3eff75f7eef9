//! wip
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use super::target::{KernelArgs, load_scenario};
use crate::explore::drive::{Driver, in_vain, is_schedule};
use crate::explore::policy::Everything;
use crate::explore::policy::dfs::{Dfs, DfsOptions};
use crate::explore::policy::dpor::Dpor;
use crate::explore::simulation::Simulation;
use crate::explore::system::System;
use crate::machine::MachineOptions;
use crate::scenario::MemoryModel;

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    pub scenario: PathBuf,
    #[command(flatten)]
    pub kernel: KernelArgs,
    #[arg(long)]
    pub tso: bool,
    #[arg(long)]
    pub dfs: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let kernel = args.kernel.kernel()?;
    let mut loaded = load_scenario(&args.scenario, &kernel)?;
    if args.tso {
        loaded.scenario.memory = MemoryModel::Tso;
    }
    let options = MachineOptions { kernel_types: Some(kernel.profile.btf), ..MachineOptions::default() };
    let system = Simulation::new(&loaded.scenario, &std::sync::Arc::new(loaded.object), options)?;
    let actors = system.actor_count();
    let mut driver = Driver::new(system, 10_000, true);
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let (mut n, mut vain) = (0u64, 0u64);
    let mut found = BTreeMap::new();
    let t = std::time::Instant::now();
    macro_rules! go {
        ($p:expr) => {{
            let mut p = $p;
            while let Some(run) = driver.run(&mut p)? {
                if in_vain(&run) {
                    vain += 1;
                }
                if !is_schedule(&run) {
                    continue;
                }
                n += 1;
                if let Some(o) = run.outcome {
                    *outcomes.entry(o).or_default() += 1;
                }
                for f in run.findings {
                    found.entry(f.key()).or_insert((f, driver.schedule().len()));
                }
            }
        }};
    }
    if args.dfs {
        go!(Dfs::new(DfsOptions::default(), Everything))
    } else {
        go!(Dpor::new(actors, 0, Everything))
    }
    println!("{} schedules, {vain} in vain, {:?}", n, t.elapsed());
    for (o, c) in outcomes {
        println!("{c:>9} {o}");
    }
    for (k, (f, l)) in found {
        println!("{k} after {l}: {f:?}");
    }
    Ok(ExitCode::SUCCESS)
}
