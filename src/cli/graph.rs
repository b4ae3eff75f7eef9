//! `kptrsim graph`: a program's control flow, to be drawn.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use thiserror::Error;

use super::output::{self, OutputError};
use super::target::{KernelArgs, TargetError, load_object, only_program};
use super::verify::named;
use crate::report::graph::{Detail, Graph, dot::dot, mermaid::mermaid};
use crate::verifier::{ObjectVerifier, Options};

/// Print a program's control-flow graph for Graphviz or Mermaid, with the place where it is rejected.
///
/// Draw it with `kptrsim graph OBJ --prog P | dot -Tsvg -o graph.svg`, or put the Mermaid text into a code block of that name in
/// Markdown, where GitHub and GitLab draw it.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// BPF object; a `.c` file is compiled with the clang that is found
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// The program; not needed if there is only one
    #[arg(long, value_name = "NAME")]
    pub prog: Option<String>,
    /// Show instructions in place of source lines
    #[arg(long)]
    pub insns: bool,
    /// Kernel to judge for.
    #[command(flatten)]
    pub kernel: KernelArgs,
    /// The language of the graph
    #[arg(long, value_enum, default_value_t = Language::Dot)]
    pub format: Language,
}

/// Languages for graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// Why there is no graph.
#[derive(Debug, Error)]
pub enum GraphError {
    /// A file, a kernel or an object.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The graph cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Prints the graph.
///
/// # Errors
/// [`GraphError`] for wrong use or bad input; the exit code for it is 2.
pub fn run(args: &Args) -> Result<ExitCode, GraphError> {
    let kernel = args.kernel.kernel()?;
    let object = load_object(&args.object, &kernel)?;
    let program = match &args.prog {
        Some(name) => named(&object, name)?,
        None => only_program(&object)?,
    };
    let verification = ObjectVerifier::new(&object, &kernel.profile, Options::default()).verify(program);
    let detail = if args.insns { Detail::Instructions } else { Detail::Source };
    let graph = Graph::of(&object, program, &verification, detail);
    output::print(&match args.format {
        Language::Dot => dot(&graph),
        Language::Mermaid => mermaid(&graph),
    })?;
    Ok(ExitCode::SUCCESS)
}
