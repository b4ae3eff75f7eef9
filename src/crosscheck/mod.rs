//! A real kernel under QEMU as the judge: boots it, hands it the same objects, and compares what it says with what we say.
//!
//! * [`image`], [`bzimage`] and [`fetch`]: kernels, where they come from and where they are kept.
//! * [`guest`] and [`initramfs`]: the program that runs inside, and the archive it is booted from.
//! * [`qemu`] and [`vm`]: the running machine and the conversation with it ([`protocol`]).
//! * [`judge`]: many objects, many programs, machines that die on the way.
//! * [`missing_kfuncs`]: objects of which only some programs need what the kernel lacks.
//! * [`compare`] and [`compare_run`]: two verdicts, two runs, side by side.
//! * [`kernel_outcomes`]: a scenario on a real kernel, and what comes of it.
//! * [`machine_run`]: our own machine's run, in the words in which the guest tells of its own.
//!
//! Of our own verifier only the verdict is known here ([`compare::OurVerdict`]). Start at [`judge::Judge`].

pub mod bzimage;
pub mod compare;
pub mod compare_run;
mod error;
pub mod fetch;
pub mod guest;
pub mod image;
pub mod initramfs;
pub mod judge;
pub mod kernel_outcomes;
pub mod machine_run;
pub mod missing_kfuncs;
#[path = "../../guest/src/protocol.rs"]
pub mod protocol;
pub mod qemu;
#[path = "../../guest/src/verifier_log.rs"]
pub mod verifier_log;
pub mod vm;

pub use error::CrosscheckError;
pub use image::{Cache, KernelImage};
pub use judge::{Job, JobOutcome, Judge, KernelVerdict, LoadJob, LoadOptions, Machine, ObjectOutcome};
pub use vm::{BootOptions, Vm};
