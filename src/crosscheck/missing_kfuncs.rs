//! Kfuncs that an object declares and the kernel lacks, in a module that is not loaded, say.
//!
//! libbpf loads nothing of an object as long as one such declaration is not weak, though only some of its programs call the
//! kfunc. Made weak, it hinders those programs only: [`weaken`] does that to a copy of the object, and [`is_missing`] knows the
//! complaint about a program that does call it.

use object::elf::{FileHeader64, STB_GLOBAL, STB_WEAK, STT_NOTYPE};
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, elf};

use crate::btf::{Btf, Type};

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
    let essential = name.split_once("___").map_or(name, |(essential, _)| essential);
    types.find(name, |ty| matches!(ty, Type::Function { .. })).is_some() && kernel.find_function(essential).is_none()
}

/// Is that what libbpf writes into the log of a program that calls a weak kfunc that is not there?
#[must_use]
pub fn is_missing(reason: &str) -> bool {
    reason.starts_with("kfunc '") && reason.ends_with("' is referenced but wasn't resolved")
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

    #[test]
    fn the_complaint_is_recognised() {
        assert!(is_missing("kfunc 'bpf_testmod_x' is referenced but wasn't resolved"));
        assert!(!is_missing("calling kernel function bpf_x is not allowed"));
    }
}
