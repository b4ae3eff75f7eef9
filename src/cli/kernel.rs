//! `kptrsim kernel`: the kernels that can be asked.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use super::output::OutputError;
use super::target::TargetError;
use crate::crosscheck::{Cache, KernelImage, fetch};

/// Fetch kernels to ask, and list them.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Obtain Debian's newest cloud kernel of a version with the package manager, and unpack it into the cache.
    Fetch {
        /// As 6.12, or exactly 6.12.117.
        version: String,
    },
    /// List the kernels in the cache, newest first.
    List,
}

/// Runs the command.
///
/// # Errors
/// When the cache cannot be used or the kernel cannot be fetched.
pub fn run(args: &Args) -> Result<ExitCode, TargetError> {
    let cache = Cache::of_user()?;
    let images = match &args.command {
        Command::Fetch { version } => vec![fetch::fetch(&cache, version, &mut |line| eprintln!("{line}"))?],
        Command::List => cache.kernels()?,
    };
    let mut out = io::stdout().lock();
    for image in &images {
        print(&mut out, image).map_err(OutputError::from)?;
    }
    if images.is_empty() {
        eprintln!("no kernel in the cache: run `kptrsim kernel fetch 6.12`");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut impl Write, image: &KernelImage) -> io::Result<()> {
    writeln!(out, "{}", image.release)?;
    writeln!(out, "  image   {}", image.path.display())?;
    let files = [("config", &image.config), ("vmlinux", &image.vmlinux), ("BTF", &image.btf)];
    for (name, path) in files {
        if let Some(path) = path {
            writeln!(out, "  {name:<7} {}", path.display())?;
        }
    }
    Ok(())
}
