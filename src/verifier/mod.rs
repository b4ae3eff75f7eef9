//! The abstract half: decides, as the Linux verifier would, whether a program is safe, and why not.
//!
//! [`ObjectVerifier`] prepares what all programs of an object share; [`ObjectVerifier::verify`] explores one program
//! and gives a [`Verification`]. On the way a program passes: decoding, [`mod@cfg`] (functions, jumps, reachability),
//! [`explore`] (paths), where each instruction class has its file ([`arithmetic`], [`memory`], [`stack`], [`branch`],
//! [`helper`], [`kfunc`], [`exit`] …), [`prune`] and [`inclusion`] (where paths end early), [`precision`] and
//! [`liveness`] (what counts in a comparison). What a rule says is in [`rule`]; the life of a per-CPU object in
//! [`percpu`]; what can be kept of the exploration, for whoever explains it, in [`path`].
//!
//! Nothing here runs a program; that is the machine, which this room never imports.

pub mod arena;
pub mod arguments;
pub mod arithmetic;
pub mod attach;
pub mod branch;
pub mod callback;
pub mod cfg;
pub mod context;
pub mod context_type;
pub mod domain;
pub mod dynptr;
pub mod env;
pub mod errno;
pub mod exception;
pub mod exit;
pub mod explore;
pub mod explored;
pub mod externs;
pub mod fastcall;
pub mod format_string;
pub mod global_function;
pub mod graph;
pub mod helper;
pub mod inclusion;
pub mod iterator;
pub mod kfunc;
pub mod kfunc_arguments;
pub mod legacy_load;
pub mod liveness;
pub mod log;
pub mod log_state;
#[cfg(test)]
mod log_tests;
pub mod log_value;
pub mod map_fields;
pub mod map_pointer;
pub mod maps;
pub mod marks;
pub mod memory;
pub mod object_access;
pub mod obligations;
pub mod options;
pub mod packet;
pub mod path;
pub mod percpu;
pub mod pointer_arithmetic;
pub mod precision;
pub mod program_info;
pub mod prune;
pub mod recorder;
pub mod references;
pub mod rule;
pub mod rule_entry;
pub mod socket;
pub mod speculation;
pub mod stack;
pub mod stack_depth;
pub mod state;
pub mod statistics;
pub mod story;
pub mod struct_ops;
pub mod struct_walk;
pub mod subprogram;
pub mod symbol_address;
pub mod timer;
pub mod type_name;
pub mod unprivileged;
pub mod value;
mod verdict;

pub use log::LogLevel;
pub use options::Options;
pub use path::{Record, Recorded};
pub use percpu::PercpuLife;
pub use rule::{Errno, Rule};
pub use rule_entry::RuleEntry;
pub use statistics::Statistics;
pub use story::Story;
pub use verdict::{ObjectVerifier, Place, Rejection, Verdict, Verification};
