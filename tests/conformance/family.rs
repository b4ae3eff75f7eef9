//! Families of selftests, by the names of their objects, as `families.toml` lists them.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A family of objects. The first in the file's order that an object fits in is its family.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// What the table calls it.
    pub name: String,
    /// Names of objects; a `*` at the end stands for any ending.
    pub objects: Vec<String>,
    /// Whether it is about ownership, where full marks are the aim.
    #[serde(default)]
    pub ownership: bool,
}

#[derive(Deserialize)]
struct File {
    family: Vec<Family>,
}

/// Reads the families.
pub fn read(path: &Path) -> Result<Vec<Family>, Box<dyn Error>> {
    let file: File = toml::from_str(&fs::read_to_string(path)?)?;
    Ok(file.family)
}

impl Family {
    /// Whether an object belongs to it.
    pub fn holds(&self, object: &str) -> bool {
        self.objects.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => object.starts_with(start),
            None => object == pattern,
        })
    }
}

/// The family of an object: its place in the list.
pub fn of(families: &[Family], object: &str) -> Option<usize> {
    families.iter().position(|family| family.holds(object))
}
