//! Kfuncs that an object declares and the kernel lacks, in a module that is not loaded, say.
//!
//! libbpf loads nothing of an object as long as one such declaration is not weak, though only some of its programs call the
//! kfunc. Made weak, it hinders those programs only: [`weaken`] does that to a copy of the object, and [`take_back`] to what the
//! kernel then says of a program that does call it.

use object::elf::{FileHeader64, STB_GLOBAL, STB_WEAK, STT_NOTYPE};
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, elf};

use super::protocol::{ProgramVerdict, Verdict};
use crate::btf::{Btf, essential_name};

/// Bytes of an ELF symbol, and where in it type and binding stand.
const SYMBOL_BYTES: usize = size_of::<elf::Sym64<Endianness>>();
const INFO_OFFSET: usize = 4;

/// The object with those kfuncs weak that it declares and the kernel does not have; `None` when there are none, or the object is
/// none that can be read, which is libbpf's to say.
#[must_use]
pub fn weaken(bytes: &[u8], kernel: &Btf) -> Option<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, bytes).ok()?;
    let (_, types) = sections.section_by_name(endian, b".BTF")?;
    let types = object::read::elf::SectionHeader::data(types, endian, bytes).ok()?;
    let types = Btf::parse(types).ok()?;
    let symbols = sections.symbols(endian, bytes, elf::SHT_SYMTAB).ok()?;
    let table = sections.section(symbols.section()).ok()?;
    let (start, _) = object::read::elf::SectionHeader::file_range(table, endian)?;
    let mut weakened = None;
    for (index, symbol) in symbols.iter().enumerate() {
        let is_extern = symbol.st_shndx(endian) == elf::SHN_UNDEF
            && symbol.st_type() == STT_NOTYPE
            && symbol.st_bind() == STB_GLOBAL;
        let name = symbol.name(endian, symbols.strings()).ok().and_then(|name| std::str::from_utf8(name).ok());
        if !is_extern || !name.is_some_and(|name| is_missing_function(name, &types, kernel)) {
            continue;
        }
        let at = usize::try_from(start).ok()?.checked_add(index.checked_mul(SYMBOL_BYTES)?)? + INFO_OFFSET;
        let copy = weakened.get_or_insert_with(|| bytes.to_vec());
        *copy.get_mut(at)? = (STB_WEAK.0 << 4) | STT_NOTYPE.0;
    }
    weakened
}

/// A flavour, `name___flavour`, is the function of that name to libbpf.
fn is_missing_function(name: &str, types: &Btf, kernel: &Btf) -> bool {
    types.find_function(name).is_some() && kernel.find_function(essential_name(name)).is_none()
}

/// The helper number that libbpf writes in the place of a weak kfunc that is not there, plus the extern's number
/// (`POISON_CALL_KFUNC_BASE`, `tools/lib/bpf/libbpf.c`, 6.12).
const POISON: u64 = 2_002_000_000;

/// Turns the rejection of a call of such a kfunc into no verdict: without [`weaken`] the program had not been loaded at all.
pub fn take_back(verdict: &mut ProgramVerdict) {
    let number = verdict.reason.strip_prefix("invalid func unknown#").and_then(|number| number.parse::<u64>().ok());
    if verdict.verdict == Verdict::Reject && number.is_some_and(|number| (POISON..2 * POISON).contains(&number)) {
        verdict.verdict = Verdict::NotReached;
        verdict.reason = "it calls a kfunc that the kernel lacks".to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Profile;

    #[test]
    fn what_is_no_object_is_left_alone() {
        let kernel = Profile::embedded().btf;
        assert_eq!(weaken(b"", &kernel), None);
        assert_eq!(weaken(b"\x7fELF", &kernel), None);
    }

    fn rejected(reason: &str) -> ProgramVerdict {
        let mut verdict = ProgramVerdict {
            program: "prog".into(),
            section: "tc".into(),
            verdict: Verdict::Reject,
            errno: 22,
            reason: reason.into(),
            stats: None,
            last_insn: None,
            log: None,
            insns: None,
            adjusted: Vec::new(),
        };
        take_back(&mut verdict);
        verdict
    }

    #[test]
    fn only_calls_of_missing_kfuncs_are_taken_back() {
        assert_eq!(rejected("invalid func unknown#2002000003").verdict, Verdict::NotReached);
        assert_eq!(rejected("invalid func unknown#4711").verdict, Verdict::Reject);
        assert_eq!(rejected("calling kernel function bpf_x is not allowed").verdict, Verdict::Reject);
    }
}
