//! The learner's folder: the files to edit, and what lies beside them.
//!
//! A file that is there is never overwritten unless that was asked for, and what a reset replaces is kept beside it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::catalogue::Lesson;
use super::progress::{PROGRESS_FILE, Progress, ProgressError};

/// Old files that a reset keeps at most, for each exercise.
const MAX_KEPT: usize = 1000;

/// A learner's folder.
#[derive(Clone, Debug)]
pub struct Workshop {
    root: PathBuf,
}

/// What became of the files that were to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files that are as they came: they were not there, or had that text already.
    pub new: Vec<PathBuf>,
    /// Files that were replaced.
    pub replaced: Vec<PathBuf>,
    /// Files that were there with another text and stay as they are.
    pub kept: Vec<PathBuf>,
}

/// What a reset did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The file was as it came already.
    Unchanged,
    /// It is as it came now, and was not there before.
    Restored,
    /// It is as it came now; the old one is kept here.
    Kept(PathBuf),
}

/// Why a learner's folder cannot be used.
#[derive(Debug, Error)]
pub enum WorkshopError {
    /// There is none.
    #[error(
        "there are no exercises in {} or above it; `kptrsim learn init` writes them, into a folder of their own",
        .0.display()
    )]
    None(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An exercise's file is gone.
    #[error("{} is gone; `kptrsim learn reset {name}` writes it anew", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
        /// The exercise.
        name: &'static str,
    },
    /// A file was reset so often that there is no name left for the old one.
    #[error("there are {MAX_KEPT} old versions of {} already; delete some", .0.display())]
    TooManyKept(PathBuf),
    /// The progress.
    #[error(transparent)]
    Progress(#[from] ProgressError),
}

impl Workshop {
    /// The learner's folder that this folder is, or lies in. Of the current folder paths stay short.
    ///
    /// # Errors
    /// [`WorkshopError::None`] if it is none.
    pub fn open(folder: Option<&Path>) -> Result<Workshop, WorkshopError> {
        if let Some(folder) = folder {
            let found = folder.join(PROGRESS_FILE).is_file();
            return if found {
                Ok(Workshop { root: folder.to_owned() })
            } else {
                Err(WorkshopError::None(folder.into()))
            };
        }
        if Path::new(PROGRESS_FILE).is_file() {
            return Ok(Workshop { root: PathBuf::new() });
        }
        let current =
            std::env::current_dir().map_err(|source| WorkshopError::Read { path: PathBuf::from("."), source })?;
        let above = current.ancestors().find(|folder| folder.join(PROGRESS_FILE).is_file());
        match above {
            Some(root) => Ok(Workshop { root: root.to_owned() }),
            None => Err(WorkshopError::None(current)),
        }
    }

    /// Writes all exercises into a folder, and makes that folder if need be. `beside` are further files: their paths in the folder and texts.
    /// With `force` files that are there are replaced and the progress begins anew.
    ///
    /// # Errors
    /// [`WorkshopError`] if a file cannot be written, or progress that is there cannot be read.
    pub fn create(
        root: &Path,
        lessons: &[Lesson],
        beside: &[(PathBuf, String)],
        force: bool,
    ) -> Result<(Workshop, Written), WorkshopError> {
        let workshop = Workshop { root: root.to_owned() };
        let mut written = Written::default();
        for lesson in lessons {
            workshop.place(lesson.file(), lesson.exercise, force, &mut written)?;
            if let Some(scenario) = &lesson.scenario {
                workshop.place(lesson.scenario_file(), scenario, force, &mut written)?;
            }
        }
        for (path, text) in beside {
            workshop.place(path, text, force, &mut written)?;
        }
        if force || !root.join(PROGRESS_FILE).exists() {
            Progress::default().write(root)?;
        } else {
            Progress::read(root)?;
        }
        Ok((workshop, written))
    }

