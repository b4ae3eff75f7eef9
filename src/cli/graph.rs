//! `kptrsim graph`: a program's control flow, or the states that the verifier explored, to be drawn.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use thiserror::Error;

use super::output::{self, OutputError};
use super::target::{Kernel, KernelArgs, TargetError, load_object, only_program};
use crate::object::{Object, Program};
use crate::report::graph::dot::{dot, states_dot};
use crate::report::graph::mermaid::{mermaid, states_mermaid};
use crate::report::graph::states::StateGraph;
use crate::report::graph::{Detail, Graph};
use crate::verifier::{ObjectVerifier, Options, Record};

/// Print a program's control-flow graph for Graphviz or Mermaid, with the place where it is rejected.
///
/// With --states it is the graph of what the verifier followed: the instructions on each path with what was known before and after
/// them, the branches that were taken, and dashed, where a path ended since an earlier state covers it. Draw it with `kptrsim graph OBJ --prog P | dot -Tsvg -o graph.svg`, or put the Mermaid text into a code block of that name in
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
    /// The states that the verifier explored, in place of the control flow
    #[arg(long, conflicts_with = "insns")]
    pub states: bool,
    /// Instructions that the graph of states shows at most, over all paths
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "states")]
    pub limit: usize,
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
        Some(name) => object.program(name).map_err(TargetError::from)?,
        None => only_program(&object)?,
    };
    if args.states {
        return states(args, &kernel, &object, program);
    }
    let verification = ObjectVerifier::new(&object, &kernel.profile, Options::default()).verify(program);
    let detail = if args.insns { Detail::Instructions } else { Detail::Source };
    let graph = Graph::of(&object, program, &verification, detail);
    output::print(&match args.format {
        Language::Dot => dot(&graph),
        Language::Mermaid => mermaid(&graph),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the graph of explored states, and says so if it is not all of it.
fn states(args: &Args, kernel: &Kernel, object: &Object, program: &Program) -> Result<ExitCode, GraphError> {
    let options = Options { record: Record::Tree { steps: args.limit }, ..Options::default() };
    let verification = ObjectVerifier::new(object, &kernel.profile, options).verify(program);
    let graph = StateGraph::of(object, program, &verification);
    output::print(&match args.format {
        Language::Dot => states_dot(&graph),
        Language::Mermaid => states_mermaid(&graph),
    })?;
    if graph.cut {
        let (shown, all) = (graph.steps, verification.statistics.insns_processed);
        eprintln!(
            "kptrsim: the graph is cut: it shows {shown} instructions of the {all} that the verifier processed; `--limit {all}` shows all"
        );
    }
    Ok(ExitCode::SUCCESS)
}
