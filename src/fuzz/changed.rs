//! Existing objects with something changed in them, in place of generated programs.
//!
//! A campaign over objects goes through them in rounds: in each every object is changed anew, and each of its programs is judged in what
//! comes of that. Program `i` is thus program `i mod n` of all `n`, changed in round `i / n`.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::cause::digest;
use crate::explore::random::Random;
use crate::isa::{CallName, RawInsn, disassemble};
use crate::kernel::files::{self, FileError};
use crate::kernel::{Profile, Tables};
use crate::object::{FunctionLayout, LoadOptions, function_layouts};
use crate::strategies::{Change, byte_changes, changed, instruction_changes};

/// What is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Changes {
    /// One instruction of each function, or two: left out, doubled, swapped, another register, operation, size, offset or immediate.
    #[default]
    Instructions,
    /// One byte to eight anywhere in the file.
    Bytes,
    /// Instructions three times in four, else bytes.
    Mixed,
}

/// An object that a campaign is about, as it stands in the campaign's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// The file.
    pub path: PathBuf,
    /// A digest of its bytes.
    pub digest: String,
    /// Its programs.
    pub programs: Vec<String>,
}

/// An object with its bytes.
#[derive(Clone, Debug)]
pub struct File {
    /// What the plan says of it.
    pub about: Original,
    /// The unchanged bytes.
    pub bytes: Vec<u8>,
    functions: Vec<FunctionLayout>,
}

/// Why there is nothing to change.
#[derive(Debug, Error)]
pub enum OriginalError {
    /// A file cannot be read or compiled.
    #[error(transparent)]
    File(#[from] FileError),
    /// No object has a program that could be judged.
    #[error("there is no program in these objects:\n{}", .0.join("\n"))]
    NoProgram(Vec<String>),
    /// A file is another one than that with which the campaign was begun.
    #[error("{0} has changed since the campaign was begun")]
    Other(PathBuf),
}

/// Reads objects; sources are compiled. Those that do not load, and those without a program, are left out: the second of the two lists
/// has why.
///
/// # Errors
/// [`OriginalError`]; if all of them are left out, too.
pub fn read(
    paths: &[PathBuf],
    profile: &Profile,
    config: Option<&str>,
) -> Result<(Vec<File>, Vec<String>), OriginalError> {
    let options = LoadOptions { kernel_config: config, ..profile.load_options() };
    let (mut read, mut left_out) = (Vec::new(), Vec::new());
    for path in paths {
        match file(path, files::read_or_compile(path, &[])?, &options) {
            Ok(file) if file.about.programs.is_empty() => left_out.push(format!("{}: no program", path.display())),
            Ok(file) => read.push(file),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    if read.is_empty() && !left_out.is_empty() {
        return Err(OriginalError::NoProgram(left_out));
    }
    Ok((read, left_out))
}

fn file(path: &Path, bytes: Vec<u8>, options: &LoadOptions<'_>) -> Result<File, FileError> {
    let object = files::parse_object(path, &bytes, options)?;
    let failed = |source| FileError::Object { path: path.to_owned(), source };
    let functions = function_layouts(&bytes).map_err(failed)?;
    let programs = object.programs.iter().map(|program| program.name.clone()).collect();
    let about = Original { path: path.to_owned(), digest: format!("{:016x}", digest(&bytes)), programs };
    Ok(File { about, bytes, functions })
}

/// Reads the objects of a plan again.
///
/// # Errors
/// [`OriginalError`]; if one is not what it was.
pub fn read_again(originals: &[Original], profile: &Profile, config: Option<&str>) -> Result<Vec<File>, OriginalError> {
    let paths: Vec<PathBuf> = originals.iter().map(|one| one.path.clone()).collect();
    let (files, _) = read(&paths, profile, config)?;
    let same = |original: &&Original| files.iter().any(|file| file.about == **original);
    match originals.iter().find(|original| !same(original)) {
        Some(original) => Err(OriginalError::Other(original.path.clone())),
        None => Ok(files),
    }
}

/// An object with something changed, and the program of it that is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Which object, by its place among the plan's.
    pub file: usize,
    /// The program's name.
    pub program: String,
    /// What is changed.
    pub changes: Vec<Change>,
}

/// The objects of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Vec<File>,
    /// The number of each one's first program in a round, and of all programs behind the last.
    firsts: Vec<u64>,
    seed: u64,
    changes: Changes,
}

impl Files {
    /// Objects, to be changed by a seed.
    #[must_use]
    pub fn new(files: Vec<File>, seed: u64, changes: Changes) -> Files {
        let firsts = std::iter::once(0).chain(files.iter().scan(0, |sum, file| {
            *sum += file.about.programs.len() as u64;
            Some(*sum)
        }));
        Files { firsts: firsts.collect(), files, seed, changes }
    }

