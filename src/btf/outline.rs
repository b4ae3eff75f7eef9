//! A first look over BTF, which decides whether its types can be read one by one later.
//!
//! A kernel has 100,000 types, of which verifying a program asks for some hundred. [`Outline::of`] goes once over all of
//! them and checks everything that reading one could stumble over, as [`super::parse`] does; it keeps only where each
//! starts and what it is called. BTF that is not in perfect order has no outline: then all of it is read at once,
//! which finds out what to say.

use super::parse::{INFO_MASK, INT_MASK, MAX_TYPES, Sections, sets_reserved};
use super::table::MAX_RESOLVE_DEPTH;

/// No name is longer: BTF that is broken may use a long one many times, which would need much memory.
pub(super) const LONGEST_NAME: u32 = 512;

/// Where types start and how they are called, by id; `void` first.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// Where each starts, in words of four bytes; for `void` any.
    pub(super) starts: Vec<u32>,
    /// Its name's offset in the strings, 0 for none.
    pub(super) names: Vec<u32>,
}

type Words<'data> = &'data [[u8; 4]];

/// The greatest of all that types refer to.
#[derive(Default)]
struct Greatest {
    id: u32,
    name: u32,
}

impl Greatest {
    fn see(&mut self, id: u32, name: u32) {
        self.id = self.id.max(id);
        self.name = self.name.max(name);
    }
}

fn word(words: Words<'_>, at: usize) -> u32 {
    words.get(at).map_or(0, |&word| u32::from_le_bytes(word))
}

/// What stands in the second word of a type: kind, flag and count.
fn info(word: u32) -> (u8, bool, usize) {
    ((word >> 24) as u8 & 0x1f, word >> 31 != 0, (word & 0xffff) as usize)
}

impl Outline {
    /// The outline of BTF in which nothing is wrong, unknown or set without need.
    pub(super) fn of(sections: &Sections<'_>) -> Option<Outline> {
        let strings = sections.strings;
        let (words, rest) = sections.types.as_chunks::<4>();
        // Each half of that length holds an end.
        let names_end = strings.chunks_exact(LONGEST_NAME as usize / 2).all(|part| part.contains(&0));
        if !rest.is_empty() || !strings.is_ascii() || !names_end {
            return None;
        }
        let mut outline = Outline { starts: vec![0], names: vec![0] };
        let (mut at, mut greatest) = (0, Greatest::default());
        while at < words.len() {
            let (name, length) = check_type(words.get(at..)?, &mut greatest)?;
            outline.starts.push(at as u32);
            outline.names.push(name);
            at += length;
        }
        let count = outline.starts.len();
        let inside = count <= MAX_TYPES && (greatest.id as usize) < count && (greatest.name as usize) < strings.len();
        (inside && outline.chains_end(words) && outline.functions_have_prototypes(words)).then_some(outline)
    }

    /// Is the type of each function that of one?
    fn functions_have_prototypes(&self, words: Words<'_>) -> bool {
        let kind = |start: u32| info(word(words, start as usize + 1)).0;
        self.starts.iter().skip(1).filter(|&&start| kind(start) == 12).all(|&start| {
            let target = word(words, start as usize + 2) as usize;
            target > 0 && self.starts.get(target).is_some_and(|&start| kind(start) == 13)
        })
    }

    /// Are all chains of modifiers and typedefs short enough?
    fn chains_end(&self, words: Words<'_>) -> bool {
        self.starts.iter().skip(1).all(|&start| {
            let mut at = start as usize;
            for _ in 0..=MAX_RESOLVE_DEPTH {
                if !matches!(info(word(words, at + 1)).0, 8..=11 | 18) {
                    return true;
                }
                match word(words, at + 2) {
                    0 => return true,
                    target => at = self.starts.get(target as usize).map_or(0, |&start| start as usize),
                }
            }
            false
        })
    }
}

