//! Where the kernel's symbols are taken to be while no kernel runs.
//!
//! libbpf writes the address of a symbol without a type into the program as a number (`bpf_object__read_kallsyms_file`,
//! `tools/lib/bpf/libbpf.c`, 6.12), and only a running kernel has it. What judges a program and what runs it take the same
//! one, so that a run can be held against a judgement.

/// First address of the kernel's image on x86-64, where its addresses are not randomised (`__START_KERNEL`).
pub const START: u64 = 0xffff_ffff_8100_0000;

/// Bytes from one symbol to the next.
pub const STRIDE: u64 = 0x1000;

/// Symbols that have an address of their own.
pub const SYMBOLS: u64 = 0x4000;

/// The address of a symbol, by its number among the object's externs.
#[must_use]
pub const fn address(symbol: u32) -> u64 {
    START + symbol as u64 % SYMBOLS * STRIDE
}

/// The symbol to whose bytes an address belongs, and how far from its start that is.
#[must_use]
pub fn symbol(address: u64) -> Option<(u32, u64)> {
    let offset = address.checked_sub(START)?;
    let symbol = u32::try_from(offset / STRIDE).ok().filter(|&symbol| u64::from(symbol) < SYMBOLS)?;
    Some((symbol, offset % STRIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_symbol_has_its_own_bytes() {
        for number in [0, 1, 17, SYMBOLS as u32 - 1] {
            assert_eq!(symbol(address(number)), Some((number, 0)));
            assert_eq!(symbol(address(number) + STRIDE - 1), Some((number, STRIDE - 1)));
        }
    }

    #[test]
    fn what_is_not_in_the_image_belongs_to_none() {
        for outside in [0, START - 1, START + SYMBOLS * STRIDE, u64::MAX] {
            assert_eq!(symbol(outside), None, "{outside:#x}");
        }
    }
}