    /// Are there none, so that programs are generated?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The object in that place.
    #[must_use]
    pub fn get(&self, file: usize) -> Option<&File> {
        self.files.get(file)
    }

    /// Numbers of the programs that are in a unit, which is one object in one round; `None` where numbers end.
    #[must_use]
    pub fn indices(&self, unit: u64) -> Option<Range<u64>> {
        let (round, file) = (unit.checked_div(self.files.len() as u64)?, unit % self.files.len() as u64);
        let start = round.checked_mul(*self.firsts.last()?)?;
        let at = |place: usize| start.checked_add(*self.firsts.get(place)?);
        Some(at(file as usize)?..at(file as usize + 1)?)
    }

    /// Object and changes of a unit.
    #[must_use]
    pub fn unit(&self, unit: u64) -> Option<(usize, Vec<Change>)> {
        let place = unit.checked_rem(self.files.len() as u64)? as usize;
        let file = self.files.get(place)?;
        let mut random = Random::new(self.seed, unit);
        let bytes = match self.changes {
            Changes::Instructions => false,
            Changes::Bytes => true,
            Changes::Mixed => random.below(4) == 0,
        };
        let changes = if bytes {
            byte_changes(&file.bytes, &mut random)
        } else {
            instruction_changes(&file.bytes, &file.functions, &mut random)
        };
        Some((place, changes))
    }

    /// Unit and object of a program by its number, and its name.
    fn place(&self, index: u64) -> Option<(u64, usize, &str)> {
        let all = *self.firsts.last()?;
        let (round, place) = (index.checked_div(all)?, index % all);
        let file = self.firsts.partition_point(|first| *first <= place).checked_sub(1)?;
        let program = self.files.get(file)?.about.programs.get((place - self.firsts.get(file)?) as usize)?;
        Some((round.checked_mul(self.files.len() as u64)?.checked_add(file as u64)?, file, program))
    }

    /// The name of the program of that number.
    #[must_use]
    pub fn name(&self, index: u64) -> Option<&str> {
        self.place(index).map(|(_, _, name)| name)
    }

    /// The program of that number, with what is changed in its object.
    #[must_use]
    pub fn mutant(&self, index: u64) -> Option<Mutant> {
        let (unit, file, program) = self.place(index)?;
        let (_, changes) = self.unit(unit)?;
        Some(Mutant { file, program: program.to_owned(), changes })
    }

    /// A mutant's bytes.
    #[must_use]
    pub fn bytes(&self, mutant: &Mutant) -> Vec<u8> {
        self.files.get(mutant.file).map(|file| changed(&file.bytes, &mutant.changes)).unwrap_or_default()
    }

    /// What was changed, a line for each instruction or byte.
    #[must_use]
    pub fn describe(&self, mutant: &Mutant) -> String {
        let mut text = String::new();
        let Some(file) = self.files.get(mutant.file) else { return text };
        for change in &mutant.changes {
            let end = change.at + change.to.len();
            let Some(old) = file.bytes.get(change.at..end) else { continue };
            let home = file.functions.iter().rev().filter(|function| function.start <= change.at);
            let home = home.max_by_key(|function| function.start);
            let (old_slots, new_slots) = (RawInsn::read_all(old), RawInsn::read_all(&change.to));
            match home.filter(|_| !new_slots.is_empty()) {
                Some(function) => {
                    let first = (change.at - function.start) / RawInsn::SIZE;
                    for (slot, (old, new)) in (first..).zip(old_slots.iter().zip(&new_slots)) {
                        if old != new {
                            let told = (words(*old), words(*new));
                            // What nobody should use is not in an instruction's words.
                            let same = told.0 == told.1;
                            let (old, new) = if same { (bytes(*old), bytes(*new)) } else { told };
                            let _ = writeln!(text, "{} {slot}: {old}    becomes    {new}", function.name);
                        }
                    }
                }
                None => {
                    let _ =
                        writeln!(text, "byte {} of the file: {:#04x} becomes {:#04x}", change.at, old[0], change.to[0]);
                }
            }
        }
        text
    }
}

/// An instruction out of an object, whose helpers have names and whose functions do not.
fn words(raw: RawInsn) -> String {
    disassemble(raw, None, &Helpers)
}

fn bytes(raw: RawInsn) -> String {
    let digits: Vec<String> = raw.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}   {}", words(raw), digits.join(" "))
}

struct Helpers;