/// Checks the type at the start of `words`. Gives its name and its length in words.
fn check_type(words: Words<'_>, greatest: &mut Greatest) -> Option<(u32, usize)> {
    let [name, second, third] = words.first_chunk::<3>()?.map(u32::from_le_bytes);
    let (kind, flag, count) = info(second);
    if second & !INFO_MASK != 0 || sets_reserved(kind, flag, count, name != 0, third) {
        return None;
    }
    greatest.see(0, name);
    let length = 3 + match kind {
        1 | 14 | 17 => 1,
        3 => 3,
        4 | 5 | 15 | 19 => 3 * count,
        6 | 13 => 2 * count,
        _ => 0,
    };
    let body = words.get(3..length)?;
    match kind {
        // An integer, whose word has bits that mean nothing; a forward; a float.
        1 if word(body, 0) & !INT_MASK != 0 => return None,
        1 | 7 | 16 => {}
        2 | 8..=11 | 17 | 18 => greatest.see(third, 0),
        3 => greatest.see(word(body, 0).max(word(body, 1)), 0),
        4 | 5 => body.as_chunks::<3>().0.iter().for_each(|member| greatest.see(word(member, 1), word(member, 0))),
        6 => body.as_chunks::<2>().0.iter().for_each(|value| greatest.see(0, word(value, 0))),
        12 if count <= 2 => greatest.see(third, 0),
        13 => {
            greatest.see(third, 0);
            body.as_chunks::<2>().0.iter().for_each(|parameter| greatest.see(word(parameter, 1), word(parameter, 0)));
        }
        14 if word(body, 0) <= 2 => greatest.see(third, 0),
        15 => body.as_chunks::<3>().0.iter().for_each(|variable| greatest.see(word(variable, 0), 0)),
        19 => body.as_chunks::<3>().0.iter().for_each(|value| greatest.see(0, word(value, 0))),
        _ => return None,
    }
    Some((name, length))
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _};

    use super::*;
    use crate::btf::Btf;
    use crate::btf::parse::read_all;

    /// The types of every object in a folder.
    fn types_in(folder: &str) -> Vec<Vec<u8>> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
        let objects = files.filter(|path| path.extension().is_some_and(|extension| extension == "o"));
        let types = objects.filter_map(|path| {
            let bytes = std::fs::read(path).expect("a readable file");
            let file = object::File::parse(&*bytes).ok()?;
            Some(file.section_by_name(".BTF")?.data().ok()?.to_vec())
        });
        types.collect()
    }

    #[test]
    fn types_read_one_by_one_are_those_read_at_once() {
        let found = types_in("tests/objects");
        assert!(!found.is_empty());
        for bytes in found {
            let sections = Sections::split(&bytes).expect("two sections");
            assert!(Outline::of(&sections).is_some());
            let (lazy, whole) = (Btf::parse(&bytes).expect("BTF"), read_all(&sections).expect("BTF"));
            for name in whole.iter().map(|(_, ty)| ty.name()) {
                assert!(lazy.ids_named(name).eq(whole.ids_named(name)), "{name}");
                assert_eq!(lazy.ids_with_essential_name(name), whole.ids_with_essential_name(name), "{name}");
            }
            assert!(lazy.iter().eq(whole.iter()));
        }
    }

    #[test]
    fn what_is_broken_has_no_outline() {
        let bytes = types_in("tests/objects").swap_remove(0);
        let start = u32::from_le_bytes(*bytes[4..].first_chunk().expect("a header")) as usize;
        let mut refused = 0;
        let types = u32::from_le_bytes(*bytes[12..].first_chunk().expect("a header")) as usize;
        // No type has the first number; the second is that of one, which is not always the right one.
        for (at, number) in (start..start + types).step_by(4).flat_map(|at| [(at, u32::MAX), (at, 1)]) {
            let mut broken = bytes.clone();
            broken[at..at + 4].copy_from_slice(&number.to_le_bytes());
            let sections = Sections::split(&broken).expect("two sections");
            // Members' offsets and sizes may be anything; for all else the reader of all types finds a fault.
            match (Outline::of(&sections), read_all(&sections)) {
                (Some(_), whole) => assert!(whole.is_ok(), "{at}: {whole:?}"),
                (None, Err(_)) => refused += 1,
                (None, Ok(_)) => {}
            }
        }
        assert!(refused > 20, "{refused}");
    }
}
