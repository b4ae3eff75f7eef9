//! Entries of the data files that are compiled in, each read when it is first asked for.
//!
//! Reading all of `helpers.toml` takes longer than verifying most programs, and a program uses a few of its entries.
//! So a file is only cut at its headings (`[[helper]]`) and indexed by one key of each entry; TOML is read entry by
//! entry. Start at [`Entries`].

use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

/// The entries under one heading, in the order of the file.
#[derive(Debug)]
pub struct Entries<T> {
    list: Vec<Entry<T>>,
    /// Several entries may have the same key.
    by_key: FxHashMap<&'static str, SmallVec<[usize; 1]>>,
}

#[derive(Debug)]
struct Entry<T> {
    /// From its heading to the next entry's.
    text: &'static str,
    value: OnceLock<T>,
}

impl<T: DeserializeOwned> Entries<T> {
    /// The entries of built-in files under `[[heading]]`, found again by what stands behind `key =` in them.
    pub fn of(texts: impl IntoIterator<Item = &'static str>, heading: &str, key: &str) -> Entries<T> {
        let mut entries = Entries { list: Vec::new(), by_key: FxHashMap::default() };
        let heading = format!("[[{heading}]]");
        for text in texts.into_iter().flat_map(cut).filter(|text| text.starts_with(&heading)) {
            let keys = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            for key in keys.take(1) {
                entries.by_key.entry(key.trim_matches('"')).or_default().push(entries.list.len());
            }
            entries.list.push(Entry { text, value: OnceLock::new() });
        }
        entries
    }

    /// The first entry of that key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.all(key).next()
    }

    /// The entries of that key.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &T> {
        let places = self.by_key.get(key).map_or(&[][..], |places| places);
        places.iter().filter_map(|&at| self.list.get(at)).map(Entry::value)
    }

    /// Every entry, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.list.iter().map(Entry::value)
    }

    /// Every key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.by_key.keys().copied()
    }
}

impl<T: DeserializeOwned> Entry<T> {
    fn value(&self) -> &T {
        // The heading makes it a table of one list of one entry.
        self.value.get_or_init(|| match toml::from_str::<FxHashMap<String, (T,)>>(self.text) {
            Ok(read) => match read.into_values().next() {
                Some((value,)) => value,
                None => unreachable!("an entry starts with its heading"),
            },
            Err(error) => unreachable!("the built-in data is tested: {error}: {}", self.text),
        })
    }
}

/// A file's entries, from heading to heading; what stands before the first and tables of their own are among them.
fn cut(text: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find("\n[[").map_or(rest.len(), |at| at + 1);
        let (entry, behind) = rest.split_at(end);
        rest = behind;
        Some(entry)
    })
}
