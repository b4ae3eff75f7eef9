//! Addresses of kernel symbols without a type, which only a running kernel has.
//!
//! libbpf writes such an address into the program as a plain number (`bpf_object__read_kallsyms_file`,
//! `tools/lib/bpf/libbpf.c`, 6.12). Programs hardly ever look at it, so a program that refers to one is verified with
//! several [`Assumption`]s, and has a verdict if all of them lead to the same.

use super::env::Verifier;
use super::verdict::{Verdict, Verification};
use crate::btf::Type;
use crate::isa::{ImmediateSource, Insn};
use crate::kernel::image;
use crate::object::ExternKind;

/// Where symbols are taken to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assumption {
    /// In the kernel's image, one after the other: where a run has them.
    Image,
    /// In the kernel's image, the other way round.
    ImageReversed,
    /// Among the per-CPU variables, whose addresses are offsets.
    PerCpu,
    /// At zero: a weak symbol that does not exist, or the first per-CPU variable.
    Null,
}

impl Assumption {
    /// All but the first.
    pub const OTHERS: [Assumption; 3] = [Assumption::ImageReversed, Assumption::PerCpu, Assumption::Null];

    /// The address of a symbol, by its number among the object's externs. One that is known to be a function or an
    /// ordinary variable is in the kernel's image.
    #[must_use]
    pub fn address(self, symbol: u32, in_image: bool) -> u64 {
        let number = u64::from(symbol) % image::SYMBOLS;
        match self {
            Assumption::ImageReversed => image::START + (image::SYMBOLS - number) * 0x48 + 5,
            Assumption::PerCpu if !in_image => 0x1000 + number * 0x10,
            Assumption::Null if !in_image => 0,
            Assumption::Image | Assumption::PerCpu | Assumption::Null => image::address(symbol),
        }
    }
}

impl Verifier<'_> {
    /// The address of a symbol that the program refers to without a type.
    #[must_use]
    pub fn symbol_address(&self, symbol: u32, name: &str) -> u64 {
        let btf = &self.profile.btf;
        let variable = btf.find(name, |ty| matches!(ty, Type::Variable { .. }));
        let in_image = btf.find_function(name).is_some()
            || variable.is_some_and(|variable| !self.profile.is_percpu_variable(variable));
        self.symbols.address(symbol, in_image)
    }

    /// The first symbol whose address the program refers to without a type.
    #[must_use]
    pub fn addressed_symbol(&self) -> Option<&str> {
        self.insns.iter().find_map(|insn| match insn {
            Ok(Insn::LoadImmediate { source: ImmediateSource::KernelVariable(index), .. }) => {
                let external = self.object.externs.get(*index as usize)?;
                (external.kind == ExternKind::Address).then_some(external.name.as_str())
            }
            _ => None,
        })
    }
}

/// The first outcome, if all others are the same.
#[must_use]
pub fn agreed(symbol: &str, first: Verification, others: &[Verification]) -> Verification {
    let same = |other: &Verification| {
        other.verdict == first.verdict
            && other.place == first.place
            && other.statistics.insns_processed == first.statistics.insns_processed
    };
    if others.iter().all(same) {
        return first;
    }
    let what = format!("what depends on the address of kernel symbol {symbol}, which only a running kernel has");
    Verification { verdict: Verdict::Unsupported(what), ..first }
}