    /// Writes a file that is not there, or one that may be replaced.
    fn place(
        &self,
        name: impl AsRef<Path>,
        text: &str,
        force: bool,
        written: &mut Written,
    ) -> Result<(), WorkshopError> {
        let path = self.root.join(name);
        let failed = |source| WorkshopError::Write { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        match fs::File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).map_err(failed)?;
                written.new.push(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let same = fs::read(&path).is_ok_and(|old| old == text.as_bytes());
                match (same, force) {
                    (true, _) => written.new.push(path),
                    (false, false) => written.kept.push(path),
                    (false, true) => {
                        fs::write(&path, text).map_err(failed)?;
                        written.replaced.push(path);
                    }
                }
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(())
    }

    /// The folder; empty for the current one.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an exercise's file is.
    #[must_use]
    pub fn path(&self, lesson: &Lesson) -> PathBuf {
        self.root.join(lesson.file())
    }

    /// Where an exercise's scenario is, if it has one.
    #[must_use]
    pub fn scenario_path(&self, lesson: &Lesson) -> PathBuf {
        self.root.join(lesson.scenario_file())
    }

    /// The bytes of an exercise's file as they are now.
    ///
    /// # Errors
    /// [`WorkshopError::Gone`], or [`WorkshopError::Read`].
    pub fn contents(&self, lesson: &Lesson) -> Result<Vec<u8>, WorkshopError> {
        let path = self.path(lesson);
        fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => WorkshopError::Gone { path, name: lesson.name },
            _ => WorkshopError::Read { path, source },
        })
    }

    /// Puts an exercise's file back as it came, and forgets that it was solved. What the learner wrote is kept beside it.
    ///
    /// # Errors
    /// [`WorkshopError`] if a file cannot be read, written or renamed.
    pub fn reset(&self, lesson: &Lesson) -> Result<Reset, WorkshopError> {
        let path = self.path(lesson);
        let done = match self.contents(lesson) {
            Ok(now) if now == lesson.exercise.as_bytes() => Reset::Unchanged,
            Ok(_) => {
                let kept = self.free_name(lesson)?;
                fs::rename(&path, &kept).map_err(|source| WorkshopError::Write { path: kept.clone(), source })?;
                Reset::Kept(kept)
            }
            Err(WorkshopError::Gone { .. }) => Reset::Restored,
            Err(error) => return Err(error),
        };
        if done != Reset::Unchanged {
            fs::write(&path, lesson.exercise).map_err(|source| WorkshopError::Write { path, source })?;
        }
        Progress::update(&self.root, |progress| {
            progress.solved.remove(lesson.name);
            progress.hints.remove(lesson.name);
        })?;
        Ok(done)
    }

    /// A name for an old version that no file has.
    fn free_name(&self, lesson: &Lesson) -> Result<PathBuf, WorkshopError> {
        let name = |number: usize| self.root.join(format!("{}.old{number}", lesson.file()));
        let free = (1..=MAX_KEPT).map(name).find(|path| !path.exists());
        free.ok_or_else(|| WorkshopError::TooManyKept(self.path(lesson)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside() -> Vec<(PathBuf, String)> {
        vec![(PathBuf::from("include/kptrsim.h"), "/* header */\n".to_owned())]
    }

    #[test]
    fn what_a_learner_wrote_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let root = folder.path().join("deep/down");
        let lessons = Lesson::all().expect("they can be read");
        let (workshop, written) = Workshop::create(&root, &lessons, &beside(), false).expect("it is created");
        let scenarios = lessons.iter().filter(|lesson| lesson.scenario.is_some()).count();
        assert_eq!(written.new.len(), lessons.len() + scenarios + 1);
        let mine = workshop.path(&lessons[2]);
        fs::write(&mine, "int mine;").expect("it can be written");
        Progress::update(&root, |progress| {
            progress.solved.insert("01_return".into());
        })
        .expect("it is changed");

        let (_, again) = Workshop::create(&root, &lessons, &beside(), false).expect("it is there already");
        assert_eq!((again.kept, again.replaced), (vec![mine.clone()], vec![]));
        assert_eq!(fs::read_to_string(&mine).expect("it is there"), "int mine;");
        assert!(Progress::read(&root).expect("it is read").solved.contains("01_return"));

        let (_, forced) = Workshop::create(&root, &lessons, &beside(), true).expect("it is made anew");
        assert_eq!((forced.kept, forced.replaced), (vec![], vec![mine.clone()]));
        assert_eq!(fs::read_to_string(&mine).expect("it is there"), lessons[2].exercise);
        assert_eq!(Progress::read(&root).expect("it is read"), Progress::default());
    }

    #[test]
    fn a_reset_keeps_the_old_text() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let lessons = Lesson::all().expect("they can be read");
        let (workshop, _) = Workshop::create(folder.path(), &lessons, &[], false).expect("it is created");
        let lesson = &lessons[0];
        assert_eq!(workshop.reset(lesson).expect("nothing to do"), Reset::Unchanged);
        for number in 1..=2 {
            let text = format!("int version_{number};");
            fs::write(workshop.path(lesson), &text).expect("it can be written");
            let Reset::Kept(old) = workshop.reset(lesson).expect("it is reset") else { panic!("the old one is kept") };
            assert!(old.ends_with(format!("01_return.bpf.c.old{number}")), "{}", old.display());
            assert_eq!(fs::read_to_string(old).expect("it is there"), text);
            assert_eq!(workshop.contents(lesson).expect("it is there"), lesson.exercise.as_bytes());
        }
        fs::remove_file(workshop.path(lesson)).expect("it is there");
        assert!(matches!(workshop.contents(lesson), Err(WorkshopError::Gone { .. })));
        assert_eq!(workshop.reset(lesson).expect("it is reset"), Reset::Restored);
    }

    #[test]
    fn another_folder_is_no_workshop() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        assert!(matches!(Workshop::open(Some(folder.path())), Err(WorkshopError::None(_))));
        Progress::default().write(folder.path()).expect("it is written");
        assert_eq!(Workshop::open(Some(folder.path())).expect("it is one").root(), folder.path());
    }
}
