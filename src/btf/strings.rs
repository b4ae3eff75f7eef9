//! Strings out of a BTF string section: each offset is read once, and the sum of what is read is bounded.
//!
//! Offsets may point into the middle of a string, so a broken section without terminators could be made to yield its
//! whole length at every offset; the budget refuses that.

use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;

use super::types::Name;

/// Why a string cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StringFault {
    /// The offset lies behind the section.
    OutOfRange,
    /// No terminating zero byte.
    Unterminated,
    /// Not UTF-8.
    NotText,
    /// The strings read so far overlap so much that they would not fit a multiple of the section.
    TooMuch,
}

impl StringFault {
    /// What to say of it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            StringFault::OutOfRange => "the string offset is behind the string section",
            StringFault::Unterminated => "the string has no end",
            StringFault::NotText => "the string is not UTF-8",
            StringFault::TooMuch => "the strings overlap too much",
        }
    }
}

/// Hands out strings by offset.
pub(crate) trait Strings {
    /// The string at that offset; offset 0 is the empty string.
    fn get(&mut self, offset: u32) -> Result<Name, StringFault>;
}

/// A string section that is known to be in order: strings are cut out as they are asked for.
#[derive(Debug)]
pub(crate) struct Checked<'data>(pub(crate) &'data [u8]);

impl Strings for Checked<'_> {
    fn get(&mut self, offset: u32) -> Result<Name, StringFault> {
        static EMPTY: LazyLock<Name> = LazyLock::new(|| Arc::from(""));
        let bytes = string_at(self.0, offset).ok_or(StringFault::OutOfRange)?;
        if bytes.is_empty() {
            return Ok(Arc::clone(&EMPTY));
        }
        std::str::from_utf8(bytes).map(Arc::from).map_err(|_| StringFault::NotText)
    }
}

/// The bytes of the string at that offset, if it has an end.
pub(crate) fn string_at(section: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = section.get(offset as usize..)?;
    rest.get(..rest.iter().position(|&byte| byte == 0)?)
}

/// Hands out strings by offset, the same one for the same offset.
#[derive(Debug)]
pub(crate) struct Interner<'data> {
    bytes: &'data [u8],
    /// All of it as text, which it is but for broken ones: then what is cut out of it needs no look of its own.
    text: Option<&'data str>,
    seen: FxHashMap<u32, Name>,
    empty: Name,
    budget: usize,
}

impl<'data> Interner<'data> {
    /// An interner over a string section.
    pub(crate) fn new(bytes: &'data [u8]) -> Self {
        // Compilers share suffixes, which at most doubles the text; four times is generous.
        let budget = bytes.len().saturating_mul(4).saturating_add(1 << 16);
        let text = std::str::from_utf8(bytes).ok();
        Interner { bytes, text, seen: FxHashMap::default(), empty: Arc::from(""), budget }
    }

    /// As [`get`](Self::get), with bytes that are not UTF-8 replaced: for source text, which may be in any encoding.
    pub(crate) fn get_lossy(&mut self, offset: u32) -> Result<Name, StringFault> {
        self.read(offset, |bytes| Ok(Arc::from(String::from_utf8_lossy(bytes))))
    }

    fn read(
        &mut self,
        offset: u32,
        decode: impl FnOnce(&[u8]) -> Result<Name, StringFault>,
    ) -> Result<Name, StringFault> {
        if offset == 0 {
            return Ok(Arc::clone(&self.empty));
        }
        if let Some(name) = self.seen.get(&offset) {
            return Ok(Arc::clone(name));
        }
        let rest = self.bytes.get(offset as usize..).filter(|rest| !rest.is_empty()).ok_or(StringFault::OutOfRange)?;
        let window = &rest[..rest.len().min(self.budget)];
        let length = match window.iter().position(|&byte| byte == 0) {
            Some(length) => length,
            None if window.len() < rest.len() => return Err(StringFault::TooMuch),
            None => return Err(StringFault::Unterminated),
        };
        self.budget -= length;
        let name = decode(&window[..length])?;
        self.seen.insert(offset, Arc::clone(&name));
        Ok(name)
    }
}

impl Strings for Interner<'_> {
    fn get(&mut self, offset: u32) -> Result<Name, StringFault> {
        let text = self.text;
        self.read(offset, |bytes| {
            let start = offset as usize;
            match text.and_then(|text| text.get(start..start + bytes.len())) {
                Some(text) => Ok(Arc::from(text)),
                None => std::str::from_utf8(bytes).map(Arc::from).map_err(|_| StringFault::NotText),
            }
        })
    }
}