impl CallName for Helpers {
    fn helper(&self, id: i32) -> Option<&str> {
        Tables::embedded().helper(u32::try_from(id).ok()?).map(|helper| helper.name.as_str())
    }

    fn kfunc(&self, _: RawInsn) -> Option<(&str, u32)> {
        None
    }

    fn immediate(&self, _: RawInsn, _: RawInsn) -> Option<String> {
        None
    }
}

/// A mutant that shows the same with no change left that can be taken back.
///
/// `holds` says of each of some mutants whether it does.
///
/// # Errors
/// Those of `holds`.
pub fn shrink<E>(mutant: Mutant, mut holds: impl FnMut(&[Mutant]) -> Result<Vec<bool>, E>) -> Result<Mutant, E> {
    let mut current = mutant;
    let mut part = current.changes.len();
    while part > 0 {
        let without: Vec<Mutant> = (0..current.changes.len())
            .step_by(part)
            .map(|start| {
                let left =
                    current.changes.iter().enumerate().filter(|(place, _)| !(start..start + part).contains(place));
                Mutant { changes: left.map(|(_, change)| change.clone()).collect(), ..current.clone() }
            })
            .collect();
        let kept = holds(&without)?;
        // All that can be taken back together, if it can, else the first.
        let good: FxHashSet<usize> = (0..kept.len()).filter(|&place| kept[place]).collect();
        let first = good.iter().min().copied();
        let all = current.changes.iter().enumerate().filter(|(place, _)| !good.contains(&(place / part)));
        let together = Mutant { changes: all.map(|(_, change)| change.clone()).collect(), ..current.clone() };
        match first {
            Some(_) if good.len() > 1 && holds(std::slice::from_ref(&together))?.contains(&true) => current = together,
            Some(first) => current = without[first].clone(),
            None => part /= 2,
        }
        part = part.min(current.changes.len());
    }
    Ok(current)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn files(changes: Changes) -> Files {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
        let paths = ["percpu_slot.bpf.o", "percpu.o"].map(|name| folder.join(name));
        let (files, left_out) = read(&paths, &Profile::embedded(), None).expect("they are read");
        assert_eq!(left_out, [""; 0]);
        Files::new(files, 3, changes)
    }

    #[test]
    fn numbers_go_through_all_programs_of_all_objects_round_after_round() {
        let files = files(Changes::Mixed);
        let all: u64 = (0..2).map(|file| files.get(file).expect("it is there").about.programs.len() as u64).sum();
        let mut next = 0;
        for unit in 0..6 {
            let (file, changes) = files.unit(unit).expect("there is no end");
            for (place, index) in files.indices(unit).expect("there is no end").enumerate() {
                assert_eq!(index, next);
                let mutant = files.mutant(index).expect("there is no end");
                assert_eq!((mutant.file, &mutant.changes), (file, &changes));
                assert_eq!(mutant.program, files.get(file).expect("it is there").about.programs[place]);
                next += 1;
            }
        }
        assert_eq!(next, 3 * all);
        assert_ne!(files.unit(0), files.unit(2));
        assert!(files.mutant(u64::MAX).is_some());
    }

    #[test]
    fn what_has_no_program_is_left_out_and_said_so() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
        let read = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
            read(&paths, &Profile::embedded(), None)
        };
        let (files, left_out) = read(&["percpu.o", "../../Cargo.toml"]).expect("one is an object");
        assert_eq!((files.len(), left_out.len()), (1, 1));
        assert!(left_out[0].contains("Cargo.toml"), "{left_out:?}");
        assert!(matches!(read(&["../../Cargo.toml"]), Err(OriginalError::NoProgram(_))));
        assert!(matches!(read(&["nothing.o"]), Err(OriginalError::File(_))));
    }

    #[test]
    fn changes_are_told_in_words() {
        let told = |changes| {
            let files = files(changes);
            files.describe(&files.mutant(0).expect("it is there"))
        };
        assert!(told(Changes::Instructions).contains("    becomes    "));
        assert!(told(Changes::Bytes).contains("of the file: 0x"));
    }

    #[test]
    fn what_is_left_is_what_it_takes() {
        let change = |at| Change { at, to: vec![0] };
        let mutant = Mutant { file: 0, program: "p".into(), changes: (0..100).map(change).collect() };
        let mut questions = 0;
        let needed = [change(17), change(80)];
        let small = shrink(mutant, |mutants| {
            questions += 1;
            let has = |mutant: &Mutant| needed.iter().all(|one| mutant.changes.contains(one));
            Ok::<_, Infallible>(mutants.iter().map(has).collect())
        });
        let Ok(small) = small;
        assert_eq!(small.changes, needed);
        assert!(questions < 30, "{questions}");
    }
}
